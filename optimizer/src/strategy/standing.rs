//! Which results are better than which, where there is more to them than one value: several objectives, and measured constraints.
//!
//! Results that satisfy all constraints come first: by the front that they are in, and within a front those with more room around them
//! ([`crate::pareto`]). Those that violate one come after them, by how much they do in sum (constrained dominance: Deb, Pratap, Agarwal and Meyarivan
//! 2002, section VI). Each constraint's violations are taken as shares of the largest of them, so that no unit weighs more than another.
//! Those that failed, or have no number for an objective, come last.
//!
//! Strategies that know one value only get a result's place in this order as that value. In a study of one objective without measured
//! constraints it is the value itself.

use std::cmp::Ordering;

use super::tried::{badness, counts};
use super::view::FinishedTrial;
use crate::pareto::{crowding, ranks};

/// Results with several objectives that are compared at most: the newest. Comparing all of very many would take longer than a suggestion may.
const MOST_COMPARED: usize = 2_000;

/// Where a result stands among others. Less is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Standing {
    /// Its front; after the last one, the place among those that violate constraints. [`Standing::WORST`] for what has no numbers.
    pub(super) rank: usize,
    /// Room around it, within the front.
    crowding: f64,
}

impl Standing {
    pub(super) const WORST: usize = usize::MAX;

    pub(super) fn order(&self, other: &Self) -> Ordering {
        self.rank
            .cmp(&other.rank)
            .then(other.crowding.total_cmp(&self.crowding))
    }
}

/// Whether there is nothing to a result but one value.
fn is_plain(trial: &FinishedTrial) -> bool {
    trial.others.is_empty() && trial.violations.is_empty()
}

/// Objectives of the study that these are results of.
pub(super) fn objectives(trials: &[&FinishedTrial]) -> usize {
    1 + trials.iter().map(|trial| trial.others.len()).max().unwrap_or(0)
}

/// Value of objective `k` if it is a number of a trial that did not fail.
pub(super) fn outcome(trial: &FinishedTrial, k: usize) -> Option<f64> {
    let value = match k.checked_sub(1) {
        None => trial.value,
        Some(k) => trial.others.get(k).copied(),
    };
    value.filter(|value| !trial.failed && value.is_finite())
}

/// The values of all objectives; None unless all are numbers.
fn outcomes(trial: &FinishedTrial, objectives: usize) -> Option<Vec<f64>> {
    (0..objectives).map(|k| outcome(trial, k)).collect()
}

/// Whether the trial did not fail, and all of `constraints` measured constraints hold. One that was not measured does not.
pub(super) fn holds(trial: &FinishedTrial, constraints: usize) -> bool {
    !trial.failed && trial.violations.len() == constraints && trial.violations.iter().all(|by| *by <= 0.0)
}

/// Measured constraints of the study that these are results of.
pub(super) fn constraints(trials: &[&FinishedTrial]) -> usize {
    trials
        .iter()
        .map(|trial| trial.violations.len())
        .max()
        .unwrap_or(0)
}

/// For each trial by how much it violates the constraints in sum, each as a share of the largest violation of that constraint. What was not
/// measured counts as that.
fn totals(trials: &[&FinishedTrial]) -> Vec<f64> {
    let mut totals = vec![0.0; trials.len()];
    for k in 0..constraints(trials) {
        let by = |trial: &FinishedTrial| trial.violations.get(k).copied().unwrap_or(f64::NAN);
        let measured = trials.iter().map(|trial| by(trial)).filter(|by| by.is_finite());
        let largest = measured.fold(0.0, f64::max);
        for (total, trial) in totals.iter_mut().zip(trials) {
            let by = by(trial);
            *total += if by <= 0.0 {
                0.0
            } else if by.is_finite() {
                by / largest
            } else {
                1.0
            };
        }
    }
    totals
}

/// Where each of these stands among all of them.
pub(super) fn standings(trials: &[&FinishedTrial]) -> Vec<Standing> {
    let objectives = objectives(trials);
    let totals = totals(trials);
    let mut standings = vec![
        Standing {
            rank: Standing::WORST,
            crowding: 0.0,
        };
        trials.len()
    ];
    let (mut good, mut vectors, mut bad) = (Vec::new(), Vec::new(), Vec::new());
    for (k, trial) in trials.iter().enumerate() {
        match outcomes(trial, objectives) {
            Some(vector) if totals[k] <= 0.0 => {
                good.push(k);
                vectors.push(vector);
            }
            Some(_) => bad.push(k),
            None => {}
        }
    }
    let mut fronts: Vec<Vec<usize>> = Vec::new();
    if objectives == 1 {
        let mut order: Vec<usize> = (0..good.len()).collect();
        order.sort_by(|&a, &b| vectors[a][0].total_cmp(&vectors[b][0]));
        fronts.extend(
            order
                .chunk_by(|&a, &b| vectors[a][0] >= vectors[b][0])
                .map(<[usize]>::to_vec),
        );
    } else {
        for (place, rank) in ranks(&vectors).into_iter().enumerate() {
            if fronts.len() <= rank {
                fronts.resize(rank + 1, Vec::new());
            }
            fronts[rank].push(place);
        }
    }
    for (rank, front) in fronts.iter().enumerate() {
        let points: Vec<&[f64]> = front.iter().map(|&place| &vectors[place][..]).collect();
        let crowding = if objectives == 1 {
            vec![f64::INFINITY; front.len()]
        } else {
            crowding(&points)
        };
        for (&place, crowding) in front.iter().zip(crowding) {
            standings[good[place]] = Standing { rank, crowding };
        }
    }
    bad.sort_by(|&a, &b| totals[a].total_cmp(&totals[b]));
    for (place, same) in bad.chunk_by(|&a, &b| totals[a] >= totals[b]).enumerate() {
        for &k in same {
            standings[k] = Standing {
                rank: fronts.len() + place,
                crowding: f64::INFINITY,
            };
        }
    }
    standings
}

/// How many of so many results are compared: the newest.
pub(super) fn compared(results: usize, objectives: usize) -> usize {
    match objectives {
        1 => results,
        _ => results.min(MOST_COMPARED),
    }
}

/// The value by which each of these results, the oldest first, is ranked among them. Infinite for the worst: those that failed or have no
/// number for an objective, and, with several objectives, those before the newest [`MOST_COMPARED`].
pub(super) fn badnesses(trials: &[&FinishedTrial]) -> Vec<f64> {
    if trials.iter().all(|trial| is_plain(trial)) {
        return trials.iter().map(|trial| badness(trial)).collect();
    }
    let older = trials.len() - compared(trials.len(), objectives(trials));
    let mut values = vec![f64::INFINITY; older];
    values.extend(places(&trials[older..]));
    values
}

/// The place of each of these results in their order. Infinite for the worst.
pub(super) fn places(trials: &[&FinishedTrial]) -> Vec<f64> {
    let standings = standings(trials);
    let mut order: Vec<usize> = (0..trials.len()).collect();
    order.sort_by(|&a, &b| standings[a].order(&standings[b]));
    let mut values = vec![f64::INFINITY; trials.len()];
    let same = order.chunk_by(|&a, &b| standings[a].order(&standings[b]).is_eq());
    for (place, same) in (0_u32..).zip(same) {
        for &k in same.iter().filter(|&&k| standings[k].rank < Standing::WORST) {
            values[k] = f64::from(place);
        }
    }
    values
}

/// The best of these trials that count as results, best first, and the earlier first of those that are equally good.
pub(super) fn best_of(trials: &[FinishedTrial], most: usize) -> impl Iterator<Item = &FinishedTrial> {
    let results: Vec<&FinishedTrial> = trials.iter().filter(|trial| most > 0 && counts(trial)).collect();
    let badness = badnesses(&results);
    let mut order: Vec<usize> = (0..results.len()).collect();
    let better = |a: &usize, b: &usize| badness[*a].total_cmp(&badness[*b]).then(a.cmp(b));
    if most > 0 && most < order.len() {
        order.select_nth_unstable_by(most - 1, better);
        order.truncate(most);
    }
    order.sort_unstable_by(better);
    order.into_iter().map(move |k| results[k])
}

/// One number that says how far a result is, whatever it is compared with: it stays the same where nothing gets better. The value of one
/// objective or the sum of several; the sum of the violations if there are some.
pub(super) fn progress(trial: &FinishedTrial) -> f64 {
    if is_plain(trial) {
        return badness(trial);
    }
    match outcomes(trial, 1 + trial.others.len()) {
        Some(values) if holds(trial, trial.violations.len()) => values.iter().sum(),
        Some(_) => trial.violations.iter().map(|by| by.max(0.0)).sum(),
        None => f64::INFINITY,
    }
}

#[cfg(test)]
mod tests;
