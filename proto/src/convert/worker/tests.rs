use std::time::Duration;

use tunesmith_common::usage::{UsageSample, UsageSeries};
use tunesmith_common::{LeaseKey, ParamValue, Timestamp};

use super::*;

fn lease() -> LeaseKey {
    LeaseKey {
        study: "018f7a3e-0000-7000-8000-000000000001".parse().unwrap(),
        trial: TrialNumber(3),
        attempt: Attempt(2),
        id: "018f7a3e-0000-4000-8000-000000000002".parse().unwrap(),
    }
}

fn checkpoint() -> Checkpoint {
    Checkpoint {
        store: "018f7a3e-0000-4000-8000-000000000003".parse().unwrap(),
        trial: TrialNumber(2),
        attempt: Attempt(1),
        step: 9,
        bytes: 1 << 40,
        files: 2,
        digest: "0a".repeat(32),
    }
}

fn assignment() -> Assignment {
    Assignment {
        lease: lease(),
        study: "digits".parse().unwrap(),
        params: [
            ("lr".parse().unwrap(), ParamValue::Float(1.0)),
            ("width".parse().unwrap(), ParamValue::Int(8)),
        ]
        .into_iter()
        .collect(),
        spec: TrialSpec {
            command: vec!["train".to_owned(), "--lr={lr}".to_owned()],
            env: [("A".to_owned(), "{width}".to_owned())].into(),
            workdir: None,
            metrics: MetricSource::Regex(vec!["loss=(?<loss>.*)".to_owned()]),
            steps: Steps {
                name: "epoch".to_owned(),
                max: Some(9),
            },
            resources: Resources {
                gpus: GpuRequest {
                    count: 1,
                    memory: 1 << 30,
                },
                cpus: 0.5,
                memory: 7,
                labels: [("zone".to_owned(), "a".to_owned())].into(),
            },
            max_runtime: Some(Duration::from_millis(1_500)),
            retries: 2,
            grace: Duration::from_secs(4),
        },
        gpus: vec!["GPU-1".to_owned()],
        seed: u64::MAX,
        metrics: vec!["val_acc".parse().unwrap(), "ms".parse().unwrap()],
        objectives: 2,
        resume: Some(checkpoint()),
        until: Some(9),
        keep_checkpoint: true,
    }
}

fn end() -> AttemptEnd {
    AttemptEnd {
        lease: lease(),
        last_seq: 17,
        ended_at: Timestamp::from_micros(1_763_900_000_123_456),
        outcome: AttemptOutcome::Signalled(9),
        stop_cause: Some(StopCause::MaxRuntime(Duration::from_millis(1_500))),
        infeasible: Some("too wide".to_owned()),
        out_of_memory: true,
        peak_memory: 5,
        usage: UsageSeries::new(
            2,
            1,
            vec![UsageSample {
                seconds: 3,
                ..Default::default()
            }],
        )
        .unwrap(),
        log_tail: "Killed".to_owned(),
        warnings: vec!["a line of 70000 bytes was cut".to_owned()],
        checkpoint: Some(checkpoint()),
    }
}

#[test]
fn an_assignment_survives_the_wire() {
    assert_eq!(
        assignment_from_wire(&assignment_to_wire(&assignment())).unwrap(),
        assignment()
    );
}

#[test]
fn every_kind_of_end_survives_the_wire() {
    for outcome in [
        AttemptOutcome::Exited(78),
        AttemptOutcome::Signalled(15),
        AttemptOutcome::LaunchFailed("no such file".to_owned()),
        AttemptOutcome::Lost("supervisor gone".to_owned()),
        AttemptOutcome::HandedBack,
    ] {
        let end = AttemptEnd { outcome, ..end() };
        assert_eq!(ended_from_wire(&ended_to_wire(&end)).unwrap(), end);
    }
}

#[test]
fn long_words_are_cut_where_an_end_would_else_be_lost() {
    let long = AttemptEnd {
        log_tail: "ä".repeat(MAX_LOG_TAIL),
        warnings: vec![String::new(); 500],
        ..end()
    };
    let read = ended_from_wire(&ended_to_wire(&long)).unwrap();
    assert_eq!(read.log_tail.len(), MAX_LOG_TAIL);
    assert_eq!(read.warnings.len(), MAX_WARNINGS);
}

#[test]
fn what_is_missing_or_out_of_range_is_named() {
    let mut wire = assignment_to_wire(&assignment());
    wire.template.as_mut().unwrap().command.clear();
    let error = assignment_from_wire(&wire).unwrap_err().to_string();
    assert_eq!(error, "template.command: is empty; it names the program to run");

    let wire = v1::AttemptEnded {
        outcome: None,
        ..ended_to_wire(&end())
    };
    assert_eq!(ended_from_wire(&wire).unwrap_err().field, "ended.outcome");
    let wire = v1::AttemptEnded {
        stop_cause: 9,
        ..ended_to_wire(&end())
    };
    assert_eq!(ended_from_wire(&wire).unwrap_err().field, "ended.stop_cause");
}

#[test]
fn resources_are_checked() {
    let gpu = Gpu {
        uuid: "GPU-1".to_owned(),
        model: "H200".to_owned(),
        memory: 1,
    };
    let good = WorkerResources {
        slots: 2,
        cpus: 1.5,
        memory: 3,
        gpus: vec![gpu.clone()],
        labels: BTreeMap::new(),
        stores: vec![checkpoint().store],
    };
    assert_eq!(
        resources_from_wire(Some(&resources_to_wire(&good)), "resources").unwrap(),
        good
    );

    let cases = [
        (
            WorkerResources {
                cpus: f64::NAN,
                ..good.clone()
            },
            "resources.cpus",
        ),
        (
            WorkerResources {
                slots: MAX_SLOTS + 1,
                ..good.clone()
            },
            "resources.slots",
        ),
        (
            WorkerResources {
                gpus: vec![gpu.clone(), gpu],
                ..good.clone()
            },
            "resources.gpus[1].uuid",
        ),
    ];
    for (bad, field) in cases {
        let error = resources_from_wire(Some(&resources_to_wire(&bad)), "resources").unwrap_err();
        assert_eq!(error.field, field);
    }
    assert_eq!(
        resources_from_wire(None, "resources").unwrap_err().field,
        "resources"
    );
}
