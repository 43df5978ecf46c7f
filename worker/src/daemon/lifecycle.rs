//! When the worker ends: a pure account of what was asked, what still runs and what time it is.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::{Config, OnExit};

/// Time to tell the coordinator about ended trials before the worker leaves without.
const REPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// What the owner of the worker asks of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shutdown {
    /// Work.
    #[default]
    No,
    /// End in good order.
    Graceful,
    /// End now.
    AtOnce,
}

/// Attempts on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Census {
    /// Attempts that have not ended.
    pub(crate) live: usize,
    /// Attempts whose end the coordinator has not taken over, live ones included.
    pub(crate) held: usize,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Go on.
    Go,
    /// From here on the worker is leaving: tell the coordinator, and deal with running trials by this policy. Said once.
    Begin(OnExit),
    /// Nothing is left to do: leave.
    Done,
    /// Trials did not stop in time: leave nonetheless.
    TimedOut,
    /// Leave now.
    AtOnce,
}

#[derive(Debug)]
struct Leaving {
    policy: OnExit,
    deadline: Option<Instant>,
    report_by: Option<Instant>,
}

/// When the worker ends.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    policy: OnExit,
    drain_timeout: Duration,
    exit_when_idle: Option<Duration>,
    idle_since: Option<Instant>,
    leaving: Option<Leaving>,
}

impl Lifecycle {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            policy: config.on_exit,
            drain_timeout: config.drain_timeout,
            exit_when_idle: config.exit_when_idle,
            idle_since: None,
            leaving: None,
        }
    }

    /// Whether the worker takes nothing new.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    /// What becomes of running trials.
    pub(crate) fn policy(&self) -> OnExit {
        self.leaving
            .as_ref()
            .map_or(self.policy, |leaving| leaving.policy)
    }

    /// What to do at `now`.
    pub(crate) fn check(&mut self, now: Instant, requested: Shutdown, census: Census) -> Verdict {
        if requested == Shutdown::AtOnce {
            return Verdict::AtOnce;
        }
        if let Some(leaving) = &mut self.leaving {
            return leaving.check(now, census);
        }
        if requested == Shutdown::Graceful {
            return self.begin(self.policy, now, census);
        }
        match self.exit_when_idle {
            Some(limit) if census.live == 0 => {
                let since = *self.idle_since.get_or_insert(now);
                if now.duration_since(since) >= limit {
                    return self.begin(OnExit::Finish, now, census);
                }
            }
            _ => self.idle_since = None,
        }
        Verdict::Go
    }

    /// When to check again though nothing happened.
    pub(crate) fn next_check(&self) -> Option<Instant> {
        match &self.leaving {
            Some(leaving) => leaving.report_by.or(leaving.deadline),
            None => self
                .idle_since
                .zip(self.exit_when_idle)
                .map(|(since, limit)| since + limit),
        }
    }

    fn begin(&mut self, policy: OnExit, now: Instant, census: Census) -> Verdict {
        let deadline = (policy == OnExit::Stop).then(|| now + self.drain_timeout);
        self.leaving = Some(Leaving {
            policy,
            deadline,
            report_by: None,
        });
        // With nothing to hand over there is no need to tell the coordinator first; leaving the trials alone is for the caller.
        if census.held == 0 && policy != OnExit::Leave {
            Verdict::Done
        } else {
            Verdict::Begin(policy)
        }
    }
}

impl Leaving {
    fn check(&mut self, now: Instant, census: Census) -> Verdict {
        if census.held == 0 {
            return Verdict::Done;
        }
        if census.live > 0 {
            self.report_by = None;
            return match self.deadline {
                Some(deadline) if now >= deadline => Verdict::TimedOut,
                _ => Verdict::Go,
            };
        }
        // What is not told by then is on disk, and the next start on this state folder tells it.
        let report_by = *self.report_by.get_or_insert(now + REPORT_TIMEOUT);
        if now >= report_by {
            Verdict::Done
        } else {
            Verdict::Go
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Census = Census { live: 0, held: 0 };
    const RUNNING: Census = Census { live: 1, held: 1 };
    const ENDED: Census = Census { live: 0, held: 1 };

    fn lifecycle(policy: OnExit, exit_when_idle: Option<u64>) -> Lifecycle {
        Lifecycle {
            policy,
            drain_timeout: Duration::from_secs(60),
            exit_when_idle: exit_when_idle.map(Duration::from_secs),
            idle_since: None,
            leaving: None,
        }
    }

    #[test]
    fn leaving_waits_for_trials_to_stop_and_for_their_ends_to_be_stored() {
        let mut life = lifecycle(OnExit::Stop, None);
        let start = Instant::now();
        assert_eq!(life.check(start, Shutdown::No, RUNNING), Verdict::Go);
        assert_eq!(
            life.check(start, Shutdown::Graceful, RUNNING),
            Verdict::Begin(OnExit::Stop)
        );
        assert_eq!(life.check(start, Shutdown::Graceful, RUNNING), Verdict::Go);
        assert_eq!(life.next_check(), Some(start + Duration::from_secs(60)));
        assert_eq!(life.check(start, Shutdown::Graceful, ENDED), Verdict::Go);
        assert_eq!(life.next_check(), Some(start + REPORT_TIMEOUT));
        assert_eq!(life.check(start, Shutdown::Graceful, NOTHING), Verdict::Done);
    }

    #[test]
    fn leaving_does_not_wait_for_ever() {
        let mut life = lifecycle(OnExit::Stop, None);
        let start = Instant::now();
        life.check(start, Shutdown::Graceful, RUNNING);
        assert_eq!(
            life.check(start + Duration::from_secs(60), Shutdown::Graceful, RUNNING),
            Verdict::TimedOut
        );
        life.check(start, Shutdown::Graceful, ENDED);
        assert_eq!(
            life.check(start + REPORT_TIMEOUT, Shutdown::Graceful, ENDED),
            Verdict::Done
        );
        assert_eq!(life.check(start, Shutdown::AtOnce, RUNNING), Verdict::AtOnce);
    }

    #[test]
    fn finishing_has_no_deadline() {
        let mut life = lifecycle(OnExit::Finish, None);
        let start = Instant::now();
        assert_eq!(
            life.check(start, Shutdown::Graceful, RUNNING),
            Verdict::Begin(OnExit::Finish)
        );
        assert_eq!(life.next_check(), None);
        assert_eq!(
            life.check(
                start + Duration::from_secs(1_000_000),
                Shutdown::Graceful,
                RUNNING
            ),
            Verdict::Go
        );
    }

    #[test]
    fn an_idle_worker_ends_and_a_trial_starts_the_wait_anew() {
        let mut life = lifecycle(OnExit::Stop, Some(600));
        let start = Instant::now();
        let later = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(life.check(start, Shutdown::No, NOTHING), Verdict::Go);
        assert_eq!(life.check(later(500), Shutdown::No, RUNNING), Verdict::Go);
        assert_eq!(life.check(later(700), Shutdown::No, NOTHING), Verdict::Go);
        assert_eq!(life.next_check(), Some(later(1300)));
        assert_eq!(life.check(later(1300), Shutdown::No, NOTHING), Verdict::Done);
    }
}
