//! The database's address, which may hold a password.

use std::convert::Infallible;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

use super::ConfigError;

/// Address of the database. Shown without its password.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct StoreUrl(String);

impl StoreUrl {
    /// An address as given.
    #[must_use]
    pub fn new(url: String) -> Self {
        Self(url)
    }

    /// Reads the address from a file.
    ///
    /// # Errors
    /// If the file cannot be read or is empty.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let url = text.trim();
        if url.is_empty() || url.contains('\n') {
            let message = format!("{} must hold one line, the database's address", path.display());
            return Err(ConfigError::Value {
                field: "store-file",
                message,
            });
        }
        Ok(Self(url.to_owned()))
    }

    /// The address with its password, to connect.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The same address without its password.
    #[must_use]
    pub fn redacted(&self) -> Self {
        Self(self.to_string())
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.0.split_once("://") else {
            return f.write_str(if self.0.starts_with("sqlite:") {
                &self.0
            } else {
                "(not shown: it is no address)"
            });
        };
        // The last @ before the first slash ends user and password; parameters may hold a password, too.
        let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        match authority.rsplit_once('@') {
            Some((user, host)) => {
                let user = user.split_once(':').map_or(user, |(user, _)| user);
                write!(f, "{scheme}://{user}:***@{host}{path}")
            }
            None => write!(f, "{scheme}://{authority}{path}"),
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({self})")
    }
}

impl Serialize for StoreUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl From<String> for StoreUrl {
    fn from(url: String) -> Self {
        Self(url)
    }
}

impl FromStr for StoreUrl {
    type Err = Infallible;

    fn from_str(url: &str) -> Result<Self, Infallible> {
        Ok(Self(url.to_owned()))
    }
}
