//! What a worker says is in use: checked, and as people see it.

use tonic::Status;
use tunesmith_common::LeaseKey;
use tunesmith_proto::convert::lease_from_wire;
use tunesmith_proto::convert::usage::series_from_wire;
use tunesmith_proto::v1;

use crate::grpc::status::ApiError;
use crate::pool::{AttemptUse, GpuStatus, GpuUse, MachineUse, UsageReport};

/// GPUs and attempts of one report.
const MOST: usize = 1_024;

/// A report from the wire.
pub(super) fn report(report: &v1::UsageReport) -> Result<UsageReport, Status> {
    for (field, count) in [
        ("usage.gpus", report.gpus.len()),
        ("usage.attempts", report.attempts.len()),
    ] {
        if count > MOST {
            let message = format!("has {count} entries, at most {MOST} are allowed");
            return Err(ApiError::invalid(field, message).into());
        }
    }
    let machine = report.machine.unwrap_or_default();
    for (field, cpus) in [
        ("usage.machine.cpus", machine.cpus),
        ("usage.machine.all_cpus", machine.all_cpus),
    ] {
        if !(0.0..1e6).contains(&cpus) {
            return Err(ApiError::invalid(field, format!("is {cpus}; it must be from 0 to 1000000")).into());
        }
    }
    let attempts = report
        .attempts
        .iter()
        .map(attempt)
        .collect::<Result<_, ApiError>>()?;
    let gpus = report.gpus.iter().map(|gpu| GpuUse {
        uuid: gpu.uuid.clone(),
        percent: gpu.percent.map(|percent| percent.min(100)),
        memory: gpu.memory_bytes,
    });
    Ok(UsageReport {
        machine: MachineUse {
            cpus: machine.cpus,
            all_cpus: machine.all_cpus,
            memory: machine.memory_bytes,
            all_memory: machine.all_memory_bytes,
        },
        gpus: gpus.collect(),
        attempts,
    })
}

fn attempt(used: &v1::AttemptUsage) -> Result<AttemptUse, ApiError> {
    Ok(AttemptUse {
        lease: lease_from_wire(used.lease.as_ref(), "usage.attempts.lease")?,
        series: series_from_wire(used.series.as_ref(), "usage.attempts.series")?,
        whole: used.whole,
    })
}

/// What is in use of a machine.
pub(in crate::grpc) fn machine_to_wire(used: &MachineUse) -> v1::MachineUsage {
    v1::MachineUsage {
        cpus: used.cpus,
        all_cpus: used.all_cpus,
        memory_bytes: used.memory,
        all_memory_bytes: used.all_memory,
    }
}

/// What is in use of a GPU; `trial_of` names the trial of an attempt.
pub(in crate::grpc) fn gpu_to_wire(
    status: &GpuStatus,
    trial_of: impl Fn(&LeaseKey) -> Option<String>,
) -> v1::GpuUsage {
    v1::GpuUsage {
        uuid: status.used.uuid.clone(),
        percent: status.used.percent,
        memory_bytes: status.used.memory,
        trial: status.lease.as_ref().and_then(trial_of).unwrap_or_default(),
    }
}
