//! A random order of the numbers below n that is computed and not stored.
//!
//! A Feistel network permutes the numbers of 2k bits, the smallest such set that holds all below n; where it leads to n or beyond
//! it is applied again until it does not (cycle walking: Black and Rogaway 2002, "Ciphers with arbitrary finite domains"), four
//! times on average at worst. Eight rounds of an unkeyed mixer make a shuffle, not a cipher.

use crate::rng::mix;

const ROUNDS: usize = 8;

/// A permutation of `0..n`.
#[derive(Clone, Debug)]
pub(super) struct Permutation {
    n: u128,
    half_bits: u32,
    keys: [u64; ROUNDS],
}

impl Permutation {
    /// The permutation of `0..n` that belongs to a seed.
    pub(super) fn new(n: u128, seed: u64) -> Self {
        let bits = u128::BITS - n.saturating_sub(1).leading_zeros();
        let mut keys = [0; ROUNDS];
        let mut key = seed;
        for slot in &mut keys {
            key = mix(key);
            *slot = key;
        }
        Self {
            n,
            half_bits: bits.div_ceil(2).max(1),
            keys,
        }
    }

    /// Where `index` goes; `index` is below n.
    pub(super) fn at(&self, index: u128) -> u128 {
        let mut image = index;
        loop {
            image = self.network(image);
            if image < self.n || index >= self.n {
                return image;
            }
        }
    }

    fn network(&self, number: u128) -> u128 {
        let mask = u64::MAX >> (u64::BITS - self.half_bits);
        let mut left = half(number >> self.half_bits) & mask;
        let mut right = half(number) & mask;
        for key in self.keys {
            let next = left ^ (mix(right ^ key) & mask);
            left = right;
            right = next;
        }
        (u128::from(left) << self.half_bits) | u128::from(right)
    }
}

/// The lower 64 bits.
#[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
fn half(number: u128) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_below_n_comes_once() {
        for n in (1..200).chain([255, 256, 257, 1_000, 65_536]) {
            for seed in 0..3 {
                let permutation = Permutation::new(n, seed);
                let mut images: Vec<u128> = (0..n).map(|index| permutation.at(index)).collect();
                images.sort_unstable();
                assert!(images.into_iter().eq(0..n), "n = {n}, seed = {seed}");
            }
        }
    }

    #[test]
    fn numbers_beyond_64_bits_are_permuted_too() {
        for n in [1_u128 << 64, (1 << 100) + 7, u128::MAX] {
            let permutation = Permutation::new(n, 1);
            let images: std::collections::HashSet<u128> =
                (0..1_000).map(|index| permutation.at(index)).collect();
            assert_eq!(images.len(), 1_000);
            assert!(images.iter().all(|image| *image < n));
            assert!(images.iter().filter(|image| **image > n / 2).count() > 400);
        }
    }

    #[test]
    fn each_order_of_four_is_about_equally_likely() {
        let mut counts = std::collections::HashMap::new();
        for seed in 0..24_000 {
            let permutation = Permutation::new(4, seed);
            *counts
                .entry([0, 1, 2, 3].map(|index| permutation.at(index)))
                .or_insert(0_i32) += 1;
        }
        // 1,000 expected of each of the 24 orders, standard deviation 31. A Feistel network makes even permutations only where it
        // has more than one bit a side; here each side has one bit, and all orders occur.
        assert_eq!(counts.len(), 24);
        assert!(
            counts.values().all(|count| (800..1_200).contains(count)),
            "{counts:?}"
        );
    }
}
