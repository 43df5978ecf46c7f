//! Proposals of the study's strategy: made at once by those that cost nothing, elsewhere and beforehand by those that compute.
//!
//! A costly strategy is asked by a [`Question`], which takes everything that the answer depends on with it: whoever computes it needs
//! no lock and shares nothing, and the study goes on meanwhile. The [`Advice`] that comes back brings it all home. While a question is
//! away, results that come in are kept aside.
//!
//! # Invariants
//!
//! * An advice counts only for the trial number that it was made for: no trial was made since, so what ran then runs still or has ended.
//! * It is used if it has seen every result. One that has not is used only if making a new one would keep a place idle for longer
//!   than [`StudyCore::patience`].
//! * What a trial's provenance says of its proposal (seed, number, results seen) is enough to make it again: what ran are the trials
//!   of lower numbers that are not among those results.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tunesmith_common::TrialNumber;
use tunesmith_common::decision::{Origin, Provenance};
use tunesmith_common::study::{StrategyName, StudySpec};
use tunesmith_optimizer::{
    FinishedTrial, Memory, Proposal, RunningTrial, SearchStrategy, StrategyError, StudyView, Suggestion,
    build, fallback,
};

use super::children::{ChildAdvice, ChildQuestion};
use super::propose::NoTrial;
use super::study::{Ctx, StudyCore};

/// Proposals made beforehand at most, and those that one call may wait for.
const MOST_AT_ONCE: usize = 16;
const MOST_WANTED: u32 = 256;
/// Shortest time for which a free place may wait for a proposal that has seen every result.
const LEAST_PATIENCE: Duration = Duration::from_millis(5);
/// The same, as a share of the time that a trial takes, and at most.
const PATIENCE_SHARE: u32 = 100;
const MOST_PATIENCE: Duration = Duration::from_secs(10);

/// What a strategy works with, all of it.
#[derive(Debug, Default)]
struct Desk {
    /// Trials that have ended, in the order in which they did.
    finished: Vec<FinishedTrial>,
    memory: Memory,
}

/// The study's strategy and what it has proposed.
#[derive(Debug)]
pub(super) struct Adviser {
    strategy: Arc<dyn SearchStrategy>,
    /// What the strategy is, with its settings.
    settings: StrategyName,
    /// None while a question is away.
    desk: Option<Desk>,
    /// Results that came while the desk was away.
    aside: Vec<FinishedTrial>,
    /// Results there are, and how many of them are those of other studies, which come first.
    results: usize,
    of_others: usize,
    /// Proposals that were made beforehand, for the trials that come next.
    ready: VecDeque<Ready>,
    /// Proposals to ask for next time.
    batch: usize,
    /// Proposals that a caller waits for.
    wanted: usize,
    /// Results at the last question.
    asked_at: Option<usize>,
    /// How long the last answer took for each proposal.
    took: Duration,
    /// Mean time of a trial, and how many that is the mean of.
    trial_time: (Duration, u32),
}

#[derive(Clone, Debug)]
struct Ready {
    number: TrialNumber,
    seen: usize,
    suggestion: Suggestion,
}

/// A proposal to make a trial of, and how many results it has seen.
#[derive(Debug)]
pub(super) struct Advised {
    pub(super) suggestion: Suggestion,
    pub(super) seen: usize,
}

impl Adviser {
    /// Of the strategy that the study asks for.
    pub(super) fn of(spec: &StudySpec) -> Self {
        Self::new(build(spec), spec.chosen_strategy().0)
    }

    fn new(strategy: Box<dyn SearchStrategy>, settings: StrategyName) -> Self {
        Self {
            strategy: strategy.into(),
            settings,
            desk: Some(Desk::default()),
            aside: Vec::new(),
            results: 0,
            of_others: 0,
            ready: VecDeque::new(),
            batch: 1,
            wanted: 0,
            asked_at: None,
            took: Duration::ZERO,
            trial_time: (Duration::ZERO, 0),
        }
    }

    pub(super) fn name(&self) -> &'static str {
        self.strategy.name()
    }

    pub(super) fn settings(&self) -> StrategyName {
        self.settings
    }

    pub(super) fn strategy(&self) -> &dyn SearchStrategy {
        &*self.strategy
    }

    /// The trials of other studies that are known from the start. Before any result.
    pub(super) fn begin_with(&mut self, trials: Vec<FinishedTrial>) {
        self.results = trials.len();
        self.of_others = trials.len();
        if let Some(desk) = &mut self.desk {
            desk.finished = trials;
        }
    }

    /// The trials of other studies, unless a question is away.
    pub(super) fn of_others(&self) -> &[FinishedTrial] {
        let finished = self.desk.as_ref().map(|desk| &desk.finished);
        finished
            .and_then(|all| all.get(..self.of_others))
            .unwrap_or_default()
    }

    /// A trial has ended, after all others that have.
    pub(super) fn result(&mut self, finished: FinishedTrial) {
        self.results += 1;
        match &mut self.desk {
            Some(desk) => desk.finished.push(finished),
            None => self.aside.push(finished),
        }
    }

    /// The trials of other studies and the first so many of what the study itself has found, unless a question is away that has them.
    pub(super) fn first_results(&self, own: usize) -> Option<Vec<FinishedTrial>> {
        let finished = &self.desk.as_ref()?.finished;
        finished
            .get(..self.of_others + own)
            .map(<[FinishedTrial]>::to_vec)
    }

    /// Results there are.
    pub(super) fn results(&self) -> usize {
        self.results
    }

    /// How much the study itself has found.
    pub(super) fn own_results(&self) -> usize {
        self.results - self.of_others
    }

    /// What the study has found so far, when it is loaded: in the order in which it came, after what is known of other studies.
    pub(super) fn known(&mut self, results: impl Iterator<Item = FinishedTrial>) {
        if let Some(desk) = &mut self.desk {
            desk.finished.extend(results);
            self.results = desk.finished.len();
        }
    }

    /// A trial has taken this long.
    pub(super) fn trial_took(&mut self, time: Duration) {
        /// The mean is about that of the last so many.
        const OF_LAST: u32 = 20;
        let (mean, count) = self.trial_time;
        let count = (count + 1).min(OF_LAST);
        self.trial_time = ((mean * (count - 1) + time) / count, count);
    }

    /// How long a free place may wait for a proposal that has seen every result: a hundredth of the time that a trial takes.
    fn patience(&self) -> Duration {
        (self.trial_time.0 / PATIENCE_SHARE).clamp(LEAST_PATIENCE, MOST_PATIENCE)
    }

    /// Takes the proposal made beforehand for trial `number`, if there is one that may be used.
    fn take_ready(&mut self, number: TrialNumber) -> Option<Ready> {
        while self.ready.front().is_some_and(|ready| ready.number < number) {
            self.ready.pop_front();
        }
        let usable = self.usable(number);
        self.ready.pop_front().filter(|_| usable)
    }

    /// Whether the next proposal is for trial `number` and may be used.
    fn usable(&self, number: TrialNumber) -> bool {
        let next = self.ready.iter().find(|ready| ready.number >= number);
        next.is_some_and(|ready| {
            ready.number == number && (ready.seen == self.results || self.took > self.patience())
        })
    }

    /// Proposals from trial `number` on that have seen every result.
    fn up_to_date(&self, number: TrialNumber) -> usize {
        let mut next = number.0;
        let fits = |ready: &&Ready| {
            let fits = ready.number.0 == next && ready.seen == self.results;
            next += u64::from(fits);
            fits
        };
        self.ready
            .iter()
            .skip_while(|ready| ready.number < number)
            .take_while(fits)
            .count()
    }

    /// Proposals that may be used from trial `number` on.
    fn usable_count(&self, number: TrialNumber) -> u32 {
        if !self.usable(number) {
            return 0;
        }
        u32::try_from(self.ready.iter().filter(|ready| ready.number >= number).count()).unwrap_or(u32::MAX)
    }
}

/// A question to somebody who computes, to be answered where there is time for it.
#[derive(Debug)]
pub enum Question {
    /// What to try next.
    Point(Box<PointQuestion>),
    /// How a child is to differ from its parent.
    Child(Box<ChildQuestion>),
}

impl Question {
    /// Computes the answer. May take long; needs nothing but itself.
    #[must_use]
    pub fn answer(self) -> Advice {
        match self {
            Self::Point(question) => Advice::Point(Box::new(question.answer())),
            Self::Child(question) => Advice::Child(Box::new(question.answer())),
        }
    }
}

/// A question to a costly strategy.
#[derive(Debug)]
pub struct PointQuestion {
    spec: Arc<StudySpec>,
    strategy: Arc<dyn SearchStrategy>,
    desk: Desk,
    next: TrialNumber,
    proposed: u64,
    cursor: Option<u64>,
    running: Vec<(TrialNumber, Box<[f64]>)>,
    count: usize,
}

impl PointQuestion {
    fn answer(mut self) -> PointAdvice {
        let running: Vec<RunningTrial<'_>> = self
            .running
            .iter()
            .map(|(trial, encoded)| RunningTrial {
                trial: *trial,
                encoded,
            })
            .collect();
        let view = StudyView {
            space: &self.spec.space,
            seed: self.spec.strategy.seed,
            next: self.next,
            proposed: self.proposed,
            cursor: self.cursor,
            finished: &self.desk.finished,
            running: &running,
        };
        let memory = &mut self.desk.memory;
        let (proposal, panic) = propose(&*self.strategy, &view, self.count, memory);
        PointAdvice {
            strategy: self.strategy.name(),
            next: self.next,
            seen: self.desk.finished.len(),
            desk: self.desk,
            proposal,
            panic,
        }
    }
}

/// The answer to a question.
#[derive(Debug)]
pub enum Advice {
    /// What to try next.
    Point(Box<PointAdvice>),
    /// How a child is to differ from its parent.
    Child(Box<ChildAdvice>),
}

/// What a strategy says.
#[derive(Debug)]
pub struct PointAdvice {
    strategy: &'static str,
    panic: Option<String>,
    desk: Desk,
    next: TrialNumber,
    seen: usize,
    proposal: Result<Proposal, StrategyError>,
}

impl Advice {
    /// Who gave it.
    #[must_use]
    pub fn strategy(&self) -> &'static str {
        match self {
            Self::Point(advice) => advice.strategy,
            Self::Child(_) => "pb2",
        }
    }

    /// What the strategy panicked with, if it did. The points are drawn at random then.
    #[must_use]
    pub fn panic(&self) -> Option<&str> {
        match self {
            Self::Point(advice) => advice.panic.as_deref(),
            Self::Child(advice) => advice.panic.as_deref(),
        }
    }
}

pub(super) fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("no text").to_owned()
}

/// What the strategy proposes, and what it panicked with if it did. Where it panics or its model cannot be fitted, the point is drawn at random and
/// says so.
pub(super) fn propose(
    strategy: &dyn SearchStrategy,
    view: &StudyView<'_>,
    count: usize,
    memory: &mut Memory,
) -> (Result<Proposal, StrategyError>, Option<String>) {
    match catch_unwind(AssertUnwindSafe(|| strategy.propose(view, count, memory))) {
        Ok(Err(error @ StrategyError::Fit { .. })) => (fallback(view, &error), None),
        Ok(proposal) => (proposal, None),
        Err(panic) => {
            // It may be half of something.
            *memory = Memory::default();
            let error = StrategyError::Fit {
                reason: "the strategy panicked, which the coordinator's log tells more about".to_owned(),
            };
            (fallback(view, &error), Some(text_of(&*panic)))
        }
    }
}

impl StudyCore {
    /// Of a trial that is made now, knowing no result.
    pub(super) fn provenance(&self, origin: Origin, strategy: &str, note: String) -> Provenance {
        Provenance {
            origin,
            strategy: strategy.to_owned(),
            settings: None,
            seed: self.spec.strategy.seed,
            history_revision: self.revision,
            results: 0,
            cursor: None,
            note,
        }
    }

    /// The proposal for the next trial, if it can be had now.
    ///
    /// # Errors
    /// [`NoTrial::Thinking`] if it is still to be made; otherwise why there is none.
    pub(super) fn advice(&mut self) -> Result<Advised, NoTrial> {
        let number = TrialNumber(self.next_number);
        if self.adviser.strategy.is_costly() {
            return match self.adviser.take_ready(number) {
                Some(ready) => Ok(Advised {
                    suggestion: ready.suggestion,
                    seen: ready.seen,
                }),
                None => Err(NoTrial::Thinking),
            };
        }
        let running = self.running();
        let running: Vec<RunningTrial<'_>> = running
            .iter()
            .map(|(trial, encoded)| RunningTrial {
                trial: *trial,
                encoded,
            })
            .collect();
        let Some(desk) = &mut self.adviser.desk else {
            return Err(NoTrial::Thinking);
        };
        let view = StudyView {
            space: &self.spec.space,
            seed: self.spec.strategy.seed,
            next: number,
            proposed: self.proposed,
            cursor: self.cursor,
            finished: &desk.finished,
            running: &running,
        };
        // Where it panics, the panic's own message is in the log.
        let (proposal, _) = propose(&*self.adviser.strategy, &view, 1, &mut desk.memory);
        match proposal.map(|proposal| proposal.points.into_iter().next()) {
            Ok(Some(suggestion)) => Ok(Advised {
                suggestion,
                seen: self.adviser.results,
            }),
            Ok(None) => Err(self.run_dry(StrategyError::Exhausted)),
            Err(error) => Err(self.run_dry(error)),
        }
    }

    /// Makes sure that as many proposals are there as a caller needs at once beside the trials that wait.
    ///
    /// # Errors
    /// [`NoTrial::Thinking`] if some are still to be made.
    pub(super) fn await_proposals(&mut self, ctx: &Ctx<'_>, count: u32) -> Result<(), NoTrial> {
        let Some(ready) = self.proposals_ready() else {
            return Ok(());
        };
        if self.dry.is_some() || self.may_start(ctx).is_err() || self.may_create().is_err() {
            return Ok(());
        }
        let waiting = u32::try_from(self.ready.len()).unwrap_or(u32::MAX);
        let wanted = u64::from(count.min(MOST_WANTED).saturating_sub(waiting));
        let wanted = wanted.min(self.room());
        if u64::from(ready) >= wanted {
            return Ok(());
        }
        self.adviser.wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        Err(NoTrial::Thinking)
    }

    /// Trials that may still be made.
    fn room(&self) -> u64 {
        let trials = self
            .spec
            .budget
            .trials
            .map_or(u64::MAX, |limit| limit.saturating_sub(self.created()));
        let parallel = self.spec.budget.parallel.map_or(u64::MAX, |limit| {
            u64::from(limit).saturating_sub(self.counts.in_flight())
        });
        trials.min(parallel)
    }

    /// A question whose answer will be needed, if there is one and none is away. It must be answered by [`Self::advised`].
    pub fn question(&mut self, ctx: &Ctx<'_>) -> Option<Question> {
        if matches!(self.may_start(ctx), Ok(()) | Err(NoTrial::Parallel(_)))
            && let Some(question) = self.child_question()
        {
            return Some(question);
        }
        let number = TrialNumber(self.next_number);
        if !self.adviser.strategy.is_costly() || self.dry.is_some() || self.may_create().is_err() {
            return None;
        }
        // A study that starts nothing new because of something else than its parallel trials needs none now.
        if !matches!(self.may_start(ctx), Ok(()) | Err(NoTrial::Parallel(_))) {
            return None;
        }
        let adviser = &self.adviser;
        if adviser.desk.is_none() || adviser.up_to_date(number) >= adviser.wanted.max(1) {
            return None;
        }
        let running = self.running();
        // One is made beforehand even if there is no place for it yet.
        let room = self.room().max(1);
        let adviser = &mut self.adviser;
        // The last answer was used up before any new result: more at once are wanted.
        let more = adviser.asked_at == Some(adviser.results);
        adviser.batch = if more {
            (adviser.batch * 2).min(MOST_AT_ONCE)
        } else {
            1
        };
        adviser.asked_at = Some(adviser.results);
        Some(Question::Point(Box::new(PointQuestion {
            spec: Arc::clone(&self.spec),
            strategy: Arc::clone(&adviser.strategy),
            desk: adviser.desk.take()?,
            next: number,
            proposed: self.proposed,
            cursor: self.cursor,
            running,
            count: adviser
                .batch
                .max(adviser.wanted)
                .min(usize::try_from(room).unwrap_or(usize::MAX)),
        })))
    }

    /// Takes in an answer, which took so long to compute.
    pub fn advised(&mut self, advice: Advice, took: Duration) {
        match advice {
            Advice::Point(advice) => self.point_advised(*advice, took),
            Advice::Child(advice) => self.child_advised(*advice),
        }
    }

    fn point_advised(&mut self, advice: PointAdvice, took: Duration) {
        let mut desk = advice.desk;
        desk.finished.append(&mut self.adviser.aside);
        self.adviser.desk = Some(desk);
        self.adviser.wanted = 0;
        match advice.proposal {
            Ok(proposal) => {
                let count = u32::try_from(proposal.points.len()).unwrap_or(u32::MAX).max(1);
                self.adviser.took = took / count;
                self.adviser.ready = (advice.next.0..)
                    .zip(proposal.points)
                    .map(|(number, suggestion)| Ready {
                        number: TrialNumber(number),
                        seen: advice.seen,
                        suggestion,
                    })
                    .collect();
            }
            // Whether it is at its end may depend on what it has seen.
            Err(_) if advice.next.0 != self.next_number || advice.seen != self.adviser.results => {}
            Err(error) => {
                self.run_dry(error);
            }
        }
    }

    /// Proposals that may be used now; none for strategies that make them when they are needed.
    pub(super) fn proposals_ready(&self) -> Option<u32> {
        let costly = self.adviser.strategy.is_costly();
        costly.then(|| self.adviser.usable_count(TrialNumber(self.next_number)))
    }

    /// Trials that have not ended, in the order of their numbers.
    fn running(&self) -> Vec<(TrialNumber, Box<[f64]>)> {
        self.active
            .iter()
            .map(|(&trial, active)| (trial, active.encoded.clone()))
            .collect()
    }
}

#[cfg(test)]
pub(super) mod tests;
