//! Reading what a training printed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::SeekFrom;

use super::folder::Folder;
use super::handle::Attempt;

/// Bytes of a piece at most.
const PIECE: usize = 64 * 1024;
/// How often a log that is followed is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

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
    Io(#[from] io::Error),
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
pub struct LogReader {
    path: PathBuf,
    /// None: it has ended, and nobody writes any more.
    attempt: Option<Attempt>,
    place: Place,
}

#[derive(Debug)]
struct Place {
    /// None until there is one.
    file: Option<Arc<File>>,
    offset: u64,
    start: Option<LogStart>,
}

impl LogReader {
    pub(super) fn new(
        folder: &Folder,
        stream: LogStream,
        start: LogStart,
        attempt: Option<Attempt>,
    ) -> Result<Self, LogError> {
        let path = match stream {
            LogStream::Stdout => folder.stdout(),
            LogStream::Stderr => folder.stderr(),
        };
        if !folder.launch().exists() {
            return Err(LogError::Absent);
        }
        Ok(Self {
            path,
            attempt,
            place: Place {
                file: None,
                offset: 0,
                start: Some(start),
            },
        })
    }

    /// The next piece, at most 64 KiB. None at the end: of what is there now, or if `follow` is set, when the attempt has
    /// ended and everything was read; until then it waits. Cancelling loses nothing.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub async fn next(&mut self, follow: bool) -> Result<Option<LogChunk>, LogError> {
        loop {
            // Asked before reading: what was printed before the end is read after it.
            let ended = self
                .attempt
                .as_ref()
                .is_none_or(|attempt| attempt.end().is_some());
            let place = Place {
                file: self.place.file.clone(),
                ..self.place
            };
            let path = self.path.clone();
            let (place, chunk) = tokio::task::spawn_blocking(move || read(place, &path))
                .await
                .map_err(io::Error::other)??;
            self.place = place;
            if let Some(chunk) = chunk {
                return Ok(Some(chunk));
            }
            if ended || !follow {
                return Ok(None);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn read(mut place: Place, path: &std::path::Path) -> io::Result<(Place, Option<LogChunk>)> {
    let file = match &place.file {
        Some(file) => Arc::clone(file),
        None => match File::open(path) {
            Ok(file) => Arc::new(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((place, None)),
            Err(error) => return Err(error),
        },
    };
    place.file = Some(Arc::clone(&file));
    let length = file.metadata()?.len();
    let before = place.offset;
    match place.start.take() {
        Some(LogStart::Tail(bytes)) if bytes < length => {
            place.offset = first_data(&file, length - bytes, length);
            place.offset += partial_line(&file, place.offset)?;
        }
        Some(_) => place.offset = first_data(&file, 0, length),
        // Cut by the program: what is there now is new.
        None if length < place.offset => place.offset = 0,
        None => place.offset = first_data(&file, place.offset, length),
    }
    let skipped = place.offset.saturating_sub(before);
    let mut data = vec![0; PIECE];
    let count = file.read_at(&mut data, place.offset)?;
    data.truncate(count);
    place.offset += count as u64;
    let chunk = (count > 0 || skipped > 0).then_some(LogChunk { data, skipped });
    Ok((place, chunk))
}

/// The first place from `offset` on that was not given back to the file system.
fn first_data(file: &File, offset: u64, length: u64) -> u64 {
    match rustix::fs::seek(file, SeekFrom::Data(offset)) {
        Ok(data) => data,
        // Nothing but a hole, or a file system that does not know.
        Err(rustix::io::Errno::NXIO) => length,
        Err(_) => offset,
    }
}

/// Bytes from `offset` to the beginning of the next line; 0 if `offset` is one, or none is near.
fn partial_line(file: &File, offset: u64) -> io::Result<u64> {
    let Some(before) = offset.checked_sub(1) else {
        return Ok(0);
    };
    let mut bytes = vec![0; PIECE];
    let count = file.read_at(&mut bytes, before)?;
    let newline = bytes[..count].iter().position(|byte| *byte == b'\n');
    Ok(newline
        .filter(|index| index + 1 < count)
        .map_or(0, |index| index as u64))
}
