//! The only source of random numbers: one independent stream per study, trial and purpose.
//!
//! ChaCha8 is a fixed algorithm, and numbers in [0, 1) are made from its output here, so that no update of a library changes what
//! a seed means.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tunesmith_common::TrialNumber;

/// What random numbers of a trial are for. Each purpose has its own stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The point proposed.
    Point,
    /// Another point where the constraints refuse the strategy's own.
    Replacement,
    /// Parameters that were left open by whoever gave the others.
    Completion,
    /// Where a model's promises are looked at.
    Search,
    /// Values of parameters without an order.
    Choice,
    /// Where a search begins again; by the number of the search.
    Restart,
    /// Whether the trial is drawn at random as a baseline.
    Lot,
    /// Its point, if so.
    Baseline,
    /// How much each of many objectives matters to it.
    Weights,
    /// What is left to gain after so many results.
    Gain,
    /// Whom it is compared with.
    Opponent,
    /// Whose training it goes on with.
    Parent,
    /// How its parameters differ from its parent's.
    Change,
    /// On which results a tree of a forest is grown, and which parameters its splits look at; by the number of the tree.
    Tree,
}

/// Independent random numbers for one trial.
///
/// The stream depends on the study's seed and the trial's number alone, so it does not matter how suggestions are batched, nor
/// in which order results come in.
#[must_use]
pub fn trial_rng(seed: u64, trial: TrialNumber) -> ChaCha8Rng {
    purpose_rng(seed, trial, Purpose::Point)
}

/// [`trial_rng`] for a further purpose. Trials are told apart up to number 2^56.
pub(crate) fn purpose_rng(seed: u64, trial: TrialNumber, purpose: Purpose) -> ChaCha8Rng {
    let purpose: u64 = match purpose {
        Purpose::Point => 0,
        Purpose::Replacement => 1,
        Purpose::Completion => 2,
        Purpose::Search => 3,
        Purpose::Choice => 4,
        Purpose::Restart => 5,
        Purpose::Lot => 6,
        Purpose::Baseline => 7,
        Purpose::Weights => 8,
        Purpose::Gain => 9,
        Purpose::Opponent => 10,
        Purpose::Parent => 11,
        Purpose::Change => 12,
        Purpose::Tree => 13,
    };
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(trial.0 ^ (purpose << 56));
    rng
}

/// A number in [0, 1), one of 2^53 equally likely and equally spaced.
pub(crate) fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    unit(rng.next_u64())
}

/// One of `0..n`, each equally likely; 0 if there is none.
pub(crate) fn below(n: usize, rng: &mut ChaCha8Rng) -> usize {
    let product = u128::from(rng.next_u64()) * (n as u128);
    usize::try_from(product >> 64).unwrap_or(0)
}

/// A normal number of mean 0 and variance 1 (Box and Muller 1958).
pub(crate) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - uniform(rng)).ln()).sqrt();
    radius * (std::f64::consts::TAU * uniform(rng)).cos()
}

/// The upper 53 bits as a number in [0, 1).
pub(crate) fn unit(bits: u64) -> f64 {
    const SPACING: f64 = 1.0 / (1_u64 << 53) as f64;
    (bits >> 11) as f64 * SPACING
}

/// A hash in which every bit of the argument matters to every bit of the result: the finaliser of SplitMix64 (Steele, Lea and
/// Flood 2014).
pub(crate) fn mix(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_purposes_and_seeds_have_different_streams() {
        let first = |seed, trial, purpose| purpose_rng(seed, TrialNumber(trial), purpose).next_u64();
        let all = [
            first(1, 1, Purpose::Point),
            first(1, 2, Purpose::Point),
            first(2, 1, Purpose::Point),
            first(1, 1, Purpose::Replacement),
            first(1, 1, Purpose::Completion),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|b| a != b));
        }
        assert_eq!(all[0], first(1, 1, Purpose::Point));
    }

    #[test]
    fn the_largest_number_is_below_one() {
        assert!(unit(u64::MAX) < 1.0);
        assert!(unit(0).abs() < f64::MIN_POSITIVE);
    }
}
