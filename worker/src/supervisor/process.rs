//! Processes of this machine, from `/proc`: who descends from whom, and signals that reach only whom they are meant for.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal};

use crate::attempt::prepare::MARKER;
use crate::attempt::records::ProcessId;

/// One process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) id: ProcessId,
    pub(crate) parent: i32,
    pub(crate) session: i32,
    /// Ended, but its parent has not looked yet.
    pub(crate) zombie: bool,
}

/// All processes that can be seen.
pub(crate) fn all() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| one(entry.file_name().to_str()?.parse().ok()?))
        .collect()
}

/// The process with this number, if there is one.
pub(crate) fn one(pid: i32) -> Option<Process> {
    parse(pid, &std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// This process.
pub(crate) fn this() -> io::Result<ProcessId> {
    let pid = rustix::process::getpid().as_raw_pid();
    one(pid)
        .map(|process| process.id)
        .ok_or_else(|| io::Error::other("/proc does not show this process"))
}

fn parse(pid: i32, stat: &str) -> Option<Process> {
    // The name in parentheses may hold anything, parentheses too.
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Process {
        id: ProcessId {
            pid,
            start_ticks: fields.get(19)?.parse().ok()?,
        },
        zombie: matches!(*fields.first()?, "Z" | "X"),
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
    })
}

/// Whether `ended` is the only child of this process, of which there is one thread. If it is a zombie and this process a subreaper, nothing
/// that it started lives then: whoever lost its parent would be a child of this process. False if that cannot be told.
pub(crate) fn has_no_child_but(ended: i32) -> bool {
    std::fs::read_to_string("/proc/thread-self/children")
        .is_ok_and(|children| children.trim() == ended.to_string())
}

/// Of `processes`, those that descend from the process `root`.
pub(crate) fn descendants(processes: &[Process], root: i32) -> Vec<Process> {
    closure(processes, HashSet::from([root]))
        .into_iter()
        .filter(|process| process.id.pid != root)
        .collect()
}

/// Of `processes`, those in `known` and their descendants.
fn closure(processes: &[Process], mut known: HashSet<i32>) -> Vec<Process> {
    loop {
        let before = known.len();
        let children = processes.iter().filter(|process| known.contains(&process.parent));
        let children: Vec<i32> = children.map(|process| process.id.pid).collect();
        known.extend(children);
        if known.len() == before {
            return processes
                .iter()
                .filter(|process| known.contains(&process.id.pid))
                .copied()
                .collect();
        }
    }
}

/// Processes of the attempt in `folder` whose supervisor is gone: those that carry its mark in their environment, those of the
/// supervisor's session, and whatever descends from them.
pub(crate) fn leftovers(folder: &Path, supervisor: Option<ProcessId>) -> Vec<Process> {
    let processes = all();
    let mark = [MARKER.as_bytes(), b"=", folder.as_os_str().as_encoded_bytes()].concat();
    let this = rustix::process::getpid().as_raw_pid();
    let in_session = |process: &Process| {
        supervisor.is_some_and(|supervisor| {
            // A session's number is not given away while somebody is in it; a later session of the same number has a leader.
            process.session == supervisor.pid
                && process.id.start_ticks >= supervisor.start_ticks
                && !processes
                    .iter()
                    .any(|other| other.id.pid == supervisor.pid && other.id != supervisor)
        })
    };
    let marked = |process: &Process| {
        let environment = std::fs::read(format!("/proc/{}/environ", process.id.pid)).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == mark)
    };
    let known = processes
        .iter()
        .filter(|process| {
            process.id.pid != this && !process.zombie && (in_session(process) || marked(process))
        })
        .map(|process| process.id.pid)
        .collect();
    closure(&processes, known)
        .into_iter()
        .filter(|process| process.id.pid != this && !process.zombie)
        .collect()
}

/// Sends a signal to the process that is meant, or to nobody.
pub(crate) fn signal(process: ProcessId, signal: Signal) {
    let Some(pid) = Pid::from_raw(process.pid) else {
        return;
    };
    match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        Ok(handle) => {
            // The handle is of whoever has the number now: it is the one that is meant if it is still so old.
            if one(process.pid).is_some_and(|found| found.id == process) {
                let _ = rustix::process::pidfd_send_signal(handle, signal);
            }
        }
        Err(rustix::io::Errno::NOSYS) if one(process.pid).is_some_and(|found| found.id == process) => {
            let _ = rustix::process::kill_process(pid, signal);
        }
        Err(_) => {}
    }
}

/// Main memory that these processes use now, in bytes; what they share is counted for each.
pub(crate) fn memory(processes: &[Process]) -> u64 {
    processes
        .iter()
        .filter_map(|process| resident(process.id.pid))
        .sum()
}

/// Clock ticks that these processes have had of processors, with those of their children that have ended and were waited for.
pub(crate) fn ticks(processes: &[Process]) -> u64 {
    let of = |process: &Process| {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id.pid)).ok()?;
        parse_ticks(&stat)
    };
    processes.iter().filter_map(of).sum()
}

fn parse_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().skip(11).take(4).collect();
    fields.iter().map(|ticks| ticks.parse::<u64>().ok()).sum()
}

/// Clock ticks of a second, by which the kernel counts.
pub(crate) fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second().max(1)
}

fn resident(pid: i32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Identity of the running kernel.
pub(crate) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

/// How many processes the kernel has killed for memory: in this process's cgroup if it says, else on the machine.
pub(crate) fn oom_kills() -> u64 {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"));
    let events = own.map(|path| format!("/sys/fs/cgroup/{path}/memory.events"));
    let text = events.and_then(|path| std::fs::read_to_string(path).ok());
    let text = text
        .or_else(|| std::fs::read_to_string("/proc/vmstat").ok())
        .unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill "))
        .and_then(|count| count.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_whose_name_looks_like_its_state_is_read_rightly() {
        let stat = "42 (a) Z 1 2) R 7 42 40 0 -1 4194304 1 0 0 0 1 1 0 0 20 0 1 0 987654 1 1 1";
        let process = parse(42, stat).unwrap();
        let expected = Process {
            id: ProcessId {
                pid: 42,
                start_ticks: 987_654,
            },
            parent: 7,
            session: 40,
            zombie: false,
        };
        assert_eq!(process, expected);
        assert_eq!(parse(42, "42 (x"), None);
        let worked = "42 (a) Z 1 2) R 7 42 40 0 -1 4194304 1 0 0 0 10 20 3 4 20 0 1 0 987654 1 1 1";
        assert_eq!(parse_ticks(worked), Some(37));
        assert_eq!(parse_ticks("42 (x"), None);
    }

    #[test]
    fn descendants_are_found_through_any_number_of_generations() {
        let process = |pid, parent| Process {
            id: ProcessId { pid, start_ticks: 1 },
            parent,
            session: 0,
            zombie: false,
        };
        let all = [
            process(5, 4),
            process(4, 3),
            process(3, 2),
            process(2, 1),
            process(9, 1),
            process(10, 9),
        ];
        let mut found: Vec<i32> = descendants(&all, 2)
            .iter()
            .map(|process| process.id.pid)
            .collect();
        found.sort_unstable();
        assert_eq!(found, [3, 4, 5]);
    }

    #[test]
    fn a_second_child_is_seen_until_it_is_reaped() {
        // Children belong to the thread that made them: those of other tests do not count.
        let sleep = || std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let (mut leader, mut other) = (sleep(), sleep());
        let leader_pid = i32::try_from(leader.id()).unwrap();
        assert!(!has_no_child_but(leader_pid));
        other.kill().unwrap();
        other.wait().unwrap();
        let listed = std::path::Path::new("/proc/thread-self/children").exists();
        assert_eq!(has_no_child_but(leader_pid), listed);
        leader.kill().unwrap();
        leader.wait().unwrap();
        assert!(!has_no_child_but(leader_pid));
    }

    #[test]
    fn a_number_that_another_process_has_now_is_not_signalled() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let id = one(i32::try_from(child.id()).unwrap()).unwrap().id;
        signal(
            ProcessId {
                start_ticks: id.start_ticks + 1,
                ..id
            },
            Signal::KILL,
        );
        // Were it delivered, this second signal would not be the one that ended it.
        signal(id, Signal::TERM);
        let status = child.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
    }
}
