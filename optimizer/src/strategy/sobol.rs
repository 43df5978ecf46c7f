//! Quasi-random search: a scrambled Sobol sequence, which fills the space more evenly than independent draws.
//!
//! Sobol (1967), direction numbers of Joe and Kuo (2008), SIAM J. Sci. Comput. 30 (`data/make_sobol_table.py`), in the order of
//! Gray codes (Antonov and Saleev 1979). Scrambled as Owen (1995), "Randomly permuted (t,m,s)-nets": in each dimension every binary
//! digit is flipped or not by a coin that belongs to the digits before it. The coins are hashes of seed, dimension and digits, so
//! nothing is stored, and the sequence keeps its evenness while different seeds give independent searches.
//!
//! Trial k gets point k - 1 of the sequence, so that it depends on the seed and k alone; trials that people add leave gaps. If the
//! constraints refuse the point, the trial's point is drawn at random instead, from a stream of its own.

use super::SearchStrategy;
use super::memory::Memory;
use super::random::draw;
use super::view::{Proposal, StrategyError, StudyView, Suggestion, one_by_one};
use crate::rng::{Purpose, mix, unit};

/// Primitive polynomials and initial direction numbers, see `data/make_sobol_table.py`.
static TABLE: &[u8] = include_bytes!("../../data/sobol.bin");
/// Numbers per dimension in the table.
const ROW: usize = 14;
/// Binary digits of a coordinate, and points after which the sequence repeats, as a power of two.
const DIGITS: usize = 32;

/// A scrambled Sobol sequence.
#[derive(Debug)]
pub(super) struct Sobol {
    /// Shape `(d, 32)`: column i of a dimension is what bit i of the point's number contributes.
    directions: Vec<[u32; DIGITS]>,
}

impl Sobol {
    /// A sequence in `dimensions` dimensions, at most 1,024. A space has at most 1,000 parameters.
    pub(super) fn new(dimensions: usize) -> Self {
        let rows = TABLE.chunks_exact(2 * ROW).take(dimensions);
        Self {
            directions: rows.map(directions).collect(),
        }
    }

    /// Point `index` scrambled with `seed`, shape `(d,)`. Costs O(d).
    pub(super) fn point(&self, seed: u64, index: u64) -> Vec<f64> {
        let index = u32::try_from(index & u64::from(u32::MAX)).unwrap_or(0);
        (0..)
            .zip(&self.directions)
            .map(|(dimension, directions)| {
                let key = mix(mix(seed).wrapping_add(dimension));
                scramble(coordinate(directions, index), key)
            })
            .collect()
    }

    /// The sequence's points, all moved by the same random amounts, digit by digit: as even, and made in a fraction of the time.
    pub(super) fn shifted(&self, seed: u64) -> impl Iterator<Item = Vec<f64>> {
        let keys = (0..).zip(&self.directions).map(|(dimension, directions)| {
            let shift = mix(mix(seed).wrapping_add(dimension));
            (directions, shift)
        });
        let keys: Vec<(&[u32; DIGITS], u64)> = keys.collect();
        (0..u32::MAX).map(move |index| {
            let moved = |(directions, shift): &(&[u32; DIGITS], u64)| {
                unit((u64::from(coordinate(directions, index)) << DIGITS) ^ shift)
            };
            keys.iter().map(moved).collect()
        })
    }

    /// The trial's own point, or a random one if the constraints refuse it.
    pub(super) fn suggest(&self, view: &StudyView<'_>) -> Result<Suggestion, StrategyError> {
        let space = view.space;
        let point = self.point(view.seed, view.next.0.saturating_sub(1));
        let params = space.decode(&point);
        if space.satisfies(&params) {
            return Ok(Suggestion::new(space, params, point));
        }
        let mut suggestion = draw(space, view.seed, view.next, Purpose::Replacement)?;
        "drawn at random, since the constraints refuse the trial's Sobol point"
            .clone_into(&mut suggestion.note);
        Ok(suggestion)
    }
}

impl SearchStrategy for Sobol {
    fn name(&self) -> &'static str {
        "sobol"
    }

    fn propose(&self, view: &StudyView<'_>, count: usize, _: &mut Memory) -> Result<Proposal, StrategyError> {
        one_by_one(view, count, |view| self.suggest(view))
    }
}

/// One coordinate of point `index`, in units of 2^-32.
fn coordinate(directions: &[u32; DIGITS], index: u32) -> u32 {
    let mut gray = index ^ (index >> 1);
    let mut coordinate = 0;
    while gray != 0 {
        coordinate ^= directions[gray.trailing_zeros() as usize];
        gray &= gray - 1;
    }
    coordinate
}

/// Direction numbers of one dimension from its row in the table.
///
/// With the polynomial `x^s + a_1 x^(s-1) + ... + a_(s-1) x + 1` the recurrence is
/// `m_k = 2 a_1 m_(k-1) ^ 4 a_2 m_(k-2) ^ ... ^ 2^(s-1) a_(s-1) m_(k-s+1) ^ 2^s m_(k-s) ^ m_(k-s)`, and number k is `m_k / 2^k`.
/// Here they are kept as `m_k 2^(32-k)`, where it needs no powers of two but the last.
fn directions(row: &[u8]) -> [u32; DIGITS] {
    let mut numbers = row
        .chunks_exact(2)
        .map(|pair| u32::from(u16::from_le_bytes([pair[0], pair[1]])));
    let polynomial = numbers.next().unwrap_or(1);
    let degree = (u32::BITS - 1 - polynomial.max(1).leading_zeros()) as usize;
    let mut directions: [u32; DIGITS] = std::array::from_fn(|k| 1 << (DIGITS - 1 - k));
    for (k, number) in numbers.take(degree).enumerate() {
        directions[k] = number << (DIGITS - 1 - k);
    }
    if degree > 0 {
        for k in degree..DIGITS {
            let oldest = directions[k - degree];
            let mut next = oldest ^ (oldest >> degree);
            for term in 1..degree {
                if polynomial >> (degree - term) & 1 == 1 {
                    next ^= directions[k - term];
                }
            }
            directions[k] = next;
        }
    }
    directions
}

/// Flips each binary digit by a coin that belongs to the digits before it, and draws the digits beyond the 32nd.
fn scramble(coordinate: u32, key: u64) -> f64 {
    let digits = u64::from(coordinate);
    let mut flips = 0;
    for place in 0..DIGITS {
        // The digits before this one, with a leading 1 so that "0" and "00" differ.
        let before = (1 << place) | (digits >> (DIGITS - place));
        flips = flips << 1 | (mix(key ^ before) >> 63);
    }
    let rest = mix(key ^ (1 << DIGITS) ^ digits);
    unit((digits ^ flips) << DIGITS | (rest >> DIGITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `sobol.json`, made by `make_sobol.py` beside it.
    fn golden() -> serde_json::Value {
        serde_json::from_str(include_str!("../../tests/golden/sobol.json")).unwrap()
    }

    fn numbers(value: &serde_json::Value) -> Vec<f64> {
        value
            .as_array()
            .unwrap()
            .iter()
            .map(|number| number.as_f64().unwrap())
            .collect()
    }

    fn unscrambled(sobol: &Sobol, index: u32) -> Vec<f64> {
        sobol
            .directions
            .iter()
            .map(|numbers| f64::from(coordinate(numbers, index)) / 2f64.powi(32))
            .collect()
    }

    #[test]
    fn unscrambled_points_are_those_of_scipy() {
        let golden = golden();
        let sobol = Sobol::new(10);
        for (index, point) in (0..).zip(golden["first_64_in_10_dimensions"].as_array().unwrap()) {
            assert_eq!(unscrambled(&sobol, index), numbers(point), "point {index}");
        }
        let sobol = Sobol::new(1_000);
        for (index, sum) in (0..).zip(numbers(&golden["sums_of_1024_in_1000_dimensions"])) {
            let ours: f64 = unscrambled(&sobol, index).iter().sum();
            assert_eq!(ours.to_bits(), sum.to_bits(), "point {index}");
        }
        for (index, point) in golden["in_1000_dimensions"].as_object().unwrap() {
            assert_eq!(
                unscrambled(&sobol, index.parse().unwrap()),
                numbers(point),
                "point {index}"
            );
        }
    }

    #[test]
    fn scrambled_and_shifted_points_are_spread_as_evenly_as_before() {
        // 2^10 points: each of the 2^10 intervals of equal length holds one, in each dimension; and in the first two dimensions,
        // which make a (0, 2)-sequence, so does each rectangle of that area.
        let sobol = Sobol::new(50);
        for seed in 0..5 {
            let scrambled = (0..1_024).map(|index| sobol.point(seed, index)).collect();
            assert_evenly_spread(scrambled, seed);
            let shifted: Vec<Vec<f64>> = sobol.shifted(seed).take(1_024).collect();
            assert_ne!(shifted[0], sobol.shifted(seed + 1).next().unwrap());
            assert_evenly_spread(shifted, seed);
        }
    }

    fn assert_evenly_spread(points: Vec<Vec<f64>>, seed: u64) {
        let cell = |x: f64, bits: i32| (x * 2f64.powi(bits)).floor().to_bits();
        for dimension in 0..50 {
            let cells: std::collections::HashSet<u64> =
                points.iter().map(|point| cell(point[dimension], 10)).collect();
            assert_eq!(cells.len(), 1_024, "dimension {dimension}, seed {seed}");
        }
        for bits in 0..=10 {
            let cells: std::collections::HashSet<(u64, u64)> = points
                .iter()
                .map(|point| (cell(point[0], bits), cell(point[1], 10 - bits)))
                .collect();
            assert_eq!(
                cells.len(),
                1_024,
                "{bits} bits in the first dimension, seed {seed}"
            );
        }
    }

    #[test]
    fn one_coordinate_over_all_seeds_is_uniform() {
        // Each of ten bins expects 1,000 of 10,000, standard deviation 30: five of them for all bins of twelve coordinates.
        let sobol = Sobol::new(4);
        for index in [0, 1, 77] {
            let mut bins = [[0_i32; 10]; 4];
            let edges = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
            for seed in 0..10_000 {
                for (bins, x) in bins.iter_mut().zip(sobol.point(seed, index)) {
                    bins[edges.partition_point(|edge| *edge <= x)] += 1;
                }
            }
            assert!(
                bins.iter().flatten().all(|count| (850..1_150).contains(count)),
                "point {index}: {bins:?}"
            );
        }
    }

    #[test]
    fn each_dimension_is_scrambled_by_itself() {
        // Unscrambled, point 0 is 0 in every dimension.
        let point = Sobol::new(100).point(5, 0);
        let different: std::collections::HashSet<u64> = point.iter().map(|x| x.to_bits()).collect();
        assert_eq!(different.len(), 100);
    }
}
