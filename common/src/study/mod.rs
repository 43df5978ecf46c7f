//! A study: everything its owner declares about it, checked.
//!
//! The types here can only be made from a checked study file ([`StudySpec::try_from`] a [`RawStudy`]); whoever holds one need not
//! check again.

mod spec;

pub use spec::{
    Budget, GpuRequest, MetricSource, Objective, Resources, StopperRule, StopperSpec, Baseline, Steps, StrategyName, StrategySpec,
    StudySpec, TrialSpec,
};
