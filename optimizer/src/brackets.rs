//! How trials are divided between the brackets of successive halving, by their number alone.

use tunesmith_common::TrialNumber;

/// Shares of brackets, each with those before, out of 1: as Hyperband gives them to brackets of `rungs`, `rungs - 1` and so on halvings.
///
/// Hyperband begins a bracket of s halvings, of up to S, with (S + 1) / (s + 1) reduction^s trials, so that all brackets cost about the
/// same. All divided by reduction^S, which is a large number.
pub(crate) fn shares(brackets: usize, rungs: usize, reduction: u32) -> Vec<f64> {
    let mut weights = Vec::with_capacity(brackets);
    let mut power = 1.0;
    for bracket in 0..brackets {
        weights.push((rungs as f64 + 1.0) / (rungs.saturating_sub(bracket) as f64 + 1.0) * power);
        power /= f64::from(reduction.max(2));
    }
    let total: f64 = weights.iter().sum();
    let mut sum = 0.0;
    weights
        .into_iter()
        .map(|weight| {
            sum += weight;
            sum / total
        })
        .collect()
}

/// Where a trial lies from 0 to 1: multiples of the golden ratio without their whole part, which fill that range evenly however many
/// there are, and in an order that no grid of parameters has.
pub(crate) fn spot(trial: TrialNumber) -> f64 {
    /// The golden ratio without its whole part, of 2^64.
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    let turned = trial.0.wrapping_mul(GOLDEN);
    // Of 53 bits, which a float holds.
    (turned >> 11) as f64 / (1_u64 << 53) as f64
}
