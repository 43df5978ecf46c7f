//! How long each trial of a study is trained, where that depends on how it does: the steps at which it is looked at, and what is known there.

use tunesmith_common::TrialNumber;
use tunesmith_common::study::{Halving, Schedule, StudySpec};
use tunesmith_optimizer::{Promotions, RungView};

use super::members::Members;
use super::segments::Segments;

/// What the trials of a study go through.
#[derive(Debug)]
pub(super) enum Course {
    /// They rest at rungs, and the best go on.
    Halving(Halving, Promotions),
    /// They are replaced by children of better ones.
    Population(Box<Members>),
    /// Each goes on from the one before.
    Replay(Segments),
}

impl Course {
    /// That of a study, if its trials are not trained in one go.
    pub(super) fn of(spec: &StudySpec) -> Option<Self> {
        Some(match spec.strategy.schedule.as_ref()? {
            Schedule::Halving(halving) => Self::Halving(*halving, Promotions::new(halving)),
            Schedule::Population(population) => {
                Self::Population(Box::new(Members::new(population.clone(), spec.strategy.seed)))
            }
            Schedule::Replay(segments) => Self::Replay(Segments::new(segments.clone())),
        })
    }

    /// The strategy as the study file writes it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Halving(halving, _) => halving.name.name(),
            Self::Population(members) => members.contest.population().name(),
            Self::Replay(_) => "replay",
        }
    }

    /// The last step of a training.
    pub(super) fn last_step(&self) -> i64 {
        match self {
            Self::Halving(halving, _) => halving.max_steps,
            Self::Population(members) => members.contest.population().max_steps,
            Self::Replay(segments) => segments.last_step(),
        }
    }

    /// The steps at which a trial is looked at that it has come to by `step` and not before, ascending.
    pub(super) fn reached_by(&self, trial: TrialNumber, step: i64) -> Vec<i64> {
        match self {
            Self::Halving(_, promotions) => promotions.reached_by(trial, step),
            Self::Population(members) => members.contest.reached_by(trial, step),
            Self::Replay(segments) => segments
                .end_of(trial)
                .filter(|end| *end <= step)
                .into_iter()
                .collect(),
        }
    }

    /// The step at which a trial is looked at next; none if it is past the last.
    pub(super) fn next_mark(&self, trial: TrialNumber) -> Option<i64> {
        match self {
            Self::Halving(_, promotions) => promotions.next_rung(trial),
            Self::Population(members) => members.contest.next_mark(trial),
            Self::Replay(segments) => segments.end_of(trial),
        }
    }

    /// A trial has come to a step at which it is looked at, with a value that is turned so that smaller is better.
    pub(super) fn reach(&mut self, trial: TrialNumber, mark: i64, value: f64) {
        match self {
            Self::Halving(_, promotions) => promotions.reach(trial, mark, value),
            Self::Population(members) => members.contest.reach(trial, mark, value),
            Self::Replay(segments) => segments.reached(trial),
        }
    }

    /// A trial rests, or will as soon as its program has stopped.
    pub(super) fn rest(&mut self, trial: TrialNumber) {
        match self {
            Self::Halving(_, promotions) => promotions.rest(trial),
            Self::Population(members) => members.contest.rest(trial),
            Self::Replay(_) => {}
        }
    }

    /// A trial rests no more.
    pub(super) fn leave(&mut self, trial: TrialNumber) {
        match self {
            Self::Halving(_, promotions) => promotions.leave(trial),
            Self::Population(members) => members.contest.leave(trial),
            Self::Replay(_) => {}
        }
    }

    /// Groups of trials with the steps at which they are looked at, for people.
    pub(super) fn view(&self) -> Vec<Vec<RungView>> {
        match self {
            Self::Halving(_, promotions) => promotions.view(),
            Self::Population(members) => vec![members.contest.view()],
            Self::Replay(_) => Vec::new(),
        }
    }
}
