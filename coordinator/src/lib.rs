//! The coordinator: keeps studies and trials, proposes what to try next, hands trials to workers, stops the hopeless ones.
//!
//! The way through the house: `grpc` and `http` translate calls and pass them to the [`engine`] that owns the study; the engine
//! lets [`decide`] (pure) work out what follows, commits it to the [`store`] in one transaction, and only then answers, sends
//! orders to workers through the [`pool`], and tells watchers.
//!
//! Invariant: nothing is acknowledged, sent or shown before it is committed.

pub mod auth;
pub mod config;
pub mod crash;
pub mod decide;
pub mod engine;
pub mod grpc;
pub mod http;
pub mod metrics;
pub mod pool;
pub mod server;
pub mod store;
