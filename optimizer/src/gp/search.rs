//! Searching a space for the point at which an acquisition function is largest.
//!
//! Many points are looked at in bulk: spread over the space, and around the best ones known. The best of these are refined: numbers by
//! gradients, levels and categories by trying others, in turns until neither helps.

use rand_chacha::ChaCha8Rng;
use tunesmith_common::space::{Dimension, Space};

use super::criterion::{Criterion, Scratch};
use super::features::{Layout, Points};
use super::local::Region;
use crate::lbfgs::{Limits, minimize};
use crate::rng::{below, normal, uniform};

/// How much work a search may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Points spread over the space.
    pub(crate) spread: usize,
    /// Points around the best ones known.
    pub(crate) around: usize,
    /// Points refined.
    pub(crate) refined: usize,
    /// Evaluations of a refinement's gradient descent.
    pub(crate) descent: usize,
}

impl Effort {
    /// For the best point around those known.
    pub(crate) fn nearby(self) -> Self {
        Self {
            spread: 0,
            around: self.around / 4,
            refined: 2,
            ..self
        }
    }

    /// For a model of `n` points: hardly more time beyond a few hundred of them.
    pub(crate) fn for_points(n: usize) -> Self {
        let cost = (n * n).max(1);
        Self {
            spread: (100_000_000 / cost).clamp(100, 512),
            around: (100_000_000 / cost).clamp(100, 512),
            refined: (2_000_000 / cost).clamp(3, 6),
            descent: (25_000_000 / cost).clamp(25, 40),
        }
    }
}

/// A point that may be proposed.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// Any numbers, also for parameters that are inactive here, shape `(d,)`.
    pub(crate) latent: Vec<f64>,
    /// What lies there, NaN where inactive, shape `(d,)`.
    pub(crate) encoded: Vec<f64>,
    /// Value of the acquisition function.
    pub(crate) value: f64,
}

/// Everything a search looks at.
pub(crate) struct Search<'a> {
    pub(crate) space: &'a Space,
    pub(crate) layout: &'a Layout,
    /// What is to be largest.
    pub(crate) criterion: &'a Criterion<'a>,
    /// Where it is looked for.
    pub(crate) region: &'a Region,
    /// Points that may not be proposed: those known.
    pub(crate) taken: &'a dyn Fn(&[f64]) -> bool,
    /// The best points known, best first, encoded.
    pub(crate) best: &'a [&'a [f64]],
}

impl Search<'_> {
    /// The best point found. None if no point that may be proposed was seen.
    ///
    /// `spread` gives points spread over the space.
    pub(crate) fn run(
        &self,
        effort: Effort,
        spread: impl Iterator<Item = Vec<f64>>,
        rng: &mut ChaCha8Rng,
    ) -> Option<Candidate> {
        let mut latents: Vec<Vec<f64>> = spread.take(effort.spread).collect();
        for (i, x) in latents
            .iter_mut()
            .flat_map(|latent| latent.iter_mut().enumerate())
        {
            *x = self.region.at(i, *x);
        }
        latents.extend(self.neighbours(effort.around, rng));
        let mut candidates = self.evaluate(latents);
        candidates.sort_by(|a, b| b.value.total_cmp(&a.value));
        let starts = self.distinct(candidates, effort.refined);
        let mut best: Option<Candidate> = None;
        for start in starts {
            let refined = self.refine(start, effort.descent, rng);
            if best.as_ref().is_none_or(|best| refined.value > best.value) {
                best = Some(refined);
            }
        }
        best
    }

    /// Points to look at, in the order in which they come: those given, and `around` of them around the best ones known.
    pub(crate) fn look(
        &self,
        mut latents: Vec<Vec<f64>>,
        around: usize,
        rng: &mut ChaCha8Rng,
    ) -> Vec<Candidate> {
        latents.extend(self.neighbours(around, rng));
        self.evaluate(latents)
    }

    /// Values of many points; those that may not be proposed are left out.
    fn evaluate(&self, latents: Vec<Vec<f64>>) -> Vec<Candidate> {
        let mut candidates: Vec<Candidate> = latents
            .into_iter()
            .map(|latent| {
                let mut encoded = vec![0.0; latent.len()];
                self.space.snap(&latent, &mut encoded);
                Candidate {
                    latent,
                    encoded,
                    value: f64::NEG_INFINITY,
                }
            })
            .filter(|candidate| self.allowed(&candidate.encoded))
            .collect();
        let points = Points::from_rows(self.layout, candidates.iter().map(|c| &c.encoded[..]));
        let values = self.criterion.values(self.layout, &points);
        for (candidate, value) in candidates.iter_mut().zip(values) {
            candidate.value = value;
        }
        candidates.retain(|candidate| !candidate.value.is_nan());
        candidates
    }

    fn allowed(&self, encoded: &[f64]) -> bool {
        !(self.taken)(encoded)
            && (self.space.constraints().is_empty() || self.space.satisfies(&self.space.decode(encoded)))
    }

    /// Points around the best known: some coordinates moved a little or far.
    fn neighbours(&self, count: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
        let d = self.space.dimensions().len();
        let mut latents = Vec::with_capacity(count);
        if self.best.is_empty() {
            return latents;
        }
        for k in 0..count {
            let centre = self.best[k % self.best.len()];
            let width = 0.3 * 10f64.powf(-2.5 * uniform(rng));
            let share = (1.0 + 9.0 * uniform(rng)) / d as f64;
            let certain = below(d, rng);
            let latent = centre
                .iter()
                .enumerate()
                .map(|(i, x)| {
                    let x = if x.is_nan() { uniform(rng) } else { *x };
                    if i == certain || uniform(rng) < share {
                        self.moved(i, x, width, rng)
                    } else {
                        x
                    }
                })
                .collect();
            latents.push(latent);
        }
        latents
    }

    fn moved(&self, dimension: usize, x: f64, width: f64, rng: &mut ChaCha8Rng) -> f64 {
        let width = match self.space.dimensions()[dimension] {
            Dimension::Categorical(_) => return uniform(rng),
            Dimension::Levels(levels) => width.max(1.0 / levels as f64),
            Dimension::Continuous => width,
        };
        self.region.clamp(dimension, x + normal(rng) * width)
    }

    /// The first `count` that are not next to one another.
    fn distinct(&self, candidates: Vec<Candidate>, count: usize) -> Vec<Candidate> {
        let mut kept: Vec<Candidate> = Vec::with_capacity(count);
        for candidate in candidates {
            if kept.len() == count {
                break;
            }
            let near = |other: &Candidate| {
                other
                    .encoded
                    .iter()
                    .zip(&candidate.encoded)
                    .all(|(a, b)| (a.is_nan() && b.is_nan()) || (a - b).abs() < 0.02)
            };
            if !kept.iter().any(near) {
                kept.push(candidate);
            }
        }
        kept
    }

    /// Numbers by gradients and the others by exchange, in turns.
    fn refine(&self, start: Candidate, descent: usize, rng: &mut ChaCha8Rng) -> Candidate {
        const TURNS: usize = 4;
        let mut current = start;
        for _ in 0..TURNS {
            let before = current.value;
            current = self.descend(current, descent);
            let exchanges = self.exchanges(&current, rng);
            if exchanges.is_empty() {
                break;
            }
            let better = self
                .evaluate(exchanges)
                .into_iter()
                .max_by(|a, b| a.value.total_cmp(&b.value));
            match better {
                Some(better) if better.value > current.value => current = better,
                _ => break,
            }
            if current.value - before < 1e-9 {
                break;
            }
        }
        current
    }

    /// Gradient descent over the numbers that are active.
    fn descend(&self, start: Candidate, evaluations: usize) -> Candidate {
        let free: Vec<usize> = (0..start.encoded.len())
            .filter(|&i| self.space.dimensions()[i] == Dimension::Continuous && !start.encoded[i].is_nan())
            .collect();
        if free.is_empty() || evaluations == 0 {
            return start;
        }
        let d = start.encoded.len();
        let mut at = start.encoded.clone();
        let mut slopes = vec![0.0; d];
        let mut scratch = Scratch::default();
        let limits = Limits {
            evaluations,
            gradient: 1e-6,
            improvement: 1e-7,
            first_step: 0.1,
        };
        // Variables are shares of the region.
        let Region { low, extent } = self.region;
        let free: Vec<usize> = free.into_iter().filter(|&i| extent[i] > 0.0).collect();
        let from: Vec<f64> = free
            .iter()
            .map(|&i| (start.encoded[i] - low[i]) / extent[i])
            .collect();
        let found = minimize(&from, (0.0, 1.0 - f64::EPSILON / 2.0), limits, |x, gradient| {
            for (&i, x) in free.iter().zip(x) {
                at[i] = self.region.at(i, *x);
            }
            let value = self
                .criterion
                .value_with_gradient(self.layout, &at, &mut slopes, &mut scratch);
            for (gradient, &i) in gradient.iter_mut().zip(&free) {
                *gradient = -extent[i] * slopes[i];
            }
            Some(-value)
        });
        let Some(found) = found else { return start };
        let mut latent = start.latent.clone();
        for (&i, x) in free.iter().zip(&found.x) {
            latent[i] = self.region.at(i, *x);
        }
        // Snapped and valued again: an int on a logarithmic scale moved to a whole number.
        match self.evaluate(vec![latent]).pop() {
            Some(refined) if refined.value > start.value => refined,
            _ => start,
        }
    }

    /// Points that differ in one level or category.
    fn exchanges(&self, current: &Candidate, rng: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
        /// Values tried of one parameter.
        const MOST: u64 = 12;
        let mut latents = Vec::new();
        for (i, dimension) in self.space.dimensions().iter().enumerate() {
            if current.encoded[i].is_nan() {
                continue;
            }
            let mut with = |x: f64| {
                let mut latent = current.latent.clone();
                latent[i] = x;
                latents.push(latent);
            };
            match *dimension {
                Dimension::Continuous | Dimension::Levels(0 | 1) | Dimension::Categorical(0 | 1) => {}
                Dimension::Levels(levels) if levels > MOST => {
                    let width = 1.0 / levels as f64;
                    for steps in [-1.0, 1.0, -2.0, 2.0, -5.0, 5.0] {
                        let x = current.encoded[i] + steps * width;
                        if (0.0..1.0).contains(&x) {
                            with(x);
                        }
                    }
                }
                Dimension::Categorical(levels) if levels > MOST => {
                    for _ in 0..MOST {
                        with(uniform(rng));
                    }
                }
                Dimension::Levels(levels) | Dimension::Categorical(levels) => {
                    for level in 0..levels {
                        let x = (level as f64 + 0.5) / levels as f64;
                        if (x - current.encoded[i]).abs() > 1e-9 {
                            with(x);
                        }
                    }
                }
            }
        }
        latents
    }
}
