//! Builders of rows. Plain ones have one interesting thing each; `any_*` have whatever fits a column.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use tunesmith_common::decision::{Origin, Provenance, StopDecision};
use tunesmith_common::params::ParamValue;
use tunesmith_common::study::{Acquisition, StrategyName};
use tunesmith_common::trial::{FailureCause, Holder, Lease, StopReason, TrialState};
use tunesmith_common::{Attempt, LeaseId, Params, RequestId, StudyId, Timestamp, TrialNumber, WorkerId};
use uuid::Uuid;

use crate::store::{
    AttemptRow, AuditRow, Changes, DecisionRow, Lineage, PointChunk, RequestRow, StudyRow, StudyState,
    TokenKind, TokenRow, TrialRow, WorkerRow,
};

/// Compares rows by what they show, so that NaN equals NaN and 0.0 differs from -0.0.
#[track_caller]
pub(super) fn assert_same<T: Debug, U: Debug>(found: T, expected: U) {
    assert_eq!(format!("{found:#?}"), format!("{expected:#?}"));
}

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(1_763_900_000_123_456 + second * 1_000_000)
}

pub(super) fn study_id(n: u128) -> StudyId {
    StudyId(Uuid::from_u128(0x5_0000 + n))
}

pub(super) fn study(n: u128) -> StudyRow {
    let spec = serde_json::json!({
        "message": format!("study {n} \"quoted\" \\ 'single' \u{1f600} \u{202e} ü\nline"),
        "objective": {"metric": "val/acc", "goal": "maximize"},
        // Not in alphabetical order: parameters are shown in the order in which they were declared.
        "space": {
            "width": {"type": "int", "low": 1, "high": 1024, "scale": "log2"},
            "lr": {"type": "float", "low": 1e-300, "high": 1e16, "scale": "log"},
            "adam": {"type": "categorical", "choices": ["yes", 3, 1.5, true]}
        },
    });
    StudyRow {
        id: study_id(n),
        name: format!("study-{n}").parse().unwrap(),
        spec: serde_json::from_value(spec).unwrap(),
        lineage: Lineage::default(),
        state: StudyState::Active,
        state_reason: String::new(),
        strategy_note: "sobol: few trials yet".to_owned(),
        active_time: Duration::ZERO,
        gpu_seconds: 0.0,
        cost: 0.0,
        creator: String::new(),
        policy: None,
        created_at: at(i64::try_from(n).unwrap()),
        done_at: None,
        updated_at: at(i64::try_from(n).unwrap()),
    }
}

pub(super) fn lease(attempt: u32) -> Lease {
    Lease {
        attempt: Attempt(attempt),
        id: LeaseId(Uuid::from_u128(u128::MAX - u128::from(attempt))),
        holder: worker_holder(),
    }
}

pub(super) fn worker_holder() -> Holder {
    Holder::Worker(WorkerId(Uuid::from_u128(7)))
}

pub(super) fn trial(number: u64, state: TrialState) -> TrialRow {
    let mut params = Params::new();
    params.insert("width".parse().unwrap(), ParamValue::Int(32));
    params.insert("lr".parse().unwrap(), ParamValue::Float(1e16));
    params.insert("adam".parse().unwrap(), ParamValue::Bool(true));
    params.insert(
        "name".parse().unwrap(),
        ParamValue::Text("ü \"x\" \\u0000 {}".to_owned()),
    );
    TrialRow {
        number: TrialNumber(number),
        attempt: state.lease().map_or(Attempt(0), |lease| lease.attempt),
        ended_at: state.is_final().then(|| at(9)),
        state,
        program_failures: 0,
        infrastructure_failures: 0,
        params: Arc::new(params),
        seed: u64::MAX - number,
        value: None,
        more_values: Box::default(),
        last_step: None,
        metrics: vec![],
        stages: Arc::default(),
        note: String::new(),
        tags: Vec::new(),
        provenance: Arc::new(Provenance {
            origin: Origin::Strategy,
            strategy: "gp".to_owned(),
            settings: Some(StrategyName::Gp {
                acquisition: Acquisition::Ucb,
            }),
            seed: u64::MAX,
            history_revision: 3,
            results: 2,
            cursor: Some(7),
            note: String::new(),
        }),
        created_at: at(1),
        started_at: None,
    }
}

pub(crate) fn pending(number: u64) -> TrialRow {
    trial(number, TrialState::Pending)
}

pub(super) fn stop_reasons() -> [StopReason; 3] {
    [
        StopReason::EarlyStopped {
            rule: "median".to_owned(),
            text: "0.1 < 0.5 at step 3".to_owned(),
        },
        StopReason::TimedOut {
            limit: "max_runtime 30m".to_owned(),
        },
        StopReason::Cancelled {
            by: "kim \u{1f600}".to_owned(),
        },
    ]
}

pub(super) fn failure_causes() -> [FailureCause; 9] {
    let reason = || "no such file:\n\t'x'".to_owned();
    [
        FailureCause::ExitCode { code: -1 },
        FailureCause::Signal { signal: 9 },
        FailureCause::OutOfMemory,
        FailureCause::NoMetric {
            metrics: vec!["val/acc".parse().unwrap(), "loss".parse().unwrap()],
            last_lines: reason(),
        },
        FailureCause::Infeasible { reason: reason() },
        FailureCause::Launch { reason: reason() },
        FailureCause::LeaseExpired,
        FailureCause::WorkerLost { reason: reason() },
        FailureCause::Told {
            reason: String::new(),
        },
    ]
}

/// Every state, with every reason that it can have.
pub(super) fn all_states() -> Vec<TrialState> {
    let client = Lease {
        holder: Holder::Client("laptop \"1\"".to_owned()),
        ..lease(2)
    };
    let [early, timed_out, cancelled] = stop_reasons();
    let mut states = vec![
        TrialState::Pending,
        TrialState::Leased(lease(1)),
        TrialState::Running(client),
        TrialState::Paused,
        TrialState::Completed,
        TrialState::EarlyStopped(early),
        TrialState::TimedOut(timed_out),
        TrialState::Cancelled(cancelled),
    ];
    states.extend(stop_reasons().map(|reason| TrialState::Stopping(lease(3), reason)));
    states.extend(failure_causes().map(TrialState::Failed));
    states
}

pub(super) fn attempt(trial: u64, attempt: u32) -> AttemptRow {
    AttemptRow {
        trial: TrialNumber(trial),
        attempt: Attempt(attempt),
        lease: lease(attempt).id,
        holder: worker_holder(),
        holder_name: "gpu-1".to_owned(),
        gpus: vec![],
        price_per_hour: 0.0,
        cost: 0.0,
        client_ttl: None,
        leased_at: at(2),
        started_at: None,
        ended_at: None,
        outcome: String::new(),
        failure: None,
        pid: 0,
        exit_code: None,
        peak_memory: 0,
        usage: Default::default(),
        log_tail: String::new(),
    }
}

/// `count` points of a metric from sequence number `first_seq` on.
pub(super) fn points(trial: u64, attempt: u32, metric: &str, first_seq: u64, count: u64) -> PointChunk {
    let seqs = || (first_seq..first_seq + count).map(|seq| i64::try_from(seq).unwrap());
    PointChunk {
        trial: TrialNumber(trial),
        attempt: Attempt(attempt),
        metric: metric.parse().unwrap(),
        first_seq,
        last_seq: first_seq + count - 1,
        steps: seqs().collect(),
        values: (first_seq..first_seq + count)
            .map(|seq| 1.0 / (1.0 + f64::from(u32::try_from(seq).unwrap())))
            .collect(),
        times: seqs().map(at).collect(),
        arrivals: seqs().map(|seq| at(seq + 7)).collect(),
    }
}

pub(super) fn decision(trial: u64, step: i64) -> DecisionRow {
    DecisionRow {
        trial: TrialNumber(trial),
        attempt: Attempt(1),
        decision: StopDecision {
            rule_index: 1,
            rule: "median".to_owned(),
            shadow: step % 2 == 0,
            metric: "val/acc".parse().unwrap(),
            step,
            value: f64::NAN,
            reference: f64::NEG_INFINITY,
            compared_trials: 12,
            text: "NaN is below the median".to_owned(),
        },
        at: at(step),
    }
}

pub(super) fn request(n: u128) -> RequestRow {
    RequestRow {
        id: RequestId(Uuid::from_u128(n)),
        content: [7; 32],
        trials: vec![TrialNumber(1), TrialNumber(u64::from(u32::MAX))],
        at: at(i64::try_from(n).unwrap()),
    }
}

pub(super) fn audit(subject: &str, second: i64) -> AuditRow {
    AuditRow {
        at: at(second),
        actor: "kim".to_owned(),
        action: "stop_trial".to_owned(),
        subject: subject.to_owned(),
        detail: String::new(),
    }
}

pub(super) fn worker(n: u128, name: &str) -> WorkerRow {
    WorkerRow {
        id: WorkerId(Uuid::from_u128(n)),
        name: name.parse().unwrap(),
        generation: 3,
        draining: true,
        version: "0.1.0".to_owned(),
        address: "[::1]:4000".to_owned(),
        resources: serde_json::json!({"gpus": [{"uuid": "GPU-1", "memory": 1e10}], "cpus": 8, "none": null}),
        last_seen_at: at(5),
    }
}

pub(super) fn token(id: &str, second: i64) -> TokenRow {
    TokenRow {
        id: id.to_owned(),
        kind: TokenKind::User,
        label: "kim's laptop".to_owned(),
        secret_hash: [0xfe; 32],
        created_at: at(second),
        revoked_at: None,
    }
}

pub(super) fn trials(rows: impl IntoIterator<Item = TrialRow>) -> Changes {
    Changes {
        trials: rows.into_iter().collect(),
        ..Changes::default()
    }
}

pub(super) fn chunks(rows: impl IntoIterator<Item = PointChunk>) -> Changes {
    Changes {
        points: rows.into_iter().collect(),
        ..Changes::default()
    }
}
