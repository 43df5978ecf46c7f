//! One training in segments, each of which is a trial that goes on from the checkpoint of the one before.

use tunesmith_common::TrialNumber;
use tunesmith_common::checkpoint::{Changed, Checkpoint, Parent, Stages};
use tunesmith_common::decision::{Origin, Provenance};
use tunesmith_common::study::Segment;
use tunesmith_common::trial::{Event, StopReason};

use super::checkpoints::Reach;
use super::course::Course;
use super::outbox::Outbox;
use super::propose::NoTrial;
use super::study::{Ctx, StudyCore};

/// What came last of a training in segments.
#[derive(Debug)]
pub(super) struct Segments {
    segments: Vec<Segment>,
    /// The trial of each segment that was begun.
    trials: Vec<TrialNumber>,
    /// Whether the last of them has come to the end of its segment.
    at_end: bool,
    /// Its checkpoint, once it has ended.
    checkpoint: Option<Checkpoint>,
}

/// The trial that comes next.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) segment: Segment,
    /// The one before with its checkpoint; none for the first.
    pub(super) from: Option<(TrialNumber, Checkpoint)>,
}

impl Segments {
    pub(super) fn new(segments: Vec<Segment>) -> Self {
        Self {
            segments,
            trials: Vec::new(),
            at_end: false,
            checkpoint: None,
        }
    }

    pub(super) fn last_step(&self) -> i64 {
        self.segments.last().map_or(0, |segment| segment.until)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.segments.len()
    }

    /// The place of a trial's segment, counted from 1.
    pub(super) fn place(&self, trial: TrialNumber) -> Option<usize> {
        Some(1 + self.trials.iter().position(|known| *known == trial)?)
    }

    /// The step at which a trial's segment ends, if it is the newest trial, not at that end, and its segment is not the last.
    pub(super) fn end_of(&self, trial: TrialNumber) -> Option<i64> {
        let is_newest = self.trials.last() == Some(&trial) && !self.at_end;
        let is_last = self.trials.len() == self.segments.len();
        let segment = self.segments.get(self.trials.len().checked_sub(1)?)?;
        (is_newest && !is_last).then_some(segment.until)
    }

    /// A trial was made for the next segment.
    pub(super) fn began(&mut self, trial: TrialNumber) {
        self.trials.push(trial);
        self.at_end = false;
        self.checkpoint = None;
    }

    /// A trial has come to the end of its segment.
    pub(super) fn reached(&mut self, trial: TrialNumber) {
        self.at_end |= self.end_of(trial).is_some();
    }

    /// A trial has ended, with what it has left.
    pub(super) fn ended(&mut self, trial: TrialNumber, stages: &Stages) {
        if self.trials.last() == Some(&trial) {
            self.checkpoint.clone_from(&stages.checkpoint);
        }
    }

    /// Whether a trial's checkpoint is needed by the next one, though it has ended.
    pub(super) fn needs(&self, trial: TrialNumber) -> bool {
        self.at_end && self.trials.last() == Some(&trial)
    }

    /// The trial that comes next, once the one before has ended.
    pub(super) fn next(&self) -> Option<Next> {
        let segment = self.segments.get(self.trials.len())?.clone();
        let from = match self.trials.last() {
            None => None,
            Some(last) => Some((*last, self.checkpoint.clone().filter(|_| self.at_end)?)),
        };
        Some(Next { segment, from })
    }
}

impl StudyCore {
    fn segments(&self) -> Option<&Segments> {
        match self.course.as_ref()? {
            Course::Replay(segments) => Some(segments),
            _ => None,
        }
    }

    /// Whether the trial of the next segment begins with the checkpoint of one that has ended.
    pub(super) fn is_needed_by_a_segment(&self, number: TrialNumber) -> bool {
        self.segments().is_some_and(|segments| segments.needs(number))
    }

    /// Makes the trial of the next segment.
    pub(super) fn propose_segment(
        &mut self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        reach: Reach<'_>,
    ) -> Result<TrialNumber, NoTrial> {
        let waits = || NoTrial::Population("the segment before has not ended".to_owned());
        let next = self.segments().and_then(Segments::next);
        let Next { segment, from } = next.filter(|_| self.active.is_empty()).ok_or_else(waits)?;
        if let Some((_, checkpoint)) = &from
            && !reach.has(checkpoint.store)
        {
            return Err(NoTrial::Population(
                "the next segment waits for a worker that reaches the last one's checkpoint".to_owned(),
            ));
        }
        let number = TrialNumber(self.next_number);
        let place = self.segments().map_or(0, |segments| segments.trials.len());
        let count = self.segments().map_or(0, Segments::count);
        let note = format!("segment {} of {count}", place + 1);
        let provenance = Provenance {
            results: self.adviser.results() as u64,
            ..self.provenance(Origin::Strategy, "replay", note)
        };
        let parent = from.as_ref().map(|(trial, checkpoint)| {
            let before = self
                .segments()
                .and_then(|segments| segments.segments.get(place.checked_sub(1)?));
            Parent {
                trial: *trial,
                step: checkpoint.step,
                value: self
                    .ended_trial(*trial)
                    .and_then(|ended| ended.values.first)
                    .unwrap_or(f64::NAN),
                replaces: None,
                changed: before
                    .map(|before| Changed::between(&before.params, &segment.params))
                    .unwrap_or_default(),
            }
        });
        let checkpoint = from.map(|(_, checkpoint)| checkpoint);
        let made = self.begin_child(out, ctx, segment.params, provenance, parent, checkpoint);
        let made = made.ok_or_else(waits)?;
        if let (Some(seed), Some(trial)) = (segment.seed, self.active.get_mut(&number)) {
            trial.seed = seed;
        }
        Ok(made)
    }

    /// A trial has come to the end of its segment: the next one goes on.
    pub(super) fn end_segment(&mut self, out: &mut Outbox, ctx: &Ctx<'_>, number: TrialNumber) {
        let place = self
            .segments()
            .and_then(|segments| segments.place(number))
            .unwrap_or(0);
        let count = self.segments().map_or(0, Segments::count);
        let reason = StopReason::EarlyStopped {
            rule: "replay".to_owned(),
            text: format!("segment {place} of {count} has come to its end"),
        };
        // Cannot be refused: the trial runs.
        let _ = self.apply(out, ctx, number, Event::StopRequested(reason), "");
    }

    /// Why no more trials come, now that all have ended.
    pub(super) fn course_is_over(&self) -> String {
        match &self.course {
            Some(Course::Replay(segments)) if segments.trials.len() < segments.count() => format!(
                "segment {} of {} has left no checkpoint to go on from",
                segments.trials.len(),
                segments.count()
            ),
            Some(Course::Replay(_)) => "all segments were trained".to_owned(),
            _ => "the population was trained to the end".to_owned(),
        }
    }
}
