//! Wakes an attempt's task when something in its folder changes. One inotify instance for all attempts, since a user has few.
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

use rustix::event::{PollFd, PollFlags};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use tokio::sync::Notify;

/// Changes are gathered for so long before they are passed on: a program often writes a line in two pieces, and one that prints a
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
    fd: OwnedFd,
    wakes: Mutex<HashMap<i32, Arc<Notify>>>,
}

impl Watcher {
    /// A watcher, and the work of its thread.
    pub(super) fn new() -> io::Result<(Self, impl FnOnce() + Send + 'static)> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let (running, stopped) = UnixStream::pair()?;
        let watches = Arc::new(Watches {
            fd,
            wakes: Mutex::default(),
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

    /// Notifies `wake` of changes in `folder` until [`Self::remove`] is called with the returned number.
    pub(super) fn add(&self, folder: &Path, wake: Arc<Notify>) -> io::Result<i32> {
        let flags = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO;
        let watch = inotify::add_watch(&self.watches.fd, folder, flags)?;
        self.watches.wakes().insert(watch, wake);
        Ok(watch)
    }

    pub(super) fn remove(&self, watch: i32) {
        if self.watches.wakes().remove(&watch).is_some() {
            // Gone already if the folder is.
            let _ = inotify::remove_watch(&self.watches.fd, watch);
        }
    }

    /// Ends the thread.
    pub(super) fn stop(&self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Watches {
    fn wakes(&self) -> MutexGuard<'_, HashMap<i32, Arc<Notify>>> {
        self.wakes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes changes on until the other end of `stopped` is closed.
    fn run(&self, stopped: &UnixStream) {
        loop {
            let mut fds = [
                PollFd::new(&self.fd, PollFlags::IN),
                PollFd::new(stopped, PollFlags::IN),
            ];
            match rustix::event::poll(&mut fds, None) {
                Ok(_) if !fds[1].revents().is_empty() => return,
                Ok(_) => {
                    std::thread::sleep(GATHER);
                    self.pass_on();
                }
                Err(Errno::INTR) => continue,
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
