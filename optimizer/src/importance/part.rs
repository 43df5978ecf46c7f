//! Parts of one dimension of the encoded space, and how likely they are.
//!
//! Levels and categories are intervals of [0, 1) as well, so that a threshold, a set of categories and the values of a parent that make a
//! parameter active are all the same thing: a union of intervals.

/// Disjoint intervals `[from, to)`, ascending.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Part(Vec<(f64, f64)>);

impl Part {
    /// All of the dimension.
    pub(super) fn whole() -> Self {
        Self(vec![(0.0, 1.0)])
    }

    /// What lies below a threshold.
    pub(super) fn below(threshold: f64) -> Self {
        Self::of(vec![(0.0, threshold)])
    }

    /// Intervals in any order; those that touch become one, empty ones vanish.
    pub(super) fn of(mut intervals: Vec<(f64, f64)>) -> Self {
        intervals.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut joined: Vec<(f64, f64)> = Vec::with_capacity(intervals.len());
        for (from, to) in intervals {
            match joined.last_mut() {
                _ if from >= to => {}
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => joined.push((from, to)),
            }
        }
        Self(joined)
    }

    pub(super) fn intervals(&self) -> &[(f64, f64)] {
        &self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// NaN, where an inactive parameter lies, is in no part.
    pub(super) fn contains(&self, position: f64) -> bool {
        self.0.iter().any(|(from, to)| (*from..*to).contains(&position))
    }

    /// What is in both.
    pub(super) fn and(&self, other: &Self) -> Self {
        let pairs = self.0.iter().flat_map(|a| other.0.iter().map(move |b| (a, b)));
        Self::of(pairs.map(|(a, b)| (a.0.max(b.0), a.1.min(b.1))).collect())
    }

    /// What is in this one only.
    pub(super) fn without(&self, other: &Self) -> Self {
        let mut gaps = Vec::with_capacity(other.0.len() + 1);
        let mut from = 0.0;
        for (start, end) in &other.0 {
            gaps.push((from, *start));
            from = *end;
        }
        gaps.push((from, 1.0));
        self.and(&Self::of(gaps))
    }
}

/// How likely each part of a dimension is: a density that is constant between edges.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Margin {
    /// Ascending from 0 to 1.
    edges: Vec<f64>,
    /// Probability below each edge.
    below: Vec<f64>,
}

impl Margin {
    /// Every position is as likely as any other.
    pub(super) fn uniform() -> Self {
        Self {
            edges: vec![0.0, 1.0],
            below: vec![0.0, 1.0],
        }
    }

    /// As some positions lie, in so many bins of equal width. One position's worth is spread evenly, so that nothing is impossible only because
    /// it was not met. NaN is left out.
    pub(super) fn of(positions: impl Iterator<Item = f64>, bins: usize) -> Self {
        let mut counts = vec![1.0 / bins as f64; bins];
        let mut sum = 1.0;
        for position in positions.filter(|position| !position.is_nan()) {
            counts[cell_of(position, bins)] += 1.0;
            sum += 1.0;
        }
        let mut below = Vec::with_capacity(bins + 1);
        let mut passed = 0.0;
        below.push(0.0);
        below.extend(counts.iter().map(|count| {
            passed += count;
            passed / sum
        }));
        Self {
            edges: (0..=bins).map(|bin| edge(bin, bins)).collect(),
            below,
        }
    }

    /// Given that the position is in a part. Unchanged if that has no probability.
    pub(super) fn within(&self, part: &Part) -> Self {
        let total = self.mass(part);
        if total <= 0.0 {
            return self.clone();
        }
        let mut edges: Vec<f64> = self.edges.clone();
        edges.extend(part.intervals().iter().flat_map(|(from, to)| [*from, *to]));
        edges.sort_by(f64::total_cmp);
        edges.dedup();
        let below = |edge: f64| self.mass(&part.and(&Part::below(edge))) / total;
        let below = edges.iter().map(|edge| below(*edge)).collect();
        Self { edges, below }
    }

    /// Probability of a part.
    pub(super) fn mass(&self, part: &Part) -> f64 {
        part.intervals()
            .iter()
            .map(|(from, to)| self.below(*to) - self.below(*from))
            .sum()
    }

    /// Probability of what lies below a position.
    pub(super) fn below(&self, position: f64) -> f64 {
        let after = self.edges.partition_point(|edge| *edge <= position);
        if after == 0 {
            return 0.0;
        }
        let Some(next) = self.edges.get(after) else {
            return 1.0;
        };
        let (start, under) = (self.edges[after - 1], self.below[after - 1]);
        under + (self.below[after] - under) * (position - start) / (next - start)
    }
}

/// Where bin or level `index` of `count` begins. All edges come from here, so that equal ones are equal numbers.
pub(super) fn edge(index: usize, count: usize) -> f64 {
    index as f64 / count as f64
}

/// In which of so many bins or levels a position in [0, 1) lies.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "neither negative nor above the count"
)]
pub(super) fn cell_of(position: f64, count: usize) -> usize {
    ((position * count as f64) as usize).min(count.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_sets() {
        let odd = Part::of(vec![(0.75, 1.0), (0.25, 0.5)]);
        assert_eq!(odd.intervals(), [(0.25, 0.5), (0.75, 1.0)]);
        assert_eq!(
            Part::whole().without(&odd).intervals(),
            [(0.0, 0.25), (0.5, 0.75)]
        );
        assert_eq!(odd.and(&Part::below(0.8)).intervals(), [(0.25, 0.5), (0.75, 0.8)]);
        assert!(odd.without(&odd).is_empty());
        assert_eq!(Part::of(vec![(0.0, 0.5), (0.5, 1.0)]), Part::whole());
        assert!(odd.contains(0.25) && !odd.contains(0.5) && !odd.contains(f64::NAN));
    }

    #[test]
    fn margins_follow_the_positions_and_can_be_confined() {
        let margin = Margin::of([0.1, 0.1, 0.1, 0.9, f64::NAN].into_iter(), 2);
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} is not {b}");
        near(margin.mass(&Part::below(0.5)), 0.7);
        near(margin.mass(&Part::below(0.25)), 0.35);
        near(margin.mass(&Part::whole()), 1.0);
        let confined = margin.within(&Part::of(vec![(0.25, 0.5), (0.5, 0.75)]));
        near(confined.mass(&Part::whole()), 1.0);
        near(confined.mass(&Part::below(0.25)), 0.0);
        near(confined.mass(&Part::below(0.5)), 0.7);
        near(confined.mass(&Part::below(0.75)), 1.0);
        near(
            Margin::uniform().mass(&Part::of(vec![(0.2, 0.3), (0.8, 1.0)])),
            0.3,
        );
    }
}
