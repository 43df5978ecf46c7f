//! A bucket in a real server that speaks S3, for checkpoints.

use uuid::Uuid;

/// A part of the tests' bucket that nobody else uses.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// What workers are told.
    pub url: String,
    /// How they reach it.
    pub variables: Vec<(String, String)>,
}

impl Bucket {
    /// A new one in the server of `TUNESMITH_TEST_S3_URL`.
    ///
    /// # Panics
    /// If there is no such server.
    #[must_use]
    pub fn create() -> Self {
        let url = std::env::var("TUNESMITH_TEST_S3_URL")
            .expect("no private S3 server: run the tests by `make e2e`, or set TUNESMITH_TEST_S3_URL");
        let parts = url.strip_prefix("http://").and_then(|rest| {
            let (access, rest) = rest.split_once('@')?;
            Some((access.split_once(':')?, rest.split_once('/')?))
        });
        let ((key, secret), (host, bucket)) = parts.expect("http://KEY:SECRET@HOST/BUCKET");
        let endpoint = format!("http://{host}");
        let variables = [
            ("AWS_ACCESS_KEY_ID", key),
            ("AWS_SECRET_ACCESS_KEY", secret),
            ("AWS_ENDPOINT", &endpoint),
            ("AWS_ALLOW_HTTP", "true"),
        ];
        Self {
            url: format!("s3://{bucket}/{}", Uuid::new_v4()),
            variables: variables
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
        }
    }
}
