//! Successive halving with promotion: which trials rest at a rung, and which of those that rest go on.
//!
//! Asynchronous, after Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", algorithm 2; with several brackets it is
//! Hyperband (Li et al. 2018) without its barriers. Rungs lie at the steps `min_steps reduction^k` below `max_steps`, those of bracket b from the
//! b-th on; trials are divided between brackets as Hyperband divides them ([`crate::brackets`]). Of n trials that have reached a rung the best
//! floor(n / reduction) go on to the next one. We differ from the paper in two points. A trial that is among the best as it reaches the rung goes
//! on at once: it would be the next to be promoted, and need not save and load anything. And of
//! equals of the last that goes on only as many do as there is room for.
//!
//! What is decided depends on what was put in and in which order, and on nothing else. Values are turned so that smaller is better; one that is
//! not finite is worse than all that are, and its trial is never promoted.

use std::collections::{BTreeMap, BTreeSet};

use tunesmith_common::TrialNumber;
use tunesmith_common::study::{Halving, rungs};

use crate::brackets::{shares, spot};
use crate::stopping::multiset::{Multiset, Owner};

/// Whom entries belong to does not matter: a rung is asked for numbers at places, and equal entries are as good as each other.
const NOBODY: Owner = 0;

/// The rungs of all brackets, and who has reached, rests at and left each.
#[derive(Clone, Debug)]
pub struct Promotions {
    reduction: usize,
    brackets: Vec<Bracket>,
    places: BTreeMap<TrialNumber, Place>,
}

#[derive(Clone, Debug)]
struct Bracket {
    /// Trials, of all in this bracket and those before, out of 1.
    shares_to: f64,
    /// Ascending by step.
    rungs: Vec<Rung>,
}

#[derive(Clone, Debug)]
struct Rung {
    step: i64,
    /// Finite values of trials that have reached it.
    values: Multiset,
    /// Trials that have reached it.
    reached: usize,
    /// Trials that went on from it or ended there, by their values.
    left: BTreeMap<Ordered, usize>,
    /// Trials that rest at it.
    resting: BTreeSet<(Ordered, TrialNumber)>,
}

/// Where a trial is.
#[derive(Clone, Copy, Debug)]
struct Place {
    bracket: usize,
    /// Rungs that it has reached.
    reached: usize,
    /// Its value at the last of them.
    value: f64,
}

/// A float in total order.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ordered(f64);

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// How a trial stands at the highest rung that it has reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// Its bracket, counted from 0.
    pub bracket: u32,
    /// Step of the rung.
    pub rung: i64,
    /// Its value, smaller being better; infinite if it has none that is finite.
    pub value: f64,
    /// Trials that have reached the rung, itself included.
    pub trials: u64,
    /// How many of them go on.
    pub kept: u64,
    /// The worst value of those; infinite if there are none.
    pub needed: f64,
    /// Whether it goes on.
    pub goes_on: bool,
}

/// One rung, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct RungView {
    /// Step of the rung.
    pub step: i64,
    /// Trials that have reached it.
    pub reached: u64,
    /// Trials that went on from it or ended there.
    pub left: u64,
    /// Trials that rest at it.
    pub resting: u64,
    /// The best value of all that have reached it, smaller being better, if any is finite.
    pub best: Option<f64>,
}

impl Promotions {
    /// Nobody has reached anything yet.
    #[must_use]
    pub fn new(halving: &Halving) -> Self {
        let steps: Vec<i64> = rungs(halving.min_steps, halving.reduction, Some(halving.max_steps)).collect();
        let count = usize::try_from(halving.brackets)
            .unwrap_or(usize::MAX)
            .clamp(1, steps.len().max(1));
        let shares = shares(count, steps.len(), halving.reduction);
        let bracket = |(index, shares_to)| Bracket {
            shares_to,
            rungs: steps.iter().skip(index).map(|step| Rung::at(*step)).collect(),
        };
        Self {
            reduction: usize::try_from(halving.reduction).unwrap_or(usize::MAX).max(2),
            brackets: shares.into_iter().enumerate().map(bracket).collect(),
            places: BTreeMap::new(),
        }
    }

    /// How many brackets there are.
    #[must_use]
    pub fn brackets(&self) -> usize {
        self.brackets.len()
    }

    /// The rungs that a trial has reached by `step` and not before, ascending.
    #[must_use]
    pub fn reached_by(&self, trial: TrialNumber, step: i64) -> Vec<i64> {
        let place = self.place(trial);
        let ahead = self.brackets[place.bracket].rungs.get(place.reached..);
        let steps = ahead.unwrap_or_default().iter().map(|rung| rung.step);
        steps.take_while(|rung| *rung <= step).collect()
    }

    /// Step of the rung that a trial reaches next; none if it is past the last.
    #[must_use]
    pub fn next_rung(&self, trial: TrialNumber) -> Option<i64> {
        let place = self.place(trial);
        let next = self.brackets[place.bracket].rungs.get(place.reached)?;
        Some(next.step)
    }

    /// A trial reaches the rung at `step`, the next of its rungs, with its value so far, and has not stopped for it. Another step changes nothing.
    pub fn reach(&mut self, trial: TrialNumber, step: i64, value: f64) {
        let value = if value.is_finite() { value } else { f64::INFINITY };
        let mut place = self.place(trial);
        let rungs = &mut self.brackets[place.bracket].rungs;
        if rungs.get(place.reached).is_none_or(|rung| rung.step != step) {
            return;
        }
        if let Some(last) = place.reached.checked_sub(1).and_then(|last| rungs.get_mut(last)) {
            // Whoever gets further has left the rung before.
            last.resting.remove(&(Ordered(place.value), trial));
        }
        if let Some(rung) = rungs.get_mut(place.reached) {
            rung.reached += 1;
            *rung.left.entry(Ordered(value)).or_default() += 1;
            if value.is_finite() {
                rung.values.insert(value, NOBODY);
            }
        }
        place.reached += 1;
        place.value = value;
        self.places.insert(trial, place);
    }

    /// A trial rests at its last rung from now on. One that has reached none, or rests already, stays where it is.
    pub fn rest(&mut self, trial: TrialNumber) {
        let place = self.place(trial);
        if let Some(rung) = self.last_rung(&place)
            && rung.resting.insert((Ordered(place.value), trial))
            && let Some(left) = rung.left.get_mut(&Ordered(place.value))
        {
            *left = left.saturating_sub(1);
        }
    }

    /// A trial that rested goes on, or has ended.
    pub fn leave(&mut self, trial: TrialNumber) {
        let place = self.place(trial);
        if let Some(rung) = self.last_rung(&place)
            && rung.resting.remove(&(Ordered(place.value), trial))
        {
            *rung.left.entry(Ordered(place.value)).or_default() += 1;
        }
    }

    /// How a trial stands at the highest rung that it has reached, if it has reached any.
    #[must_use]
    pub fn standing(&self, trial: TrialNumber) -> Option<Standing> {
        let place = self.places.get(&trial)?;
        let rung = self.brackets[place.bracket]
            .rungs
            .get(place.reached.checked_sub(1)?)?;
        let rests = rung.resting.contains(&(Ordered(place.value), trial));
        Some(self.stands(rung, place, rests))
    }

    /// The trial to promote next: of the highest rung at which one of those that `may_go_on` accepts is among the best, the best.
    #[must_use]
    pub fn next(&self, may_go_on: impl Fn(TrialNumber) -> bool) -> Option<(TrialNumber, Standing)> {
        let of_rung = |(bracket, rung): (usize, &Rung)| {
            let (value, trial) = rung.resting.iter().find(|(_, trial)| may_go_on(*trial))?;
            let place = Place {
                bracket,
                reached: 0,
                value: value.0,
            };
            let standing = self.stands(rung, &place, true);
            standing.goes_on.then_some((*trial, standing))
        };
        let all = self.all_rungs().filter_map(of_rung);
        all.max_by(|(a, x), (b, y)| {
            let by_value = || y.value.total_cmp(&x.value).then(b.cmp(a));
            x.rung.cmp(&y.rung).then_with(by_value)
        })
    }

    /// The trial that rests at the highest rung, of several the best, whether it is among those that go on or not.
    #[must_use]
    pub fn furthest(&self, may_go_on: impl Fn(TrialNumber) -> bool) -> Option<TrialNumber> {
        let of_rung = |(_, rung): (usize, &Rung)| {
            let mut resting = rung.resting.iter();
            let (value, trial) = resting.find(|(value, trial)| value.0.is_finite() && may_go_on(*trial))?;
            Some((rung.step, std::cmp::Reverse((*value, *trial))))
        };
        let best = self.all_rungs().filter_map(of_rung).max();
        best.map(|(_, std::cmp::Reverse((_, trial)))| trial)
    }

    /// Brackets with their rungs, for people.
    #[must_use]
    pub fn view(&self) -> Vec<Vec<RungView>> {
        let rung = |rung: &Rung| RungView {
            step: rung.step,
            reached: rung.reached as u64,
            left: rung.left.values().map(|left| *left as u64).sum(),
            resting: rung.resting.len() as u64,
            best: rung.values.select(0),
        };
        let bracket = |bracket: &Bracket| bracket.rungs.iter().map(rung).collect();
        self.brackets.iter().map(bracket).collect()
    }

    fn all_rungs(&self) -> impl Iterator<Item = (usize, &Rung)> {
        let brackets = self.brackets.iter().enumerate();
        brackets.flat_map(|(index, bracket)| bracket.rungs.iter().map(move |rung| (index, rung)))
    }

    /// A trial with `place.value` at `rung`; one that does not rest counts among those that have left.
    fn stands(&self, rung: &Rung, place: &Place, rests: bool) -> Standing {
        let kept = rung.reached / self.reduction;
        // Where fewer have a finite value than may go on, all of them do.
        let last = kept.min(rung.values.len()).checked_sub(1);
        let needed = last.and_then(|last| rung.values.select(last));
        let goes_on = needed.is_some_and(|needed| {
            // Of equals of the last that goes on, as many as there is room for beside those that are better.
            let room = kept - rung.values.rank(needed, NOBODY).unwrap_or(kept);
            let equals = rung.left.get(&Ordered(needed)).copied().unwrap_or(0);
            let gone = equals.saturating_sub(usize::from(!rests));
            place.value < needed || (place.value <= needed && gone < room)
        });
        Standing {
            bracket: u32::try_from(place.bracket).unwrap_or(u32::MAX),
            rung: rung.step,
            value: place.value,
            trials: rung.reached as u64,
            kept: kept as u64,
            needed: needed.unwrap_or(f64::INFINITY),
            goes_on,
        }
    }

    fn place(&self, trial: TrialNumber) -> Place {
        let nowhere = || {
            let spot = spot(trial);
            let bracket = self.brackets.partition_point(|bracket| bracket.shares_to <= spot);
            Place {
                bracket: bracket.min(self.brackets.len() - 1),
                reached: 0,
                value: f64::INFINITY,
            }
        };
        self.places.get(&trial).copied().unwrap_or_else(nowhere)
    }

    fn last_rung(&mut self, place: &Place) -> Option<&mut Rung> {
        let last = place.reached.checked_sub(1)?;
        self.brackets[place.bracket].rungs.get_mut(last)
    }
}

impl Rung {
    fn at(step: i64) -> Self {
        Self {
            step,
            values: Multiset::default(),
            reached: 0,
            left: BTreeMap::new(),
            resting: BTreeSet::new(),
        }
    }
}

#[cfg(test)]
mod tests;
