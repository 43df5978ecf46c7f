//! Processors and main memory of the whole machine, from `/proc`.

use std::path::Path;

/// What is in use of the machine, by whomever. Zeros where the system does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct MachineUse {
    /// Processor cores in use since the look before, and those there are.
    pub(crate) cpus: f64,
    pub(crate) all_cpus: f64,
    /// Main memory in use, and that there is, in bytes.
    pub(crate) memory: u64,
    pub(crate) all_memory: u64,
}

/// Clock ticks of all processors since the machine was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticks {
    busy: u64,
    all: u64,
    cores: u32,
}

/// Looks, and remembers what the next look compares with.
pub(super) fn look(before: Option<&Ticks>) -> (MachineUse, Option<Ticks>) {
    look_below(Path::new("/proc"), before)
}

fn look_below(proc: &Path, before: Option<&Ticks>) -> (MachineUse, Option<Ticks>) {
    let read = |name: &str| std::fs::read_to_string(proc.join(name)).unwrap_or_default();
    let now = ticks(&read("stat"));
    let meminfo = read("meminfo");
    let bytes = |name: &str| kibibytes(&meminfo, name).map(|size| size.saturating_mul(1024));
    let all_memory = bytes("MemTotal:").unwrap_or(0);
    let free = bytes("MemAvailable:").unwrap_or(all_memory);
    let cpus = now.zip(before.copied()).map_or(0.0, |(now, before)| {
        let passed = now.all.saturating_sub(before.all).max(1);
        now.busy.saturating_sub(before.busy) as f64 / passed as f64 * f64::from(now.cores)
    });
    let found = MachineUse {
        cpus,
        all_cpus: now.map_or(0.0, |ticks| f64::from(ticks.cores)),
        memory: all_memory.saturating_sub(free),
        all_memory,
    };
    (found, now)
}

fn kibibytes(meminfo: &str, name: &str) -> Option<u64> {
    let rest = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
    rest.trim().strip_suffix("kB")?.trim_end().parse().ok()
}

/// Of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal; what guests had is in the first two.
fn ticks(stat: &str) -> Option<Ticks> {
    let mut lines = stat.lines();
    let all: Vec<u64> = lines
        .next()?
        .strip_prefix("cpu ")?
        .split_ascii_whitespace()
        .take(8)
        .map_while(|field| field.parse().ok())
        .collect();
    let idle = all.get(3)?.saturating_add(*all.get(4).unwrap_or(&0));
    let sum = all.iter().fold(0_u64, |sum, ticks| sum.saturating_add(*ticks));
    let cores = lines.take_while(|line| line.starts_with("cpu")).count();
    Some(Ticks {
        busy: sum.saturating_sub(idle),
        all: sum,
        cores: u32::try_from(cores).unwrap_or(u32::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_busy_since_the_look_before_and_memory_is_what_is_not_available() {
        let proc = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(proc.path().join(name), text).unwrap();
        write(
            "meminfo",
            "MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    400 kB\n",
        );
        write(
            "stat",
            "cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 1\ncpu1 1\nintr 5\n",
        );
        let (first, ticks) = look_below(proc.path(), None);
        assert_eq!(
            first,
            MachineUse {
                cpus: 0.0,
                all_cpus: 2.0,
                memory: 600 * 1024,
                all_memory: 1000 * 1024
            }
        );
        write(
            "stat",
            "cpu  160 0 115 720 105 0 0 0 90 0\ncpu0 1\ncpu1 1\nintr 5\n",
        );
        let (second, _) = look_below(proc.path(), ticks.as_ref());
        assert!((second.cpus - 1.5).abs() < 1e-9, "{second:?}");
        let (nothing, ticks) = look_below(Path::new("/nonexistent"), ticks.as_ref());
        assert_eq!((nothing, ticks), (MachineUse::default(), None));
    }
}
