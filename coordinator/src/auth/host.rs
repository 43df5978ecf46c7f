//! Which names the coordinator answers to over plain HTTP.
//!
//! A page from elsewhere can point a name of its own at this machine and let a browser call us (DNS rebinding): the browser then
//! says that name in `Host`. Addresses cannot be rebound, names can.

use std::net::{IpAddr, SocketAddr};

/// Names the coordinator answers to.
#[derive(Clone, Debug, Default)]
pub struct HostPolicy {
    allowed: Vec<String>,
}

impl HostPolicy {
    /// Besides loopback and the address that was called, these names, without ports.
    #[must_use]
    pub fn new(allowed: &[String]) -> Self {
        Self {
            allowed: allowed.iter().map(|host| host.to_ascii_lowercase()).collect(),
        }
    }

    /// Whether `host` (with or without port) names us. `local` is the address that was called.
    #[must_use]
    pub fn allows(&self, host: &str, local: Option<SocketAddr>) -> bool {
        let Some(name) = without_port(host) else {
            return false;
        };
        let name = name.to_ascii_lowercase();
        if let Ok(address) = name
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>()
        {
            return address.is_loopback()
                || local.is_some_and(|local| local.ip().to_canonical() == address)
                || self.allowed.contains(&name);
        }
        name == "localhost" || self.allowed.contains(&name)
    }
}

/// Whether a page of `origin` is one of ours: same host and port.
#[must_use]
pub(crate) fn same_origin(origin: &str, host: &str) -> bool {
    let rest = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"));
    rest.is_some_and(|rest| rest.eq_ignore_ascii_case(host))
}

fn without_port(host: &str) -> Option<&str> {
    if host.starts_with('[') {
        let end = host.find(']')?;
        let rest = &host[end + 1..];
        return (rest.is_empty() || is_port(rest)).then(|| &host[..=end]);
    }
    match host.find(':') {
        None => Some(host),
        Some(colon) => is_port(&host[colon..]).then(|| &host[..colon]),
    }
}

fn is_port(text: &str) -> bool {
    text.strip_prefix(':')
        .is_some_and(|digits| digits.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_answered_to() {
        let policy = HostPolicy::new(&["Tune.example.org".to_owned()]);
        let local = Some("10.1.2.3:7700".parse().unwrap());
        for host in [
            "localhost:7700",
            "127.0.0.1",
            "[::1]:7700",
            "10.1.2.3:7700",
            "tune.example.org",
            "LOCALHOST",
        ] {
            assert!(policy.allows(host, local), "{host}");
        }
        for host in [
            "evil.test",
            "evil.test:7700",
            "10.1.2.4",
            "localhost.evil.test",
            "localhost:x",
            "",
            "[::1",
            "a@localhost",
        ] {
            assert!(!policy.allows(host, local), "{host}");
        }
    }

    #[test]
    fn an_origin_must_be_the_host() {
        assert!(same_origin("http://localhost:7700", "localhost:7700"));
        for origin in [
            "http://localhost:7701",
            "null",
            "https://evil.test",
            "localhost:7700",
        ] {
            assert!(!same_origin(origin, "localhost:7700"), "{origin}");
        }
    }
}
