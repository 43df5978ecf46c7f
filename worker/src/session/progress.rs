//! What the coordinator was told about one attempt in this session, and what to tell it next. Pure: time is an argument.
//!
//! # Invariants
//!
//! * Points are sent in order and without gaps, from the number that the coordinator named.
//! * The start is sent before the first point, the end after the last one.
//! * A checkpoint is told of once, the newest there is, and not before the points are stored that came before it: whoever goes on from it does not
//!   report them again.
//! * At most [`ATTEMPT_WINDOW`] batches are on their way; what is beyond waits in the spool.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Points that are sent without waiting for more.
pub(super) const BATCH_POINTS: u64 = 64;
/// Points in one batch at most.
pub(super) const MAX_BATCH_POINTS: usize = 512;
/// How long points wait for more to come.
const BATCH_DELAY: Duration = Duration::from_millis(50);
/// Points of the objective do not wait, because decisions to stop depend on them, but for this time after the batch before: a program that
/// reports without end is not worth a message for each point.
const OBJECTIVE_DELAY: Duration = Duration::from_millis(5);
/// Batches of one attempt that may be unacknowledged.
pub(super) const ATTEMPT_WINDOW: usize = 4;
/// Batches of all attempts that may be unacknowledged.
pub(super) const SESSION_WINDOW: usize = 64;

/// What is known about the attempt on this machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    /// Whether its program has started.
    pub(super) started: bool,
    /// Whether it has ended, and its points are complete.
    pub(super) ended: bool,
    /// Number of the last point in the spool.
    pub(super) last_seq: u64,
    /// Step of its newest checkpoint that is stored, and the number of the last point before it.
    pub(super) checkpoint: Option<(i64, u64)>,
}

/// What to do next about an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing until something happens.
    Nothing,
    /// Nothing until then, unless something happens.
    At(Instant),
    /// Tell that it has started.
    Started,
    /// Tell of its newest checkpoint.
    Checkpoint,
    /// Read points from this number on, and ask [`Progress::is_batch_due`].
    Points(u64),
    /// Tell that it has ended.
    Ended,
}

/// What the coordinator was told about one attempt in this session.
#[derive(Debug)]
pub(super) struct Progress {
    told_started: bool,
    told_ended: bool,
    /// Step of the last checkpoint that was told of.
    told_checkpoint: Option<i64>,
    /// Number of the last point that is stored.
    stored_seq: u64,
    /// Number of the first point that was not sent.
    next_seq: u64,
    /// Number of the last point of each batch on its way.
    in_flight: VecDeque<u64>,
    /// When points that were not sent were first seen.
    waiting_since: Option<Instant>,
    /// Number of the last point that was looked at and is in no hurry.
    can_wait_to: u64,
    /// When the last batch was sent.
    last_batch: Option<Instant>,
    /// Not to be read before, after a failure to read.
    not_before: Option<Instant>,
}

impl Progress {
    /// Nothing was told yet; points up to `committed_seq` are stored.
    pub(super) fn after(committed_seq: u64) -> Self {
        Self {
            told_started: false,
            told_ended: false,
            told_checkpoint: None,
            stored_seq: committed_seq,
            next_seq: committed_seq.saturating_add(1),
            in_flight: VecDeque::new(),
            waiting_since: None,
            can_wait_to: 0,
            last_batch: None,
            not_before: None,
        }
    }

    /// Batches on their way.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Number of the last point that was sent or is stored.
    pub(super) fn last_sent(&self) -> u64 {
        self.next_seq.saturating_sub(1)
    }

    /// What to do at `now`; `room` says whether the session may have another batch on its way.
    pub(super) fn due(&mut self, facts: Facts, room: bool, now: Instant) -> Due {
        if facts.started && !self.told_started {
            return Due::Started;
        }
        if !facts.started && !facts.ended {
            // The first points may be seen before the start is: the coordinator hears of the start first.
            return Due::Nothing;
        }
        let untold = facts
            .checkpoint
            .filter(|(step, _)| self.told_checkpoint.is_none_or(|told| told < *step));
        if untold.is_some_and(|(_, after_seq)| after_seq <= self.stored_seq) {
            return Due::Checkpoint;
        }
        let unsent = facts.last_seq.saturating_sub(self.last_sent());
        if unsent == 0 {
            self.waiting_since = None;
            // What the end does not name is told of before, so that somebody knows of it.
            let must_wait = untold.is_some() && !self.in_flight.is_empty();
            return if facts.ended && !self.told_ended && !must_wait {
                Due::Ended
            } else {
                Due::Nothing
            };
        }
        let since = *self.waiting_since.get_or_insert(now);
        if !room || self.in_flight.len() >= ATTEMPT_WINDOW {
            return Due::Nothing;
        }
        if let Some(at) = self.not_before.filter(|at| *at > now) {
            return Due::At(at);
        }
        let at = if facts.last_seq <= self.can_wait_to {
            since + BATCH_DELAY
        } else {
            self.last_batch.map_or(now, |last| last + OBJECTIVE_DELAY)
        };
        if facts.ended || unsent >= BATCH_POINTS || at <= now {
            Due::Points(self.next_seq)
        } else {
            Due::At(at)
        }
    }

    /// Whether `count` points that were read are to be sent at once. If not, they are due again later, with what came meanwhile.
    pub(super) fn is_batch_due(
        &mut self,
        facts: Facts,
        count: u64,
        has_objective: bool,
        now: Instant,
    ) -> bool {
        let waited = self.waiting_since.is_some_and(|since| since + BATCH_DELAY <= now);
        let due = has_objective || facts.ended || count >= BATCH_POINTS || waited;
        if !due {
            self.can_wait_to = self.last_sent().saturating_add(count);
        }
        due
    }

    /// The start was told.
    pub(super) fn started_sent(&mut self) {
        self.told_started = true;
    }

    /// The checkpoint of this step was told of.
    pub(super) fn checkpoint_sent(&mut self, step: i64) {
        self.told_checkpoint = self.told_checkpoint.max(Some(step));
    }

    /// The next `count` points are on their way.
    pub(super) fn points_sent(&mut self, count: u64, now: Instant) {
        self.next_seq = self.next_seq.saturating_add(count);
        self.in_flight.push_back(self.last_sent());
        self.waiting_since = None;
        self.last_batch = Some(now);
    }

    /// Points could not be read: try again then.
    pub(super) fn defer(&mut self, until: Instant) {
        self.not_before = Some(until);
    }

    /// The end was told.
    pub(super) fn ended_sent(&mut self) {
        self.told_ended = true;
    }

    /// Points up to `committed_seq` are stored.
    pub(super) fn acknowledge(&mut self, committed_seq: u64) {
        while self.in_flight.front().is_some_and(|last| *last <= committed_seq) {
            self.in_flight.pop_front();
        }
        self.stored_seq = self.stored_seq.max(committed_seq);
        self.next_seq = self.next_seq.max(committed_seq.saturating_add(1));
    }

    /// Points from `from_seq` on are wanted again. A number that was not reached yet changes nothing.
    pub(super) fn resend(&mut self, from_seq: u64) {
        if from_seq < self.next_seq {
            self.next_seq = from_seq.max(1);
            self.in_flight.clear();
            self.can_wait_to = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn facts(last_seq: u64, ended: bool) -> Facts {
        Facts {
            started: true,
            ended,
            last_seq,
            checkpoint: None,
        }
    }

    fn told_start(committed: u64) -> Progress {
        let mut progress = Progress::after(committed);
        progress.started_sent();
        progress
    }

    #[test]
    fn the_start_comes_first_and_the_end_last() {
        let now = Instant::now();
        let mut progress = Progress::after(0);
        let unseen = Facts {
            started: false,
            ended: false,
            last_seq: 3,
            checkpoint: None,
        };
        assert_eq!(progress.due(unseen, true, now), Due::Nothing);
        assert_eq!(progress.due(facts(3, true), true, now), Due::Started);
        progress.started_sent();
        assert_eq!(progress.due(facts(3, true), true, now), Due::Points(1));
        progress.points_sent(3, now);
        assert_eq!(progress.due(facts(3, true), true, now), Due::Ended);
        progress.ended_sent();
        assert_eq!(progress.due(facts(3, true), true, now), Due::Nothing);
        let mut failed_launch = Progress::after(0);
        assert_eq!(
            failed_launch.due(
                Facts {
                    started: false,
                    ended: true,
                    last_seq: 0,
                    checkpoint: None,
                },
                true,
                now
            ),
            Due::Ended
        );
    }

    #[test]
    fn the_newest_checkpoint_is_told_of_once_what_came_before_is_stored() {
        let now = Instant::now();
        let at = |step, after_seq, ended| Facts {
            checkpoint: Some((step, after_seq)),
            ..facts(2, ended)
        };
        let mut progress = Progress::after(0);
        assert_eq!(progress.due(at(0, 0, false), true, now), Due::Started);
        progress.started_sent();
        assert_eq!(progress.due(at(0, 0, false), true, now), Due::Checkpoint);
        progress.checkpoint_sent(0);
        assert_eq!(progress.due(at(0, 0, false), true, now), Due::Points(1));
        progress.points_sent(2, now);
        assert_eq!(progress.due(at(7, 2, false), true, now), Due::Nothing);
        progress.acknowledge(1);
        assert_eq!(progress.due(at(7, 2, false), true, now), Due::Nothing);
        progress.acknowledge(2);
        assert_eq!(progress.due(at(7, 2, false), true, now), Due::Checkpoint);
        progress.checkpoint_sent(7);
        assert_eq!(progress.due(at(7, 2, true), true, now), Due::Ended);
    }

    #[test]
    fn the_end_comes_after_the_last_checkpoint() {
        let now = Instant::now();
        let ended = Facts {
            checkpoint: Some((7, 2)),
            ..facts(2, true)
        };
        let mut progress = told_start(0);
        progress.points_sent(2, now);
        assert_eq!(progress.due(ended, true, now), Due::Nothing);
        progress.acknowledge(2);
        assert_eq!(progress.due(ended, true, now), Due::Checkpoint);
        progress.checkpoint_sent(7);
        assert_eq!(progress.due(ended, true, now), Due::Ended);
        let mut cut = told_start(1);
        let beyond = Facts {
            checkpoint: Some((7, 5)),
            ..ended
        };
        cut.points_sent(1, now);
        cut.acknowledge(2);
        assert_eq!(
            cut.due(beyond, true, now),
            Due::Ended,
            "a spool that lost its tail ends all the same"
        );
    }

    #[test]
    fn points_wait_for_company_but_not_those_of_the_objective() {
        let now = Instant::now();
        let mut progress = told_start(0);
        assert_eq!(progress.due(facts(2, false), true, now), Due::Points(1));
        assert!(progress.is_batch_due(facts(2, false), 2, true, now));
        assert!(!progress.is_batch_due(facts(2, false), 2, false, now));
        assert_eq!(
            progress.due(facts(2, false), true, now),
            Due::At(now + BATCH_DELAY)
        );
        let soon = now + OBJECTIVE_DELAY;
        assert_eq!(
            progress.due(facts(3, false), true, soon),
            Due::Points(1),
            "what came since may be of the objective"
        );
        assert!(!progress.is_batch_due(facts(3, false), 3, false, soon));
        let later = now + BATCH_DELAY;
        assert_eq!(progress.due(facts(3, false), true, later), Due::Points(1));
        assert!(progress.is_batch_due(facts(9, false), 9, false, later));
        assert_eq!(
            told_start(0).due(facts(BATCH_POINTS, false), true, now),
            Due::Points(1)
        );
    }

    #[test]
    fn batches_of_a_program_that_reports_without_end_keep_their_distance() {
        let now = Instant::now();
        let mut progress = told_start(0);
        assert_eq!(progress.due(facts(1, false), true, now), Due::Points(1));
        progress.points_sent(1, now);
        let soon = now + OBJECTIVE_DELAY;
        assert_eq!(progress.due(facts(2, false), true, now), Due::At(soon));
        assert_eq!(progress.due(facts(9, false), true, soon), Due::Points(2));
        assert_eq!(
            progress.due(facts(1 + BATCH_POINTS, false), true, now),
            Due::Points(2),
            "enough for a batch"
        );
    }

    #[test]
    fn a_full_window_waits_for_an_acknowledgement() {
        let now = Instant::now();
        let mut progress = told_start(0);
        for _ in 0..ATTEMPT_WINDOW {
            assert!(matches!(
                progress.due(facts(1_000, false), true, now),
                Due::Points(_)
            ));
            progress.points_sent(100, now);
        }
        assert_eq!(progress.due(facts(1_000, false), true, now), Due::Nothing);
        progress.acknowledge(99);
        assert_eq!(
            progress.due(facts(1_000, false), true, now),
            Due::Nothing,
            "part of a batch frees nothing"
        );
        progress.acknowledge(100);
        assert_eq!(progress.due(facts(1_000, false), true, now), Due::Points(401));
        assert_eq!(
            progress.due(facts(1_000, false), false, now),
            Due::Nothing,
            "the session's window is full"
        );
    }

    #[test]
    fn what_is_wanted_again_is_sent_again() {
        let now = Instant::now();
        let mut progress = told_start(10);
        progress.points_sent(100, now);
        progress.resend(50);
        assert_eq!(progress.due(facts(110, true), true, now), Due::Points(50));
        progress.resend(0);
        assert_eq!(progress.due(facts(110, true), true, now), Due::Points(1));
        progress.resend(500);
        assert_eq!(progress.due(facts(110, true), true, now), Due::Points(1));
        progress.acknowledge(110);
        assert_eq!(
            progress.due(facts(110, true), true, now),
            Due::Ended,
            "stored meanwhile"
        );
    }

    #[test]
    fn a_spool_that_lost_its_tail_sends_nothing_and_still_ends() {
        let mut progress = told_start(100);
        assert_eq!(progress.due(facts(80, true), true, Instant::now()), Due::Ended);
        assert_eq!(progress.last_sent(), 100);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Print(u64),
        Read(u64),
        Ack(u64),
        Resend(u64),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0_u64..300).prop_map(Step::Print),
            (1_u64..512).prop_map(Step::Read),
            (0_u64..100).prop_map(Step::Ack),
            (0_u64..100).prop_map(Step::Resend),
        ]
    }

    proptest! {
        /// Against a coordinator that stores what continues its own and asks again for the rest: whatever the order, every point
        /// is stored once, in order, and the end comes last.
        #[test]
        fn everything_arrives_in_order(steps in prop::collection::vec(any_step(), 0..60)) {
            let mut now = Instant::now();
            let mut progress = told_start(0);
            let (mut printed, mut stored) = (0_u64, 0_u64);
            let mut drain = vec![Step::Read(512); 2_000];
            let mut steps = steps;
            steps.append(&mut drain);
            let total = steps.len() - 2_000;
            for (index, step) in steps.into_iter().enumerate() {
                let ended = index >= total;
                now += OBJECTIVE_DELAY;
                match step {
                    Step::Print(count) => printed += count,
                    Step::Ack(part) => progress.acknowledge(stored.min(stored * part / 100)),
                    Step::Resend(part) => progress.resend(stored * part / 100 + 1),
                    Step::Read(limit) => match progress.due(facts(printed, ended), true, now) {
                        Due::Points(from) => {
                            prop_assert!(progress.in_flight() < ATTEMPT_WINDOW);
                            prop_assert!(from <= stored + 1, "a gap: {from} after {stored}");
                            let count = limit.min(printed + 1 - from);
                            progress.points_sent(count, now);
                            stored = stored.max(from + count - 1);
                            if ended { progress.acknowledge(stored) }
                        }
                        Due::Ended => {
                            prop_assert_eq!(stored, printed);
                            progress.ended_sent();
                        }
                        // Full window: everything that was sent is stored by now.
                        Due::Nothing if ended => progress.acknowledge(stored),
                        _ => {}
                    },
                }
            }
            prop_assert_eq!(stored, printed);
            prop_assert!(progress.told_ended);
        }
    }
}
