//! Programs that do not behave, through the whole system.

use tunesmith_e2e::{Findings, ProbeStudy, alive, eventually};
use tunesmith_proto::v1;
use v1::TrialState as State;

use crate::world::{STUDY, World, running, trial_name};

/// Runs a study of one trial with these options of the probe and further keys of `trial`.
async fn one_trial(name: &str, options: &[&str], keys: &[&str]) -> Findings {
    let mut world = World::start(1).await;
    let mut study = ProbeStudy::new(name, &world.records, 1, options);
    for key in keys {
        study = study.trial(key);
    }
    world.api.create(&study.yaml()).await;
    world.finish(name).await
}

/// Runs a study of one trial of a command that is not the probe.
async fn one_command(name: &str, command: &str, keys: &str) -> v1::Trial {
    let mut world = World::start(1).await;
    let yaml = format!(
        "name: {name}\nobjective: {{metric: score, goal: maximize}}\nspace:\n  x: {{type: float, low: 0, high: 1}}\n\
         budget: {{trials: 1}}\ntrial:\n  command: {command}\n{keys}\n"
    );
    world.api.create(&yaml).await;
    world.api.done(name, STUDY).await;
    world.api.trials(name).await.remove(0)
}

fn failed(findings: &Findings, cause: &str, words: &str) -> v1::Trial {
    let trial = findings.trials[0].clone();
    assert_eq!(
        (trial.state(), trial.failure_cause.as_str()),
        (State::Failed, cause),
        "{trial:?}"
    );
    assert!(trial.state_reason.contains(words), "{words:?} in {trial:?}");
    trial
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_does_not_exist_is_named() {
    let trial = one_command("missing", "[no-such-program, '{args}']", "").await;
    assert_eq!(
        (trial.state(), trial.failure_cause.as_str()),
        (State::Failed, "LAUNCH"),
        "{trial:?}"
    );
    assert!(trial.state_reason.contains("no-such-program"), "{trial:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_the_start_is_failed_with_its_last_words() {
    let findings = one_trial("crash", &["--crash-at=1"], &[]).await;
    let trial = failed(&findings, "EXIT_CODE", "status 3");
    assert_eq!(trial.attempts.len(), 1);
    assert!(
        trial.attempts[0]
            .log_tail
            .contains("the loss went through the roof"),
        "{trial:?}"
    );
    assert_eq!(trial.attempts[0].exit_code, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_midway_goes_on_from_the_checkpoint() {
    let options = [
        "--steps=10",
        "--crash-at=6",
        "--crash-attempts=1",
        "--checkpoint-every=3",
    ];
    let findings = one_trial("resumed", &options, &["retries: 1"]).await;
    let trial = &findings.trials[0];
    assert_eq!(
        (trial.state(), trial.attempts.len()),
        (State::Completed, 2),
        "{trial:?}"
    );
    assert_eq!(trial.attempts[0].failure_cause, "EXIT_CODE");
    assert_eq!(
        findings.told[&(1, 2)].points[0].1,
        4,
        "the second attempt began elsewhere"
    );
    assert_eq!(trial.last_step, Some(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn crashes_are_retried_no_more_than_allowed() {
    let findings = one_trial("crashes", &["--crash-at=3"], &["retries: 2"]).await;
    let trial = failed(&findings, "EXIT_CODE", "status 3");
    assert_eq!(trial.attempts.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_end_without_the_metric_is_failed_and_quotes_the_last_lines() {
    let findings = one_trial("silent", &["--steps=5", "--silent"], &["retries: 2"]).await;
    let trial = failed(&findings, "NO_METRIC", "objective's metric");
    assert_eq!(trial.attempts.len(), 1, "trying again cannot help");
    for said in [&trial.state_reason, &trial.attempts[0].outcome] {
        assert!(said.contains("step 5 done"), "{trial:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_in_the_output_costs_no_metric() {
    let findings = one_trial("garbage", &["--steps=5", "--garbage"], &[]).await;
    assert_eq!(findings.count(State::Completed), 1, "{:?}", findings.trials);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_ignores_sigterm_is_killed_after_the_grace() {
    let mut world = World::start(1).await;
    let study = ProbeStudy::new("stubborn", &world.records, 1, &["--open-end", "--ignore-term"]);
    world.api.create(&study.yaml()).await;
    running(&world.records, 1, 4).await;
    let name = trial_name("stubborn", 1);
    world
        .api
        .trials
        .stop_trial(v1::StopTrialRequest { name })
        .await
        .unwrap();
    let findings = world.finish("stubborn").await;
    assert_eq!(findings.count(State::Cancelled), 1, "{:?}", findings.trials);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_heeds_sigterm_is_not_killed() {
    let mut world = World::start(1).await;
    let study = ProbeStudy::new("polite", &world.records, 1, &["--open-end"]);
    world.api.create(&study.yaml()).await;
    running(&world.records, 1, 4).await;
    let name = trial_name("polite", 1);
    world
        .api
        .trials
        .stop_trial(v1::StopTrialRequest { name })
        .await
        .unwrap();
    let findings = world.finish("polite").await;
    assert_eq!(findings.count(State::Cancelled), 1, "{:?}", findings.trials);
    let told = &findings.told[&(1, 1)];
    assert!(told.ended && told.signals == 1, "{told:?}");
    assert_eq!(
        findings.trials[0].attempts[0].exit_code,
        Some(0),
        "{:?}",
        findings.trials
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_outlives_its_program_is_ended_with_the_trial() {
    let mut world = World::start(1).await;
    let study = ProbeStudy::new("parent", &world.records, 2, &["--steps=5", "--child"]);
    world.api.create(&study.yaml()).await;
    // The auditor looks for survivors; the second trial shows that the place was given back.
    let findings = world.finish("parent").await;
    assert_eq!(findings.count(State::Completed), 2, "{:?}", findings.trials);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_that_takes_too_long_is_stopped_and_counts() {
    let findings = one_trial("slow", &["--open-end"], &["max_runtime: 1s"]).await;
    let trial = &findings.trials[0];
    assert_eq!(trial.state(), State::TimedOut, "{trial:?}");
    assert!(
        trial.value.is_some() && trial.state_reason.contains("max_runtime"),
        "{trial:?}"
    );
    assert_eq!(
        findings.study.best.as_ref().map(|best| best.number),
        Some(1),
        "{:?}",
        findings.study
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_infeasible_point_is_not_tried_again() {
    let findings = one_trial("infeasible", &["--steps=2", "--exit-code=78"], &["retries: 3"]).await;
    let trial = failed(&findings, "INFEASIBLE", "infeasible");
    assert_eq!(trial.attempts.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn death_by_a_signal_of_its_own_is_told_as_such() {
    let trial = one_command("segfault", "[sh, -c, 'kill -SEGV $$', '{args}']", "").await;
    assert_eq!(
        (trial.state(), trial.failure_cause.as_str()),
        (State::Failed, "SIGNAL"),
        "{trial:?}"
    );
    assert!(trial.state_reason.contains("11"), "{trial:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_reach_the_program_as_one_argument_whatever_they_contain() {
    let mut world = World::start(1).await;
    let evil = r#"a b"; touch pwned; $(touch pwned) `touch pwned` '{x}' -rf"#;
    let yaml = format!(
        "name: evil\nobjective: {{metric: score, goal: maximize}}\nspace:\n  x: {{type: constant, value: {}}}\n\
         budget: {{trials: 1}}\ntrial:\n  command: [sh, -c, 'printf %s \"$1\" > seen; echo \"{{{{\\\"metric\\\": \\\"score\\\", \\\"value\\\": 1}}}}\"', sh, '{{x}}']\n",
        serde_json::to_string(evil).unwrap()
    );
    world.api.create(&yaml).await;
    world.api.done("evil", STUDY).await;
    let trials = world.api.trials("evil").await;
    assert_eq!(trials[0].state(), State::Completed, "{trials:?}");
    let (mut seen, mut pwned) = (Vec::new(), 0);
    let mut folders = vec![world.worker.folder().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => folders.push(entry.path()),
                _ if entry.file_name() == "seen" => seen.push(std::fs::read_to_string(entry.path()).unwrap()),
                _ if entry.file_name() == "pwned" => pwned += 1,
                _ => {}
            }
        }
    }
    assert_eq!((seen, pwned), (vec![evil.to_owned()], 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_told_to_end_stops_its_trainings_and_gives_them_back() {
    let mut world = World::start(2).await;
    let study = ProbeStudy::new("handed-back", &world.records, 2, &["--open-end"]);
    world.api.create(&study.yaml()).await;
    running(&world.records, 2, 4).await;
    let pids: Vec<u32> = world
        .records
        .read()
        .values()
        .flat_map(|told| told.pids.clone())
        .collect();
    world.worker.program.signal(tunesmith_e2e::Signal::TERM);
    let status = world.worker.program.ended().await;
    assert!(status.success(), "{status}");
    eventually("trainings are gone", async || {
        let left: Vec<u32> = pids.iter().copied().filter(|pid| alive(*pid)).collect();
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
    world.records.release();
    world.worker.restart();
    let findings = world.finish("handed-back").await;
    assert_eq!(findings.count(State::Completed), 2, "{:?}", findings.trials);
    // Given back by us: not the program's fault, whatever its exit status was.
    assert!(
        findings.trials.iter().all(|trial| trial.attempts.len() == 2),
        "{:?}",
        findings.trials
    );
}
