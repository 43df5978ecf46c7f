//! The running averages of all trials at each step, in order.
//!
//! Per cell of steps that any trial has reported in, the average of every trial that has reached it. A trial that passed a cell
//! without a report in it is there with its average so far.
//!
//! # Invariant
//!
//! What a cell holds depends on the trials' curves alone, not on which other cells exist or in which order points came: a cell that
//! comes into being between others takes over who is both before and after it.

use std::collections::BTreeMap;

use super::cells::Cell;
use super::multiset::{Multiset, Owner};

/// A trial's running average at the end of each cell that it reported in, ascending; from its first finite value on.
pub(super) type Averages = [(Cell, f64)];

/// Running averages of many trials. Smaller is better.
#[derive(Debug, Default)]
pub(super) struct Cohort {
    cells: BTreeMap<Cell, Multiset>,
    owners: Owner,
}

/// What a trial is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Quantile {
    /// The quantile; 0 if there are no trials.
    pub(super) value: f64,
    /// Trials that it is drawn from.
    pub(super) trials: usize,
}

impl Cohort {
    /// Of what each cell holds, the owners being numbered from 0.
    pub(super) fn new(cells: BTreeMap<Cell, Multiset>, owners: Owner) -> Self {
        Self { cells, owners }
    }

    /// What each cell holds that holds anything.
    #[cfg(test)]
    pub(super) fn held(&self) -> Vec<(Cell, Vec<(f64, Owner)>)> {
        let cells = self.cells.iter().map(|(cell, set)| (*cell, set.iter().collect()));
        cells
            .filter(|(_, entries): &(_, Vec<_>)| !entries.is_empty())
            .collect()
    }

    /// A number for a trial that is new here.
    pub(super) fn new_owner(&mut self) -> Owner {
        let owner = self.owners;
        self.owners = self.owners.saturating_add(1);
        owner
    }

    /// A trial's averages from cell `from` on have changed from `old` to `new`. Before that cell both are the same.
    pub(super) fn update(&mut self, owner: Owner, from: Cell, old: &Averages, new: &Averages) {
        for (cell, _) in new.iter().rev().take_while(|(cell, _)| *cell >= from) {
            self.open(*cell);
        }
        let end = old.last().max_by_cell(new.last());
        let Some(end) = end else { return };
        for (cell, set) in self.cells.range_mut(from.min(end)..=end) {
            let (old, new) = (at(old, *cell), at(new, *cell));
            if old.map(f64::to_bits) == new.map(f64::to_bits) {
                continue;
            }
            if let Some(old) = old {
                let removed = set.remove(old, owner);
                debug_assert!(removed, "an average of {old} was to be in cell {cell}");
            }
            if let Some(new) = new {
                set.insert(new, owner);
            }
        }
    }

    /// The quantile of the averages in a cell, without those of `owner`; `percent` between 0 and 100.
    pub(super) fn quantile(&self, cell: Cell, owner: Owner, own: Option<f64>, percent: f64) -> Quantile {
        let nothing = Quantile {
            value: 0.0,
            trials: 0,
        };
        let Some(set) = self.cells.get(&cell) else {
            return nothing;
        };
        let own = own.and_then(|own| set.rank(own, owner));
        let trials = set.len() - usize::from(own.is_some());
        let Some(last) = trials.checked_sub(1) else {
            return nothing;
        };
        let place = |place: usize| {
            let skipped = usize::from(own.is_some_and(|own| own <= place));
            set.select(place + skipped).unwrap_or(0.0)
        };
        let position = last as f64 * percent / 100.0;
        let (floor, fraction) = (position.floor(), position.fract());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number from 0 to `last`"
        )]
        let lower = (floor as usize).min(last);
        let (low, high) = (place(lower), place((lower + 1).min(last)));
        // Not `low + fraction * (high - low)`: that overflows, and is not `high` where both are the same.
        let value = if low < high {
            low * (1.0 - fraction) + high * fraction
        } else {
            low
        };
        Quantile {
            value: value.clamp(low, high),
            trials,
        }
    }

    /// Makes a cell exist.
    fn open(&mut self, cell: Cell) {
        if self.cells.contains_key(&cell) {
            return;
        }
        let before = self.cells.range(..cell).next_back();
        let after = self.cells.range(cell..).next();
        let set = match (before, after) {
            (Some((_, before)), Some((_, after))) => {
                let mut passed = vec![0_u64; self.owners as usize / 64 + 1];
                for (_, owner) in after.iter() {
                    passed[owner as usize / 64] |= 1 << (owner % 64);
                }
                let is_passed = |owner: Owner| passed[owner as usize / 64] >> (owner % 64) & 1 == 1;
                Multiset::from_ordered(before.iter().filter(|(_, owner)| is_passed(*owner)))
            }
            _ => Multiset::default(),
        };
        self.cells.insert(cell, set);
    }
}

/// The average at a cell: that of the last report at or before it, if the trial has reached it.
pub(super) fn at(averages: &Averages, cell: Cell) -> Option<f64> {
    let (last, _) = averages.last()?;
    if cell > *last {
        return None;
    }
    let after = averages.partition_point(|(known, _)| *known <= cell);
    averages[..after].last().map(|(_, average)| *average)
}

/// The later of two ends.
trait MaxByCell {
    fn max_by_cell(self, other: Self) -> Option<Cell>;
}

impl MaxByCell for Option<&(Cell, f64)> {
    fn max_by_cell(self, other: Self) -> Option<Cell> {
        self.map(|(cell, _)| *cell).max(other.map(|(cell, _)| *cell))
    }
}
