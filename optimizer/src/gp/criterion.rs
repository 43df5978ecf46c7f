//! How promising a point is by all models of a study together: those of its objectives and those of its measured constraints.
//!
//! Of the objectives it is an acquisition function of one ([`super::acquisition`]), or the logarithm of the expected hypervolume improvement of
//! several ([`super::improvement`]). The logarithm of the probability that a constraint holds is added for each of them: the expected
//! improvement times the probability that it counts (Gardner, Kusner, Xu, Weinberger and Cunningham 2014, "Bayesian optimization with inequality
//! constraints"). An expected improvement counts less towards the edges of the space ([`super::edges`]).

use tunesmith_common::study::Acquisition;

use super::acquisition;
use super::edges::Edges;
use super::features::{Layout, Points};
use super::improvement::{self, Front, Normal, Slope};
use super::posterior::{self, Posterior};
use crate::normal::log_cumulative;

/// What is to be improved on.
#[derive(Debug)]
pub(crate) enum Goal {
    /// The outcome of one objective. `acquisition` is a logarithm if there are constraints.
    Outcome {
        acquisition: Acquisition,
        incumbent: f64,
    },
    /// The outcome of one objective, where it might be better than any known.
    Exploration,
    /// The outcome of one objective, as it is expected: no more is to be learned than what it is at the best point.
    Mean,
    /// The front of several.
    Front(Front),
    /// No result satisfies the constraints: one that does is all that is looked for.
    Feasible,
}

/// What is to be largest.
#[derive(Debug)]
pub(crate) struct Criterion<'a> {
    pub(crate) goal: Goal,
    /// Those towards which an expected improvement counts less.
    pub(crate) edges: Edges,
    /// Models of the objectives, as many as the goal takes.
    pub(crate) objectives: Vec<&'a Posterior>,
    /// Models of violations, each with the largest outcome that is none.
    pub(crate) constraints: Vec<(&'a Posterior, f64)>,
}

/// Memory that values with gradients use again.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    posterior: posterior::Scratch,
    improvement: improvement::Scratch,
    predictions: Vec<Normal>,
    slopes: Vec<Slope>,
    /// For each model the gradients of mean and variance.
    gradients: Vec<(Vec<f64>, Vec<f64>)>,
    /// Dimensions along which a point comes closer to an edge, with the slope of what that counts.
    by_edges: Vec<(usize, f64)>,
}

impl<'a> Criterion<'a> {
    fn models(&self) -> impl Iterator<Item = &'a Posterior> {
        let constraints = self.constraints.iter().map(|(model, _)| *model);
        self.objectives.iter().copied().chain(constraints)
    }

    /// Results that the models hold.
    pub(crate) fn len(&self) -> usize {
        self.models().next().map_or(0, Posterior::len)
    }

    /// Values at each of `at`.
    pub(crate) fn values(&self, layout: &Layout, at: &Points) -> Vec<f64> {
        let predictions: Vec<Vec<(f64, f64)>> =
            self.models().map(|model| model.predict(layout, at)).collect();
        let mut scratch = improvement::Scratch::default();
        let mut point = Vec::with_capacity(predictions.len());
        (0..at.len())
            .map(|i| {
                point.clear();
                point.extend(predictions.iter().map(|model| Normal {
                    mean: model[i].0,
                    variance: model[i].1,
                }));
                let value = self.value(&point, None, &mut scratch);
                if self.is_improvement() {
                    self.toward_edges(value, self.edges.log_factor(at, i)).0
                } else {
                    value
                }
            })
            .collect()
    }

    /// Value at one point, and its gradient with respect to the encoded coordinates, shape `(d,)`.
    pub(crate) fn value_with_gradient(
        &self,
        layout: &Layout,
        encoded: &[f64],
        gradient: &mut [f64],
        scratch: &mut Scratch,
    ) -> f64 {
        let mut predictions = std::mem::take(&mut scratch.predictions);
        let mut slopes = std::mem::take(&mut scratch.slopes);
        predictions.clear();
        for (k, model) in self.models().enumerate() {
            if scratch.gradients.len() == k {
                scratch.gradients.push(Default::default());
            }
            let (by_mean, by_variance) = &mut scratch.gradients[k];
            by_mean.resize(encoded.len(), 0.0);
            by_variance.resize(encoded.len(), 0.0);
            let (mean, variance) =
                model.predict_with_gradient(layout, encoded, by_mean, by_variance, &mut scratch.posterior);
            predictions.push(Normal { mean, variance });
        }
        slopes.clear();
        slopes.resize(predictions.len(), Slope::default());
        let mut value = self.value(&predictions, Some(&mut slopes), &mut scratch.improvement);
        gradient.fill(0.0);
        for (slope, (by_mean, by_variance)) in slopes.iter().zip(&scratch.gradients) {
            for ((gradient, by_mean), by_variance) in gradient.iter_mut().zip(by_mean).zip(by_variance) {
                *gradient += slope.by_mean * by_mean + slope.by_variance * by_variance;
            }
        }
        if self.is_improvement() {
            let by_edges = &mut scratch.by_edges;
            by_edges.clear();
            let log_factor = self
                .edges
                .log_factor_with_slopes(encoded, |dimension, slope| by_edges.push((dimension, slope)));
            let (counted, by_value, by_log) = self.toward_edges(value, log_factor);
            value = counted;
            gradient.iter_mut().for_each(|slope| *slope *= by_value);
            for &mut (dimension, slope) in by_edges {
                gradient[dimension] += by_log * slope;
            }
        }
        (scratch.predictions, scratch.slopes) = (predictions, slopes);
        value
    }

    /// Whether edges count.
    fn is_improvement(&self) -> bool {
        matches!(
            self.goal,
            Goal::Outcome {
                acquisition: Acquisition::LogEi | Acquisition::Ei,
                ..
            }
        )
    }

    /// What an improvement counts where this is the logarithm of the factor by which it counts less towards edges, and the derivatives with
    /// respect to both.
    fn toward_edges(&self, value: f64, log_factor: f64) -> (f64, f64, f64) {
        match self.goal {
            Goal::Outcome {
                acquisition: Acquisition::Ei,
                ..
            } => {
                let factor = log_factor.exp();
                (value * factor, factor, value * factor)
            }
            _ => (value + log_factor, 1.0, 1.0),
        }
    }

    /// Value where the models predict this: the objectives first, then the constraints.
    fn value(
        &self,
        predictions: &[Normal],
        mut slopes: Option<&mut [Slope]>,
        scratch: &mut improvement::Scratch,
    ) -> f64 {
        let count = self.objectives.len();
        let (objectives, constraints) = predictions.split_at(count);
        let mut value = match &self.goal {
            Goal::Outcome { .. } | Goal::Exploration | Goal::Mean => {
                let Some(Normal { mean, variance }) = objectives.first().copied() else {
                    return f64::NAN;
                };
                let (value, by_mean, by_variance) = match &self.goal {
                    Goal::Outcome {
                        acquisition,
                        incumbent,
                    } => acquisition::value(*acquisition, *incumbent, mean, variance),
                    Goal::Mean => (-mean, -1.0, 0.0),
                    _ => acquisition::exploration(mean, variance),
                };
                if let Some(slope) = slopes.as_deref_mut().and_then(<[Slope]>::first_mut) {
                    *slope = Slope { by_mean, by_variance };
                }
                value
            }
            Goal::Front(front) => {
                let slopes = slopes.as_deref_mut().map(|slopes| &mut slopes[..count]);
                front.log_improvement(objectives, slopes, scratch)
            }
            Goal::Feasible => 0.0,
        };
        for (k, (Normal { mean, variance }, (_, limit))) in
            constraints.iter().zip(&self.constraints).enumerate()
        {
            let deviation = variance.sqrt();
            let z = (limit - mean) / deviation;
            let (log, slope) = log_cumulative(z);
            value += log;
            if let Some(slopes) = slopes.as_deref_mut() {
                slopes[count + k] = Slope {
                    by_mean: -slope / deviation,
                    by_variance: -0.5 * slope * z / variance,
                };
            }
        }
        value
    }
}
