//! Makes a study's proposals again from what is stored, to see that they are the same.
//!
//! Pure: it neither reads nor changes a study.

use std::sync::Arc;

use tunesmith_common::decision::{Origin, Provenance};
use tunesmith_common::study::{Acquisition, StrategyName, StudySpec};
use tunesmith_common::{Params, Timestamp, TrialNumber};
use tunesmith_optimizer::{FinishedTrial, Memory, RunningTrial, SearchStrategy, StudyView, build};

use super::advice::propose;
use super::values::{Past, Values};
use crate::store::{End, TrialRow};

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
    trials: Vec<Known>,
}

/// A study whose proposals are made again, one after the other.
#[derive(Debug)]
pub struct Replay {
    spec: StudySpec,
    strategy: Box<dyn SearchStrategy>,
    memory: Memory,
    /// Ascending by number.
    trials: Vec<Known>,
    /// Results in the order in which they came.
    finished: Vec<FinishedTrial>,
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
    /// Place among the results; the largest number if it has not ended.
    place: usize,
}

impl History {
    /// Nothing of this study yet.
    #[must_use]
    pub fn new(spec: StudySpec) -> Self {
        Self {
            spec,
            trials: Vec::new(),
        }
    }

    /// Adds a trial, in any order. Of a study that goes on, trials are to be read from the newest to the oldest, so that of each one all
    /// results that its strategy had seen are there.
    pub fn add(&mut self, row: TrialRow) {
        // A study refuses what its space cannot encode; if one has it all the same, nothing is known of where it is.
        let dimensions = self.spec.space.dimensions().len();
        let encoded = self.spec.space.encode(&row.params);
        let values = Values {
            first: row.value,
            more: row.more_values,
        };
        self.trials.push(Known {
            number: row.number,
            end: End::of(&row.state)
                .zip(row.ended_at)
                .map(|(end, at)| (at, end, values, row.last_step)),
            provenance: row.provenance,
            params: row.params,
            encoded: encoded.unwrap_or_else(|_| vec![f64::NAN; dimensions]).into(),
            place: usize::MAX,
        });
    }

    /// That is all.
    #[must_use]
    pub fn replay(self) -> Replay {
        let Self { spec, mut trials } = self;
        trials.sort_by_key(|trial| trial.number);
        let mut ends: Vec<(Timestamp, usize)> = trials
            .iter()
            .enumerate()
            .filter_map(|(index, trial)| trial.end.as_ref().map(|(at, ..)| (*at, index)))
            .collect();
        ends.sort_unstable();
        let mut finished = Vec::with_capacity(ends.len());
        for (_, index) in ends {
            let trial = &mut trials[index];
            if let Some((_, end, values, last_step)) = trial.end.take() {
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
        let (strategy, _) = build(&spec);
        Replay {
            spec,
            strategy,
            memory: Memory::default(),
            trials,
            finished,
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
        if provenance.origin != Origin::Strategy {
            return Some((trial.number, Replayed::NotProposed));
        }
        let different = |again: Option<Params>, reason: String| Replayed::Different {
            stored: Params::clone(&trial.params),
            again,
            reason,
        };
        if provenance.strategy != self.strategy.name() {
            // `auto` may have chosen otherwise under an earlier budget.
            let Some(strategy) = strategy_named(&provenance.strategy, &self.spec) else {
                let reason = format!(
                    "{} proposed it, under other settings than the present ones",
                    provenance.strategy
                );
                return Some((trial.number, different(None, reason)));
            };
            self.strategy = strategy;
        }
        let seen = usize::try_from(provenance.results)
            .unwrap_or(usize::MAX)
            .min(self.finished.len());
        let running: Vec<RunningTrial<'_>> = self.trials[..self.next]
            .iter()
            .filter(|other| other.place >= seen)
            .map(|other| RunningTrial {
                trial: other.number,
                encoded: &other.encoded,
            })
            .collect();
        let view = StudyView {
            space: &self.spec.space,
            seed: self.spec.strategy.seed,
            next: trial.number,
            proposed: self.proposed,
            cursor: self.cursor,
            finished: &self.finished[..seen],
            running: &running,
        };
        let outcome = match propose(&*self.strategy, &view, 1, &mut self.memory) {
            Err(error) => different(None, error.to_string()),
            Ok(proposal) => match proposal.points.into_iter().next() {
                None => different(None, "nothing is proposed".to_owned()),
                Some(point) if point.params == *trial.params => Replayed::Same,
                Some(point) => different(Some(point.params), String::new()),
            },
        };
        Some((trial.number, outcome))
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

/// The study's strategy, or another one that `auto` chooses, by its name.
fn strategy_named(name: &str, spec: &StudySpec) -> Option<Box<dyn SearchStrategy>> {
    let gp = StrategyName::Gp {
        acquisition: Acquisition::default(),
    };
    [spec.strategy.name, gp, StrategyName::Tpe, StrategyName::Nsga2]
        .into_iter()
        .map(|choice| {
            let mut spec = spec.clone();
            spec.strategy.name = choice;
            build(&spec).0
        })
        .find(|strategy| strategy.name() == name)
}
