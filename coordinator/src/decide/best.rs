//! The best of a study's trials: one, or with several objectives the Pareto set.
//!
//! Which trials are in a Pareto set does not depend on the order in which they come.

use std::sync::Arc;

use tunesmith_common::TrialNumber;
use tunesmith_common::study::StudySpec;
use tunesmith_optimizer::FinishedTrial;

/// The best trials that have ended.
#[derive(Debug, Default)]
pub(super) struct Best {
    /// With one objective, the best trial and its value.
    pub(super) one: Option<(TrialNumber, f64)>,
    /// With several objectives, the Pareto set.
    pub(super) set: ParetoSet,
}

impl Best {
    /// Whether a trial is the best, or in the Pareto set.
    pub(super) fn has(&self, trial: TrialNumber) -> bool {
        self.one.is_some_and(|(best, _)| best == trial) || self.set.numbers().contains(&trial)
    }

    /// Takes note of a trial that has ended. With one objective, of equal trials the first stays.
    pub(super) fn consider(&mut self, spec: &StudySpec, trial: &FinishedTrial) {
        let goal = spec.objective.goal;
        let Some(value) = value_that_ranks(spec, trial) else {
            return;
        };
        if !spec.more_objectives.is_empty() {
            let values = std::iter::once(goal.to_minimize(value)).chain(trial.others.iter().copied());
            self.set.insert(trial.trial, values.collect());
        } else if value.is_finite() && self.one.is_none_or(|(_, best)| goal.better(value, best)) {
            self.one = Some((trial.trial, value));
        }
    }
}

/// The first objective's value as reported, if the trial may be the best.
pub(super) fn value_that_ranks(spec: &StudySpec, trial: &FinishedTrial) -> Option<f64> {
    let value = trial.value.filter(|_| is_feasible(&trial.violations))?;
    Some(spec.objective.goal.to_minimize(value)) // turned a second time, it is as reported
}

/// Whether all measured constraints are kept. One whose metric was not reported is not.
fn is_feasible(violations: &[f64]) -> bool {
    violations.iter().all(|violation| *violation <= 0.0)
}

/// Trials to which no other is equal or better in each objective and better in one. Trials that are equal in all are all in it.
#[derive(Clone, Debug, Default)]
pub(super) struct ParetoSet {
    /// Values that are the better the smaller, with their trials; ordered by the first value, then by the others, then by number.
    members: Vec<(Box<[f64]>, TrialNumber)>,
    numbers: Arc<[TrialNumber]>,
}

impl ParetoSet {
    /// The trials, best in the first objective first.
    pub(super) fn numbers(&self) -> &Arc<[TrialNumber]> {
        &self.numbers
    }

    /// Adds a trial, unless another is better or one of its values is not finite, and drops those that it is better than. Takes time
    /// proportional to the size of the set. Whether it was added.
    pub(super) fn insert(&mut self, trial: TrialNumber, values: Box<[f64]>) -> bool {
        let is_finite = values.iter().all(|value| value.is_finite());
        if !is_finite || self.members.iter().any(|(known, _)| dominates(known, &values)) {
            return false;
        }
        self.members.retain(|(known, _)| !dominates(&values, known));
        let place = self.members.partition_point(|(known, number)| {
            known
                .partial_cmp(&values)
                .is_some_and(|order| order.then(number.cmp(&trial)).is_lt())
        });
        self.members.insert(place, (values, trial));
        self.numbers = self.members.iter().map(|(_, number)| *number).collect();
        true
    }
}

/// Whether `a` is equal or smaller in each value and smaller in one.
fn dominates(a: &[f64], b: &[f64]) -> bool {
    let pairs = || a.iter().zip(b);
    pairs().all(|(a, b)| a <= b) && pairs().any(|(a, b)| a < b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the set is by its definition.
    fn naive(points: &[Vec<f64>]) -> Vec<TrialNumber> {
        let better = |a: &[f64], b: &[f64]| {
            let worse = (0..a.len()).any(|i| a[i] > b[i]);
            let better = (0..a.len()).any(|i| a[i] < b[i]);
            better && !worse
        };
        let finite: Vec<(usize, &Vec<f64>)> = points
            .iter()
            .enumerate()
            .filter(|(_, point)| point.iter().all(|value| value.is_finite()))
            .collect();
        let mut members: Vec<_> = finite
            .iter()
            .filter(|(_, point)| !finite.iter().any(|(_, other)| better(other, point)))
            .collect();
        members.sort_by(|(a, left), (b, right)| left.partial_cmp(right).unwrap().then(a.cmp(b)));
        members
            .iter()
            .map(|(index, _)| TrialNumber(*index as u64 + 1))
            .collect()
    }

    /// Few different values, so that there are ties, and some that are no numbers.
    fn any_value() -> impl Strategy<Value = f64> {
        prop_oneof![
            12 => (-3..4_i8).prop_map(f64::from),
            6 => -1.0..1.0_f64,
            1 => Just(f64::NAN),
            1 => prop::sample::select(vec![f64::INFINITY, f64::NEG_INFINITY, -0.0]),
        ]
    }

    fn any_points() -> impl Strategy<Value = (Vec<Vec<f64>>, Vec<usize>)> {
        (1..5_usize, 0..40_usize)
            .prop_flat_map(|(objectives, count)| {
                prop::collection::vec(prop::collection::vec(any_value(), objectives), count)
            })
            .prop_flat_map(|points| {
                let order: Vec<usize> = (0..points.len()).collect();
                (Just(points), Just(order).prop_shuffle())
            })
    }

    proptest! {
        #[test]
        fn a_set_kept_trial_by_trial_is_the_one_by_definition_in_any_order((points, order) in any_points()) {
            let mut set = ParetoSet::default();
            for index in order {
                set.insert(TrialNumber(index as u64 + 1), points[index].clone().into());
            }
            prop_assert_eq!(&set.numbers()[..], &naive(&points)[..]);
        }
    }

    #[test]
    fn a_constraint_that_was_not_measured_is_not_kept() {
        assert!(is_feasible(&[]) && is_feasible(&[-1.0, 0.0]));
        assert!(!is_feasible(&[-1.0, 0.1]));
        assert!(!is_feasible(&[f64::NAN]));
    }
}
