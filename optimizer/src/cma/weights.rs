//! How much each rank counts, and how fast each part of the distribution learns: table 1 of the tutorial.

/// Constants of a population.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Weights {
    /// One for each rank, best first. The positive ones sum to 1, those of the worse half are negative.
    pub(crate) ranks: Vec<f64>,
    /// How many equally weighted samples the positive weights are worth.
    pub(crate) effective: f64,
    pub(super) rate_sigma: f64,
    pub(super) damping: f64,
    pub(super) rate_path: f64,
    /// Learning rates of the covariance matrix: from the path, and from the samples.
    pub(super) rate_one: f64,
    pub(super) rate_ranks: f64,
}

impl Weights {
    /// For populations of `size` in `n` dimensions; no dimension counts as one, and less than two samples as two. A diagonal
    /// covariance matrix has fewer numbers to learn, and learns faster.
    pub(crate) fn new(n: usize, size: usize, diagonal: bool) -> Self {
        let (n, size) = (n.max(1) as f64, size.max(2));
        let raw: Vec<f64> = (1..=size)
            .map(|rank| ((size as f64 + 1.0) / 2.0).ln() - (rank as f64).ln())
            .collect();
        let (good, bad) = raw.split_at(size / 2);
        let worth = |weights: &[f64]| {
            let sum: f64 = weights.iter().sum();
            sum * sum / weights.iter().map(|w| w * w).sum::<f64>()
        };
        let effective = worth(good);
        let speed = if diagonal { (n + 2.0) / 3.0 } else { 1.0 };
        let rate_one = speed * 2.0 / ((n + 1.3).powi(2) + effective);
        let rate_ranks =
            speed * 2.0 * (0.25 + effective + 1.0 / effective - 2.0) / ((n + 2.0).powi(2) + effective);
        let rate_ranks = rate_ranks.min(1.0 - rate_one);
        let rate_sigma = (effective + 2.0) / (n + effective + 5.0);
        // What the negative weights together take away: no more than is added, and so little that no variance becomes negative.
        let negative = (1.0 + rate_one / rate_ranks)
            .min(1.0 + 2.0 * worth(bad) / (effective + 2.0))
            .min((1.0 - rate_one - rate_ranks) / (n * rate_ranks));
        let sum_good: f64 = good.iter().sum();
        let sum_bad: f64 = bad.iter().map(|w| -w).sum();
        let ranks = good
            .iter()
            .map(|w| w / sum_good)
            .chain(bad.iter().map(|w| negative * w / sum_bad))
            .collect();
        Self {
            ranks,
            effective,
            rate_sigma,
            damping: 1.0 + 2.0 * (((effective - 1.0) / (n + 1.0)).sqrt() - 1.0).max(0.0) + rate_sigma,
            rate_path: (4.0 + effective / n) / (n + 4.0 + 2.0 * effective / n),
            rate_one,
            rate_ranks,
        }
    }

    /// The positive weights, best first.
    pub(crate) fn good(&self) -> &[f64] {
        &self.ranks[..self.ranks.len() / 2]
    }
}
