//! What `tpe` keeps of a history: which results are the best ones, and which are the others.
//!
//! # Invariants
//!
//! * It is a fold over the history in its order. So it is the same whether it was kept or made again.

use super::super::standing::{compared, holds, outcome, places};
use super::super::tried::{Prefix, counts};
use super::super::view::FinishedTrial;

/// One of so many results is good, and how many are at most.
const ONE_GOOD_OF: usize = 10;
const MOST_GOOD: usize = 25;

/// A value, less being better, and which of the results has it.
type Ranked = (f64, usize);

/// What is kept between proposals.
#[derive(Debug, Default)]
pub(super) struct Known {
    read: Prefix,
    /// Places of the results in the history.
    results: Vec<usize>,
    /// The best of those that have a number and satisfy the constraints by that number, the older first of those that are equally good: what
    /// is best in a study of one objective, if there are enough of them.
    best: Vec<Ranked>,
    /// Most further objectives, and measured constraints, that one of them has.
    others: usize,
    constraints: usize,
}

impl Known {
    /// Brings it up to date with a history.
    pub(super) fn read(&mut self, finished: &[FinishedTrial]) {
        if !self.read.is_of(finished) {
            *self = Self::default();
        }
        for (place, trial) in finished.iter().enumerate().skip(self.read.length) {
            if !counts(trial) {
                continue;
            }
            self.others = self.others.max(trial.others.len());
            if trial.violations.len() > self.constraints {
                // Those before were not measured by all of them.
                self.constraints = trial.violations.len();
                self.best.clear();
            }
            if let Some(value) = outcome(trial, 0).filter(|_| holds(trial, self.constraints)) {
                let at = self.best.partition_point(|(better, _)| *better <= value);
                if at < MOST_GOOD {
                    self.best.truncate(MOST_GOOD - 1);
                    self.best.insert(at, (value, self.results.len()));
                }
            }
            self.results.push(place);
        }
        self.read = Prefix::of(finished);
    }

    /// How many results there are.
    pub(super) fn results(&self) -> usize {
        self.results.len()
    }

    /// Places in the history, which is the one that was read: of the good results, the best first, and of at most so many of the others, the
    /// oldest first.
    pub(super) fn parts(&self, finished: &[FinishedTrial], most_others: usize) -> (Vec<usize>, Vec<usize>) {
        let count = self.results.len();
        let good = count.div_ceil(ONE_GOOD_OF).min(MOST_GOOD);
        let compared;
        let best = match self.best.get(..good) {
            Some(best) if self.others == 0 => best,
            _ => {
                compared = self.best_compared(finished, good);
                &compared[..]
            }
        };
        let mut taken: Vec<usize> = best.iter().map(|(_, result)| *result).collect();
        let good = taken.iter().map(|&result| self.results[result]).collect();
        taken.sort_unstable();
        let mut before = 0;
        let others = thinned(count - taken.len(), most_others).map(|k| {
            while taken.get(before).is_some_and(|taken| *taken <= k + before) {
                before += 1;
            }
            self.results[k + before]
        });
        (good, others.collect())
    }

    /// So many of the best by where they stand among all that are compared, the best first.
    fn best_compared(&self, finished: &[FinishedTrial], most: usize) -> Vec<Ranked> {
        let older = self.results.len() - compared(self.results.len(), 1 + self.others);
        let newest = &self.results[older..];
        let trials: Vec<&FinishedTrial> = newest.iter().map(|&place| &finished[place]).collect();
        // Of those that are not compared, which are equally bad, no more than these can be among the best.
        let mut ranked: Vec<Ranked> = (0..older.min(most))
            .map(|result| (f64::INFINITY, result))
            .collect();
        ranked.extend(places(&trials).into_iter().zip(older..));
        let order = |a: &Ranked, b: &Ranked| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
        if most < ranked.len() {
            ranked.select_nth_unstable_by(most, order);
            ranked.truncate(most);
        }
        ranked.sort_unstable_by(order);
        ranked
    }
}

/// At most `most` of the numbers below `count`: the newest quarter, and the rest spread evenly over the older ones.
fn thinned(count: usize, most: usize) -> impl Iterator<Item = usize> {
    let newest = count.min(most / 4);
    let older = count - newest;
    let kept = older.min(most - newest);
    (0..kept)
        .map(move |k| k * older / kept.max(1))
        .chain(older..count)
}

#[cfg(test)]
mod tests;
