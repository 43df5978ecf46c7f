//! What a study's trials came to, in the order in which they ended, and how its best value came about.

use tunesmith_common::measurement::Goal;
use tunesmith_common::{Timestamp, TrialNumber};

use super::study::StudyCore;
use crate::store::End;

/// What a trial came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// The trial.
    pub trial: TrialNumber,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How.
    pub end: End,
    /// The first objective's value, if it may be the best: it is finite, and the trial keeps all measured constraints.
    pub value: Option<f64>,
}

/// A result among the trials that have ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// How many trials had ended then, with this one.
    pub ended: u64,
    /// What it came to.
    pub outcome: Outcome,
    /// Its value.
    pub value: f64,
}

/// How the best value came about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Incumbents {
    /// How many trials have ended.
    pub ended: u64,
    /// How many of them have a value that may be the best.
    pub results: u64,
    /// Those that were better than all before them.
    pub incumbents: Vec<Ranked>,
    /// Some of the others, or all, spread evenly over them.
    pub sample: Vec<Ranked>,
}

/// The trials that have ended.
#[derive(Debug, Default)]
pub(super) struct Results(Vec<Outcome>);

impl Results {
    /// Takes note of a trial that has ended after all others.
    pub(super) fn push(&mut self, outcome: Outcome) {
        self.0.push(outcome);
    }

    /// After outcomes came in another order than that in which trials ended.
    pub(super) fn sort(&mut self) {
        self.0
            .sort_unstable_by_key(|outcome| (outcome.ended_at, outcome.trial));
    }

    /// How many have ended, and when the last one did. Changes whenever one ends, or goes on.
    pub(super) fn revision(&self) -> (u64, Option<Timestamp>) {
        (self.0.len() as u64, self.0.last().map(|outcome| outcome.ended_at))
    }

    /// Which trials were the best when they ended, and up to `sample` others. Takes time proportional to how many there are.
    pub(super) fn incumbents(&self, goal: Goal, sample: usize) -> Incumbents {
        let mut best: Option<f64> = None;
        let mut others = Vec::new();
        let mut found = Incumbents {
            ended: self.0.len() as u64,
            ..Incumbents::default()
        };
        for (ended, outcome) in (1..).zip(&self.0) {
            let Some(value) = outcome.value else { continue };
            let result = Ranked {
                ended,
                outcome: *outcome,
                value,
            };
            if best.is_none_or(|best| goal.better(value, best)) {
                best = Some(value);
                found.incumbents.push(result);
            } else {
                others.push(result);
            }
        }
        found.results = (found.incumbents.len() + others.len()) as u64;
        let count = sample.min(others.len());
        found.sample = (0..count)
            .map(|place| others[place * others.len() / count])
            .collect();
        found
    }
}

impl StudyCore {
    /// How its best value came about, with up to `sample` results that were not the best when they came.
    #[must_use]
    pub fn incumbents(&self, sample: usize) -> Incumbents {
        self.results.incumbents(self.spec.objective.goal, sample)
    }

    /// How many trials have ended, and when the last one did. Changes whenever one ends, or goes on.
    #[must_use]
    pub fn results_revision(&self) -> (u64, Option<Timestamp>) {
        self.results.revision()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(trial: u64, at: i64, value: Option<f64>) -> Outcome {
        Outcome {
            trial: TrialNumber(trial),
            ended_at: Timestamp::from_micros(at),
            end: End::Completed,
            value,
        }
    }

    #[test]
    fn the_best_value_came_about_in_the_order_in_which_trials_ended() {
        let mut results = Results::default();
        assert_eq!(results.revision(), (0, None));
        assert_eq!(results.incumbents(Goal::Minimize, 9), Incumbents::default());
        // As they are read from the store: by number.
        let read = [
            (1, 40, Some(0.2)),
            (2, 10, Some(0.9)),
            (3, 20, None),
            (4, 30, Some(0.9)),
            (5, 50, Some(0.5)),
        ];
        for (trial, at, value) in read {
            results.push(outcome(trial, at, value));
        }
        results.sort();
        assert_eq!(results.revision(), (5, Some(Timestamp::from_micros(50))));
        let of = |ranked: &[Ranked]| {
            ranked
                .iter()
                .map(|result| (result.outcome.trial.0, result.ended, result.value))
                .collect::<Vec<_>>()
        };
        let found = results.incumbents(Goal::Minimize, 9);
        assert_eq!((found.ended, found.results), (5, 4));
        assert_eq!(of(&found.incumbents), [(2, 1, 0.9), (1, 4, 0.2)]);
        assert_eq!(of(&found.sample), [(4, 3, 0.9), (5, 5, 0.5)]);
        let turned = results.incumbents(Goal::Maximize, 2);
        assert_eq!(of(&turned.incumbents), [(2, 1, 0.9)]);
        assert_eq!(
            of(&turned.sample),
            [(4, 3, 0.9), (1, 4, 0.2)],
            "evenly over the three others"
        );
    }
}
