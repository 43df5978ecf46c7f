//! When to ask a program to end, and when to end it. Pure: time and facts are arguments, actions are values.

use std::time::Duration;

use tunesmith_common::clock::Monotonic;

use crate::attempt::records::StopWhy;

/// Between SIGTERM to everything and SIGKILL to everything.
const KILL_AFTER: Duration = Duration::from_secs(5);
/// Killing is repeated this often until nothing is left: a process may fork while it is being killed.
const KILL_AGAIN: Duration = Duration::from_millis(50);

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Write the stop file.
    Announce(String),
    /// SIGTERM to the program itself.
    TerminateLeader,
    /// SIGTERM to everything it started, too.
    TerminateAll,
    /// SIGKILL to everything.
    KillAll,
}

/// What is known at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// Whether the program itself runs.
    pub(super) leader: bool,
    /// Whether anything it started runs. Looked up only once it matters.
    pub(super) others: bool,
}

/// The plan for one attempt.
#[derive(Debug)]
pub(super) struct Plan {
    max_runtime: Option<(Monotonic, Duration)>,
    grace: Duration,
    stop: Option<Stop>,
    leader_ended: Option<Monotonic>,
    terminated_all: bool,
    killed_at: Option<Monotonic>,
}

#[derive(Debug)]
struct Stop {
    why: StopWhy,
    began: Monotonic,
    grace: Duration,
    reason: String,
    announced: bool,
}

impl Plan {
    /// A plan for a program that starts at `now`. `grace` is for stops that begin here.
    pub(super) fn new(now: Monotonic, max_runtime: Option<Duration>, grace: Duration) -> Self {
        Self {
            max_runtime: max_runtime.map(|limit| (now + limit, limit)),
            grace,
            stop: None,
            leader_ended: None,
            terminated_all: false,
            killed_at: None,
        }
    }

    /// Asks for a stop. Of several, the first one says why, but that a request takes the place of a drain and a lost lease
    /// that of everything; the shortest grace counts.
    pub(super) fn stop(&mut self, now: Monotonic, why: StopWhy, reason: &str, grace: Duration) {
        if self.leader_ended.is_some() && self.stop.is_none() && why != StopWhy::Stale {
            return;
        }
        match &mut self.stop {
            None => {
                let reason = reason.to_owned();
                self.stop = Some(Stop {
                    why,
                    began: now,
                    grace,
                    reason,
                    announced: false,
                });
            }
            Some(stop) => {
                let until = stop.began + stop.grace;
                if now + grace < until {
                    stop.grace = (now + grace).saturating_since(stop.began);
                }
                if why == StopWhy::Stale || (why == StopWhy::Asked && stop.why == StopWhy::Drain) {
                    stop.why = why;
                }
            }
        }
    }

    /// Asks for a stop with the attempt's own grace.
    pub(super) fn stop_here(&mut self, now: Monotonic, why: StopWhy, reason: &str) {
        self.stop(now, why, reason, self.grace);
    }

    /// Why the program is being stopped, if it is.
    pub(super) fn why(&self) -> Option<StopWhy> {
        self.stop.as_ref().map(|stop| stop.why)
    }

    /// What to do now, in order.
    pub(super) fn step(&mut self, now: Monotonic, facts: Facts) -> Vec<Action> {
        let mut actions = Vec::new();
        if let Some((deadline, limit)) = self.max_runtime
            && now >= deadline
            && self.stop.is_none()
        {
            self.stop_here(
                now,
                StopWhy::MaxRuntime,
                &format!("max_runtime of {} s is over", limit.as_secs_f64()),
            );
        }
        if !facts.leader && self.leader_ended.is_none() {
            self.leader_ended = Some(now);
        }
        if !facts.leader && !facts.others {
            return actions;
        }
        if let Some(stop) = &mut self.stop
            && !stop.announced
        {
            stop.announced = true;
            actions.push(Action::Announce(stop.reason.clone()));
            if facts.leader && stop.why != StopWhy::Stale {
                actions.push(Action::TerminateLeader);
            }
        }
        if self.terminate_at().is_some_and(|at| now >= at) && !self.terminated_all {
            self.terminated_all = true;
            actions.push(Action::TerminateAll);
        }
        if self.kill_at().is_some_and(|at| now >= at) {
            self.killed_at = Some(now);
            actions.push(Action::KillAll);
        }
        actions
    }

    /// When [`Self::step`] has something to do, if nothing happens before.
    pub(super) fn next(&self) -> Option<Monotonic> {
        if let Some(killed) = self.killed_at {
            return Some(killed + KILL_AGAIN);
        }
        let runtime = self
            .max_runtime
            .map(|(deadline, _)| deadline)
            .filter(|_| self.stop.is_none());
        let terminate = self.terminate_at().filter(|_| !self.terminated_all);
        [runtime, terminate, self.kill_at()].into_iter().flatten().min()
    }

    fn terminate_at(&self) -> Option<Monotonic> {
        let stopped = self.stop.as_ref().map(|stop| stop.began + stop.grace);
        [stopped, self.leader_ended].into_iter().flatten().min()
    }

    fn kill_at(&self) -> Option<Monotonic> {
        match &self.stop {
            Some(stop) if stop.why == StopWhy::Stale => Some(stop.began),
            _ => self.terminate_at().map(|at| at + KILL_AFTER),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNS: Facts = Facts {
        leader: true,
        others: false,
    };
    const CHILDREN: Facts = Facts {
        leader: false,
        others: true,
    };
    const GONE: Facts = Facts {
        leader: false,
        others: false,
    };

    fn at(seconds: u64) -> Monotonic {
        Monotonic(Duration::from_secs(seconds))
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_stop_is_announced_then_terminates_the_leader_then_the_group_then_kills() {
        let mut plan = Plan::new(at(0), None, secs(99));
        assert_eq!((plan.step(at(1), RUNS), plan.next()), (vec![], None));
        plan.stop(at(2), StopWhy::Asked, "median", secs(30));
        assert_eq!(
            plan.step(at(2), RUNS),
            [Action::Announce("median".to_owned()), Action::TerminateLeader]
        );
        assert_eq!((plan.step(at(31), RUNS), plan.next()), (vec![], Some(at(32))));
        assert_eq!(
            (plan.step(at(32), RUNS), plan.next()),
            (vec![Action::TerminateAll], Some(at(37)))
        );
        assert_eq!(plan.step(at(36), RUNS), []);
        assert_eq!(plan.step(at(37), RUNS), [Action::KillAll]);
        assert_eq!(plan.next(), Some(at(37) + KILL_AGAIN));
        assert_eq!(
            plan.step(at(38), CHILDREN),
            [Action::KillAll],
            "killing goes on until nothing is left"
        );
        assert_eq!(plan.step(at(39), GONE), []);
    }

    #[test]
    fn what_outlives_the_program_is_terminated_at_once_and_killed_soon() {
        let mut plan = Plan::new(at(0), Some(secs(100)), secs(99));
        assert_eq!(plan.step(at(1), CHILDREN), [Action::TerminateAll]);
        assert_eq!((plan.step(at(2), CHILDREN), plan.next()), (vec![], Some(at(6))));
        assert_eq!(plan.step(at(6), CHILDREN), [Action::KillAll]);
        assert_eq!(plan.why(), None);
        plan.stop(at(7), StopWhy::Asked, "late", secs(30));
        assert_eq!(plan.why(), None, "the program ended by itself");
    }

    #[test]
    fn max_runtime_counts_from_the_start_and_uses_the_attempts_grace() {
        let mut plan = Plan::new(at(10), Some(secs(100)), secs(20));
        assert_eq!(plan.next(), Some(at(110)));
        assert_eq!(plan.step(at(109), RUNS), []);
        let reason = "max_runtime of 100 s is over".to_owned();
        assert_eq!(
            plan.step(at(110), RUNS),
            [Action::Announce(reason), Action::TerminateLeader]
        );
        assert_eq!(
            (plan.why(), plan.next()),
            (Some(StopWhy::MaxRuntime), Some(at(130)))
        );
        plan.stop(at(111), StopWhy::Asked, "cancelled", secs(60));
        assert_eq!(
            (plan.why(), plan.next()),
            (Some(StopWhy::MaxRuntime), Some(at(130)))
        );
    }

    #[test]
    fn a_lost_lease_kills_at_once_whatever_went_before() {
        let mut plan = Plan::new(at(0), None, secs(20));
        plan.stop(at(1), StopWhy::Drain, "leaving", secs(600));
        plan.step(at(1), RUNS);
        plan.stop(at(2), StopWhy::Asked, "cancelled", secs(3));
        assert_eq!(
            (plan.why(), plan.next()),
            (Some(StopWhy::Asked), Some(at(5))),
            "the shorter grace counts"
        );
        plan.stop(at(3), StopWhy::Stale, "stale", Duration::ZERO);
        assert_eq!(plan.step(at(3), RUNS).last(), Some(&Action::KillAll));
        assert_eq!(plan.why(), Some(StopWhy::Stale));
    }

    #[test]
    fn a_request_that_crosses_the_end_of_a_drained_program_still_counts() {
        let mut plan = Plan::new(at(0), None, secs(20));
        plan.stop(at(1), StopWhy::Drain, "leaving", secs(600));
        plan.step(at(1), RUNS);
        plan.step(at(2), GONE);
        plan.stop(at(2), StopWhy::Asked, "cancelled", secs(3));
        assert_eq!(plan.why(), Some(StopWhy::Asked));
    }

    #[test]
    fn a_stop_without_grace_kills_after_five_seconds() {
        let mut plan = Plan::new(at(0), None, secs(20));
        plan.stop(at(1), StopWhy::Asked, "now", Duration::ZERO);
        let announced = Action::Announce("now".to_owned());
        assert_eq!(
            plan.step(at(1), RUNS),
            [announced, Action::TerminateLeader, Action::TerminateAll]
        );
        assert_eq!(plan.step(at(6), RUNS), [Action::KillAll]);
    }
}
