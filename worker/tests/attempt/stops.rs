//! Stopping programs, those that do not want to included.

use std::time::Duration;

use tunesmith_common::worker::{AttemptOutcome, StopCause};
use tunesmith_worker::attempt::{StopKind, StopRequest};

use crate::world::{World, alive, content, eventually, folder, shell};

fn stop(kind: StopKind, grace: Duration) -> StopRequest {
    StopRequest {
        kind,
        reason: "median: 0.1 < 0.5".to_owned(),
        grace,
    }
}

const LONG: Duration = Duration::from_secs(3600);

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_listens_has_its_grace_and_its_last_report_counts() {
    let mut world = World::new().await;
    let attempt = world
        .script(
            r#"trap 'cat "$TUNESMITH_STOP_FILE"; echo; echo "{\"loss\":0.5,\"epoch\":9}"; exit 0' TERM
            echo ready > ready; while :; do sleep 0.01; done"#,
        )
        .await;
    content(&world.folder(&attempt).parent().unwrap().join("ready")).await;
    attempt.request_stop(stop(StopKind::Asked, LONG)).await.unwrap();
    attempt.request_stop(stop(StopKind::Asked, LONG)).await.unwrap();
    let end = world.end_of(&attempt).await;
    assert_eq!(
        (&end.outcome, end.stop_cause),
        (&AttemptOutcome::Exited(0), Some(StopCause::Asked))
    );
    assert_eq!(end.last_seq, 1);
    let log = std::fs::read_to_string(world.folder(&attempt).join("stdout.log")).unwrap();
    assert!(log.starts_with(r#"{"reason":"median: 0.1 < 0.5"}"#), "{log}");
    attempt.request_stop(stop(StopKind::Asked, LONG)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_that_do_not_listen_are_killed_with_all_they_started() {
    let mut world = World::new().await;
    let attempt = world
        .script(
            r#"trap '' TERM
            setsid sh -c 'trap "" TERM; (setsid sleep 1000 &); while :; do sleep 1000; done' &
            i=0; while [ $i -lt 50 ]; do sleep 1000 & i=$((i+1)); done
            echo ready > ready; while :; do sleep 1000; done"#,
        )
        .await;
    content(&world.folder(&attempt).parent().unwrap().join("ready")).await;
    attempt
        .request_stop(stop(StopKind::Asked, Duration::from_millis(50)))
        .await
        .unwrap();
    let end = world.end_of(&attempt).await;
    assert_eq!(
        (end.outcome, end.stop_cause),
        (AttemptOutcome::Signalled(9), Some(StopCause::Asked))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_has_halted_itself_is_stopped() {
    let mut world = World::new().await;
    let attempt = world.script("echo $$ > pid; kill -STOP $$; sleep 1000").await;
    let pid = content(&world.folder(&attempt).parent().unwrap().join("pid")).await;
    let halted = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        stat.contains(") T ")
    };
    eventually("it has halted", halted).await;
    attempt.request_stop(stop(StopKind::Asked, LONG)).await.unwrap();
    let end = world.end_of(&attempt).await;
    assert_eq!(
        (end.outcome, end.stop_cause),
        (AttemptOutcome::Signalled(15), Some(StopCause::Asked))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn max_runtime_stops_a_program_even_without_a_daemon() {
    let world = World::new().await;
    let mut assignment = shell("echo '{\"loss\":1}'; exec sleep 1000");
    assignment.spec.max_runtime = Some(Duration::from_millis(300));
    let lease = assignment.lease;
    let attempt = world.launch(assignment).await;
    let folder = world.folder(&attempt);
    content(&folder.join("state.json")).await;
    let gone = world.without_daemon().await;
    content(&folder.join("exit.json")).await;
    let mut world = World::again(gone).await;
    let attempt = world.store.attempt(&lease).unwrap();
    let end = world.end_of(&attempt).await;
    assert_eq!(
        (end.outcome, end.stop_cause),
        (
            AttemptOutcome::Signalled(15),
            Some(StopCause::MaxRuntime(Duration::from_millis(300)))
        )
    );
    assert_eq!(end.last_seq, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_lease_kills_at_once_and_keeps_the_files() {
    let mut world = World::new().await;
    let attempt = world
        .script("trap '' TERM; echo '{\"loss\":1}'; while :; do sleep 1000; done")
        .await;
    eventually("a point is read", || attempt.last_seq() == 1).await;
    attempt.request_stop(stop(StopKind::Drain, LONG)).await.unwrap();
    attempt.kill_stale().await.unwrap();
    let end = world.end_of(&attempt).await;
    assert!(
        matches!(&end.outcome, AttemptOutcome::Lost(text) if text.contains("lease")),
        "{end:?}"
    );
    assert_eq!(end.stop_cause, None);
    assert!(world.folder(&attempt).join("spool/points").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_attempt_is_handed_back_unless_it_was_asked_to_stop() {
    for asked in [false, true] {
        let mut world = World::new().await;
        let attempt = world.script("trap 'until [ -e go ]; do sleep 0.01; done; exit 0' TERM; echo > ready; while :; do sleep 0.01; done").await;
        let trial = world.folder(&attempt).parent().unwrap().to_owned();
        content(&trial.join("ready")).await;
        attempt.request_stop(stop(StopKind::Drain, LONG)).await.unwrap();
        content(&world.folder(&attempt).join("stop")).await;
        if asked {
            attempt.request_stop(stop(StopKind::Asked, LONG)).await.unwrap();
        }
        std::fs::write(trial.join("go"), "").unwrap();
        let end = world.end_of(&attempt).await;
        let expected = if asked {
            (AttemptOutcome::Exited(0), Some(StopCause::Asked))
        } else {
            (AttemptOutcome::HandedBack, None)
        };
        assert_eq!((end.outcome, end.stop_cause), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_training_without_a_daemon_for_too_long_is_stopped() {
    let world = World::with(|options| options.orphan_timeout = Duration::from_millis(1)).await;
    let attempt = world.script("exec sleep 1000").await;
    let lease = attempt.lease();
    let path = folder(&world.options, &lease);
    // While there is a daemon, the timeout does not matter.
    eventually("it has started", || attempt.started().is_some()).await;
    assert!(!alive(&path).is_empty());
    let gone = world.without_daemon().await;
    content(&path.join("exit.json")).await;
    let mut world = World::again(gone).await;
    let attempt = world.store.attempt(&lease).unwrap();
    let end = world.end_of(&attempt).await;
    assert!(
        matches!(&end.outcome, AttemptOutcome::Lost(text) if text.contains("no worker daemon")),
        "{end:?}"
    );
}
