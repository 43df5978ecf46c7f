//! The spool of one attempt: the one truth about its points, on disk, numbered from 1 without gaps.
//!
//! Append-only. One writer (the attempt's reader), any number of readers at the same time. It is synced once, at the end: a
//! killed process loses nothing of what was written, and a power failure ends the training too.
//!
//! # Invariants
//!
//! * All points of one line are there or none. Each record of a point tells the offset after its line, so that reading goes on there:
//!   no line is read twice or missed, wherever the process was killed.
//! * What is behind the first damaged record is cut off when the spool is opened.

mod record;

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tunesmith_common::clock::Timestamp;
use tunesmith_common::measurement::{MetricName, Point, PointBatch};
use tunesmith_common::metrics::PointRead;

use record::{Decoded, PointRecord, Record};
pub(crate) use record::{Origin, Position};

/// First bytes of a spool, with its version.
const MAGIC: &[u8; 8] = b"TSSPOOL1";
/// Every so many points the place of one is kept in memory.
const INDEX_STRIDE: u64 = 256;
/// Bytes read at once.
const CHUNK: usize = 64 * 1024;
/// The last points are kept in memory, too: they are the ones that are sent next, as long as the coordinator keeps up.
const RECENT: usize = 64;

/// The spool of one attempt.
#[derive(Debug)]
pub(crate) struct Spool {
    file: File,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Bytes that hold whole records.
    length: u64,
    last_seq: u64,
    names: Vec<MetricName>,
    ids: HashMap<MetricName, u32>,
    /// Place in the file of the points 1, 257, 513...
    index: Vec<u64>,
    /// The last points that were appended, in order and without gaps.
    recent: VecDeque<PointRecord>,
}

/// What was found in a spool when it was opened.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// Where to go on reading.
    pub(crate) positions: HashMap<Origin, Position>,
    /// Last step of each metric.
    pub(crate) last_steps: HashMap<MetricName, i64>,
    /// The end, if it was written.
    pub(crate) end: Option<Vec<u8>>,
    /// Bytes that were cut off because they were torn or damaged.
    pub(crate) cut: u64,
}

impl Spool {
    /// Opens a spool, making it if absent, and cuts off what is damaged.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Recovered)> {
        let file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(path)?;
        let total = file.metadata()?.len();
        let mut scan = Scan::default();
        scan.run(&file)?;
        if scan.inner.length < total {
            file.set_len(scan.inner.length)?;
        }
        scan.recovered.cut = total.saturating_sub(scan.inner.length);
        if scan.inner.length == 0 {
            file.set_len(0)?;
            file.write_all_at(MAGIC, 0)?;
            scan.inner.length = MAGIC.len() as u64;
        }
        Ok((
            Self {
                file,
                inner: Mutex::new(scan.inner),
            },
            scan.recovered,
        ))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sequence number of the last point; 0 if there is none.
    pub(crate) fn last_seq(&self) -> u64 {
        self.inner().last_seq
    }

    /// Number of different metrics.
    pub(crate) fn metrics(&self) -> usize {
        self.inner().names.len()
    }

    /// Whether there is a point of `metric`.
    pub(crate) fn has(&self, metric: &MetricName) -> bool {
        self.inner().ids.contains_key(metric)
    }

    /// Appends the points of one line that ends before `offset`; all of them or, if this fails, none.
    pub(crate) fn append(
        &self,
        origin: Origin,
        offset: u64,
        points: &[PointRead],
        at: Timestamp,
    ) -> io::Result<()> {
        let mut inner = self.inner();
        let mut bytes = Vec::new();
        let mut new_names: Vec<MetricName> = Vec::new();
        let mut places = Vec::new();
        let mut records = Vec::with_capacity(points.len());
        for (index, point) in points.iter().enumerate() {
            let known = inner.ids.get(&point.metric).copied().or_else(|| {
                let position = new_names.iter().position(|name| *name == point.metric)?;
                u32::try_from(inner.names.len() + position).ok()
            });
            let metric = match known {
                Some(metric) => metric,
                None => {
                    Record::Name(point.metric.to_string()).encode(&mut bytes);
                    new_names.push(point.metric.clone());
                    u32::try_from(inner.names.len() + new_names.len() - 1).map_err(io::Error::other)?
                }
            };
            let seq = inner.last_seq + 1 + index as u64;
            if (seq - 1).is_multiple_of(INDEX_STRIDE) {
                places.push(inner.length + bytes.len() as u64);
            }
            let more = index + 1 < points.len();
            let at_micros = at.as_micros();
            let (step, value) = (point.step, point.value);
            let record = PointRecord {
                seq,
                origin,
                more,
                offset,
                metric,
                step,
                value,
                at_micros,
            };
            Record::Point(record).encode(&mut bytes);
            records.push(record);
        }
        self.write(&mut inner, &bytes)?;
        inner.last_seq += points.len() as u64;
        inner.index.extend(places);
        for name in new_names {
            inner.add_name(name);
        }
        inner.recent.extend(records);
        let old = inner.recent.len().saturating_sub(RECENT);
        inner.recent.drain(..old);
        Ok(())
    }

    /// Notes where reading goes on, although no line there gave a point.
    pub(crate) fn append_position(&self, origin: Origin, position: Position) -> io::Result<()> {
        let mut bytes = Vec::new();
        Record::Position { origin, position }.encode(&mut bytes);
        self.write(&mut self.inner(), &bytes)
    }

    /// Writes the end; [`Self::sync`] waits until it is on the disk.
    pub(crate) fn append_end(&self, content: Vec<u8>) -> io::Result<()> {
        let mut bytes = Vec::new();
        Record::End(content).encode(&mut bytes);
        self.write(&mut self.inner(), &bytes)
    }

    /// Waits until everything written is on the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, inner: &mut Inner, bytes: &[u8]) -> io::Result<()> {
        match self.file.write_all_at(bytes, inner.length) {
            Ok(()) => {
                inner.length += bytes.len() as u64;
                Ok(())
            }
            Err(error) => {
                // Half a record gives its space back; if even that fails, the next record is written over it.
                let _ = self.file.set_len(inner.length);
                Err(error)
            }
        }
    }

    /// The same as [`Self::read`] without touching the disk; None if `from` is no longer, or not yet, in memory.
    pub(crate) fn recent(&self, from: u64, max: usize) -> Option<PointBatch> {
        let inner = self.inner();
        let first = inner.recent.front()?.seq;
        let skipped = usize::try_from(from.checked_sub(first)?).ok()?;
        let records = inner.recent.iter().skip(skipped).take(max);
        (skipped < inner.recent.len()).then(|| inner.batch(records))
    }

    /// Points `from ..`, at most `max` of them, with the names that occur in them.
    pub(crate) fn read(&self, from: u64, max: usize) -> io::Result<PointBatch> {
        let from = from.max(1);
        let (mut place, end, last_seq) = {
            let inner = self.inner();
            let slot = usize::try_from((from - 1) / INDEX_STRIDE).unwrap_or(usize::MAX);
            match inner.index.get(slot) {
                Some(place) if from <= inner.last_seq => (*place, inner.length, inner.last_seq),
                _ => return Ok(PointBatch::default()),
            }
        };
        let to = last_seq.min(from.saturating_add(max as u64).saturating_sub(1));
        let mut records = Vec::new();
        let mut buffer = Vec::new();
        let mut used = 0;
        'reading: loop {
            match Record::decode(&buffer[used..]) {
                Decoded::Record(record, length) => {
                    used += length;
                    let Record::Point(point) = record else { continue };
                    if point.seq > to {
                        break 'reading;
                    }
                    if point.seq >= from {
                        records.push(point);
                    }
                    if point.seq == to {
                        break 'reading;
                    }
                }
                Decoded::Incomplete if place < end => {
                    buffer.drain(..used);
                    used = 0;
                    let start = buffer.len();
                    let wanted = usize::try_from(end - place).unwrap_or(CHUNK).min(CHUNK);
                    buffer.resize(start + wanted, 0);
                    self.file.read_exact_at(&mut buffer[start..], place)?;
                    place += wanted as u64;
                }
                Decoded::Incomplete | Decoded::Damaged => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "the spool was damaged while in use",
                    ));
                }
            }
        }
        Ok(self.inner().batch(records.iter()))
    }
}

impl Inner {
    fn add_name(&mut self, name: MetricName) {
        if let Ok(id) = u32::try_from(self.names.len()) {
            self.ids.insert(name.clone(), id);
        }
        self.names.push(name);
    }

    /// Numbers metrics anew, by their place in the batch.
    fn batch<'a>(&self, records: impl Iterator<Item = &'a PointRecord>) -> PointBatch {
        let mut batch = PointBatch::default();
        let mut local: HashMap<u32, u32> = HashMap::new();
        for record in records {
            let Some(name) = usize::try_from(record.metric)
                .ok()
                .and_then(|index| self.names.get(index))
            else {
                continue;
            };
            let metric = *local.entry(record.metric).or_insert_with(|| {
                batch.metrics.push(name.clone());
                u32::try_from(batch.metrics.len() - 1).unwrap_or(u32::MAX)
            });
            let at = Timestamp::from_micros(record.at_micros);
            batch.points.push(Point {
                metric,
                step: record.step,
                value: record.value,
                at,
            });
        }
        batch
    }
}

/// Reads a spool from its beginning to the first record that is torn, damaged or out of order.
#[derive(Debug, Default)]
struct Scan {
    inner: Inner,
    recovered: Recovered,
    /// Records of a line of which more must come; counted only with the last one.
    line: Vec<(Record, u64)>,
}

impl Scan {
    fn run(&mut self, file: &File) -> io::Result<()> {
        let mut magic = [0; MAGIC.len()];
        match file.read_exact_at(&mut magic, 0) {
            Ok(()) if &magic == MAGIC => {}
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
        self.inner.length = MAGIC.len() as u64;
        let mut at = self.inner.length;
        let mut read_to = at;
        let mut buffer = Vec::new();
        let mut used = 0;
        loop {
            match Record::decode(&buffer[used..]) {
                Decoded::Record(record, length) => {
                    used += length;
                    if !self.take(record, at, at + length as u64) {
                        return Ok(());
                    }
                    at += length as u64;
                }
                Decoded::Damaged => return Ok(()),
                Decoded::Incomplete => {
                    buffer.drain(..used);
                    used = 0;
                    let start = buffer.len();
                    buffer.resize(start + CHUNK, 0);
                    let count = file.read_at(&mut buffer[start..], read_to)?;
                    buffer.truncate(start + count);
                    read_to += count as u64;
                    if count == 0 {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Takes the record that stands from `start` to `end`; false if it cannot stand there.
    fn take(&mut self, record: Record, start: u64, end: u64) -> bool {
        let fits = match &record {
            _ if self.recovered.end.is_some() => false,
            Record::Point(point) => {
                let pending = self
                    .line
                    .iter()
                    .filter(|(record, _)| matches!(record, Record::Point(_)))
                    .count() as u64;
                let names = self
                    .line
                    .iter()
                    .filter(|(record, _)| matches!(record, Record::Name(_)))
                    .count();
                point.seq == self.inner.last_seq + pending + 1
                    && usize::try_from(point.metric)
                        .is_ok_and(|metric| metric < self.inner.names.len() + names)
            }
            Record::Name(name) => name.parse::<MetricName>().is_ok(),
            Record::Position { .. } | Record::End(_) => self.line.is_empty(),
        };
        if !fits {
            return false;
        }
        let complete = match &record {
            Record::Point(point) => !point.more,
            Record::Name(_) => false,
            Record::Position { .. } | Record::End(_) => true,
        };
        self.line.push((record, start));
        if complete {
            for (record, start) in std::mem::take(&mut self.line) {
                self.count(record, start);
            }
            self.inner.length = end;
        }
        true
    }

    fn count(&mut self, record: Record, start: u64) {
        match record {
            Record::Name(name) => {
                if let Ok(name) = name.parse() {
                    self.inner.add_name(name);
                }
            }
            Record::Point(point) => {
                self.inner.last_seq = point.seq;
                if (point.seq - 1).is_multiple_of(INDEX_STRIDE) {
                    self.inner.index.push(start);
                }
                if point.origin != Origin::Socket {
                    self.recovered.positions.entry(point.origin).or_default().offset = point.offset;
                }
                let name = usize::try_from(point.metric)
                    .ok()
                    .and_then(|index| self.inner.names.get(index));
                if let Some(name) = name {
                    match self.recovered.last_steps.get_mut(name) {
                        Some(last) => *last = point.step,
                        None => {
                            self.recovered.last_steps.insert(name.clone(), point.step);
                        }
                    }
                }
            }
            Record::Position { origin, position } => {
                self.recovered.positions.insert(origin, position);
            }
            Record::End(content) => self.recovered.end = Some(content),
        }
    }
}

#[cfg(test)]
mod tests;
