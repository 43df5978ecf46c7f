//! Populations: who is replaced, by whom, and who waits meanwhile.
//!
//! What is decided is [`tunesmith_optimizer::Contest`]'s business; here it is told what happened and asked for more. A trial that is replaced ends, and
//! leaves a place, which a child of a better one takes as soon as somebody has room for it.
//!
//! Where there are fewer places than trials, those that have come furthest rest at the next step at which they are compared, so that all advance at the
//! same pace.
//!
//! # Invariants
//!
//! * A place is taken once: the trial that takes it names the one that left it.
//! * A trial is replaced only if somebody can take its place.

use tunesmith_common::checkpoint::{Heir, Stages};
use tunesmith_common::decision::Origin;
use tunesmith_common::trial::{Event, StopReason, TrialState};
use tunesmith_common::{Attempt, TrialNumber};
use tunesmith_optimizer::Ranking;

use super::checkpoints::Reach;
use super::course::Course;
use super::members::Members;
use super::outbox::Outbox;
use super::study::{Ctx, StudyCore};
use crate::store::End;

impl StudyCore {
    pub(super) fn members(&self) -> Option<&Members> {
        match self.course.as_ref()? {
            Course::Population(members) => Some(members),
            _ => None,
        }
    }

    pub(super) fn members_mut(&mut self) -> Option<&mut Members> {
        match self.course.as_mut()? {
            Course::Population(members) => Some(members),
            _ => None,
        }
    }

    /// A trial is there: it takes part from now on. Returns what was set aside for the place that it takes.
    pub(super) fn enter_course(
        &mut self,
        number: TrialNumber,
        encoded: &[f64],
        stages: &Stages,
        origin: Origin,
    ) -> Option<Box<Heir>> {
        let goal = self.spec.objective.goal;
        let turned = stages
            .parent
            .as_ref()
            .map(|parent| goal.to_minimize(parent.value));
        match &mut self.course {
            Some(Course::Population(members)) => {
                return members.enter(number, (encoded, stages), origin, turned);
            }
            Some(Course::Replay(segments)) if origin == Origin::Strategy => segments.began(number),
            _ => {}
        }
        None
    }

    /// A trial has ended: it takes part no more.
    pub(super) fn leave_course(&mut self, number: TrialNumber, end: (End, Option<f64>), stages: &Stages) {
        match &mut self.course {
            Some(Course::Population(members)) => members.ended(number, end, stages),
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
        if let Some(heir) = ranking.and_then(|ranking| self.is_to_go(number, &ranking)) {
            self.replace(out, ctx, (number, attempt), heir);
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
            if let Some(heir) = ranking.and_then(|ranking| self.is_to_go(number, &ranking)) {
                self.replace(out, ctx, (number, attempt), heir);
            }
        }
    }

    /// What the next one in a trial's place can begin with, if it is to be replaced. Without that, nobody is.
    fn is_to_go(&self, number: TrialNumber, ranking: &Ranking) -> Option<Box<Heir>> {
        let state = self.active.get(&number).map(|trial| trial.life.state());
        let could_be = matches!(
            state,
            Some(TrialState::Leased(_) | TrialState::Running(_) | TrialState::Paused)
        );
        if !ranking.is_replaced || !could_be || !self.has_room_for(1 + self.promised()) {
            return None;
        }
        self.heir(ranking.mark, ranking.value, number, Reach::All)
    }

    fn replace(
        &mut self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        (number, attempt): (TrialNumber, Attempt),
        heir: Box<Heir>,
    ) {
        self.set_aside(number, heir);
        let rule = self.course_name().to_owned();
        self.carry_out(out, ctx, (number, attempt), |text| StopReason::EarlyStopped {
            rule,
            text,
        });
    }

    /// Whether trials that have come less far than `mark` wait for a place.
    fn others_wait(&self, mark: i64) -> bool {
        let Some(members) = self.members() else {
            return false;
        };
        let is_behind = |number: &TrialNumber| members.contest.last_mark(*number) < mark;
        (members.missing() > 0 && self.has_room_for(1))
            || self.ready.iter().any(is_behind)
            || members.contest.somebody_rests_before(mark)
    }

    /// The trial of a population that rests and is to go on.
    pub(super) fn member_to_go_on(&self, reach: Reach<'_>) -> Option<(TrialNumber, String)> {
        let contest = &self.members()?.contest;
        let may_go_on = |number: TrialNumber| self.rests(number) && self.is_within(number, reach);
        Some((contest.next(may_go_on)?, String::new()))
    }
}
