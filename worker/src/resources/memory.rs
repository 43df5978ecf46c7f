//! Main memory that this process may use: the machine's, or less where a control group says so.

use std::path::{Path, PathBuf};

/// Bytes of main memory that this process may use; 0 if that cannot be found out.
pub(super) fn usable() -> u64 {
    usable_below(Path::new("/"))
}

/// As [`usable`], with the system's files below `root`.
fn usable_below(root: &Path) -> u64 {
    let machine = std::fs::read_to_string(root.join("proc/meminfo"))
        .ok()
        .and_then(|text| total_of_meminfo(&text));
    let limits = std::fs::read_to_string(root.join("proc/self/cgroup"))
        .map(|text| limit_files(&text))
        .unwrap_or_default();
    let limit = limits
        .iter()
        .filter_map(|path| read_limit(&root.join(path)))
        .min();
    match (machine, limit) {
        (Some(machine), Some(limit)) => machine.min(limit),
        (machine, limit) => machine.or(limit).unwrap_or(0),
    }
}

/// Bytes from the line `MemTotal:  16384 kB`.
fn total_of_meminfo(text: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    rest.trim()
        .strip_suffix("kB")?
        .trim_end()
        .parse::<u64>()
        .ok()?
        .checked_mul(1024)
}

/// Every file that may hold a limit: that of the process's own group and of each group above it, relative to the root.
fn limit_files(cgroups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in cgroups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let (mount, file) = if controllers.is_empty() {
            ("sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|controller| controller == "memory") {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            continue;
        };
        // Inside a container the path may be one of the host's, which is not mounted here: the group at the mount is then our own.
        for group in Path::new(path.trim_start_matches('/')).ancestors() {
            files.push(Path::new(mount).join(group).join(file));
        }
    }
    files
}

/// The limit in a file; none if there is no file, or it says `max`.
fn read_limit(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        root
    }

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:       16384 kB\nMemFree: 1 kB\n");

    #[test]
    fn a_machine_without_limits_offers_all_it_has() {
        let root = machine(&[
            MEMINFO,
            ("proc/self/cgroup", "0::/user.slice\n"),
            ("sys/fs/cgroup/user.slice/memory.max", "max\n"),
        ]);
        assert_eq!(usable_below(root.path()), 16_384 * 1024);
    }

    #[test]
    fn the_tightest_limit_of_all_groups_above_counts() {
        let root = machine(&[
            MEMINFO,
            ("proc/self/cgroup", "0::/job/step\n"),
            ("sys/fs/cgroup/job/memory.max", "4096\n"),
            ("sys/fs/cgroup/job/step/memory.max", "8192\n"),
        ]);
        assert_eq!(usable_below(root.path()), 4096);
    }

    #[test]
    fn version_one_groups_and_hidden_paths_are_understood() {
        let root = machine(&[
            MEMINFO,
            ("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/abc\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "12288\n"),
        ]);
        assert_eq!(usable_below(root.path()), 12_288);
        let unlimited = machine(&[
            MEMINFO,
            ("proc/self/cgroup", "4:memory:/\n"),
            (
                "sys/fs/cgroup/memory/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
        ]);
        assert_eq!(usable_below(unlimited.path()), 16_384 * 1024);
    }

    #[test]
    fn nothing_readable_is_zero() {
        assert_eq!(usable_below(Path::new("/nonexistent")), 0);
    }
}
