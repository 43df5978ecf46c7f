//! A study with its trials and a worker, for tests.

use pbjson_types::{Struct, Value, value::Kind};
use tunesmith_common::Timestamp;
use tunesmith_proto::v1 as pb;

/// When the samples are looked at.
pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_763_900_000_000_000);

/// A time so many seconds before [`NOW`].
pub(crate) fn before(seconds: i64) -> Option<pbjson_types::Timestamp> {
    Some(pbjson_types::Timestamp {
        seconds: 1_763_900_000 - seconds,
        nanos: 0,
    })
}

fn value(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

/// A trial with parameters, 90 s of training behind it and, if it has a value, 30 epochs.
pub(crate) fn trial(number: u64, state: pb::TrialState, objective: Option<f64>) -> pb::Trial {
    let parameters = [
        ("optimizer", Kind::StringValue("adam".to_owned())),
        ("lr", Kind::NumberValue(0.0123)),
        ("batch", Kind::NumberValue(64.0)),
    ];
    pb::Trial {
        name: format!("studies/digits/trials/{number}"),
        number,
        state: state.into(),
        parameters: Some(Struct {
            fields: parameters
                .map(|(name, kind)| (name.to_owned(), value(kind)))
                .into(),
        }),
        value: objective,
        last_step: objective.map(|_| 30),
        metrics: objective
            .map(|objective| ("val_acc".to_owned(), objective))
            .into_iter()
            .collect(),
        created_at: before(100),
        started_at: before(98),
        ended_at: before(8),
        seed: 42,
        ..Default::default()
    }
}

/// The definition of the sample study.
pub(crate) fn spec() -> pb::StudySpec {
    let text = |text: &str| value(Kind::StringValue(text.to_owned()));
    pb::StudySpec {
        name: "digits".to_owned(),
        message: "SGD against Adam".to_owned(),
        objective: Some(pb::Objective {
            metric: "val_acc".to_owned(),
            goal: pb::Goal::Maximize.into(),
            from: "best".to_owned(),
        }),
        space: vec![
            pb::Parameter {
                name: "lr".to_owned(),
                r#type: "float".to_owned(),
                low: Some(1e-5),
                high: Some(0.1),
                scale: "log".to_owned(),
                ..Default::default()
            },
            pb::Parameter {
                name: "batch".to_owned(),
                r#type: "int".to_owned(),
                low: Some(4.0),
                high: Some(256.0),
                scale: "log2".to_owned(),
                ..Default::default()
            },
            pb::Parameter {
                name: "optimizer".to_owned(),
                r#type: "categorical".to_owned(),
                choices: vec![text("sgd"), text("adam")],
                ..Default::default()
            },
            pb::Parameter {
                name: "momentum".to_owned(),
                r#type: "float".to_owned(),
                low: Some(0.0),
                high: Some(0.99),
                when: vec![pb::Condition {
                    parent: "optimizer".to_owned(),
                    values: vec![text("sgd")],
                }],
                ..Default::default()
            },
        ],
        constraints: vec!["batch * lr <= 16".to_owned()],
        strategy: Some(pb::Strategy {
            name: "auto".to_owned(),
            seed: Some(7),
            ..Default::default()
        }),
        early_stopping: vec![
            pb::StopperRule {
                rule: "median".to_owned(),
                ..Default::default()
            },
            pb::StopperRule {
                rule: "percentile".to_owned(),
                metric: "loss".to_owned(),
                goal: pb::Goal::Minimize.into(),
                keep: Some(25.0),
                shadow: true,
                ..Default::default()
            },
        ],
        budget: Some(pb::Budget {
            trials: Some(40),
            parallel: Some(2),
            ..Default::default()
        }),
        priority: None,
        trial: Some(pb::TrialTemplate {
            command: ["python", "train.py", "--lr={lr}", "a b"]
                .map(str::to_owned)
                .to_vec(),
            steps: Some(pb::Steps {
                name: "epoch".to_owned(),
                max: Some(30),
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// A study half way: 20 of 40 trials in 80 s.
pub(crate) fn running_study() -> pb::Study {
    pb::Study {
        name: "studies/digits".to_owned(),
        uid: "018f4a5e-0000-7000-8000-000000000001".to_owned(),
        spec: Some(spec()),
        state: pb::StudyState::Active.into(),
        created_at: before(80),
        revision: 99,
        counts: Some(pb::TrialCounts {
            pending: 0,
            running: 2,
            completed: 12,
            early_stopped: 7,
            failed: 1,
            ..Default::default()
        }),
        best: Some(trial(17, pb::TrialState::Completed, Some(0.986_123))),
        spending: Some(pb::Spending {
            wall_time: Some(pbjson_types::Duration {
                seconds: 80,
                nanos: 0,
            }),
            ..Default::default()
        }),
        strategy_note: "auto chose sobol".to_owned(),
        steps_saved: 112,
        ..Default::default()
    }
}

/// The same study at its end.
pub(crate) fn done_study() -> pb::Study {
    pb::Study {
        state: pb::StudyState::Done.into(),
        state_reason: "budget: 40 of 40 trials".to_owned(),
        done_reason: pb::DoneReason::Budget.into(),
        done_at: before(0),
        counts: Some(pb::TrialCounts {
            completed: 22,
            early_stopped: 16,
            timed_out: 1,
            failed: 1,
            ..Default::default()
        }),
        spending: Some(pb::Spending {
            wall_time: Some(pbjson_types::Duration {
                seconds: 161,
                nanos: 0,
            }),
            gpu_hours: 1.25,
            ..Default::default()
        }),
        improvement: Some(pb::Improvement {
            results: 39,
            idle: 12,
            note: "no_improvement: 12 of 20 results without improvement".to_owned(),
            ..Default::default()
        }),
        steps_saved: 412,
        ..running_study()
    }
}

/// A study of two objectives whose trials must fit a memory, at its end.
pub(crate) fn study_of_two() -> pb::Study {
    let mut study = done_study();
    study.best = None;
    study.improvement = None;
    study.pareto_set = vec![17, 9];
    let spec = study.spec.get_or_insert_default();
    spec.early_stopping.clear();
    spec.more_objectives = vec![pb::Objective {
        metric: "latency_ms".to_owned(),
        goal: pb::Goal::Minimize.into(),
        from: String::new(),
    }];
    spec.measured_constraints = vec![pb::MeasuredConstraint {
        metric: "mem_gb".to_owned(),
        at_most: Some(16.0),
        ..Default::default()
    }];
    study
}

/// A trial of that study.
pub(crate) fn trial_of_two(number: u64, accuracy: f64, latency: f64, memory: Option<f64>) -> pb::Trial {
    pb::Trial {
        values: [("val_acc", accuracy), ("latency_ms", latency)]
            .map(|(metric, value)| (metric.to_owned(), value))
            .into(),
        constraints: vec![pb::ConstraintValue {
            metric: "mem_gb".to_owned(),
            value: memory,
            violation: memory.map(|memory| memory - 16.0),
        }],
        feasible: Some(memory.is_some_and(|memory| memory <= 16.0)),
        ..trial(number, pb::TrialState::Completed, Some(accuracy))
    }
}

/// A worker with two GPUs.
pub(crate) fn worker() -> pb::Worker {
    let gpu = |uuid: &str| pb::Gpu {
        uuid: uuid.to_owned(),
        model: "H200".to_owned(),
        memory_bytes: 141 << 30,
    };
    pb::Worker {
        name: "workers/gpu1".to_owned(),
        uid: "018f4a5e-0000-7000-8000-000000000002".to_owned(),
        state: pb::WorkerState::Ready.into(),
        version: "0.1.0".to_owned(),
        address: "10.0.0.7:41000".to_owned(),
        resources: Some(pb::WorkerResources {
            slots: 2,
            cpus: 16.0,
            memory_bytes: 128 << 30,
            gpus: vec![gpu("GPU-1"), gpu("GPU-2")],
            labels: [("zone".to_owned(), "a".to_owned())].into(),
            store_uids: vec![],
        }),
        trials: vec!["studies/digits/trials/18".to_owned()],
        connected_at: before(3_600),
        last_seen_at: before(5),
        ..Default::default()
    }
}
