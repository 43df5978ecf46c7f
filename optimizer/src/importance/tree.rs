//! Regression trees over the encoded space (Breiman, Friedman, Olshen and Stone 1984, ch. 8), as forests need them: each split looks at a random
//! choice of the parameters (Breiman 2001, "Random forests").
//!
//! * A split of a number is a threshold half-way between two results, of levels at the edge of one. A split of categories is the best of all splits into
//!   two sets: with squared loss it is among those that the categories' means order (Fisher 1958; Breiman et al. 1984, theorem 4.5). Categories without
//!   a result go with the larger side.
//! * A parameter is split only where all of its conditions hold. So what a tree says of a point does not depend on parameters that are inactive there, and
//!   a tree is a function on all of [0, 1)^d, as if inactive parameters had values. Where conditions do not hold yet, the split by the condition is looked
//!   at, and what a split of the parameter itself gains behind it counts for it: otherwise a parameter that is important only where it is active
//!   would not be found.

use rand_chacha::ChaCha8Rng;
use tunesmith_common::space::{Dimension, Space};

use super::part::{Part, cell_of, edge};
use crate::rng::below;

/// Results in a leaf at least, repetitions counted.
const LEAF: usize = 5;
/// Parameters that a split looks at, if there are so many: more cost time and make trees alike.
const MOST_LOOKS: usize = 48;
/// Levels from which on thresholds need not lie on an edge.
const MANY: u64 = 1 << 20;

/// How the space is divided.
#[derive(Debug)]
pub(super) struct Layout {
    dimensions: Vec<Dimension>,
    /// For each parameter, where its parents have to lie for it to be active.
    conditions: Vec<Vec<(usize, Part)>>,
    /// Parameters with more than one value.
    varying: Vec<usize>,
}

impl Layout {
    pub(super) fn new(space: &Space) -> Self {
        let dimensions = space.dimensions().to_vec();
        let varies = |index: &usize| {
            !matches!(
                dimensions[*index],
                Dimension::Levels(0 | 1) | Dimension::Categorical(0 | 1)
            )
        };
        let conditions = |index| {
            let gates = space.active_where(index);
            gates
                .map(|(parent, intervals)| (parent, Part::of(intervals)))
                .collect()
        };
        Self {
            varying: (0..dimensions.len()).filter(varies).collect(),
            conditions: (0..dimensions.len()).map(conditions).collect(),
            dimensions,
        }
    }

    pub(super) fn varying(&self) -> &[usize] {
        &self.varying
    }

    pub(super) fn dimension(&self, index: usize) -> Dimension {
        self.dimensions[index]
    }

    /// Where its parents, their parents and so on have to lie for a parameter to be active. One entry for each of them.
    pub(super) fn active_where(&self, index: usize) -> Vec<(usize, Part)> {
        let mut needed: Vec<(usize, Part)> = Vec::new();
        let mut open = vec![index];
        while let Some(child) = open.pop() {
            for (parent, part) in &self.conditions[child] {
                match needed.iter_mut().find(|(known, _)| known == parent) {
                    Some((_, known)) => *known = known.and(part),
                    None => {
                        needed.push((*parent, part.clone()));
                        open.push(*parent);
                    }
                }
            }
        }
        needed.sort_by_key(|(parent, _)| *parent);
        needed
    }

    /// The first condition that has to be asked for before a parameter may be split in a cell.
    fn unmet<'a>(&'a self, index: usize, cell: &Cell) -> Option<(usize, &'a Part)> {
        self.conditions[index].iter().find_map(|(parent, part)| {
            self.unmet(*parent, cell)
                .or_else(|| (!cell.part(*parent).without(part).is_empty()).then_some((*parent, part)))
        })
    }
}

/// A box of the encoded space: parts of some dimensions, all of the others.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell(Vec<(usize, Part)>);

impl Cell {
    fn part(&self, dimension: usize) -> Part {
        self.find(dimension).cloned().unwrap_or_else(Part::whole)
    }

    /// The part of a dimension, if it is not all of it.
    pub(super) fn find(&self, dimension: usize) -> Option<&Part> {
        self.0
            .iter()
            .find(|(known, _)| *known == dimension)
            .map(|(_, part)| part)
    }

    pub(super) fn parts(&self) -> &[(usize, Part)] {
        &self.0
    }

    fn with(&self, dimension: usize, part: Part) -> Self {
        let mut cell = self.clone();
        match cell.0.iter_mut().find(|(known, _)| *known == dimension) {
            Some((_, known)) => *known = part,
            None => cell.0.push((dimension, part)),
        }
        cell
    }
}

/// A box in which a tree says one number.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) cell: Cell,
    pub(super) value: f64,
}

#[derive(Debug)]
enum Node {
    Leaf(usize),
    Split {
        dimension: usize,
        part: Part,
        inside: usize,
        outside: usize,
    },
}

/// A tree. Its leaves fill the space and do not overlap.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    pub(super) leaves: Vec<Leaf>,
    /// For each parameter, by how much its splits lowered the sum of squares.
    pub(super) gains: Vec<f64>,
}

/// A way to divide the results of a node.
struct Split {
    dimension: usize,
    part: Part,
    gain: f64,
}

/// What a tree is grown on.
#[derive(Clone, Copy)]
pub(super) struct Data<'a> {
    pub(super) layout: &'a Layout,
    /// Where the results lie.
    pub(super) points: &'a [&'a [f64]],
    /// Their values.
    pub(super) values: &'a [f64],
}

impl Tree {
    /// Grows a tree on some of the results, which may be repeated.
    pub(super) fn grow(data: Data<'_>, drawn: Vec<usize>, rng: &mut ChaCha8Rng) -> Self {
        let mut tree = Self {
            nodes: vec![Node::Leaf(0)],
            leaves: Vec::new(),
            gains: vec![0.0; data.layout.dimensions.len()],
        };
        // Place, results, box, and what to say if there is no result.
        let mut open = vec![(0, drawn, Cell::default(), 0.0)];
        while let Some((place, results, cell, above)) = open.pop() {
            let value = if results.is_empty() {
                above
            } else {
                mean(data.values, &results)
            };
            let Some(split) = best_split(data, &results, &cell, rng) else {
                tree.nodes[place] = Node::Leaf(tree.leaves.len());
                tree.leaves.push(Leaf { cell, value });
                continue;
            };
            let Split {
                dimension,
                part,
                gain,
            } = split;
            tree.gains[dimension] += gain;
            let (inside, outside): (Vec<usize>, Vec<usize>) = results
                .iter()
                .partition(|index| part.contains(data.points[**index][dimension]));
            let here = cell.part(dimension);
            let (within, beyond) = (here.and(&part), here.without(&part));
            let next = tree.nodes.len();
            tree.nodes.extend([Node::Leaf(0), Node::Leaf(0)]);
            tree.nodes[place] = Node::Split {
                dimension,
                part,
                inside: next,
                outside: next + 1,
            };
            open.push((next + 1, outside, cell.with(dimension, beyond), value));
            open.push((next, inside, cell.with(dimension, within), value));
        }
        tree
    }

    /// What it says of a point of the encoded space.
    pub(super) fn predict(&self, point: &[f64]) -> f64 {
        let mut place = 0;
        loop {
            match &self.nodes[place] {
                Node::Leaf(leaf) => return self.leaves[*leaf].value,
                Node::Split {
                    dimension,
                    part,
                    inside,
                    outside,
                } => {
                    place = if part.contains(point[*dimension]) {
                        *inside
                    } else {
                        *outside
                    };
                }
            }
        }
    }
}

fn mean(values: &[f64], of: &[usize]) -> f64 {
    of.iter().map(|index| values[*index]).sum::<f64>() / of.len() as f64
}

/// The best split of a node by some of the parameters; none if it is to be a leaf.
fn best_split(data: Data<'_>, results: &[usize], cell: &Cell, rng: &mut ChaCha8Rng) -> Option<Split> {
    if results.len() < 2 * LEAF {
        return None;
    }
    let mut order: Vec<usize> = data.layout.varying.clone();
    let looks = order.len().div_ceil(2).max(order.len().min(3)).min(MOST_LOOKS);
    let mut best: Option<Split> = None;
    for look in 0..looks {
        let chosen = look + below(order.len() - look, rng);
        order.swap(look, chosen);
        let found = match data.layout.unmet(order[look], cell) {
            None => split_by(data, results, order[look], &cell.part(order[look])),
            Some(condition) => split_by_condition(data, results, order[look], condition, cell),
        };
        if let Some(found) = found
            && best.as_ref().is_none_or(|best| found.gain > best.gain)
        {
            best = Some(found);
        }
    }
    best
}

/// Asks first whether a condition of a parameter holds, for what the parameter may then tell.
fn split_by_condition(
    data: Data<'_>,
    results: &[usize],
    parameter: usize,
    (parent, part): (usize, &Part),
    cell: &Cell,
) -> Option<Split> {
    let (inside, outside): (Vec<usize>, Vec<usize>) = results
        .iter()
        .partition(|index| part.contains(data.points[**index][parent]));
    let active: Vec<usize> = inside
        .iter()
        .copied()
        .filter(|index| !data.points[*index][parameter].is_nan())
        .collect();
    let own = if inside.is_empty() || outside.is_empty() {
        0.0
    } else {
        gain(data.values, &inside) + gain(data.values, &outside) - gain(data.values, results)
    };
    let behind = split_by(data, &active, parameter, &Part::whole()).map_or(0.0, |split| split.gain);
    let part = cell.part(parent).and(part);
    (own + behind > TINY && !part.is_empty()).then_some(Split {
        dimension: parent,
        part,
        gain: own + behind,
    })
}

/// Gains up to here are rounding; values are at most 1.
const TINY: f64 = 1e-12;

/// `sum^2 / n`: of two sides of a split, less that of both together, it is what the split gains.
fn gain(values: &[f64], of: &[usize]) -> f64 {
    let sum: f64 = of.iter().map(|index| values[*index]).sum();
    sum * sum / of.len() as f64
}

/// The best split by one parameter that is active in all of the results.
fn split_by(data: Data<'_>, results: &[usize], dimension: usize, here: &Part) -> Option<Split> {
    let at = |index: &usize| (data.points[*index][dimension], data.values[*index]);
    match data.layout.dimensions[dimension] {
        Dimension::Categorical(count) => split_categories(results.iter().map(at), count, dimension, here),
        Dimension::Levels(count) if count < MANY => split_numbers(results.iter().map(at), count, dimension),
        Dimension::Levels(_) | Dimension::Continuous => split_numbers(results.iter().map(at), 0, dimension),
    }
}

/// `levels` is 0 if thresholds may lie anywhere.
fn split_numbers(results: impl Iterator<Item = (f64, f64)>, levels: u64, dimension: usize) -> Option<Split> {
    let mut sorted: Vec<(f64, f64)> = results.collect();
    sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let sums = sorted
        .iter()
        .map(|(_, value)| (1, *value))
        .collect::<Vec<(usize, f64)>>();
    let apart = |count: usize| sorted[count - 1].0 < sorted[count].0;
    let (count, gain) = best_cut(&sums, apart)?;
    let middle = sorted[count - 1].0.midpoint(sorted[count].0);
    let threshold = if levels == 0 {
        middle
    } else {
        (middle * levels as f64).round() / levels as f64
    };
    Some(Split {
        dimension,
        part: Part::below(threshold),
        gain,
    })
}

fn split_categories(
    results: impl Iterator<Item = (f64, f64)>,
    count: u64,
    dimension: usize,
    here: &Part,
) -> Option<Split> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let mut sorted: Vec<(f64, f64)> = results.collect();
    sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    // For each category its centre, number and sum.
    let mut categories: Vec<(f64, usize, f64)> = Vec::new();
    for (position, value) in sorted {
        match categories.last_mut() {
            Some((last, number, sum)) if *last >= position => {
                *number += 1;
                *sum += value;
            }
            _ => categories.push((position, 1, value)),
        }
    }
    let mean = |category: &(f64, usize, f64)| category.2 / category.1 as f64;
    categories.sort_by(|a, b| mean(a).total_cmp(&mean(b)));
    let sums: Vec<(usize, f64)> = categories
        .iter()
        .map(|(_, number, sum)| (*number, *sum))
        .collect();
    let (cut, gain) = best_cut(&sums, |_| true)?;
    let (low, high) = categories.split_at(cut);
    let number = |side: &[(f64, usize, f64)]| side.iter().map(|(_, number, _)| number).sum::<usize>();
    let named = if number(low) <= number(high) { low } else { high };
    let cells = named.iter().map(|(centre, ..)| {
        let level = cell_of(*centre, count);
        (edge(level, count), edge(level + 1, count))
    });
    Some(Split {
        dimension,
        part: here.and(&Part::of(cells.collect())),
        gain,
    })
}

/// Where to cut a row of numbers of results and sums of their values, and what that gains: after how many entries.
fn best_cut(row: &[(usize, f64)], may: impl Fn(usize) -> bool) -> Option<(usize, f64)> {
    let (number, sum) = row
        .iter()
        .fold((0, 0.0), |(number, sum), entry| (number + entry.0, sum + entry.1));
    let whole = sum * sum / number.max(1) as f64;
    let (mut before, mut sum_before) = (0, 0.0);
    let mut best: Option<(usize, f64)> = None;
    for (index, entry) in row.iter().enumerate().take(row.len().saturating_sub(1)) {
        before += entry.0;
        sum_before += entry.1;
        let after = number - before;
        if before < LEAF || after < LEAF || !may(index + 1) {
            continue;
        }
        let sum_after = sum - sum_before;
        let gain = sum_before * sum_before / before as f64 + sum_after * sum_after / after as f64 - whole;
        if gain > best.map_or(TINY, |(_, best)| best) {
            best = Some((index + 1, gain));
        }
    }
    best
}
