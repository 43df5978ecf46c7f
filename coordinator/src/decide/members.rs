//! The trials of a population: how many are still to begin, and whose places are free.
//!
//! Knows nothing of what trials do; follows from what is stored of them, in the order of their numbers.

use std::collections::BTreeMap;

use tunesmith_common::checkpoint::{Heir, Stages};
use tunesmith_common::decision::Origin;
use tunesmith_common::study::{Explore, Population};
use tunesmith_common::{CheckpointStoreId, TrialNumber};
use tunesmith_optimizer::Contest;

use super::children::ReadyChild;
use crate::store::End;

/// The trials of a population.
#[derive(Debug)]
pub(super) struct Members {
    pub(super) contest: Contest,
    /// Trials that began from nothing by the strategy's choice.
    fresh: u64,
    /// Trials that ended before they were compared with anybody, and those of them that had begun from nothing: others take their place, as long as
    /// there are not too many, lest a program that always fails is tried forever.
    lost_early: u64,
    lost_fresh: u64,
    vacancies: BTreeMap<TrialNumber, Vacancy>,
    /// The child that a model has chosen parameters for.
    pub(super) ready: Option<ReadyChild>,
    /// Places of checkpoints that somebody reaches who waits for the model.
    pub(super) wish: Option<Box<[CheckpointStoreId]>>,
    /// Whether a model is being asked.
    pub(super) is_asked: bool,
}

/// The place of a trial that has ended, until another one takes it.
#[derive(Debug)]
pub(super) struct Vacancy {
    /// The step at which the trial was compared last, or where it began.
    pub(super) mark: i64,
    /// What whoever gives its training to the next one must be better than.
    pub(super) value: f64,
    /// What the next one begins with, unless somebody who is still being trained offers something.
    pub(super) heir: Option<Box<Heir>>,
}

impl Members {
    pub(super) fn new(population: Population, seed: u64) -> Self {
        Self {
            contest: Contest::new(population, seed),
            fresh: 0,
            lost_early: 0,
            lost_fresh: 0,
            vacancies: BTreeMap::new(),
            ready: None,
            wish: None,
            is_asked: false,
        }
    }

    pub(super) fn by_model(&self) -> bool {
        matches!(self.contest.population().explore, Explore::Model)
    }

    fn size(&self) -> u64 {
        u64::from(self.contest.population().size)
    }

    /// How many trials are still to begin from nothing.
    pub(super) fn missing(&self) -> u64 {
        let wanted = self.size() + self.lost_fresh.min(self.size());
        wanted.saturating_sub(self.fresh)
    }

    /// Places that are free, by the trial that had them.
    pub(super) fn vacancies(&self) -> &BTreeMap<TrialNumber, Vacancy> {
        &self.vacancies
    }

    /// A trial is there, of whatever origin. `turned`: what its parent had come to, smaller being better. Returns what was set aside for its place.
    pub(super) fn enter(
        &mut self,
        number: TrialNumber,
        (point, stages): (&[f64], &Stages),
        origin: Origin,
        turned: Option<f64>,
    ) -> Option<Box<Heir>> {
        let begun = stages.parent.as_ref().zip(turned);
        self.contest
            .enter(number, point, begun.map(|(parent, turned)| (parent.step, turned)));
        let Some(parent) = &stages.parent else {
            self.fresh += u64::from(origin == Origin::Strategy);
            return None;
        };
        self.vacancies.remove(&parent.replaces?)?.heir
    }

    /// The place that a trial leaves that ends so: the step at which it was compared last, or where it began. None if nobody is to take it.
    pub(super) fn place_left_by(&self, number: TrialNumber, end: End, value: Option<f64>) -> Option<i64> {
        let mark = self.contest.last_mark(number);
        let was_compared = self.contest.ranking(number).is_some();
        // A child that failed before it was compared: another one in the same place, now and then.
        let is_to_be_filled = was_compared || (mark > 0 && self.lost_early < self.size());
        (is_lost(end, value) && is_to_be_filled).then_some(mark)
    }

    /// A trial has ended, with this value.
    pub(super) fn ended(&mut self, number: TrialNumber, (end, value): (End, Option<f64>), stages: &Stages) {
        self.contest.leave(number);
        let heir = stages.heir.clone();
        let mark = self.contest.last_mark(number);
        let ranking = self.contest.ranking(number);
        // What was set aside is there to be used.
        if heir.is_some() || self.place_left_by(number, end, value).is_some() {
            // Where nothing was, anybody will do.
            let value = ranking.filter(|_| heir.is_some());
            let value = value.map_or(f64::INFINITY, |ranking| ranking.value);
            self.vacancies.insert(number, Vacancy { mark, value, heir });
        }
        if ranking.is_none() && is_lost(end, value) {
            self.lost_early += 1;
            self.lost_fresh += u64::from(mark == 0);
        }
    }

    /// Nothing is set aside for this place any more.
    pub(super) fn forsake(&mut self, place: TrialNumber) -> Option<Box<Heir>> {
        let vacancy = self.vacancies.get_mut(&place)?;
        vacancy.value = f64::INFINITY;
        vacancy.heir.take()
    }
}

/// Whether a trial that ends so has not come to the end that was meant. Whoever came to it, or was stopped by a person, leaves no place.
fn is_lost(end: End, value: Option<f64>) -> bool {
    let has_diverged = end == End::Completed && value.is_none_or(|value| !value.is_finite());
    matches!(end, End::EarlyStopped | End::Failed) || has_diverged
}
