//! Where the coordinator is, with which token to call it, and where local data lies.
//!
//! Flags win over `TUNESMITH_` variables, these over defaults. The only code of this crate that reads the environment, apart from
//! clap, which reads the variables that stand in `--help`.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::args::GlobalArgs;
use crate::error::CliError;

/// Where the coordinator listens unless told otherwise.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:7700";
/// Name of the file with the user token in the coordinator's data folder.
pub const ADMIN_TOKEN_FILE: &str = "admin.token";
/// Name of the file with the workers' token in the coordinator's data folder.
pub const WORKER_TOKEN_FILE: &str = "worker.token";

/// A bearer token. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A token as it stands in a file or a variable; surrounding white space is no part of it.
    ///
    /// # Errors
    /// If it cannot be sent in a header: it is empty or not plain printable ASCII.
    pub fn parse(text: &str, origin: &str) -> Result<Self, CliError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(CliError::usage(
                format!("{origin} is empty"),
                "it must hold a token",
            ));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(CliError::usage(
                format!("{origin} does not hold a token"),
                "a token is one line of letters, digits and punctuation",
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The token itself, for the header.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What the environment says, read once.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `TUNESMITH_TOKEN`.
    pub token: Option<String>,
    /// `XDG_DATA_HOME`.
    pub xdg_data_home: Option<PathBuf>,
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `NO_COLOR`, if not empty.
    pub no_color: bool,
    /// `PATH`.
    pub path: Option<OsString>,
}

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let filled = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            token: filled("TUNESMITH_TOKEN").map(|token| token.to_string_lossy().into_owned()),
            xdg_data_home: filled("XDG_DATA_HOME").map(PathBuf::from),
            home: filled("HOME").map(PathBuf::from),
            no_color: filled("NO_COLOR").is_some(),
            path: filled("PATH"),
        }
    }

    /// Folder for local data, following the XDG base directory specification (relative paths do not count).
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        match (&self.xdg_data_home, &self.home) {
            (Some(data), _) if data.is_absolute() => data.join("tunesmith"),
            (_, Some(home)) => home.join(".local/share/tunesmith"),
            (_, None) => PathBuf::from("tunesmith-data"),
        }
    }
}

/// Where the token came from, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenOrigin {
    /// This file, named by the user.
    File(PathBuf),
    /// The variable `TUNESMITH_TOKEN`.
    Variable,
    /// The file in the data folder.
    DataDir(PathBuf),
    /// Nowhere: the file in the data folder could not be read, for this reason.
    Missing(PathBuf, String),
}

impl fmt::Display for TokenOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) | Self::DataDir(path) => write!(f, "{}", path.display()),
            Self::Variable => f.write_str("TUNESMITH_TOKEN"),
            Self::Missing(path, reason) => write!(f, "{}: {reason}", path.display()),
        }
    }
}

/// What all commands share.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `http://HOST:PORT` of the coordinator.
    pub url: String,
    /// The token, if there is one.
    pub token: Option<Secret>,
    /// Where it came from.
    pub token_origin: TokenOrigin,
}

impl Settings {
    /// Puts flags, variables and defaults together and reads the token's file.
    ///
    /// # Errors
    /// If the URL is malformed, or a token file that the user named cannot be read.
    pub fn load(args: &GlobalArgs, environment: &Environment) -> Result<Self, CliError> {
        let url = match &args.coordinator {
            Some(url) => check_url(url)?,
            None => format!("http://{DEFAULT_LISTEN}"),
        };
        let (token, token_origin) = if let Some(path) = &args.token_file {
            (Some(read_token(path)?), TokenOrigin::File(path.clone()))
        } else if let Some(token) = &environment.token {
            (
                Some(Secret::parse(token, "TUNESMITH_TOKEN")?),
                TokenOrigin::Variable,
            )
        } else {
            let path = environment.data_dir().join(ADMIN_TOKEN_FILE);
            match std::fs::read_to_string(&path) {
                Ok(text) => (
                    Some(Secret::parse(&text, &path.display().to_string())?),
                    TokenOrigin::DataDir(path),
                ),
                // A coordinator elsewhere may still answer what needs no token, and says so itself if it does not.
                Err(error) => (None, TokenOrigin::Missing(path, crate::error::io_reason(&error))),
            }
        };
        Ok(Self {
            url,
            token,
            token_origin,
        })
    }
}

/// Reads a token from a file.
///
/// # Errors
/// If the file cannot be read or holds no token.
pub fn read_token(path: &Path) -> Result<Secret, CliError> {
    let text =
        std::fs::read_to_string(path).map_err(|error| CliError::file("read the token file", path, &error))?;
    Secret::parse(&text, &path.display().to_string())
}

/// Checks `http://HOST:PORT`; a missing scheme is added, since people write `gpu1:7700`.
fn check_url(url: &str) -> Result<String, CliError> {
    let wrong = |why: &str| {
        CliError::usage(
            format!("{url:?} is no coordinator URL: {why}"),
            "write it like http://gpu1.example.org:7700",
        )
    };
    let text = url.trim().trim_end_matches('/');
    if text.starts_with("https://") {
        return Err(wrong("this build does not speak TLS"));
    }
    let text = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let uri: tonic::transport::Uri = text.parse().map_err(|_| wrong("it is malformed"))?;
    if uri.scheme_str() != Some("http") {
        return Err(wrong("its scheme is not http"));
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err(wrong("it names no host"));
    }
    if uri.path() != "/" && !uri.path().is_empty() || uri.query().is_some() {
        return Err(wrong("nothing may follow the port"));
    }
    if uri.port().is_none() {
        return Err(wrong("it names no port"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> GlobalArgs {
        GlobalArgs {
            coordinator: None,
            token_file: None,
            output: crate::args::OutputFormat::Table,
        }
    }

    #[test]
    fn urls_are_checked_and_a_scheme_may_be_left_out() {
        assert_eq!(check_url("gpu1:7700").unwrap(), "http://gpu1:7700");
        assert_eq!(
            check_url("http://127.0.0.1:7700/").unwrap(),
            "http://127.0.0.1:7700"
        );
        assert_eq!(check_url("http://[::1]:7700").unwrap(), "http://[::1]:7700");
        for bad in [
            "https://gpu1:7700",
            "http://gpu1",
            "ftp://gpu1:1",
            "http://",
            "http://gpu1:7700/api",
            "",
            "http://a b:1",
        ] {
            assert_eq!(
                check_url(bad).unwrap_err().exit_code(),
                crate::error::EXIT_USAGE,
                "{bad:?}"
            );
        }
    }

    #[test]
    fn a_named_token_file_wins_over_the_variable_and_that_over_the_data_folder() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("tunesmith");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join(ADMIN_TOKEN_FILE), "from-data\n").unwrap();
        let named = folder.path().join("named");
        std::fs::write(&named, "from-file\n").unwrap();
        let environment = Environment {
            token: Some("from-variable".to_owned()),
            xdg_data_home: Some(folder.path().to_owned()),
            ..Environment::default()
        };

        let expect = |args: &GlobalArgs, environment: &Environment, token: &str| {
            let settings = Settings::load(args, environment).unwrap();
            assert_eq!(settings.token.unwrap().expose(), token);
        };
        expect(
            &GlobalArgs {
                token_file: Some(named),
                ..args()
            },
            &environment,
            "from-file",
        );
        expect(&args(), &environment, "from-variable");
        expect(
            &args(),
            &Environment {
                token: None,
                ..environment.clone()
            },
            "from-data",
        );

        let nowhere = Environment {
            home: Some(folder.path().join("nobody")),
            ..Environment::default()
        };
        let settings = Settings::load(&args(), &nowhere).unwrap();
        assert!(matches!(settings.token_origin, TokenOrigin::Missing(..)));
    }

    #[test]
    fn a_token_is_never_shown() {
        assert_eq!(format!("{:?}", Secret::parse("abc", "x").unwrap()), "Secret(..)");
        assert!(Secret::parse(" \n", "x").is_err());
        assert!(Secret::parse("two words", "x").is_err());
    }
}
