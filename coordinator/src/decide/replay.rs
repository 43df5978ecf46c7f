//! Makes a study's proposals again from what is stored, to see that they are the same.
//!
//! Pure: it neither reads nor changes a study.

use std::sync::Arc;

use tunesmith_common::checkpoint::{Parent, Stages};
use tunesmith_common::decision::{Origin, Provenance};
use tunesmith_common::study::{Population, Schedule, StrategyName, StudySpec};
use tunesmith_common::{Params, Timestamp, TrialNumber};
use tunesmith_optimizer::{
    Contest, Expected, FinishedTrial, Memory, RunningTrial, SearchStrategy, StudyView, build,
};

use super::advice::propose;
use super::children::bred;
use super::history::seen;
use super::stages::{seen_at, seen_earlier, shown};
use super::values::{Past, Values};
use crate::store::{End, PriorTrial, TrialRow};

/// What came of making a proposal again.
#[derive(Clone, Debug, PartialEq)]
pub enum Replayed {
    /// The same point.
    Same,
    /// Another point, or none.
    Different {
        /// What is stored.
        stored: Params,
        /// What is proposed now; none if nothing is.
        again: Option<Params>,
        /// Why, if it can be said.
        reason: String,
    },
    /// People or programs chose it.
    NotProposed,
}

/// What is stored of a study, to make its proposals again.
#[derive(Debug)]
pub struct History {
    spec: StudySpec,
    /// Of other studies.
    of_others: Vec<FinishedTrial>,
    trials: Vec<Known>,
}

/// A study whose proposals are made again, one after the other.
#[derive(Debug)]
pub struct Replay {
    spec: StudySpec,
    strategy: Box<dyn SearchStrategy>,
    /// What the strategy is, with its settings.
    settings: StrategyName,
    memory: Memory,
    /// Ascending by number.
    trials: Vec<Known>,
    /// Results in the order in which they came, those of other studies first.
    finished: Vec<FinishedTrial>,
    /// When each came; those of other studies before all others.
    times: Vec<Timestamp>,
    /// Trials that the strategy has proposed before the next one, and the last of their cursors.
    proposed: u64,
    cursor: Option<u64>,
    next: usize,
}

#[derive(Debug)]
struct Known {
    number: TrialNumber,
    provenance: Arc<Provenance>,
    params: Arc<Params>,
    encoded: Box<[f64]>,
    end: Option<(Timestamp, End, Values, Option<i64>)>,
    /// What it had come to at rungs, and whenever its time was up before, as strategies saw it.
    rungs: Vec<(Timestamp, FinishedTrial)>,
    /// For each time that its time was up before: its place among the results then, and the next trial when it got more.
    breaks: Vec<(usize, TrialNumber)>,
    /// Where it began, and all rungs.
    stages: Arc<Stages>,
    /// Place among the results, those of other studies included; the largest number if it has not ended.
    place: usize,
}

impl Known {
    /// Whether it had not ended when so many results were seen and trial `next` was about to be made.
    fn was_alive(&self, seen: usize, next: TrialNumber) -> bool {
        let at_rest = |(place, until): &(usize, TrialNumber)| *place < seen && next < *until;
        self.place >= seen && !self.breaks.iter().any(at_rest)
    }
}

impl History {
    /// Nothing of this study yet.
    #[must_use]
    pub fn new(spec: StudySpec) -> Self {
        Self {
            spec,
            of_others: Vec::new(),
            trials: Vec::new(),
        }
    }

    /// The trials of other studies that it knows.
    #[must_use]
    pub fn knowing(mut self, of_others: Vec<PriorTrial>) -> Self {
        let seen = of_others.into_iter().map(|trial| seen(trial, &self.spec));
        self.of_others = seen.collect();
        self
    }

    /// Adds a trial, in any order. Of a study that goes on, trials are to be read from the newest to the oldest, so that of each one all
    /// results that its strategy had seen are there.
    pub fn add(&mut self, row: TrialRow) {
        // A study refuses what its space cannot encode; if one has it all the same, nothing is known of where it is.
        let dimensions = self.spec.space.dimensions().len();
        let encoded = self.spec.space.encode(&row.params);
        let encoded: Box<[f64]> = encoded.unwrap_or_else(|_| vec![f64::NAN; dimensions]).into();
        let values = Values {
            first: row.value,
            more: row.more_values,
        };
        let (number, spec) = (row.number, &self.spec);
        let at_rungs =
            shown(&row.stages.rungs).map(|result| (result.at, seen_at(number, &encoded, result, spec)));
        let ends = row.stages.earlier_ends.iter();
        let ends = ends.map(|end| (end.at, seen_earlier(number, &encoded, end, spec)));
        let rungs = ends.chain(at_rungs).collect();
        self.trials.push(Known {
            rungs,
            breaks: Vec::new(),
            stages: row.stages,
            number: row.number,
            end: End::of(&row.state)
                .zip(row.ended_at)
                .map(|(end, at)| (at, end, values, row.last_step)),
            provenance: row.provenance,
            params: row.params,
            encoded,
            place: usize::MAX,
        });
    }

    /// That is all.
    #[must_use]
    pub fn replay(self) -> Replay {
        let Self {
            spec,
            of_others,
            mut trials,
        } = self;
        trials.sort_by_key(|trial| trial.number);
        // When, which trial, and which of its rungs; the end if none.
        let mut results: Vec<(Timestamp, usize, Option<usize>)> = Vec::new();
        for (index, trial) in trials.iter().enumerate() {
            let rungs = trial.rungs.iter().enumerate();
            results.extend(rungs.map(|(rung, (at, _))| (*at, index, Some(rung))));
            results.extend(trial.end.as_ref().map(|(at, ..)| (*at, index, None)));
        }
        results.sort_unstable();
        let mut times = vec![Timestamp::UNIX_EPOCH; of_others.len()];
        times.extend(results.iter().map(|(at, ..)| *at));
        let mut finished = of_others;
        finished.reserve(results.len());
        for (_, index, rung) in results {
            let trial = &mut trials[index];
            if let Some((_, result)) = rung.and_then(|rung| trial.rungs.get(rung)) {
                // The earlier ends come first.
                if let Some(end) = rung.and_then(|rung| trial.stages.earlier_ends.get(rung)) {
                    trial.breaks.push((finished.len(), end.next));
                }
                finished.push(result.clone());
            } else if let Some((_, end, values, last_step)) = trial.end.take() {
                trial.place = finished.len();
                let past = Past {
                    number: trial.number,
                    end,
                    values,
                    encoded: trial.encoded.clone(),
                    last_step,
                };
                finished.push(past.finished(&spec));
            }
        }
        Replay {
            strategy: build(&spec),
            settings: spec.chosen_strategy().0,
            spec,
            memory: Memory::default(),
            trials,
            finished,
            times,
            proposed: 0,
            cursor: None,
            next: 0,
        }
    }
}

impl Replay {
    /// Passes over the trials before `number`.
    pub fn skip_to(&mut self, number: TrialNumber) {
        while self
            .trials
            .get(self.next)
            .is_some_and(|trial| trial.number < number)
        {
            self.pass();
        }
    }

    /// The next trial.
    #[must_use]
    pub fn upcoming(&self) -> Option<TrialNumber> {
        self.trials.get(self.next).map(|trial| trial.number)
    }

    /// Goes to the next trial, of which it is remembered what later proposals depend on.
    fn pass(&mut self) {
        if let Some(trial) = self.trials.get(self.next)
            && trial.provenance.origin == Origin::Strategy
        {
            self.proposed += 1;
            self.cursor = trial.provenance.cursor.or(self.cursor);
        }
        self.next += 1;
    }

    fn replay(&mut self) -> Option<(TrialNumber, Replayed)> {
        let trial = self.trials.get(self.next)?;
        let provenance = &trial.provenance;
        // The segments of a training that is repeated are given, not chosen.
        let is_given = matches!(self.spec.strategy.schedule, Some(Schedule::Replay(_)));
        if provenance.origin != Origin::Strategy || is_given {
            return Some((trial.number, Replayed::NotProposed));
        }
        let (number, stored, seen) = (trial.number, Arc::clone(&trial.params), provenance.results);
        let different = |again: Option<Params>, reason: String| Replayed::Different {
            stored: Params::clone(&stored),
            again,
            reason,
        };
        if let (Some(parent), Some(Schedule::Population(population))) =
            (&trial.stages.parent, &self.spec.strategy.schedule)
        {
            let outcome = match self.bred_again(number, population, parent, seen) {
                Err(reason) => different(None, reason),
                Ok(params) if params == *stored => Replayed::Same,
                Ok(params) => different(Some(params), String::new()),
            };
            return Some((number, outcome));
        }
        match provenance.settings {
            Some(settings) => self.take_up(settings),
            None if provenance.strategy != self.strategy.name() => {
                let reason = format!(
                    "{} proposed it, and with which settings is not stored",
                    provenance.strategy
                );
                return Some((number, different(None, reason)));
            }
            None => {}
        }
        let proposal = self.with_view(number, seen, |strategy, view, memory| {
            propose(strategy, view, 1, memory).0
        });
        let outcome = match proposal {
            Err(error) => different(None, error.to_string()),
            Ok(proposal) => match proposal.points.into_iter().next() {
                None => different(None, "nothing is proposed".to_owned()),
                Some(point) if point.params == *stored => Replayed::Same,
                Some(point) => different(Some(point.params), String::new()),
            },
        };
        Some((number, outcome))
    }

    /// The parameters of a child, chosen once more.
    fn bred_again(
        &self,
        child: TrialNumber,
        population: &Population,
        parent: &Parent,
        results: u64,
    ) -> Result<Params, String> {
        let known = self.trials.iter().find(|trial| trial.number == parent.trial);
        let known = known.ok_or_else(|| format!("its parent, trial {}, is not there", parent.trial))?;
        let goal = self.spec.objective.goal;
        let seen = usize::try_from(results).unwrap_or(usize::MAX);
        let mut contest = Contest::new(population.clone(), self.spec.strategy.seed);
        // When what it had seen last was found.
        let until = self.times.get(seen.saturating_sub(1)).copied();
        let before = &self.trials[..self.next];
        for trial in before {
            let begun = trial.stages.parent.as_ref();
            let begun = begun.map(|parent| (parent.step, goal.to_minimize(parent.value)));
            contest.enter(trial.number, &trial.encoded, begun);
            for rung in trial
                .stages
                .rungs
                .iter()
                .filter(|rung| seen > 0 && Some(rung.at) <= until)
            {
                contest.reach(trial.number, rung.rung, goal.to_minimize(rung.value));
            }
        }
        let is_trained = |number| {
            before
                .iter()
                .any(|trial| trial.number == number && trial.was_alive(seen, child))
        };
        let begun = (parent.step, goal.to_minimize(parent.value));
        let intervals = contest.intervals(is_trained);
        let (bred, _) = bred(&self.spec, population, child, &known.params, begun, &intervals);
        bred.map(|child| child.params).map_err(|error| error.to_string())
    }

    /// Works with the strategy that made a proposal from here on: `auto` may have chosen otherwise under an earlier budget.
    fn take_up(&mut self, settings: StrategyName) {
        if settings != self.settings {
            self.spec.strategy.name = settings;
            self.strategy = build(&self.spec);
            self.settings = settings;
        }
    }

    /// Shows the strategy the study as it was when trial `next` was proposed, after so many results.
    fn with_view<T>(
        &mut self,
        next: TrialNumber,
        results: u64,
        ask: impl FnOnce(&dyn SearchStrategy, &StudyView<'_>, &mut Memory) -> T,
    ) -> T {
        let seen = usize::try_from(results)
            .unwrap_or(usize::MAX)
            .min(self.finished.len());
        let running: Vec<RunningTrial<'_>> = self.trials[..self.next]
            .iter()
            .filter(|other| other.was_alive(seen, next))
            .map(|other| RunningTrial {
                trial: other.number,
                encoded: &other.encoded,
            })
            .collect();
        let view = StudyView {
            space: &self.spec.space,
            seed: self.spec.strategy.seed,
            next,
            proposed: self.proposed,
            cursor: self.cursor,
            finished: &self.finished[..seen],
            running: &running,
        };
        ask(&*self.strategy, &view, &mut self.memory)
    }

    /// What the strategy would propose next, after all trials there are.
    ///
    /// # Errors
    /// Why nothing is proposed, for people.
    pub fn next_proposal(&mut self) -> Result<Params, String> {
        let next = self.after_all();
        self.skip_to(next);
        let seen = self.finished.len() as u64;
        let proposal = self.with_view(next, seen, |strategy, view, memory| {
            propose(strategy, view, 1, memory).0
        });
        let points = proposal.map_err(|error| error.to_string())?.points;
        let first = points.into_iter().next();
        first
            .map(|point| point.params)
            .ok_or_else(|| "the strategy proposes nothing more".to_owned())
    }

    fn after_all(&self) -> TrialNumber {
        TrialNumber(self.trials.last().map_or(1, |trial| trial.number.0 + 1))
    }

    /// What the study's model expects at some points of the encoded space: at the proposal of trial `at`, or now. With the strategy's name and
    /// how many results the model has seen.
    ///
    /// # Errors
    /// Why there is no answer, for people.
    pub fn expect(
        &mut self,
        at: Option<TrialNumber>,
        points: &[Vec<f64>],
    ) -> Result<(&'static str, u64, Expected), String> {
        let next = at.unwrap_or_else(|| self.after_all());
        self.skip_to(next);
        let mut seen = self.finished.len() as u64;
        if let (Some(number), Some(trial)) = (at, self.trials.get(self.next)) {
            let provenance = Arc::clone(&trial.provenance);
            if provenance.origin != Origin::Strategy {
                return Err(format!("trial {number} was not proposed by the study's strategy"));
            }
            if let Some(settings) = provenance.settings {
                self.take_up(settings);
            }
            seen = provenance.results;
        }
        let expected = self.with_view(next, seen, |strategy, view, memory| {
            strategy.expect(view, points, memory)
        });
        let expected = expected.map_err(|error| error.to_string())?;
        Ok((self.strategy.name(), seen, expected))
    }
}

/// One trial after the other.
impl Iterator for Replay {
    type Item = (TrialNumber, Replayed);

    fn next(&mut self) -> Option<Self::Item> {
        let replayed = self.replay()?;
        self.pass();
        Some(replayed)
    }
}

#[cfg(test)]
mod tests {
    use tunesmith_common::study::StudyFile;

    use super::super::advice::tests::Unfit;
    use super::*;

    #[test]
    fn what_was_drawn_at_random_since_the_strategy_panicked_is_drawn_again() {
        let (_, spec) = StudyFile::parse(
            "objective: {metric: loss, goal: minimize}\nspace: {x: {type: float, low: 0, high: 1}}\n",
            "unfit.yaml",
        )
        .unwrap();
        let proposed = |panics| {
            let mut replay = History::new(spec.clone()).replay();
            replay.strategy = Box::new(Unfit { panics });
            replay.next_proposal().unwrap()
        };
        assert_eq!(proposed(true), proposed(false));
    }
}
