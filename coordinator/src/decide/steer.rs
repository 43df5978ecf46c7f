//! What people do to a study and its trials while it lives.

use std::sync::Arc;

use tunesmith_common::TrialNumber;
use tunesmith_common::study::{RawStudy, StudySpec};
use tunesmith_common::trial::{Event, StopReason, TrialState};

use super::more_time::TimedOut;
use super::outbox::Outbox;
use super::study::{CoreError, Ctx, StudyCore};
use crate::store::{ByPolicy, DoneReason, StudyState, TrialRow};

/// New values of what may change while a study lives.
#[derive(Clone, Debug)]
pub struct StudyEdit {
    /// The whole study file with the changes in it, as it is stored.
    pub raw: RawStudy,
    /// The same, checked.
    pub spec: StudySpec,
    /// The policy that it falls under with them.
    pub policy: Option<ByPolicy>,
    /// Names of what was changed, for the audit.
    pub changed: Vec<String>,
}

/// What people write on a trial. What is absent stays as it is.
#[derive(Clone, Debug, Default)]
pub struct TrialWords {
    /// Free text.
    pub note: Option<String>,
    /// Short labels.
    pub tags: Option<Vec<String>>,
}

impl TrialWords {
    fn put(self, note: &mut String, tags: &mut Vec<String>) {
        if let Some(new) = self.note {
            *note = new;
        }
        if let Some(new) = self.tags {
            *tags = new;
        }
    }
}

impl StudyCore {
    /// Starts no new trial until resumed. Pausing twice changes nothing.
    ///
    /// # Errors
    /// If the study has ended.
    pub fn pause(&mut self, out: &mut Outbox, ctx: &Ctx<'_>, actor: &str) -> Result<(), CoreError> {
        self.must_be_alive("it cannot be paused any more")?;
        if self.row.state == StudyState::Active {
            self.count_time(ctx.mono);
            self.row.state = StudyState::Paused;
            self.row.state_reason = format!("paused by {actor}");
            out.study = true;
            self.audit(out, ctx, actor, "pause_study", None, "");
        }
        Ok(())
    }

    /// Lets a paused study go on, or one that has ended if nothing ends it again; and with it those trials of `timed_out` that left a checkpoint and
    /// have time left. Returns whether there are any, in which case the study must be loaded again after the commit.
    ///
    /// # Errors
    /// If the study is about to end, or what ended it still holds; [`CoreError::Busy`] if `timed_out` is out of date.
    pub fn resume(
        &mut self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        timed_out: TimedOut,
        actor: &str,
    ) -> Result<bool, CoreError> {
        let before = self.row.clone();
        match self.row.state {
            StudyState::Active => return Ok(false),
            StudyState::Ending(_) => {
                return Err(self.state_error("wait until it has ended, then raise what ended it and resume"));
            }
            StudyState::Paused | StudyState::Done(_) | StudyState::Archived(_) => {}
        }
        self.counted_to = ctx.mono;
        self.row.state = StudyState::Active;
        self.row.state_reason = String::new();
        self.row.done_at = None;
        if self.is_out_of_date(&timed_out) {
            self.row = before;
            return Err(CoreError::Busy);
        }
        let go_on = self.with_time_left(ctx, timed_out);
        let counts = self.counts;
        self.count_as_waiting(&go_on);
        if let Some(text) = self.would_end(ctx) {
            self.row = before;
            self.counts = counts;
            return Err(self.state_error(&text));
        }
        out.study = true;
        self.audit(out, ctx, actor, "resume_study", None, "");
        let must_load = !go_on.is_empty();
        self.let_go_on(out, ctx, go_on, actor);
        Ok(must_load)
    }

    /// Ends the study: what waits and what runs is cancelled. Stopping twice changes nothing.
    pub fn stop(&mut self, out: &mut Outbox, ctx: &Ctx<'_>, actor: &str) {
        if matches!(self.row.state, StudyState::Done(_) | StudyState::Archived(_)) {
            return;
        }
        self.audit(out, ctx, actor, "stop_study", None, "");
        let stop = StopReason::Cancelled { by: actor.to_owned() };
        self.begin_end(
            out,
            ctx,
            DoneReason::Cancelled,
            format!("stopped by {actor}"),
            &stop,
        );
    }

    /// Hides a study that has ended from lists.
    ///
    /// # Errors
    /// If it has not ended.
    pub fn archive(&mut self, out: &mut Outbox, ctx: &Ctx<'_>, actor: &str) -> Result<(), CoreError> {
        match self.row.state {
            StudyState::Archived(_) => Ok(()),
            StudyState::Done(reason) => {
                self.row.state = StudyState::Archived(reason);
                out.study = true;
                self.audit(out, ctx, actor, "archive_study", None, "");
                Ok(())
            }
            StudyState::Ending(_) => Err(self.state_error("wait until its last trials have stopped")),
            StudyState::Active | StudyState::Paused => Err(self.state_error("stop it first")),
        }
    }

    /// Changes what may change while a study lives. Those trials of `timed_out` that left a checkpoint and have time left by that go on, unless the
    /// study has ended. Returns whether the study must be loaded again after the commit, as where the early-stopping rules changed, since new
    /// rules look at all points reported so far.
    ///
    /// # Errors
    /// [`CoreError::Busy`] if `timed_out` is out of date.
    pub fn edit(
        &mut self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        edit: StudyEdit,
        timed_out: TimedOut,
        actor: &str,
    ) -> Result<bool, CoreError> {
        if self.is_out_of_date(&timed_out) {
            return Err(CoreError::Busy);
        }
        let rules_changed = edit.spec.early_stopping != self.spec.early_stopping;
        // What `auto` chooses depends on the budget.
        let (settings, note) = edit.spec.chosen_strategy();
        let strategy_changed = settings != self.adviser.settings();
        self.row.strategy_note = note;
        self.warnings = edit.spec.warnings();
        self.row.spec = edit.raw;
        self.row.policy = edit.policy;
        self.spec = Arc::new(edit.spec);
        out.study = true;
        self.audit(out, ctx, actor, "update_study", None, &edit.changed.join(", "));
        let is_alive = matches!(self.row.state, StudyState::Active | StudyState::Paused);
        let go_on = if is_alive {
            self.with_time_left(ctx, timed_out)
        } else {
            Vec::new()
        };
        self.count_as_waiting(&go_on);
        let must_load = rules_changed || strategy_changed || !go_on.is_empty();
        self.let_go_on(out, ctx, go_on, actor);
        Ok(must_load)
    }

    /// Stops a trial. Stopping one that is being stopped makes the stop a cancellation.
    ///
    /// # Errors
    /// If there is no such trial, or it has ended.
    pub fn stop_trial(
        &mut self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        number: TrialNumber,
        actor: &str,
    ) -> Result<(), CoreError> {
        let stop = StopReason::Cancelled { by: actor.to_owned() };
        self.apply(out, ctx, number, Event::StopRequested(stop), "")?;
        self.audit(out, ctx, actor, "stop_trial", Some(number), "");
        Ok(())
    }

    /// Changes what people wrote on a trial that has not ended; the caller changes that of one that has.
    ///
    /// # Errors
    /// If there is no such trial among those that have not ended.
    pub fn describe(
        &mut self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        number: TrialNumber,
        words: TrialWords,
        actor: &str,
    ) -> Result<(), CoreError> {
        let trial = self
            .active
            .get_mut(&number)
            .ok_or(CoreError::TrialNotFound(number))?;
        words.put(&mut trial.note, &mut trial.tags);
        out.trials.entry(number).or_insert(None);
        self.audit(out, ctx, actor, "note_trial", Some(number), "");
        Ok(())
    }

    /// Changes what people wrote on a trial that has ended, given its stored row.
    ///
    /// # Errors
    /// [`CoreError::Busy`] if it goes on meanwhile.
    pub fn describe_ended(
        &self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        mut row: TrialRow,
        words: TrialWords,
        actor: &str,
    ) -> Result<(), CoreError> {
        if self.ended_trial(row.number).is_none() {
            return Err(CoreError::Busy);
        }
        words.put(&mut row.note, &mut row.tags);
        self.audit(out, ctx, actor, "note_trial", Some(row.number), "");
        out.trials.insert(row.number, Some(row));
        Ok(())
    }

    pub(super) fn must_be_alive(&self, remedy: &str) -> Result<(), CoreError> {
        match self.row.state {
            StudyState::Active | StudyState::Paused => Ok(()),
            StudyState::Ending(_) | StudyState::Done(_) | StudyState::Archived(_) => {
                Err(self.state_error(remedy))
            }
        }
    }

    /// Whether a trial that is stopping waits for its worker, for messages.
    #[must_use]
    pub fn is_stopping(&self, number: TrialNumber) -> bool {
        self.active
            .get(&number)
            .is_some_and(|trial| matches!(trial.life.state(), TrialState::Stopping(..)))
    }

    fn state_error(&self, remedy: &str) -> CoreError {
        let state = match self.row.state {
            StudyState::Active => "ACTIVE",
            StudyState::Paused => "PAUSED",
            StudyState::Ending(_) => "about to end",
            StudyState::Done(_) => "DONE",
            StudyState::Archived(_) => "ARCHIVED",
        };
        CoreError::StudyState {
            state,
            remedy: remedy.to_owned(),
        }
    }
}
