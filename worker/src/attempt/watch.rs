//! Notices changes in attempts' folders. Two inotify instances for all attempts, since a user has few: one for what programs print,
//! whose changes are gathered, and one for what supervisors say, which is passed on at once.
//!
//! Only a hint, for speed: whoever is told looks for himself, and looks now and then without being told.

use std::collections::HashMap;
use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use tokio::sync::Notify;

/// Time from the first change to reading it: a program often writes a line in two pieces.
const SETTLE: Duration = Duration::from_millis(2);
/// Pause after reading: what many programs print is read together, and one that prints a thousand lines a second is not worth a thousand
/// wake-ups. Points of the objective are sent as soon as they are read, so that a point waits for at most both on this machine.
const REST: Duration = Duration::from_millis(100);

/// What programs print: appended, or a file that a program makes.
const PRINTED: WatchFlags = WatchFlags::MODIFY.union(WatchFlags::CREATE);
/// What supervisors say, and whole files that somebody puts there: renamed into place.
const SAID: WatchFlags = WatchFlags::MOVED_TO;

/// Who is told of changes in an attempt's folder, from the watcher's thread: may read for a moment, must not wait.
pub(super) trait Watched: std::fmt::Debug + Send + Sync {
    /// Standard output has grown. What is returned is called after all others that changed were asked, so that whoever is told finds them
    /// all read.
    fn stdout_grew(&self) -> Option<Box<dyn FnOnce() + '_>>;

    /// Anything may have changed.
    fn changed(&self);
}

/// Wakes an attempt's task, and tells it where to look.
#[derive(Debug, Default)]
pub(super) struct Wake {
    notify: Notify,
    /// Whether anything but standard output may have changed.
    all: AtomicBool,
}

impl Wake {
    /// Anything may have changed.
    pub(super) fn all(&self) {
        self.all.store(true, Ordering::SeqCst);
        self.notify.notify_one();
    }

    /// Standard output has grown.
    pub(super) fn stdout(&self) {
        self.notify.notify_one();
    }

    /// Waits to be woken. Returns whether anything but standard output may have changed. Cancelling it loses nothing.
    pub(super) async fn woken(&self) -> bool {
        self.notify.notified().await;
        self.all.swap(false, Ordering::SeqCst)
    }
}

/// Watches folders, from a thread of its own, which sleeps while programs print without end. The thread ends when this is dropped or
/// stopped.
#[derive(Debug)]
pub(super) struct Watcher {
    folders: Arc<Folders>,
    /// Closed to end the thread.
    running: Mutex<Option<UnixStream>>,
}

#[derive(Debug)]
struct Folders {
    printed: Watches,
    said: Watches,
}

/// What [`Watcher::remove`] wants to know again.
#[derive(Debug)]
pub(super) struct Watch {
    printed: i32,
    said: i32,
    /// Of the folder for checkpoints; none if it could not be had.
    saved: Option<i32>,
}

impl Watcher {
    /// A watcher, and the work of its thread.
    pub(super) fn new() -> io::Result<(Self, impl FnOnce() + Send + 'static)> {
        let folders = Arc::new(Folders {
            printed: Watches::new()?,
            said: Watches::new()?,
        });
        let (running, stopped) = UnixStream::pair()?;
        let thread = Arc::clone(&folders);
        Ok((
            Self {
                folders,
                running: Mutex::new(Some(running)),
            },
            move || thread.run(&stopped),
        ))
    }

    /// Tells `watched` of changes in `folder`, and of what gets its name in `saves`, until [`Self::remove`] is called, and possibly once more.
    pub(super) fn add(&self, folder: &Path, saves: &Path, watched: &Arc<dyn Watched>) -> io::Result<Watch> {
        let Folders { printed, said } = &*self.folders;
        let watch = printed.add(folder, PRINTED, watched)?;
        match said.add(folder, SAID, watched) {
            // Without this one, checkpoints are noticed when everything is looked at.
            Ok(told) => Ok(Watch {
                printed: watch,
                said: told,
                saved: said.add(saves, WatchFlags::MOVED_TO, watched).ok(),
            }),
            Err(error) => {
                printed.remove(watch);
                Err(error)
            }
        }
    }

    pub(super) fn remove(&self, watch: &Watch) {
        self.folders.printed.remove(watch.printed);
        self.folders.said.remove(watch.said);
        watch
            .saved
            .iter()
            .for_each(|saved| self.folders.said.remove(*saved));
    }

    /// Ends the thread.
    pub(super) fn stop(&self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Folders {
    /// Passes changes on until the other end of `stopped` is closed.
    fn run(&self, stopped: &UnixStream) {
        let mut phase = Phase::Quiet;
        loop {
            let mut fds = [
                PollFd::new(stopped, PollFlags::IN),
                PollFd::new(&self.said.fd, PollFlags::IN),
                PollFd::new(&self.printed.fd, PollFlags::IN),
            ];
            let polled = match phase {
                Phase::Quiet => rustix::event::poll(&mut fds, None),
                // Whatever is printed meanwhile wakes nobody.
                Phase::Settling => rustix::event::poll(&mut fds[..2], Some(&timespec(SETTLE))),
                Phase::Resting => rustix::event::poll(&mut fds[..2], Some(&timespec(REST))),
            };
            let [stopped, said, printed] = fds.map(|fd| !fd.revents().is_empty());
            match polled {
                Ok(_) if stopped => return,
                Ok(_) => {
                    if said {
                        self.said.pass_on();
                    }
                    phase = match phase {
                        Phase::Quiet if printed => Phase::Settling,
                        Phase::Quiet | Phase::Resting => Phase::Quiet,
                        Phase::Settling => {
                            self.printed.pass_on();
                            Phase::Resting
                        }
                    };
                }
                Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "changes of files are noticed late"
                    );
                    return;
                }
            }
        }
    }
}

/// What is done about what programs print.
#[derive(Clone, Copy)]
enum Phase {
    /// Nothing was printed since it was last read.
    Quiet,
    /// Something was, and is read soon.
    Settling,
    /// It was read.
    Resting,
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: 0,
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// One inotify instance.
#[derive(Debug)]
struct Watches {
    fd: OwnedFd,
    watched: Mutex<HashMap<i32, Arc<dyn Watched>>>,
}

impl Watches {
    fn new() -> io::Result<Self> {
        Ok(Self {
            fd: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?,
            watched: Mutex::default(),
        })
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<i32, Arc<dyn Watched>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, folder: &Path, flags: WatchFlags, watched: &Arc<dyn Watched>) -> io::Result<i32> {
        let watch = inotify::add_watch(&self.fd, folder, flags)?;
        self.watched().insert(watch, Arc::clone(watched));
        Ok(watch)
    }

    fn remove(&self, watch: i32) {
        if self.watched().remove(&watch).is_some() {
            // Gone already if the folder is.
            let _ = inotify::remove_watch(&self.fd, watch);
        }
    }

    fn pass_on(&self) {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.fd, &mut buffer);
        let mut changed: Vec<(i32, bool)> = Vec::new();
        let mut overflown = false;
        loop {
            match reader.next() {
                Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => overflown = true,
                Ok(event) => {
                    let stdout = match event.file_name().map(CStr::to_bytes) {
                        _ if event.events().contains(ReadFlags::MOVED_TO) => false,
                        Some(b"stdout.log") => event.events().contains(ReadFlags::MODIFY),
                        Some(b"metrics.jsonl") => false,
                        // Nothing that is read as it grows.
                        _ => continue,
                    };
                    let change = (event.wd(), stdout);
                    if !changed.contains(&change) {
                        changed.push(change);
                    }
                }
                Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
        // Not told under the lock: reading takes time.
        let told: Vec<(Arc<dyn Watched>, bool)> = {
            let watched = self.watched();
            if overflown {
                watched.values().map(|one| (Arc::clone(one), false)).collect()
            } else {
                let told = |(watch, stdout)| Some((Arc::clone(watched.get(&watch)?), stdout));
                changed.into_iter().filter_map(told).collect()
            }
        };
        let mut read = Vec::new();
        for (watched, stdout) in &told {
            if *stdout {
                read.extend(watched.stdout_grew());
            } else {
                watched.changed();
            }
        }
        for tell in read {
            tell();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A watcher whose thread runs until `end` is given it.
    fn watching() -> (Watcher, std::thread::JoinHandle<()>) {
        let (watcher, work) = Watcher::new().unwrap();
        (watcher, std::thread::spawn(work))
    }

    fn end((watcher, thread): (Watcher, std::thread::JoinHandle<()>)) {
        watcher.stop();
        thread.join().unwrap();
    }

    fn append(path: &Path) {
        use std::io::Write as _;
        let file = std::fs::File::options().append(true).create(true).open(path);
        file.unwrap().write_all(b"x\n").unwrap();
    }

    async fn woken(wake: &Wake) -> bool {
        let woken = tokio::time::timeout(Duration::from_secs(60), wake.woken());
        woken.await.expect("nobody was woken")
    }

    /// One that only passes on what it is told.
    #[derive(Debug)]
    struct Listener(Arc<Wake>);

    impl Watched for Listener {
        fn stdout_grew(&self) -> Option<Box<dyn FnOnce() + '_>> {
            Some(Box::new(|| self.0.stdout()))
        }

        fn changed(&self) {
            self.0.all();
        }
    }

    #[tokio::test]
    async fn output_that_grows_is_told_apart_from_everything_else() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        for name in ["stdout.log", "stderr.log"] {
            append(&file(name));
        }
        let watching = watching();
        let wake = Arc::new(Wake::default());
        let listener: Arc<dyn Watched> = Arc::new(Listener(Arc::clone(&wake)));
        let saves = file("saves");
        std::fs::create_dir(&saves).unwrap();
        let watch = watching.0.add(dir.path(), &saves, &listener).unwrap();
        // What wakes nobody comes before what does.
        append(&file("stderr.log"));
        append(&file("exit.json.tmp"));
        append(&file("stdout.log"));
        assert!(!woken(&wake).await, "only standard output has changed");
        std::fs::rename(file("exit.json.tmp"), file("exit.json")).unwrap();
        assert!(woken(&wake).await, "a supervisor has said something");
        append(&file("metrics.jsonl"));
        assert!(woken(&wake).await, "a file has come into being");
        std::fs::remove_file(file("stdout.log")).unwrap();
        append(&file("stdout.log"));
        assert!(woken(&wake).await, "standard output is another file now");
        std::fs::create_dir(saves.join("step-1.tmp")).unwrap();
        std::fs::rename(saves.join("step-1.tmp"), saves.join("step-1")).unwrap();
        // What was printed may wake once more before.
        while !woken(&wake).await {}
        watching.0.remove(&watch);
        end(watching);
    }

    #[tokio::test]
    async fn a_change_anywhere_is_remembered_though_output_wakes_first() {
        let wake = Wake::default();
        wake.all();
        wake.stdout();
        assert!(woken(&wake).await);
        wake.stdout();
        assert!(!woken(&wake).await);
    }
}
