//! A cohort from the curves of many trials at once: what is in a cell is sorted once instead of being put in one by one.
//!
//! Nothing here decides what an average is. The result differs from a cohort that was told of each point in the numbers of its
//! owners only, which do not matter to what it says, and has no cells in which nothing is left.

use std::collections::BTreeMap;

use super::cells::Cell;
use super::cohort::{Averages, Cohort};
use super::multiset::{Multiset, Owner};

/// Averages of trials, to become a cohort.
#[derive(Debug, Default)]
pub(super) struct Bulk {
    /// By cell.
    cells: Vec<Reports>,
    /// By owner: the last cell it has reached, if it has any average.
    ends: Vec<Option<Cell>>,
}

/// What was reported in a cell, ascending by owner.
#[derive(Debug, Default)]
struct Reports {
    averages: Vec<f64>,
    owners: Vec<Owner>,
}

impl Bulk {
    /// Adds a trial. Returns who it will be to the cohort.
    pub(super) fn add(&mut self, averages: &Averages) -> Owner {
        let owner = Owner::try_from(self.ends.len()).unwrap_or(Owner::MAX);
        for (cell, average) in averages {
            let place = usize::from(*cell);
            if self.cells.len() <= place {
                self.cells.resize_with(place + 1, Reports::default);
            }
            let reports = &mut self.cells[place];
            reports.averages.push(*average);
            reports.owners.push(owner);
        }
        self.ends.push(averages.last().map(|(end, _)| *end));
        owner
    }

    /// The cohort of all that were added.
    pub(super) fn into_cohort(self) -> Cohort {
        let Self { cells, ends } = self;
        let mut latest = vec![0.0; ends.len()];
        // Who has an average and has not ended before the cell at hand, ascending.
        let mut present: Vec<Owner> = Vec::new();
        let mut begun = vec![false; ends.len()];
        let (mut entries, mut spare) = (Vec::new(), Vec::new());
        let mut sets = BTreeMap::new();
        for (cell, reports) in (0..).zip(cells) {
            if reports.owners.is_empty() {
                continue;
            }
            for (average, owner) in reports.averages.iter().zip(&reports.owners) {
                let place = *owner as usize;
                latest[place] = *average;
                if !std::mem::replace(&mut begun[place], true) {
                    present.push(*owner);
                }
            }
            present.sort();
            entries.clear();
            entries.extend(present.iter().map(|owner| (key(latest[*owner as usize]), *owner)));
            sort_by_key(&mut entries, &mut spare);
            let ordered = entries.iter().map(|(key, owner)| (average(*key), *owner));
            sets.insert(cell, Multiset::from_ordered(ordered));
            present.retain(|owner| ends[*owner as usize] > Some(cell));
        }
        Cohort::new(sets, Owner::try_from(ends.len()).unwrap_or(Owner::MAX))
    }
}

const SIGN: u64 = 1 << 63;

/// A whole number whose order is that of the averages, which are finite; no zero among them is negative.
fn key(average: f64) -> u64 {
    let bits = average.to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

/// The average of a key.
fn average(key: u64) -> f64 {
    f64::from_bits(if key & SIGN == 0 { !key } else { key & !SIGN })
}

/// Orders entries by their keys, those with the same key as they were; in the memory of `spare`. By one byte of the keys after
/// the other, from the last to the first: a third of the time that comparing takes.
fn sort_by_key(entries: &mut Vec<(u64, Owner)>, spare: &mut Vec<(u64, Owner)>) {
    let byte = |key: u64, place: usize| usize::from(key.to_le_bytes()[place]);
    let mut places = [[0_usize; 256]; 8];
    for (key, _) in entries.iter() {
        for (place, counts) in places.iter_mut().enumerate() {
            counts[byte(*key, place)] += 1;
        }
    }
    spare.clear();
    spare.resize(entries.len(), (0, 0));
    for (place, counts) in places.iter_mut().enumerate() {
        if counts.contains(&entries.len()) {
            continue;
        }
        let mut start = 0;
        for count in counts.iter_mut() {
            (*count, start) = (start, start + *count);
        }
        for entry in entries.iter() {
            let to = &mut counts[byte(entry.0, place)];
            spare[*to] = *entry;
            *to += 1;
        }
        std::mem::swap(entries, spare);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Keys are ordered as what they stand for, and lose nothing of it.
        #[test]
        fn keys_have_the_order_of_their_averages(
            a in any::<f64>().prop_filter("finite", |x| x.is_finite()),
            b in any::<f64>().prop_filter("finite", |x| x.is_finite()),
        ) {
            let (a, b) = (a + 0.0, b + 0.0);
            prop_assert_eq!(average(key(a)).to_bits(), a.to_bits());
            prop_assert_eq!(key(a).cmp(&key(b)), a.total_cmp(&b));
        }

        /// Sorting byte by byte is sorting.
        #[test]
        fn entries_are_sorted_by_key_and_those_of_one_key_stay_in_order(
            keys in prop::collection::vec(prop_oneof![any::<u64>(), 0_u64..4, (0_u64..4).prop_map(|n| n << 50)], 0..300),
        ) {
            let mut entries: Vec<(u64, Owner)> = keys.into_iter().zip(0..).collect();
            let mut expected = entries.clone();
            expected.sort_by_key(|(key, _)| *key);
            sort_by_key(&mut entries, &mut vec![(7, 7)]);
            prop_assert_eq!(entries, expected);
        }

        /// Added all at once, or told of one by one: the same averages are in the same order in each cell that has any.
        #[test]
        fn a_cohort_made_at_once_holds_what_one_told_bit_by_bit_holds(
            trials in prop::collection::vec(prop::collection::btree_map(0_u16..12, -3_i8..3, 0..8), 0..40),
        ) {
            let trials: Vec<Vec<(Cell, f64)>> = trials
                .iter()
                .map(|averages| averages.iter().map(|(cell, average)| (*cell, f64::from(*average))).collect())
                .collect();
            let mut bulk = Bulk::default();
            let mut told = Cohort::default();
            for averages in &trials {
                bulk.add(averages);
                told.new_owner();
            }
            for length in 1..=12 {
                for (owner, averages) in (0..).zip(&trials) {
                    if averages.len() >= length {
                        let (old, new) = (&averages[..length - 1], &averages[..length]);
                        let from = old.last().map_or(new[0].0, |(last, _)| last + 1);
                        told.update(owner, from, old, new);
                    }
                }
            }
            prop_assert_eq!(bulk.into_cohort().held(), told.held());
        }
    }
}
