//! One attempt, as the daemon sees it.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tunesmith_common::clock::Timestamp;
use tunesmith_common::id::{LeaseKey, MetricName};
use tunesmith_common::measurement::PointBatch;
use tunesmith_common::study::Resources;
use tunesmith_common::usage::{UsageSample, UsageSeries};
use tunesmith_common::worker::{AttemptEnd, HeldAttempt};

use super::folder::{self, Folder};
use super::keeping::Kept;
use super::records::{Launch, ProcessId, State, StopOrder, StopWhy};
use super::spool::Spool;
use super::store::{AttemptError, Shared};
use super::watch::Wake;

/// Why an attempt is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopKind {
    /// The coordinator asked: the end carries [`tunesmith_common::worker::StopCause::Asked`].
    Asked,
    /// The worker leaves: the end is [`tunesmith_common::worker::AttemptOutcome::HandedBack`].
    Drain,
}

/// A request to stop an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopRequest {
    /// On whose behalf.
    pub kind: StopKind,
    /// Why, for the program (stop file, `should_stop`) and for people.
    pub reason: String,
    /// Time between SIGTERM to the leader and SIGTERM to its whole group; SIGKILL comes 5 s later.
    pub grace: Duration,
}

/// One attempt. Cheap to clone; dropping it changes nothing.
#[derive(Clone, Debug)]
pub struct Attempt(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) folder: Folder,
    pub(super) launch: Launch,
    pub(super) resources: Resources,
    pub(super) spool: Arc<Spool>,
    pub(super) shared: Weak<Shared>,
    status: Mutex<Status>,
    /// One writer of the stop order at a time.
    stopping: tokio::sync::Mutex<()>,
    /// Wakes the attempt's task.
    pub(super) wake: Wake,
    /// Number of the last point that was told of.
    told_seq: AtomicU64,
    /// Cancelled at the end.
    pub(super) over: CancellationToken,
}

#[derive(Debug, Default)]
struct Status {
    started: Option<(u32, Timestamp)>,
    checkpoint: Option<Kept>,
    /// Whether somebody was told of it.
    checkpoint_told: bool,
    end: Option<AttemptEnd>,
    usage: UsageSeries,
}

impl Inner {
    pub(super) fn new(folder: Folder, launch: Launch, spool: Arc<Spool>, shared: Weak<Shared>) -> Self {
        // What an earlier daemon had seen.
        let usage = folder::read_json(&folder.usage()).ok().flatten();
        let status = Status {
            usage: usage.unwrap_or_default(),
            ..Status::default()
        };
        Self {
            resources: (&launch.promised).into(),
            told_seq: AtomicU64::new(spool.last_seq()),
            folder,
            launch,
            spool,
            shared,
            status: Mutex::new(status),
            stopping: tokio::sync::Mutex::default(),
            wake: Wake::default(),
            over: CancellationToken::new(),
        }
    }

    fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_started(&self, pid: u32, at: Timestamp) {
        self.status().started = Some((pid, at));
    }

    /// Process id and start time of its program, once it runs.
    pub(super) fn started(&self) -> Option<(u32, Timestamp)> {
        self.status().started
    }

    pub(super) fn set_checkpoint(&self, checkpoint: Kept) {
        let mut status = self.status();
        status.checkpoint = Some(checkpoint);
        status.checkpoint_told = false;
    }

    /// Whether nobody was told yet of its newest checkpoint.
    pub(super) fn has_untold_checkpoint(&self) -> bool {
        let status = self.status();
        status.checkpoint.is_some() && !status.checkpoint_told
    }

    /// Whether somebody is to be told of points; who asks must tell, or call [`Self::points_were_not_told`].
    pub(super) fn has_untold_points(&self) -> bool {
        let last = self.spool.last_seq();
        self.told_seq.fetch_max(last, Ordering::SeqCst) < last
    }

    /// They are to be told of again.
    pub(super) fn points_were_not_told(&self) {
        self.told_seq.store(0, Ordering::SeqCst);
    }

    /// What it has used so far.
    pub(super) fn usage(&self) -> UsageSeries {
        self.status().usage.clone()
    }

    pub(super) fn set_end(&self, end: AttemptEnd) {
        self.status().end = Some(end);
        self.over.cancel();
    }

    pub(super) fn error(&self, action: &'static str, path: &Path, source: io::Error) -> AttemptError {
        AttemptError::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

impl Attempt {
    /// Its lease.
    #[must_use]
    pub fn lease(&self) -> LeaseKey {
        self.0.launch.lease
    }

    /// UUIDs of the GPUs it was given.
    #[must_use]
    pub fn gpus(&self) -> &[String] {
        &self.0.launch.gpus
    }

    /// What it was promised of the machine.
    #[must_use]
    pub fn resources(&self) -> &Resources {
        &self.0.resources
    }

    /// The objective's metric, if the coordinator named one.
    #[must_use]
    pub fn objective(&self) -> Option<&MetricName> {
        self.0.launch.metrics.first()
    }

    /// Time between SIGTERM and SIGKILL that its study gives it.
    #[must_use]
    pub fn grace(&self) -> Duration {
        self.0.launch.grace
    }

    /// Process id and start time of its program, once it runs.
    #[must_use]
    pub fn started(&self) -> Option<(u32, Timestamp)> {
        self.0.started()
    }

    /// The newest of its checkpoints that is stored, as far as this daemon knows.
    pub(crate) fn checkpoint(&self) -> Option<Kept> {
        self.0.status().checkpoint.clone()
    }

    /// Somebody was told of [`Self::checkpoint`]: the next one may be stored.
    pub(crate) fn checkpoint_was_told(&self) {
        self.0.status().checkpoint_told = true;
        self.0.wake.all();
    }

    /// What it has used so far.
    pub(crate) fn usage(&self) -> UsageSeries {
        self.0.usage()
    }

    /// What it used last. Returns how many samples there are. Written down only if asked to: what is lost is a minute of a chart.
    pub(crate) fn used(&self, sample: UsageSample, write: bool) -> u64 {
        let mut status = self.0.status();
        status.usage.push(sample);
        if write && let Err(error) = folder::write_json_unsynced(&self.0.folder.usage(), &status.usage) {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "what an attempt used is not written down"
            );
        }
        status.usage.samples()
    }

    /// Its supervisor, as that has written down.
    pub(crate) fn supervisor(&self) -> Option<ProcessId> {
        let state: State = folder::read_json(&self.0.folder.state()).ok().flatten()?;
        Some(state.supervisor)
    }

    /// How it ended, once it has; the same after a restart of the daemon.
    #[must_use]
    pub fn end(&self) -> Option<AttemptEnd> {
        self.0.status().end.clone()
    }

    /// What a `hello` says about it.
    #[must_use]
    pub fn held(&self) -> HeldAttempt {
        let status = self.0.status();
        HeldAttempt {
            lease: self.lease(),
            started: status.started.is_some(),
            ended: status.end.is_some(),
        }
    }

    /// Sequence number of the last point in the spool; 0 if there is none.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.0.spool.last_seq()
    }

    /// Points `from_seq ..`, at most `max` of them, in order and without gaps; the first one has `from_seq`. Empty if there
    /// are none yet. `metrics` of the batch holds the names that occur in it.
    ///
    /// # Errors
    /// [`AttemptError::Io`] if the spool cannot be read.
    pub async fn read_points(&self, from_seq: u64, max: usize) -> Result<PointBatch, AttemptError> {
        if let Some(batch) = self.0.spool.recent(from_seq, max) {
            return Ok(batch);
        }
        let spool = Arc::clone(&self.0.spool);
        let read = blocking(move || spool.read(from_seq, max)).await;
        read.map_err(|source| self.0.error("read", &self.0.folder.spool(), source))
    }

    /// Asks the attempt to stop; its end arrives as an event. Asking again, or asking an attempt that has ended, changes
    /// nothing, but that [`StopKind::Asked`] takes the place of [`StopKind::Drain`], and a shorter grace that of a longer one.
    ///
    /// # Errors
    /// [`AttemptError::Io`] if the request could not be written down.
    pub async fn request_stop(&self, request: StopRequest) -> Result<(), AttemptError> {
        let why = match request.kind {
            StopKind::Asked => StopWhy::Asked,
            StopKind::Drain => StopWhy::Drain,
        };
        self.order(StopOrder {
            why,
            reason: request.reason,
            grace: request.grace,
        })
        .await
    }

    /// The lease is lost: kills everything of the attempt at once and keeps its files. Its end arrives as an event with
    /// [`tunesmith_common::worker::AttemptOutcome::Lost`].
    ///
    /// # Errors
    /// [`AttemptError::Io`] if the request could not be written down.
    pub async fn kill_stale(&self) -> Result<(), AttemptError> {
        let reason = "the lease is no longer valid".to_owned();
        self.order(StopOrder {
            why: StopWhy::Stale,
            reason,
            grace: Duration::ZERO,
        })
        .await
    }

    async fn order(&self, order: StopOrder) -> Result<(), AttemptError> {
        if self.0.over.is_cancelled() {
            return Ok(());
        }
        let _one = self.0.stopping.lock().await;
        let folder = self.0.folder.clone();
        let written = blocking(move || {
            let earlier: Option<StopOrder> = folder::read_json(&folder.stop_order())?;
            let order = merge(earlier, order);
            folder.with_reserve(|| folder::write_json_unsynced(&folder.stop_order(), &order))?;
            ring(&folder);
            Ok(())
        });
        written
            .await
            .map_err(|source| self.0.error("write", &self.0.folder.stop_order(), source))?;
        self.0.wake.all();
        Ok(())
    }

    /// The end is stored elsewhere, or of no interest: the attempt is no longer listed, and its folder is removed when the retention
    /// has passed. Of an attempt that still runs the folder is kept until it has ended.
    ///
    /// # Errors
    /// [`AttemptError::Io`] if that could not be written down.
    pub async fn forget(&self) -> Result<(), AttemptError> {
        let folder = self.0.folder.clone();
        // Not synced: if a power failure undoes it, the coordinator says it again.
        let written =
            blocking(move || folder.with_reserve(|| folder::write_unsynced(&folder.forgotten(), b""))).await;
        written.map_err(|source| self.0.error("write", &self.0.folder.forgotten(), source))?;
        if let Some(shared) = self.0.shared.upgrade() {
            shared.remove(&self.lease());
        }
        Ok(())
    }
}

fn merge(earlier: Option<StopOrder>, order: StopOrder) -> StopOrder {
    let Some(earlier) = earlier else { return order };
    let grace = earlier.grace.min(order.grace);
    let takes_its_place =
        order.why == StopWhy::Stale || (earlier.why == StopWhy::Drain && order.why == StopWhy::Asked);
    StopOrder {
        grace,
        ..if takes_its_place { order } else { earlier }
    }
}

/// Wakes the supervisor. If nobody hears it there is no supervisor, or it will look by itself soon.
fn ring(folder: &Folder) {
    let flags = (rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW)
        .bits()
        .cast_signed();
    if let Ok(mut bell) = File::options()
        .write(true)
        .custom_flags(flags)
        .open(folder.doorbell())
    {
        let _ = bell.write(b"!");
    }
}

/// Runs file work where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
}
