//! How a curve will end, and how likely that is better than the best ended one: the `curve` rule.
//!
//! Domhan, Springenberg and Hutter 2015, "Speeding up automatic hyperparameter optimization of deep neural networks by extrapolation of
//! learning curves", ask a mixture of formulas, fitted by Monte Carlo. Here the formulas that have one exponent or rate are taken at
//! fixed ones of it, which leaves two numbers that are integrated in closed form ([`formulas`]); and the trials of the study that were
//! trained to the end are hypotheses, too: this one goes on as they did from where they were like it. How likely each hypothesis is
//! follows from the curve so far. All formulas together count as much as [`FORMULAS`] trials that were just the same so far.
//!
//! Everything is a function of the trial's curve and of the curves of the trials that have ended.

use std::collections::BTreeMap;

use tunesmith_common::TrialNumber;
use tunesmith_common::measurement::{From as ValueFrom, Goal};
use tunesmith_common::study::StopperRule;

use self::formulas::{Mixture, mixture};
use crate::normal::cumulative;
use crate::rng::mix;

mod formulas;

/// Trials that were trained to the end of which the curves are kept.
const MOST: usize = 200;
/// How far a trial must have come, as a share of the last step, for its end to be the end: trainings may count from 0 or stop by themselves.
const WHOLE: f64 = 0.9;
/// Trials that were just the same so far, as much as which all formulas together count.
const FORMULAS: f64 = 1.0;
/// Uncertainty of how another trial went on, as a share of how much they differ in it.
const SPREAD: f64 = 0.25;
/// Least points of a trial before anything is said.
const LEAST_POINTS: usize = 3;

/// What one rule knows of the trials that have ended. Values are turned so that smaller is better.
#[derive(Debug)]
pub(super) struct Past {
    /// Which of the rules on the metric.
    pub(super) place: usize,
    last_step: i64,
    from: ValueFrom,
    /// Trials that came to the end; by a number that is as good as random, so that which ones are kept does not depend on when they ended.
    whole: BTreeMap<u64, Whole>,
    /// The best of all that have ended.
    best: Option<(f64, TrialNumber)>,
}

#[derive(Debug)]
struct Whole {
    curve: Vec<Knot>,
    end: f64,
}

/// The mean of neighbouring points.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Knot {
    step: f64,
    value: f64,
}

/// What is expected of a trial.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outlook {
    /// Nothing can be said: so many trials have come to the end.
    TooFew(usize),
    /// Nothing can be said: too few points, or the training is at its end.
    Nothing,
    /// How it will end.
    End(End),
}

/// How a trial will end.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct End {
    /// The value expected.
    pub(super) expected: f64,
    /// The best value of a trial that has ended, and which trial's it is.
    pub(super) best: (f64, TrialNumber),
    /// How likely it ends better than that.
    pub(super) probability: f64,
    /// Trials that were hypotheses.
    pub(super) trials: usize,
}

impl Past {
    /// Of a rule, if it looks ahead; `place` says which of the rules on its metric it is.
    pub(super) fn of(rule: &StopperRule, place: usize, from: ValueFrom) -> Option<Self> {
        let &StopperRule::Curve { max_steps, .. } = rule else {
            return None;
        };
        Some(Self {
            place,
            last_step: max_steps,
            from,
            whole: BTreeMap::new(),
            best: None,
        })
    }

    /// A trial with this curve has ended.
    pub(super) fn ended(&mut self, trial: TrialNumber, goal: Goal, points: &[(i64, f64)]) {
        let Some(end) = self.value(goal, points) else {
            return;
        };
        // Of equal ones the first, in whatever order they end.
        if self.best.is_none_or(|best| (end, trial.0) < (best.0, best.1.0)) {
            self.best = Some((end, trial));
        }
        let reached = points.last().map_or(0, |(step, _)| *step);
        if (reached as f64) < WHOLE * self.last_step as f64 {
            return;
        }
        let curve = knots(goal, points);
        self.whole.insert(mix(trial.0), Whole { curve, end });
        if self.whole.len() > MOST {
            self.whole.pop_last();
        }
    }

    /// A curve's value as the objective takes it, if that is a number.
    fn value(&self, goal: Goal, points: &[(i64, f64)]) -> Option<f64> {
        let last = match self.from {
            ValueFrom::Last => 1,
            ValueFrom::Best => points.len(),
            ValueFrom::MeanOfLast(count) => count.max(1) as usize,
        };
        let counted = points[points.len().saturating_sub(last)..].iter();
        let finite = counted
            .map(|(_, value)| goal.to_minimize(*value))
            .filter(|value| value.is_finite());
        match self.from {
            ValueFrom::Best => finite.reduce(f64::min),
            ValueFrom::Last | ValueFrom::MeanOfLast(_) => mean(finite),
        }
    }

    /// What is expected of a trial with this curve.
    pub(super) fn outlook(&self, goal: Goal, points: &[(i64, f64)], min_trials: usize) -> Outlook {
        let trials = self.whole.len();
        let Some(best) = self.best.filter(|_| trials >= min_trials) else {
            return Outlook::TooFew(trials);
        };
        let Some(&(step, _)) = points.last().filter(|(step, _)| *step < self.last_step) else {
            return Outlook::Nothing;
        };
        let curve = knots(goal, points);
        let (true, Some(own)) = (curve.len() >= LEAST_POINTS, Shape::at(&curve, step as f64)) else {
            return Outlook::Nothing;
        };
        let others: Vec<(Shape, f64)> = self
            .whole
            .values()
            .filter_map(|other| Some((Shape::at(&other.curve, step as f64)?, other.end)))
            .collect();
        let (weights, gains) = alike(own, &others);
        let sum: f64 = weights.iter().sum();
        let average = |of: &dyn Fn(f64) -> f64| -> f64 {
            let terms = weights.iter().zip(&gains);
            terms.map(|(weight, gain)| weight * of(*gain)).sum()
        };
        let by_others = average(&|gain| own.level + gain);
        let gain = (by_others - sum * own.level) / sum;
        let spread = SPREAD * (average(&|other| (other - gain).powi(2)) / sum).sqrt();
        let below = |expected: f64, deviation: f64| match deviation {
            deviation if deviation > 0.0 => cumulative((best.0 - expected) / deviation),
            // Where all went on in the same way.
            _ if expected < best.0 => 1.0,
            _ => 0.0,
        };
        let others_below = average(&|gain| below(own.level + gain, spread));
        let ends = mean(others.iter().map(|(_, end)| *end)).unwrap_or(own.level);
        let width = mean(others.iter().map(|(_, end)| (end - ends).powi(2))).map_or(0.0, f64::sqrt);
        let (formulas_below, by_formulas, count) =
            match mixture(&curve, self.last_step as f64, (ends, 2.0 * width)) {
                Some(Mixture(ends)) => {
                    let terms = ends
                        .iter()
                        .map(|end| end.weight * below(end.expected, end.deviation));
                    let expected: f64 = ends.iter().map(|end| end.weight * end.expected).sum();
                    (terms.sum::<f64>(), expected, FORMULAS)
                }
                None => (0.0, 0.0, 0.0),
            };
        let all = sum + count;
        let probability = (others_below + count * formulas_below) / all;
        let expected = (by_others + count * by_formulas) / all;
        if !probability.is_finite() || !expected.is_finite() {
            return Outlook::Nothing;
        }
        Outlook::End(End {
            expected,
            best,
            probability,
            trials: others.len(),
        })
    }
}

/// What is compared of curves: the value at a step, and how it has changed since half of that.
#[derive(Clone, Copy, Debug)]
struct Shape {
    level: f64,
    change: f64,
}

impl Shape {
    fn at(curve: &[Knot], step: f64) -> Option<Self> {
        let around = |from: f64, to: f64| {
            let known = &curve[..curve.partition_point(|knot| knot.step <= to)];
            let recent = &known[known.partition_point(|knot| knot.step <= from)..];
            mean(recent.iter().map(|knot| knot.value)).or(known.last().map(|knot| knot.value))
        };
        let level = around(0.8 * step, step)?;
        let before = around(0.4 * step, 0.5 * step).or(curve.first().map(|knot| knot.value))?;
        Some(Self {
            level,
            change: level - before,
        })
    }
}

/// For each other trial how much its curve was like this one's, at most 1, and how much its value changed from there to the end.
fn alike(own: Shape, others: &[(Shape, f64)]) -> (Vec<f64>, Vec<f64>) {
    let spread = |of: fn(&Shape) -> f64| {
        let average = mean(others.iter().map(|(shape, _)| of(shape))).unwrap_or(0.0);
        let variance = mean(others.iter().map(|(shape, _)| (of(shape) - average).powi(2)));
        variance.unwrap_or(0.0).sqrt().max(f64::MIN_POSITIVE)
    };
    let (levels, changes) = (spread(|shape| shape.level), spread(|shape| shape.change));
    // Narrower the more there are (Silverman 1986).
    let width = (others.len().max(1) as f64).powf(-0.2);
    let weight = |shape: &Shape| {
        let (level, change) = (
            (shape.level - own.level) / levels,
            (shape.change - own.change) / changes,
        );
        (-0.5 * (level * level + change * change) / (width * width))
            .exp()
            .max(f64::MIN_POSITIVE)
    };
    others
        .iter()
        .map(|(shape, end)| (weight(shape), end - shape.level))
        .unzip()
}

/// Which steps are one knot: those up to 16 one each, then 16 for each doubling.
pub(super) fn knot(step: i64) -> u64 {
    let step = u64::try_from(step).unwrap_or(0);
    if step < 16 {
        return step;
    }
    let doubling = step.ilog2() - 4;
    u64::from(doubling) * 16 + (step >> doubling)
}

/// A curve with its noise averaged; of however many points, few. What is not finite is left out.
fn knots(goal: Goal, points: &[(i64, f64)]) -> Vec<Knot> {
    let mut knots: Vec<Knot> = Vec::new();
    let (mut last, mut count) = (None, 0.0);
    for (step, value) in points {
        let (step_at, value) = (*step as f64, goal.to_minimize(*value));
        if !value.is_finite() {
            continue;
        }
        let here = knot(*step);
        match knots.last_mut() {
            Some(knot) if last == Some(here) => {
                count += 1.0;
                knot.step += (step_at - knot.step) / count;
                knot.value += (value - knot.value) / count;
            }
            _ => {
                (last, count) = (Some(here), 1.0);
                knots.push(Knot { step: step_at, value });
            }
        }
    }
    knots
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0.0);
    for value in values {
        sum += value;
        count += 1.0;
    }
    (count > 0.0).then(|| sum / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(from: ValueFrom) -> Past {
        let rule = StopperRule::Curve {
            metric: None,
            goal: None,
            probability: 0.05,
            max_steps: 50,
            warmup_steps: 0,
            min_trials: 2,
        };
        Past::of(&rule, 0, from).unwrap()
    }

    /// An error that falls from `start` to `end` as an exponential.
    fn falling(start: f64, end: f64, steps: i64) -> Vec<(i64, f64)> {
        (1..=steps)
            .map(|step| (step, end + (start - end) * (-(step as f64) / 10.0).exp()))
            .collect()
    }

    fn end(past: &Past, points: &[(i64, f64)]) -> End {
        match past.outlook(Goal::Minimize, points, 2) {
            Outlook::End(end) => end,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_curve_that_goes_on_like_others_ends_like_them() {
        let mut past = past(ValueFrom::Last);
        for trial in 1..=12 {
            let end = 0.1 + 0.05 * trial as f64;
            past.ended(TrialNumber(trial), Goal::Minimize, &falling(1.0, end, 50));
        }
        for (true_end, steps) in [(0.2, 15), (0.5, 15), (0.5, 30)] {
            let found = end(&past, &falling(1.0, true_end, steps));
            assert!((found.expected - true_end).abs() < 0.05, "{found:?}");
            assert_eq!((found.best.1, found.trials), (TrialNumber(1), 12));
        }
        let hopeless = end(&past, &falling(1.0, 0.6, 15)).probability;
        let promising = end(&past, &falling(1.0, 0.1, 15)).probability;
        assert!(hopeless < 0.01 && promising > 0.5, "{hopeless} {promising}");
    }

    #[test]
    fn a_curve_unlike_all_others_goes_on_as_formulas_say() {
        let mut past = past(ValueFrom::Last);
        for trial in 1..=6 {
            // At their end after a few steps.
            let end = 0.28 + 0.03 * trial as f64;
            let curve: Vec<(i64, f64)> = (1..=50)
                .map(|step| (step, end + 0.5 * (-step as f64).exp()))
                .collect();
            past.ended(TrialNumber(trial), Goal::Minimize, &curve);
        }
        let slow = |steps| -> Vec<(i64, f64)> {
            (1..=steps)
                .map(|step| (step, 1.2 * (step as f64).powf(-0.4)))
                .collect()
        };
        let found = end(&past, &slow(20));
        assert!(found.expected < 0.35 && found.probability > 0.2, "{found:?}");
    }

    #[test]
    fn nothing_is_said_of_short_curves_before_enough_trials_or_at_the_end() {
        let mut past = past(ValueFrom::Best);
        let curve = falling(1.0, 0.2, 20);
        assert_eq!(past.outlook(Goal::Minimize, &curve, 1), Outlook::TooFew(0));
        past.ended(TrialNumber(1), Goal::Minimize, &falling(1.0, 0.2, 50));
        // Ended early: it may be the best, but nobody knows how it would have gone on.
        past.ended(TrialNumber(2), Goal::Minimize, &falling(1.0, 0.1, 30));
        assert_eq!(past.outlook(Goal::Minimize, &curve, 2), Outlook::TooFew(1));
        past.ended(TrialNumber(3), Goal::Minimize, &falling(1.0, 0.3, 49));
        assert_eq!(end(&past, &curve).best.1, TrialNumber(2));
        assert_eq!(past.outlook(Goal::Minimize, &curve[..2], 2), Outlook::Nothing);
        let nothing: Vec<_> = curve.iter().map(|(step, _)| (*step, f64::NAN)).collect();
        assert_eq!(past.outlook(Goal::Minimize, &nothing, 2), Outlook::Nothing);
        assert_eq!(
            past.outlook(Goal::Minimize, &falling(1.0, 0.2, 50), 2),
            Outlook::Nothing
        );
    }

    #[test]
    fn a_trials_value_is_taken_as_the_objective_takes_it() {
        let points = [(1, 3.0), (2, 1.0), (3, f64::NAN), (4, 2.0)];
        let value = |from, goal| past(from).value(goal, &points).unwrap();
        let values = [
            value(ValueFrom::Last, Goal::Minimize),
            value(ValueFrom::Best, Goal::Minimize),
            value(ValueFrom::Best, Goal::Maximize),
            value(ValueFrom::MeanOfLast(2), Goal::Minimize),
        ];
        let right = values.iter().zip([2.0, 1.0, -3.0, 2.0]);
        assert!(
            right.into_iter().all(|(a, b)| (a - b).abs() < 1e-12),
            "{values:?}"
        );
        // A trial that ended in NaN has no last value.
        let ended = past(ValueFrom::Last).value(Goal::Minimize, &points[..3]);
        assert_eq!(ended, None);
    }

    #[test]
    fn which_trials_are_kept_does_not_depend_on_the_order_in_which_they_end() {
        let (mut one, mut other) = (past(ValueFrom::Last), past(ValueFrom::Last));
        let curve = |trial: u64| falling(1.0, 0.1 + trial as f64 * 1e-3, 50);
        for trial in 1..=300 {
            one.ended(TrialNumber(trial), Goal::Minimize, &curve(trial));
            other.ended(TrialNumber(301 - trial), Goal::Minimize, &curve(301 - trial));
        }
        // Two that are equally good.
        for (past, trials) in [(&mut one, [998, 999]), (&mut other, [999, 998])] {
            for trial in trials {
                past.ended(TrialNumber(trial), Goal::Minimize, &falling(1.0, 0.05, 50));
            }
        }
        let point = falling(1.0, 0.3, 20);
        assert_eq!(
            (end(&one, &point).trials, end(&one, &point).best.1),
            (MOST, TrialNumber(998))
        );
        assert_eq!(end(&one, &point), end(&other, &point));
    }

    #[test]
    fn values_of_any_size_give_probabilities_or_nothing() {
        for size in [0.0, 1e-300, 1e300, f64::MAX] {
            let mut past = past(ValueFrom::Last);
            for trial in 1..=5 {
                let curve = falling(size, size / 3.0 * trial as f64 / 5.0, 50);
                past.ended(TrialNumber(trial), Goal::Minimize, &curve);
            }
            match past.outlook(Goal::Minimize, &falling(size, size / 4.0, 20), 2) {
                Outlook::End(end) => {
                    assert!((0.0..=1.0).contains(&end.probability), "{size}: {end:?}");
                }
                Outlook::Nothing => {}
                other => panic!("{size}: {other:?}"),
            }
        }
    }

    #[test]
    fn knots_are_few_and_ascend() {
        let mut last = 0;
        for step in 0..100_000 {
            let here = knot(step);
            assert!(here == last || here == last + 1, "step {step}");
            last = here;
        }
        assert!(last < 16 * 15);
        assert_eq!(
            (knot(-1), knot(16), knot(31), knot(32), knot(33)),
            (0, 16, 31, 32, 32)
        );
    }
}
