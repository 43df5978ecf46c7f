//! The coordinator over a real loopback port with a store in memory: what callers see, code by code.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod ask_tell;
mod backtest;
mod browser;
mod charts;
mod cost;
mod drafts;
mod errors;
mod http;
mod importance;
mod improvement;
mod lineage;
mod objectives;
mod session;
mod shutdown;
mod slices;
mod strategies;
mod studies;
mod support;
mod tags;
mod usage;
mod watch;
