//! Trials that are trained in stages: what they have come to at each rung, which of them rest, and which go on.
//!
//! Who goes on is decided by [`tunesmith_optimizer::Promotions`]; here it is told what happened, and asked when a place is free. What a trial had
//! come to at a rung is a result that the strategy learns from.
//!
//! # Invariants
//!
//! * A trial that has not ended rests at its last rung exactly while it is PAUSED or asked to pause.
//! * A rung is reached once: a trial that is trained again from an earlier step keeps what it had come to.

use std::sync::Arc;

use tunesmith_common::checkpoint::{EarlierEnd, RungResult};
use tunesmith_common::measurement::From as ValueFrom;
use tunesmith_common::study::StudySpec;
use tunesmith_common::trial::{Event, StopReason, TrialState};
use tunesmith_common::{Attempt, LeaseId, TrialNumber};
use tunesmith_optimizer::{FinishedTrial, Promotions, RungView};

use super::checkpoints::Reach;
use super::course::Course;
use super::judgement::{as_reported, explain_standing};
use super::outbox::Outbox;
use super::study::{Ctx, StudyCore};
use super::trial::ActiveTrial;
use super::values::{Past, Values};
use crate::store::End;

/// What the strategy sees of a trial at a rung.
pub(super) fn seen_at(
    number: TrialNumber,
    encoded: &[f64],
    result: &RungResult,
    spec: &StudySpec,
) -> FinishedTrial {
    let past = Past {
        number,
        end: End::EarlyStopped,
        values: Values {
            first: Some(result.value),
            more: result.more_values.clone(),
        },
        encoded: encoded.into(),
        last_step: Some(result.step),
    };
    past.finished(spec)
}

/// What the strategy has seen of a trial whose time was up, and that got more later.
pub(super) fn seen_earlier(
    number: TrialNumber,
    encoded: &[f64],
    end: &EarlierEnd,
    spec: &StudySpec,
) -> FinishedTrial {
    let past = Past {
        number,
        end: End::TimedOut,
        values: Values {
            first: end.value,
            more: end.more_values.clone(),
        },
        encoded: encoded.into(),
        last_step: end.last_step,
    };
    past.finished(spec)
}

/// Of rungs that a trial has reached, those whose results are shown to the strategy: of several that were reached at once the highest.
pub(super) fn shown(rungs: &[RungResult]) -> impl Iterator<Item = &RungResult> {
    let nexts = rungs.iter().skip(1).map(Some).chain([None]);
    rungs
        .iter()
        .zip(nexts)
        .filter(|(result, next)| next.is_none_or(|next| next.step != result.step))
        .map(|(result, _)| result)
}

/// Whether what a trial had come to at a rung may stand for the trial: only if nothing later can take it back.
pub(super) fn counts_for_best(spec: &StudySpec) -> bool {
    spec.objective.from == ValueFrom::Best
        && spec.more_objectives.is_empty()
        && spec.measured_constraints.is_empty()
}

impl StudyCore {
    /// The promotions of a study, if it has any.
    fn promotions(&self) -> Option<&Promotions> {
        match self.course.as_ref()? {
            Course::Halving(_, promotions) => Some(promotions),
            Course::Population(_) | Course::Replay(_) => None,
        }
    }

    /// Name of what trials go through, for people.
    pub(super) fn course_name(&self) -> &'static str {
        self.course.as_ref().map_or("", Course::name)
    }

    pub(super) fn last_step_of_all(&self) -> i64 {
        self.course.as_ref().map_or(i64::MAX, Course::last_step)
    }

    /// The step that a trial is to be trained to before it is looked at again; none if that is its end.
    pub(super) fn until(&self, number: TrialNumber) -> Option<i64> {
        let course = self.course.as_ref()?;
        Some(course.next_mark(number).unwrap_or_else(|| course.last_step()))
    }

    /// A trial has reported the objective at `step`: takes note of the rungs that it reaches there. Whether there are any.
    pub(super) fn reach_rungs(&mut self, ctx: &Ctx<'_>, number: TrialNumber, step: i64) -> bool {
        let Some(course) = &mut self.course else {
            return false;
        };
        if course.next_mark(number).is_none_or(|rung| rung > step) {
            return false;
        }
        let Some(trial) = self.active.get_mut(&number) else {
            return false;
        };
        let values = self.readings.values(&trial.curves, &trial.told);
        let value = values.first.unwrap_or(f64::NAN);
        let turned = self.spec.objective.goal.to_minimize(value);
        let mut results = Vec::new();
        for rung in course.reached_by(number, step) {
            course.reach(number, rung, turned);
            results.push(RungResult {
                rung,
                step,
                value,
                more_values: values.more.clone(),
                at: ctx.now,
            });
        }
        // Of several rungs at once the strategy learns nothing more than of the highest.
        let seen = results
            .last()
            .map(|result| seen_at(number, &trial.encoded, result, &self.spec));
        for result in &mut results {
            result.at = super::study::later_than(&mut self.last_end, ctx.now);
        }
        Arc::make_mut(&mut trial.stages).rungs.extend(results);
        if let Some(seen) = seen {
            if counts_for_best(&self.spec) {
                self.best.consider(&self.spec, &seen);
                self.improvement.at_rung(&self.spec, &seen);
            }
            self.adviser.result(seen);
        }
        true
    }

    /// A trial has reached rungs: it rests unless it is among the best.
    pub(super) fn judge_rung(
        &mut self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        number: TrialNumber,
        attempt: Attempt,
    ) {
        let running = self.active.get(&number).is_some_and(|trial| {
            matches!(trial.life.state(), TrialState::Leased(_) | TrialState::Running(_))
        });
        match self.course {
            Some(Course::Population(_)) if running => return self.judge_member(out, ctx, number, attempt),
            Some(Course::Replay(_)) if running => return self.end_segment(out, ctx, number),
            _ => {}
        }
        let standing = self
            .promotions()
            .and_then(|promotions| promotions.standing(number));
        if !running || standing.is_none_or(|standing| standing.goes_on) {
            return;
        }
        self.rest(number);
        if self.would_be_next(number) {
            return self.leave_rung(number);
        }
        self.carry_out(out, ctx, (number, attempt), |text| StopReason::Paused { text });
    }

    /// Records how a running or resting trial stands in what it goes through, and asks it to stop for that.
    pub(super) fn carry_out(
        &mut self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        (number, attempt): (TrialNumber, Attempt),
        reason: impl FnOnce(String) -> StopReason,
    ) {
        let course = self.course.as_ref();
        let Some(decision) = course.and_then(|course| course.judgement(number, &self.spec)) else {
            return;
        };
        let text = decision.text.clone();
        // By the time of the newest result, which led to it: it has seen all up to there, and none after.
        out.decision(number, attempt, decision, self.last_end);
        // Cannot be refused: the trial has not ended.
        let _ = self.apply(out, ctx, number, Event::StopRequested(reason(text)), "");
    }

    /// A trial rests, or will as soon as its program has stopped.
    pub(super) fn rest(&mut self, number: TrialNumber) {
        if let Some(course) = &mut self.course {
            course.rest(number);
        }
    }

    /// A trial rests no more.
    pub(super) fn leave_rung(&mut self, number: TrialNumber) {
        if let Some(course) = &mut self.course {
            course.leave(number);
        }
    }

    /// What it means that the program of a trial, or its caller, ended it well: it is done, or it rests.
    pub(super) fn ended_well(&self, number: TrialNumber, lease: LeaseId) -> Event {
        let is_to_rest = self.active.get(&number).filter(|trial| {
            matches!(
                trial.life.state(),
                TrialState::Stopping(_, StopReason::Paused { .. })
            )
        });
        let rests = match is_to_rest {
            Some(trial) => trial.last_step.is_none_or(|step| step < self.last_step_of_all()),
            None => self.ended_at_a_rung(number),
        };
        if rests && !matches!(self.course, Some(Course::Replay(_))) {
            Event::Paused(lease)
        } else {
            Event::Finished(lease)
        }
    }

    /// Whether the program of a trial has ended because it came to the step that it was to be trained to.
    fn ended_at_a_rung(&self, number: TrialNumber) -> bool {
        let rung = |trial: &ActiveTrial| {
            let last = trial.stages.rungs.last()?;
            (trial.last_step == Some(last.step) && last.rung == last.step).then_some(last.rung)
        };
        let rung = self.active.get(&number).and_then(rung);
        rung.is_some_and(|rung| rung < self.last_step_of_all())
    }

    pub(super) fn rests(&self, number: TrialNumber) -> bool {
        self.active
            .get(&number)
            .is_some_and(|trial| *trial.life.state() == TrialState::Paused)
    }

    /// The resting trial to go on with, if somebody with this reach is free.
    pub(super) fn to_promote(&self, reach: Reach<'_>) -> Option<(TrialNumber, String)> {
        if let Some(Course::Population(_)) = self.course {
            return self.member_to_go_on(reach);
        }
        let promotions = self.promotions()?;
        let may_go_on = |number: TrialNumber| self.rests(number) && self.is_within(number, reach);
        if let Some((number, standing)) = promotions.next(may_go_on) {
            let text = explain_standing(promotions, &standing, &self.spec);
            return Some((number, format!("promoted: {text}")));
        }
        // Where nothing else is left to do, the one that has come furthest is trained to the end: a study is to have one that was.
        let nothing_else = self.counts.in_flight() == 0 && self.is_at_its_end();
        let furthest = promotions.furthest(may_go_on).filter(|_| nothing_else)?;
        Some((
            furthest,
            "promoted: nothing else is left to try, and no trial was trained to the end".to_owned(),
        ))
    }

    /// Whether nothing waits and nothing new may begin, and no trial was trained to the end.
    fn is_at_its_end(&self) -> bool {
        self.counts.pending == 0
            && self.counts.completed == 0
            && (self.dry.is_some() || self.may_create().is_err())
    }

    /// Whether a trial that is to rest would be the next to go on, so that it need not stop: it is all that runs, and has come furthest.
    fn would_be_next(&self, number: TrialNumber) -> bool {
        let Some(promotions) = self.promotions() else {
            return false;
        };
        let may_go_on = |other: TrialNumber| other == number || self.rests(other);
        self.counts.in_flight() == 1
            && self.is_at_its_end()
            && promotions.next(may_go_on).is_none()
            && promotions.furthest(may_go_on) == Some(number)
    }

    /// Lets the next resting trial go on that somebody with this reach may train.
    pub(super) fn promote(
        &mut self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        reach: Reach<'_>,
    ) -> Option<TrialNumber> {
        let (number, text) = self.to_promote(reach)?;
        self.leave_rung(number);
        self.apply(out, ctx, number, Event::Resumed, "").ok()?;
        if !text.is_empty() {
            let by = self.course_name();
            self.audit(out, ctx, by, "promote_trial", Some(number), &text);
        }
        Some(number)
    }

    /// Whether some resting trial may go on as soon as there is a place for it.
    pub(super) fn has_promotions(&self) -> bool {
        self.to_promote(Reach::All).is_some()
    }

    /// Why a trial that rests ends with its study: what it had come to counts.
    pub(super) fn never_promoted(&self, trial: &ActiveTrial) -> Option<StopReason> {
        if *trial.life.state() != TrialState::Paused {
            return None;
        }
        let rung = trial.stages.rungs.last().map_or(0, |result| result.rung);
        Some(StopReason::EarlyStopped {
            rule: self.course_name().to_owned(),
            text: format!("it rested at the rung of step {rung} and was not promoted before the study ended"),
        })
    }

    /// Brackets with their rungs, for people. Empty if trials are trained in one go.
    #[must_use]
    pub fn rungs(&self) -> Vec<Vec<RungView>> {
        let mut view = self.course.as_ref().map(Course::view).unwrap_or_default();
        for rung in view.iter_mut().flatten() {
            rung.best = rung.best.map(|best| as_reported(best, &self.spec));
        }
        view
    }
}
