//! Children in a population: what they begin with, and their parameters.
//!
//! A child takes the place of a trial that was replaced or lost. It begins with the newest training of one of the best that are trained when somebody
//! has a place for it. By then nobody may be left who has steps to go: therefore, in the moment in which it is decided that a place is to be taken,
//! what its next trial can begin with is set aside, and kept until it is used.
//!
//! # Invariants
//!
//! * Nobody begins from a checkpoint that is not completely stored.
//! * What is set aside for a place is not removed before the place is taken, or nobody reaches it any more.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tunesmith_common::TrialNumber;
use tunesmith_common::checkpoint::{Changed, Checkpoint, Heir, Parent, Stages};
use tunesmith_common::decision::{Origin, Provenance};
use tunesmith_common::params::Params;
use tunesmith_common::study::{Population, StudySpec};
use tunesmith_common::trial::{StopReason, TrialState};
use tunesmith_optimizer::{Child, Interval, StrategyError, breed};

use super::advice::{Question, text_of};
use super::checkpoints::Reach;
use super::judgement::as_reported;
use super::members::Vacancy;
use super::outbox::Outbox;
use super::propose::NoTrial;
use super::study::{Ctx, StudyCore};
use super::trial::ActiveTrial;
use crate::store::End;

/// Where a child comes from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Descent {
    child: TrialNumber,
    replaces: TrialNumber,
    from: Heir,
}

impl Descent {
    /// The parameters of the child.
    fn bred(
        &self,
        spec: &StudySpec,
        population: &Population,
        intervals: &[Interval],
    ) -> (Result<Child, StrategyError>, Option<String>) {
        let Heir {
            params, step, value, ..
        } = &self.from;
        let begun = (*step, spec.objective.goal.to_minimize(*value));
        bred(spec, population, self.child, params, begun, intervals)
    }
}

/// What a model says about a child.
#[derive(Debug)]
pub(super) struct ReadyChild {
    descent: Descent,
    child: Result<Child, StrategyError>,
    /// Results that it had seen.
    seen: usize,
}

/// A child whose parameters a model is to choose. Needs nothing but itself.
#[derive(Debug)]
pub struct ChildQuestion {
    spec: Arc<StudySpec>,
    population: Population,
    descent: Descent,
    intervals: Vec<Interval>,
    seen: usize,
}

/// The answer.
#[derive(Debug)]
pub struct ChildAdvice {
    ready: ReadyChild,
    /// What the model panicked with, if it did. The parameters are changed by chance then.
    pub(super) panic: Option<String>,
}

impl ChildQuestion {
    /// Computes it. May take long.
    #[must_use]
    pub fn answer(self) -> ChildAdvice {
        let Self {
            spec,
            population,
            descent,
            intervals,
            seen,
        } = self;
        let (child, panic) = descent.bred(&spec, &population, &intervals);
        ChildAdvice {
            ready: ReadyChild { descent, child, seen },
            panic,
        }
    }
}

/// The parameters of a child of one with these `params`, which `begun` at a step with a value, and what the model panicked with if it did. The child
/// differs at random then.
pub(super) fn bred(
    spec: &StudySpec,
    population: &Population,
    child: TrialNumber,
    params: &Params,
    begun: (i64, f64),
    intervals: &[Interval],
) -> (Result<Child, StrategyError>, Option<String>) {
    let from = |intervals: &[Interval]| {
        breed(
            &spec.space,
            population,
            spec.strategy.seed,
            child,
            params,
            begun,
            intervals,
        )
    };
    match catch_unwind(AssertUnwindSafe(|| from(intervals))) {
        Ok(child) => (child, None),
        Err(panic) => (from(&[]), Some(text_of(&*panic))),
    }
}

impl StudyCore {
    /// What a child could begin with that goes on from a trial which is trained, or will be; if it has steps to go, and a checkpoint that is stored.
    fn training_of(&self, number: TrialNumber) -> Option<Heir> {
        let trial = self.active.get(&number)?;
        if let TrialState::Stopping(_, reason) = trial.life.state()
            && !matches!(reason, StopReason::Paused { .. })
        {
            return None;
        }
        let checkpoint = trial.stages.checkpoint.clone();
        // A program that asks and tells keeps its own.
        let kept_by_itself = trial.last_step.filter(|_| self.spec.trial.is_none());
        let step = checkpoint
            .as_ref()
            .map(|checkpoint| checkpoint.step)
            .or(kept_by_itself)?;
        let value = self
            .members()?
            .contest
            .value_at(number, step)
            .map_or(f64::INFINITY, |(_, value)| value);
        (step < self.last_step_of_all()).then(|| Heir {
            parent: number,
            params: Arc::clone(&trial.params),
            step,
            value: as_reported(value, &self.spec),
            checkpoint,
        })
    }

    /// What a child numbered `child` could begin with, in the place of a trial that had come to `value` at `mark`: the training of one of the best there.
    pub(super) fn heir(
        &self,
        mark: i64,
        value: f64,
        child: TrialNumber,
        reach: Reach<'_>,
    ) -> Option<Box<Heir>> {
        let contest = &self.members()?.contest;
        let of = |trial| {
            self.training_of(trial)
                .filter(|heir| is_within(heir, reach))
                .map(Box::new)
        };
        of(contest.donor(mark, value, child, |trial| of(trial).is_some())?)
    }

    /// A trial is to be replaced: sets aside what whoever takes its place can begin with.
    pub(super) fn set_aside(&mut self, number: TrialNumber, heir: Box<Heir>) {
        if let Some(trial) = self.active.get_mut(&number) {
            heir.checkpoint
                .iter()
                .for_each(|checkpoint| self.uses.add(checkpoint));
            Arc::make_mut(&mut trial.stages).heir = Some(heir);
        }
    }

    /// A trial ends, with this value. Whoever leaves a place leaves something to begin with there; for others nothing is kept.
    pub(super) fn end_heir(
        &mut self,
        out: &mut Outbox,
        number: TrialNumber,
        trial: &mut ActiveTrial,
        value: Option<f64>,
    ) {
        let (Some(members), Some(end)) = (self.members(), End::of(trial.life.state())) else {
            return;
        };
        match members.place_left_by(number, end, value) {
            Some(mark) if trial.stages.heir.is_none() && self.has_room_for(1 + self.promised()) => {
                let heir = self.heir(mark, f64::INFINITY, number, Reach::All);
                let checkpoint = heir.as_ref().and_then(|heir| heir.checkpoint.as_ref());
                checkpoint.iter().for_each(|checkpoint| self.uses.add(checkpoint));
                Arc::make_mut(&mut trial.stages).heir = heir;
            }
            None if trial.stages.heir.is_some() => {
                let heir = Arc::make_mut(&mut trial.stages).heir.take();
                self.release(out, heir);
            }
            _ => {}
        }
    }

    /// What was set aside is needed no more.
    pub(super) fn release(&mut self, out: &mut Outbox, heir: Option<Box<Heir>>) {
        if let Some(unneeded) = self.uses.remove_of(heir.map(|heir| *heir)) {
            out.drop_checkpoint(unneeded);
        }
    }

    /// How many trials are still to begin, as far as that is certain.
    pub(super) fn promised(&self) -> u64 {
        let Some(members) = self.members() else {
            return 0;
        };
        let leaving = self.active.values().filter(|trial| trial.stages.heir.is_some());
        members.missing() + (members.vacancies().len() + leaving.count()) as u64
    }

    /// The child that somebody with this reach could begin with in a place that is free.
    fn child_of(&self, (replaces, vacancy): (&TrialNumber, &Vacancy), reach: Reach<'_>) -> Option<Descent> {
        let child = TrialNumber(self.next_number);
        let set_aside = || vacancy.heir.clone().filter(|heir| is_within(heir, reach));
        let from = self
            .heir(vacancy.mark, vacancy.value, child, reach)
            .or_else(set_aside)?;
        Some(Descent {
            child,
            replaces: *replaces,
            from: *from,
        })
    }

    /// The child that somebody with this reach could begin with, if there is a place for one.
    fn next_child(&self, reach: Reach<'_>) -> Option<Descent> {
        let mut places = self.members()?.vacancies().iter();
        places.find_map(|place| self.child_of(place, reach))
    }

    /// How many new trials the population needs now that somebody with this reach could begin with. None if the study has no population.
    pub(super) fn members_wanted(&self, reach: Reach<'_>) -> Option<u64> {
        let members = self.members()?;
        let places = members.vacancies().iter();
        let children = places.filter(|place| self.child_of(*place, reach).is_some());
        Some(members.missing() + children.count() as u64)
    }

    /// The next of a population: one that begins from nothing, or a child.
    pub(super) fn propose_member(
        &mut self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        reach: Reach<'_>,
    ) -> Result<TrialNumber, NoTrial> {
        let whole = || NoTrial::Population("the population is complete".to_owned());
        let members = self.members().ok_or_else(whole)?;
        if members.missing() > 0 {
            return self.propose_by_strategy(out, ctx);
        }
        let descent = self.next_child(reach).ok_or_else(whole)?;
        let (child, seen) = if members.by_model() {
            match &members.ready {
                Some(ready) if ready.descent == descent => (ready.child.clone(), ready.seen),
                _ => {
                    self.wish(reach);
                    return Err(NoTrial::Thinking);
                }
            }
        } else {
            let (child, _) = descent.bred(&self.spec, members.contest.population(), &[]);
            (child, self.adviser.results())
        };
        let child = child.map_err(|error| NoTrial::Population(error.to_string()))?;
        self.make_child(out, ctx, descent, child, seen).ok_or_else(whole)
    }

    fn make_child(
        &mut self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        descent: Descent,
        child: Child,
        seen: usize,
    ) -> Option<TrialNumber> {
        let Heir {
            parent,
            params,
            step,
            value,
            checkpoint,
        } = descent.from;
        let changed = Changed::between(&params, &child.params);
        let mut note = format!("goes on from trial {parent} at step {step}: ");
        let texts: Vec<String> = changed.iter().map(ToString::to_string).collect();
        note.push_str(&texts.join(", "));
        for more in [child.note].iter().filter(|more| !more.is_empty()) {
            note.push_str("; ");
            note.push_str(more);
        }
        let parent = Parent {
            trial: parent,
            step,
            value,
            replaces: Some(descent.replaces),
            changed,
        };
        let provenance = Provenance {
            results: seen as u64,
            ..self.provenance(Origin::Strategy, self.course_name(), note)
        };
        self.begin_child(out, ctx, child.params, provenance, Some(parent), checkpoint)
    }

    /// Makes a trial that goes on from a checkpoint of another one.
    pub(super) fn begin_child(
        &mut self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        params: Params,
        provenance: Provenance,
        parent: Option<Parent>,
        checkpoint: Option<Checkpoint>,
    ) -> Option<TrialNumber> {
        let number = TrialNumber(self.next_number);
        let mut trial = self
            .new_trial(ctx, number, params, provenance, String::new())
            .ok()?;
        checkpoint.iter().for_each(|checkpoint| self.uses.add(checkpoint));
        trial.stages = Arc::new(Stages {
            checkpoint,
            parent: parent.map(Box::new),
            ..Stages::default()
        });
        self.next_number += 1;
        self.proposed += 1;
        self.insert(out, number, trial);
        Some(number)
    }

    /// Somebody with this reach waits for a child whose parameters a model is to choose.
    fn wish(&mut self, reach: Reach<'_>) {
        if let Some(members) = self.members_mut() {
            members.wish = match reach {
                Reach::All => None,
                Reach::Stores(stores) => Some(stores.into()),
            };
        }
    }

    /// A child whose parameters a model is to choose, if one is needed and none is being thought about.
    pub(super) fn child_question(&mut self) -> Option<Question> {
        let members = self.members()?;
        if !members.by_model() || members.is_asked || members.missing() > 0 || !self.has_room_for(1) {
            return None;
        }
        // What somebody waits for, else what somebody may want.
        let wished = members.wish.as_deref();
        let wished = wished.and_then(|stores| self.next_child(Reach::Stores(stores)));
        let descent = wished.or_else(|| self.next_child(Reach::All))?;
        let is_known = members
            .ready
            .as_ref()
            .is_some_and(|ready| ready.descent == descent);
        if is_known {
            return None;
        }
        let question = ChildQuestion {
            spec: Arc::clone(&self.spec),
            population: members.contest.population().clone(),
            descent,
            intervals: members
                .contest
                .intervals(|trial| self.active.contains_key(&trial)),
            seen: self.adviser.results(),
        };
        let members = self.members_mut()?;
        members.is_asked = true;
        members.wish = None;
        Some(Question::Child(Box::new(question)))
    }

    /// Takes in what a model says about a child.
    pub(super) fn child_advised(&mut self, advice: ChildAdvice) {
        if let Some(members) = self.members_mut() {
            members.is_asked = false;
            members.ready = Some(advice.ready);
        }
    }
}

fn is_within(heir: &Heir, reach: Reach<'_>) -> bool {
    let checkpoint = heir.checkpoint.as_ref();
    checkpoint.is_none_or(|checkpoint| reach.has(checkpoint.store))
}
