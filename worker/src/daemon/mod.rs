//! The daemon: keeps a conversation with the coordinator as long as it lives, and leaves in good order.

pub(crate) mod core;
mod identity;
pub(crate) mod launches;
pub(crate) mod lifecycle;
mod run;

pub use identity::IdentityError;
pub use lifecycle::Shutdown;
pub use run::{WorkerError, run};
