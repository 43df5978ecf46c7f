//! The folder into which a program saves: what in it is a checkpoint that is whole.
//!
//! A program writes `step-N.tmp/` and renames it to `step-N/`, so that what has that name is whole.

use std::path::{Path, PathBuf};

/// The checkpoint with the highest step in a program's folder, with that step.
pub(crate) fn newest(dir: &Path) -> Option<(i64, PathBuf)> {
    whole(dir).max()
}

/// The checkpoints of this step and those before.
pub(crate) fn up_to(dir: &Path, last: i64) -> impl Iterator<Item = PathBuf> {
    whole(dir)
        .filter(move |(step, _)| *step <= last)
        .map(|(_, path)| path)
}

fn whole(dir: &Path) -> impl Iterator<Item = (i64, PathBuf)> + use<> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let digits = entry.file_name().to_str()?.strip_prefix("step-")?.to_owned();
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        let step: i64 = if plain { digits.parse().ok()? } else { return None };
        entry.file_type().ok()?.is_dir().then(|| (step, entry.path()))
    })
}

/// Name of the folder of a checkpoint.
pub(crate) fn step_folder(step: i64) -> String {
    format!("step-{step}")
}
