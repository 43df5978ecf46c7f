//! Who may call what: tokens, the table of all calls, and the checks that every request passes before anything else sees it.
//!
//! # Invariants
//!
//! * Deny by default: a call that is not in the table, or not for the caller's kind of token, is refused.
//! * A secret is shown once, when it is made. Only its hash is stored; neither is ever logged.

mod access;
mod host;
mod token;
mod tokens;

pub use access::{Access, GRPC, RequestKind, access_of};
pub use host::HostPolicy;
pub(crate) use host::same_origin;
pub use token::Secret;
pub use tokens::{Principal, Tokens, TokensError};
