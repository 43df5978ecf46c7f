//! A distribution over the values of a parameter without an order.
//!
//! Each value has a chance, which moves towards how often the value occurs among good samples, and never below a margin: the
//! categorical half of CatCMA (Hamano et al. 2024, "CatCMA: stochastic optimization for mixed-category problems"), with a
//! constant rate.

/// How far the chances move towards those of the good samples in one update.
const RATE: f64 = 0.4;
/// Chance at least with which all parameters together have another value than the likeliest in one of them.
const SURPRISE: f64 = 0.2;

/// The chances.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Categories {
    chances: Vec<f64>,
    /// Least of them.
    margin: f64,
}

impl Categories {
    /// So many values, at least two and all equally likely, of one of so many parameters without an order.
    pub(crate) fn new(count: usize, parameters: usize) -> Self {
        let each = 1.0 - (1.0 - SURPRISE).powf(1.0 / parameters.max(1) as f64);
        let count = count.max(2);
        Self {
            chances: vec![1.0 / count as f64; count],
            margin: (each / (count - 1) as f64).min(0.5 / count as f64),
        }
    }

    /// The value that belongs to a number in [0, 1).
    pub(crate) fn pick(&self, mut position: f64) -> usize {
        for (category, chance) in self.chances.iter().enumerate() {
            if position < *chance {
                return category;
            }
            position -= chance;
        }
        self.chances.len().saturating_sub(1)
    }

    /// Learns from values of good samples and their weights, which sum to 1 at most: those of samples that have no value for this
    /// parameter are missing.
    pub(crate) fn learn(&mut self, votes: impl Iterator<Item = (usize, f64)>) {
        let count = self.chances.len() as f64;
        let mut shares = vec![0.0; self.chances.len()];
        let mut total = 0.0;
        for (category, weight) in votes {
            if let Some(share) = shares.get_mut(category) {
                *share += weight;
                total += weight;
            }
        }
        let margin = self.margin;
        for (chance, share) in self.chances.iter_mut().zip(shares) {
            *chance = (*chance + RATE * (share - total * *chance)).max(margin);
        }
        // What was lifted to the margin is taken from all others in proportion to what they have above it.
        let above = self.chances.iter().sum::<f64>() - margin * count;
        let factor = (1.0 - margin * count) / above;
        for chance in &mut self.chances {
            *chance = margin + (*chance - margin) * factor;
        }
    }

    #[cfg(test)]
    pub(super) fn chances(&self) -> &[f64] {
        &self.chances
    }
}
