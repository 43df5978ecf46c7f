//! Populations: who is replaced, by whom, and who waits meanwhile.
//!
//! What is decided is [`tunesmith_optimizer::Contest`]'s business; here it is told what happened and asked for more. A trial that is replaced ends,
//! and leaves a vacancy. As soon as somebody has a place, a child of one of the best fills it: who that is, and what its parameters are, is decided only
//! then, by what is known by then. So nobody begins from a checkpoint that is not completely stored, whatever happens in between.
//!
//! Where there are fewer places than trials, those that have come furthest rest at the next step at which they are compared, so that all advance at the
//! same pace.
//!
//! # Invariants
//!
//! * A vacancy is filled once: the trial that fills it names the one whose place it takes.
//! * A trial is replaced only if somebody can take its place.

use std::collections::BTreeMap;
use std::sync::Arc;

use tunesmith_common::checkpoint::{Changed, Checkpoint, Parent, Stages};
use tunesmith_common::decision::{Origin, Provenance, StopDecision};
use tunesmith_common::study::Population;
use tunesmith_common::trial::{Event, StopReason, TrialState};
use tunesmith_common::{Attempt, Params, TrialNumber};
use tunesmith_optimizer::{Child, Contest, Interval, Ranking, StrategyError, breed};

use super::advice::Question;
use super::checkpoints::Reach;
use super::course::Course;
use super::outbox::Outbox;
use super::propose::NoTrial;
use super::stages::SCHEDULE_INDEX;
use super::study::{Ctx, StudyCore};
use super::trial::ActiveTrial;
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
    /// Trials whose place is free, with the step at which they were compared last and what they had come to there.
    vacancies: BTreeMap<TrialNumber, (i64, f64)>,
    /// The child that a model has chosen parameters for.
    ready: Option<ReadyChild>,
    /// Whether a model is being asked.
    is_asked: bool,
}

/// Where a child comes from.
#[derive(Clone, Debug, PartialEq)]
struct Descent {
    child: TrialNumber,
    replaces: TrialNumber,
    parent: TrialNumber,
    /// Steps that its parent had been trained, and what it had come to, turned so that smaller is better.
    begun: (i64, f64),
}

/// What a model says about a child.
#[derive(Debug)]
struct ReadyChild {
    descent: Descent,
    child: Child,
    /// Results that it had seen.
    seen: usize,
}

/// A child whose parameters a model is to choose. Needs nothing but itself.
#[derive(Debug)]
pub struct ChildQuestion {
    spec: Arc<tunesmith_common::study::StudySpec>,
    population: Population,
    descent: Descent,
    parent: Arc<Params>,
    intervals: Vec<Interval>,
    seen: usize,
}

/// The answer.
#[derive(Debug)]
pub struct ChildAdvice {
    descent: Descent,
    child: Result<Child, StrategyError>,
    seen: usize,
}

impl ChildQuestion {
    /// Computes it. May take long.
    #[must_use]
    pub fn answer(self) -> ChildAdvice {
        let child = breed(
            &self.spec.space,
            &self.population,
            self.spec.strategy.seed,
            self.descent.child,
            &self.parent,
            self.descent.begun,
            &self.intervals,
        );
        ChildAdvice {
            descent: self.descent,
            child,
            seen: self.seen,
        }
    }
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
            is_asked: false,
        }
    }

    fn by_model(&self) -> bool {
        matches!(
            self.contest.population().explore,
            tunesmith_common::study::Explore::Model
        )
    }

    /// How many trials are still to begin from nothing.
    fn missing(&self) -> u64 {
        let size = u64::from(self.contest.population().size);
        (size + self.lost_fresh.min(size)).saturating_sub(self.fresh)
    }

    /// A trial is there, of whatever origin. `turned`: what its parent had come to, smaller being better.
    pub(super) fn enter(
        &mut self,
        number: TrialNumber,
        trial: (&[f64], &Stages),
        origin: Origin,
        turned: Option<f64>,
    ) {
        let (point, stages) = trial;
        let begun = stages.parent.as_ref().zip(turned);
        self.contest
            .enter(number, point, begun.map(|(parent, turned)| (parent.step, turned)));
        match &stages.parent {
            Some(parent) => {
                parent
                    .replaces
                    .and_then(|replaced| self.vacancies.remove(&replaced));
            }
            None => self.fresh += u64::from(origin == Origin::Strategy),
        }
    }

    /// A trial has ended, with this value.
    pub(super) fn ended(&mut self, number: TrialNumber, end: End, value: Option<f64>) {
        self.contest.leave(number);
        // Whoever came to the end, or was stopped by a person, leaves no place. What is no number did not come to the end that was meant.
        let has_diverged = end == End::Completed && value.is_none_or(|value| !value.is_finite());
        if !matches!(end, End::EarlyStopped | End::Failed) && !has_diverged {
            return;
        }
        match self.contest.ranking(number) {
            Some(ranking) => {
                self.vacancies.insert(number, (ranking.mark, ranking.value));
            }
            None => {
                self.lost_early += 1;
                let begun = self.contest.last_mark(number);
                if begun > 0 && self.lost_early <= u64::from(self.contest.population().size) {
                    // A child that failed before it was compared: another one in the same place.
                    self.vacancies.insert(number, (begun, f64::INFINITY));
                }
                self.lost_fresh += u64::from(begun == 0);
            }
        }
    }
}

impl StudyCore {
    fn members(&self) -> Option<&Members> {
        match self.course.as_ref()? {
            Course::Population(members) => Some(members),
            _ => None,
        }
    }

    fn members_mut(&mut self) -> Option<&mut Members> {
        match self.course.as_mut()? {
            Course::Population(members) => Some(members),
            _ => None,
        }
    }

    /// Whether a child may go on from a trial, on whoever has this reach: it is trained, or will be, and has a checkpoint that is stored.
    fn may_be_parent(&self, number: TrialNumber, reach: Reach<'_>) -> bool {
        self.active.get(&number).is_some_and(|trial| {
            let stays = match trial.life.state() {
                TrialState::Stopping(_, reason) => matches!(reason, StopReason::Paused { .. }),
                _ => true,
            };
            // A program that asks and tells keeps its own.
            let has_checkpoint =
                trial.stages.checkpoint.is_some() || (self.spec.trial.is_none() && trial.last_step.is_some());
            stays && has_checkpoint && self.is_within(number, reach)
        })
    }

    /// The step from which on a child could go on with a trial's training.
    fn step_to_begin_at(&self, trial: &ActiveTrial) -> Option<i64> {
        let checkpoint = trial.stages.checkpoint.as_ref().map(|checkpoint| checkpoint.step);
        checkpoint.or(trial.last_step.filter(|_| self.spec.trial.is_none()))
    }

    /// The child that somebody with this reach could begin with, if there is a vacancy for one.
    fn next_child(&self, reach: Reach<'_>) -> Option<Descent> {
        let members = self.members()?;
        let child = TrialNumber(self.next_number);
        members.vacancies.iter().find_map(|(replaces, (mark, value))| {
            let parent = self.parent_at(*mark, *value, child, reach)?;
            let step = self.step_to_begin_at(self.active.get(&parent)?)?;
            let value = members.contest.value_at(parent, step);
            Some(Descent {
                child,
                replaces: *replaces,
                parent,
                begun: (step, value.map_or(f64::INFINITY, |(_, value)| value)),
            })
        })
    }

    /// Who is to be the parent of a child in the place of a trial that had come to `value` at `mark`; somebody who has come further, if nobody there can.
    fn parent_at(&self, mark: i64, value: f64, child: TrialNumber, reach: Reach<'_>) -> Option<TrialNumber> {
        let contest = &self.members()?.contest;
        let may_be = |trial| self.may_be_parent(trial, reach);
        contest.donor(mark, value, child, may_be)
    }

    /// How many new trials the population needs now. None if the study has none.
    pub(super) fn members_wanted(&self, reach: Reach<'_>) -> Option<u64> {
        let members = self.members()?;
        let missing = members.missing();
        let vacancies = if self.next_child(reach).is_some() {
            members.vacancies.len() as u64
        } else {
            0
        };
        Some(missing + vacancies)
    }

    /// The next of a population: one that begins from nothing, or a child.
    pub(super) fn propose_member(
        &mut self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        reach: Reach<'_>,
    ) -> Result<TrialNumber, NoTrial> {
        if self.members().is_some_and(|members| members.missing() > 0) {
            return self.propose_by_strategy(out, ctx);
        }
        let whole = || NoTrial::Population("the population is complete".to_owned());
        let descent = self.next_child(reach).ok_or_else(whole)?;
        let members = self.members().ok_or_else(whole)?;
        let (child, seen) = if members.by_model() {
            let ready = members.ready.as_ref().filter(|ready| ready.descent == descent);
            let Some(ready) = ready else {
                return Err(NoTrial::Thinking);
            };
            (ready.child.clone(), ready.seen)
        } else {
            let parent = self.active.get(&descent.parent).ok_or_else(whole)?;
            let bred = breed(
                &self.spec.space,
                members.contest.population(),
                self.spec.strategy.seed,
                descent.child,
                &parent.params,
                descent.begun,
                &[],
            );
            (
                bred.map_err(|error| NoTrial::Population(error.to_string()))?,
                self.adviser.results(),
            )
        };
        self.make_child(out, ctx, &descent, child, seen).ok_or_else(whole)
    }

    fn make_child(
        &mut self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        descent: &Descent,
        child: Child,
        seen: usize,
    ) -> Option<TrialNumber> {
        let parent = self.active.get(&descent.parent)?;
        let changed = Changed::between(&parent.params, &child.params);
        let checkpoint = parent.stages.checkpoint.clone();
        let (step, value) = descent.begun;
        let mut note = format!("goes on from trial {} at step {step}: ", descent.parent);
        let texts: Vec<String> = changed.iter().map(ToString::to_string).collect();
        note.push_str(&texts.join(", "));
        for more in [child.note].iter().filter(|more| !more.is_empty()) {
            note.push_str("; ");
            note.push_str(more);
        }
        let parent = Parent {
            trial: descent.parent,
            step,
            value: self.as_reported(value),
            replaces: Some(descent.replaces),
            changed,
        };
        let provenance = Provenance {
            origin: Origin::Strategy,
            strategy: self.course_name().to_owned(),
            seed: self.spec.strategy.seed,
            history_revision: self.revision,
            results: seen as u64,
            cursor: None,
            note,
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
            rungs: Vec::new(),
            checkpoint,
            parent: parent.map(Box::new),
        });
        self.next_number += 1;
        self.proposed += 1;
        self.insert(out, number, trial);
        Some(number)
    }

    /// A trial is there: it takes part from now on.
    pub(super) fn enter_course(
        &mut self,
        number: TrialNumber,
        encoded: &[f64],
        stages: &Stages,
        origin: Origin,
    ) {
        let goal = self.spec.objective.goal;
        let turned = stages
            .parent
            .as_ref()
            .map(|parent| goal.to_minimize(parent.value));
        match &mut self.course {
            Some(Course::Population(members)) => {
                members.enter(number, (encoded, stages), origin, turned);
            }
            Some(Course::Replay(segments)) if origin == Origin::Strategy => segments.began(number),
            _ => {}
        }
    }

    /// A trial has ended: it takes part no more.
    pub(super) fn leave_course(
        &mut self,
        number: TrialNumber,
        (end, value): (End, Option<f64>),
        stages: &Stages,
    ) {
        match &mut self.course {
            Some(Course::Population(members)) => members.ended(number, end, value),
            Some(Course::Replay(segments)) => segments.ended(number, stages),
            Some(course @ Course::Halving(..)) => course.leave(number),
            None => {}
        }
    }

    /// A trial has come to a step at which it is compared: it is replaced, rests, or goes on; others that rest there may be replaced now.
    pub(super) fn judge_member(
        &mut self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        number: TrialNumber,
        attempt: Attempt,
    ) {
        let Some(members) = self.members() else {
            return;
        };
        let mark = members.contest.last_mark(number);
        let ranking = members.contest.ranking(number);
        if let Some(ranking) = ranking.filter(|ranking| self.is_to_go(number, ranking)) {
            self.replace(out, ctx, number, attempt, &ranking);
        } else if self.others_wait(mark) {
            let text = format!("it has come to step {mark}, and others that have not wait for a place");
            self.rest(number);
            // Cannot be refused: the trial runs.
            let _ = self.apply(
                out,
                ctx,
                number,
                Event::StopRequested(StopReason::Paused { text }),
                "",
            );
        }
        self.replace_resting(out, ctx, mark);
    }

    /// Those that rest at a step were compared with fewer.
    fn replace_resting(&mut self, out: &mut Outbox, ctx: &Ctx<'_>, mark: i64) {
        let resting: Vec<(TrialNumber, Attempt)> = self
            .active
            .iter()
            .filter(|(_, trial)| *trial.life.state() == TrialState::Paused)
            .map(|(number, trial)| (*number, trial.life.attempt()))
            .collect();
        for (number, attempt) in resting {
            let ranking = self.members().and_then(|members| members.contest.ranking(number));
            // A tournament is fought once.
            let ranking = ranking.filter(|ranking| ranking.mark == mark && ranking.opponent.is_none());
            if let Some(ranking) = ranking.filter(|ranking| self.is_to_go(number, ranking)) {
                self.replace(out, ctx, number, attempt, &ranking);
            }
        }
    }

    /// Whether a trial is to be replaced, and somebody could take its place.
    fn is_to_go(&self, number: TrialNumber, ranking: &Ranking) -> bool {
        let state = self.active.get(&number).map(|trial| trial.life.state());
        let could_be = matches!(
            state,
            Some(TrialState::Leased(_) | TrialState::Running(_) | TrialState::Paused)
        );
        let child = TrialNumber(self.next_number);
        ranking.is_replaced
            && could_be
            && self.has_room_for_trials()
            && self
                .parent_at(ranking.mark, ranking.value, child, Reach::All)
                .is_some()
    }

    fn replace(
        &mut self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        number: TrialNumber,
        attempt: Attempt,
        ranking: &Ranking,
    ) {
        let rule = self.course_name().to_owned();
        let text = self.explain_ranking(ranking);
        let decision = StopDecision {
            rule_index: SCHEDULE_INDEX,
            rule: rule.clone(),
            shadow: false,
            metric: self.spec.objective.metric.clone(),
            step: ranking.mark,
            value: self.as_reported(ranking.value),
            reference: self.as_reported(ranking.needed),
            compared_trials: ranking.trials - 1,
            text: text.clone(),
        };
        out.decision(number, attempt, decision, ctx.now);
        // Cannot be refused: the trial has not ended.
        let _ = self.apply(
            out,
            ctx,
            number,
            Event::StopRequested(StopReason::EarlyStopped { rule, text }),
            "",
        );
    }

    fn explain_ranking(&self, ranking: &Ranking) -> String {
        let metric = &self.spec.objective.metric;
        let (value, needed) = (self.as_reported(ranking.value), self.as_reported(ranking.needed));
        let (mark, trials) = (ranking.mark, ranking.trials);
        match ranking.opponent {
            Some(opponent) => {
                format!(
                    "{metric} is {value} at step {mark}, where trial {opponent} had {needed}: a child of a better one takes its place"
                )
            }
            None => format!(
                "{metric} is {value} at step {mark}, where of {trials} trials those stay that have {needed} or better: a child of one of the best takes its \
                 place"
            ),
        }
    }

    /// Whether trials that have come less far than `mark` wait for a place.
    fn others_wait(&self, mark: i64) -> bool {
        let Some(members) = self.members() else {
            return false;
        };
        let is_behind = |trial: &ActiveTrial| trial.last_step.unwrap_or(0) < mark;
        let waits = self.ready.iter().filter_map(|number| self.active.get(number));
        (members.missing() > 0 && self.has_room_for_trials())
            || waits.into_iter().any(is_behind)
            || members.contest.somebody_rests_before(mark)
    }

    /// The trial of a population that rests and is to go on.
    pub(super) fn member_to_go_on(&self, reach: Reach<'_>) -> Option<(TrialNumber, String)> {
        let contest = &self.members()?.contest;
        let may_go_on = |number: TrialNumber| self.rests(number) && self.is_within(number, reach);
        Some((contest.next(may_go_on)?, String::new()))
    }

    /// A child whose parameters a model is to choose, if one is needed and none is being thought about.
    pub(super) fn child_question(&mut self) -> Option<Question> {
        let members = self.members()?;
        if !members.by_model() || members.is_asked || members.missing() > 0 || !self.has_room_for_trials() {
            return None;
        }
        let descent = self.next_child(Reach::All)?;
        let is_known = members
            .ready
            .as_ref()
            .is_some_and(|ready| ready.descent == descent);
        if is_known {
            return None;
        }
        let parent = Arc::clone(&self.active.get(&descent.parent)?.params);
        let question = ChildQuestion {
            spec: Arc::clone(&self.spec),
            population: members.contest.population().clone(),
            descent,
            parent,
            intervals: members
                .contest
                .intervals(|trial| self.active.contains_key(&trial)),
            seen: self.adviser.results(),
        };
        self.members_mut()?.is_asked = true;
        Some(Question::Child(Box::new(question)))
    }

    /// Takes in what a model says about a child.
    pub(super) fn child_advised(&mut self, advice: ChildAdvice) {
        let Some(members) = self.members_mut() else {
            return;
        };
        members.is_asked = false;
        let ChildAdvice { descent, child, seen } = advice;
        members.ready = child.ok().map(|child| ReadyChild { descent, child, seen });
    }
}
