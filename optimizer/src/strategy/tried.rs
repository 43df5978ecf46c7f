//! What the strategies that evolve points have in common: which results count and how much, and which points were tried.

use std::collections::HashSet;

use rand_chacha::ChaCha8Rng;
use tunesmith_common::space::Dimension;

use super::random::draw;
use super::view::{FinishedTrial, RunningTrial, StrategyError, StudyView, Suggestion};
use crate::rng::{Purpose, below, mix};

/// The points of the finished trials, kept from proposal to proposal. Makes itself anew when shown another history, or an earlier
/// moment of the same one.
#[derive(Debug, Default)]
pub(super) struct Tried {
    read: Prefix,
    points: HashSet<u64>,
}

impl Tried {
    /// Brings it up to date with a history.
    pub(super) fn read(&mut self, finished: &[FinishedTrial]) {
        if !self.read.is_of(finished) {
            self.points.clear();
            self.read = Prefix::default();
        }
        let new = finished.get(self.read.length..).unwrap_or_default();
        self.points.extend(new.iter().map(|trial| key(&trial.encoded)));
        self.read = Prefix::of(finished);
    }

    /// Whether a finished or a running trial has this point, snapped. Of so many trials as there can be, two different points are
    /// never taken for one another in practice: that would need a collision of 64 bits.
    pub(super) fn has(&self, encoded: &[f64], running: &[RunningTrial<'_>]) -> bool {
        let point = key(encoded);
        self.points.contains(&point) || running.iter().any(|trial| key(trial.encoded) == point)
    }

    /// The first of the points that `latent` gives which satisfies the constraints and was not tried. If there is none among `tries`: the
    /// first that satisfies them, once more; and if none does, a point drawn at random, with `refused` as its note.
    ///
    /// `latent` is told how many points it gave before, and gives coordinates of shape `(d,)`, which are snapped to the space's levels.
    pub(super) fn first_new(
        &self,
        view: &StudyView<'_>,
        tries: usize,
        refused: &str,
        mut latent: impl FnMut(usize) -> Vec<f64>,
    ) -> Result<Suggestion, StrategyError> {
        let space = view.space;
        let suggestion = |encoded: Vec<f64>| Suggestion::new(space, space.decode(&encoded), encoded);
        let mut encoded = vec![0.0; space.dimensions().len()];
        let mut again: Option<Vec<f64>> = None;
        for attempt in 0..tries {
            space.snap(&latent(attempt), &mut encoded);
            if !space.constraints().is_empty() && !space.satisfies(&space.decode(&encoded)) {
                continue;
            }
            if !self.has(&encoded, view.running) {
                return Ok(suggestion(encoded));
            }
            again.get_or_insert_with(|| encoded.clone());
        }
        if let Some(encoded) = again {
            return Ok(suggestion(encoded));
        }
        let mut drawn = draw(space, view.seed, view.next, Purpose::Replacement)?;
        refused.clone_into(&mut drawn.note);
        Ok(drawn)
    }
}

/// How much of a history was read, and how to recognise it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Prefix {
    /// Trials.
    pub(super) length: usize,
    /// Number and value of the last of them.
    last: Option<(u64, Option<u64>)>,
}

impl Prefix {
    /// All of a history.
    pub(super) fn of(finished: &[FinishedTrial]) -> Self {
        Self {
            length: finished.len(),
            last: finished
                .last()
                .map(|trial| (trial.trial.0, trial.value.map(f64::to_bits))),
        }
    }

    /// Whether this is a beginning of the history.
    pub(super) fn is_of(&self, finished: &[FinishedTrial]) -> bool {
        finished
            .get(..self.length)
            .is_some_and(|beginning| Self::of(beginning) == *self)
    }
}

/// Whether a trial counts as a result: it has a value, or has failed.
pub(super) fn counts(trial: &FinishedTrial) -> bool {
    trial.failed || trial.value.is_some()
}

/// The value by which trials are ranked. Infinite for the worst: those that failed, and those whose value is NaN or infinite.
pub(super) fn badness(trial: &FinishedTrial) -> f64 {
    let value = trial.value.filter(|value| !trial.failed && value.is_finite());
    value.unwrap_or(f64::INFINITY)
}

/// Whether a parameter has more than one value.
pub(super) fn varies(dimension: Dimension) -> bool {
    match dimension {
        Dimension::Continuous => true,
        Dimension::Levels(count) | Dimension::Categorical(count) => count > 1,
    }
}

/// Another place for a parameter: a step away for a number, a step but the next level at least where there are levels, any other category. `step` draws a
/// step, as a share of the range.
pub(super) fn changed(
    dimension: Dimension,
    x: f64,
    rng: &mut ChaCha8Rng,
    step: impl Fn(&mut ChaCha8Rng) -> f64,
) -> f64 {
    match dimension {
        Dimension::Continuous => mirrored(x + step(rng)),
        Dimension::Levels(count) => {
            let step = step(rng);
            let least = 1.0 / count as f64;
            // Away from the end that it would be reflected at, into its own level.
            let beyond = !(0.0..1.0).contains(&(x + least.copysign(step)));
            let step = step.abs().max(least).copysign(if beyond { -step } else { step });
            mirrored(x + step)
        }
        Dimension::Categorical(count) => {
            let others = usize::try_from(count - 1).unwrap_or(usize::MAX);
            (x + (1 + below(others, rng)) as f64 / count as f64).fract()
        }
    }
}

/// A place reflected at the ends of [0, 1] as often as it takes.
pub(super) fn mirrored(x: f64) -> f64 {
    let x = x.rem_euclid(2.0);
    if x > 1.0 { 2.0 - x } else { x }
}

/// Hash of a point. Places within a billionth are one: a value that was stored and read again is the same value.
fn key(encoded: &[f64]) -> u64 {
    encoded.iter().fold(0, |hash, x| {
        let place = if x.is_nan() { -1.0 } else { (x * 1e9).round() };
        mix(hash ^ place.to_bits())
    })
}

#[cfg(test)]
mod tests {
    use tunesmith_common::TrialNumber;

    use super::*;

    fn trial(number: u64, x: f64, value: f64) -> FinishedTrial {
        FinishedTrial::completed(TrialNumber(number), [x, f64::NAN], value)
    }

    #[test]
    fn a_point_is_known_by_its_place_and_by_what_is_inactive() {
        let finished = [trial(1, 0.25, 0.0)];
        let running = [RunningTrial {
            trial: TrialNumber(2),
            encoded: &[0.5, 0.5],
        }];
        let mut tried = Tried::default();
        tried.read(&finished);
        for (point, known) in [
            ([0.25, f64::NAN], true),
            ([0.25 + 1e-12, -f64::NAN], true),
            ([0.25, 0.0], false),
            ([f64::NAN, 0.25], false),
            ([0.25 + 1e-8, f64::NAN], false),
            ([0.5, 0.5], true),
        ] {
            assert_eq!(tried.has(&point, &running), known, "{point:?}");
        }
        assert!(!tried.has(&[0.5, 0.5], &[]));
    }

    #[test]
    fn another_history_is_read_from_its_beginning() {
        let all = [trial(1, 0.1, 0.0), trial(2, 0.2, 0.0), trial(3, 0.3, 0.0)];
        let mut tried = Tried::default();
        let knows = |tried: &Tried, x: f64| tried.has(&[x, f64::NAN], &[]);
        tried.read(&all[..2]);
        tried.read(&all);
        assert!(knows(&tried, 0.1) && knows(&tried, 0.3));
        // An earlier moment.
        tried.read(&all[..1]);
        assert!(knows(&tried, 0.1) && !knows(&tried, 0.2));
        // The same length, another value or another trial at its end.
        for other in [trial(1, 0.7, 1.0), trial(9, 0.8, 0.0)] {
            let x = other.encoded[0];
            tried.read(&[other]);
            assert!(knows(&tried, x) && !knows(&tried, 0.1));
            tried.read(&all[..1]);
        }
    }

    #[test]
    fn places_are_reflected_at_both_ends() {
        for (x, expected) in [
            (0.25, 0.25),
            (-0.25, 0.25),
            (1.25, 0.75),
            (2.25, 0.25),
            (-1.25, 0.75),
            (7.5, 0.5),
        ] {
            assert!((mirrored(x) - expected).abs() < 1e-12, "{x}");
        }
    }

    #[test]
    fn what_failed_or_has_no_number_is_worst() {
        let failed = FinishedTrial {
            failed: true,
            ..trial(1, 0.0, -5.0)
        };
        let none = FinishedTrial {
            value: None,
            ..trial(1, 0.0, 0.0)
        };
        assert_eq!(
            [&failed, &none, &trial(1, 0.0, 0.0)].map(counts),
            [true, false, true]
        );
        let worst = [
            &failed,
            &trial(1, 0.0, f64::NAN),
            &trial(1, 0.0, f64::NEG_INFINITY),
        ];
        assert!(worst.into_iter().all(|trial| badness(trial) == f64::INFINITY));
        assert!((badness(&trial(1, 0.0, -3.0)) + 3.0).abs() < 1e-12);
    }
}
