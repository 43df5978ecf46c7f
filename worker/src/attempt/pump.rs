//! Carries points from where the program puts them into the spool. Blocking; run where blocking is allowed.
//!
//! # Invariants
//!
//! * A line is left behind only once its points are in the spool. While the disk is full nothing is read.
//! * What is dropped is counted, and told in the end's warnings.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::FallocateFlags;
use tunesmith_common::clock::{Clock, Monotonic};
use tunesmith_common::measurement::{MAX_METRICS_PER_TRIAL, MetricName};
use tunesmith_common::metrics::{LineReport, PointRead, Reader, Vocabulary};

use super::folder::{Folder, is_full};
use super::limits::{Bucket, MAX_POINTS};
use super::records::{Launch, Source};
use super::spool::{Origin, Position, Recovered, Spool};
use super::tail::{Found, Tail};

/// Bytes that one step reads at most, so that the attempt's other business is not kept waiting.
const STEP_BYTES: u64 = 4 << 20;
/// Output is given back to the file system in pieces of at least this size.
const PUNCH_STEP: u64 = 1 << 20;
/// How often to look how much there is.
const LIMIT_EVERY: Duration = Duration::from_secs(1);
/// Output that is kept even when the disk is full.
const EMERGENCY_KEEP: u64 = 256 * 1024;
/// Blocks of common file systems; holes begin and end at these.
const BLOCK: u64 = 4096;

/// Reads one attempt's sources.
#[derive(Debug)]
pub(crate) struct Pump {
    folder: Folder,
    spool: Arc<Spool>,
    clock: Arc<dyn Clock>,
    reader: Reader,
    sources: Vec<FileSource>,
    bucket: Bucket,
    log_limit: u64,
    next_limit: Monotonic,
    /// Points that did not fit on the disk, to be written before anything else is read.
    waiting: Option<(Origin, u64, Vec<PointRead>)>,
    /// Offsets before which output was given back: of standard output and standard error.
    punched: [u64; 2],
    tally: Tally,
}

/// A file that is read line by line.
#[derive(Debug)]
struct FileSource {
    origin: Origin,
    tail: Tail,
    /// Inode and restarts that the spool knows of.
    noted: (u64, u64),
}

impl FileSource {
    fn new(origin: Origin, path: PathBuf, position: Position) -> Self {
        Self {
            origin,
            tail: Tail::new(path, position),
            noted: (position.inode, 0),
        }
    }
}

/// What went wrong without being an error.
#[derive(Debug, Default)]
struct Tally {
    too_fast: u64,
    too_many_metrics: u64,
    too_many_points: u64,
    disk_full: bool,
    spool_cut: u64,
    notes: BTreeMap<String, u64>,
    more_notes: u64,
    unreadable: BTreeMap<String, String>,
}

/// Kinds of notes that are told apart.
const MAX_NOTES: usize = 20;

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// There is more to read now.
    More,
    /// Everything that is there was read.
    Idle,
    /// The disk is full; to be tried again later.
    Full,
}

impl Pump {
    pub(crate) fn new(
        folder: Folder,
        launch: &Launch,
        spool: Arc<Spool>,
        recovered: &Recovered,
        log_limit: u64,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let vocabulary = Vocabulary {
            metrics: launch.metrics.clone(),
            step_name: launch.step_name.clone(),
        };
        let source = launch.source.to_domain();
        // Patterns were tried when the attempt was launched; an attempt that failed for them prints nothing.
        let mut reader =
            Reader::new(&source, vocabulary.clone()).unwrap_or_else(|_| Reader::json(vocabulary));
        for (metric, step) in &recovered.last_steps {
            reader.steps().resolve(metric, Some(*step));
        }
        let mut sources = vec![(Origin::MetricsFile, folder.metrics())];
        if let Source::File(path) = &launch.source {
            sources.push((Origin::OwnFile, path.clone()));
        }
        sources.push((Origin::Stdout, folder.stdout()));
        let position = |origin| recovered.positions.get(&origin).copied().unwrap_or_default();
        Self {
            sources: sources
                .into_iter()
                .map(|(origin, path)| FileSource::new(origin, path, position(origin)))
                .collect(),
            bucket: Bucket::full(clock.monotonic()),
            next_limit: clock.monotonic(),
            punched: [0; 2],
            tally: Tally {
                spool_cut: recovered.cut,
                ..Tally::default()
            },
            waiting: None,
            folder,
            spool,
            clock,
            reader,
            log_limit,
        }
    }

    /// Reads a bounded piece of what is there. `ended`: nothing will be added.
    pub(crate) fn step(&mut self, ended: bool) -> Step {
        self.read(ended, |_| true)
    }

    /// The same of standard output alone.
    pub(crate) fn step_stdout(&mut self) -> Step {
        self.read(false, |origin| origin == Origin::Stdout)
    }

    fn read(&mut self, ended: bool, wanted: impl Fn(Origin) -> bool) -> Step {
        if !self.write_waiting() {
            return Step::Full;
        }
        let mut more = false;
        for index in 0..self.sources.len() {
            if !wanted(self.sources[index].origin) {
                continue;
            }
            match self.read_source(index, ended) {
                Ok(Step::Full) => return Step::Full,
                Ok(step) => more |= step == Step::More,
                Err(error) => {
                    let path = self.sources[index].tail.path().display().to_string();
                    self.tally.unreadable.insert(path, error.to_string());
                }
            }
        }
        self.limit_output(more);
        if more { Step::More } else { Step::Idle }
    }

    fn read_source(&mut self, index: usize, ended: bool) -> io::Result<Step> {
        let source = &mut self.sources[index];
        let origin = source.origin;
        let start = source.tail.position();
        loop {
            let source = &mut self.sources[index];
            let found = source.tail.find(ended)?;
            let report = match found {
                Found::Nothing | Found::Passed => LineReport::default(),
                Found::Line(length) => {
                    let line = source.tail.bytes(length);
                    let report = match origin {
                        Origin::Stdout => self.reader.stdout_line(line),
                        _ => self.reader.file_line(line),
                    };
                    source.tail.advance(length);
                    report
                }
            };
            let position = source.tail.position();
            let seen = (position.inode, source.tail.restarts());
            if position.inode != 0
                && seen != source.noted
                && self.spool.append_position(origin, position).is_ok()
            {
                source.noted = seen;
            }
            self.note(report.notes.iter().map(ToString::to_string));
            if !report.points.is_empty() && !self.offer(origin, position.offset, report.points) {
                return Ok(Step::Full);
            }
            if found == Found::Nothing {
                return Ok(Step::Idle);
            }
            if position.offset.saturating_sub(start.offset) >= STEP_BYTES {
                return Ok(Step::More);
            }
        }
    }

    /// Takes points that did not come in lines. Returns whether they are in the spool.
    pub(crate) fn report(&mut self, values: Vec<(MetricName, f64)>, step: Option<i64>) -> bool {
        if !self.write_waiting() {
            return false;
        }
        let points = values
            .into_iter()
            .map(|(metric, value)| PointRead {
                step: self.reader.steps().resolve(&metric, step),
                metric,
                value,
                counted: step.is_none(),
            })
            .collect();
        let written = self.offer(Origin::Socket, 0, points);
        // Otherwise the program is told, and may say it again.
        self.waiting = None;
        written
    }

    /// Puts points into the spool, or makes them wait for space. Returns whether they are in it.
    fn offer(&mut self, origin: Origin, offset: u64, points: Vec<PointRead>) -> bool {
        let points = self.within_limits(points);
        if !points.is_empty() {
            self.waiting = Some((origin, offset, points));
        }
        self.write_waiting()
    }

    fn write_waiting(&mut self) -> bool {
        let Some((origin, offset, points)) = self.waiting.take() else {
            return true;
        };
        let mut result = self.spool.append(origin, offset, &points, self.clock.now());
        if result.as_ref().is_err_and(is_full) {
            self.tally.disk_full = true;
            for index in 0..2 {
                self.punch(index, EMERGENCY_KEEP);
            }
            result = self.spool.append(origin, offset, &points, self.clock.now());
        }
        match result {
            Ok(()) => true,
            Err(error) => {
                if !is_full(&error) {
                    self.tally
                        .unreadable
                        .insert(self.folder.spool().display().to_string(), error.to_string());
                }
                self.waiting = Some((origin, offset, points));
                false
            }
        }
    }

    fn within_limits(&mut self, mut points: Vec<PointRead>) -> Vec<PointRead> {
        let mut new: HashSet<MetricName> = HashSet::new();
        let mut room = MAX_METRICS_PER_TRIAL.saturating_sub(self.spool.metrics());
        let before = points.len();
        points.retain(|point| {
            if self.spool.has(&point.metric) || new.contains(&point.metric) {
                return true;
            }
            if room == 0 {
                return false;
            }
            room -= 1;
            new.insert(point.metric.clone());
            true
        });
        self.tally.too_many_metrics += (before - points.len()) as u64;
        let count = points.len() as u64;
        if self.spool.last_seq() + count > MAX_POINTS {
            self.tally.too_many_points += count;
            return Vec::new();
        }
        if count > 0 && !self.bucket.take(count, self.clock.monotonic()) {
            self.tally.too_fast += count;
            return Vec::new();
        }
        points
    }

    fn note(&mut self, notes: impl Iterator<Item = String>) {
        for note in notes {
            let notes = &mut self.tally.notes;
            if let Some(count) = notes.get_mut(&note) {
                *count += 1;
            } else if notes.len() < MAX_NOTES {
                notes.insert(note, 1);
            } else {
                self.tally.more_notes += 1;
            }
        }
    }

    /// Gives old output back to the file system, now and then, and whenever much was printed.
    fn limit_output(&mut self, much: bool) {
        let now = self.clock.monotonic();
        if !much && now < self.next_limit {
            return;
        }
        self.next_limit = now + LIMIT_EVERY;
        for index in 0..2 {
            self.punch(index, self.log_limit);
        }
    }

    /// Keeps the last `keep` bytes of an output file, and everything that was not read yet. Offsets stay what they are.
    fn punch(&mut self, index: usize, keep: u64) {
        let path = if index == 0 {
            self.folder.stdout()
        } else {
            self.folder.stderr()
        };
        let Ok(length) = std::fs::metadata(&path).map(|metadata| metadata.len()) else {
            return;
        };
        let stdout = self.sources.iter().find(|source| source.origin == Origin::Stdout);
        let position = stdout.map(|source| source.tail.position());
        let read = if index == 0 {
            position.map_or(0, |position| position.offset)
        } else {
            length
        };
        let to = length.saturating_sub(keep).min(read) / BLOCK * BLOCK;
        if to < self.punched[index] {
            // The program cut the file.
            self.punched[index] = 0;
        }
        if to < self.punched[index] + PUNCH_STEP.min(keep) {
            return;
        }
        if let (0, Some(position)) = (index, position)
            && self.spool.append_position(Origin::Stdout, position).is_err()
        {
            // Lines before the hole give no points, or are in the spool already.
            self.tally.disk_full = true;
        }
        let mode = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let punch = |file: File| rustix::fs::fallocate(file, mode, 0, to).map_err(io::Error::from);
        match std::fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .and_then(punch)
        {
            Ok(()) => self.punched[index] = to,
            Err(error) => {
                self.punched[index] = to;
                let text = format!("its beginning cannot be given back to the file system: {error}");
                self.tally.unreadable.insert(path.display().to_string(), text);
            }
        }
    }

    /// For people: what was dropped or misunderstood so far.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut count = |count: u64, text: &str| {
            if count > 0 {
                warnings.push(format!("{count} {text}"));
            }
        };
        let lines = |of: fn(&Tail) -> u64| self.sources.iter().map(|source| of(&source.tail)).sum::<u64>();
        count(
            lines(Tail::long_lines),
            "lines of more than 64 KiB were not read for metrics",
        );
        count(
            lines(Tail::restarts),
            "times an output file was cut or replaced by the program, and read from its beginning",
        );
        count(
            self.tally.too_fast,
            "points dropped: more than 2,000 per second for too long; report less often",
        );
        count(
            self.tally.too_many_metrics,
            "points dropped: more than 1,000 different metrics",
        );
        count(
            self.tally.too_many_points,
            "points dropped: more than 10,000,000 in one attempt",
        );
        count(
            self.tally.spool_cut,
            "bytes of the worker's spool were damaged, and read again from the program's output",
        );
        count(self.tally.more_notes, "further values could not be used");
        if self.tally.disk_full {
            warnings.push(
                "the worker's disk was full for some time; metrics waited in the program's output".to_owned(),
            );
        }
        if let Some(own) = self
            .sources
            .iter()
            .find(|source| source.origin == Origin::OwnFile && source.noted.0 == 0)
        {
            warnings.push(format!(
                "the metrics file {} was never written",
                own.tail.path().display()
            ));
        }
        warnings.extend(
            self.tally
                .unreadable
                .iter()
                .map(|(path, error)| format!("{path}: {error}")),
        );
        warnings.extend(
            self.tally
                .notes
                .iter()
                .map(|(note, count)| format!("{note} ({count} times)")),
        );
        warnings
    }
}
