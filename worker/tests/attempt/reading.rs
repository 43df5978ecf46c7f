//! What is read of what programs print, write and say.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;

use tunesmith_common::study::MetricSource;
use tunesmith_common::worker::AttemptOutcome;
use tunesmith_worker::attempt::{
    Attempt, AttemptEventKind, LogChunk, LogStart, LogStream, StopKind, StopRequest,
};

use crate::world::{World, content, eventually, points, shell};

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_log_and_metrics_are_found_amid_it() {
    let mut world = World::new().await;
    let attempt = world
        .script(
            r#"head -c 100000 /dev/urandom; echo
            echo '{"metric": "loss", "value":'
            head -c 50000000 /dev/zero | tr '\0' 'x'; echo
            printf '\033[32mgreen\033[0m\r{"loss": 0.5, "epoch": 1}\n'
            echo '{"loss": null, "epoch": 2}'
            printf '{"loss": NaN, "epoch": 3}'"#,
        )
        .await;
    let end = world.end_of(&attempt).await;
    assert_eq!(end.outcome, AttemptOutcome::Exited(0));
    assert_eq!(points(&attempt).await, ["loss 1 0.5", "loss 3 NaN"]);
    let warnings = end.warnings.join("\n");
    assert!(warnings.contains("lines of more than 64 KiB"), "{warnings}");
    assert!(
        warnings.contains("the value of loss is no number: null (1 times)"),
        "{warnings}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn later_points_are_told_of_though_the_first_were_never_read() {
    let mut world = World::new().await;
    let attempt = world
        .script(
            r#"echo '{"loss":1}'; until [ -e go ]; do sleep 0.005; done; echo '{"loss":2}'
            until [ -e end ]; do sleep 0.005; done"#,
        )
        .await;
    let trial = world.folder(&attempt).parent().unwrap().to_owned();
    for next in ["go", "end"] {
        while world.event().await.kind != AttemptEventKind::PointsAvailable {}
        std::fs::write(trial.join(next), "").unwrap();
    }
    world.end_of(&attempt).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_never_flushes_is_read_all_the_same() {
    let mut world = World::new().await;
    // The one writes all it has when it ends; the other would take it with it.
    for (number, program) in [
        (
            1,
            r#"awk 'BEGIN { for (i = 1; i <= 3; i++) printf "{\"loss\": %d, \"epoch\": %d}\n", i, i }'"#,
        ),
        (
            2,
            r#"python3 -c 'import os
for i in (1, 2, 3): print("{\"loss\": %d, \"epoch\": %d}" % (i, i))
os._exit(0)'"#,
        ),
    ] {
        let mut assignment = shell(program);
        assignment.lease.attempt.0 = number;
        let attempt = world.launch(assignment).await;
        let end = world.end_of(&attempt).await;
        assert_eq!(end.outcome, AttemptOutcome::Exited(0), "{end:?}");
        assert_eq!(points(&attempt).await, ["loss 1 1", "loss 2 2", "loss 3 3"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_is_read_by_patterns_and_the_metrics_file_always() {
    let mut world = World::new().await;
    let mut assignment = shell(
        r#"echo 'epoch 1: loss=0.5 acc=1e-1'; echo '{"metric":"a","value":1}'
        echo '{"metric":"b","value":2,"epoch":9}' >> "$TUNESMITH_METRICS_FILE""#,
    );
    assignment.spec.metrics = MetricSource::Regex(vec![r"(?P<name>loss|acc)=(?P<value>NUMBER)".to_owned()]);
    let attempt = world.launch(assignment).await;
    world.end_of(&attempt).await;
    let mut found = points(&attempt).await;
    found.sort();
    assert_eq!(found, ["acc 1 0.1", "b 9 2", "loss 1 0.5"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_the_programs_own_is_read_even_if_it_is_written_anew() {
    let mut world = World::new().await;
    let mut assignment = shell(
        r#"echo '{"metric":"log","value":1}'; mkdir logs
        echo '{"loss":1,"epoch":1}' > logs/m.jsonl
        until [ -e go ]; do sleep 0.01; done
        echo '{"loss":2,"epoch":2}' > logs/new; mv logs/new logs/m.jsonl"#,
    );
    assignment.spec.metrics = MetricSource::File("logs/m.jsonl".to_owned());
    let attempt = world.launch(assignment).await;
    eventually("the first point is read", || attempt.last_seq() == 1).await;
    std::fs::write(world.folder(&attempt).parent().unwrap().join("go"), "").unwrap();
    world.end_of(&attempt).await;
    assert_eq!(points(&attempt).await, ["loss 1 1", "loss 2 2"]);
}

fn ask(stream: &mut BufReader<UnixStream>, line: &str) -> String {
    writeln!(stream.get_mut(), "{line}").unwrap();
    let mut answer = String::new();
    stream.read_line(&mut answer).unwrap();
    answer.trim_end().to_owned()
}

async fn connect(world: &World, attempt: &Attempt) -> BufReader<UnixStream> {
    let path = world.folder(attempt).join("socket");
    eventually("the socket answers", || UnixStream::connect(&path).is_ok()).await;
    BufReader::new(UnixStream::connect(path).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_through_the_socket_is_in_the_spool_when_it_is_answered() {
    let mut world = World::new().await;
    let attempt = world.script("until [ -e go ]; do sleep 0.01; done; exit 1").await;
    let mut socket = connect(&world, &attempt).await;
    let fine = r#"{"ok":true,"should_stop":false,"reason":null}"#;
    assert_eq!(
        ask(
            &mut socket,
            r#"{"op":"report","metrics":{"loss":0.5,"acc":NaN},"step":3}"#
        ),
        fine
    );
    assert_eq!(attempt.last_seq(), 2);
    assert_eq!(
        ask(&mut socket, r#"{"op":"report","metrics":{"loss":"0.25"}}"#),
        fine
    );
    assert_eq!(points(&attempt).await, ["loss 3 0.5", "acc 3 NaN", "loss 4 0.25"]);
    assert!(ask(&mut socket, "nonsense").starts_with(r#"{"ok":false,"error":"no JSON"#));
    assert!(ask(&mut socket, r#"{"op":"report","metrics":{"loss":"x"}}"#).contains("must be a number"));
    assert_eq!(ask(&mut socket, r#"{"op":"should_stop"}"#), fine);
    assert_eq!(
        ask(&mut socket, r#"{"op":"infeasible","reason":"too wide"}"#),
        fine
    );
    let request = StopRequest {
        kind: StopKind::Asked,
        reason: "median: worse".to_owned(),
        grace: std::time::Duration::from_secs(60),
    };
    // The program has no SIGTERM handler: it ends, and its answer may come too late.
    let mode = std::fs::metadata(world.folder(&attempt).join("socket"))
        .unwrap()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    attempt.request_stop(request).await.unwrap();
    let end = world.end_of(&attempt).await;
    assert_eq!((end.infeasible.as_deref(), end.last_seq), (Some("too wide"), 3));
    assert!(!world.folder(&attempt).join("socket").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_folder_with_a_long_name_has_its_sockets_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let long = dir.path().join("d".repeat(100));
    let mut world = World::with(|options| options.state_dir = long).await;
    let attempt = world
        .script(r#"echo "$TUNESMITH_SOCKET" > where; until [ -e go ]; do sleep 0.01; done"#)
        .await;
    let trial = world.folder(&attempt).parent().unwrap().to_owned();
    let socket = content(&trial.join("where")).await.trim_end().to_owned();
    let mut stream = BufReader::new(UnixStream::connect(&socket).unwrap());
    assert!(ask(&mut stream, r#"{"op":"report","metrics":{"loss":1}}"#).starts_with(r#"{"ok":true"#));
    std::fs::write(trial.join("go"), "").unwrap();
    world.end_of(&attempt).await;
    assert!(!std::path::Path::new(&socket).parent().unwrap().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_metrics_are_dropped_and_counted() {
    let mut world = World::new().await;
    let attempt = world
        .script(r#"i=0; while [ $i -lt 1010 ]; do echo "{\"metric\":\"m$i\",\"value\":$i}"; i=$((i+1)); done; echo '{"metric":"m5","value":1}'"#)
        .await;
    let end = world.end_of(&attempt).await;
    assert_eq!(end.last_seq, 1_001);
    assert!(
        end.warnings
            .contains(&"10 points dropped: more than 1,000 different metrics".to_owned()),
        "{end:?}"
    );
}

async fn read_log(
    world: &World,
    attempt: &Attempt,
    stream: LogStream,
    start: LogStart,
    follow: bool,
) -> LogChunk {
    let lease = attempt.lease();
    let mut reader = world
        .store
        .log(lease.study, lease.trial, lease.attempt, stream, start)
        .await
        .unwrap();
    let mut all = LogChunk::default();
    while let Some(chunk) = reader.next(follow).await.unwrap() {
        all.skipped += chunk.skipped;
        all.data.extend(chunk.data);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_read_from_the_beginning_from_the_tail_and_until_the_end() {
    let mut world = World::new().await;
    let attempt = world
        .script("echo one; echo err >&2; until [ -e go ]; do sleep 0.01; done; echo two; echo three")
        .await;
    let folder = world.folder(&attempt);
    content(&folder.join("stdout.log")).await;
    let first = read_log(&world, &attempt, LogStream::Stdout, LogStart::Beginning, false).await;
    assert_eq!(first.data, b"one\n");
    let followed = read_log(&world, &attempt, LogStream::Stdout, LogStart::Beginning, true);
    let release = async { std::fs::write(folder.parent().unwrap().join("go"), "").unwrap() };
    let (followed, ()) = tokio::join!(followed, release);
    assert_eq!(
        followed,
        LogChunk {
            data: b"one\ntwo\nthree\n".to_vec(),
            skipped: 0
        }
    );
    world.end_of(&attempt).await;
    let tail = read_log(&world, &attempt, LogStream::Stdout, LogStart::Tail(8), false).await;
    assert_eq!(
        tail,
        LogChunk {
            data: b"three\n".to_vec(),
            skipped: 8
        }
    );
    let err = read_log(&world, &attempt, LogStream::Stderr, LogStart::Beginning, true).await;
    assert_eq!(err.data, b"err\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_output_is_given_back_and_offsets_stay() {
    let mut world = World::with(|options| options.log_limit = 1 << 20).await;
    let attempt = world
        .script(
            r#"echo '{"loss":1,"epoch":1}'
            i=0; while [ $i -lt 20 ]; do head -c 1000000 /dev/zero | tr '\0' 'x' | fold -w 99; i=$((i+1)); done
            head -c 5000000 /dev/zero | tr '\0' 'y' | fold -w 99 >&2
            echo; echo '{"loss":2,"epoch":2}'; until [ -e go ]; do sleep 0.01; done; echo '{"loss":3,"epoch":3}'"#,
        )
        .await;
    eventually("the second point is read", || attempt.last_seq() == 2).await;
    let stdout = world.folder(&attempt).join("stdout.log");
    let on_disk = |path: &std::path::Path| std::fs::metadata(path).unwrap().blocks() * 512;
    eventually("output is given back", || on_disk(&stdout) < 4 << 20).await;
    assert!(std::fs::metadata(&stdout).unwrap().len() > 20_000_000);
    let log = read_log(&world, &attempt, LogStream::Stdout, LogStart::Beginning, false).await;
    assert!(
        log.skipped > 15 << 20 && log.data.len() < 4 << 20,
        "{} {}",
        log.skipped,
        log.data.len()
    );
    assert_eq!(
        log.skipped + log.data.len() as u64,
        std::fs::metadata(&stdout).unwrap().len()
    );
    // A new daemon neither reads the hole nor what was before it.
    world = world.restart_daemon().await;
    let attempt = world.store.attempt(&attempt.lease()).unwrap();
    std::fs::write(world.folder(&attempt).parent().unwrap().join("go"), "").unwrap();
    let end = world.end_of(&attempt).await;
    assert_eq!(points(&attempt).await, ["loss 1 1", "loss 2 2", "loss 3 3"]);
    assert!(end.warnings.is_empty(), "{:?}", end.warnings);
    assert!(on_disk(&world.folder(&attempt).join("stderr.log")) < 4 << 20);
}
