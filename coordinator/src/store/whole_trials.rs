//! Cuts pages of points at the borders of trials. Pure: the stores ask for rows.

use tunesmith_common::TrialNumber;

use super::PointRuns;

/// What a query with [`rows_to_ask_for`] found.
pub(super) enum Page {
    /// Points of whole trials.
    Whole(PointRuns),
    /// The first trial alone has more chunks than fit: ask for all of this trial.
    PartOf(TrialNumber),
}

/// One more than wanted, so that the end of the last trial can be told from a cut.
pub(super) fn rows_to_ask_for(limit: u32) -> i64 {
    i64::from(limit.max(1)) + 1
}

/// Drops the points of the last trial if some of them may be missing.
pub(super) fn cut(mut runs: PointRuns, limit: u32) -> Page {
    let limit = usize::try_from(limit.max(1)).unwrap_or(usize::MAX);
    match runs.last_trial() {
        Some(last) if runs.len() > limit && !runs.drop_last_trial() => Page::PartOf(last),
        _ => Page::Whole(runs),
    }
}
