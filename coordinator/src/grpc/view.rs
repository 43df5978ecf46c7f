//! Rows and summaries as people and programs see them: wire messages made from what is stored.

use std::collections::BTreeMap;

use tunesmith_common::checkpoint::{Changed, Parent};
use tunesmith_common::decision::Origin;
use tunesmith_common::measurement::MetricName;
use tunesmith_common::study::{Bound, RawConstraint, StrategyName, StudySpec};
use tunesmith_common::trial::{Holder, StopReason, TrialState};
use tunesmith_common::usage::UsageSeries;
use tunesmith_common::{Attempt, LeaseKey, StudyName, Timestamp};
use tunesmith_optimizer::RungView;
use tunesmith_proto::convert::usage::series_to_wire;
use tunesmith_proto::convert::{
    duration_to_wire, lease_to_wire, study as study_convert, study_resource, timestamp_to_wire,
    trial_resource, value, worker as worker_convert, worker_resource,
};
use tunesmith_proto::v1;

use super::session::{gpu_to_wire, machine_to_wire};
use crate::decide::{Asked, Counts, Summary, Terms};
use crate::pool::{WorkerState, WorkerStatus};
use crate::store::{
    AttemptRow, DecisionRow, DoneReason, End, PointChunk, Relative, Source, StudyRow, StudyState, TokenKind,
    TokenRow, TrialRow,
};

/// What a study says of its trials' numbers: without it a trial's row cannot be shown.
pub(super) struct Legend {
    study: StudyName,
    /// Metrics of the objectives, if there are several.
    objectives: Vec<String>,
    /// Metrics of the measured constraints, with their bounds.
    constraints: Vec<(String, Bound)>,
}

impl Legend {
    /// Of a study that is loaded.
    pub(super) fn of_spec(spec: &StudySpec) -> Self {
        let mut objectives: Vec<String> = Vec::new();
        if !spec.more_objectives.is_empty() {
            objectives.extend(spec.objectives().map(|objective| objective.metric.to_string()));
        }
        let constraints = spec.measured_constraints.iter();
        Self {
            study: spec.name.clone(),
            objectives,
            constraints: constraints
                .map(|constraint| (constraint.metric.to_string(), constraint.bound))
                .collect(),
        }
    }

    /// Of a study as it is stored.
    pub(super) fn of_row(row: &StudyRow) -> Self {
        let mut objectives: Vec<String> = Vec::new();
        if !row.spec.objective.more.is_empty() {
            objectives.extend(
                row.spec
                    .objective
                    .iter()
                    .map(|objective| objective.metric.clone()),
            );
        }
        let bound = |constraint: &RawConstraint| match constraint {
            RawConstraint::Expression(_) => None,
            RawConstraint::Measured(raw) => {
                let bound = raw
                    .at_most
                    .map(Bound::AtMost)
                    .or(raw.at_least.map(Bound::AtLeast))?;
                Some((raw.metric.clone(), bound))
            }
        };
        Self {
            study: row.name.clone(),
            objectives,
            constraints: row.spec.constraints.iter().filter_map(bound).collect(),
        }
    }
}

/// A study as stored, without what only its engine or its trials tell.
pub(super) fn study_row(terms: &Terms, row: &StudyRow) -> v1::Study {
    let (state, done) = study_state(row.state);
    v1::Study {
        name: study_resource(&row.name),
        uid: row.id.to_string(),
        spec: Some(study_convert::to_wire(&row.spec)),
        state: state.into(),
        state_reason: row.state_reason.clone(),
        done_reason: done.map_or(v1::DoneReason::Unspecified, done_reason).into(),
        created_at: Some(timestamp_to_wire(row.created_at)),
        done_at: row.done_at.map(timestamp_to_wire),
        spending: Some(v1::Spending {
            wall_time: Some(duration_to_wire(row.active_time)),
            gpu_hours: row.gpu_seconds / 3_600.0,
            gpu_hours_committed: 0.0,
            cost: row.cost,
            cost_committed: 0.0,
            currency: terms.prices.shown_currency().to_owned(),
        }),
        strategy_note: row.strategy_note.clone(),
        parent: row.lineage.parent.as_ref().map(relative),
        history: row.lineage.history.iter().map(history_source).collect(),
        creator: row.creator.clone(),
        policy: row.policy.as_ref().map(|policy| v1::StudyPolicy {
            name: policy.name.clone(),
            sets: policy.sets.clone(),
        }),
        ..v1::Study::default()
    }
}

/// A study as its engine sees it. `pending` is why its trials wait in the pool.
pub(super) fn study(terms: &Terms, summary: &Summary, best: Option<&TrialRow>, pending: String) -> v1::Study {
    let waits = match summary.study.state {
        StudyState::Done(_) | StudyState::Archived(_) => String::new(),
        _ if summary.counts.in_flight() > 0 => String::new(),
        _ if !summary.waits_for.is_empty() => summary.waits_for.clone(),
        _ => pending,
    };
    let mut warnings = summary.warnings.clone();
    // It was made when there were prices.
    let budget = terms.check_budget(&summary.study.spec.budget);
    warnings.extend(budget.err().map(|error| error.to_string()));
    let row = study_row(terms, &summary.study);
    v1::Study {
        spending: row.spending.map(|spent| v1::Spending {
            gpu_hours_committed: summary.committed_gpu_seconds / 3_600.0,
            cost_committed: summary.committed_cost,
            ..spent
        }),
        revision: summary.revision,
        counts: Some(counts(&summary.counts)),
        best: best.map(|row| trial(&Legend::of_row(&summary.study), row)),
        pareto_set: summary.pareto_set.iter().map(|number| number.0).collect(),
        warnings,
        stopper_notes: summary.stoppers.clone(),
        steps_saved: summary.steps_saved,
        brackets: summary.rungs.iter().map(|rungs| bracket(rungs)).collect(),
        improvement: improvement(summary),
        pending_reason: waits,
        ..row
    }
}

fn improvement(summary: &Summary) -> Option<v1::Improvement> {
    let improving = &summary.improving;
    summary
        .study
        .spec
        .budget
        .no_improvement
        .as_ref()
        .map(|_| v1::Improvement {
            results: improving.results,
            idle: improving.idle,
            gain_left: improving.gain_left,
            confidence: improving.gain_left.and(improving.confidence),
            note: improving.note.clone(),
        })
}

fn relative(relative: &Relative) -> v1::Relative {
    v1::Relative {
        name: study_resource(&relative.name),
        uid: relative.id.map_or_else(String::new, |id| id.to_string()),
    }
}

fn history_source(source: &Source) -> v1::HistorySource {
    v1::HistorySource {
        study: Some(relative(&source.study)),
        taken: source.taken,
        left_out: source.left_out,
    }
}

fn study_state(state: StudyState) -> (v1::StudyState, Option<DoneReason>) {
    match state {
        // Still has trials that end: to people it is active until the last of them has.
        StudyState::Active | StudyState::Ending(_) => (v1::StudyState::Active, None),
        StudyState::Paused => (v1::StudyState::Paused, None),
        StudyState::Done(reason) => (v1::StudyState::Done, Some(reason)),
        StudyState::Archived(reason) => (v1::StudyState::Archived, Some(reason)),
    }
}

fn done_reason(reason: DoneReason) -> v1::DoneReason {
    match reason {
        DoneReason::Budget => v1::DoneReason::Budget,
        DoneReason::Target => v1::DoneReason::Target,
        DoneReason::Exhausted => v1::DoneReason::Exhausted,
        DoneReason::Cancelled => v1::DoneReason::Cancelled,
        DoneReason::Failures => v1::DoneReason::Failures,
    }
}

/// Trials by state.
pub(super) fn counts(counts: &Counts) -> v1::TrialCounts {
    v1::TrialCounts {
        pending: counts.pending,
        running: counts.leased + counts.running,
        stopping: counts.stopping,
        paused: counts.paused,
        completed: counts.completed,
        early_stopped: counts.early_stopped,
        timed_out: counts.timed_out,
        failed: counts.failed,
        cancelled: counts.cancelled,
    }
}

/// A trial without attempts and decisions.
pub(super) fn trial(legend: &Legend, row: &TrialRow) -> v1::Trial {
    let (state, reason, cause, rule) = trial_state(&row.state);
    let values = std::iter::once(row.value).chain(row.more_values.iter().copied());
    let measured = row.more_values.iter().copied().chain(std::iter::repeat(None));
    let constraints: Vec<v1::ConstraintValue> = legend
        .constraints
        .iter()
        .zip(measured.skip(legend.objectives.len().saturating_sub(1)))
        .map(|((metric, bound), value)| v1::ConstraintValue {
            metric: metric.clone(),
            value,
            violation: value.map(|value| bound.violation(value)),
        })
        .collect();
    let counts = matches!(
        row.state,
        TrialState::Completed | TrialState::EarlyStopped(_) | TrialState::TimedOut(_)
    );
    let keeps =
        |constraint: &v1::ConstraintValue| constraint.violation.is_some_and(|violation| violation <= 0.0);
    v1::Trial {
        values: legend
            .objectives
            .iter()
            .zip(values)
            .filter_map(|(metric, value)| Some((metric.clone(), value?)))
            .collect(),
        feasible: (counts && !constraints.is_empty()).then(|| constraints.iter().all(keeps)),
        constraints,
        name: trial_resource(&legend.study, row.number),
        number: row.number.0,
        state: state.into(),
        parameters: Some(value::params_to_wire(&row.params)),
        value: row.value,
        last_step: row.last_step,
        metrics: row
            .metrics
            .iter()
            .map(|(name, value)| (name.to_string(), *value))
            .collect(),
        state_reason: reason,
        failure_cause: cause.to_owned(),
        stopped_by: rule,
        pending_reason: String::new(),
        note: row.note.clone(),
        tags: row.tags.clone(),
        provenance: Some(v1::Provenance {
            origin: match row.provenance.origin {
                Origin::Strategy => "strategy",
                Origin::Manual => "manual",
                Origin::Imported => "imported",
            }
            .to_owned(),
            strategy: row.provenance.strategy.clone(),
            settings: row
                .provenance
                .settings
                .map(StrategyName::settings)
                .unwrap_or_default(),
            seed: row.provenance.seed,
            history_revision: row.provenance.history_revision,
            note: row.provenance.note.clone(),
            results: row.provenance.results,
        }),
        attempts: vec![],
        decisions: vec![],
        created_at: Some(timestamp_to_wire(row.created_at)),
        started_at: row.started_at.map(timestamp_to_wire),
        ended_at: row.ended_at.map(timestamp_to_wire),
        seed: row.seed,
        rungs: row
            .stages
            .rungs
            .iter()
            .map(|result| v1::RungResult {
                rung: result.rung,
                step: result.step,
                value: result.value,
                at: Some(timestamp_to_wire(result.at)),
            })
            .collect(),
        checkpoint: row
            .stages
            .checkpoint
            .as_ref()
            .map(worker_convert::checkpoint_to_wire),
        cost: None,
        parent: row.stages.parent.as_deref().map(parent),
    }
}

fn parent(parent: &Parent) -> v1::Parent {
    let changed = |changed: &Changed| v1::ParameterChange {
        name: changed.name.to_string(),
        from: changed.from.as_ref().map(value::to_wire),
        to: changed.to.as_ref().map(value::to_wire),
    };
    v1::Parent {
        trial: parent.trial.0,
        step: parent.step,
        value: parent.value,
        replaces: parent.replaces.map(|replaced| replaced.0),
        changed: parent.changed.iter().map(changed).collect(),
    }
}

fn bracket(rungs: &[RungView]) -> v1::Bracket {
    let rung = |rung: &RungView| v1::Rung {
        step: rung.step,
        reached: rung.reached,
        resting: rung.resting,
        best: rung.best,
    };
    v1::Bracket {
        rungs: rungs.iter().map(rung).collect(),
    }
}

/// State.
pub(super) fn state(state: &TrialState) -> v1::TrialState {
    trial_state(state).0
}

/// State, why for people, cause of a failure, rule that stopped it.
fn trial_state(state: &TrialState) -> (v1::TrialState, String, &'static str, String) {
    use v1::TrialState as Wire;
    let stopped = |wire, reason: &StopReason| {
        let rule = match reason {
            StopReason::EarlyStopped { rule, .. } => rule.clone(),
            StopReason::TimedOut { .. } | StopReason::Cancelled { .. } | StopReason::Paused { .. } => {
                String::new()
            }
        };
        (wire, reason.to_string(), "", rule)
    };
    let plain = |wire| (wire, String::new(), "", String::new());
    match state {
        TrialState::Pending => plain(Wire::Pending),
        TrialState::Leased(_) => plain(Wire::Leased),
        TrialState::Running(_) => plain(Wire::Running),
        TrialState::Stopping(_, reason) => stopped(Wire::Stopping, reason),
        TrialState::Paused => plain(Wire::Paused),
        TrialState::Completed => plain(Wire::Completed),
        TrialState::EarlyStopped(reason) => stopped(Wire::EarlyStopped, reason),
        TrialState::TimedOut(reason) => stopped(Wire::TimedOut, reason),
        TrialState::Failed(cause) => (Wire::Failed, cause.to_string(), cause.name(), String::new()),
        TrialState::Cancelled(reason) => stopped(Wire::Cancelled, reason),
    }
}

/// Name in the store of a state on the wire; none for "not given".
pub(super) fn state_name(state: v1::TrialState) -> Option<&'static str> {
    Some(match state {
        v1::TrialState::Unspecified => return None,
        v1::TrialState::Pending => "PENDING",
        v1::TrialState::Leased => "LEASED",
        v1::TrialState::Running => "RUNNING",
        v1::TrialState::Stopping => "STOPPING",
        v1::TrialState::Paused => "PAUSED",
        v1::TrialState::Completed => "COMPLETED",
        v1::TrialState::EarlyStopped => "EARLY_STOPPED",
        v1::TrialState::TimedOut => "TIMED_OUT",
        v1::TrialState::Failed => "FAILED",
        v1::TrialState::Cancelled => "CANCELLED",
    })
}

/// The state of a trial that has ended.
pub(super) fn ended(end: End) -> v1::TrialState {
    match end {
        End::Completed => v1::TrialState::Completed,
        End::EarlyStopped => v1::TrialState::EarlyStopped,
        End::TimedOut => v1::TrialState::TimedOut,
        End::Failed => v1::TrialState::Failed,
        End::Cancelled => v1::TrialState::Cancelled,
    }
}

/// How a trial in this state has ended, if it has.
pub(super) fn end(state: v1::TrialState) -> Option<End> {
    let ends = [
        End::Completed,
        End::EarlyStopped,
        End::TimedOut,
        End::Failed,
        End::Cancelled,
    ];
    ends.into_iter().find(|end| ended(*end) == state)
}

/// A trial that was handed out to the caller.
pub(super) fn asked(legend: &Legend, asked: &Asked) -> v1::AskedTrial {
    v1::AskedTrial {
        trial: Some(trial(legend, &asked.row)),
        lease: Some(lease_to_wire(&asked.lease)),
    }
}

/// One attempt. `points` are those stored of it, `usage` is what it used so far.
pub(super) fn attempt(row: &AttemptRow, points: u64, usage: &UsageSeries, now: Timestamp) -> v1::AttemptInfo {
    v1::AttemptInfo {
        price_per_hour: row.price_per_hour,
        cost: match (row.started_at, row.ended_at) {
            (Some(started), None) => {
                now.saturating_since(started).as_secs_f64() / 3_600.0 * row.price_per_hour
            }
            _ => row.cost,
        },
        attempt: row.attempt.0,
        holder: row.holder_name.clone(),
        gpus: row.gpus.clone(),
        leased_at: Some(timestamp_to_wire(row.leased_at)),
        started_at: row.started_at.map(timestamp_to_wire),
        ended_at: row.ended_at.map(timestamp_to_wire),
        outcome: row.outcome.clone(),
        failure_cause: row.failure.as_ref().map_or("", |cause| cause.name()).to_owned(),
        pid: row.pid,
        exit_code: row.exit_code,
        peak_memory_bytes: row.peak_memory,
        points,
        log_tail: row.log_tail.clone(),
        usage: series_to_wire(usage),
    }
}

/// One judgement.
pub(super) fn decision(row: &DecisionRow) -> v1::StopDecision {
    v1::StopDecision {
        rule_index: row.decision.rule_index,
        rule: row.decision.rule.clone(),
        shadow: row.decision.shadow,
        metric: row.decision.metric.to_string(),
        step: row.decision.step,
        value: row.decision.value,
        reference: row.decision.reference,
        compared_trials: row.decision.compared_trials,
        text: row.decision.text.clone(),
        decided_at: Some(timestamp_to_wire(row.at)),
    }
}

/// The worker that holds, or held, an attempt.
pub(super) fn worker_of(row: &AttemptRow) -> Option<tunesmith_common::WorkerId> {
    match row.holder {
        Holder::Worker(worker) => Some(worker),
        Holder::Client(_) => None,
    }
}

/// Curves by metric and step. `attempt` 0 is the trial as it counts: an attempt that starts again at step s replaces what earlier
/// ones reported from s on. The chunks are ordered by attempt, metric, sequence number.
pub(super) fn curves(chunks: &[PointChunk], metrics: &[MetricName], attempt: u32) -> Vec<v1::Curve> {
    let mut curves: BTreeMap<&MetricName, (Attempt, BTreeMap<i64, f64>)> = BTreeMap::new();
    for chunk in chunks {
        let wanted = (attempt == 0 || chunk.attempt.0 == attempt)
            && (metrics.is_empty() || metrics.contains(&chunk.metric));
        let (true, Some(&first)) = (wanted, chunk.steps.first()) else {
            continue;
        };
        let (newest, points) = curves
            .entry(&chunk.metric)
            .or_insert_with(|| (chunk.attempt, BTreeMap::new()));
        if *newest != chunk.attempt {
            *newest = chunk.attempt;
            points.split_off(&first);
        }
        points.extend(chunk.steps.iter().copied().zip(chunk.values.iter().copied()));
    }
    curves
        .into_iter()
        .map(|(metric, (_, points))| v1::Curve {
            metric: metric.to_string(),
            step: points.keys().copied().collect(),
            value: points.into_values().collect(),
        })
        .collect()
}

/// New points of one trial as they are sent to watchers.
pub(super) fn points(chunk: &PointChunk) -> v1::Points {
    v1::Points {
        metrics: vec![chunk.metric.to_string()],
        metric: vec![0; chunk.steps.len()],
        step: chunk.steps.clone(),
        value: chunk.values.clone(),
        at_micros: chunk.times.iter().map(|at| at.as_micros()).collect(),
    }
}

/// A worker. `study_of` names the study of a lease, if it is known.
pub(super) fn worker(status: &WorkerStatus, study_of: impl Fn(&LeaseKey) -> Option<StudyName>) -> v1::Worker {
    let state = match status.state {
        WorkerState::Ready => v1::WorkerState::Ready,
        WorkerState::Draining => v1::WorkerState::Draining,
        WorkerState::Offline => v1::WorkerState::Offline,
    };
    let trial_of = |lease: &LeaseKey| Some(trial_resource(&study_of(lease)?, lease.trial));
    v1::Worker {
        usage: status.usage.as_ref().map(machine_to_wire),
        gpu_usage: status.gpus.iter().map(|gpu| gpu_to_wire(gpu, trial_of)).collect(),
        name: worker_resource(&status.name),
        uid: status.id.to_string(),
        state: state.into(),
        state_reason: status.reason.clone(),
        version: status.version.clone(),
        address: status.address.clone(),
        resources: Some(worker_convert::resources_to_wire(&status.resources)),
        trials: status.leases.iter().filter_map(trial_of).collect(),
        connected_at: status.connected_at.map(timestamp_to_wire),
        last_seen_at: Some(timestamp_to_wire(status.last_seen_at)),
    }
}

/// A token without its secret.
pub(super) fn token(row: &TokenRow) -> v1::Token {
    let kind = match row.kind {
        TokenKind::User => v1::TokenKind::User,
        TokenKind::Worker => v1::TokenKind::Worker,
    };
    v1::Token {
        id: row.id.clone(),
        kind: kind.into(),
        label: row.label.clone(),
        created_at: Some(timestamp_to_wire(row.created_at)),
        revoked: row.revoked_at.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tunesmith_common::{Timestamp, TrialNumber};

    fn chunk(attempt: u32, first_seq: u64, points: &[(i64, f64)]) -> PointChunk {
        PointChunk {
            trial: TrialNumber(1),
            attempt: Attempt(attempt),
            metric: "loss".parse().unwrap(),
            first_seq,
            last_seq: first_seq,
            steps: points.iter().map(|point| point.0).collect(),
            values: points.iter().map(|point| point.1).collect(),
            times: vec![Timestamp::UNIX_EPOCH; points.len()],
            arrivals: vec![Timestamp::UNIX_EPOCH; points.len()],
        }
    }

    #[test]
    fn an_attempt_that_resumes_replaces_the_view_from_its_first_step_on() {
        let chunks = [
            chunk(1, 1, &[(1, 0.9), (2, 0.8)]),
            chunk(1, 3, &[(3, 0.7), (3, 0.65), (4, 0.6)]),
            chunk(2, 1, &[(3, 0.5)]),
        ];
        let whole = curves(&chunks, &[], 0);
        assert_eq!(
            (&whole[0].step, &whole[0].value),
            (&vec![1, 2, 3], &vec![0.9, 0.8, 0.5])
        );
        let first = curves(&chunks, &["loss".parse().unwrap()], 1);
        assert_eq!(first[0].value, [0.9, 0.8, 0.65, 0.6]);
        assert!(curves(&chunks, &["acc".parse().unwrap()], 0).is_empty());
    }
}
