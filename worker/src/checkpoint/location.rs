//! Where a place of checkpoints is, as people write it: a folder, or `s3://BUCKET/PREFIX` and the like.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where a place of checkpoints is.
#[derive(Clone, Debug)]
pub enum Location {
    /// A folder.
    Folder(PathBuf),
    /// A bucket of an object store.
    Bucket(Bucket),
}

/// A kind of object store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Amazon's, and whatever speaks the same protocol.
    S3,
    /// Google Cloud Storage.
    Google,
    /// Azure's blobs.
    Azure,
}

/// A bucket, or what lies below a prefix in it.
#[derive(Clone, Debug)]
pub struct Bucket {
    pub(super) kind: Kind,
    pub(super) bucket: String,
    /// Without `/` at its ends; may be empty.
    pub(super) prefix: String,
    pub(super) access: Access,
}

/// Variables that say how object stores are reached and as whom. Never shown.
#[derive(Clone, Default)]
pub struct Access(pub(super) Vec<(String, String)>);

impl Access {
    /// Takes what object stores go by out of an environment.
    pub fn of(variables: impl Iterator<Item = (String, String)>) -> Self {
        let known = |name: &str| {
            let prefixed = [Kind::S3, Kind::Google, Kind::Azure].map(Kind::variables);
            prefixed.iter().any(|prefix| name.starts_with(prefix)) || name == AZURE_IDENTITY
        };
        Self(variables.filter(|(name, _)| known(name)).collect())
    }
}

/// Tells where a machine of Azure gets its identity; without the prefix of all others.
pub(super) const AZURE_IDENTITY: &str = "IDENTITY_ENDPOINT";

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").finish_non_exhaustive()
    }
}

impl Kind {
    /// What the variables begin with that say how it is reached.
    pub(super) fn variables(self) -> &'static str {
        match self {
            Self::S3 => "AWS_",
            Self::Google => "GOOGLE_",
            Self::Azure => "AZURE_",
        }
    }

    pub(super) fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Google => "gs",
            Self::Azure => "az",
        }
    }
}

impl Location {
    /// Understands a folder's path or a URL. `access` is kept for a bucket.
    ///
    /// # Errors
    /// What is wrong with it, for people, without what it may hold of secrets.
    pub fn parse(given: &Path, access: Access) -> Result<Self, String> {
        let folder = |path: &Path| {
            let absolute = std::path::absolute(path);
            absolute
                .map(Self::Folder)
                .map_err(|error| format!("{}: {error}", path.display()))
        };
        let Some((scheme, rest)) = given.to_str().and_then(|text| text.split_once("://")) else {
            return folder(given);
        };
        let kind = match scheme {
            "file" if rest.starts_with('/') => return folder(Path::new(rest)),
            "file" => {
                return Err(format!(
                    "file://{rest} names another machine; write file:///FOLDER, or the folder alone"
                ));
            }
            "s3" => Kind::S3,
            "gs" => Kind::Google,
            "az" => Kind::Azure,
            _ => {
                return Err(format!(
                    "{scheme}:// is no kind of place; give a folder, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or file:///FOLDER"
                ));
            }
        };
        let wrong = |why: &str| {
            Err(format!(
                "the {scheme}:// address {why}; write {scheme}://BUCKET/PREFIX"
            ))
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.contains(['@', ':']) {
            // Not shown: it may be a password.
            return wrong(&format!(
                "has more than a bucket before its first /: credentials and endpoints are given in variables ({}...)",
                kind.variables()
            ));
        }
        if bucket.is_empty()
            || !bucket
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        {
            return wrong(&format!("names no bucket ({bucket:?})"));
        }
        let prefix = prefix.trim_matches('/');
        if prefix.contains(['?', '#', '%', '\\']) || prefix.chars().any(char::is_control) {
            return wrong(
                "has a character in its prefix that no prefix may have: ? # % \\ or a control character",
            );
        }
        if !prefix.is_empty() && prefix.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return wrong(&format!("has an empty part, . or .. in its prefix {prefix:?}"));
        }
        Ok(Self::Bucket(Bucket {
            kind,
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            access,
        }))
    }
}

impl Bucket {
    /// Its address, or that of something in it.
    pub(super) fn url(&self, name: &str) -> String {
        let parts = [self.bucket.as_str(), self.prefix.as_str(), name];
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        format!("{}://{}", self.kind.scheme(), parts.collect::<Vec<_>>().join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, String> {
        Location::parse(Path::new(text), Access::default()).map(|location| match location {
            Location::Folder(path) => path.display().to_string(),
            Location::Bucket(bucket) => bucket.url("x"),
        })
    }

    #[test]
    fn a_place_is_a_folder_or_a_bucket_with_a_prefix() {
        for (given, meant) in [
            ("/mnt/kept", "/mnt/kept"),
            ("file:///mnt/kept", "/mnt/kept"),
            ("s3://bucket", "s3://bucket/x"),
            ("s3://bucket/", "s3://bucket/x"),
            ("s3://bucket/team a/runs/", "s3://bucket/team a/runs/x"),
            ("gs://my_bucket.eu/p", "gs://my_bucket.eu/p/x"),
            ("az://container/p/q", "az://container/p/q/x"),
        ] {
            assert_eq!(parse(given).unwrap(), meant, "{given}");
        }
        assert!(
            parse("kept").unwrap().starts_with('/'),
            "from where the worker was started"
        );
    }

    #[test]
    fn what_is_no_place_is_refused_with_what_to_write_and_without_secrets() {
        for (given, said) in [
            (
                "ftp://host/x",
                "ftp:// is no kind of place; give a folder, s3://BUCKET/PREFIX",
            ),
            ("file://host/x", "write file:///FOLDER"),
            ("s3://", "names no bucket"),
            ("s3:///x", "names no bucket"),
            ("s3://bu cket/x", "names no bucket"),
            ("s3://b/x/../y", "has an empty part, . or .. in its prefix"),
            ("s3://b/x//y", "has an empty part, . or .. in its prefix"),
            ("gs://b/x?y=1", "has a character in its prefix"),
            ("s3://key:hidden@bucket/x", "are given in variables (AWS_...)"),
        ] {
            let error = parse(given).unwrap_err();
            assert!(
                error.contains(said) && !error.contains("hidden"),
                "{given}: {error}"
            );
        }
    }

    #[test]
    fn only_what_object_stores_go_by_is_taken_and_it_is_never_shown() {
        let variables = [
            "AWS_SECRET_ACCESS_KEY",
            "GOOGLE_X",
            "AZURE_X",
            "IDENTITY_ENDPOINT",
            "TUNESMITH_TOKEN",
            "PATH",
        ];
        let access = Access::of(
            variables
                .map(|name| (name.to_owned(), "hidden".to_owned()))
                .into_iter(),
        );
        assert_eq!(access.0.len(), 4);
        let location = Location::parse(Path::new("s3://b/p"), access).unwrap();
        assert!(!format!("{location:?}").contains("hidden"));
    }
}
