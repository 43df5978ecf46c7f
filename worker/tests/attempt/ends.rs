//! How programs start and end.

use std::os::unix::fs::PermissionsExt;

use tunesmith_common::id::TrialNumber;
use tunesmith_common::params::ParamValue;
use tunesmith_common::study::MetricSource;
use tunesmith_common::worker::AttemptOutcome;
use tunesmith_worker::attempt::{AttemptError, AttemptEventKind};

use crate::world::{World, alive, assignment, content, points, shell};

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_ends_well_is_told_of_in_order() {
    let mut world = World::new().await;
    let attempt = world
        .script(
            r#"for i in 1 2 3; do echo "{\"epoch\": $i, \"loss\": 0.$i, \"other\": 1}"; done; echo done >&2"#,
        )
        .await;
    let AttemptEventKind::Started { pid, at } = world.event().await.kind else {
        panic!("the start comes first")
    };
    assert_eq!(attempt.started(), Some((pid, at)));
    let end = world.end_of(&attempt).await;
    assert_eq!(end.outcome, AttemptOutcome::Exited(0));
    assert_eq!(
        (end.last_seq, end.stop_cause, end.infeasible.as_deref()),
        (3, None, None)
    );
    assert_eq!(
        (end.log_tail.as_str(), end.warnings.len()),
        ("", 0),
        "{:?}",
        end.warnings
    );
    assert!(end.ended_at >= at);
    assert_eq!(points(&attempt).await, ["loss 1 0.1", "loss 2 0.2", "loss 3 0.3"]);
    let held = attempt.held();
    assert!(held.started && held.ended);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_sees_its_trial_and_nothing_of_the_worker() {
    let mut world = World::new().await;
    let mut assignment =
        shell(r#"env -0 > env; cat; echo "out $TUNESMITH_SEED"; ls -l /proc/$$/fd > fds; pwd"#);
    assignment.gpus = vec!["GPU-a".to_owned()];
    assignment
        .spec
        .env
        .insert("OUT".to_owned(), "{checkpoint_dir}/x".to_owned());
    let attempt = world.launch(assignment).await;
    world.end_of(&attempt).await;
    let folder = world.folder(&attempt);
    let trial = folder.parent().unwrap();
    let env = std::fs::read_to_string(trial.join("env")).unwrap();
    let env: std::collections::BTreeMap<&str, &str> = env
        .split_terminator('\0')
        .filter_map(|v| v.split_once('='))
        .collect();
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    for (name, value) in [
        ("TUNESMITH_STUDY", "digits"),
        ("TUNESMITH_TRIAL", "7"),
        ("TUNESMITH_ATTEMPT", "2"),
        ("TUNESMITH_SEED", "99"),
        ("TUNESMITH_PARAM_LR", "1e-05"),
        ("TUNESMITH_PARAMS_FILE", &file("params.json")),
        ("TUNESMITH_METRICS_FILE", &file("metrics.jsonl")),
        ("TUNESMITH_STOP_FILE", &file("stop")),
        ("TUNESMITH_SOCKET", &file("socket")),
        ("TUNESMITH_TRIAL_DIR", trial.to_str().unwrap()),
        (
            "TUNESMITH_CHECKPOINT_DIR",
            trial.join("checkpoint").to_str().unwrap(),
        ),
        ("CUDA_VISIBLE_DEVICES", "GPU-a"),
        ("CUDA_DEVICE_ORDER", "PCI_BUS_ID"),
        ("PYTHONUNBUFFERED", "1"),
        ("OUT", &format!("{}/checkpoint/x", trial.display())),
    ] {
        assert_eq!(env.get(name), Some(&value), "{name}");
    }
    assert_eq!(env.get("TUNESMITH_RESUME_FROM"), None);
    assert!(env.contains_key("PATH"));
    assert!(
        !env.values().any(|value| value.contains("feed")),
        "the lease's secret is in the environment"
    );
    let params = std::fs::read_to_string(folder.join("params.json")).unwrap();
    let params: serde_json::Value = serde_json::from_str(&params).unwrap();
    assert_eq!(params, serde_json::json!({"lr": 1e-5}));
    let printed = std::fs::read_to_string(folder.join("stdout.log")).unwrap();
    assert_eq!(
        printed,
        format!("out 99\n{}\n", trial.display()),
        "standard input is empty"
    );
    let fds = std::fs::read_to_string(trial.join("fds")).unwrap();
    assert!(
        !fds.contains("lock") && !fds.contains("doorbell"),
        "descriptors leak:\n{fds}"
    );
    let mode = std::fs::metadata(&folder).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_value_is_one_argument() {
    let mut world = World::new().await;
    let hostile = "x\"; rm -rf \"$HOME\" $(touch pwned) `id` {lr} --flag '\n\u{202e}*";
    let mut assignment = assignment(&[
        "sh",
        "-c",
        r#"printf '%s\0' "$@" > args"#,
        "sh",
        "--name={name}",
        "{name}",
    ]);
    assignment
        .params
        .insert("name".parse().unwrap(), ParamValue::Text(hostile.to_owned()));
    let attempt = world.launch(assignment).await;
    world.end_of(&attempt).await;
    let trial = world.folder(&attempt).parent().unwrap().to_owned();
    assert_eq!(
        std::fs::read_to_string(trial.join("args")).unwrap(),
        format!("--name={hostile}\0{hostile}\0")
    );
    assert!(!trial.join("pwned").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_started_says_why() {
    let mut world = World::new().await;
    let make = |name: &str, content: &str, mode: u32| {
        let path = world.path(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let plain = make("plain", "#!/bin/sh\n", 0o644);
    let no_interpreter = make("no_interpreter", "#!/no/such/python\n", 0o755);
    let no_program = make("no_program", "\u{1}\u{2}", 0o755);
    let mut no_workdir = assignment(&["true"]);
    no_workdir.spec.workdir = Some("/no/such/folder".to_owned());
    let mut bad_regex = assignment(&["true"]);
    bad_regex.spec.metrics = MetricSource::Regex(vec!["(?P<loss>".to_owned()]);
    let cases = [
        (
            assignment(&["no-such-command-anywhere"]),
            "command not found: \"no-such-command-anywhere\"",
        ),
        (assignment(&["/no/such/command"]), "command not found"),
        (
            assignment(&[&plain]),
            "Permission denied (os error 13): not executable; `chmod +x` it",
        ),
        (
            assignment(&[&no_interpreter]),
            "the interpreter that its first line names does not exist",
        ),
        (assignment(&[&no_program]), "it is no program for this machine"),
        (assignment(&["/"]), "Is a directory"),
        (assignment(&["{nonsense}", "x"]), ""),
        (no_workdir, "the folder to run in does not exist: /no/such/folder"),
        (
            bad_regex,
            "metrics.regex: pattern 1 is no usable regular expression",
        ),
    ];
    for (number, (mut assignment, words)) in (1..).zip(cases) {
        assignment.lease.attempt.0 = number;
        let attempt = world.launch(assignment).await;
        let end = world.end_of(&attempt).await;
        let AttemptOutcome::LaunchFailed(text) = &end.outcome else {
            panic!("{words}: {end:?}")
        };
        assert!(text.contains(words), "{text:?} does not say {words:?}");
        assert_eq!((attempt.started(), end.last_seq), (None, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_is_told_with_its_last_words() {
    let mut world = World::new().await;
    let attempt = world
        .script("echo starting; echo 'Traceback: bad luck' >&2; exit 3")
        .await;
    let end = world.end_of(&attempt).await;
    assert_eq!(end.outcome, AttemptOutcome::Exited(3));
    assert_eq!(end.log_tail, "starting\nTraceback: bad luck\n");
    assert!(!end.out_of_memory);

    let world = &mut World::new().await;
    let attempt = world
        .script(r#"echo '{"loss": 1, "epoch": 1}'; kill -SEGV $$"#)
        .await;
    let end = world.end_of(&attempt).await;
    assert_eq!((end.outcome, end.last_seq), (AttemptOutcome::Signalled(11), 1));

    let world = &mut World::new().await;
    let attempt = world
        .script("echo 'torch.OutOfMemoryError: CUDA out of memory.' >&2; exit 1")
        .await;
    assert!(world.end_of(&attempt).await.out_of_memory);

    let world = &mut World::new().await;
    let attempt = world.script("exit 78").await;
    assert_eq!(
        world.end_of(&attempt).await.infeasible.as_deref(),
        Some("exit status 78")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_without_the_objective_quotes_the_output() {
    let mut world = World::new().await;
    let attempt = world
        .script(r#"echo 'nothing to see'; echo a warning >&2; echo '{"metric":"other","value":1}'"#)
        .await;
    let end = world.end_of(&attempt).await;
    assert_eq!((end.outcome, end.last_seq), (AttemptOutcome::Exited(0), 1));
    // Standard output last: there the metric is missed.
    assert_eq!(
        end.log_tail,
        "a warning\nnothing to see\n{\"metric\":\"other\",\"value\":1}\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_without_one_of_several_objectives_quotes_the_output_too() {
    for (objectives, quoted) in [(2, "{\"loss\":1}\n"), (1, "")] {
        let mut world = World::new().await;
        let mut assignment = assignment(&["sh", "-c", "echo '{{\"loss\":1}}'"]);
        assignment.metrics.push("ms".parse().unwrap());
        assignment.objectives = objectives;
        let attempt = world.launch(assignment).await;
        assert_eq!(
            world.end_of(&attempt).await.log_tail,
            quoted,
            "{objectives} objectives"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn children_that_outlive_their_program_are_killed() {
    let mut world = World::new().await;
    // One in the group, one in a session of its own and away from its parents, one that hears no SIGTERM.
    let attempt = world
        .script(
            r#"sleep 1000 &
            setsid sh -c 'setsid sleep 1000 & exit 0'
            sh -c 'trap "" TERM; echo deaf > deaf; while :; do sleep 1000; done' &
            until [ -s deaf ]; do sleep 0.01; done
            echo '{"loss": 1}'"#,
        )
        .await;
    let end = world.end_of(&attempt).await;
    assert_eq!((&end.outcome, end.last_seq), (&AttemptOutcome::Exited(0), 1));
    assert!(
        end.warnings
            .iter()
            .any(|warning| warning.ends_with("outlived the program and were killed")),
        "{end:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_is_launched_once_and_one_under_another_lease_takes_its_place() {
    let mut world = World::new().await;
    let first = world
        .script("echo '{\"loss\":1}'; echo $$ > pid; sleep 1000")
        .await;
    let trial = world.folder(&first).parent().unwrap().to_owned();
    content(&trial.join("pid")).await;
    assert!(matches!(
        world.store.launch(shell("true")).await,
        Err(AttemptError::Exists)
    ));

    let mut other = shell("true");
    other.lease = crate::world::lease(0xbeef);
    let second = world.launch(other).await;
    assert!(matches!(first.end().unwrap().outcome, AttemptOutcome::Lost(_)));
    assert_eq!(world.end_of(&second).await.outcome, AttemptOutcome::Exited(0));
    assert!(trial.join("2~1").join("stdout.log").exists());
    assert_eq!(world.store.attempts().len(), 1);
    assert_eq!(alive(&trial.join("2")), Vec::<i32>::new());
    assert!(matches!(
        world.store.launch(shell("true")).await.map(|_| ()),
        Ok(()) | Err(_)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_attempt_is_kept_for_a_while_and_then_removed() {
    let mut world = World::with(|options| options.retention_bytes = u64::MAX).await;
    let attempt = world.script("true").await;
    world.end_of(&attempt).await;
    let folder = world.folder(&attempt);
    world.store.sweep().await;
    attempt.forget().await.unwrap();
    assert!(world.store.attempts().is_empty());
    assert!(matches!(
        world.store.launch(shell("true")).await,
        Err(AttemptError::Forgotten)
    ));
    world.store.sweep().await;
    assert!(folder.join("stdout.log").exists());
    // As a daemon leaves it that is killed before the program of a lost lease has ended.
    std::fs::create_dir_all(folder.join("resume/step-1")).unwrap();
    world = world.restart_daemon().await;
    assert!(world.store.attempts().is_empty());
    assert!(folder.join("stdout.log").exists() && !folder.join("resume").exists());
    let (dir, mut options) = world.without_daemon().await;
    options.retention = std::time::Duration::ZERO;
    let world = World::again((dir, options)).await;
    world.store.sweep().await;
    assert!(!folder.exists() && !folder.parent().unwrap().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_a_program_went_on_from_and_did_not_change_is_not_stored_again() {
    let mut world = World::new().await;
    let script = |script: &str, trial| {
        let mut assignment = shell(&format!("{script}; echo '{{\"loss\": 1}}'"));
        assignment.lease.trial = TrialNumber(trial);
        assignment.keep_checkpoint = true;
        assignment
    };
    let saves = r#"mkdir "$TUNESMITH_CHECKPOINT_DIR/step-3"; echo weights > "$TUNESMITH_CHECKPOINT_DIR/step-3/model""#;
    let parent = world.launch(script(saves, 1)).await;
    let stored = world.end_of(&parent).await.checkpoint.unwrap();
    assert_eq!((stored.trial, stored.step), (TrialNumber(1), 3));
    let children = [
        (2, "", None),
        (3, "; mkdir \"$TUNESMITH_CHECKPOINT_DIR/step-4\"", Some(4)),
    ];
    for (trial, more, step) in children {
        let copies = r#"cp -r "$TUNESMITH_RESUME_FROM" "$TUNESMITH_CHECKPOINT_DIR""#;
        let mut child = script(&format!("{copies}{more}"), trial);
        child.resume = Some(stored.clone());
        let child = world.launch(child).await;
        let end = world.end_of(&child).await;
        assert_eq!(end.outcome, AttemptOutcome::Exited(0), "{end:?}");
        assert_eq!(end.checkpoint.map(|own| own.step), step);
    }
}
