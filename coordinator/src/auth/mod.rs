//! Who may call what: tokens, the table of all calls, and the checks that every request passes before anything else sees it.
//!
//! # Invariants
//!
//! * Deny by default: a call that is not in the table, or not for the caller's kind of token, is refused.
//! * A secret is shown once, when it is made. Only its hash is stored; neither is ever logged.

mod access;
mod browser;
mod host;
mod token;
mod tokens;

pub use access::{Access, GRPC, RequestKind, access_of};
pub use browser::{Browsers, LIFETIME, Sender, cookie, set_cookie};
pub use host::HostPolicy;
pub(crate) use host::same_origin;
pub use token::Secret;
pub(crate) use token::id as token_id;
pub use tokens::{Principal, Tokens, TokensError};

/// One text for a token that is missing, malformed, unknown, wrong or revoked: the difference is nobody's business.
pub(crate) const NO_TOKEN: &str = "a valid token is needed: authorization: Bearer ts_...; the coordinator keeps its first one in admin.token \
                                   in its data folder";
