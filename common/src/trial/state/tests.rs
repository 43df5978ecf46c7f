use std::fmt::Write as _;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn lease_id(n: u8) -> LeaseId {
    LeaseId(Uuid::from_u128(u128::from(n)))
}

fn worker() -> Holder {
    Holder::Worker(WorkerId(Uuid::from_u128(7)))
}

fn early() -> StopReason {
    StopReason::EarlyStopped {
        rule: "median".to_owned(),
        text: "0.1 < 0.5".to_owned(),
    }
}

fn timed_out() -> StopReason {
    StopReason::TimedOut {
        limit: "max_runtime 30m".to_owned(),
    }
}

fn cancelled() -> StopReason {
    StopReason::Cancelled { by: "kim".to_owned() }
}

fn paused() -> StopReason {
    StopReason::Paused {
        text: "rank 5 of 9".to_owned(),
    }
}

fn all_events(id: LeaseId) -> Vec<Event> {
    vec![
        Event::Lease {
            id: lease_id(200),
            holder: worker(),
        },
        Event::Started(id),
        Event::Finished(id),
        Event::Failed(id, FailureCause::ExitCode { code: 1 }),
        Event::Failed(
            id,
            FailureCause::Infeasible {
                reason: "too wide".to_owned(),
            },
        ),
        Event::LeaseExpired(id),
        Event::HandedBack(id),
        Event::Paused(id),
        Event::Resumed,
        Event::MoreTime,
        Event::StopRequested(early()),
        Event::StopRequested(cancelled()),
        Event::StopRequested(paused()),
    ]
}

fn all_states() -> Vec<TrialState> {
    let lease = Lease {
        attempt: Attempt(1),
        id: lease_id(1),
        holder: worker(),
    };
    vec![
        TrialState::Pending,
        TrialState::Leased(lease.clone()),
        TrialState::Running(lease.clone()),
        TrialState::Stopping(lease.clone(), early()),
        TrialState::Stopping(lease.clone(), timed_out()),
        TrialState::Stopping(lease, paused()),
        TrialState::Paused,
        TrialState::Completed,
        TrialState::EarlyStopped(early()),
        TrialState::TimedOut(timed_out()),
        TrialState::Failed(FailureCause::OutOfMemory),
        TrialState::Cancelled(cancelled()),
    ]
}

/// Every pair of state and event, with what comes of it, as one table to read and to guard.
#[test]
fn every_event_in_every_state() {
    let mut table = String::new();
    for state in all_states() {
        for event in all_events(lease_id(1)) {
            let mut trial = Trial::restore(state.clone(), Attempt(1), 0, 0, 0);
            let name = match &event {
                Event::Failed(_, cause) => format!("failed ({})", cause.name()),
                Event::StopRequested(reason) => {
                    format!("stop requested ({})", TrialState::stopped(reason.clone()).name())
                }
                event => event.name().to_owned(),
            };
            let from = match &state {
                TrialState::Stopping(_, reason) => {
                    format!("STOPPING ({})", TrialState::stopped(reason.clone()).name())
                }
                state => state.name().to_owned(),
            };
            let result = match trial.apply(event) {
                Ok(effects) => {
                    let effects: Vec<_> = effects
                        .iter()
                        .map(|effect| match effect {
                            Effect::AskToStop(..) => "ask to stop",
                            Effect::Requeue { .. } => "requeue",
                            Effect::RecordOutcome => "record outcome",
                        })
                        .collect();
                    let to = match trial.state() {
                        TrialState::Stopping(_, reason) => {
                            format!("STOPPING ({})", TrialState::stopped(reason.clone()).name())
                        }
                        state => state.name().to_owned(),
                    };
                    format!("{to} {}", effects.join(", "))
                }
                Err(TransitionError::StaleLease { .. }) => "- stale lease".to_owned(),
                Err(TransitionError::Illegal { .. }) => "- illegal".to_owned(),
            };
            writeln!(table, "{from:<25} {name:<30} {}", result.trim_end()).unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_crash_is_retried_as_often_as_the_study_says_and_a_lost_worker_is_not_charged_to_the_program() {
    let mut trial = Trial::new(1);
    for (n, cause) in [
        FailureCause::LeaseExpired,
        FailureCause::ExitCode { code: 1 },
        FailureCause::WorkerLost {
            reason: "reboot".to_owned(),
        },
    ]
    .into_iter()
    .enumerate()
    {
        let id = lease_id(u8::try_from(n).unwrap());
        trial.apply(Event::Lease { id, holder: worker() }).unwrap();
        trial.apply(Event::Started(id)).unwrap();
        let effects = trial.apply(Event::Failed(id, cause)).unwrap();
        assert!(matches!(effects[..], [Effect::Requeue { .. }]), "{effects:?}");
    }
    trial
        .apply(Event::Lease {
            id: lease_id(9),
            holder: worker(),
        })
        .unwrap();
    let effects = trial
        .apply(Event::Failed(lease_id(9), FailureCause::ExitCode { code: 1 }))
        .unwrap();
    assert_eq!(effects, [Effect::RecordOutcome]);
    assert_eq!(
        (trial.program_failures(), trial.infrastructure_failures()),
        (2, 2)
    );
}

#[test]
fn waiting_doubles_with_each_failure_up_to_five_minutes() {
    use crate::trial::cause::backoff;
    let waits: Vec<u64> = [1, 2, 3, 9, 10, 100]
        .into_iter()
        .map(|n| backoff(n).as_secs())
        .collect();
    assert_eq!(waits, [1, 2, 4, 256, 300, 300]);
}

fn any_cause() -> impl Strategy<Value = FailureCause> {
    prop_oneof![
        Just(FailureCause::ExitCode { code: 1 }),
        Just(FailureCause::OutOfMemory),
        Just(FailureCause::Infeasible {
            reason: String::new()
        }),
        Just(FailureCause::Launch {
            reason: "no such file".to_owned()
        }),
        Just(FailureCause::WorkerLost {
            reason: String::new()
        }),
    ]
}

fn any_event() -> impl Strategy<Value = Event> {
    let id = || (0_u8..6).prop_map(lease_id);
    prop_oneof![
        3 => id().prop_map(|id| Event::Lease { id, holder: worker() }),
        3 => id().prop_map(Event::Started),
        1 => id().prop_map(Event::Finished),
        2 => (id(), any_cause()).prop_map(|(id, cause)| Event::Failed(id, cause)),
        1 => id().prop_map(Event::LeaseExpired),
        1 => id().prop_map(Event::HandedBack),
        1 => id().prop_map(Event::Paused),
        1 => Just(Event::Resumed),
        1 => prop_oneof![Just(early()), Just(timed_out()), Just(cancelled())].prop_map(Event::StopRequested),
    ]
}

proptest! {
    /// Whatever is sent, in whatever order: a final state stays, a report under another lease is refused, a refused event
    /// changes nothing, attempts never go back, and their number is bounded by the budgets.
    #[test]
    fn any_history_keeps_the_invariants(retries in 0_u32..4, events in prop::collection::vec(any_event(), 0..120)) {
        let mut trial = Trial::new(retries);
        for event in events {
            let before = trial.clone();
            let id = event.lease_id();
            match trial.apply(event) {
                Err(_) => prop_assert_eq!(&trial, &before),
                Ok(effects) => {
                    prop_assert!(!before.state().is_final());
                    if let Some(id) = id {
                        prop_assert_eq!(before.state().lease().map(|lease| lease.id), Some(id));
                    }
                    prop_assert_eq!(trial.state().is_final(), effects.contains(&Effect::RecordOutcome));
                }
            }
            prop_assert!(trial.attempt() >= before.attempt());
            if let Some(lease) = trial.state().lease() {
                prop_assert_eq!(lease.attempt, trial.attempt());
            }
            prop_assert!(trial.program_failures() <= retries + 1);
            prop_assert!(trial.infrastructure_failures() <= INFRASTRUCTURE_RETRIES + 1);
        }
    }

    /// However the stop and the end of the program cross, a person's cancellation is never shown as anything else.
    #[test]
    fn a_cancelled_trial_ends_as_cancelled(first in prop_oneof![Just(early()), Just(timed_out())], crash in any::<bool>()) {
        let mut trial = Trial::new(3);
        trial.apply(Event::Lease { id: lease_id(1), holder: worker() }).unwrap();
        trial.apply(Event::StopRequested(first)).unwrap();
        trial.apply(Event::StopRequested(cancelled())).unwrap();
        trial.apply(Event::StopRequested(early())).unwrap();
        let end = if crash { Event::Failed(lease_id(1), FailureCause::OutOfMemory) } else { Event::Finished(lease_id(1)) };
        trial.apply(end).unwrap();
        prop_assert_eq!(trial.state(), &TrialState::Cancelled(cancelled()));
    }
}
