//! Cuts pages of points at the borders of trials. Pure: the stores ask for rows.

use tunesmith_common::TrialNumber;

use super::PointChunk;

/// What a query with [`rows_to_ask_for`] found.
pub(super) enum Page {
    /// Chunks of whole trials.
    Whole(Vec<PointChunk>),
    /// The first trial alone has more chunks than fit: ask for all of this trial.
    PartOf(TrialNumber),
}

/// One more than wanted, so that the end of the last trial can be told from a cut.
pub(super) fn rows_to_ask_for(limit: u32) -> i64 {
    i64::from(limit.max(1)) + 1
}

/// Drops the chunks of the last trial if some of it may be missing. `chunks` are ordered by trial.
pub(super) fn cut(mut chunks: Vec<PointChunk>, limit: u32) -> Page {
    let limit = usize::try_from(limit.max(1)).unwrap_or(usize::MAX);
    if chunks.len() <= limit {
        return Page::Whole(chunks);
    }
    let Some(last) = chunks.last().map(|chunk| chunk.trial) else {
        return Page::Whole(chunks);
    };
    let whole = chunks.partition_point(|chunk| chunk.trial < last);
    if whole == 0 {
        return Page::PartOf(last);
    }
    chunks.truncate(whole);
    Page::Whole(chunks)
}
