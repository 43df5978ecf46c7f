//! Which folders there are, and which of them may go.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tunesmith_common::clock::Timestamp;

use super::folder::{Folder, trials};
use super::options::StoreOptions;

/// Folders of attempts, those set aside left out.
pub(super) fn attempt_folders(state_dir: &Path) -> Vec<Folder> {
    let numbered = |path: &PathBuf| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.parse::<u32>().is_ok())
    };
    all_folders(state_dir)
        .into_iter()
        .filter(numbered)
        .map(Folder::at)
        .collect()
}

/// Everything beside the checkpoints in all trials' folders that may be an attempt.
fn all_folders(state_dir: &Path) -> Vec<PathBuf> {
    let studies = folders_in(&trials(state_dir));
    let trials = studies.iter().flat_map(|study| folders_in(study));
    let looks_like_one = |path: &PathBuf| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with(|c: char| c.is_ascii_digit()))
    };
    trials
        .flat_map(|trial| folders_in(&trial))
        .filter(looks_like_one)
        .collect()
}

fn folders_in(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let folders = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.path()).collect()
}

/// Moves the folder of an attempt out of the way of another one with the same number.
pub(super) fn set_aside(folder: &Folder) -> io::Result<()> {
    let name = folder
        .path()
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let free = (1_u32..)
        .map(|n| folder.path().with_file_name(format!("{name}~{n}")))
        .find(|path| !path.exists());
    std::fs::rename(folder.path(), free.unwrap_or_default())
}

/// Removes forgotten attempts that are older than the retention, and the oldest beyond its size.
pub(super) fn sweep(options: &StoreOptions, now: Timestamp) {
    let mut forgotten: Vec<(Duration, u64, PathBuf)> = all_folders(&options.state_dir)
        .into_iter()
        .filter_map(|path| {
            let modified = std::fs::metadata(Folder::at(&path).forgotten())
                .ok()?
                .modified()
                .ok()?;
            let age = now.saturating_since(time_of(modified));
            Some((age, size(&path), path))
        })
        .collect();
    forgotten.sort();
    let mut kept = 0_u64;
    for (age, size, path) in forgotten {
        kept = kept.saturating_add(size);
        if age < options.retention && kept <= options.retention_bytes {
            continue;
        }
        if let Err(error) = std::fs::remove_dir_all(&path) {
            let path = path.display().to_string();
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                path,
                "an old attempt cannot be removed"
            );
            continue;
        }
        // What else a trial holds, checkpoints first of all, is not ours to remove: these only go if they are empty.
        if let Some(trial) = path.parent() {
            let _ = std::fs::remove_dir(trial.join("checkpoint"));
            let _ = std::fs::remove_dir(trial);
        }
    }
}

fn time_of(time: std::time::SystemTime) -> Timestamp {
    let since = time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Bytes that a folder takes on the disk; holes do not count.
fn size(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return 0;
    };
    let blocks = entries.flatten().filter_map(|entry| entry.metadata().ok());
    blocks
        .map(|metadata| std::os::unix::fs::MetadataExt::blocks(&metadata).saturating_mul(512))
        .sum()
}
