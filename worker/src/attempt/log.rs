//! Reading what a training printed.

/// Which output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStart {
    /// At the first byte.
    Beginning,
    /// That many bytes before the end, at the beginning of a line if there is one.
    Tail(u64),
}

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// There is no such attempt on this machine.
    #[error("this worker has no output of that attempt: it was removed, or never ran here")]
    Absent,
    /// The operating system refused.
    #[error("cannot read the output")]
    Io(#[from] std::io::Error),
}

/// A piece of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogChunk {
    /// Bytes as printed; not empty unless this only tells of skipped bytes.
    pub data: Vec<u8>,
    /// Bytes before this piece that are no longer on disk, or were skipped to reach the tail.
    pub skipped: u64,
}

/// Reads a log piece by piece.
#[derive(Debug)]
pub struct LogReader {}

impl LogReader {
    /// The next piece, at most 64 KiB. None at the end: of what is there now, or if `follow` is set, when the attempt has
    /// ended and everything was read; until then it waits. Cancelling loses nothing.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub async fn next(&mut self, _follow: bool) -> Result<Option<LogChunk>, LogError> {
        unimplemented!()
    }
}
