//! PB2: what changes to the parameters are expected to bring, from what they brought so far.
//!
//! After Parker-Holder, Nguyen and Roberts 2020, "Provably Efficient Online Hyperparameter Optimization with Population-Based Bandits": a Gaussian
//! process over parameters, time and what had been reached says by how much the objective becomes better in one interval; a child gets the parameters
//! of the largest upper confidence bound. We differ in that the length scale of time is fitted with the others instead of being set.

use rand_chacha::ChaCha8Rng;
use tunesmith_common::space::Space;

use crate::gp::features::{Layout, Points};
use crate::gp::fit::{Priors, fit};
use crate::gp::kernel::Kernel;
use crate::gp::posterior::Posterior;
use crate::rng::{normal, uniform};

/// The newest intervals that are learnt from at most: what they bring changes as trainings go on.
const MOST: usize = 128;
/// Those there are at least, for each parameter that may change, before anything is learnt.
const LEAST_EACH: usize = 2;
const LEAST: usize = 4;
/// Gains that differ by less, as a share of the largest, are the same.
const SAME: f64 = 1e-12;
/// Points looked at, half of them near the parent.
const LOOKS: usize = 512;
/// Standard deviation of those near it, as a share of the range.
const NEAR: f64 = 0.1;
/// What the paper's confidence grows with: `0.2 + ln(0.4 t)`, and its least value.
const CONFIDENCE: (f64, f64) = (0.2, 0.4);

/// What a trial brought from one comparison to the next. Values are turned so that smaller is better.
#[derive(Clone, Debug, PartialEq)]
pub struct Interval {
    /// The trial's point of the encoded space.
    pub point: Box<[f64]>,
    /// Its first step, and its last.
    pub from: i64,
    /// Its last step, above `from`.
    pub to: i64,
    /// Value at its first step, finite.
    pub before: f64,
    /// Value at its last step, finite; none while it is being trained.
    pub after: Option<f64>,
}

impl Interval {
    /// By how much it became better for each step.
    fn gain(&self) -> Option<f64> {
        Some((self.before - self.after?) / (self.to - self.from).max(1) as f64)
    }
}

/// Where a child is expected to gain in the next interval, those where most is first: each of shape `(d,)`, its parent's point `at` with the coordinates
/// `open` changed. None if there is too little to learn from, or nothing to change.
///
/// `value`: what the parent had come to at `step`.
pub(super) fn choose(
    space: &Space,
    (at, open): (&[f64], &[usize]),
    (step, value): (i64, f64),
    interval: i64,
    intervals: &[Interval],
    rng: &mut ChaCha8Rng,
) -> Option<Vec<Vec<f64>>> {
    let newest = intervals.len().saturating_sub(MOST);
    let mut known: Vec<(&Interval, f64)> = intervals[newest..]
        .iter()
        .filter_map(|interval| Some((interval, interval.gain()?)))
        .collect();
    if known.len() < LEAST.max(LEAST_EACH * open.len()) || open.is_empty() || !value.is_finite() {
        return None;
    }
    let scale = |values: &mut dyn Iterator<Item = f64>| {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| {
            (low.min(x), high.max(x))
        });
        // Halves, since the difference of two finite numbers need not be finite.
        let (low, width) = (0.5 * low, 0.5 * high - 0.5 * low);
        let width = if width > 0.0 { width } else { 1.0 };
        move |x: f64| (0.5 * x - low) / width
    };
    let to = step + interval;
    let time = scale(&mut known.iter().map(|(known, _)| known.to as f64).chain([to as f64]));
    let level = scale(&mut known.iter().map(|(known, _)| known.before).chain([value]));
    let row = |point: &[f64], to: i64, before: f64| {
        let mut row = point.to_vec();
        row.extend([time(to as f64), level(before)]);
        row
    };
    // As shares of the largest, whose squares are numbers.
    let largest = known.iter().map(|(_, gain)| gain.abs()).fold(0.0, f64::max);
    for (_, gain) in &mut known {
        *gain /= largest;
    }
    let count = known.len() as f64;
    let mean = known.iter().map(|(_, gain)| gain).sum::<f64>() / count;
    let variance = known.iter().map(|(_, gain)| (gain - mean).powi(2)).sum::<f64>() / count;
    let deviation = variance.sqrt();
    if deviation.is_nan() || deviation < SAME {
        return None;
    }
    let outcomes: Vec<f64> = known.iter().map(|(_, gain)| (gain - mean) / deviation).collect();
    let rows: Vec<Vec<f64>> = known
        .iter()
        .map(|(known, _)| row(&known.point, known.to, known.before))
        .collect();
    let layout = Layout::new(space)
        .with_fidelity(at.len())
        .with_fidelity(at.len() + 1);
    let points = Points::from_rows(&layout, rows.iter().map(Vec::as_slice));
    let (hyper, _) = fit(
        &layout,
        &points,
        &outcomes,
        Kernel::Matern,
        &Priors::default(),
        None,
    )?;
    let mut model = Posterior::new(&layout, points, hyper)?;
    if !model.condition(&outcomes) {
        return None;
    }
    // What is being tried already need not be tried again.
    let mut all = outcomes;
    for open in intervals.iter().filter(|interval| interval.after.is_none()) {
        all.push(model.append(&layout, &row(&open.point, open.to, open.before)));
    }
    if !model.condition(&all) {
        return None;
    }
    let candidates: Vec<Vec<f64>> = (0..LOOKS)
        .map(|look| {
            let mut point = at.to_vec();
            for &index in open {
                point[index] = if look % 2 == 0 {
                    uniform(rng)
                } else {
                    (at[index] + NEAR * normal(rng)).clamp(0.0, 1.0 - f64::EPSILON)
                };
            }
            point
        })
        .collect();
    let rows: Vec<Vec<f64>> = candidates.iter().map(|point| row(point, to, value)).collect();
    let at = Points::from_rows(&layout, rows.iter().map(Vec::as_slice));
    let confidence = (CONFIDENCE.0 + (CONFIDENCE.1 * count).ln()).max(CONFIDENCE.0);
    let bounds = model
        .predict(&layout, &at)
        .into_iter()
        .map(|(mean, variance)| mean + (confidence * variance).sqrt());
    let mut bounded: Vec<(Vec<f64>, f64)> = candidates.into_iter().zip(bounds).collect();
    bounded.retain(|(_, bound)| bound.is_finite());
    bounded.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let points: Vec<Vec<f64>> = bounded.into_iter().map(|(point, _)| point).collect();
    (!points.is_empty()).then_some(points)
}
