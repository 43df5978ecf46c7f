//! The worker's token: read where it is needed, shown nowhere.

use std::fmt;
use std::path::PathBuf;

use super::ConfigError;

/// A secret that shows nothing of itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token with this text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret text, for the one header that carries it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Where the token comes from. A file is read again at each connection, so that a token can be replaced while trials run.
#[derive(Debug, Clone)]
pub enum TokenSource {
    /// Given once, by the environment.
    Given(Token),
    /// The content of this file, without surrounding white space.
    File(PathBuf),
}

impl TokenSource {
    /// The token as it is now.
    ///
    /// # Errors
    /// If the file cannot be read or holds no token.
    pub fn read(&self) -> Result<Token, ConfigError> {
        match self {
            Self::Given(token) => Ok(token.clone()),
            Self::File(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    ConfigError::value("token-file", format!("cannot read {}: {error}", path.display()))
                })?;
                let text = text.trim();
                if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                    let message = format!("{} must hold a token and nothing else", path.display());
                    return Err(ConfigError::value("token-file", message));
                }
                Ok(Token::new(text))
            }
        }
    }
}
