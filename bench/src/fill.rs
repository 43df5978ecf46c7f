//! Makes a study large: finished trials with their curves, written straight into the database by the store's own code.
//!
//! Filling is no part of what is measured; a million calls would take long. The coordinator must not run meanwhile.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tunesmith_common::decision::{Origin, Provenance, StopDecision};
use tunesmith_common::measurement::MetricName;
use tunesmith_common::params::ParamValue;
use tunesmith_common::study::StrategyName;
use tunesmith_common::trial::{Holder, StopReason, TrialState};
use tunesmith_common::{Attempt, LeaseId, Params, StudyName, Timestamp, TrialNumber};
use tunesmith_coordinator::store::{AttemptRow, Changes, DecisionRow, PointChunk, Store, TrialRow};
use uuid::Uuid;

/// Trials of one commit.
const BATCH: u64 = 5_000;
/// Every so many trials one was stopped early, half-way.
const STOPPED: u64 = 10;

/// Adds `size` trials of `steps` steps to a study that has none.
pub(crate) async fn fill(store: &dyn Store, study: &str, size: u64, steps: i64) -> anyhow::Result<()> {
    let name: StudyName = study.trim_start_matches("studies/").parse()?;
    let study = store.study_find(&name).await?.context("the study is not there")?;
    let mut owner = store.study_take(study.id).await?;
    let metric: MetricName = "val_acc".parse()?;
    let mut first = 1;
    while first <= size {
        let mut changes = Changes::default();
        for number in first..(first + BATCH).min(size + 1) {
            add(&mut changes, TrialNumber(number), &metric, steps)?;
        }
        owner = store.commit(&owner, &changes).await?;
        first += BATCH;
    }
    Ok(())
}

fn add(changes: &mut Changes, number: TrialNumber, metric: &MetricName, steps: i64) -> anyhow::Result<()> {
    let share = |factor: u64| {
        #[expect(clippy::cast_precision_loss, reason = "53 bits of a hash")]
        let share = (number.0.wrapping_mul(factor) >> 11) as f64 / (1_u64 << 53) as f64;
        share
    };
    let (level, rate, width) = (
        share(0x9e37_79b9_7f4a_7c15),
        share(0xd1b5_4a32_d192_ed03),
        share(0x8cb9_2ba7_2f3d_8dd7),
    );
    let stopped = number.0.is_multiple_of(STOPPED);
    let steps: Vec<i64> = (1..=if stopped { steps / 2 } else { steps }).collect();
    let values: Vec<f64> = steps
        .iter()
        .map(|&step| level * (1.0 - (-0.2 * f64::from(i32::try_from(step).unwrap_or(0))).exp()))
        .collect();
    let last = steps.last().copied().zip(values.last().copied());
    let (last_step, value) = last.context("a trial has at least one step")?;
    let at = |seconds: u64| {
        let micros = 1_700_000_000_000_000 + (number.0 * 1_000 + seconds) * 1_000_000;
        Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    };
    let text = || format!("val_acc {value} at step {last_step} is below the median of 1000 trials");
    let state = if stopped {
        TrialState::EarlyStopped(StopReason::EarlyStopped {
            rule: "median".to_owned(),
            text: text(),
        })
    } else {
        TrialState::Completed
    };
    let widths = [8, 16, 32, 64, 128, 256];
    let place = (1..=6).position(|sixth| width * 6.0 < f64::from(sixth));
    let power_of_two = widths[place.unwrap_or(5)];
    let params: Params = [
        ("lr".parse()?, ParamValue::Float(1e-5 * 1e4_f64.powf(rate))),
        ("width".parse()?, ParamValue::Int(power_of_two)),
    ]
    .into_iter()
    .collect();
    let attempt = Attempt(1);
    let count = u64::try_from(steps.len())?;
    changes.attempts.push(AttemptRow {
        trial: number,
        attempt,
        lease: LeaseId(Uuid::from_u128(u128::from(number.0))),
        holder: Holder::Client("bench".to_owned()),
        holder_name: "bench".to_owned(),
        gpus: Vec::new(),
        price_per_hour: 0.0,
        cost: 0.0,
        client_ttl: Some(Duration::from_secs(60)),
        leased_at: at(0),
        started_at: Some(at(0)),
        ended_at: Some(at(count)),
        outcome: "told by its caller".to_owned(),
        failure: None,
        pid: 0,
        exit_code: None,
        peak_memory: 0,
        usage: Default::default(),
        log_tail: String::new(),
    });
    changes.points.push(PointChunk {
        trial: number,
        attempt,
        metric: metric.clone(),
        first_seq: 1,
        last_seq: count,
        times: (1..=count).map(at).collect(),
        arrivals: (1..=count).map(at).collect(),
        steps,
        values,
    });
    if stopped {
        changes.decisions.push(DecisionRow {
            trial: number,
            attempt,
            decision: StopDecision {
                rule_index: 0,
                rule: "median".to_owned(),
                shadow: false,
                metric: metric.clone(),
                step: last_step,
                value,
                reference: 0.5,
                compared_trials: 1_000,
                text: text(),
            },
            at: at(count),
        });
    }
    changes.trials.push(TrialRow {
        number,
        state,
        attempt,
        program_failures: 0,
        infrastructure_failures: 0,
        params: Arc::new(params),
        seed: number.0,
        value: Some(value),
        more_values: Box::default(),
        last_step: Some(last_step),
        metrics: vec![(metric.clone(), value)],
        stages: Arc::default(),
        note: String::new(),
        tags: Vec::new(),
        provenance: Arc::new(Provenance {
            origin: Origin::Strategy,
            strategy: "random".to_owned(),
            settings: Some(StrategyName::Random),
            seed: 1,
            history_revision: number.0,
            results: 0,
            cursor: None,
            note: String::new(),
        }),
        created_at: at(0),
        started_at: Some(at(0)),
        ended_at: Some(at(count)),
    });
    Ok(())
}
