//! The grid: every distinct configuration of a space once, addressed by a number, without ever listing them.
//!
//! Without conditions a cell's number is a number in a mixed radix whose digits are the places of the values, the last
//! parameter being the digit that changes fastest. With conditions a digit may exist for some values of an earlier one
//! only, so the numbers below each digit are counted. Counting follows the elimination tree of the graph of conditions (Davis
//! 2006, Direct Methods for Sparse Linear Systems, ch. 4): once a parameter has its value, the groups of later ones that no
//! condition connects are independent, and their counts multiply.
//!
//! Constraints are not looked at here.

use std::collections::{BTreeMap, HashMap};

use crate::params::Params;

use super::Space;
use super::types::Parameter;

/// Work after which counting is given up: conditions so entangled mean nothing to a person either. Tenths of a second.
const MOST_WORK: usize = 5_000_000;

/// Which parameters wait for which, made once per space.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tree {
    /// For each parameter, those with a condition on it, ascending.
    children: Vec<Vec<usize>>,
    /// For each parameter, the first parameter of each group into which the later ones of its own group fall once it has
    /// its value; by `enter`.
    subgroups: Vec<Vec<usize>>,
    /// First parameters of the groups of the whole space, by `enter`.
    groups: Vec<usize>,
    /// The group of later parameters that begins with a parameter: those whose `enter` lies in `enter..leave` of it.
    enter: Vec<usize>,
    leave: Vec<usize>,
}

impl Tree {
    /// Conditions refer to earlier parameters.
    pub(super) fn new(parameters: &[Parameter]) -> Self {
        let count = parameters.len();
        let mut children = vec![Vec::new(); count];
        for (index, parameter) in parameters.iter().enumerate() {
            for condition in &parameter.conditions {
                children[condition.parent].push(index);
            }
        }
        // From the last parameter on: the groups that a parameter's children are in become one with it.
        let mut first: Vec<usize> = (0..count).collect();
        let mut subgroups = vec![Vec::new(); count];
        let mut is_inner = vec![false; count];
        for index in (0..count).rev() {
            for &child in &children[index] {
                let group = find(&mut first, child);
                if group != index {
                    first[group] = index;
                    is_inner[group] = true;
                    subgroups[index].push(group);
                }
            }
        }
        let groups: Vec<usize> = (0..count).filter(|index| !is_inner[*index]).collect();
        let (mut enter, mut leave) = (vec![0; count], vec![0; count]);
        let mut clock = 0;
        let mut open: Vec<(usize, bool)> = groups.iter().rev().map(|index| (*index, false)).collect();
        while let Some((index, done)) = open.pop() {
            if done {
                leave[index] = clock;
                continue;
            }
            enter[index] = clock;
            clock += 1;
            open.push((index, true));
            open.extend(subgroups[index].iter().rev().map(|group| (*group, false)));
        }
        Self {
            children,
            subgroups,
            groups,
            enter,
            leave,
        }
    }

    /// Distributes inactive parameters over the groups that they are in, if any; each part ascends.
    fn split(&self, groups: &[usize], inactive: impl Iterator<Item = usize>) -> Vec<Vec<usize>> {
        let mut parts = vec![Vec::new(); groups.len()];
        for index in inactive {
            let after = groups.partition_point(|group| self.enter[*group] <= self.enter[index]);
            if let Some(place) = after
                .checked_sub(1)
                .filter(|place| self.enter[index] < self.leave[groups[*place]])
            {
                parts[place].push(index);
            }
        }
        for part in &mut parts {
            part.sort_unstable();
            part.dedup();
        }
        parts
    }
}

/// First parameter of the group that a parameter is in.
fn find(first: &mut [usize], mut index: usize) -> usize {
    while first[index] != index {
        first[index] = first[first[index]];
        index = first[index];
    }
    index
}

/// Neighbouring values of a parameter that make the same children active.
#[derive(Clone, Debug)]
struct Run {
    /// Place of the first of them on the grid.
    start: u64,
    length: u64,
    /// Children whose condition on this parameter they meet, ascending.
    active: Vec<usize>,
}

/// The grid of a space, counted. Reading a cell takes time in proportion to the number of parameters.
#[derive(Debug)]
pub struct Grid<'a> {
    space: &'a Space,
    points: u32,
    runs: Vec<Vec<Run>>,
    /// Configurations of the group that begins with a parameter, given those of the group that an earlier parameter made inactive.
    counts: HashMap<(usize, Vec<usize>), u128>,
    work: usize,
    cells: u128,
}

impl Space {
    /// The grid on which ranges without a step have `points` values each.
    ///
    /// Ranges of floats without a step, ints on a logarithmic scale, and linear ints of step 1 get that many values (or all
    /// they have, if fewer), evenly spread on their scale with both ends included; a single one is the middle. All other
    /// parameters get all their values. 0 points count as 1. None if there are more than 2^128 cells, or if the conditions
    /// are too entangled to count.
    #[must_use]
    pub fn grid(&self, points: u32) -> Option<Grid<'_>> {
        let runs = (0..self.parameters().len())
            .map(|index| self.runs(index, points))
            .collect();
        let mut grid = Grid {
            space: self,
            points,
            runs,
            counts: HashMap::new(),
            work: 0,
            cells: 0,
        };
        let mut cells = 1u128;
        for group in &self.tree().groups {
            cells = cells.checked_mul(grid.count(*group, Vec::new())?)?;
        }
        grid.cells = cells;
        Some(grid)
    }

    /// Number of cells of [`Self::grid`], under the same conditions.
    #[must_use]
    pub fn cells(&self, points: u32) -> Option<u128> {
        self.grid(points).map(|grid| grid.cells())
    }

    /// One cell of [`Self::grid`]; to read many, keep the grid.
    #[must_use]
    pub fn cell(&self, index: u128, points: u32) -> Option<Params> {
        self.grid(points)?.cell(index)
    }

    fn runs(&self, index: usize, points: u32) -> Vec<Run> {
        let coding = self.coding(index);
        let mut meets: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for &child in &self.tree().children[index] {
            let conditions = self.parameters()[child]
                .conditions
                .iter()
                .filter(|c| c.parent == index);
            for value in conditions.flat_map(|condition| &condition.values) {
                if let Some(position) = coding.grid_position(value, points) {
                    meets.entry(position).or_default().push(child);
                }
            }
        }
        let length = coding.grid_len(points);
        let mut runs: Vec<Run> = Vec::new();
        let mut add = |start: u64, length: u64, active: Vec<usize>| match runs.last_mut() {
            Some(last) if last.active == active => last.length += length,
            _ if length == 0 => {}
            _ => runs.push(Run {
                start,
                length,
                active,
            }),
        };
        let mut next = 0;
        for (position, active) in meets {
            add(next, position - next, Vec::new());
            add(position, 1, active);
            next = position + 1;
        }
        add(next, length - next, Vec::new());
        runs
    }
}

impl Grid<'_> {
    /// Number of cells, at least 1.
    #[must_use]
    pub fn cells(&self) -> u128 {
        self.cells
    }

    /// The cell with this number, counted from 0; the last parameter changes fastest. None from [`Self::cells`] on.
    #[must_use]
    pub fn cell(&self, index: u128) -> Option<Params> {
        if index >= self.cells {
            return None;
        }
        let tree = self.space.tree();
        let count = self.space.parameters().len();
        let mut inactive: Vec<Vec<usize>> = vec![Vec::new(); count];
        let mut values = Vec::with_capacity(count);
        // What is left to tell apart, and how many numbers there are for it.
        let (mut rest, mut span) = (index, self.cells);
        for parameter in 0..count {
            let key = (parameter, std::mem::take(&mut inactive[parameter]));
            let elsewhere = span / self.counts.get(&key)?;
            let mut chosen = None;
            for run in self.options(parameter, &key.1) {
                let parts = self.after(parameter, &key.1, run.active);
                let mut block = elsewhere;
                for (group, part) in tree.subgroups[parameter].iter().zip(&parts) {
                    block *= self.counts.get(&(*group, part.clone()))?;
                }
                let numbers = block * u128::from(run.length);
                if rest < numbers {
                    chosen = Some((run.start.map(|start| (start, rest / block)), parts));
                    rest %= block;
                    span = block;
                    break;
                }
                rest -= numbers;
            }
            let (place, parts) = chosen?;
            for (group, part) in tree.subgroups[parameter].iter().zip(parts) {
                inactive[*group] = part;
            }
            values.push(match place {
                Some((start, offset)) => {
                    let position = start + u64::try_from(offset).ok()?;
                    Some(self.space.grid_value(parameter, position, self.points))
                }
                None => None,
            });
        }
        Some(self.space.collect(values))
    }

    /// Configurations of the group that begins with `parameter`; none if they are too many to count.
    fn count(&mut self, parameter: usize, inactive: Vec<usize>) -> Option<u128> {
        let key = (parameter, inactive);
        if let Some(known) = self.counts.get(&key) {
            return Some(*known);
        }
        let mut total = 0u128;
        let options = self.options(parameter, &key.1).len();
        for option in 0..options {
            let choice = self.options(parameter, &key.1).nth(option)?;
            let length = choice.length;
            let parts = self.after(parameter, &key.1, choice.active);
            self.work += 1 + key.1.len() + self.space.tree().children[parameter].len();
            if self.work > MOST_WORK {
                return None;
            }
            let mut block = u128::from(length);
            for (place, part) in parts.into_iter().enumerate() {
                let group = self.space.tree().subgroups[parameter][place];
                block = block.checked_mul(self.count(group, part)?)?;
            }
            total = total.checked_add(block)?;
        }
        self.counts.insert(key, total);
        Some(total)
    }

    /// What a parameter may be: its runs, or the single way to be inactive.
    fn options<'b>(
        &'b self,
        parameter: usize,
        inactive: &[usize],
    ) -> impl ExactSizeIterator<Item = Choice<'b>> {
        let is_inactive = inactive.binary_search(&parameter).is_ok();
        let runs = &self.runs[parameter];
        (0..if is_inactive { 1 } else { runs.len() }).map(move |index| {
            if is_inactive {
                Choice {
                    start: None,
                    length: 1,
                    active: &[],
                }
            } else {
                Choice {
                    start: Some(runs[index].start),
                    length: runs[index].length,
                    active: &runs[index].active,
                }
            }
        })
    }

    /// The inactive ones of each subgroup, once `parameter` has a value that makes only `active` of its children active.
    fn after(&self, parameter: usize, inactive: &[usize], active: &[usize]) -> Vec<Vec<usize>> {
        let tree = self.space.tree();
        let killed = tree.children[parameter]
            .iter()
            .copied()
            .filter(|child| active.binary_search(child).is_err());
        tree.split(&tree.subgroups[parameter], inactive.iter().copied().chain(killed))
    }
}

/// Values of a parameter that have the same consequences.
struct Choice<'a> {
    /// Place of the first on the grid; none for being inactive.
    start: Option<u64>,
    length: u64,
    active: &'a [usize],
}
