//! Pieces that several views share: words for states, times, parameters, and what a study's definition says about them.

use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::Color;
use pbjson_types::{Struct, Value, value::Kind};
use tunesmith_common::Timestamp;
use tunesmith_proto::{convert, v1 as pb};

use crate::output::Style;
use crate::output::human;

/// Word for a study's state.
#[must_use]
pub(crate) fn study_state(state: pb::StudyState) -> (&'static str, Option<Color>) {
    match state {
        pb::StudyState::Unspecified => ("unknown", None),
        pb::StudyState::Active => ("active", Some(Color::Green)),
        pb::StudyState::Paused => ("paused", Some(Color::Yellow)),
        pb::StudyState::Done => ("done", None),
        pb::StudyState::Archived => ("archived", Some(Color::DarkGrey)),
    }
}

/// Word for a trial's state.
#[must_use]
pub(crate) fn trial_state(state: pb::TrialState) -> (&'static str, Option<Color>) {
    match state {
        pb::TrialState::Unspecified => ("unknown", None),
        pb::TrialState::Pending => ("pending", Some(Color::DarkGrey)),
        pb::TrialState::Leased => ("starting", Some(Color::Cyan)),
        pb::TrialState::Running => ("running", Some(Color::Cyan)),
        pb::TrialState::Stopping => ("stopping", Some(Color::Yellow)),
        pb::TrialState::Paused => ("paused", Some(Color::Yellow)),
        pb::TrialState::Completed => ("completed", Some(Color::Green)),
        pb::TrialState::EarlyStopped => ("early-stopped", Some(Color::Yellow)),
        pb::TrialState::TimedOut => ("timed-out", Some(Color::Yellow)),
        pb::TrialState::Failed => ("failed", Some(Color::Red)),
        pb::TrialState::Cancelled => ("cancelled", Some(Color::DarkGrey)),
    }
}

/// A time on the wire, if there is one.
#[must_use]
pub(crate) fn at(time: Option<&pbjson_types::Timestamp>) -> Option<Timestamp> {
    time.map(convert::timestamp_from_wire)
}

/// A duration on the wire; none if it is absent or negative.
#[must_use]
pub(crate) fn span(duration: Option<&pbjson_types::Duration>) -> Option<Duration> {
    duration.and_then(|duration| convert::duration_from_wire(duration, "duration").ok())
}

/// An amount with the currency that a study's costs are counted in.
#[must_use]
pub(crate) fn money(amount: String, study: &pb::Study) -> String {
    match study.spending.as_ref().map(|spent| human::clean(&spent.currency)) {
        Some(currency) if !currency.is_empty() => format!("{amount} {currency}"),
        _ => amount,
    }
}

/// Time from `start` to `end`, or to `now` for what still goes on.
#[must_use]
pub(crate) fn elapsed(
    start: Option<&pbjson_types::Timestamp>,
    end: Option<&pbjson_types::Timestamp>,
    now: Timestamp,
) -> Option<Duration> {
    Some(at(end).unwrap_or(now).saturating_since(at(start)?))
}

/// Names of the study's parameters, in the order in which its owner wrote them.
#[must_use]
pub(crate) fn parameter_names(spec: Option<&pb::StudySpec>) -> Vec<&str> {
    spec.map(|spec| {
        spec.space
            .iter()
            .map(|parameter| parameter.name.as_str())
            .collect()
    })
    .unwrap_or_default()
}

/// The objectives, in their order.
pub(crate) fn objectives(spec: Option<&pb::StudySpec>) -> impl Iterator<Item = &pb::Objective> {
    spec.into_iter()
        .flat_map(|spec| spec.objective.iter().chain(&spec.more_objectives))
}

/// Whether the study has several objectives, so that there is a Pareto set instead of a best trial.
#[must_use]
pub(crate) fn has_several_objectives(spec: Option<&pb::StudySpec>) -> bool {
    spec.is_some_and(|spec| !spec.more_objectives.is_empty())
}

/// The bounds of metrics that trials must keep.
#[must_use]
pub(crate) fn bounds(spec: Option<&pb::StudySpec>) -> &[pb::MeasuredConstraint] {
    spec.map(|spec| spec.measured_constraints.as_slice())
        .unwrap_or_default()
}

/// `mem_gb <= 16`.
#[must_use]
pub(crate) fn bound(constraint: &pb::MeasuredConstraint) -> String {
    let metric = human::clean(&constraint.metric);
    match (constraint.at_most, constraint.at_least) {
        (Some(bound), _) => format!("{metric} <= {}", human::exact_number(bound)),
        (None, Some(bound)) => format!("{metric} >= {}", human::exact_number(bound)),
        (None, None) => metric,
    }
}

/// Name of the first objective's metric; `value` if the study does not say.
#[must_use]
pub(crate) fn metric(spec: Option<&pb::StudySpec>) -> String {
    let metric = spec
        .and_then(|spec| spec.objective.as_ref())
        .map(|objective| human::clean(&objective.metric));
    metric
        .filter(|metric| !metric.is_empty())
        .unwrap_or_else(|| "value".to_owned())
}

/// What the study's trainings count: `epoch`, or `step`.
#[must_use]
pub(crate) fn step_name(spec: Option<&pb::StudySpec>) -> String {
    let steps = spec
        .and_then(|spec| spec.trial.as_ref())
        .and_then(|trial| trial.steps.as_ref());
    let name = steps
        .map(|steps| human::clean(&steps.name))
        .filter(|name| !name.is_empty());
    name.unwrap_or_else(|| "step".to_owned())
}

/// The last step of a full training, if the study says.
#[must_use]
pub(crate) fn step_max(spec: Option<&pb::StudySpec>) -> Option<u64> {
    let steps = spec?.trial.as_ref()?.steps.as_ref()?;
    steps.max.and_then(|max| u64::try_from(max).ok())
}

/// A parameter's value, every digit of it.
#[must_use]
pub(crate) fn value_exact(value: &Value) -> String {
    match &value.kind {
        Some(Kind::NumberValue(number)) => human::exact_number(*number),
        other => kind_text(other.as_ref()),
    }
}

/// A parameter's value with five digits.
#[must_use]
pub(crate) fn value_short(value: &Value) -> String {
    match &value.kind {
        Some(Kind::NumberValue(number)) => human::short_number(*number),
        other => human::shorten(&kind_text(other.as_ref()), 24),
    }
}

fn kind_text(kind: Option<&Kind>) -> String {
    match kind {
        Some(Kind::BoolValue(value)) => value.to_string(),
        Some(Kind::StringValue(value)) => human::clean(value),
        Some(Kind::NumberValue(value)) => human::exact_number(*value),
        Some(Kind::NullValue(_)) | None => "-".to_owned(),
        Some(Kind::ListValue(list)) => list.values.iter().map(value_exact).collect::<Vec<_>>().join(","),
        Some(Kind::StructValue(fields)) => parameters(fields, &[])
            .into_iter()
            .map(|(name, value)| format!("{name}={}", value_exact(value)))
            .collect(),
    }
}

/// Active parameters in the study's order; those it does not know come last, by name.
#[must_use]
pub(crate) fn parameters<'a>(values: &'a Struct, order: &[&str]) -> Vec<(&'a str, &'a Value)> {
    let mut pairs: Vec<(&str, &Value)> = values
        .fields
        .iter()
        .map(|(name, value)| (name.as_str(), value))
        .collect();
    let rank = |name: &str| {
        order
            .iter()
            .position(|known| *known == name)
            .unwrap_or(usize::MAX)
    };
    pairs.sort_by(|a, b| rank(a.0).cmp(&rank(b.0)).then_with(|| a.0.cmp(b.0)));
    pairs
}

/// `lr=0.01 batch=64`, with five digits each.
#[must_use]
pub(crate) fn parameters_line(trial: &pb::Trial, order: &[&str]) -> String {
    let Some(values) = &trial.parameters else {
        return String::new();
    };
    let words = parameters(values, order)
        .into_iter()
        .map(|(name, value)| format!("{}={}", human::clean(name), value_short(value)));
    words.collect::<Vec<_>>().join(" ")
}

/// Trials that have ended for good.
#[must_use]
pub(crate) fn ended(counts: &pb::TrialCounts) -> u64 {
    counts.completed + counts.early_stopped + counts.timed_out + counts.failed + counts.cancelled
}

/// All trials there are.
#[must_use]
pub(crate) fn total(counts: &pb::TrialCounts) -> u64 {
    ended(counts) + counts.pending + counts.running + counts.stopping + counts.paused
}

/// `22 completed, 16 early-stopped, 1 failed`; what there is none of is left out.
#[must_use]
pub(crate) fn counts_line(counts: &pb::TrialCounts) -> String {
    let words = [
        (counts.completed, "completed"),
        (counts.early_stopped, "early-stopped"),
        (counts.timed_out, "timed out"),
        (counts.failed, "failed"),
        (counts.cancelled, "cancelled"),
        (counts.running, "running"),
        (counts.stopping, "stopping"),
        (counts.paused, "paused"),
        (counts.pending, "pending"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, word)| format!("{} {word}", human::count(count)));
    let text = words.collect::<Vec<_>>().join(", ");
    if text.is_empty() {
        "none yet".to_owned()
    } else {
        text
    }
}

/// Lines of `label  value`, with the labels aligned; entries without a value are left out.
#[derive(Debug, Default)]
pub(crate) struct Facts(Vec<(String, String)>);

impl Facts {
    /// Adds a line, if there is something to say.
    pub(crate) fn add(&mut self, label: &str, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() {
            self.0.push((label.to_owned(), value));
        }
    }

    /// Adds a line, if there is a value.
    pub(crate) fn add_some(&mut self, label: &str, value: Option<String>) {
        if let Some(value) = value {
            self.add(label, value);
        }
    }

    /// The lines; further lines of a value are indented like its first.
    #[must_use]
    pub(crate) fn render(&self, style: Style) -> String {
        let width = self
            .0
            .iter()
            .map(|(label, _)| label.chars().count())
            .max()
            .unwrap_or(0);
        let mut text = String::new();
        for (label, value) in &self.0 {
            for (index, line) in value.lines().enumerate() {
                let padded = format!("{:<width$}", if index == 0 { label.as_str() } else { "" });
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{}  {line}", style.dim(&padded));
            }
        }
        text
    }
}
