//! What `tpe` makes of trials: a mixture over the encoded space, of one component for each of them and one that is uniform.
//!
//! Densities are computed for many points at once, one parameter after the other, over numbers that lie side by side: `tpe` spends most of
//! its time there.

use rand_chacha::ChaCha8Rng;
use tunesmith_common::space::Dimension;

use super::numbers::Numbers;
use crate::rng::{below, uniform};

/// Logarithm of a share of a sum that is less than half of the sum's last digit, so that adding it changes nothing.
const NOTHING: f64 = -37.0;

/// The mixture. Densities are relative to the uniform distribution.
#[derive(Debug)]
pub(super) struct Mixture {
    /// For each parameter the kernels of all components. A parameter that is inactive in a trial is uniform in its component.
    axes: Vec<Axis>,
    components: usize,
}

#[derive(Debug)]
enum Axis {
    Numbers(Numbers),
    Categories(Categories),
}

/// Kernels of a parameter without an order: the trial's category with a probability, else any.
#[derive(Debug)]
struct Categories {
    stay: f64,
    /// Shape `(n,)` each. NaN where it is uniform.
    centre: Vec<f64>,
    /// Logarithms of densities: of the trial's category, and of each other one.
    own: Vec<f64>,
    others: Vec<f64>,
}

impl Mixture {
    /// Of snapped points.
    pub(super) fn new(dimensions: &[Dimension], points: &[&[f64]]) -> Self {
        let components = points.len() + 1;
        let mut active: Vec<(f64, usize)> = Vec::with_capacity(components);
        let axes = dimensions.iter().enumerate().map(|(k, dimension)| {
            let places = points.iter().enumerate().map(|(i, point)| (point[k], i));
            active.clear();
            active.extend(places.filter(|(x, _)| !x.is_nan()));
            match *dimension {
                Dimension::Continuous => Axis::Numbers(Numbers::new(&mut active, components, None)),
                Dimension::Levels(count) => Axis::Numbers(Numbers::new(&mut active, components, Some(count))),
                Dimension::Categorical(count) => {
                    Axis::Categories(Categories::new(&active, components, count))
                }
            }
        });
        Self {
            axes: axes.collect(),
            components,
        }
    }

    /// A latent point: a number in [0, 1) for every parameter.
    pub(super) fn sample(&self, rng: &mut ChaCha8Rng) -> Vec<f64> {
        let component = below(self.components, rng);
        let axes = self.axes.iter().map(|axis| match axis {
            Axis::Numbers(numbers) => numbers.sample(component, rng),
            Axis::Categories(categories) => categories.sample(component, rng),
        });
        axes.collect()
    }

    /// Logarithm of the density at each of these snapped points.
    pub(super) fn log_densities(&self, points: &[Vec<f64>]) -> Vec<f64> {
        // Shape `(points, components)`, by rows.
        let mut logs = vec![0.0; points.len() * self.components];
        for (k, axis) in self.axes.iter().enumerate() {
            // What is inactive at a point does not matter to it.
            let rows = points.iter().zip(logs.chunks_exact_mut(self.components));
            let rows = rows.filter_map(|(point, logs)| (!point[k].is_nan()).then_some((point[k], logs)));
            match axis {
                Axis::Numbers(numbers) => numbers.add_log_densities(rows),
                Axis::Categories(categories) => categories.add_log_densities(rows),
            }
        }
        logs.chunks_exact(self.components).map(log_mean).collect()
    }
}

impl Categories {
    /// `active` are the places of those that are not uniform, and which they are.
    fn new(active: &[(f64, usize)], components: usize, count: u64) -> Self {
        let count = count.max(1) as f64;
        // As if each category had been seen once, in all trials together.
        let stay = active.len() as f64 / (active.len() as f64 + count);
        let mut categories = Self {
            stay,
            centre: vec![f64::NAN; components],
            own: vec![0.0; components],
            others: vec![0.0; components],
        };
        for &(x, i) in active {
            categories.centre[i] = x;
            categories.own[i] = (stay * count + 1.0 - stay).ln();
            categories.others[i] = (1.0 - stay).ln();
        }
        categories
    }

    fn sample(&self, component: usize, rng: &mut ChaCha8Rng) -> f64 {
        let centre = self.centre[component];
        if !centre.is_nan() && uniform(rng) < self.stay {
            centre
        } else {
            uniform(rng)
        }
    }

    /// For each point its place, and to what the components' logarithms are added.
    fn add_log_densities<'a>(&self, rows: impl Iterator<Item = (f64, &'a mut [f64])>) {
        for (x, logs) in rows {
            let kernels = self.centre.iter().zip(&self.own).zip(&self.others);
            for (log, ((centre, own), others)) in logs.iter_mut().zip(kernels) {
                *log += if (x - centre).abs() < 1e-12 { own } else { others };
            }
        }
    }
}

/// Logarithm of the mean of what these are the logarithms of.
fn log_mean(logs: &[f64]) -> f64 {
    let mut largest = f64::NEG_INFINITY;
    let mut sum = 0.0;
    for &log in logs {
        if log > largest {
            sum = sum * (largest - log).exp() + 1.0;
            largest = log;
        } else if log - largest > NOTHING {
            sum += (log - largest).exp();
        }
    }
    largest + (sum / logs.len() as f64).ln()
}

#[cfg(test)]
mod tests;
