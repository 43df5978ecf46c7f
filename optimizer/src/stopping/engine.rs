//! One study's early-stopping rules at work.

use tunesmith_common::TrialNumber;
use tunesmith_common::decision::StopDecision;
use tunesmith_common::measurement::MetricName;
use tunesmith_common::study::{Objective, StopperSpec};

/// A study's early-stopping rules with all that they need to know of its trials.
#[derive(Debug)]
pub struct Stoppers {
    rules: Vec<StopperSpec>,
}

impl Stoppers {
    /// The rules of a study, before any point was reported.
    #[must_use]
    pub fn new(rules: &[StopperSpec], _objective: &Objective) -> Self {
        Self {
            rules: rules.to_vec(),
        }
    }

    /// Takes in a point and judges the trial by it.
    pub fn report(
        &mut self,
        _trial: TrialNumber,
        _metric: &MetricName,
        _step: i64,
        _value: f64,
    ) -> Vec<StopDecision> {
        Vec::new()
    }

    /// Takes in a stored point without judging, to rebuild the state after a restart.
    pub fn restore_point(&mut self, _trial: TrialNumber, _metric: &MetricName, _step: i64, _value: f64) {}

    /// Takes note that a rule has said stop for a trial, to rebuild the state after a restart.
    pub fn restore_decision(&mut self, _trial: TrialNumber, _rule_index: u32) {}

    /// A new attempt starts to report a metric at `from_step`: what was reported from there on is void.
    pub fn metric_restarted(&mut self, _trial: TrialNumber, _metric: &MetricName, _from_step: i64) {}

    /// A trial has ended; `value` is the objective's value as reported if it counts.
    pub fn trial_ended(&mut self, _trial: TrialNumber, _value: Option<f64>) {}

    /// What each rule does or waits for, in one sentence each.
    #[must_use]
    pub fn status(&self) -> Vec<String> {
        self.rules.iter().map(|_| String::new()).collect()
    }
}
