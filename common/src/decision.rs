//! Why a trial was proposed and why it was stopped: the record that makes both explainable and repeatable.

use serde::{Deserialize, Serialize};

use crate::id::MetricName;
use crate::study::StrategyName;

/// Who chose the parameters of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The study's strategy.
    Strategy,
    /// A person or a program, by adding the trial.
    Manual,
    /// Brought from elsewhere with its results.
    Imported,
}

/// What a suggestion was based on. With the study's history up to `history_revision` it can be computed again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Who chose.
    pub origin: Origin,
    /// Name of the strategy, such as `sobol`; empty for manual and imported trials.
    pub strategy: String,
    /// The strategy with its settings, which is what `auto` chose then; none for manual and imported trials, those that go on from another one,
    /// and those that were stored before it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<StrategyName>,
    /// The study's seed.
    pub seed: u64,
    /// The study's revision whose results the strategy had seen.
    pub history_revision: u64,
    /// How many results the strategy had seen: those of the trials that had ended first.
    #[serde(default)]
    pub results: u64,
    /// Where the strategy's enumeration stood after it, for strategies that enumerate.
    #[serde(default)]
    pub cursor: Option<u64>,
    /// What a person should know about it, such as the person who added the trial. May be empty.
    pub note: String,
}

/// One judgement of an early-stopping rule that said "stop", with the numbers that it compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StopDecision {
    /// Position of the rule in the study's `early_stopping` list, from 0.
    pub rule_index: u32,
    /// Name of the rule, such as `median`.
    pub rule: String,
    /// Whether the rule only records what it would have done.
    pub shadow: bool,
    /// The metric judged.
    pub metric: MetricName,
    /// The step at which it was judged.
    pub step: i64,
    /// The trial's number that was compared: its best value so far, its last value, or the like, as `text` says.
    pub value: f64,
    /// What it was compared with.
    pub reference: f64,
    /// How many other trials the reference was drawn from.
    pub compared_trials: u64,
    /// The judgement in one sentence for people, with the numbers.
    pub text: String,
}
