//! The coordinator as a running program: starts all parts in order, serves gRPC and HTTP on one port, and stops in order.

mod accept;
mod door;
mod run;

pub use run::{Running, Setup, StartError, start};
