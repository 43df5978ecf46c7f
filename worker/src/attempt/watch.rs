//! Wakes an attempt's task when something in its folder changes. Two inotify instances for all attempts, since a user has few: one for
//! files that are written bit by bit, whose changes are gathered, and one for files that come whole, such as a start or an end, which are
//! passed on at once.
//!
//! Only a hint, for speed: whoever is woken looks for himself, and looks now and then without being woken.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use tokio::sync::Notify;
use tunesmith_common::clock::{Clock, Monotonic, SystemClock};

/// Changes of files that grow are gathered for so long before they are passed on: a program often writes a line in two pieces, and one that prints a
/// thousand lines a second is not worth a thousand wake-ups.
const GATHER: Duration = Duration::from_millis(2);

/// Watches folders, from a thread of its own. The thread ends when this is dropped or stopped.
#[derive(Debug)]
pub(super) struct Watcher {
    watches: Arc<Watches>,
    /// Closed to end the thread.
    running: Mutex<Option<UnixStream>>,
}

#[derive(Debug)]
struct Watches {
    growing: Changes,
    whole: Changes,
}

/// Changes of one kind.
#[derive(Debug)]
struct Changes {
    fd: OwnedFd,
    flags: WatchFlags,
    wakes: Mutex<HashMap<i32, Arc<Notify>>>,
}

/// The watches on one folder.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    growing: i32,
    whole: i32,
}

impl Watcher {
    /// A watcher, and the work of its thread.
    pub(super) fn new() -> io::Result<(Self, impl FnOnce() + Send + 'static)> {
        let (running, stopped) = UnixStream::pair()?;
        let watches = Arc::new(Watches {
            growing: Changes::new(WatchFlags::MODIFY | WatchFlags::CREATE)?,
            whole: Changes::new(WatchFlags::MOVED_TO)?,
        });
        let thread = Arc::clone(&watches);
        Ok((
            Self {
                watches,
                running: Mutex::new(Some(running)),
            },
            move || thread.run(&stopped),
        ))
    }

    /// Notifies `wake` of changes in `folder` until [`Self::remove`] is called with the returned watch.
    pub(super) fn add(&self, folder: &Path, wake: &Arc<Notify>) -> io::Result<Watch> {
        let whole = self.watches.whole.add(folder, wake)?;
        match self.watches.growing.add(folder, wake) {
            Ok(growing) => Ok(Watch { growing, whole }),
            Err(error) => {
                self.watches.whole.remove(whole);
                Err(error)
            }
        }
    }

    pub(super) fn remove(&self, watch: Watch) {
        self.watches.growing.remove(watch.growing);
        self.watches.whole.remove(watch.whole);
    }

    /// Ends the thread.
    pub(super) fn stop(&self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Watches {
    /// Passes changes on until the other end of `stopped` is closed.
    fn run(&self, stopped: &UnixStream) {
        // When what is gathered is passed on.
        let mut due: Option<Monotonic> = None;
        loop {
            let mut fds = [
                PollFd::new(stopped, PollFlags::IN),
                PollFd::new(&self.whole.fd, PollFlags::IN),
                PollFd::new(&self.growing.fd, PollFlags::IN),
            ];
            // While changes gather, no further one of them wakes this thread.
            let watched = if due.is_some() {
                &mut fds[..2]
            } else {
                &mut fds[..]
            };
            let pause = due.map(|due| timespec(due.saturating_since(SystemClock.monotonic())));
            match rustix::event::poll(watched, pause.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "changes of files are noticed late"
                    );
                    return;
                }
            }
            if !fds[0].revents().is_empty() {
                return;
            }
            if !fds[1].revents().is_empty() {
                self.whole.pass_on();
            }
            match due {
                Some(at) if at <= SystemClock.monotonic() => {
                    self.growing.pass_on();
                    due = None;
                }
                Some(_) => {}
                None if fds[2].revents().is_empty() => {}
                None => due = Some(SystemClock.monotonic() + GATHER),
            }
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: duration.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

impl Changes {
    fn new(flags: WatchFlags) -> io::Result<Self> {
        Ok(Self {
            fd: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?,
            flags,
            wakes: Mutex::default(),
        })
    }

    fn wakes(&self) -> MutexGuard<'_, HashMap<i32, Arc<Notify>>> {
        self.wakes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, folder: &Path, wake: &Arc<Notify>) -> io::Result<i32> {
        let watch = inotify::add_watch(&self.fd, folder, self.flags)?;
        self.wakes().insert(watch, Arc::clone(wake));
        Ok(watch)
    }

    fn remove(&self, watch: i32) {
        if self.wakes().remove(&watch).is_some() {
            // Gone already if the folder is.
            let _ = inotify::remove_watch(&self.fd, watch);
        }
    }

    fn pass_on(&self) {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.fd, &mut buffer);
        let mut changed: Vec<i32> = Vec::new();
        loop {
            match reader.next() {
                Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => {
                    self.wakes().values().for_each(|wake| wake.notify_one());
                }
                // Not read for metrics.
                Ok(event)
                    if event
                        .file_name()
                        .is_some_and(|name| name.to_bytes() == b"stderr.log") => {}
                Ok(event) if changed.contains(&event.wd()) => {}
                Ok(event) => changed.push(event.wd()),
                Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
        let wakes = self.wakes();
        for wake in changed.iter().filter_map(|watch| wakes.get(watch)) {
            wake.notify_one();
        }
    }
}
