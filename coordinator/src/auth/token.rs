//! The form of a token: `ts_<kind>_<id>_<secret>`, where the secret is 256 random bits.
//!
//! Secrets of that size need no slow hash: SHA-256 is stored, found by id, and compared in constant time.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::store::TokenKind;

/// Random bytes of a secret.
const SECRET_BYTES: usize = 32;
/// Characters that 32 bytes have in base64 without padding.
const SECRET_CHARS: usize = 43;
/// Random bytes of an id; it only has to be unique.
const ID_BYTES: usize = 6;

/// A whole token. Never shown but to whoever it was made for.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// The token itself, to be handed out once.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// A token that was made, in parts.
pub(super) struct Made {
    pub(super) id: String,
    pub(super) hash: [u8; 32],
    pub(super) secret: Secret,
}

/// Makes a token.
///
/// # Errors
/// If the operating system has no random numbers.
pub(super) fn make(kind: TokenKind) -> Result<Made, getrandom::Error> {
    let mut bytes = [0; SECRET_BYTES + ID_BYTES];
    getrandom::fill(&mut bytes)?;
    let (secret, id) = bytes.split_at(SECRET_BYTES);
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let secret = base64url(secret);
    Ok(Made {
        hash: hash(&secret),
        secret: Secret(format!("ts_{}_{id}_{secret}", word(kind))),
        id,
    })
}

fn word(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::User => "user",
        TokenKind::Worker => "worker",
    }
}

/// Id and secret of a presented token; none if it does not have the form of one.
pub(super) fn split(token: &str) -> Option<(&str, &str)> {
    let rest = token.strip_prefix("ts_")?;
    let rest = rest
        .strip_prefix("user_")
        .or_else(|| rest.strip_prefix("worker_"))?;
    let (id, secret) = rest.split_once('_')?;
    (secret.len() == SECRET_CHARS).then_some((id, secret))
}

/// Id of a token; none if it does not have the form of one.
pub(crate) fn id(token: &str) -> Option<&str> {
    split(token).map(|(id, _)| id)
}

/// What is stored of a secret.
pub(super) fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// Base64 with the alphabet of RFC 4648, section 5, without padding.
fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .fold(0_u32, |word, byte| word << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for index in 0..=chunk.len() {
            let six = usize::try_from(word >> (18 - 6 * index) & 63).unwrap_or_default();
            text.push(char::from(ALPHABET[six]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_matches_the_test_vectors_of_rfc_4648() {
        for (plain, coded) in [
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64url(plain.as_bytes()), coded);
        }
        assert_eq!(base64url(&[0xfb, 0xff]), "-_8");
    }

    #[test]
    fn a_token_that_was_made_can_be_taken_apart_and_is_not_shown() {
        let made = make(TokenKind::Worker).unwrap();
        let (id, secret) = split(made.secret.expose()).unwrap();
        assert!(made.secret.expose().starts_with("ts_worker_"));
        assert_eq!((id, hash(secret)), (made.id.as_str(), made.hash));
        assert_eq!(format!("{:?}", made.secret), "Secret(..)");
        for bad in ["", "ts_", "ts_user_abc", "ts_admin_1_x", "ts_user_1_short"] {
            assert!(split(bad).is_none(), "{bad}");
        }
    }
}
