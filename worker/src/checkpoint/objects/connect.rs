//! From a bucket's address to what sends requests to it, and how long those may take.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

use crate::checkpoint::location::{AZURE_IDENTITY, Bucket, Kind};

/// How long requests may take. One that fails may have taken `request` beyond `retry`.
#[derive(Clone, Debug)]
pub(in crate::checkpoint) struct Patience {
    /// For a connection.
    pub(in crate::checkpoint) connect: Duration,
    /// For one try of a request, with all that it carries.
    pub(in crate::checkpoint) request: Duration,
    /// From the first try until there is no other.
    pub(in crate::checkpoint) retry: Duration,
    /// How often it is tried again.
    pub(in crate::checkpoint) retries: usize,
}

impl Default for Patience {
    /// A part of a file takes seconds on any line over which checkpoints are worth being sent; a store that restarts is back within a minute.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            request: Duration::from_secs(60),
            retry: Duration::from_secs(60),
            retries: 8,
        }
    }
}

/// Makes the client of a bucket. Sends nothing.
pub(super) fn connect(bucket: &Bucket, patience: &Patience) -> object_store::Result<Arc<dyn ObjectStore>> {
    // Whoever was first has installed the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let retry = RetryConfig {
        backoff: BackoffConfig {
            max_backoff: Duration::from_secs(10),
            ..BackoffConfig::default()
        },
        max_retries: patience.retries,
        retry_timeout: patience.retry,
    };
    let options = ClientOptions::new()
        .with_connect_timeout(patience.connect)
        .with_timeout(patience.request);
    Ok(match bucket.kind {
        Kind::S3 => {
            let builder = AmazonS3Builder::new()
                .with_client_options(options)
                .with_retry(retry);
            let builder = given(bucket, builder, AmazonS3Builder::with_config);
            Arc::new(builder.with_bucket_name(&bucket.bucket).build()?)
        }
        Kind::Google => {
            let builder = GoogleCloudStorageBuilder::new()
                .with_client_options(options)
                .with_retry(retry);
            let builder = given(bucket, builder, GoogleCloudStorageBuilder::with_config);
            Arc::new(builder.with_bucket_name(&bucket.bucket).build()?)
        }
        Kind::Azure => {
            let mut builder = MicrosoftAzureBuilder::new()
                .with_client_options(options)
                .with_retry(retry);
            builder = given(bucket, builder, MicrosoftAzureBuilder::with_config);
            let identity = bucket.access.0.iter().find(|(name, _)| name == AZURE_IDENTITY);
            if let Some((_, endpoint)) = identity {
                builder = builder.with_msi_endpoint(endpoint);
            }
            Arc::new(builder.with_container_name(&bucket.bucket).build()?)
        }
    })
}

/// Sets what the variables of this kind of store say. Those that mean nothing to it are somebody else's.
fn given<B, K: FromStr>(bucket: &Bucket, builder: B, set: impl Fn(B, K, String) -> B) -> B {
    let variables = bucket.access.0.iter();
    let variables = variables.filter(|(name, _)| name.starts_with(bucket.kind.variables()));
    variables.fold(builder, |builder, (name, value)| {
        match name.to_ascii_lowercase().parse() {
            Ok(key) => set(builder, key, value.clone()),
            Err(_) => builder,
        }
    })
}
