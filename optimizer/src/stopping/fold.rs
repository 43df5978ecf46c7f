//! What the rules need to know of one trial's curve, brought forward from report to report.
//!
//! A fold is a function of the curve: folding the same steps and values gives the same state, bit for bit.

use tunesmith_common::measurement::Goal;
use tunesmith_common::study::StopperRule;

/// Reports that a trial's range is taken from before anything can be said to diverge from it.
const LEAST_RANGE: u32 = 5;
/// Weight of a new value in the smoothed one: half of it is the value itself, nine tenths are the last four.
const SMOOTHING: f64 = 0.5;

/// State after some reports of one trial. Values are turned so that smaller is better.
#[derive(Clone, Debug, Default)]
pub(super) struct Fold {
    /// Sum and number of the finite values.
    sum: f64,
    count: u32,
    /// The least finite value.
    pub(super) best: Option<f64>,
    /// The last step.
    pub(super) step: Option<i64>,
    /// One for each rule on the metric.
    pub(super) states: Vec<State>,
}

/// State of one rule.
#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    /// Needs none.
    Nothing,
    /// Value and step of the last improvement.
    Plateau(Option<(f64, i64)>),
    /// How far the curve is from its best.
    Climb(Climb),
}

/// How far a curve has climbed away from its best.
#[derive(Clone, Copy, Debug)]
pub(super) struct Climb {
    /// Reports in the range.
    reports: u32,
    /// The least value of all.
    pub(super) low: f64,
    /// The greatest value of those in the range.
    high: f64,
    /// The smoothed value.
    pub(super) smoothed: f64,
    /// Reports in a row that lie too far away. They are not in the range.
    pub(super) run: u32,
    /// The greatest value of those.
    run_high: f64,
}

impl Climb {
    const NEW: Self = Self {
        reports: 0,
        low: f64::INFINITY,
        high: f64::NEG_INFINITY,
        smoothed: f64::NAN,
        run: 0,
        run_high: f64::NEG_INFINITY,
    };

    /// Where the smoothed value begins to lie too far away.
    pub(super) fn limit(&self, factor: f64) -> f64 {
        self.low + factor * self.range()
    }

    /// From the best to the worst value.
    pub(super) fn range(&self) -> f64 {
        self.high - self.low
    }

    fn take(&mut self, value: f64, factor: f64) {
        let first = self.reports == 0 && self.run == 0;
        self.smoothed = if first {
            value
        } else {
            self.smoothed * (1.0 - SMOOTHING) + value * SMOOTHING
        };
        self.low = self.low.min(value);
        if self.reports >= LEAST_RANGE && self.range() > 0.0 && self.smoothed > self.limit(factor) {
            self.run = self.run.saturating_add(1);
            self.run_high = self.run_high.max(value);
        } else {
            self.reports = self.reports.saturating_add(self.run).saturating_add(1);
            self.high = self.high.max(self.run_high).max(value);
            self.run = 0;
            self.run_high = f64::NEG_INFINITY;
        }
    }
}

impl Fold {
    /// Before the first report.
    pub(super) fn new(rules: &[StopperRule]) -> Self {
        let states = rules
            .iter()
            .map(|rule| match rule {
                StopperRule::Plateau { .. } => State::Plateau(None),
                StopperRule::Diverging { .. } => State::Climb(Climb::NEW),
                StopperRule::Percentile { .. }
                | StopperRule::Threshold { .. }
                | StopperRule::BelowBaseline { .. }
                | StopperRule::Asha { .. }
                | StopperRule::Curve { .. }
                | StopperRule::Wilcoxon { .. } => State::Nothing,
            })
            .collect();
        Self {
            states,
            ..Self::default()
        }
    }

    /// Becomes a copy of another fold of the same rules, in the memory it has.
    pub(super) fn copy_from(&mut self, other: &Self) {
        self.sum = other.sum;
        self.count = other.count;
        self.best = other.best;
        self.step = other.step;
        self.states.clone_from(&other.states);
    }

    /// The mean of the finite values.
    pub(super) fn average(&self) -> Option<f64> {
        // Sums of values near the largest number are infinite, and averages must be finite to have an order.
        (self.count > 0).then(|| (self.sum / f64::from(self.count)).clamp(-f64::MAX, f64::MAX) + 0.0)
    }

    /// Takes in the value at the next step; `goal` is the metric's.
    pub(super) fn take(&mut self, rules: &[StopperRule], goal: Goal, step: i64, value: f64) {
        self.step = Some(step);
        if !value.is_finite() {
            return;
        }
        let turned = goal.to_minimize(value);
        self.sum += turned;
        self.count = self.count.saturating_add(1);
        self.best = Some(self.best.map_or(turned, |best| best.min(turned)));
        for (rule, state) in rules.iter().zip(&mut self.states) {
            match (rule, state) {
                (StopperRule::Plateau { min_delta, .. }, State::Plateau(last))
                    if last.is_none_or(|(best, _)| turned < best - min_delta) =>
                {
                    *last = Some((turned, step));
                }
                (StopperRule::Diverging { factor, .. }, State::Climb(climb)) => climb.take(turned, *factor),
                _ => {}
            }
        }
    }
}
