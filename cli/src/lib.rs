//! Tunesmith's command line. Speaks gRPC with the coordinator and nothing else; holds no state of its own.
//!
//! A library so that its parts can be tested; the program is `main.rs`.

pub mod args;
mod client;
pub mod command;
pub mod context;
pub mod error;
mod follow;
mod names;
mod output;
pub mod settings;
mod study_file;
mod transfer;
mod up;
mod view;
