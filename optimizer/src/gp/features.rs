//! How a kernel sees encoded points: as columns of numbers between which distances are taken.
//!
//! Each parameter that has more than one value is one *group* with one length scale. Its squared distance between two points is
//!
//! * of numbers and levels that are always active: the square of the difference;
//! * of those under a condition: the points lie on an arc of radius 1 and length 1, and the centre stands for "inactive", so that
//!   an inactive parameter is equally far from all values (Hutter and Osborne 2013, "A kernel for hierarchical parameter spaces");
//! * of categories: 1 where they differ, "inactive" being a category of its own.
//!
//! How far a training went can be one more coordinate, behind those of the space, and is a group of its own ([`Layout::with_fidelity`]).
//!
//! All of these are squared Euclidean distances of some embedding, so every radial kernel of their weighted sum is positive definite.

use ndarray::{Array2, Axis};
use tunesmith_common::space::{Dimension, Space};

/// How a column contributes to the squared distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Metric {
    /// Square of the difference.
    Difference,
    /// 1 where the values differ.
    Hamming,
}

/// What a group is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A number, always active.
    Plain,
    /// A number under a condition: cosine and sine of its place on the arc.
    Arc,
    /// A category.
    Category,
    /// How far a training went, from 0 to 1: all the way where a point does not say it.
    Fidelity,
}

/// One parameter that varies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    /// Its place in the encoded point.
    pub(crate) dimension: usize,
    pub(crate) kind: Kind,
    /// Its first column.
    pub(crate) column: usize,
}

/// Which groups and columns a space has.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    groups: Vec<Group>,
    /// For each column, its metric and its group.
    columns: Vec<(Metric, usize)>,
}

impl Layout {
    pub(crate) fn new(space: &Space) -> Self {
        let mut groups = Vec::new();
        let mut columns = Vec::new();
        for (dimension, kind) in space.dimensions().iter().enumerate() {
            let conditional = space.is_conditional(dimension);
            let kind = match *kind {
                Dimension::Levels(0 | 1) | Dimension::Categorical(0 | 1) if !conditional => continue,
                Dimension::Categorical(_) => Kind::Category,
                Dimension::Continuous | Dimension::Levels(_) if conditional => Kind::Arc,
                Dimension::Continuous | Dimension::Levels(_) => Kind::Plain,
            };
            groups.push(Group {
                dimension,
                kind,
                column: columns.len(),
            });
            let group = groups.len() - 1;
            match kind {
                Kind::Plain | Kind::Fidelity => columns.push((Metric::Difference, group)),
                Kind::Arc => columns.extend([(Metric::Difference, group); 2]),
                Kind::Category => columns.push((Metric::Hamming, group)),
            }
        }
        Self { groups, columns }
    }

    /// The same, with one more coordinate of points: how far a training went.
    pub(crate) fn with_fidelity(mut self, dimensions: usize) -> Self {
        self.columns.push((Metric::Difference, self.groups.len()));
        self.groups.push(Group {
            dimension: dimensions,
            kind: Kind::Fidelity,
            column: self.columns.len() - 1,
        });
        self
    }

    pub(crate) fn groups(&self) -> &[Group] {
        &self.groups
    }

    pub(crate) fn has_categories(&self) -> bool {
        self.groups.iter().any(|group| group.kind == Kind::Category)
    }

    /// Whether two points are of the same categories.
    pub(crate) fn same_categories(&self, a: &[f64], b: &[f64]) -> bool {
        let mut categories = self.groups.iter().filter(|group| group.kind == Kind::Category);
        categories.all(|group| {
            let [a, b] = [a, b].map(|encoded| category(encoded[group.dimension]));
            a.total_cmp(&b).is_eq()
        })
    }

    /// The columns of one point, appended to `out`.
    fn embed(&self, encoded: &[f64], mut out: impl FnMut(usize, f64)) {
        for group in &self.groups {
            let x = match group.kind {
                Kind::Fidelity => encoded.get(group.dimension).copied().unwrap_or(1.0),
                _ => encoded[group.dimension],
            };
            match group.kind {
                Kind::Fidelity => out(group.column, x),
                Kind::Plain => out(group.column, if x.is_nan() { 0.5 } else { x }),
                Kind::Arc if x.is_nan() => {
                    out(group.column, 0.0);
                    out(group.column + 1, 0.0);
                }
                Kind::Arc => {
                    let (sin, cos) = x.sin_cos();
                    out(group.column, cos);
                    out(group.column + 1, sin);
                }
                Kind::Category => out(group.column, category(x)),
            }
        }
    }
}

/// A category as it is compared.
fn category(encoded: f64) -> f64 {
    if encoded.is_nan() { -1.0 } else { encoded }
}

/// Points as columns, shape `(columns, n)`.
#[derive(Clone, Debug)]
pub(crate) struct Points {
    columns: Vec<Vec<f64>>,
    len: usize,
}

impl Points {
    pub(crate) fn new(layout: &Layout) -> Self {
        Self {
            columns: vec![Vec::new(); layout.columns.len()],
            len: 0,
        }
    }

    pub(crate) fn from_rows<'a>(layout: &Layout, rows: impl IntoIterator<Item = &'a [f64]>) -> Self {
        let mut points = Self::new(layout);
        for row in rows {
            points.push(layout, row);
        }
        points
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// `encoded` has shape `(d,)`, NaN where inactive.
    pub(crate) fn push(&mut self, layout: &Layout, encoded: &[f64]) {
        layout.embed(encoded, |column, value| self.columns[column].push(value));
        self.len += 1;
    }

    /// Forgets all points but the first `n`.
    pub(crate) fn truncate(&mut self, n: usize) {
        for column in &mut self.columns {
            column.truncate(n);
        }
        self.len = self.len.min(n);
    }

    pub(crate) fn column(&self, column: usize) -> &[f64] {
        &self.columns[column]
    }

    /// Weighted squared distances from point `i` of `self` to the points `range` of `other`, written to `out`.
    ///
    /// `weights` has one entry for each group.
    pub(crate) fn distances(
        &self,
        layout: &Layout,
        weights: &[f64],
        i: usize,
        other: &Self,
        out: &mut [f64],
    ) {
        out.fill(0.0);
        for (column, &(metric, group)) in layout.columns.iter().enumerate() {
            let (x, weight) = (self.columns[column][i], weights[group]);
            let others = &other.columns[column][..out.len()];
            match metric {
                Metric::Difference => {
                    for (sum, y) in out.iter_mut().zip(others) {
                        *sum += weight * (x - y) * (x - y);
                    }
                }
                Metric::Hamming => {
                    for (sum, y) in out.iter_mut().zip(others) {
                        *sum += if (x - y).abs() > 0.0 { weight } else { 0.0 };
                    }
                }
            }
        }
    }

    /// For each group the sum over all pairs of `matrix[i][j]` times the group's squared distance. `matrix` is symmetric, shape
    /// `(n, n)`.
    pub(crate) fn weighted_sums(&self, layout: &Layout, matrix: &Array2<f64>) -> Vec<f64> {
        let mut sums = vec![0.0; layout.groups.len()];
        let row_sums = matrix.sum_axis(Axis(1));
        let differences: Vec<usize> = (0..self.columns.len())
            .filter(|&column| layout.columns[column].0 == Metric::Difference)
            .collect();
        let x = Array2::from_shape_fn((self.len, differences.len()), |(i, k)| {
            self.columns[differences[k]][i]
        });
        // sum m_ij (x_i - x_j)^2 = 2 sum_i x_i (x_i (M 1)_i - (M x)_i)
        let products = matrix.dot(&x);
        let parts = &x * (&x * &row_sums.view().insert_axis(Axis(1)) - products);
        for (&column, part) in differences.iter().zip(parts.sum_axis(Axis(0))) {
            sums[layout.columns[column].1] += 2.0 * part;
        }
        for (column, &(metric, group)) in layout.columns.iter().enumerate() {
            if metric == Metric::Hamming {
                let x = &self.columns[column];
                for (row, x_i) in matrix.rows().into_iter().zip(x) {
                    sums[group] += row
                        .iter()
                        .zip(x)
                        .map(|(m, x)| if (x_i - x).abs() > 0.0 { *m } else { 0.0 })
                        .sum::<f64>();
                }
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use tunesmith_common::study::StudyFile;

    use super::*;

    #[test]
    fn distances_are_those_that_each_kind_of_parameter_is_said_to_have() {
        let file = "objective: {metric: loss, goal: minimize}
space:
  kind: {type: categorical, choices: [a, b, c]}
  only: {type: constant, value: 3}
  x: {type: float, low: 0, high: 1}
  rate: {type: float, low: 0, high: 1, when: {kind: [a, b]}}
  inner: {type: categorical, choices: [p, q], when: {kind: [a, b]}}
";
        let space = StudyFile::parse(file, "s.yaml").unwrap().1.space;
        let layout = Layout::new(&space).with_fidelity(5);
        let kinds: Vec<Kind> = layout.groups().iter().map(|group| group.kind).collect();
        let expected = [
            Kind::Category,
            Kind::Plain,
            Kind::Arc,
            Kind::Category,
            Kind::Fidelity,
        ];
        assert_eq!(kinds, expected, "what has one value only has no group");
        // Weights of which each sum shows what it is made of.
        let weights = [1.0, 10.0, 100.0, 1e4, 1e5];
        let between = |a: &[f64], b: &[f64]| {
            let rows = Points::from_rows(&layout, [a, b]);
            let mut out = [f64::NAN; 2];
            rows.distances(&layout, &weights, 0, &rows, &mut out);
            assert!(out[0].abs() < 1e-12, "{out:?}");
            // What is summed over pairs is the same, each pair being counted twice.
            let sums = rows.weighted_sums(&layout, &Array2::ones((2, 2)));
            let total: f64 = sums
                .iter()
                .zip(weights)
                .map(|(sum, weight)| 0.5 * sum * weight)
                .sum();
            assert!((total - out[1]).abs() < 1e-9, "{total} {out:?}");
            out[1]
        };
        let arc = |angle: f64| 100.0 * 2.0 * (1.0 - angle.cos());
        let (a, b, c) = (1.0 / 6.0, 0.5, 5.0 / 6.0);
        let (p, q, none) = (0.25, 0.75, f64::NAN);
        for (left, right, distance) in [
            ([a, 0.5, 0.2, 0.3, p], [a, 0.5, 0.2, 0.3, p], 0.0),
            // Any two categories are equally far from each other.
            ([a, 0.5, 0.2, 0.3, p], [b, 0.5, 0.2, 0.3, p], 1.0),
            ([a, 0.5, 0.2, 0.3, p], [a, 0.5, 0.7, 0.3, q], 10.0 * 0.25 + 1e4),
            ([a, 0.5, 0.2, 0.3, p], [a, 0.5, 0.2, 0.8, p], arc(0.5)),
            ([a, 0.5, 0.2, 0.0, p], [a, 0.5, 0.2, 1.0, p], arc(1.0)),
            // As far from any value, on the arc's radius.
            (
                [a, 0.5, 0.2, 0.0, p],
                [c, 0.5, 0.2, none, none],
                1.0 + 100.0 + 1e4,
            ),
            (
                [b, 0.5, 0.2, 0.7, q],
                [c, 0.5, 0.2, none, none],
                1.0 + 100.0 + 1e4,
            ),
            ([c, 0.5, 0.2, none, none], [c, 0.5, 0.2, none, none], 0.0),
        ] {
            assert!(
                (between(&left, &right) - distance).abs() < 1e-9,
                "{left:?} {right:?}"
            );
            assert!(
                (between(&right, &left) - distance).abs() < 1e-9,
                "{left:?} {right:?}"
            );
        }
        let at = [b, 0.5, 0.2, 0.7, q];
        for (other, same) in [
            ([b, 0.5, 0.9, 0.1, q], true),
            ([c, 0.5, 0.2, 0.7, q], false),
            ([b, 0.5, 0.2, 0.7, p], false),
            ([b, 0.5, 0.2, 0.7, none], false),
        ] {
            assert_eq!(layout.same_categories(&at, &other), same, "{other:?}");
        }
        let inactive = [c, 0.5, 0.2, none, none];
        assert!(layout.same_categories(&inactive, &inactive));
        // All the way, where it is not said.
        let (short, whole) = ([a, 0.5, 0.2, 0.3, p, 0.5], [a, 0.5, 0.2, 0.3, p]);
        assert!((between(&short, &whole) - 1e5 * 0.25).abs() < 1e-6);
    }
}
