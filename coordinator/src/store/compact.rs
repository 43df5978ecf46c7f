//! Joins small chunks of points into large ones. Pure: the stores read and write.

use super::PointChunk;

/// Points that joining makes of a chunk at most. Larger chunks that were written so stay as they are.
pub(super) const MAX_POINTS_PER_CHUNK: usize = 4_096;

/// Chunks that became one.
#[derive(Debug, PartialEq)]
pub(super) struct Joined {
    /// All their points, under the key of the first of them.
    pub(super) chunk: PointChunk,
    /// `first_seq` of the last of the others: the rows of this metric after the first up to this one must go.
    pub(super) absorbed_up_to: Option<u64>,
}

/// Joins neighbours of the same metric as long as the result stays within [`MAX_POINTS_PER_CHUNK`].
///
/// `chunks` are those of one attempt, ordered by metric, then sequence number; the result has the same order.
pub(super) fn join_chunks(chunks: Vec<PointChunk>) -> Vec<Joined> {
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
            }
            _ => groups.push(Joined {
                chunk,
                absorbed_up_to: None,
            }),
        }
    }
    groups
}
