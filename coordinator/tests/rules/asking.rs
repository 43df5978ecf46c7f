//! Asking again with the same request id.

use super::*;

fn ask(desk: &mut Desk, count: u32, request: Option<(RequestId, [u8; 32])>) -> Vec<Given> {
    let ttl = Some(LEASE);
    desk.step(|core, out, ctx| core.ask(out, ctx, count, "me", ttl, request))
        .unwrap()
}

fn numbers(given: &[Given]) -> Vec<u64> {
    given.iter().map(|given| given.trial.0).collect()
}

#[test]
fn asking_again_with_the_same_request_id_returns_the_same_trial() {
    let mut desk = Desk::new("");
    let first = desk.ask(request(7, 1)).unwrap();
    desk.clock.advance(Duration::from_secs(1));
    assert_eq!(desk.ask(request(7, 1)).unwrap(), first);
    assert_eq!(desk.changes, Changes::default());
    assert_eq!(
        desk.ask(request(7, 2)),
        Err(CoreError::RequestReused(RequestId(Uuid::from_u128(7))))
    );
    assert_ne!(desk.ask(request(8, 1)).unwrap()[0].trial, first[0].trial);
}

#[test]
fn trials_that_were_told_or_stopped_meanwhile_are_named_again() {
    let mut desk = Desk::new("budget: {trials: 3}");
    let first = ask(&mut desk, 3, request(7, 1));
    assert_eq!(numbers(&first), [1, 2, 3]);
    desk.clock.advance(Duration::from_secs(1));
    desk.tell(TrialNumber(2), Some(0.5), None).unwrap();
    desk.step(|core, out, ctx| core.stop_trial(out, ctx, TrialNumber(3), "kim"))
        .unwrap();
    let again = ask(&mut desk, 3, request(7, 1));
    assert_eq!(numbers(&again), [1, 2, 3]);
    assert_eq!(again[0], first[0]);
    assert_eq!((again[1].at, &again[1].held), (first[1].at, &None));
    // It runs still, and is its caller's to end.
    let (before, now) = (first[2].held.as_ref().unwrap(), again[2].held.as_ref().unwrap());
    assert_eq!((now.lease, now.row.state.name()), (before.lease, "STOPPING"));
    for trial in [1, 3] {
        desk.tell(TrialNumber(trial), Some(0.5), None).unwrap();
    }
    assert_eq!(desk.core.state(), StudyState::Done(DoneReason::Budget));
    assert_eq!(numbers(&ask(&mut desk, 3, request(7, 1))), [1, 2, 3]);
}

#[test]
fn a_trial_that_another_caller_has_by_now_is_not_handed_out_with_the_others_lease() {
    let mut desk = Desk::new("");
    let first = ask(&mut desk, 1, request(7, 1));
    desk.clock.advance(LEASE + Duration::from_secs(1));
    desk.expire(&HashMap::new());
    let lost = ask(&mut desk, 1, request(7, 1));
    assert_eq!((numbers(&lost), &lost[0].held), (vec![1], &None));
    desk.clock.advance(Duration::from_secs(2));
    let others = ask(&mut desk, 1, request(8, 1));
    assert_eq!(numbers(&others), [1]);
    let again = ask(&mut desk, 1, request(7, 1));
    assert_eq!(
        (again[0].trial, again[0].at, &again[0].held),
        (first[0].trial, first[0].at, &None)
    );
    assert_eq!(ask(&mut desk, 1, request(8, 1)), others);
}
