//! Everything together: real programs, real databases, real signals, and a network that breaks.
//!
//! Each test has a coordinator, a store and workers of its own. Waits are for conditions, with deadlines.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on panics, its helpers too"
)]

mod asking;
mod bad_programs;
mod buckets;
mod command_line;
mod coordinator_faults;
mod crash_points;
mod database_faults;
mod lineage;
mod money;
mod network_faults;
mod objectives;
mod pool;
mod population;
mod stages;
mod studies;
mod up;
mod world;
