//! How a study ends by itself.

use tunesmith_common::TrialNumber;
use tunesmith_common::trial::{Event, StopReason};

use super::outbox::Outbox;
use super::propose::NoTrial;
use super::study::{Ctx, StudyCore};
use crate::store::{DoneReason, StudyState};

impl StudyCore {
    /// Ends the study if its time has come. To be called after every step.
    pub fn settle(&mut self, out: &mut Outbox, ctx: &Ctx<'_>) {
        if matches!(self.row.state, StudyState::Active | StudyState::Paused)
            && let Some((reason, text, stop)) = self.reason_to_end(ctx)
        {
            self.begin_end(out, ctx, reason, text, &stop);
        }
        self.record_no_improvement(out, ctx);
        self.record_near_limits(out, ctx);
        if let StudyState::Ending(reason) = self.row.state
            && self.active.is_empty()
        {
            self.count_time(ctx.mono);
            self.row.state = StudyState::Done(reason);
            self.row.done_at = Some(ctx.now);
            out.study = true;
        }
    }

    /// Starts no more trials, stops those that run, and ends when the last of them has.
    pub(super) fn begin_end(
        &mut self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        reason: DoneReason,
        text: String,
        stop: &StopReason,
    ) {
        self.count_time(ctx.mono);
        self.row.state = StudyState::Ending(reason);
        self.row.state_reason = text;
        out.study = true;
        let active: Vec<(TrialNumber, Option<StopReason>)> = self
            .active
            .iter()
            .map(|(&number, trial)| (number, self.never_promoted(trial)))
            .collect();
        for (number, rested) in active {
            // Refused only where the trial has ended, which is what is wanted.
            let _ = self.apply(
                out,
                ctx,
                number,
                Event::StopRequested(rested.unwrap_or_else(|| stop.clone())),
                "stopped with the study",
            );
        }
    }

    /// What would end the study at once if it were active, if anything, and what can be done about it.
    pub(super) fn would_end(&mut self, ctx: &Ctx<'_>) -> Option<String> {
        let not_worth_it = self.not_worth_it().is_some();
        self.reason_to_end(ctx).map(|(reason, text, _)| match reason {
            DoneReason::Budget if not_worth_it => {
                format!("{text}; change or remove budget.no_improvement with an edit, then resume")
            }
            DoneReason::Exhausted => {
                format!("{text}; there is nothing to go on with, clone it with another space")
            }
            DoneReason::Budget | DoneReason::Target | DoneReason::Failures | DoneReason::Cancelled => {
                format!("{text}; raise it with an edit, then resume")
            }
        })
    }

    fn reason_to_end(&mut self, ctx: &Ctx<'_>) -> Option<(DoneReason, String, StopReason)> {
        let idle = self.counts.alive() == self.counts.paused && !self.has_promotions();
        if idle {
            // Nobody may ever ask again: the end of the last trial is the end of the study.
            self.look_ahead();
        }
        let budget = &self.spec.budget;
        let cancelled = |by: &str| StopReason::Cancelled { by: by.to_owned() };
        if let (Some(target), Some((number, best))) = (budget.target, self.best.one) {
            let goal = self.spec.objective.goal;
            if !goal.better(target, best) {
                let text = format!("target {target} reached by trial {number} with {best}");
                return Some((
                    DoneReason::Target,
                    text,
                    cancelled("the study: its target was reached"),
                ));
            }
        }
        if let Some(limit) = budget.failures
            && self.counts.failed >= limit
        {
            let text = format!(
                "{} trials failed, the budget allows fewer than {limit}",
                self.counts.failed
            );
            return Some((
                DoneReason::Failures,
                text,
                cancelled("the study: too many trials failed"),
            ));
        }
        if let Some(limit) = self.time_is_up(ctx.mono) {
            let text = format!("budget: {limit} is used up");
            return Some((
                DoneReason::Budget,
                text,
                StopReason::TimedOut {
                    limit: format!("the study's {limit}"),
                },
            ));
        }
        if !idle || self.has_promotions() {
            return None;
        }
        let nothing_runs = cancelled("the study");
        if let Err(NoTrial::Budget(text)) = self.may_create() {
            return Some((DoneReason::Budget, format!("budget: {text}"), nothing_runs));
        }
        if let Err(NoTrial::Population(_)) = self.may_create() {
            return Some((DoneReason::Exhausted, self.course_is_over(), nothing_runs));
        }
        match &self.dry {
            Some(NoTrial::Exhausted) => Some((
                DoneReason::Exhausted,
                "every point of the search space was tried".to_owned(),
                nothing_runs,
            )),
            Some(NoTrial::Infeasible(text)) => Some((DoneReason::Exhausted, text.clone(), nothing_runs)),
            _ => match self.may_start(ctx) {
                Err(NoTrial::Budget(text)) => {
                    Some((DoneReason::Budget, format!("budget: {text}"), nothing_runs))
                }
                _ => None,
            },
        }
    }
}
