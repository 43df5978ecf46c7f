//! Sign-ins of browsers: what a token is exchanged for, so that no script and no page ever holds it.
//!
//! A sign-in is a text in a cookie: whose it is, until when, and a seal over both and over what is stored of the token. Nothing is
//! kept of it here, so it outlives the coordinator, and ends with its time or with the token. Browsers send cookies of one host to
//! all its ports, which is why it is not the token itself: it opens nothing but this coordinator, and only for its own pages.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, Method, header};
use sha2::Sha256;
use tunesmith_common::Timestamp;

use super::tokens::{Principal, Tokens};

/// How long a sign-in is good.
pub const LIFETIME: Duration = Duration::from_secs(30 * 24 * 3_600);
/// Bytes of the key: a block of the hash.
const KEY_BYTES: usize = 64;
/// Name of its file in the data folder.
const KEY_FILE: &str = "browser.key";
/// What browsers say about where a request comes from.
const FETCH_SITE: &str = "sec-fetch-site";

/// Makes sign-ins and knows them again.
pub struct Browsers {
    key: [u8; KEY_BYTES],
}

impl std::fmt::Debug for Browsers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Browsers").finish_non_exhaustive()
    }
}

impl Browsers {
    /// With the key of a data folder, which is made at its first start.
    ///
    /// # Errors
    /// If the key's file can be neither read nor written.
    pub fn open(data: &Path) -> io::Result<Self> {
        let path = data.join(KEY_FILE);
        match std::fs::read(&path).map(<[u8; KEY_BYTES]>::try_from) {
            Ok(Ok(key)) => return Ok(Self { key }),
            // Cut off while it was written: nobody has a sign-in by it.
            Ok(Err(_)) => std::fs::remove_file(&path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let mut key = [0; KEY_BYTES];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        file.write_all(&key)?;
        file.sync_all()?;
        Ok(Self { key })
    }

    /// A sign-in of whoever has the token with this id, from `now` on. None if nobody has.
    #[must_use]
    pub fn issue(&self, tokens: &Tokens, id: &str, now: Timestamp) -> Option<String> {
        let (_, hash) = tokens.known(id)?;
        let until = now.as_micros().saturating_add(micros(LIFETIME));
        Some(format!(
            "{id}.{until}.{}",
            hex(&self.seal(id, until, &hash).finalize().into_bytes())
        ))
    }

    /// Whose sign-in this is; none if it is nobody's, or not any more.
    #[must_use]
    pub fn check(&self, tokens: &Tokens, text: &str, now: Timestamp) -> Option<Principal> {
        let mut parts = text.split('.');
        let (id, until, seal) = (parts.next()?, parts.next()?, parts.next()?);
        let until: i64 = until.parse().ok()?;
        let (principal, hash) = tokens.known(id)?;
        // In constant time.
        self.seal(id, until, &hash).verify_slice(&unhex(seal)?).ok()?;
        (parts.next().is_none() && now.as_micros() < until).then_some(principal)
    }

    fn seal(&self, id: &str, until: i64, hash: &[u8; 32]) -> Hmac<Sha256> {
        let mut seal = Hmac::<Sha256>::new(&self.key.into());
        // Of fixed lengths but for the id, which is last.
        seal.update(&until.to_be_bytes());
        seal.update(hash);
        seal.update(id.as_bytes());
        seal
    }
}

/// What a request says about the page that it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// One of ours, as far as the browser tells.
    OwnPage,
    /// None of ours, or it does not say where it would have to.
    Other,
}

impl Sender {
    /// Of a request whose `Origin`, if it has one, is known to be ours.
    ///
    /// Browsers say it in `Sec-Fetch-Site`, but not to hosts that are reached by plain HTTP over a network. There a request that changes
    /// something must have an `Origin`; one that does not can be sent by others, too, who cannot read the answer.
    #[must_use]
    pub fn of(method: &Method, headers: &HeaderMap) -> Self {
        let ours = match headers.get(FETCH_SITE) {
            Some(site) => site == "same-origin",
            None => matches!(*method, Method::GET | Method::HEAD) || headers.contains_key(header::ORIGIN),
        };
        if ours { Self::OwnPage } else { Self::Other }
    }
}

/// Name of the cookie. Browsers keep one set of cookies for all ports of a host.
fn cookie_name(host: &str) -> String {
    match host.rsplit_once(':') {
        Some((_, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => format!("tunesmith-{port}"),
        _ => "tunesmith".to_owned(),
    }
}

/// The sign-in that a request to `host` comes with.
#[must_use]
pub fn cookie<'a>(headers: &'a HeaderMap, host: &str) -> Option<&'a str> {
    let wanted = cookie_name(host);
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|cookies| cookies.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find(|(name, _)| *name == wanted)
        .map(|(_, value)| value)
}

/// The header that has a browser keep a sign-in, or forget it if there is none.
#[must_use]
pub fn set_cookie(headers: &HeaderMap, host: &str, sign_in: Option<&str>) -> String {
    // The coordinator itself speaks no TLS; a proxy before it may.
    let secure = headers
        .get(header::ORIGIN)
        .is_some_and(|origin| origin.as_bytes().starts_with(b"https://"));
    format!(
        "{}={}; Path=/; Max-Age={}; HttpOnly; SameSite=Strict{}",
        cookie_name(host),
        sign_in.unwrap_or_default(),
        if sign_in.is_some() { LIFETIME.as_secs() } else { 0 },
        if secure { "; Secure" } else { "" }
    )
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits
        .len()
        .is_multiple_of(2)
        .then(|| digits.chunks(2).map(byte).collect())?
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::HeaderValue;
    use tunesmith_common::clock::SystemClock;

    use super::*;
    use crate::store::{MemoryStore, TokenKind};

    fn later(now: Timestamp, by: Duration) -> Timestamp {
        Timestamp::from_micros(now.as_micros() + micros(by))
    }

    #[tokio::test]
    async fn a_sign_in_is_good_for_its_token_until_its_time_is_up_and_for_no_other_key() {
        let folder = tempfile::tempdir().unwrap();
        let browsers = Browsers::open(folder.path()).unwrap();
        let tokens = Tokens::load(Arc::new(MemoryStore::default()), Arc::new(SystemClock))
            .await
            .unwrap();
        let (ann, _) = tokens.create(TokenKind::User, "ann").await.unwrap();
        let (bob, _) = tokens.create(TokenKind::User, "bob").await.unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let text = browsers.issue(&tokens, &ann.id, now).unwrap();
        let label = |browsers: &Browsers, text: &str, now| {
            browsers
                .check(&tokens, text, now)
                .map(|who| who.label.to_string())
        };
        assert_eq!(label(&browsers, &text, now).as_deref(), Some("ann"));
        // The next start of the coordinator knows it.
        let again = Browsers::open(folder.path()).unwrap();
        let last = later(now, LIFETIME - Duration::from_micros(1));
        assert_eq!(label(&again, &text, last).as_deref(), Some("ann"));
        assert_eq!(label(&again, &text, later(now, LIFETIME)), None, "its time is up");
        let other = Browsers::open(tempfile::tempdir().unwrap().path()).unwrap();
        assert_eq!(label(&other, &text, now), None, "another coordinator's");
        let (_, rest) = text.split_once('.').unwrap();
        let (until, seal) = rest.split_once('.').unwrap();
        for forged in [
            format!("{}.{rest}", bob.id),
            format!("{}.{}1.{seal}", ann.id, until),
            format!("{}.{until}.{}", ann.id, "0".repeat(64)),
            format!("{}.{until}.{}", ann.id, &seal[..2]),
            format!("{}.{until}.", ann.id),
            format!("{text}.1"),
            String::new(),
            "..".to_owned(),
        ] {
            assert_eq!(label(&browsers, &forged, now), None, "{forged}");
        }
        tokens.revoke(&ann.id).await.unwrap();
        assert_eq!(label(&browsers, &text, now), None, "the token was revoked");
    }

    #[test]
    fn a_cookie_is_that_of_the_port_and_no_script_may_read_it() {
        let headers = HeaderMap::from_iter([(
            header::COOKIE,
            HeaderValue::from_static("tunesmith-1=a; other=b; tunesmith-7700=c.d"),
        )]);
        assert_eq!(cookie(&headers, "localhost:7700"), Some("c.d"));
        assert_eq!(cookie(&headers, "[::1]:7700"), Some("c.d"));
        assert_eq!(cookie(&headers, "tune.example.org"), None);
        let set = set_cookie(&headers, "localhost:7700", Some("x"));
        assert_eq!(
            set,
            "tunesmith-7700=x; Path=/; Max-Age=2592000; HttpOnly; SameSite=Strict"
        );
        let behind_tls = HeaderMap::from_iter([(
            header::ORIGIN,
            HeaderValue::from_static("https://tune.example.org"),
        )]);
        assert_eq!(
            set_cookie(&behind_tls, "tune.example.org", None),
            "tunesmith=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict; Secure"
        );
    }

    #[test]
    fn only_our_own_pages_may_use_a_cookie() {
        let with = |pairs: &[(&'static str, &'static str)]| {
            pairs
                .iter()
                .map(|(name, value)| {
                    (
                        header::HeaderName::from_static(name),
                        HeaderValue::from_static(value),
                    )
                })
                .collect::<HeaderMap>()
        };
        let origin = ("origin", "http://localhost:7700");
        assert_eq!(
            Sender::of(&Method::POST, &with(&[(FETCH_SITE, "same-origin"), origin])),
            Sender::OwnPage
        );
        for site in ["cross-site", "same-site", "none"] {
            assert_eq!(
                Sender::of(&Method::GET, &with(&[(FETCH_SITE, site)])),
                Sender::Other,
                "{site}"
            );
        }
        // By plain HTTP over a network.
        assert_eq!(Sender::of(&Method::GET, &with(&[])), Sender::OwnPage);
        assert_eq!(Sender::of(&Method::DELETE, &with(&[origin])), Sender::OwnPage);
        assert_eq!(Sender::of(&Method::DELETE, &with(&[])), Sender::Other);
    }
}
