//! What workers and the coordinator tell each other: resources, assignments, ends of attempts.

use std::collections::BTreeMap;

use tunesmith_common::checkpoint::Checkpoint;
use tunesmith_common::measurement::MetricName;
use tunesmith_common::study::{GpuRequest, MetricSource, Resources, Steps, TrialSpec};
use tunesmith_common::worker::{
    Assignment, AttemptEnd, AttemptOutcome, Gpu, HeldAttempt, MAX_LOG_TAIL, MAX_WARNINGS, StopCause,
    WorkerResources,
};
use tunesmith_common::{Attempt, TrialNumber};

use super::usage::{series_from_wire, series_to_wire};
use super::{
    ConvertError, duration_from_wire, duration_to_wire, lease_from_wire, lease_to_wire, parse, required,
    timestamp_from_wire, timestamp_to_wire, value,
};
use crate::v1;

/// GPUs a worker may report.
const MAX_GPUS: usize = 1_024;
/// Labels a worker may report.
const MAX_LABELS: usize = 256;
/// Places of checkpoints a worker may reach.
const MAX_STORES: usize = 64;
/// Slots a worker may report.
const MAX_SLOTS: u32 = 10_000;
/// Bytes of a label, a warning or a reason.
const MAX_TEXT: usize = 4_096;
/// Time between SIGTERM and SIGKILL where a template does not say.
const DEFAULT_GRACE: std::time::Duration = std::time::Duration::from_secs(30);

/// Resources on the wire.
#[must_use]
pub fn resources_to_wire(resources: &WorkerResources) -> v1::WorkerResources {
    v1::WorkerResources {
        slots: resources.slots,
        cpus: resources.cpus,
        memory_bytes: resources.memory,
        gpus: resources
            .gpus
            .iter()
            .map(|gpu| v1::Gpu {
                uuid: gpu.uuid.clone(),
                model: gpu.model.clone(),
                memory_bytes: gpu.memory,
            })
            .collect(),
        labels: resources
            .labels
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        store_uids: resources.stores.iter().map(ToString::to_string).collect(),
    }
}

/// Resources from the wire.
///
/// # Errors
/// If a number is out of range, a GPU has no UUID or one that another has too, or there is more of something than a worker may have.
pub fn resources_from_wire(
    resources: Option<&v1::WorkerResources>,
    field: &str,
) -> Result<WorkerResources, ConvertError> {
    let resources = required(resources, field)?;
    if resources.slots > MAX_SLOTS {
        return Err(over(
            &format!("{field}.slots"),
            u64::from(resources.slots),
            u64::from(MAX_SLOTS),
        ));
    }
    if !resources.cpus.is_finite() || resources.cpus < 0.0 {
        let message = format!("must be a finite number of at least 0, got {}", resources.cpus);
        return Err(ConvertError::new(format!("{field}.cpus"), message));
    }
    check_count(resources.gpus.len(), MAX_GPUS, &format!("{field}.gpus"))?;
    check_count(resources.labels.len(), MAX_LABELS, &format!("{field}.labels"))?;
    check_count(
        resources.store_uids.len(),
        MAX_STORES,
        &format!("{field}.store_uids"),
    )?;
    let mut gpus: Vec<Gpu> = Vec::with_capacity(resources.gpus.len());
    for (index, gpu) in resources.gpus.iter().enumerate() {
        let path = format!("{field}.gpus[{index}].uuid");
        if gpu.uuid.is_empty() {
            return Err(ConvertError::new(path, "is empty"));
        }
        check_text(&gpu.uuid, &path)?;
        check_text(&gpu.model, &format!("{field}.gpus[{index}].model"))?;
        if gpus.iter().any(|known| known.uuid == gpu.uuid) {
            return Err(ConvertError::new(path, format!("{:?} is listed twice", gpu.uuid)));
        }
        gpus.push(Gpu {
            uuid: gpu.uuid.clone(),
            model: gpu.model.clone(),
            memory: gpu.memory_bytes,
        });
    }
    for (key, value) in &resources.labels {
        check_text(key, &format!("{field}.labels"))?;
        check_text(value, &format!("{field}.labels[{key}]"))?;
    }
    Ok(WorkerResources {
        slots: resources.slots,
        cpus: resources.cpus,
        memory: resources.memory_bytes,
        gpus,
        labels: resources
            .labels
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        stores: resources
            .store_uids
            .iter()
            .enumerate()
            .map(|(index, uid)| parse(uid, &format!("{field}.store_uids[{index}]")))
            .collect::<Result<_, _>>()?,
    })
}

/// A checkpoint on the wire.
#[must_use]
pub fn checkpoint_to_wire(checkpoint: &Checkpoint) -> v1::Checkpoint {
    v1::Checkpoint {
        store_uid: checkpoint.store.to_string(),
        trial: checkpoint.trial.0,
        attempt: checkpoint.attempt.0,
        step: checkpoint.step,
        bytes: checkpoint.bytes,
        files: checkpoint.files,
        digest: checkpoint.digest.clone(),
    }
}

/// A checkpoint from the wire.
///
/// # Errors
/// If its place is none, or its digest is not one of SHA-256.
pub fn checkpoint_from_wire(checkpoint: &v1::Checkpoint, field: &str) -> Result<Checkpoint, ConvertError> {
    let digest = &checkpoint.digest;
    if digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let message = format!("must have 64 hexadecimal digits, has {} bytes", digest.len());
        return Err(ConvertError::new(format!("{field}.digest"), message));
    }
    Ok(Checkpoint {
        store: parse(&checkpoint.store_uid, &format!("{field}.store_uid"))?,
        trial: TrialNumber(checkpoint.trial),
        attempt: Attempt(checkpoint.attempt),
        step: checkpoint.step,
        bytes: checkpoint.bytes,
        files: checkpoint.files,
        digest: digest.clone(),
    })
}

/// A held attempt on the wire.
#[must_use]
pub fn held_to_wire(held: &HeldAttempt) -> v1::HeldAttempt {
    v1::HeldAttempt {
        lease: Some(lease_to_wire(&held.lease)),
        started: held.started,
        ended: held.ended,
    }
}

/// A held attempt from the wire.
///
/// # Errors
/// If its lease is missing or malformed.
pub fn held_from_wire(held: &v1::HeldAttempt, field: &str) -> Result<HeldAttempt, ConvertError> {
    let lease = lease_from_wire(held.lease.as_ref(), &format!("{field}.lease"))?;
    Ok(HeldAttempt {
        lease,
        started: held.started,
        ended: held.ended,
    })
}

/// An assignment on the wire.
#[must_use]
pub fn assignment_to_wire(assignment: &Assignment) -> v1::Assignment {
    v1::Assignment {
        lease: Some(lease_to_wire(&assignment.lease)),
        study: assignment.study.to_string(),
        parameters: value::typed_params_to_wire(&assignment.params),
        template: Some(template_to_wire(&assignment.spec)),
        gpus: assignment.gpus.clone(),
        seed: assignment.seed,
        metrics: assignment.metrics.iter().map(ToString::to_string).collect(),
        objectives: assignment.objectives,
        resume: assignment.resume.as_ref().map(checkpoint_to_wire),
        until: assignment.until,
        keep_checkpoint: assignment.keep_checkpoint,
    }
}

/// An assignment from the wire.
///
/// # Errors
/// If a field is missing or malformed, or the command is empty.
pub fn assignment_from_wire(assignment: &v1::Assignment) -> Result<Assignment, ConvertError> {
    let metrics = assignment
        .metrics
        .iter()
        .enumerate()
        .map(|(index, name)| parse::<MetricName>(name, &format!("metrics[{index}]")))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Assignment {
        lease: lease_from_wire(assignment.lease.as_ref(), "lease")?,
        study: parse(&assignment.study, "study")?,
        params: value::typed_params_from_wire(&assignment.parameters, "parameters")?,
        spec: template_from_wire(assignment.template.as_ref(), "template")?,
        gpus: assignment.gpus.clone(),
        seed: assignment.seed,
        metrics,
        objectives: assignment.objectives.max(1),
        resume: assignment
            .resume
            .as_ref()
            .map(|checkpoint| checkpoint_from_wire(checkpoint, "resume"))
            .transpose()?,
        until: assignment.until,
        keep_checkpoint: assignment.keep_checkpoint,
    })
}

/// How a trial is run, on the wire.
#[must_use]
pub fn template_to_wire(spec: &TrialSpec) -> v1::TrialTemplate {
    use v1::metric_source::Source;
    let source = match &spec.metrics {
        MetricSource::StdoutJson => Source::StdoutJson(v1::StdoutJson {}),
        MetricSource::Regex(patterns) => Source::Regex(v1::RegexPatterns {
            patterns: patterns.clone(),
        }),
        MetricSource::File(path) => Source::File(path.clone()),
    };
    v1::TrialTemplate {
        command: spec.command.clone(),
        env: spec
            .env
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        workdir: spec.workdir.clone().unwrap_or_default(),
        metrics: Some(v1::MetricSource { source: Some(source) }),
        steps: Some(v1::Steps {
            name: spec.steps.name.clone(),
            max: spec.steps.max,
        }),
        resources: Some(v1::ResourceRequest {
            gpus: spec.resources.gpus.count,
            gpu_memory_bytes: spec.resources.gpus.memory,
            cpus: spec.resources.cpus,
            memory_bytes: spec.resources.memory,
            labels: spec
                .resources
                .labels
                .iter()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        }),
        max_runtime: spec.max_runtime.map(duration_to_wire),
        retries: spec.retries,
        grace: Some(duration_to_wire(spec.grace)),
    }
}

/// How a trial is run, as the coordinator checked it when the study was made: only what this side relies on is looked at again.
///
/// # Errors
/// If it is missing, or its command is empty, or a time is negative.
pub fn template_from_wire(
    template: Option<&v1::TrialTemplate>,
    field: &str,
) -> Result<TrialSpec, ConvertError> {
    use v1::metric_source::Source;
    let template = required(template, field)?;
    if template.command.is_empty() {
        return Err(ConvertError::new(
            format!("{field}.command"),
            "is empty; it names the program to run",
        ));
    }
    let metrics = match template
        .metrics
        .as_ref()
        .and_then(|metrics| metrics.source.as_ref())
    {
        None | Some(Source::StdoutJson(_)) => MetricSource::StdoutJson,
        Some(Source::Regex(patterns)) => MetricSource::Regex(patterns.patterns.clone()),
        Some(Source::File(path)) => MetricSource::File(path.clone()),
    };
    let steps = template.steps.clone().unwrap_or_default();
    let resources = template.resources.clone().unwrap_or_default();
    Ok(TrialSpec {
        command: template.command.clone(),
        env: template
            .env
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect::<BTreeMap<_, _>>(),
        workdir: Some(template.workdir.clone()).filter(|path| !path.is_empty()),
        metrics,
        steps: Steps {
            name: if steps.name.is_empty() {
                "step".to_owned()
            } else {
                steps.name
            },
            max: steps.max,
        },
        resources: Resources {
            gpus: GpuRequest {
                count: resources.gpus,
                memory: resources.gpu_memory_bytes,
            },
            cpus: resources.cpus,
            memory: resources.memory_bytes,
            labels: resources.labels.into_iter().collect(),
        },
        max_runtime: template
            .max_runtime
            .as_ref()
            .map(|time| duration_from_wire(time, &format!("{field}.max_runtime")))
            .transpose()?,
        retries: template.retries,
        grace: template.grace.as_ref().map_or(Ok(DEFAULT_GRACE), |grace| {
            duration_from_wire(grace, &format!("{field}.grace"))
        })?,
    })
}

/// The end of an attempt on the wire. Texts that are too long are cut.
#[must_use]
pub fn ended_to_wire(end: &AttemptEnd) -> v1::AttemptEnded {
    use v1::attempt_ended::Outcome;
    let outcome = match &end.outcome {
        AttemptOutcome::Exited(code) => Outcome::ExitCode(*code),
        AttemptOutcome::Signalled(signal) => Outcome::Signal(*signal),
        AttemptOutcome::LaunchFailed(reason) => Outcome::LaunchFailure(head(reason, MAX_TEXT).to_owned()),
        AttemptOutcome::Lost(reason) => Outcome::Lost(head(reason, MAX_TEXT).to_owned()),
        AttemptOutcome::HandedBack => Outcome::HandedBack(v1::HandedBack {}),
    };
    let stop_cause = match end.stop_cause {
        None => v1::StopCause::Unspecified,
        Some(StopCause::Asked) => v1::StopCause::Asked,
        Some(StopCause::MaxRuntime(_)) => v1::StopCause::MaxRuntime,
    };
    let max_runtime = match end.stop_cause {
        Some(StopCause::MaxRuntime(limit)) => Some(duration_to_wire(limit)),
        _ => None,
    };
    v1::AttemptEnded {
        lease: Some(lease_to_wire(&end.lease)),
        last_seq: end.last_seq,
        ended_at: Some(timestamp_to_wire(end.ended_at)),
        outcome: Some(outcome),
        stop_cause: stop_cause.into(),
        infeasible_reason: end
            .infeasible
            .as_ref()
            .map(|reason| head(reason, MAX_TEXT).to_owned()),
        out_of_memory: end.out_of_memory,
        peak_memory_bytes: end.peak_memory,
        log_tail: tail(&end.log_tail, MAX_LOG_TAIL).to_owned(),
        warnings: end
            .warnings
            .iter()
            .take(MAX_WARNINGS)
            .map(|text| head(text, MAX_TEXT).to_owned())
            .collect(),
        checkpoint: end.checkpoint.as_ref().map(checkpoint_to_wire),
        max_runtime,
        usage: series_to_wire(&end.usage),
    }
}

/// The end of an attempt from the wire. Texts that are too long are cut: an end must never be lost for the length of its words.
///
/// # Errors
/// If the lease, the time or the outcome is missing, or the stop cause is unknown or without its limit.
pub fn ended_from_wire(end: &v1::AttemptEnded) -> Result<AttemptEnd, ConvertError> {
    use v1::attempt_ended::Outcome;
    let outcome = match required(end.outcome.as_ref(), "ended.outcome")? {
        Outcome::ExitCode(code) => AttemptOutcome::Exited(*code),
        Outcome::Signal(signal) => AttemptOutcome::Signalled(*signal),
        Outcome::LaunchFailure(reason) => AttemptOutcome::LaunchFailed(head(reason, MAX_TEXT).to_owned()),
        Outcome::Lost(reason) => AttemptOutcome::Lost(head(reason, MAX_TEXT).to_owned()),
        Outcome::HandedBack(v1::HandedBack {}) => AttemptOutcome::HandedBack,
    };
    let stop_cause = match v1::StopCause::try_from(end.stop_cause) {
        Ok(v1::StopCause::Unspecified) => None,
        Ok(v1::StopCause::Asked) => Some(StopCause::Asked),
        Ok(v1::StopCause::MaxRuntime) => {
            let limit = required(end.max_runtime.as_ref(), "ended.max_runtime")?;
            Some(StopCause::MaxRuntime(duration_from_wire(
                limit,
                "ended.max_runtime",
            )?))
        }
        Err(_) => {
            return Err(ConvertError::new(
                "ended.stop_cause",
                format!("{} is unknown", end.stop_cause),
            ));
        }
    };
    Ok(AttemptEnd {
        lease: lease_from_wire(end.lease.as_ref(), "ended.lease")?,
        last_seq: end.last_seq,
        ended_at: timestamp_from_wire(required(end.ended_at.as_ref(), "ended.ended_at")?),
        outcome,
        stop_cause,
        infeasible: end
            .infeasible_reason
            .as_ref()
            .map(|reason| head(reason, MAX_TEXT).to_owned()),
        out_of_memory: end.out_of_memory,
        peak_memory: end.peak_memory_bytes,
        usage: series_from_wire(end.usage.as_ref(), "ended.usage")?,
        log_tail: tail(&end.log_tail, MAX_LOG_TAIL).to_owned(),
        warnings: end
            .warnings
            .iter()
            .take(MAX_WARNINGS)
            .map(|text| head(text, MAX_TEXT).to_owned())
            .collect(),
        checkpoint: end
            .checkpoint
            .as_ref()
            .map(|checkpoint| checkpoint_from_wire(checkpoint, "ended.checkpoint"))
            .transpose()?,
    })
}

fn check_count(count: usize, limit: usize, field: &str) -> Result<(), ConvertError> {
    if count > limit {
        return Err(ConvertError::new(
            field,
            format!("has {count} entries, at most {limit} are allowed"),
        ));
    }
    Ok(())
}

fn check_text(text: &str, field: &str) -> Result<(), ConvertError> {
    if text.len() > MAX_TEXT {
        return Err(ConvertError::new(
            field,
            format!("has {} bytes, at most {MAX_TEXT} are allowed", text.len()),
        ));
    }
    Ok(())
}

fn over(field: &str, got: u64, limit: u64) -> ConvertError {
    ConvertError::new(field, format!("is {got}, at most {limit} is allowed"))
}

/// At most `limit` bytes from the beginning, cut between characters.
fn head(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

/// At most `limit` bytes from the end, cut between characters.
fn tail(text: &str, limit: usize) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(limit))..]
}

#[cfg(test)]
mod tests;
