//! A place of checkpoints in a bucket of an object store.
//!
//! Names are as in a folder. A file is one object, large ones uploaded in parts; an object is there whole or not at all. All calls block their thread, and
//! none waits longer than the patience of [`connect`] for one request, however often it is tried: an object store that is away must not hold up a
//! worker. What bytes there are between: a few parts of a few files.

mod connect;
mod transfer;
mod words;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path as Name;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::error::CheckpointError;
use super::files::Entry;
use super::location::Bucket;
use super::place::{Backend, Fetched, is_manifest};
use connect::Patience;

/// Longest name of an object that all stores take, in bytes.
const LONGEST_NAME: usize = 1024;

/// A bucket, or what lies below a prefix in it.
pub(super) struct Objects {
    bucket: Bucket,
    store: Arc<dyn ObjectStore>,
    engine: Engine,
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its client holds secrets.
        f.debug_struct("Objects")
            .field("bucket", &self.bucket)
            .finish_non_exhaustive()
    }
}

/// What carries out requests while the thread that asked for them reads, hashes or writes. Of its own, so that encrypting many bytes does not hold up the
/// daemon's thread.
#[derive(Debug)]
struct Engine(Option<Runtime>);

impl Engine {
    fn start() -> Result<Self, CheckpointError> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder
            .worker_threads(1)
            .thread_name("objects")
            .enable_all()
            .build();
        runtime
            .map(|runtime| Self(Some(runtime)))
            .map_err(CheckpointError::io(
                "start a thread for",
                Path::new("the object store"),
            ))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Also where nothing may wait.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Objects {
    pub(super) fn open(bucket: &Bucket) -> Result<Self, CheckpointError> {
        Self::open_with(bucket, &Patience::default())
    }

    pub(super) fn open_with(bucket: &Bucket, patience: &Patience) -> Result<Self, CheckpointError> {
        let store = connect::connect(bucket, patience);
        let store = store.map_err(|error| words::failed("use", bucket, "", &error))?;
        Self::on(bucket.clone(), store)
    }

    pub(super) fn on(bucket: Bucket, store: Arc<dyn ObjectStore>) -> Result<Self, CheckpointError> {
        Ok(Self {
            bucket,
            store,
            engine: Engine::start()?,
        })
    }

    fn runtime(&self) -> &Runtime {
        self.engine.0.as_ref().expect("it is there until it is dropped")
    }

    /// Carries out requests and waits for their end.
    fn wait<T>(
        &self,
        action: &'static str,
        name: &str,
        requests: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, CheckpointError> {
        self.runtime()
            .block_on(requests)
            .map_err(|error| words::failed(action, &self.bucket, name, &error))
    }

    /// The same, unless nobody waits for it any more.
    fn wait_unless<T>(
        &self,
        given_up: &CancellationToken,
        action: &'static str,
        name: &str,
        requests: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, CheckpointError> {
        let done = self.runtime().block_on(given_up.run_until_cancelled(requests));
        let done = done.ok_or_else(|| CheckpointError::GivenUp(self.bucket.url(name)))?;
        done.map_err(|error| words::failed(action, &self.bucket, name, &error))
    }

    /// The object of that name.
    fn object(&self, name: &str) -> Name {
        let full = [self.bucket.prefix.as_str(), name];
        let full = full.into_iter().filter(|part| !part.is_empty());
        let full = full.collect::<Vec<_>>().join("/");
        // Names are made of checked parts: see `location` for the prefix, `transfer` for what programs named. What were none is escaped: it must never
        // stand for the whole bucket.
        Name::parse(&full).unwrap_or_else(|_| Name::from(full))
    }

    /// The name of an object, without the prefix of the place.
    fn name(&self, object: &Name) -> Option<String> {
        let below = object.as_ref().strip_prefix(&self.bucket.prefix)?;
        Some(below.trim_start_matches('/').to_owned())
    }

    /// All objects below a name.
    fn list(&self, name: &str) -> stream::BoxStream<'static, object_store::Result<ObjectMeta>> {
        let below = self.object(name);
        self.store
            .list(Some(&below).filter(|below| !below.as_ref().is_empty()))
    }

    /// Names of all there is.
    #[cfg(test)]
    pub(super) fn names(&self) -> Vec<String> {
        let all = self.list("").try_collect::<Vec<_>>();
        let all = self.wait("list", "", all).expect("a list");
        let names = all.iter().filter_map(|object| self.name(&object.location));
        names.collect()
    }

    /// Removes objects, of which any may be gone.
    async fn remove(&self, objects: Vec<Name>) -> object_store::Result<()> {
        let objects = stream::iter(objects.into_iter().map(Ok)).boxed();
        let mut removed = self.store.delete_stream(objects);
        while let Some(removed) = removed.next().await {
            match removed {
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Backend for Objects {
    fn address(&self, name: &str) -> String {
        self.bucket.url(name)
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, CheckpointError> {
        let object = self.object(name);
        self.wait("read", name, async {
            match self.store.get(&object).await {
                Ok(found) => Ok(Some(found.bytes().await?.to_vec())),
                Err(Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    fn create(&self, name: &str, content: &[u8]) -> Result<(), CheckpointError> {
        let object = self.object(name);
        let content = PutPayload::from(content.to_vec());
        self.wait("write", name, async {
            match self
                .store
                .put_opts(&object, content, PutMode::Create.into())
                .await
            {
                Ok(_) | Err(Error::AlreadyExists { .. }) => Ok(()),
                Err(error) => Err(error),
            }
        })
    }

    fn put(&self, name: &str, content: &[u8]) -> Result<(), CheckpointError> {
        let object = self.object(name);
        let content = PutPayload::from(content.to_vec());
        self.wait("write", name, async {
            self.store.put(&object, content).await.map(drop)
        })
    }

    fn make_sure_of_room(&self, _bytes: u64) -> Result<(), CheckpointError> {
        Ok(()) // nobody knows of an end of it
    }

    fn used(&self) -> Result<u64, CheckpointError> {
        let (mut sizes, mut whole) = (HashMap::<String, u64>::new(), HashSet::new());
        self.wait("list", "", async {
            let mut objects = self.list("");
            while let Some(object) = objects.try_next().await? {
                let Some(name) = self.name(&object.location) else {
                    continue;
                };
                if is_manifest(&name) {
                    whole.insert(name.trim_end_matches(".json").to_owned());
                } else if let Some((end, _)) = name.match_indices('/').nth(2) {
                    *sizes.entry(name[..end].to_owned()).or_default() += object.size;
                }
            }
            Ok(())
        })?;
        let sizes = sizes.into_iter().filter(|(folder, _)| whole.contains(folder));
        Ok(sizes.map(|(_, size)| size).sum())
    }

    fn store(&self, name: &str, from: &Path, files: &[Entry]) -> Result<String, CheckpointError> {
        self.upload(name, from, files)
    }

    fn fetch(
        &self,
        name: &str,
        manifest: &str,
        into: &Path,
        given_up: &CancellationToken,
    ) -> Result<Option<Fetched>, CheckpointError> {
        self.download(name, manifest, into, given_up)
    }

    fn remove_file(&self, name: &str) -> Result<(), CheckpointError> {
        self.wait("remove", name, self.remove(vec![self.object(name)]))
    }

    fn remove_below(&self, name: &str) -> Result<(), CheckpointError> {
        self.wait("remove", name, async {
            let objects = self.list(name).map_ok(|object| object.location);
            let objects = objects.try_collect::<Vec<_>>().await?;
            let (manifests, others) = objects
                .into_iter()
                .partition(|object| self.name(object).is_some_and(|name| is_manifest(&name)));
            self.remove(manifests).await?;
            self.remove(others).await
        })
    }
}

#[cfg(test)]
#[path = "../objects_tests.rs"]
mod tests;
