//! The bytes of a checkpoint: from a folder to objects, and back.
//!
//! The calling thread reads (or writes) files one after another and hashes them, while requests for the next bytes, or with those before, are under way: the
//! digest costs no second look at them, and no more than [`WINDOW`] of them are in memory.

use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use object_store::path::Path as Name;
use object_store::{Error, MultipartUpload, ObjectStoreExt, PutPayload};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::{LONGEST_NAME, Objects, words};
use crate::attempt::folder::make_dir;
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::files::{Entry, Fingerprint, Reading, in_order, make_sure_of_room_on_disk};
use crate::checkpoint::place::Fetched;

/// Bytes of a request. Stores want 5 MiB at least in each part of a file but the last.
pub(super) const PART: u64 = 8 << 20;
/// Parts that a file may have; stores take 10,000.
const MAX_PARTS: u64 = 9_000;
/// MiB in memory while a checkpoint is uploaded, unless one part takes more.
const WINDOW: u32 = 36;
/// MiB for which a request counts at least: bounds the number of those for small files.
const LEAST: u32 = 2;
/// Requests under way while a checkpoint is downloaded.
const DOWNLOADS: usize = 4;

/// Bytes of a part of a file: more than usual only where there would be too many.
pub(super) fn part_size(length: u64) -> u64 {
    PART.max(length.div_ceil(MAX_PARTS).next_multiple_of(1 << 20))
}

impl Objects {
    /// Uploads files, in place of whatever is below that name. Returns their digest.
    pub(super) fn upload(&self, name: &str, from: &Path, files: &[Entry]) -> Result<String, CheckpointError> {
        let objects = files.iter().map(|file| self.object_of(name, from, file));
        let objects = objects.collect::<Result<Vec<_>, _>>()?;
        // What an earlier try left would be taken for a part of it.
        super::Backend::remove_below(self, name)?;
        let mut upload = Upload {
            objects: self,
            name,
            window: Arc::new(Semaphore::new(WINDOW as usize)),
            requests: JoinSet::new(),
            digest: Fingerprint::default(),
        };
        let sent = upload.all(from, files, &objects);
        if sent.is_err() {
            // None may arrive after the rest was removed.
            self.runtime().block_on(upload.requests.shutdown());
        }
        sent.map(|()| upload.digest.hexadecimal())
    }

    /// The object for a file that a program named.
    fn object_of(&self, below: &str, from: &Path, file: &Entry) -> Result<Name, CheckpointError> {
        let refused = |why: &str| {
            let path = from.join(&file.name);
            CheckpointError::content(
                &path,
                format!("cannot be kept in an object store: its name {why}"),
            )
        };
        let text = file.name.to_str().ok_or_else(|| refused("is not UTF-8"))?;
        let full = format!("{}/{text}", self.object(below));
        let object = Name::parse(&full).map_err(|_| refused("has a control character"))?;
        if object.as_ref().len() > LONGEST_NAME {
            return Err(refused(&format!(
                "is longer than {LONGEST_NAME} bytes with all that stands before it"
            )));
        }
        Ok(object)
    }

    /// Downloads what is below a name, unless there is no manifest of it.
    pub(super) fn download(
        &self,
        name: &str,
        manifest: &str,
        into: &Path,
        given_up: &CancellationToken,
    ) -> Result<Option<Fetched>, CheckpointError> {
        let Some(files) = self.wait_unless(given_up, "list", name, self.find(manifest, name))? else {
            return Ok(None);
        };
        let folder = self.object(name);
        let entry = |(object, length): &(Name, u64)| Entry {
            name: PathBuf::from(
                object
                    .as_ref()
                    .strip_prefix(folder.as_ref())
                    .unwrap_or_default()
                    .trim_start_matches('/'),
            ),
            length: *length,
        };
        let mut files = files.iter().map(entry).collect::<Vec<_>>();
        let plain = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
        if let Some(odd) = files.iter().find(|file| !plain(&file.name)) {
            return Err(CheckpointError::content(
                &odd.name,
                format!("in {} is no file's name", self.bucket.url(name)),
            ));
        }
        in_order(&mut files);
        make_dir(into).map_err(CheckpointError::io("make", into))?;
        make_sure_of_room_on_disk(into, files.iter().map(|file| file.length).sum())?;
        let mut digest = Fingerprint::default();
        let requests = self.requests(name, &files);
        self.runtime().block_on(async {
            // Each was begun when the window had room for it, and they come in the order of their bytes.
            let mut contents = requests.buffered(DOWNLOADS);
            for file in &files {
                let path = into.join(&file.name);
                if let Some(parent) = path.parent() {
                    make_dir(parent).map_err(CheckpointError::io("make", parent))?;
                }
                let mut copy = File::create_new(&path).map_err(CheckpointError::io("write", &path))?;
                digest.begin(file);
                for _ in parts(file.length) {
                    let content = tokio::select! {
                        biased;
                        () = given_up.cancelled() => return Err(CheckpointError::GivenUp(self.bucket.url(name))),
                        content = contents.next() => content,
                    };
                    let content = match content {
                        Some(Ok(content)) => content,
                        Some(Err(error)) => return Err(words::failed("read", &self.bucket, name, &error)),
                        None => break,
                    };
                    digest.add(&content);
                    copy.write_all(&content).map_err(CheckpointError::io("write", &path))?;
                }
            }
            Ok(())
        })?;
        Ok(Some(Fetched {
            path: into.to_owned(),
            digest: digest.hexadecimal(),
        }))
    }

    /// The objects below a name and their lengths, if there is a manifest.
    async fn find(&self, manifest: &str, name: &str) -> object_store::Result<Option<Vec<(Name, u64)>>> {
        match self.store.head(&self.object(manifest)).await {
            Err(Error::NotFound { .. }) => return Ok(None),
            found => found?,
        };
        let objects = self.list(name).map_ok(|object| (object.location, object.size));
        objects.try_collect().await.map(Some)
    }

    /// Requests for the contents of files, part by part. A request is under way from when it is taken.
    fn requests<'a>(
        &'a self,
        name: &'a str,
        files: &'a [Entry],
    ) -> impl Stream<Item = impl Future<Output = object_store::Result<Bytes>>> + 'a {
        let wanted = files.iter().flat_map(move |file| {
            let object = self.object(&format!("{name}/{}", file.name.display()));
            parts(file.length).map(move |range| (object.clone(), range))
        });
        stream::iter(wanted).map(|(object, range)| {
            let store = Arc::clone(&self.store);
            let request = async move { store.get_range(&object, range).await };
            let request = AbortOnDropHandle::new(self.runtime().handle().spawn(request));
            async move { request.await? }
        })
    }
}

/// Where the parts of a file begin and end.
pub(super) fn parts(length: u64) -> impl Iterator<Item = Range<u64>> {
    let size = part_size(length);
    (0..length.div_ceil(size)).map(move |number| number * size..length.min((number + 1) * size))
}

/// The requests of one upload.
#[derive(Debug)]
struct Upload<'a> {
    objects: &'a Objects,
    name: &'a str,
    window: Arc<Semaphore>,
    /// Those under way.
    requests: JoinSet<object_store::Result<()>>,
    digest: Fingerprint,
}

impl Upload<'_> {
    fn all(&mut self, from: &Path, files: &[Entry], objects: &[Name]) -> Result<(), CheckpointError> {
        for (file, object) in files.iter().zip(objects) {
            self.file(from, file, object)?;
        }
        self.done()
    }

    /// Begins to upload a file. One in parts is there on return.
    fn file(&mut self, from: &Path, file: &Entry, object: &Name) -> Result<(), CheckpointError> {
        let mut reading = Reading::open(from, file, &mut self.digest)?;
        let store = Arc::clone(&self.objects.store);
        if file.length <= PART {
            let (content, permit) = self.read(&mut reading, file.length)?;
            self.end_of(&mut reading)?;
            let object = object.clone();
            let request = async move { store.put(&object, content).await.map(drop) };
            return self.begin(request, permit);
        }
        let mut upload = self
            .objects
            .wait("write", self.name, store.put_multipart(object))?;
        let sent = self.in_parts(&mut reading, file, &mut *upload);
        if sent.is_err() {
            // Parts that no object came of take room, too, and nobody sees them.
            let abort = async {
                self.requests.shutdown().await;
                upload.abort().await
            };
            let _ = self.objects.wait("write", self.name, abort);
        }
        sent
    }

    fn in_parts(
        &mut self,
        reading: &mut Reading<'_>,
        file: &Entry,
        upload: &mut dyn MultipartUpload,
    ) -> Result<(), CheckpointError> {
        for part in parts(file.length) {
            let (content, permit) = self.read(reading, part.end - part.start)?;
            self.begin(upload.put_part(content), permit)?;
        }
        self.end_of(reading)?;
        self.done()?;
        let complete = upload.complete();
        self.objects.wait("write", self.name, complete).map(drop)
    }

    /// Sends a request off, unless one before has failed.
    fn begin(
        &mut self,
        request: impl Future<Output = object_store::Result<()>> + Send + 'static,
        permit: OwnedSemaphorePermit,
    ) -> Result<(), CheckpointError> {
        let request = async move {
            let done = request.await;
            drop(permit);
            done
        };
        self.requests.spawn_on(request, self.objects.runtime().handle());
        while let Some(done) = self.requests.try_join_next() {
            self.succeeded(done)?;
        }
        Ok(())
    }

    /// Waits for the end of all requests, or for the first that fails.
    fn done(&mut self) -> Result<(), CheckpointError> {
        while let Some(done) = self.objects.runtime().block_on(self.requests.join_next()) {
            self.succeeded(done)?;
        }
        Ok(())
    }

    fn succeeded(&self, done: Result<object_store::Result<()>, JoinError>) -> Result<(), CheckpointError> {
        let done = done.map_err(Error::from).flatten();
        done.map_err(|error| words::failed("write", &self.objects.bucket, self.name, &error))
    }

    /// The next bytes of a file, once there is room for them.
    fn read(
        &mut self,
        reading: &mut Reading<'_>,
        length: u64,
    ) -> Result<(PutPayload, OwnedSemaphorePermit), CheckpointError> {
        let mebibytes = u32::try_from(length >> 20).unwrap_or(WINDOW);
        let room = Arc::clone(&self.window).acquire_many_owned((mebibytes + 1).clamp(LEAST, WINDOW));
        let permit = self.objects.runtime().block_on(room);
        let permit = permit.expect("nobody closes the window");
        let mut buffer = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        reading.next(&mut buffer, &mut self.digest)?;
        Ok((buffer.into(), permit))
    }

    /// Makes sure that there is no more of a file than was expected.
    fn end_of(&mut self, reading: &mut Reading<'_>) -> Result<(), CheckpointError> {
        reading.next(&mut [0], &mut self.digest).map(drop)
    }
}
