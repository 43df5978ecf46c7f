//! Successive halving: which trials have come as far as each rung, and how good they were when they did.
//!
//! A trial enters a rung at its first report at or after the rung's step, with its best value up to there. What is in a rung depends on
//! the trials' curves alone: a curve that changes takes its entries with it.
//!
//! # Invariant
//!
//! A trial's entries are those of its bracket's rungs at or before its last step, no more and no fewer.

use tunesmith_common::TrialNumber;
use tunesmith_common::measurement::Goal;
use tunesmith_common::study::{StopperRule, rungs};

use super::multiset::{Multiset, Owner};
use crate::brackets::{shares, spot};

/// Whom entries belong to does not matter: a rung is asked for places and counts, and equal entries are as good as each other.
const NOBODY: Owner = 0;

/// All rungs of one rule.
#[derive(Debug)]
pub(super) struct Rungs {
    /// Which of the rules on the metric.
    pub(super) place: usize,
    reduction: u32,
    /// By bracket. Its first rung is that of the bracket before without the first.
    brackets: Vec<Bracket>,
}

#[derive(Debug)]
struct Bracket {
    /// Trials, of all in this bracket and those before, out of 1.
    shares_to: f64,
    /// Ascending.
    steps: Vec<i64>,
    /// By rung.
    rungs: Vec<Rung>,
}

/// Trials that have come as far as a step. Smaller is better.
#[derive(Debug, Default)]
struct Rung {
    /// Best values, finite.
    best: Multiset,
    /// Trials without a finite value.
    without: usize,
}

/// What a trial has in the rungs of one rule: its best value as it entered each, infinite if there was none.
#[derive(Clone, Debug)]
pub(super) struct Entries {
    bracket: usize,
    values: Vec<f64>,
}

/// Where a trial stands in a rung, itself included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Standing {
    /// Step of the rung.
    pub(super) step: i64,
    /// Trials there.
    pub(super) trials: usize,
    /// How many of them go on.
    pub(super) kept: usize,
    /// The worst value of those; infinite if too few have one.
    pub(super) needed: f64,
}

/// What a report means to a rule with rungs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Entered {
    /// The first rung is ahead, at this step.
    NotYet(i64),
    /// No rung that the report before had not entered.
    Nothing,
    /// A rung, the highest that it entered.
    Rung(Standing),
}

impl Rungs {
    /// Of a rule, if it has rungs; `place` says which of the rules on its metric it is.
    pub(super) fn of(rule: &StopperRule, place: usize) -> Option<Self> {
        let &StopperRule::Asha {
            min_steps,
            reduction,
            max_steps,
            brackets,
            ..
        } = rule
        else {
            return None;
        };
        let steps: Vec<i64> = rungs(min_steps, reduction, max_steps).collect();
        let count = (brackets as usize).clamp(1, steps.len().max(1));
        let shares = shares(count, steps.len(), reduction);
        let bracket = |(index, shares_to)| {
            let steps = steps.get(index..).unwrap_or_default().to_vec();
            let mut rungs = Vec::new();
            rungs.resize_with(steps.len(), Rung::default);
            Bracket {
                shares_to,
                steps,
                rungs,
            }
        };
        Some(Self {
            place,
            reduction: reduction.max(2),
            brackets: shares.into_iter().enumerate().map(bracket).collect(),
        })
    }

    /// Nothing yet, of a trial.
    pub(super) fn new_entries(&self, trial: TrialNumber) -> Entries {
        let spot = spot(trial);
        let bracket = self.brackets.partition_point(|bracket| bracket.shares_to <= spot);
        Entries {
            bracket: bracket.min(self.brackets.len() - 1),
            values: Vec::new(),
        }
    }

    /// A trial has reported at `step` as its last, the report before having been at `before`; `best` is its best value, if any.
    pub(super) fn enter(&mut self, entries: &mut Entries, before: Option<i64>, step: i64, best: Option<f64>) {
        let bracket = &mut self.brackets[entries.bracket];
        let upto = |step: i64| bracket.steps.partition_point(|rung| *rung <= step);
        let (kept, reached) = (before.map_or(0, upto), upto(step));
        if kept == reached {
            return;
        }
        bracket.leave(entries, kept);
        for rung in &mut bracket.rungs[kept..reached] {
            entries.values.push(rung.enter(best));
        }
    }

    /// A trial's curve has become another.
    pub(super) fn enter_again(&mut self, entries: &mut Entries, goal: Goal, points: &[(i64, f64)]) {
        self.brackets[entries.bracket].leave(entries, 0);
        let (mut before, mut best): (_, Option<f64>) = (None, None);
        for (step, value) in points {
            if value.is_finite() {
                let turned = goal.to_minimize(*value);
                best = Some(best.map_or(turned, |best| best.min(turned)));
            }
            self.enter(entries, before, *step, best);
            before = Some(*step);
        }
    }

    /// What a trial's last report means, that before it having been at `before`.
    pub(super) fn entered(&self, entries: &Entries, before: Option<i64>) -> Entered {
        let bracket = &self.brackets[entries.bracket];
        let Some(last) = entries.values.len().checked_sub(1) else {
            return bracket
                .steps
                .first()
                .map_or(Entered::Nothing, |step| Entered::NotYet(*step));
        };
        let (step, rung) = (bracket.steps[last], &bracket.rungs[last]);
        if before.is_some_and(|before| before >= step) {
            return Entered::Nothing;
        }
        let trials = rung.best.len() + rung.without;
        let kept = trials / self.reduction as usize;
        let needed = kept.checked_sub(1).and_then(|last| rung.best.select(last));
        Entered::Rung(Standing {
            step,
            trials,
            kept,
            needed: needed.unwrap_or(f64::INFINITY),
        })
    }
}

impl Bracket {
    /// Takes away a trial's entries in all rungs but the first `kept`.
    fn leave(&mut self, entries: &mut Entries, kept: usize) {
        for (index, value) in entries.values.iter().enumerate().skip(kept) {
            self.rungs[index].leave(*value);
        }
        entries.values.truncate(kept);
    }
}

impl Rung {
    /// Returns the entry.
    fn enter(&mut self, best: Option<f64>) -> f64 {
        match best {
            Some(best) => self.best.insert(best, NOBODY),
            None => self.without += 1,
        }
        best.unwrap_or(f64::INFINITY)
    }

    fn leave(&mut self, entry: f64) {
        if entry.is_finite() {
            let removed = self.best.remove(entry, NOBODY);
            debug_assert!(removed, "{entry} was to be in the rung");
        } else {
            self.without = self.without.saturating_sub(1);
        }
    }
}

#[cfg(test)]
impl Rungs {
    /// The bracket of a trial.
    pub(super) fn bracket_of(&self, trial: TrialNumber) -> usize {
        self.new_entries(trial).bracket
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rungs_of(max_steps: Option<i64>, brackets: u32) -> Rungs {
        let rule = StopperRule::Asha {
            metric: None,
            goal: None,
            min_steps: 1,
            reduction: 3,
            max_steps,
            brackets,
        };
        Rungs::of(&rule, 0).unwrap()
    }

    #[test]
    fn rungs_grow_by_the_reduction_and_end_below_the_last_step() {
        assert_eq!(rungs_of(Some(27), 1).brackets[0].steps, [1, 3, 9]);
        assert_eq!(rungs_of(Some(28), 1).brackets[0].steps, [1, 3, 9, 27]);
        let endless = rungs_of(None, 1);
        assert_eq!(endless.brackets[0].steps.len(), 40);
        let each = rungs_of(Some(28), 3);
        let starts: Vec<i64> = each.brackets.iter().map(|bracket| bracket.steps[0]).collect();
        assert_eq!(starts, [1, 3, 9]);
    }

    /// With 81 steps and a reduction of 3, Hyperband (Li et al. 2018, algorithm 1) begins its brackets of 4 to 1 halvings with 81, 33.75, 15
    /// and 7.5 trials, before it rounds.
    #[test]
    fn trials_are_divided_between_brackets_as_by_hyperband() {
        let rungs = rungs_of(Some(81), 4);
        let mut counts = [0_u32; 4];
        for trial in 1..=13_725 {
            counts[rungs.bracket_of(TrialNumber(trial))] += 1;
        }
        for (count, expected) in counts.into_iter().zip([8_100, 3_375, 1_500, 750]) {
            assert!(count.abs_diff(expected) <= 8, "{counts:?}");
        }
    }
}
