//! What object stores do wrong, and what must come of it. What they do right is in the contract of places.

use std::collections::HashSet;
use std::fs::File;
use std::net::TcpListener;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, PutMultipartOptions, PutOptions,
    PutResult, UploadPart,
};
use tokio::sync::watch;

use super::transfer::{PART, part_size};
use super::*;
use crate::checkpoint::location::{Access, Kind, Location};
use crate::checkpoint::place::Place;
use crate::checkpoint::place::tests::{bucket_of_memory, bucket_of_the_server, lease, saved};

/// A store in memory that fails when told to, and counts.
#[derive(Clone, Debug, Default)]
struct Faulty(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    store: InMemory,
    /// How many more writes go well; all, if none.
    writes_left: Mutex<Option<u64>>,
    /// Whether the write that fails arrives nonetheless.
    arrives: Mutex<bool>,
    /// How many more objects can be removed; all, if none.
    removals_left: Mutex<Option<u64>>,
    /// Whether reads find nothing.
    blind: Mutex<bool>,
    /// What listings say that each object has.
    size: Mutex<Option<u64>>,
    aborted: AtomicU64,
    /// Bytes that are being written, and how many there were at most.
    bytes: watch::Sender<u64>,
    peak: AtomicU64,
    /// Whether parts of files are held until there are four of them, and whether there were.
    gate: Option<watch::Sender<bool>>,
}

impl Faulty {
    /// Whether the next write goes well.
    fn goes_well(&self) -> bool {
        let mut left = self.0.writes_left.lock().unwrap();
        let well = left.is_none_or(|left| left > 0);
        *left = left.map(|left| left.saturating_sub(1));
        well
    }

    async fn written<T>(
        &self,
        bytes: usize,
        write: impl Future<Output = object_store::Result<T>>,
    ) -> object_store::Result<T> {
        let Counts { bytes: now, peak, .. } = &*self.0;
        now.send_modify(|now| {
            *now += bytes as u64;
            peak.fetch_max(*now, Ordering::SeqCst);
        });
        if let Some(gate) = self.0.gate.as_ref().filter(|_| bytes as u64 == PART) {
            let mut written = now.subscribe();
            if *written.borrow() >= 4 * PART {
                // A fifth should not be.
                let fifth = written.wait_for(|bytes| *bytes >= 5 * PART);
                let waited = tokio::time::timeout(Duration::from_millis(500), fifth).await;
                assert!(waited.is_err(), "five parts at a time");
                gate.send_replace(true);
            }
            let mut opened = gate.subscribe();
            let four = tokio::time::timeout(Duration::from_secs(60), opened.wait_for(|open| *open));
            drop(four.await.expect("four parts at a time").unwrap());
        }
        let well = self.goes_well();
        let arrives = *self.0.arrives.lock().unwrap();
        let done = if well || arrives { Some(write.await) } else { None };
        now.send_modify(|now| *now -= bytes as u64);
        done.filter(|_| well).unwrap_or_else(|| Err(out_of_order()))
    }

    fn objects(&self) -> Objects {
        Objects::on(bucket_of_memory(), Arc::new(self.clone())).unwrap()
    }

    fn place(&self) -> Place {
        Place::on(Arc::new(self.objects()), None).unwrap()
    }

    /// Names of all objects below the prefix, but for the identity.
    fn names(&self) -> HashSet<String> {
        let names = self.objects().names().into_iter();
        names.filter(|name| name != "store.json").collect()
    }
}

fn out_of_order() -> Error {
    Error::Generic {
        store: "faulty",
        source: "out of order".into(),
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

#[derive(Debug)]
struct FaultyUpload {
    store: Faulty,
    upload: Box<dyn MultipartUpload>,
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (store, bytes) = (self.store.clone(), data.content_length());
        let put = self.upload.put_part(data);
        Box::pin(async move { store.written(bytes, put).await })
    }

    async fn complete(&mut self) -> object_store::Result<PutResult> {
        self.store.written(0, self.upload.complete()).await
    }

    async fn abort(&mut self) -> object_store::Result<()> {
        self.store.0.aborted.fetch_add(1, Ordering::SeqCst);
        self.upload.abort().await
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        at: &Name,
        data: PutPayload,
        how: PutOptions,
    ) -> object_store::Result<PutResult> {
        let bytes = data.content_length();
        self.written(bytes, self.0.store.put_opts(at, data, how)).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Name,
        how: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        let upload = self.written(0, self.0.store.put_multipart_opts(at, how)).await?;
        let store = self.clone();
        Ok(Box::new(FaultyUpload { store, upload }))
    }

    async fn get_opts(&self, at: &Name, how: GetOptions) -> object_store::Result<GetResult> {
        if *self.0.blind.lock().unwrap() {
            let (path, source) = (at.to_string(), "blind".into());
            return Err(Error::NotFound { path, source });
        }
        self.0.store.get_opts(at, how).await
    }

    fn delete_stream(
        &self,
        all: BoxStream<'static, object_store::Result<Name>>,
    ) -> BoxStream<'static, object_store::Result<Name>> {
        let this = self.clone();
        let allowed = all.map(move |name| {
            let mut left = this.0.removals_left.lock().unwrap();
            let well = left.is_none_or(|left| left > 0);
            *left = left.map(|left| left.saturating_sub(1));
            if well { name } else { Err(out_of_order()) }
        });
        // One after another, as a store may.
        let this = self.clone();
        let removed = allowed.then(move |name| {
            let this = this.clone();
            async move {
                let name = name?;
                this.0.store.delete(&name).await.map(|()| name)
            }
        });
        removed.boxed()
    }

    fn list(&self, below: Option<&Name>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let size = *self.0.size.lock().unwrap();
        let listed = self.0.store.list(below);
        listed
            .map_ok(move |object| ObjectMeta {
                size: size.unwrap_or(object.size),
                ..object
            })
            .boxed()
    }

    async fn list_with_delimiter(&self, below: Option<&Name>) -> object_store::Result<ListResult> {
        self.0.store.list_with_delimiter(below).await
    }

    async fn copy_opts(&self, from: &Name, to: &Name, how: CopyOptions) -> object_store::Result<()> {
        self.0.store.copy_opts(from, to, how).await
    }
}

/// A file without content of its own.
fn sparse(path: &Path, length: u64) {
    File::create(path).unwrap().set_len(length).unwrap();
}

#[test]
fn a_save_that_fails_wherever_it_does_leaves_nothing_and_the_next_one_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let from = saved(dir.path(), &[("a", "1"), ("b/c", "2")]);
    sparse(&from.join("large"), PART + 3);
    // Two small files; beginning, two parts and end of the large one; the manifest.
    let writes = 7;
    for arrives in [false, true] {
        for failing in 0..=writes {
            let store = Faulty::default();
            let place = store.place();
            *store.0.writes_left.lock().unwrap() = Some(failing);
            *store.0.arrives.lock().unwrap() = arrives;
            let stored = place.save(&lease(1), 9, &from);
            assert_eq!(stored.is_ok(), failing == writes, "{failing}: {stored:?}");
            if let Err(error) = stored {
                let error = error.to_string();
                assert!(
                    error.starts_with("cannot write s3://memory/some/prefix/")
                        && error.contains("out of order"),
                    "{error}"
                );
                assert_eq!(
                    store.names(),
                    HashSet::new(),
                    "after {failing} writes, arrives: {arrives}"
                );
                let begun = failing > 2 && failing < 6;
                assert!(
                    !begun || store.0.aborted.load(Ordering::SeqCst) > 0,
                    "parts stay after {failing} writes"
                );
            }
            *store.0.writes_left.lock().unwrap() = None;
            let checkpoint = place.save(&lease(1), 9, &from).unwrap();
            let into = dir.path().join("into");
            let path = place
                .read(lease(1).study, &checkpoint, &into, &CancellationToken::new())
                .unwrap();
            assert_eq!(std::fs::metadata(path.join("large")).unwrap().len(), PART + 3);
            std::fs::remove_dir_all(into).unwrap();
        }
    }
}

#[test]
fn what_is_removed_in_part_is_no_checkpoint_any_more() {
    let dir = tempfile::tempdir().unwrap();
    // Manifests come last by name: who removes in that order is caught.
    let from = saved(dir.path(), &[("a", "1"), ("b", "2")]);
    for all_of_the_study in [false, true] {
        for removals in 0..6 {
            let store = Faulty::default();
            let place = store.place();
            let checkpoints = [9, 10].map(|step| place.save(&lease(1), step, &from).unwrap());
            *store.0.removals_left.lock().unwrap() = Some(removals);
            let removed = if all_of_the_study {
                place.remove_all(lease(1).study)
            } else {
                checkpoints
                    .iter()
                    .try_for_each(|checkpoint| place.remove(lease(1).study, checkpoint))
            };
            assert!(removed.is_err(), "{removals}");
            let names = store.names();
            for manifest in names.iter().filter(|name| is_manifest(name)) {
                let folder = manifest.trim_end_matches(".json");
                let files = names
                    .iter()
                    .filter(|name| name.starts_with(&format!("{folder}/")));
                assert_eq!(
                    files.count(),
                    2,
                    "{manifest} stays without all its files after {removals}"
                );
            }
        }
    }
}

#[test]
fn few_bytes_of_many_are_in_memory_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let from = saved(dir.path(), &[("a", "1")]);
    for number in 0..40 {
        sparse(&from.join(format!("{number}")), 1 << 20);
    }
    sparse(&from.join("large"), 6 * PART);
    let store = Faulty(Arc::new(Counts {
        gate: Some(watch::Sender::new(false)),
        ..Counts::default()
    }));
    store.place().save(&lease(1), 9, &from).unwrap();
    let peak = store.0.peak.load(Ordering::SeqCst);
    assert!((4 * PART..=36 << 20).contains(&peak), "{peak} bytes");
}

#[test]
fn files_of_any_size_have_parts_that_stores_take() {
    for length in [PART + 1, 1 << 30, 100 << 30, 1 << 40, 48 << 40] {
        let size = part_size(length);
        assert!(
            length.div_ceil(size) <= 10_000 && size >= 5 << 20,
            "{length}: {size}"
        );
        let parts: Vec<Range<u64>> = transfer::parts(length).take(3).collect();
        assert_eq!(parts[0], 0..size.min(length));
        assert_eq!(parts[1].start, size);
    }
    assert_eq!(transfer::parts(0).count(), 0);
    assert_eq!(transfer::parts(2 * PART + 1).last(), Some(2 * PART..2 * PART + 1));
}

#[test]
fn a_name_that_no_object_can_have_is_refused_before_anything_is_written() {
    use std::os::unix::ffi::OsStrExt as _;
    let dir = tempfile::tempdir().unwrap();
    let store = Faulty::default();
    let place = store.place();
    let long = format!("{}/", "x".repeat(200)).repeat(5);
    for (name, why) in [
        (b"\xff\xfe".as_slice(), "is not UTF-8"),
        (b"two\nlines", "has a control character"),
        (format!("{long}y").as_bytes(), "is longer than 1024 bytes"),
    ] {
        let from = saved(dir.path(), &[("a", "1")]);
        let path = from.join(std::ffi::OsStr::from_bytes(name));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "").unwrap();
        *store.0.writes_left.lock().unwrap() = Some(0);
        let error = place.save(&lease(1), 9, &from).unwrap_err().to_string();
        assert!(
            error.contains("cannot be kept in an object store") && error.contains(why),
            "{error}"
        );
        std::fs::remove_dir_all(&from).unwrap();
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let from = saved(dir.path(), &[("a", "1")]);
    sparse(&from.join("large"), 2 * PART);
    let objects = Faulty::default().objects();
    for (name, length) in [
        ("a", 0),
        ("a", 2),
        ("large", 2 * PART - 1),
        ("large", 2 * PART + 1),
    ] {
        let files = [Entry {
            name: name.into(),
            length,
        }];
        let error = Backend::store(&objects, "x/y/step-1", &from, &files)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("must not change once it has its name"),
            "{name} {length}: {error}"
        );
    }
}

#[test]
fn a_place_has_no_identity_that_others_would_not_read() {
    let store = Faulty::default();
    store.place();
    *store.0.blind.lock().unwrap() = true;
    let error = Place::on(Arc::new(store.objects()), None).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("store.json") && error.contains("try again"),
        "{error}"
    );
}

#[test]
fn what_is_no_name_of_an_object_never_stands_for_the_whole_bucket() {
    let objects = Faulty::default().objects();
    for name in ["a//b", "..", "a\nb"] {
        assert_ne!(objects.object(name), Name::default(), "{name:?}");
    }
}

#[test]
fn what_does_not_fit_on_the_disk_is_not_fetched() {
    let dir = tempfile::tempdir().unwrap();
    let from = saved(dir.path(), &[("a", "1")]);
    let store = Faulty::default();
    let place = store.place();
    let checkpoint = place.save(&lease(1), 9, &from).unwrap();
    *store.0.size.lock().unwrap() = Some(1 << 60);
    let into = dir.path().join("into");
    let error = place
        .read(lease(1).study, &checkpoint, &into, &CancellationToken::new())
        .unwrap_err();
    assert!(error.to_string().contains("bytes are free and"), "{error}");
    assert!(!into.exists());
}

/// The server's bucket, reached otherwise.
fn altered(name: &str, value: &str) -> Bucket {
    let mut bucket = bucket_of_the_server();
    let variables = bucket.access.0.iter_mut();
    for (_, known) in variables.filter(|(known, _)| known == name) {
        value.clone_into(known);
    }
    bucket
}

fn impatient() -> Patience {
    Patience {
        connect: Duration::from_millis(200),
        request: Duration::from_millis(200),
        retry: Duration::from_millis(500),
        retries: 2,
    }
}

fn refused(bucket: &Bucket) -> String {
    let objects = Objects::open_with(bucket, &impatient()).unwrap();
    let error = Place::on(Arc::new(objects), None).unwrap_err().to_string();
    for (name, value) in &bucket.access.0 {
        assert!(
            name != "AWS_SECRET_ACCESS_KEY" || !error.contains(value),
            "a secret: {error}"
        );
    }
    error
}

#[test]
fn a_store_that_is_away_or_does_not_answer_holds_nobody_up() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", nobody.local_addr().unwrap());
    // Takes connections and says nothing.
    let silent = refused(&altered("AWS_ENDPOINT", &address));
    drop(nobody);
    let away = refused(&altered("AWS_ENDPOINT", &address));
    for error in [silent, away] {
        assert!(
            error.starts_with("cannot read s3://tunesmith/tests of places/")
                && error.contains(&address)
                && error.contains("max_retries: 2, retry_timeout: 500ms")
                && error.contains("check that the store is up")
                && error.contains("AWS_ENDPOINT"),
            "{error}"
        );
    }
}

#[test]
fn a_store_that_refuses_is_quoted_without_secrets() {
    let error = refused(&altered("AWS_SECRET_ACCESS_KEY", "not the secret at all"));
    assert!(
        error.contains("SignatureDoesNotMatch")
            && error.contains("it is not allowed")
            && error.contains("AWS_ACCESS_KEY_ID"),
        "{error}"
    );
    // The tests' server makes buckets that are not there; others say so.
    let missing = Error::NotFound {
        path: "x".to_owned(),
        source: "404: <Error><Code>NoSuchBucket</Code></Error>".into(),
    };
    let error = words::failed("write", &bucket_of_the_server(), "x", &missing).to_string();
    assert!(
        error.contains("NoSuchBucket") && error.contains("make the bucket first"),
        "{error}"
    );
}

#[test]
fn answers_that_repeat_what_was_sent_are_not_passed_on() {
    let access = Access::of([("AZURE_STORAGE_SAS_KEY".to_owned(), "sig=hidden".to_owned())].into_iter());
    let Ok(Location::Bucket(bucket)) = Location::parse(Path::new("az://c/p"), access) else {
        panic!("it is a bucket");
    };
    assert_eq!(bucket.kind, Kind::Azure);
    let error = Error::Generic {
        store: "x",
        source: "GET https://h/c?sig=hidden said: <Error><Code>Odd</Code><CanonicalRequest>x-amz-security-token:hidden\
                 </CanonicalRequest><Message>try later</Message></Error>"
            .into(),
    };
    let error = words::failed("read", &bucket, "x", &error).to_string();
    assert!(
        error.contains("Odd: try later") && !error.contains("hidden"),
        "{error}"
    );
}

#[test]
fn buckets_of_all_kinds_can_be_opened_without_a_word_to_them() {
    for (url, variables) in [
        ("s3://b/p", vec![]),
        ("gs://b/p", vec![("GOOGLE_SKIP_SIGNATURE", "true")]),
        (
            "az://c/p",
            vec![
                ("AZURE_STORAGE_ACCOUNT_NAME", "account"),
                ("IDENTITY_ENDPOINT", "http://127.0.0.1:1"),
            ],
        ),
    ] {
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let Ok(Location::Bucket(bucket)) = Location::parse(Path::new(url), Access::of(variables)) else {
            panic!("{url} is a bucket");
        };
        Objects::open(&bucket).unwrap();
    }
    let Ok(Location::Bucket(bucket)) = Location::parse(Path::new("az://c/p"), Access::default()) else {
        panic!("it is a bucket");
    };
    let error = Objects::open(&bucket).unwrap_err().to_string();
    assert!(error.contains("AZURE_STORAGE_ACCOUNT_NAME"), "{error}");
}
