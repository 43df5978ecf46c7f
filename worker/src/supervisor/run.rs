//! Carries out the plan: waits for the program, for orders and for time, and acts.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use tunesmith_common::clock::{Clock, Monotonic, SystemClock};

use super::plan::{Action, Facts, Plan};
use super::process::{self, Process};
use super::program;
use crate::attempt::folder::{self, Folder, is_full};
use crate::attempt::records::{Exit, How, Launch, ProcessId, State, StopNotice, StopOrder, StopWhy};

/// How often to look after the daemon, and for orders of which no bell was heard.
const TICK: Duration = Duration::from_secs(2);
/// Memory is looked at soon after the start, then ever more rarely: a high-water mark needs no more.
const FIRST_SAMPLE: Duration = Duration::from_millis(100);
const SAMPLE_EVERY: Duration = Duration::from_secs(10);
/// How long to wait between tries to write the end to a full disk.
const FULL_DISK_RETRY: Duration = Duration::from_secs(1);
/// While the program has ended and something of it lives, it is looked for this often.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Runs the attempt to its end.
pub(super) fn supervise(folder: &Folder) -> io::Result<()> {
    rustix::stdio::dup2_stderr(folder::create(&folder.supervisor_log())?)?;
    let lock = folder::create(&folder.supervisor_lock())?;
    if lock.try_lock().is_err() {
        return Err(io::Error::other("another supervisor has this attempt"));
    }
    let launch: Launch =
        folder::read_json(&folder.launch())?.ok_or_else(|| io::Error::other("no launch.json"))?;
    if folder.exit().exists() {
        return Err(io::Error::other("this attempt has ended"));
    }
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let bells = Bells::open(folder)?;
    let state = State {
        boot_id: process::boot_id(),
        supervisor: process::this()?,
        program: None,
        started_at: None,
    };
    // Not synced: it is about processes, which a power failure ends.
    let written = folder.with_reserve(|| folder::write_json_unsynced(&folder.state(), &state));
    if let Err(error) = written {
        let text = format!("cannot write {}: {error}", folder.state().display());
        return end(
            folder,
            &Exit::without_program(How::LaunchFailed(text), SystemClock.now()),
        );
    }
    if let Some(order) = order(folder) {
        let exit = Exit::without_program(How::NotStarted, SystemClock.now());
        return end(
            folder,
            &Exit {
                stopped: Some(order.why),
                ..exit
            },
        );
    }
    match program::start(folder, &launch) {
        Ok(child) => Supervisor::new(folder, &launch, bells, state, &child).run(),
        Err(text) => end(
            folder,
            &Exit::without_program(How::LaunchFailed(text), SystemClock.now()),
        ),
    }
}

/// The daemon's order, if there is one that can be read.
fn order(folder: &Folder) -> Option<StopOrder> {
    folder::read_json(&folder.stop_order()).ok().flatten()
}

/// Writes the end, and then waits until it is on the disk: the daemon goes on meanwhile. A full disk only delays it.
fn end(folder: &Folder, exit: &Exit) -> io::Result<()> {
    loop {
        let written = folder.with_reserve(|| folder::write_json_unsynced(&folder.exit(), exit));
        match written.and_then(|()| folder::sync(&folder.exit())) {
            Err(error) if is_full(&error) => std::thread::sleep(FULL_DISK_RETRY),
            result => return result,
        }
    }
}

/// What wakes the supervisor: signals, and the pipe through which the daemon says that there is an order.
struct Bells {
    ended: UnixStream,
    told: UnixStream,
    doorbell: OwnedFd,
}

impl Bells {
    fn open(folder: &Folder) -> io::Result<Self> {
        let (ended, ended_writer) = UnixStream::pair()?;
        let (told, told_writer) = UnixStream::pair()?;
        signal_hook::low_level::pipe::register(SIGCHLD, ended_writer)?;
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            signal_hook::low_level::pipe::register(signal, told_writer.try_clone()?)?;
        }
        for stream in [&ended, &told] {
            stream.set_nonblocking(true)?;
        }
        let path = folder.doorbell();
        match rustix::fs::mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        // For writing too, so that it never reads as closed.
        let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
        let doorbell = File::options()
            .read(true)
            .write(true)
            .custom_flags(flags)
            .open(path)?
            .into();
        Ok(Self {
            ended,
            told,
            doorbell,
        })
    }

    /// Waits for a bell or until `timeout`. Returns whether a signal told us to end.
    fn wait(&self, timeout: Duration) -> io::Result<bool> {
        let timeout = Timespec {
            tv_sec: timeout.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        let flags = PollFlags::IN;
        let mut fds = [
            PollFd::new(&self.ended, flags),
            PollFd::new(&self.told, flags),
            PollFd::new(&self.doorbell, flags),
        ];
        match rustix::event::poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        drain(&self.ended);
        drain(&self.doorbell);
        Ok(drain(&self.told))
    }
}

/// Reads everything there is; whether there was anything.
fn drain(fd: impl AsFd) -> bool {
    let mut buffer = [0_u8; 64];
    let mut any = false;
    while rustix::io::read(fd.as_fd(), &mut buffer).is_ok_and(|count| count > 0) {
        any = true;
    }
    any
}

struct Supervisor<'a> {
    folder: &'a Folder,
    launch: &'a Launch,
    bells: Bells,
    plan: Plan,
    leader: ProcessId,
    how: Option<How>,
    daemon_lock: Option<File>,
    daemon_seen: Monotonic,
    next_sample: Monotonic,
    sample_every: Duration,
    peak_memory: u64,
    oom_kills: u64,
    oom_killed: bool,
    leftovers: std::collections::HashSet<ProcessId>,
}

impl<'a> Supervisor<'a> {
    fn new(folder: &'a Folder, launch: &'a Launch, bells: Bells, mut state: State, child: &Child) -> Self {
        let now = SystemClock.monotonic();
        let pid = i32::try_from(child.id()).unwrap_or_default();
        // Not reaped before the end, so that it is there even if it has ended already.
        let leader = process::one(pid).map_or(ProcessId { pid, start_ticks: 0 }, |process| process.id);
        state.program = Some(leader);
        state.started_at = Some(SystemClock.now());
        // Without it the daemon cannot say that the program runs; it will be told how it ended.
        let _ = folder.with_reserve(|| folder::write_json_unsynced(&folder.state(), &state));
        Self {
            folder,
            launch,
            bells,
            plan: Plan::new(now, launch.max_runtime, launch.grace),
            leader,
            how: None,
            daemon_lock: File::open(&launch.daemon_lock).ok(),
            daemon_seen: now,
            next_sample: now + FIRST_SAMPLE,
            sample_every: FIRST_SAMPLE,
            peak_memory: 0,
            oom_kills: process::oom_kills(),
            oom_killed: false,
            leftovers: std::collections::HashSet::new(),
        }
    }

    fn run(mut self) -> io::Result<()> {
        let mut told = false;
        loop {
            let now = SystemClock.monotonic();
            self.look_at_leader();
            if told {
                self.plan
                    .stop_here(now, StopWhy::Signal, "the worker's machine is shutting down");
            }
            // An order for a program that has just ended by itself comes too late.
            let late = self.how.is_some() && self.plan.why().is_none();
            if let Some(order) = order(self.folder).filter(|order| !late || order.why == StopWhy::Stale) {
                self.plan.stop(now, order.why, &order.reason, order.grace);
            }
            self.look_after_daemon(now);
            let others = self.others(now);
            let facts = Facts {
                leader: self.how.is_none(),
                others: !others.is_empty(),
            };
            for action in self.plan.step(now, facts) {
                self.act(&action, &others);
            }
            if !facts.leader && !facts.others {
                return self.finish();
            }
            told = self.bells.wait(self.pause(now, facts))?;
        }
    }

    fn pause(&self, now: Monotonic, facts: Facts) -> Duration {
        let latest = if facts.leader { TICK } else { LOOK_AGAIN };
        [Some(self.next_sample), self.plan.next()]
            .into_iter()
            .flatten()
            .map(|at| at.saturating_since(now))
            .fold(latest, Duration::min)
            // An order that keeps the same deadline must not make this a busy loop.
            .max(Duration::from_millis(1))
    }

    /// Looks whether the program has ended, without removing it: its number stays taken until everything else is gone.
    fn look_at_leader(&mut self) {
        if self.how.is_some() {
            return;
        }
        let Some(pid) = Pid::from_raw(self.leader.pid) else {
            self.how = Some(How::Lost("the program has no process id".to_owned()));
            return;
        };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.how = match rustix::process::waitid(WaitId::Pid(pid), options) {
            Ok(None) | Err(Errno::INTR) => None,
            Ok(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => Some(How::Exited(code)),
                (None, Some(signal)) => Some(How::Signalled(signal)),
                (None, None) => None,
            },
            Err(error) => Some(How::Lost(format!("its exit status is unknown: {error}"))),
        };
        if self.how.is_some() {
            self.oom_killed = process::oom_kills() > self.oom_kills;
        }
    }

    /// Everything the program started, as far as it matters now: while it runs, only for its memory and for those that have
    /// ended and are ours to remove.
    fn others(&mut self, now: Monotonic) -> Vec<Process> {
        let stopping = self.plan.next().is_some_and(|at| at <= now);
        let sample = now >= self.next_sample;
        if self.how.is_none() && !stopping && !sample && self.plan.why().is_none() {
            return Vec::new();
        }
        if self.how.is_some() && process::has_no_child_but(self.leader.pid) {
            return Vec::new();
        }
        let this = rustix::process::getpid().as_raw_pid();
        let all = process::descendants(&process::all(), this);
        for process in all
            .iter()
            .filter(|process| process.zombie && process.parent == this)
        {
            if let (false, Some(pid)) = (process.id == self.leader, Pid::from_raw(process.id.pid)) {
                let _ =
                    rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
            }
        }
        let alive: Vec<Process> = all.into_iter().filter(|process| !process.zombie).collect();
        if sample {
            self.peak_memory = self.peak_memory.max(process::memory(&alive));
            self.sample_every = (self.sample_every * 2).min(SAMPLE_EVERY);
            self.next_sample = now + self.sample_every;
            if self.how.is_none() {
                self.oom_kills = process::oom_kills();
            }
        }
        alive
            .into_iter()
            .filter(|process| process.id != self.leader)
            .collect()
    }

    fn look_after_daemon(&mut self, now: Monotonic) {
        // Whoever can take the lock knows that no daemon has it. Shared, so that supervisors do not disturb each other.
        let daemon_lives = self.daemon_lock.as_ref().is_none_or(|lock| {
            let taken = lock.try_lock_shared().is_ok();
            if taken {
                let _ = lock.unlock();
            }
            !taken
        });
        if daemon_lives {
            self.daemon_seen = now;
        } else if now.saturating_since(self.daemon_seen) >= self.launch.orphan_timeout {
            self.plan
                .stop_here(now, StopWhy::Orphaned, "the worker daemon is gone");
        }
    }

    fn act(&mut self, action: &Action, others: &[Process]) {
        match action {
            Action::Announce(reason) => {
                // The signal says it too.
                let notice = StopNotice {
                    reason: reason.clone(),
                };
                let _ = folder::write_json_unsynced(&self.folder.stop(), &notice);
            }
            Action::TerminateLeader => {
                process::signal(self.leader, Signal::TERM);
                // A program that was halted hears nothing.
                process::signal(self.leader, Signal::CONT);
            }
            Action::TerminateAll => {
                for signal in [Signal::TERM, Signal::CONT] {
                    self.signal_all(others, signal);
                }
            }
            Action::KillAll => self.signal_all(others, Signal::KILL),
        }
    }

    fn signal_all(&mut self, others: &[Process], signal: Signal) {
        if self.how.is_some() {
            self.leftovers.extend(others.iter().map(|process| process.id));
        }
        // The group at once, so that nobody in it can fork away; its number is ours while the leader is not removed.
        if let Some(group) = Pid::from_raw(self.leader.pid) {
            let _ = rustix::process::kill_process_group(group, signal);
        }
        if self.how.is_none() {
            // It may have left its group.
            process::signal(self.leader, signal);
        }
        for process in others {
            process::signal(process.id, signal);
        }
    }

    fn finish(self) -> io::Result<()> {
        if let Some(pid) = Pid::from_raw(self.leader.pid) {
            let _ = rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
        }
        let exit = Exit {
            how: self
                .how
                .unwrap_or_else(|| How::Lost("nobody saw it end".to_owned())),
            stopped: self.plan.why(),
            ended_at: SystemClock.now(),
            peak_memory: self.peak_memory,
            oom_killed: self.oom_killed,
            leftovers: self.leftovers.len() as u64,
        };
        end(self.folder, &exit)
    }
}
