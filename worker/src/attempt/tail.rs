//! Lines of a file that somebody else is writing, each with the offset after it.
//!
//! Memory is bounded whatever is written: a line that is too long is passed over. Never fails on content; only the operating
//! system can make it fail.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::SeekFrom;

use super::spool::Position;

/// Longest line that is read, newline included.
pub(crate) const MAX_LINE: usize = 64 * 1024;

/// Reads a file as it grows.
#[derive(Debug)]
pub(crate) struct Tail {
    path: PathBuf,
    file: Option<File>,
    position: Position,
    /// Bytes of the file from `position.offset` on.
    buffer: Vec<u8>,
    /// Bytes of `buffer` in which no newline is.
    searched: usize,
    /// In the middle of a line that is passed over.
    skipping: bool,
    /// Everything that was there a moment ago was read: whatever came since wakes the reader again.
    drained: bool,
    long_lines: u64,
    restarts: u64,
}

/// What there is to read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A line of so many bytes, see [`Tail::bytes`].
    Line(usize),
    /// Bytes were passed over; ask again.
    Passed,
    /// Nothing more for now.
    Nothing,
}

impl Tail {
    /// A reader of `path`, which need not exist yet, from `position` on.
    pub(crate) fn new(path: PathBuf, position: Position) -> Self {
        Self {
            path,
            file: None,
            position,
            buffer: Vec::new(),
            searched: 0,
            skipping: false,
            drained: false,
            long_lines: 0,
            restarts: 0,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the next line begins.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// Lines that were passed over because they are too long.
    pub(crate) fn long_lines(&self) -> u64 {
        self.long_lines
    }

    /// How often the file was cut or replaced, so that reading began again.
    pub(crate) fn restarts(&self) -> u64 {
        self.restarts
    }

    /// Looks for the next line. `ended`: nothing will be added to the file, so that a last line may lack its newline.
    pub(crate) fn find(&mut self, ended: bool) -> io::Result<Found> {
        if let Some(length) = self.newline() {
            return Ok(self.complete(length));
        }
        if std::mem::take(&mut self.drained) && !ended {
            return Ok(Found::Nothing);
        }
        let read = self.read()?;
        if read > 0 {
            return match self.newline() {
                Some(length) => Ok(self.complete(length)),
                None if self.buffer.len() > MAX_LINE => {
                    if !self.skipping {
                        self.skipping = true;
                        self.long_lines += 1;
                    }
                    self.drop_bytes(self.buffer.len());
                    Ok(Found::Passed)
                }
                None => Ok(Found::Passed),
            };
        }
        if ended && !self.buffer.is_empty() {
            return Ok(self.complete(self.buffer.len()));
        }
        if self.was_replaced()? {
            return Ok(Found::Passed);
        }
        Ok(Found::Nothing)
    }

    /// The line that [`Self::find`] found.
    pub(crate) fn bytes(&self, length: usize) -> &[u8] {
        self.buffer.get(..length).unwrap_or_default()
    }

    /// Goes on behind the line that [`Self::find`] found.
    pub(crate) fn advance(&mut self, length: usize) {
        self.drop_bytes(length);
    }

    fn newline(&mut self) -> Option<usize> {
        let found = self.buffer[self.searched..]
            .iter()
            .position(|byte| *byte == b'\n');
        match found {
            Some(index) => Some(self.searched + index + 1),
            None => {
                self.searched = self.buffer.len();
                None
            }
        }
    }

    fn complete(&mut self, length: usize) -> Found {
        if self.skipping || length > MAX_LINE {
            if !self.skipping {
                self.long_lines += 1;
            }
            self.skipping = false;
            self.drop_bytes(length);
            return Found::Passed;
        }
        Found::Line(length)
    }

    fn drop_bytes(&mut self, count: usize) {
        self.buffer.drain(..count);
        self.searched = 0;
        self.position.offset += count as u64;
    }

    /// Reads what was added; 0 if nothing was.
    fn read(&mut self) -> io::Result<usize> {
        if self.file.is_none() && !self.open()? {
            return Ok(0);
        }
        let Some(file) = &self.file else { return Ok(0) };
        let start = self.buffer.len();
        let offset = self.position.offset + start as u64;
        let added = file.metadata()?.len().saturating_sub(offset);
        let wanted = usize::try_from(added).unwrap_or(MAX_LINE).min(MAX_LINE);
        if wanted == 0 {
            return Ok(0);
        }
        self.buffer.resize(start + wanted, 0);
        let count = file.read_at(&mut self.buffer[start..], offset);
        self.buffer.truncate(start + *count.as_ref().unwrap_or(&0));
        self.drained = wanted < MAX_LINE && count.as_ref().is_ok_and(|count| *count == wanted);
        count
    }

    fn open(&mut self) -> io::Result<bool> {
        // A pipe in its place must not make us wait for somebody to write into it.
        let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let file = match File::options().read(true).custom_flags(flags).open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let known = self.position;
        let other = known.inode != 0 && (known.device, known.inode) != (metadata.dev(), metadata.ino());
        if other || metadata.len() < known.offset {
            self.restarts += 1;
            self.position.offset = 0;
        }
        self.position.device = metadata.dev();
        self.position.inode = metadata.ino();
        // Where the beginning was given back to the file system, go on where there is something; in the middle of a line.
        if self.position.offset > 0
            && let Ok(data) = rustix::fs::seek(&file, SeekFrom::Data(self.position.offset))
            && data > self.position.offset
        {
            self.position.offset = data;
            self.skipping = true;
        }
        self.file = Some(file);
        Ok(true)
    }

    /// At the end of the file: whether there is another one now, or it was cut. Reading then begins again.
    fn was_replaced(&mut self) -> io::Result<bool> {
        let Some(file) = &self.file else { return Ok(false) };
        let cut = file.metadata()?.len() < self.position.offset + self.buffer.len() as u64;
        let other = match std::fs::metadata(&self.path) {
            Ok(metadata) => (metadata.dev(), metadata.ino()) != (self.position.device, self.position.inode),
            // Moved away; another one may follow.
            Err(_) => false,
        };
        if cut || other {
            self.restarts += 1;
            self.file = None;
            self.buffer.clear();
            self.searched = 0;
            self.skipping = false;
            self.position = Position::default();
        }
        Ok(cut || other)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn lines(tail: &mut Tail, ended: bool) -> Vec<(String, u64)> {
        let mut lines = Vec::new();
        loop {
            match tail.find(ended).unwrap() {
                Found::Line(length) => {
                    let text = String::from_utf8_lossy(tail.bytes(length)).trim_end().to_owned();
                    tail.advance(length);
                    lines.push((text, tail.position().offset));
                }
                Found::Passed => {}
                Found::Nothing => return lines,
            }
        }
    }

    fn log() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        (dir, path)
    }

    fn append(path: &Path, bytes: &[u8]) {
        std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .unwrap()
            .write_all(bytes)
            .unwrap();
    }

    #[test]
    fn a_partial_line_waits_for_its_end_or_for_the_end_of_all() {
        let (_dir, path) = log();
        let mut tail = Tail::new(path.clone(), Position::default());
        assert!(lines(&mut tail, false).is_empty());
        append(&path, b"one\ntw");
        assert_eq!(lines(&mut tail, false), [("one".to_owned(), 4)]);
        append(&path, b"o\nthree");
        assert_eq!(lines(&mut tail, false), [("two".to_owned(), 8)]);
        assert_eq!(lines(&mut tail, true), [("three".to_owned(), 13)]);
    }

    #[test]
    fn a_last_line_without_its_newline_is_read_in_the_same_look_when_all_has_ended() {
        let (_dir, path) = log();
        append(&path, b"one\ntwo");
        let mut tail = Tail::new(path, Position::default());
        let expected = [("one".to_owned(), 4), ("two".to_owned(), 7)];
        assert_eq!(lines(&mut tail, true), expected);
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_in_little_memory() {
        let (_dir, path) = log();
        append(&path, b"first\n");
        for _ in 0..50 {
            append(&path, &vec![b'x'; 1 << 20]);
        }
        append(&path, b"\nlast\n");
        append(&path, &vec![b'y'; MAX_LINE]);
        append(&path, b"\n");
        append(&path, &vec![b'z'; MAX_LINE - 1]);
        append(&path, b"\n");
        let mut tail = Tail::new(path, Position::default());
        let found: Vec<_> = lines(&mut tail, true)
            .into_iter()
            .map(|(text, _)| text.len())
            .collect();
        assert_eq!(found, [5, 4, MAX_LINE - 1]);
        assert_eq!(tail.long_lines(), 2);
        assert!(
            tail.buffer.capacity() <= 4 * MAX_LINE,
            "{}",
            tail.buffer.capacity()
        );
    }

    #[test]
    fn a_file_that_is_cut_or_replaced_is_read_from_its_beginning() {
        let (_dir, path) = log();
        append(&path, b"one\ntwo\n");
        let mut tail = Tail::new(path.clone(), Position::default());
        assert_eq!(lines(&mut tail, false).len(), 2);
        std::fs::write(&path, b"cut\n").unwrap();
        assert_eq!(lines(&mut tail, false), [("cut".to_owned(), 4)]);
        std::fs::write(path.with_extension("new"), b"replaced by a longer one\n").unwrap();
        std::fs::rename(path.with_extension("new"), &path).unwrap();
        assert_eq!(
            lines(&mut tail, false),
            [("replaced by a longer one".to_owned(), 25)]
        );
        assert_eq!(tail.restarts(), 2);
    }

    #[test]
    fn reading_goes_on_at_an_offset_of_the_same_file_only() {
        let (_dir, path) = log();
        append(&path, b"one\ntwo\n");
        let mut tail = Tail::new(
            path.clone(),
            Position {
                offset: 4,
                ..Position::default()
            },
        );
        assert_eq!(lines(&mut tail, false), [("two".to_owned(), 8)]);
        let mut elsewhere = Tail::new(
            path,
            Position {
                device: 1,
                inode: 1,
                offset: 4,
            },
        );
        assert_eq!(lines(&mut elsewhere, false).len(), 2);
    }
}
