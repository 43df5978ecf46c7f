//! How the variance of a tree divides among parameters: functional ANOVA of a piecewise constant function (Hutter, Hoos and Leyton-Brown 2014, "An
//! efficient approach for assessing hyperparameter importance", algorithm 2), under any distribution in which the dimensions are independent.
//!
//! A leaf is a box, so that everything is a sum over leaves: with value `v` and mass `m` of each, the mean is `sum(v m)`, the variance
//! `sum((v - mean)^2 m)`; a marginal over all but some dimensions is constant between the edges of the leaves in these. Of a leaf only the dimensions
//! in which it is less than all are looked at.

use super::part::{Margin, Part};
use super::tree::Tree;

/// A tree's function under a distribution.
#[derive(Debug)]
pub(super) struct Spread<'a> {
    margins: &'a [Margin],
    leaves: Vec<Bit<'a>>,
    pub(super) variance: f64,
}

/// A leaf that is possible.
#[derive(Debug)]
struct Bit<'a> {
    /// By dimension, with the mass of each.
    parts: Vec<(usize, &'a Part, f64)>,
    mass: f64,
    /// Less the mean of the tree.
    value: f64,
}

impl<'a> Bit<'a> {
    /// Its part in a dimension, with its mass; None if it is all of it.
    fn part(&self, dimension: usize) -> Option<(&'a Part, f64)> {
        let found = self.parts.iter().find(|(known, ..)| *known == dimension);
        found.map(|(_, part, mass)| (*part, *mass))
    }
}

impl<'a> Spread<'a> {
    /// `margins` has one entry for each dimension.
    pub(super) fn new(tree: &'a Tree, margins: &'a [Margin]) -> Self {
        let mut leaves: Vec<Bit<'_>> = Vec::with_capacity(tree.leaves.len());
        for leaf in &tree.leaves {
            let parts = leaf.cell.parts().iter();
            let parts: Vec<(usize, &Part, f64)> = parts
                .map(|(dimension, part)| (*dimension, part, margins[*dimension].mass(part)))
                .collect();
            let mass: f64 = parts.iter().map(|(.., mass)| mass).product();
            if mass > 0.0 {
                let value = leaf.value;
                leaves.push(Bit { parts, mass, value });
            }
        }
        let mean: f64 = leaves.iter().map(|leaf| leaf.mass * leaf.value).sum();
        for leaf in &mut leaves {
            leaf.value -= mean;
        }
        let variance = leaves
            .iter()
            .map(|leaf| leaf.mass * leaf.value * leaf.value)
            .sum();
        Self {
            margins,
            leaves,
            variance,
        }
    }

    /// Variance of what is expected given one parameter.
    pub(super) fn of_one(&self, dimension: usize) -> f64 {
        // Leaves in which the parameter does not matter are the same everywhere, and left out with their mean: what the others come to at a position,
        // less their mean, is what is expected there.
        let mut steps: Vec<(f64, f64)> = Vec::new();
        let mut mean = 0.0;
        for leaf in &self.leaves {
            let Some((part, own)) = leaf.part(dimension) else {
                continue;
            };
            let weighed = leaf.value * leaf.mass;
            mean += weighed;
            for (from, to) in part.intervals() {
                steps.extend([(*from, weighed / own), (*to, -weighed / own)]);
            }
        }
        steps.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let margin = &self.margins[dimension];
        let (mut height, mut from, mut variance) = (0.0, 0.0, 0.0);
        for (edge, change) in steps {
            variance += (margin.below(edge) - from) * (height - mean) * (height - mean);
            from = margin.below(edge);
            height += change;
        }
        // Leaves fill the space: one of them reaches to where everything lies below.
        variance
    }

    /// Variance of what two parameters do together and neither does alone.
    pub(super) fn of_two(&self, a: usize, b: usize) -> f64 {
        // Leaves in which one of them does not matter add nothing to that.
        let both: Vec<(&Part, &Part, f64)> = self
            .leaves
            .iter()
            .filter_map(|leaf| {
                let ((first, own), (second, other)) = (leaf.part(a)?, leaf.part(b)?);
                Some((first, second, leaf.value * leaf.mass / own / other))
            })
            .collect();
        let (columns, rows) = (
            edges(both.iter().map(|leaf| leaf.0)),
            edges(both.iter().map(|leaf| leaf.1)),
        );
        if columns.len() < 2 || rows.len() < 2 {
            return 0.0;
        }
        // By how much the height of each cell differs from those before it in its row and in its column, then the heights themselves.
        let width = columns.len();
        let mut heights = vec![0.0; width * rows.len()];
        let place = |edges: &[f64], edge: f64| edges.partition_point(|known| *known < edge);
        for (first, second, height) in &both {
            for (left, right) in first.intervals() {
                for (low, high) in second.intervals() {
                    let (left, right) = (place(&columns, *left), place(&columns, *right));
                    let (low, high) = (place(&rows, *low), place(&rows, *high));
                    heights[low * width + left] += height;
                    heights[low * width + right] -= height;
                    heights[high * width + left] -= height;
                    heights[high * width + right] += height;
                }
            }
        }
        for row in heights.chunks_mut(width) {
            let mut sum = 0.0;
            for height in row {
                sum += *height;
                *height = sum;
            }
        }
        for index in width..heights.len() {
            heights[index] += heights[index - width];
        }
        let (across, up) = (
            weights(&columns, &self.margins[a]),
            weights(&rows, &self.margins[b]),
        );
        let (mut mean, mut squares, mut squares_up) = (0.0, 0.0, 0.0);
        let mut column_means = vec![0.0; width];
        for (row, weight) in heights.chunks(width).zip(&up) {
            let mut row_mean = 0.0;
            for ((height, own), column_mean) in row.iter().zip(&across).zip(&mut column_means) {
                row_mean += own * height;
                squares += weight * own * height * height;
                *column_mean += weight * height;
            }
            mean += weight * row_mean;
            squares_up += weight * row_mean * row_mean;
        }
        let squares_across: f64 = column_means
            .iter()
            .zip(&across)
            .map(|(mean, own)| own * mean * mean)
            .sum();
        (squares - squares_up - squares_across + mean * mean).max(0.0)
    }
}

/// All edges of some parts.
fn edges<'a>(parts: impl Iterator<Item = &'a Part>) -> Vec<f64> {
    let mut edges: Vec<f64> = parts
        .flat_map(|part| part.intervals().iter().flat_map(|(from, to)| [*from, *to]))
        .collect();
    edges.sort_unstable_by(f64::total_cmp);
    edges.dedup();
    edges
}

/// Probability of what lies between each edge and the next; what lies outside all of them has no height.
fn weights(edges: &[f64], margin: &Margin) -> Vec<f64> {
    let between = edges
        .windows(2)
        .map(|pair| margin.below(pair[1]) - margin.below(pair[0]));
    between.chain([0.0]).collect()
}
