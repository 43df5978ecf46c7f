//! Joins small chunks of points into large ones. Pure: the stores read and write.

use super::{ChunkPlace, PointChunk};

/// Points that joining makes of a chunk at most. Larger chunks that were written so stay as they are.
pub(super) const MAX_POINTS_PER_CHUNK: usize = 4_096;
/// Chunks that one round reads: few enough that nobody notices, whatever else the database does.
pub(super) const CHUNKS_PER_ROUND: u32 = 64;

/// Chunks that became one.
#[derive(Debug, PartialEq)]
pub(super) struct Joined {
    /// All their points, under the key of the first of them.
    pub(super) chunk: PointChunk,
    /// `last_seq` of the first of them as it was read: if it is another by now, somebody else has joined it, and it must stay as it is.
    pub(super) was_last: u64,
    /// `first_seq` of the last of the others: the rows of this metric after the first up to this one must go.
    pub(super) absorbed_up_to: Option<u64>,
}

/// What a round does.
#[derive(Debug, PartialEq)]
pub(super) struct Round {
    /// What to write: only chunks that others became a part of.
    pub(super) joined: Vec<Joined>,
    /// Where the next round begins, if there may be more.
    pub(super) next: Option<ChunkPlace>,
}

/// Joins neighbours of the same metric as long as the result stays within [`MAX_POINTS_PER_CHUNK`].
///
/// `chunks` are the first [`CHUNKS_PER_ROUND`] of one attempt from some place on, ordered by metric, then sequence number.
pub(super) fn join_chunks(chunks: Vec<PointChunk>) -> Round {
    let may_be_more = chunks.len() >= usize::try_from(CHUNKS_PER_ROUND).unwrap_or(usize::MAX);
    let mut groups: Vec<Joined> = Vec::new();
    for chunk in chunks {
        match groups.last_mut() {
            Some(last)
                if last.chunk.metric == chunk.metric
                    && last.chunk.steps.len() + chunk.steps.len() <= MAX_POINTS_PER_CHUNK =>
            {
                last.absorbed_up_to = Some(chunk.first_seq);
                last.chunk.last_seq = last.chunk.last_seq.max(chunk.last_seq);
                last.chunk.steps.extend(chunk.steps);
                last.chunk.values.extend(chunk.values);
                last.chunk.times.extend(chunk.times);
                last.chunk.arrivals.extend(chunk.arrivals);
            }
            _ => groups.push(Joined {
                was_last: chunk.last_seq,
                chunk,
                absorbed_up_to: None,
            }),
        }
    }
    // The last one may have room for what follows.
    let next = groups.last().filter(|_| may_be_more).map(|last| ChunkPlace {
        metric: last.chunk.metric.clone(),
        first_seq: last.chunk.first_seq,
    });
    groups.retain(|group| group.absorbed_up_to.is_some());
    Round { joined: groups, next }
}
