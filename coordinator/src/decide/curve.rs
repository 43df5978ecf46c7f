//! The curve of a trial's objective, and the value that is taken from it.
//!
//! Of several values at one step the last counts. A new attempt that starts again at step s replaces the view from s on.

use tunesmith_common::measurement::{From as ValueFrom, Goal};

/// Values by step, ascending.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Curve(Vec<(i64, f64)>);

impl Curve {
    /// The points.
    pub(super) fn points(&self) -> &[(i64, f64)] {
        &self.0
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Adds a value; one that was reported for the same step before gives way.
    pub(super) fn report(&mut self, step: i64, value: f64) {
        match self.0.last() {
            Some(&(last, _)) if last >= step => match self.0.binary_search_by_key(&step, |&(step, _)| step) {
                Ok(index) => self.0[index].1 = value,
                Err(index) => self.0.insert(index, (step, value)),
            },
            _ => self.0.push((step, value)),
        }
    }

    /// Forgets everything from `step` on.
    pub(super) fn truncate_from(&mut self, step: i64) {
        let keep = self.0.partition_point(|&(known, _)| known < step);
        self.0.truncate(keep);
    }

    /// The objective's value, if anything was reported. NaN and infinities are returned as reported, but a finite value at
    /// another step goes before them where the rule allows a choice.
    pub(super) fn value(&self, from: ValueFrom, goal: Goal) -> Option<f64> {
        let &(_, last) = self.0.last()?;
        match from {
            ValueFrom::Last => Some(last),
            ValueFrom::Best => {
                Some(self.0.iter().fold(
                    last,
                    |best, &(_, value)| if goal.better(value, best) { value } else { best },
                ))
            }
            ValueFrom::MeanOfLast(count) => {
                let count = usize::try_from(count).unwrap_or(usize::MAX).min(self.0.len());
                let finite: Vec<f64> = self.0[self.0.len() - count..]
                    .iter()
                    .map(|&(_, value)| value)
                    .filter(|value| value.is_finite())
                    .collect();
                if finite.is_empty() {
                    return Some(last);
                }
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "a mean over at most a few thousand values"
                )]
                Some(finite.iter().sum::<f64>() / finite.len() as f64)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(points: &[(i64, f64)]) -> Curve {
        let mut curve = Curve::default();
        for &(step, value) in points {
            curve.report(step, value);
        }
        curve
    }

    #[test]
    fn the_last_value_at_a_step_counts_wherever_it_comes_from() {
        assert_eq!(
            curve(&[(1, 0.1), (3, 0.3), (2, 0.2), (3, 0.4), (1, 0.5)]),
            curve(&[(1, 0.5), (2, 0.2), (3, 0.4)])
        );
    }

    #[test]
    fn a_resumed_attempt_replaces_the_view_from_its_first_step_on() {
        let mut resumed = curve(&[(1, 0.1), (2, 0.9), (3, 0.3)]);
        resumed.truncate_from(2);
        resumed.report(2, 0.2);
        assert_eq!(resumed.value(ValueFrom::Best, Goal::Maximize), Some(0.2));
    }

    #[test]
    fn nan_and_infinities_are_never_the_best() {
        let odd = curve(&[(1, f64::INFINITY), (2, 0.5), (3, f64::NAN)]);
        assert_eq!(odd.value(ValueFrom::Best, Goal::Maximize), Some(0.5));
        assert_eq!(odd.value(ValueFrom::Best, Goal::Minimize), Some(0.5));
        assert!(
            odd.value(ValueFrom::Last, Goal::Minimize)
                .is_some_and(f64::is_nan)
        );
        assert_eq!(odd.value(ValueFrom::MeanOfLast(2), Goal::Minimize), Some(0.5));
        assert_eq!(Curve::default().value(ValueFrom::Last, Goal::Minimize), None);
    }
}
