//! What every place owes to workers, whatever keeps its files: a folder, memory behind the interface of object stores, and a server that speaks S3.

use std::fs;
use std::sync::Barrier;

use tunesmith_common::{Attempt, LeaseId, TrialNumber};

use super::*;
use crate::checkpoint::location::{Access, Bucket};

pub(in crate::checkpoint) fn lease(trial: u64) -> LeaseKey {
    LeaseKey {
        study: StudyId(Uuid::from_u128(1)),
        trial: TrialNumber(trial),
        attempt: Attempt(2),
        id: LeaseId(Uuid::from_u128(3)),
    }
}

/// A folder into which a program has saved those files.
pub(in crate::checkpoint) fn saved(dir: &Path, files: &[(&str, &str)]) -> PathBuf {
    let from = dir.join("step-9");
    for (name, content) in files {
        let path = from.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    from
}

/// A bucket of the tests' server, with a prefix that nobody else uses.
pub(in crate::checkpoint) fn bucket_of_the_server() -> Bucket {
    let url = std::env::var("TUNESMITH_TEST_S3_URL")
        .expect("no private S3 server: run the tests by `make test`, or set TUNESMITH_TEST_S3_URL=$(scripts/s3.sh start)");
    let (user, rest) = url.strip_prefix("http://").unwrap().split_once(':').unwrap();
    let (key, rest) = rest.split_once('@').unwrap();
    let (host, bucket) = rest.split_once('/').unwrap();
    let access = [
        ("AWS_ACCESS_KEY_ID", user),
        ("AWS_SECRET_ACCESS_KEY", key),
        ("AWS_ENDPOINT", &format!("http://{host}")),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "us-east-1"),
    ];
    let access = Access::of(
        access
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into_iter(),
    );
    let given = format!("s3://{bucket}/tests of places/{}", Uuid::new_v4());
    match Location::parse(Path::new(&given), access).unwrap() {
        Location::Bucket(bucket) => bucket,
        Location::Folder(path) => panic!("{path:?} is no bucket"),
    }
}

/// A new place that others open, too.
struct World {
    dir: tempfile::TempDir,
    open: Box<dyn Fn() -> Arc<dyn Backend>>,
    names: Box<dyn Fn() -> Vec<String>>,
    backend: Arc<dyn Backend>,
    /// Whether it outlives the test if nobody removes it.
    stays: bool,
}

impl Drop for World {
    fn drop(&mut self) {
        if self.stays {
            let _ = self.backend.remove_below("");
        }
    }
}

impl World {
    fn new(kind: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("place");
        let located = |dir: tempfile::TempDir, location: &str| {
            let location = Location::parse(Path::new(location), Access::default()).unwrap();
            let Location::Folder(path) = location else {
                panic!("{location:?} is no folder");
            };
            let kept = path.clone();
            Self::of(
                dir,
                move || Disk::open(path.clone()).unwrap(),
                move |_| {
                    let files = list(&kept).unwrap().into_iter();
                    files.map(|file| file.name.display().to_string()).collect()
                },
            )
        };
        match kind {
            "folder" => located(dir, folder.to_str().unwrap()),
            "file" => located(dir, &format!("file://{}", folder.display())),
            "memory" => {
                let store = Arc::new(object_store::memory::InMemory::new());
                let open = move || Objects::on(bucket_of_memory(), store.clone()).unwrap();
                Self::of(dir, open, Objects::names)
            }
            "s3" => {
                let bucket = bucket_of_the_server();
                let mut world = Self::of(dir, move || Objects::open(&bucket).unwrap(), Objects::names);
                world.stays = true;
                world
            }
            _ => panic!("{kind}"),
        }
    }

    fn of<B: Backend + 'static>(
        dir: tempfile::TempDir,
        open: impl Fn() -> B + 'static,
        names: impl Fn(&B) -> Vec<String> + 'static,
    ) -> Self {
        let backend = Arc::new(open());
        let this = backend.clone();
        Self {
            dir,
            open: Box::new(move || Arc::new(open())),
            names: Box::new(move || names(&this)),
            backend,
            stays: false,
        }
    }

    fn place(&self, quota: Option<u64>) -> Place {
        Place::on(self.backend.clone(), quota).unwrap()
    }

    fn saved(&self, files: &[(&str, &str)]) -> PathBuf {
        saved(self.dir.path(), files)
    }

    fn read(&self, place: &Place, checkpoint: &Checkpoint) -> Result<PathBuf, CheckpointError> {
        let into = self
            .dir
            .path()
            .join(format!("state/{}/step-{}", Uuid::new_v4(), checkpoint.step));
        let read = place.read(lease(1).study, checkpoint, &into, &CancellationToken::new());
        assert!(read.is_ok() || !into.exists(), "nothing is left of what failed");
        read
    }
}

pub(in crate::checkpoint) fn bucket_of_memory() -> Bucket {
    match Location::parse(Path::new("s3://memory/some/prefix"), Access::default()).unwrap() {
        Location::Bucket(bucket) => bucket,
        Location::Folder(path) => panic!("{path:?} is no bucket"),
    }
}

fn study() -> String {
    lease(1).study.to_string()
}

fn what_was_saved_is_read_back_by_whoever_reaches_the_place(world: &World) {
    let from = world.saved(&[
        ("model.bin", "weights"),
        ("state/optimizer", "momentum"),
        ("empty", ""),
        ("état 1~#%41?*[x]{y}&=+ '\\.bin", "odd"),
    ]);
    std::os::unix::fs::symlink("model.bin", from.join("latest")).unwrap();
    let place = world.place(None);
    let checkpoint = place.save(&lease(1), 9, &from).unwrap();
    assert_eq!((checkpoint.step, checkpoint.bytes, checkpoint.files), (9, 25, 5));
    // What the program does with its own folder after that does not matter.
    fs::remove_dir_all(&from).unwrap();
    let other = Place::on((world.open)(), None).unwrap();
    assert_eq!(other.id(), place.id());
    let path = world.read(&other, &checkpoint).unwrap();
    let content = |name: &str| fs::read_to_string(path.join(name)).unwrap();
    assert_eq!(content("latest"), "weights");
    assert_eq!(content("state/optimizer"), "momentum");
    assert_eq!(content("empty"), "");
    assert_eq!(content("état 1~#%41?*[x]{y}&=+ '\\.bin"), "odd");
    assert_eq!(list(&path).unwrap().len(), 5);
    // Stored again, as by a daemon that was killed before it could tell.
    let from = world.saved(&[("model.bin", "something else")]);
    assert_eq!(place.save(&lease(1), 9, &from).unwrap(), checkpoint);
    assert_ne!(place.save(&lease(2), 9, &from).unwrap().digest, checkpoint.digest);
}

/// The digest is part of what coordinators store: the same files have the same one in every place.
fn a_checkpoint_has_the_same_digest_in_every_place(world: &World) {
    let from = world.saved(&[("b", "1"), ("a/b", "22"), ("a.b", "333")]);
    let place = world.place(None);
    let checkpoint = place.save(&lease(1), 9, &from).unwrap();
    // By hand: for each name in order, `struct.pack("<Q", len(name)) + name + struct.pack("<Q", len(content)) + content`, through hashlib.sha256.
    let digest = "21573d3ee00810f2a9dddf4d6ebec79a29e8a4eb9adc07f3a0156543130e61db";
    assert_eq!(checkpoint.digest, digest);
    // Listings have another order: `a.b` before `a/b`.
    world.read(&place, &checkpoint).unwrap();
}

fn large_files_and_many_files_come_back_as_they_were(world: &World) {
    let from = world.saved(&[]);
    fs::create_dir_all(&from).unwrap();
    // Three parts, exactly one, and one byte more.
    for (name, length) in [
        ("two and a bit", 17 << 20),
        ("one", 8 << 20),
        ("one more", (8 << 20) + 1),
    ] {
        let content = (0..length).map(|at: u32| (at / 4096 % 251).to_le_bytes()[0]);
        fs::write(from.join(name), content.collect::<Vec<u8>>()).unwrap();
    }
    for number in 0..60 {
        fs::write(from.join(format!("shard-{number}")), number.to_string()).unwrap();
    }
    let place = world.place(None);
    let checkpoint = place.save(&lease(1), 9, &from).unwrap();
    assert_eq!(checkpoint.files, 63);
    let path = world.read(&place, &checkpoint).unwrap();
    for file in list(&from).unwrap() {
        assert!(
            fs::read(from.join(&file.name)).unwrap() == fs::read(path.join(&file.name)).unwrap(),
            "{:?}",
            file.name
        );
    }
}

fn one_that_is_not_whole_or_was_changed_is_not_given_out(world: &World) {
    let from = world.saved(&[("a", "1"), ("b", "2")]);
    let place = world.place(None);
    let checkpoint = place.save(&lease(1), 9, &from).unwrap();
    let folder = format!("{}/1-2/step-9", study());
    world.read(&place, &checkpoint).unwrap();
    let (file, other) = (format!("{folder}/b"), format!("{folder}/c"));
    world.backend.put(&file, b"3").unwrap();
    let error = world.read(&place, &checkpoint).unwrap_err().to_string();
    assert!(
        error.contains("step 9") && error.ends_with("is not what was stored"),
        "{error}"
    );
    world.backend.remove_file(&file).unwrap();
    world.backend.put(&other, b"2").unwrap();
    assert!(world.read(&place, &checkpoint).is_err(), "another name");
    world.backend.put(&file, b"2").unwrap();
    assert!(world.read(&place, &checkpoint).is_err(), "one too many");
    world.backend.remove_file(&other).unwrap();
    world.read(&place, &checkpoint).unwrap();
    let manifest = world.backend.get(&manifest_of(&folder)).unwrap().unwrap();
    world.backend.remove_file(&manifest_of(&folder)).unwrap();
    let error = world.read(&place, &checkpoint).unwrap_err().to_string();
    assert!(error.ends_with("is not there"), "{error}");
    world.backend.put(&manifest_of(&folder), &manifest).unwrap();
    world.backend.remove_below(&folder).unwrap();
    assert!(world.read(&place, &checkpoint).is_err(), "no files");
}

fn what_nobody_waits_for_any_more_is_not_read(world: &World) {
    let from = world.saved(&[("a", "1")]);
    let place = world.place(None);
    let checkpoint = place.save(&lease(1), 9, &from).unwrap();
    let (given_up, into) = (CancellationToken::new(), world.dir.path().join("into"));
    given_up.cancel();
    let error = place
        .read(lease(1).study, &checkpoint, &into, &given_up)
        .unwrap_err();
    assert!(error.to_string().ends_with("was given up"), "{error}");
    assert!(!into.exists());
}

fn what_was_left_of_an_earlier_try_is_replaced(world: &World) {
    let from = world.saved(&[("a", "1")]);
    let place = world.place(None);
    // Beside it another step whose name begins the same: not to be touched.
    let neighbour = place.save(&lease(1), 90, &from).unwrap();
    let before = world.saved(&[("half", "?")]);
    let left = format!("{}/1-2/step-9", study());
    world
        .backend
        .store(&left, &before, &list(&before).unwrap())
        .unwrap();
    fs::remove_file(before.join("half")).unwrap();
    let checkpoint = place.save(&lease(1), 9, &from).unwrap();
    let path = world.read(&place, &checkpoint).unwrap();
    assert!(path.join("a").exists() && !path.join("half").exists());
    place.remove(lease(1).study, &checkpoint).unwrap();
    world.read(&place, &neighbour).unwrap();
}

fn one_that_does_not_fit_is_refused_before_anything_is_written_and_makes_room_when_it_goes(world: &World) {
    let from = world.saved(&[("a", "123"), ("b/c", "45")]);
    let place = world.place(Some(9));
    let checkpoint = place.save(&lease(1), 9, &from).unwrap();
    let error = place.save(&lease(2), 9, &from).unwrap_err().to_string();
    assert!(
        error.starts_with("a checkpoint of 5 bytes does not fit beside the 5 bytes in ")
            && error.contains("which may hold 9 bytes; raise --checkpoint-limit"),
        "{error}"
    );
    let theirs = format!("{}/2-2/step-9", study());
    assert!(
        (world.names)().iter().all(|name| !name.contains("/2-2/")),
        "something was written"
    );
    // What has no manifest is no checkpoint, and does not count.
    world
        .backend
        .store(&theirs, &from, &list(&from).unwrap())
        .unwrap();
    assert_eq!(world.backend.used().unwrap(), 5);
    place.remove(lease(1).study, &checkpoint).unwrap();
    place.remove(lease(1).study, &checkpoint).unwrap();
    assert_eq!(world.backend.used().unwrap(), 0);
    let checkpoint = place.save(&lease(2), 9, &from).unwrap();
    world.read(&place, &checkpoint).unwrap();
    let elsewhere = StudyId(Uuid::from_u128(99));
    place.remove_all(elsewhere).unwrap();
    world.read(&place, &checkpoint).unwrap();
    place.remove_all(lease(2).study).unwrap();
    place.remove_all(lease(2).study).unwrap();
    assert!(world.read(&place, &checkpoint).is_err());
    assert_eq!(world.place(None).id(), place.id(), "the place itself stays");
}

fn whoever_comes_second_does_not_decide_what_a_place_is_called(world: &World) {
    world.backend.create(IDENTITY, b"first").unwrap();
    world.backend.create(IDENTITY, b"second").unwrap();
    assert_eq!(world.backend.get(IDENTITY).unwrap().unwrap(), b"first");
    let error = Place::on(world.backend.clone(), None).unwrap_err().to_string();
    assert!(
        error.contains("store.json") && error.contains("remove it"),
        "{error}"
    );
    world.backend.remove_file(IDENTITY).unwrap();
    let id = world.place(None).id();
    assert_eq!(world.place(None).id(), id);
}

fn what_cannot_be_stored_is_named(world: &World) {
    let from = world.saved(&[("a", "1")]);
    std::os::unix::fs::symlink("..", from.join("up")).unwrap();
    let place = world.place(None);
    let error = place.save(&lease(1), 9, &from).unwrap_err().to_string();
    assert!(error.contains("links lead in a circle"), "{error}");
    fs::remove_file(from.join("up")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(from.join("socket")).unwrap();
    let error = place.save(&lease(1), 9, &from).unwrap_err().to_string();
    assert!(
        error.ends_with("socket is neither a file nor a folder"),
        "{error}"
    );
    assert!(
        place
            .save(&lease(1), 9, &world.dir.path().join("nothing"))
            .is_err()
    );
}

/// Runs each part of the contract for each kind of place.
macro_rules! contract {
    ($($kind:ident: $name:literal),* => $tests:tt) => {
        $(mod $kind { contract!(@ $name, $tests); })*
    };
    (@ $name:literal, [$($test:ident),* $(,)?]) => {
        $(#[test] fn $test() { super::$test(&super::World::new($name)); })*
    };
}

contract!(in_a_folder: "folder", at_a_file_url: "file", in_memory: "memory", on_a_server_of_s3: "s3" => [
    what_was_saved_is_read_back_by_whoever_reaches_the_place,
    a_checkpoint_has_the_same_digest_in_every_place,
    large_files_and_many_files_come_back_as_they_were,
    one_that_is_not_whole_or_was_changed_is_not_given_out,
    what_nobody_waits_for_any_more_is_not_read,
    what_was_left_of_an_earlier_try_is_replaced,
    one_that_does_not_fit_is_refused_before_anything_is_written_and_makes_room_when_it_goes,
    whoever_comes_second_does_not_decide_what_a_place_is_called,
    what_cannot_be_stored_is_named,
]);

/// Not on the tests' server, which looks and writes in two steps; the stores that it stands for do not.
#[test]
fn of_many_who_open_a_new_place_at_once_all_know_it_by_the_same_identity() {
    for kind in ["folder", "memory"] {
        let world = World::new(kind);
        let (start, backend) = (Barrier::new(8), &world.backend);
        let open = || {
            start.wait();
            Place::on(Arc::clone(backend), None).unwrap().id()
        };
        let ids = std::thread::scope(|scope| {
            let threads = std::array::from_fn::<_, 8, _>(|_| scope.spawn(open));
            threads.map(|thread| thread.join().unwrap())
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{kind}: {ids:?}");
    }
}

#[test]
fn a_folder_goes_with_the_last_checkpoint_in_it() {
    let world = World::new("folder");
    let from = world.saved(&[("a", "1")]);
    let place = world.place(None);
    let checkpoint = place.save(&lease(1), 9, &from).unwrap();
    let root = world.dir.path().join("place");
    assert!(root.join(study()).exists());
    place.remove(lease(1).study, &checkpoint).unwrap();
    assert!(!root.join(study()).exists() && root.exists());
}
