//! A study: everything its owner declares about it, checked.
//!
//! The types here can only be made from a checked study file ([`StudySpec::try_from`] a [`RawStudy`]); whoever holds one need not
//! check again.

mod auto;
mod change;
mod check;
mod draft;
mod export;
mod file;
mod outlook;
mod population;
mod raw;
mod schema;
mod spec;
#[cfg(test)]
mod tests;
mod values;
mod warnings;
mod zoom;

pub use change::{EDITABLE, MAX_RUNTIME};
pub use check::{FieldError, SpecErrors};
pub use draft::{Draft, Part};
pub use file::{Located, StudyFile, StudyFileError, name_of_file};
pub use population::{Exploit, Explore, Population, Segment};
pub use raw::{
    RawBudget, RawConstraint, RawExploit, RawKind, RawMeasured, RawMetrics, RawNoImprovement, RawObjective,
    RawObjectives, RawParameter, RawResources, RawRule, RawSegment, RawStdout, RawSteps, RawStopper,
    RawStrategy, RawStrategyName, RawStudy, RawTrial, RawValues,
};
pub use schema::study_schema;
pub use spec::{
    Acquisition, Baseline, Bound, Budget, GpuRequest, Halving, HalvingName, MeasuredConstraint, MetricSource,
    NoImprovement, Objective, Resources, Schedule, Steps, StopperRule, StopperSpec, StrategyName,
    StrategySpec, StudySpec, TrialSpec, rungs,
};
pub use values::{Ordered, RawNumber, RawValue};
pub use zoom::Zoomed;
