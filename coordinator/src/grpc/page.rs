//! Page tokens: opaque to clients, bound to the query that they continue.

use sha2::{Digest as _, Sha256};
use tunesmith_proto::convert::ConvertError;

/// Entries of a page if the caller does not say.
const DEFAULT_SIZE: u32 = 100;
/// Entries of a page at most.
const MAX_SIZE: i32 = 1_000;
/// Bytes of the query's hash that a token carries.
const HASH: usize = 8;

/// A place in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// Entries before it.
    pub(super) offset: u64,
    /// Entries on it at most.
    pub(super) limit: u32,
    query: [u8; HASH],
}

impl Page {
    /// Reads the page that a call asks for. `query` is everything that must stay the same from page to page.
    pub(super) fn read(size: i32, token: &str, query: &[&[u8]]) -> Result<Self, ConvertError> {
        let limit = match u32::try_from(size) {
            Ok(0) => DEFAULT_SIZE,
            Ok(limit) if size <= MAX_SIZE => limit,
            _ => {
                let message =
                    format!("must lie between 1 and {MAX_SIZE}, or be 0 for {DEFAULT_SIZE}; got {size}");
                return Err(ConvertError::new("page_size", message));
            }
        };
        let query = hash(query);
        if token.is_empty() {
            return Ok(Self {
                offset: 0,
                limit,
                query,
            });
        }
        let wrong = || {
            ConvertError::new(
                "page_token",
                "is not one that this list returned; begin again without one, with the same filters",
            )
        };
        let number = |text: Option<&str>| text.and_then(|text| u64::from_str_radix(text, 16).ok());
        if token.len() != 32 || !token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let (offset, seal) = (
            number(token.get(..16)).ok_or_else(wrong)?,
            number(token.get(16..)).ok_or_else(wrong)?,
        );
        if i64::try_from(offset).is_err() || seal != seal_of(offset, query) {
            return Err(wrong());
        }
        Ok(Self { offset, limit, query })
    }

    /// Token of the page after this one; empty if this page was not full.
    pub(super) fn next(&self, found: usize) -> String {
        if found < usize::try_from(self.limit).unwrap_or(usize::MAX) {
            return String::new();
        }
        let offset = self.offset.saturating_add(u64::from(self.limit));
        format!("{offset:016x}{:016x}", seal_of(offset, self.query))
    }
}

fn hash(query: &[&[u8]]) -> [u8; HASH] {
    let mut hash = Sha256::new();
    for part in query {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    first(&hash.finalize())
}

fn first(bytes: &[u8]) -> [u8; HASH] {
    let mut first = [0; HASH];
    first.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    first
}

/// Tells a token of this query from a mistyped one and from one of another query. No secret: pages hold nothing that a caller may
/// not read.
fn seal_of(offset: u64, query: [u8; HASH]) -> u64 {
    u64::from_be_bytes(hash(&[&offset.to_be_bytes(), &query]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_to_the_next_page_of_the_same_query_only() {
        let page = Page::read(10, "", &[b"studies/a", b"value"]).unwrap();
        assert_eq!(page.next(9), "");
        let token = page.next(10);
        assert_eq!(
            Page::read(10, &token, &[b"studies/a", b"value"]).unwrap().offset,
            10
        );
        for (token, query) in [
            (token.as_str(), [b"studies/b".as_slice(), b"value"]),
            (&token[1..], [b"studies/a", b"value"]),
            (&token.replace('0', "1"), [b"studies/a", b"value"]),
            ("\u{e4}", [b"studies/a", b"value"]),
        ] {
            assert_eq!(Page::read(10, token, &query).unwrap_err().field, "page_token");
        }
    }

    #[test]
    fn sizes_out_of_range_are_refused() {
        assert_eq!(Page::read(0, "", &[]).unwrap().limit, 100);
        for size in [-1, 1_001, i32::MAX] {
            assert!(
                Page::read(size, "", &[])
                    .unwrap_err()
                    .message
                    .contains("between 1 and 1000")
            );
        }
    }
}
