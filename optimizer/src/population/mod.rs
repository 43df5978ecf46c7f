//! Population-based training: which trials are replaced by changed copies of which others.
//!
//! After Jaderberg et al. 2017, "Population Based Training of Neural Networks": trials are trained side by side; now and then each is compared with the
//! others, and one that does badly ends, its place being taken by a child of one that does well, which goes on from that one's weights with
//! other hyperparameters. We differ in what is compared: values at the same step, of all trials that have come to it so far, so that one that is slow, or
//! waits for a place, is not taken for a bad one. Nothing ever waits for the others.
//!
//! What is decided depends on what was put in, and on nothing else. Values are turned so that smaller is better; one that is not finite is worse
//! than all that are.

mod explore;
mod model;

use std::collections::{BTreeMap, BTreeSet};

use tunesmith_common::TrialNumber;
use tunesmith_common::study::{Exploit, Population};

pub use explore::{Child, breed};
pub use model::Interval;

use crate::promotion::RungView;
use crate::rng::{Purpose, below, purpose_rng};

/// The trials of a population, and what they have come to.
#[derive(Clone, Debug)]
pub struct Contest {
    population: Population,
    seed: u64,
    members: BTreeMap<TrialNumber, Member>,
    /// By step: trials that have come to it, with their values.
    marks: BTreeMap<i64, BTreeMap<TrialNumber, f64>>,
    resting: BTreeSet<TrialNumber>,
}

#[derive(Clone, Debug)]
struct Member {
    /// Position in the encoded space.
    point: Box<[f64]>,
    /// Where it began, if from another trial's checkpoint, with what that one had come to there.
    begun: Option<(i64, f64)>,
    /// The last step at which it was compared, or where it began.
    last: i64,
}

/// How a trial stands at the last step at which it is compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranking {
    /// The step.
    pub mark: i64,
    /// Its value, smaller being better; infinite if it has none that is finite.
    pub value: f64,
    /// Trials that have come to this step, itself included.
    pub trials: u64,
    /// The value that it would need to stay: of truncation that of the worst that does, of a tournament the other one's.
    pub needed: f64,
    /// The other one, in a tournament.
    pub opponent: Option<TrialNumber>,
    /// Whether it is to be replaced.
    pub is_replaced: bool,
}

impl Contest {
    /// Nobody has begun.
    #[must_use]
    pub fn new(population: Population, seed: u64) -> Self {
        Self {
            population,
            seed,
            members: BTreeMap::new(),
            marks: BTreeMap::new(),
            resting: BTreeSet::new(),
        }
    }

    /// The population's settings.
    #[must_use]
    pub fn population(&self) -> &Population {
        &self.population
    }

    /// A trial with this point of the encoded space begins; from another trial's checkpoint at `begun`, where that one had this value.
    pub fn enter(&mut self, trial: TrialNumber, point: &[f64], begun: Option<(i64, f64)>) {
        let last = begun.map_or(0, |(step, _)| step);
        let point = point.into();
        self.members.insert(trial, Member { point, begun, last });
    }

    /// The last step at which a trial was compared, or where it began.
    #[must_use]
    pub fn last_mark(&self, trial: TrialNumber) -> i64 {
        self.members.get(&trial).map_or(0, |member| member.last)
    }

    /// The steps at which a trial is compared that it has come to by `step` and not before, ascending.
    #[must_use]
    pub fn reached_by(&self, trial: TrialNumber, step: i64) -> Vec<i64> {
        let ahead = self.population.marks_after(self.last_mark(trial));
        ahead.take_while(|mark| *mark <= step).collect()
    }

    /// The step at which a trial is compared next; none if it is past the last.
    #[must_use]
    pub fn next_mark(&self, trial: TrialNumber) -> Option<i64> {
        self.population.marks_after(self.last_mark(trial)).next()
    }

    /// A trial comes to the step `mark`, the next one at which it is compared, with its value so far. Another step changes nothing.
    pub fn reach(&mut self, trial: TrialNumber, mark: i64, value: f64) {
        if self.next_mark(trial) != Some(mark) {
            return;
        }
        let Some(member) = self.members.get_mut(&trial) else {
            return;
        };
        member.last = mark;
        let value = if value.is_finite() { value } else { f64::INFINITY };
        self.marks.entry(mark).or_default().insert(trial, value);
    }

    /// A trial rests, or will as soon as its program has stopped.
    pub fn rest(&mut self, trial: TrialNumber) {
        self.resting.insert(trial);
    }

    /// A trial rests no more.
    pub fn leave(&mut self, trial: TrialNumber) {
        self.resting.remove(&trial);
    }

    /// Of the trials that rest and that `may_go_on` accepts, the one that has come least far.
    #[must_use]
    pub fn next(&self, may_go_on: impl Fn(TrialNumber) -> bool) -> Option<TrialNumber> {
        let resting = self.resting.iter().copied().filter(|trial| may_go_on(*trial));
        resting.min_by_key(|trial| (self.last_mark(*trial), *trial))
    }

    /// Whether some trial rests that has come less far than `mark`.
    #[must_use]
    pub fn somebody_rests_before(&self, mark: i64) -> bool {
        self.resting.iter().any(|trial| self.last_mark(*trial) < mark)
    }

    /// How a trial stands at the last step at which it was compared; none if there is none, or nobody to compare with.
    #[must_use]
    pub fn ranking(&self, trial: TrialNumber) -> Option<Ranking> {
        let mark = self.last_mark(trial);
        let values = self.marks.get(&mark)?;
        let value = *values.get(&trial)?;
        let trials = values.len();
        let ranking = |needed: f64, opponent, is_replaced| Ranking {
            mark,
            value,
            trials: trials as u64,
            needed,
            opponent,
            is_replaced,
        };
        match self.population.exploit {
            Exploit::Truncation { fraction } => {
                let cut = share(trials, fraction);
                let sorted = sorted(values);
                let place = sorted.iter().position(|(_, other)| *other == trial)?;
                let (needed, _) = *sorted.get((trials - cut).checked_sub(1)?)?;
                Some(ranking(needed, None, place >= trials - cut))
            }
            Exploit::Tournament => {
                let others: Vec<_> = values.iter().filter(|(other, _)| **other != trial).collect();
                let mark_bits = u64::try_from(mark).unwrap_or(0);
                let mut rng = purpose_rng(self.seed ^ mark_bits, trial, Purpose::Opponent);
                let (opponent, needed) = *others.get(below(others.len(), &mut rng))?;
                Some(ranking(*needed, Some(*opponent), *needed < value))
            }
        }
    }

    /// The trial that a child numbered `child` goes on from, in the place of one that was compared last at `mark`, when it had `value`. Only trials that
    /// `may_be` accepts: it is one of the best of them.
    #[must_use]
    pub fn donor(
        &self,
        mark: i64,
        value: f64,
        child: TrialNumber,
        may_be: impl Fn(TrialNumber) -> bool,
    ) -> Option<TrialNumber> {
        // One that was lost on its way to the next comparison was compared last at the one before, if at all.
        let (_, values) = self.marks.range(..=mark).next_back()?;
        let sorted = sorted(values);
        let mut rng = purpose_rng(self.seed, child, Purpose::Parent);
        let able = |(other, trial): &(f64, TrialNumber)| *other < value && may_be(*trial);
        let best = match self.population.exploit {
            Exploit::Truncation { fraction } => &sorted[..share(sorted.len(), fraction).max(1)],
            Exploit::Tournament => &sorted[..],
        };
        let best: Vec<TrialNumber> = best
            .iter()
            .filter(|entry| able(entry))
            .map(|(_, trial)| *trial)
            .collect();
        if best.is_empty() {
            return sorted.iter().find(|entry| able(entry)).map(|(_, trial)| *trial);
        }
        let drawn = below(best.len(), &mut rng);
        Some(match self.population.exploit {
            Exploit::Truncation { .. } => best[drawn],
            // They are in the order of their values.
            Exploit::Tournament => best[drawn.min(below(best.len(), &mut rng))],
        })
    }

    /// What a trial had come to at a step at which it was compared, or where it began; the last one up to `step`.
    #[must_use]
    pub fn value_at(&self, trial: TrialNumber, step: i64) -> Option<(i64, f64)> {
        let before = self.marks.range(..=step).rev();
        let mut of_trial = before.filter_map(|(mark, values)| Some((*mark, *values.get(&trial)?)));
        let begun = || {
            self.members
                .get(&trial)?
                .begun
                .filter(|(begun, _)| *begun <= step)
        };
        of_trial.next().or_else(begun)
    }

    /// What each trial brought from one comparison to the next, in the order of the steps; of those that `is_trained` accepts also what is still to come.
    #[must_use]
    pub fn intervals(&self, is_trained: impl Fn(TrialNumber) -> bool) -> Vec<Interval> {
        let mut intervals = Vec::new();
        for (mark, values) in &self.marks {
            for (trial, after) in values {
                if let Some((from, before)) = self.value_at(*trial, mark - 1)
                    && after.is_finite()
                {
                    intervals.extend(self.interval(*trial, (from, before), *mark, Some(*after)));
                }
            }
        }
        for trial in self.members.keys().filter(|trial| is_trained(**trial)) {
            let begun = self.value_at(*trial, i64::MAX);
            if let (Some(begun), Some(mark)) = (begun, self.next_mark(*trial)) {
                intervals.extend(self.interval(*trial, begun, mark, None));
            }
        }
        intervals
    }

    fn interval(
        &self,
        trial: TrialNumber,
        (from, before): (i64, f64),
        to: i64,
        after: Option<f64>,
    ) -> Option<Interval> {
        let point = self.members.get(&trial)?.point.clone();
        before.is_finite().then_some(Interval {
            point,
            from,
            to,
            before,
            after,
        })
    }

    /// The steps at which trials are compared, as far as any has come, for people.
    #[must_use]
    pub fn view(&self) -> Vec<RungView> {
        let view = |(mark, values): (&i64, &BTreeMap<TrialNumber, f64>)| {
            let rests =
                |trial: &&TrialNumber| self.resting.contains(trial) && self.last_mark(**trial) == *mark;
            let resting = values.keys().filter(rests).count();
            let best = values.values().copied().min_by(f64::total_cmp);
            RungView {
                step: *mark,
                reached: values.len() as u64,
                left: (values.len() - resting) as u64,
                resting: resting as u64,
                best: best.filter(|best| best.is_finite()),
            }
        };
        self.marks.iter().map(view).collect()
    }
}

/// How many of so many trials are a share of them.
fn share(trials: usize, fraction: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of at most one half of a number that fits"
    )]
    let count = (trials as f64 * fraction + 1e-9).floor() as usize;
    count
}

/// Trials with their values, the best first; of equals the one that came into being first.
fn sorted(values: &BTreeMap<TrialNumber, f64>) -> Vec<(f64, TrialNumber)> {
    let mut sorted: Vec<(f64, TrialNumber)> = values.iter().map(|(trial, value)| (*value, *trial)).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    sorted
}

#[cfg(test)]
mod tests;
