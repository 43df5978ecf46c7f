//! Wilcoxon's signed-rank test, one-sided (Wilcoxon 1945, "Individual Comparisons by Ranking Methods").
//!
//! Differences are ranked by size, equals with the mean of their ranks, zeros among them. Under the hypothesis that none of the two sides is
//! larger, each difference is as likely to be negative, given the sizes: the rank sum of the positive ones then has the distribution that all
//! choices of signs give it. A zero counts half for each side, whatever the signs, and does not matter to the comparison.

use crate::normal;

/// Differences, without zeros, up to which all choices of signs are counted; beyond, the normal approximation is right to two digits of the
/// p-value and more.
const EXACT: usize = 50;

/// Probability that the rank sum of positive differences is as large as it is, or larger. 1 without a difference that is not 0. Differences
/// are finite; reorders them.
pub(super) fn p_value(differences: &mut [f64]) -> f64 {
    differences.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let zeros = differences.partition_point(|difference| difference.abs() <= 0.0);
    // Twice the ranks, which are whole numbers, of all but zeros; and twice the sum of those of positive differences.
    let mut ranks: Vec<usize> = Vec::with_capacity(differences.len() - zeros);
    let mut positive = 0;
    for equals in differences[zeros..].chunk_by(|a, b| a.abs() >= b.abs()) {
        let first = zeros + ranks.len() + 1;
        let rank = first + (first + equals.len() - 1);
        ranks.extend(std::iter::repeat_n(rank, equals.len()));
        positive += rank * equals.iter().filter(|difference| **difference > 0.0).count();
    }
    match ranks.len() {
        0 => 1.0,
        1..=EXACT => exact(&ranks, positive),
        _ => approximate(&ranks, positive),
    }
}

/// Counts the choices of signs by their rank sums, as shares of all.
fn exact(ranks: &[usize], positive: usize) -> f64 {
    let total: usize = ranks.iter().sum();
    let mut shares = vec![0.0; total + 1];
    shares[0] = 1.0;
    let mut reached = 0;
    for rank in ranks {
        for sum in (0..=reached).rev() {
            let half = 0.5 * shares[sum];
            shares[sum] = half;
            shares[sum + rank] += half;
        }
        reached += rank;
    }
    let tail: f64 = shares[positive..].iter().sum();
    tail.min(1.0)
}

/// By a normal distribution of the same mean and variance, half a rank being the continuity correction.
fn approximate(ranks: &[usize], positive: usize) -> f64 {
    let mean = ranks.iter().map(|rank| *rank as f64 / 4.0).sum::<f64>();
    let variance: f64 = ranks.iter().map(|rank| (*rank as f64 / 4.0).powi(2)).sum();
    let distance = positive as f64 / 2.0 - 0.5 - mean;
    normal::cumulative(-distance / variance.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// See `tests/golden/make_wilcoxon.py`.
    #[test]
    fn p_values_are_those_of_scipy() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/golden/wilcoxon.json")).unwrap();
        let cases = golden["cases"].as_array().unwrap();
        assert!(cases.len() > 40);
        for case in cases {
            let differences = case["differences"].as_array().unwrap().iter();
            let mut differences: Vec<f64> = differences.map(|d| d.as_f64().unwrap()).collect();
            let expected = case["p"].as_f64().unwrap();
            let found = p_value(&mut differences);
            assert!(
                (found - expected).abs() < 1e-9,
                "{found} and {expected} of {differences:?}"
            );
        }
    }

    #[test]
    fn without_differences_nothing_is_larger() {
        assert!((p_value(&mut []) - 1.0).abs() < f64::EPSILON);
        assert!((p_value(&mut [0.0, -0.0]) - 1.0).abs() < f64::EPSILON);
        assert!((p_value(&mut [f64::MAX, f64::MIN_POSITIVE]) - 0.25).abs() < f64::EPSILON);
    }
}
