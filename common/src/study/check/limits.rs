//! Budgets that contradict what trials need: no trial could ever run, or no limit could ever be reached.

use super::Problems;
use crate::study::spec::{Budget, TrialSpec};
use crate::units::HumanDuration;

pub(super) fn check(budget: &Budget, trial: Option<&TrialSpec>, problems: &mut Problems) {
    if budget.gpu_hours.is_some() && trial.is_none_or(|trial| trial.resources.gpus.count == 0) {
        problems.add(
            "budget.gpu_hours",
            "no trial asks for a GPU; add trial.resources.gpus or remove this",
        );
    }
    let max_runtime = trial.and_then(|trial| trial.max_runtime);
    if let (Some(runtime), Some(wall_time)) = (max_runtime, budget.wall_time)
        && runtime > wall_time
    {
        let (runtime, wall_time) = (HumanDuration(runtime), HumanDuration(wall_time));
        problems.add(
            "trial.max_runtime",
            format!("{runtime} is longer than the whole study, budget.wall_time is {wall_time}"),
        );
    }
}
