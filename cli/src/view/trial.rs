//! Trials: the list, and one in full.

use std::fmt::Write as _;

use comfy_table::Color;
use tunesmith_common::Timestamp;
use tunesmith_proto::v1 as pb;

use super::parts::{self, Facts};
use crate::names;
use crate::output::table::{self, Entry, number, text};
use crate::output::{Style, human};

/// Points of a curve shown in one line.
const SPARKLINE_WIDTH: usize = 50;
/// Parameters that get a column of their own; studies with more show them in one.
const PARAMETER_COLUMNS: usize = 8;
/// Lines of a failed attempt's output shown.
const TAIL_LINES: usize = 12;

/// A table of trials. `spec` is their study's definition.
#[must_use]
pub(crate) fn list(
    trials: &[pb::Trial],
    spec: Option<&pb::StudySpec>,
    style: Style,
    now: Timestamp,
) -> String {
    let names = parts::parameter_names(spec);
    let columns = !names.is_empty() && names.len() <= PARAMETER_COLUMNS;
    let with_reason = trials.iter().any(|trial| !reason(trial).is_empty());
    let with_tags = trials.iter().any(|trial| !trial.tags.is_empty());
    let with_note = trials.iter().any(|trial| !trial.note.is_empty());

    let objectives: Vec<&pb::Objective> = parts::objectives(spec).skip(1).collect();
    let bounds = parts::bounds(spec);

    let mut header = vec![
        "TRIAL".to_owned(),
        "STATE".to_owned(),
        parts::metric(spec).to_uppercase(),
    ];
    let more = objectives.iter().map(|objective| human::clean(&objective.metric));
    header.extend(
        more.chain(bounds.iter().map(parts::bound))
            .map(|name| name.to_uppercase()),
    );
    if !bounds.is_empty() {
        header.push("FEASIBLE".to_owned());
    }
    header.push(parts::step_name(spec).to_uppercase());
    header.push("TIME".to_owned());
    if columns {
        header.extend(names.iter().map(|name| human::clean(name)));
    } else {
        header.push("PARAMETERS".to_owned());
    }
    if with_reason {
        header.push("WHY".to_owned());
    }
    if with_tags {
        header.push("TAGS".to_owned());
    }
    if with_note {
        header.push("NOTE".to_owned());
    }
    let rows = trials.iter().map(|trial| {
        let (state, color) = parts::trial_state(trial.state());
        let time = parts::elapsed(trial.started_at.as_ref(), trial.ended_at.as_ref(), now);
        let mut row = vec![
            number(trial.number.to_string()),
            text(state).color(color),
            value_cell(trial.value),
        ];
        row.extend(
            objectives
                .iter()
                .map(|objective| value_cell(trial.values.get(&objective.metric).copied())),
        );
        if !bounds.is_empty() {
            let value_of = |place: usize| {
                trial
                    .constraints
                    .get(place)
                    .and_then(|constraint| constraint.value)
            };
            row.extend((0..bounds.len()).map(|place| value_cell(value_of(place))));
            row.push(match trial.feasible {
                Some(true) => text("yes").color(Some(Color::Green)),
                Some(false) => text("no").color(Some(Color::Red)),
                None => text(""),
            });
        }
        row.extend([
            number(trial.last_step.map(|step| step.to_string()).unwrap_or_default()),
            number(time.map(human::duration).unwrap_or_default()),
        ]);
        if columns {
            row.extend(names.iter().map(|name| parameter_cell(trial, name)));
        } else {
            row.push(text(human::shorten(&parts::parameters_line(trial, &names), 120)));
        }
        if with_reason {
            row.push(text(human::shorten(&reason(trial), 70)));
        }
        if with_tags {
            row.push(text(human::shorten(&human::clean(&trial.tags.join(", ")), 40)));
        }
        if with_note {
            row.push(text(human::shorten(&human::clean(&trial.note), 40)));
        }
        row
    });
    table::render(style, &header, rows.collect())
}

fn value_cell(value: Option<f64>) -> Entry {
    number(value.map(human::short_number).unwrap_or_default())
}

fn parameter_cell(trial: &pb::Trial, name: &str) -> Entry {
    match trial
        .parameters
        .as_ref()
        .and_then(|values| values.fields.get(name))
    {
        Some(value) => text(parts::value_short(value)),
        None => text("-").color(Some(Color::DarkGrey)),
    }
}

/// Why the trial is where it is: why it ended, or what it waits for.
fn reason(trial: &pb::Trial) -> String {
    human::clean(if trial.state_reason.is_empty() {
        &trial.pending_reason
    } else {
        &trial.state_reason
    })
}

/// One trial of a study in full, with its curves if they are known.
#[must_use]
pub(crate) fn show(
    trial: &pb::Trial,
    study: &pb::Study,
    curves: &[pb::Curve],
    style: Style,
    now: Timestamp,
) -> String {
    let spec = study.spec.as_ref();
    let mut facts = Facts::default();
    let (state, _) = parts::trial_state(trial.state());
    let reason = reason(trial);
    facts.add("Trial", style.bold(&names::short_trial(&trial.name)));
    facts.add(
        "State",
        if reason.is_empty() {
            state.to_owned()
        } else {
            format!("{state} ({reason})")
        },
    );
    facts.add("Cause", human::clean(&trial.failure_cause));
    facts.add("Tags", human::clean(&trial.tags.join(", ")));
    facts.add("Note", human::clean(&trial.note));
    facts.add_some(&parts::metric(spec), trial.value.map(human::exact_number));
    for objective in parts::objectives(spec).skip(1) {
        let value = trial.values.get(&objective.metric).copied();
        facts.add_some(&human::clean(&objective.metric), value.map(human::exact_number));
    }
    facts.add("Constraints", constraints(trial, spec));
    facts.add_some(
        "Feasible",
        trial
            .feasible
            .map(|feasible| if feasible { "yes" } else { "no" }.to_owned()),
    );
    facts.add("Parameters", exact_parameters(trial, spec));
    facts.add("Why these", provenance(trial.provenance.as_ref()));
    facts.add_some("Parent", trial.parent.as_ref().map(|from| parent(from, spec)));
    facts.add("Rungs", rungs(trial, spec));
    facts.add_some(
        "Checkpoint",
        trial.checkpoint.as_ref().map(|saved| checkpoint(saved, spec)),
    );
    facts.add("Seed", trial.seed.to_string());
    facts.add_some(
        "Proposed",
        parts::at(trial.created_at.as_ref()).map(|at| human::time(at, now)),
    );
    facts.add_some(
        "Started",
        parts::at(trial.started_at.as_ref()).map(|at| human::time(at, now)),
    );
    facts.add_some(
        "Ended",
        parts::at(trial.ended_at.as_ref()).map(|at| human::time(at, now)),
    );
    let time = parts::elapsed(trial.started_at.as_ref(), trial.ended_at.as_ref(), now);
    facts.add_some("Time", time.map(human::duration));
    let cost = trial.cost.filter(|cost| *cost > 0.0);
    facts.add_some("Cost", cost.map(|cost| parts::money(human::amount(cost), study)));
    let mut output = facts.render(style);

    let metrics = metrics(trial, spec, curves);
    if !metrics.is_empty() {
        let _ = write!(output, "\n{}\n{metrics}", style.bold("Metrics"));
    }
    if !trial.decisions.is_empty() {
        let _ = write!(
            output,
            "\n{}\n{}",
            style.bold("Early stopping"),
            decisions(trial, spec, style)
        );
    }
    if !trial.attempts.is_empty() {
        let _ = write!(
            output,
            "\n{}\n{}",
            style.bold("Attempts"),
            attempts(trial, style, now)
        );
    }
    output
}

/// With whose training it began.
fn parent(parent: &pb::Parent, spec: Option<&pb::StudySpec>) -> String {
    let mut text = format!(
        "trial {} at {} {}, which had {}",
        parent.trial,
        parts::step_name(spec),
        parent.step,
        human::exact_number(parent.value)
    );
    if let Some(replaced) = parent.replaces {
        let _ = write!(text, "; in the place of trial {replaced}");
    }
    let show = |value: &Option<pbjson_types::Value>| match value {
        Some(value) => parts::value_exact(value),
        None => "inactive".to_owned(),
    };
    for change in &parent.changed {
        let name = human::clean(&change.name);
        let _ = write!(text, "\n{name}: {} -> {}", show(&change.from), show(&change.to));
    }
    text
}

/// What the trial had come to at each rung.
fn rungs(trial: &pb::Trial, spec: Option<&pb::StudySpec>) -> String {
    let step_name = parts::step_name(spec);
    let line = |result: &pb::RungResult| {
        let late = match result.step == result.rung {
            true => String::new(),
            false => format!(" (reported at {})", result.step),
        };
        format!(
            "{step_name} {}: {}{late}",
            result.rung,
            human::exact_number(result.value)
        )
    };
    trial.rungs.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn checkpoint(saved: &pb::Checkpoint, spec: Option<&pb::StudySpec>) -> String {
    format!(
        "{} {}, {} in {}",
        parts::step_name(spec),
        saved.step,
        human::bytes(saved.bytes),
        human::plural(u64::from(saved.files), "file")
    )
}

/// How the trial stands with each bound of a metric.
fn constraints(trial: &pb::Trial, spec: Option<&pb::StudySpec>) -> String {
    let lines = parts::bounds(spec)
        .iter()
        .zip(&trial.constraints)
        .map(|(bound, found)| {
            let bound = parts::bound(bound);
            match (found.value, found.violation) {
                (Some(value), Some(violation)) if violation <= 0.0 => {
                    format!("{bound}: kept with {}", human::exact_number(value))
                }
                (Some(value), Some(violation)) => format!(
                    "{bound}: violated by {} with {}",
                    human::short_number(violation),
                    human::exact_number(value)
                ),
                _ => format!("{bound}: nothing reported"),
            }
        });
    lines.collect::<Vec<_>>().join("\n")
}

fn exact_parameters(trial: &pb::Trial, spec: Option<&pb::StudySpec>) -> String {
    let Some(values) = &trial.parameters else {
        return String::new();
    };
    let lines = parts::parameters(values, &parts::parameter_names(spec))
        .into_iter()
        .map(|(name, value)| format!("{} = {}", human::clean(name), parts::value_exact(value)));
    lines.collect::<Vec<_>>().join("\n")
}

fn provenance(provenance: Option<&pb::Provenance>) -> String {
    let Some(provenance) = provenance else {
        return String::new();
    };
    let mut text = match provenance.origin.as_str() {
        "strategy" => format!(
            "proposed by {}{} with seed {}, knowing {} (revision {} of the study)",
            human::clean(&provenance.strategy),
            settings(provenance),
            provenance.seed,
            human::plural(provenance.results, "result"),
            provenance.history_revision
        ),
        "manual" => "added by hand".to_owned(),
        "imported" => "imported with its result".to_owned(),
        other => human::clean(other),
    };
    if !provenance.note.is_empty() {
        let _ = write!(text, "\n{}", human::clean(&provenance.note));
    }
    text
}

/// The strategy's settings, if it has any, to stand behind its name.
fn settings(provenance: &pb::Provenance) -> String {
    match &provenance.settings[..] {
        "" => String::new(),
        settings => format!(" ({})", human::clean(settings)),
    }
}

/// One line per metric, the objectives' first: name, curve, range, last value.
fn metrics(trial: &pb::Trial, spec: Option<&pb::StudySpec>, curves: &[pb::Curve]) -> String {
    let objectives: Vec<&str> = parts::objectives(spec)
        .map(|objective| objective.metric.as_str())
        .collect();
    let rank = |name: &str| {
        let place = objectives.iter().position(|objective| *objective == name);
        place.unwrap_or(objectives.len())
    };
    let mut names: Vec<&str> = curves
        .iter()
        .map(|curve| curve.metric.as_str())
        .chain(trial.metrics.keys().map(String::as_str))
        .collect();
    names.sort_by_key(|name| (rank(name), *name));
    names.dedup();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let step_name = parts::step_name(spec);
    let mut output = String::new();
    for name in names {
        let shown = human::clean(name);
        let curve = curves
            .iter()
            .find(|curve| curve.metric == name && !curve.value.is_empty());
        let line = match curve {
            Some(curve) => {
                let last = curve
                    .value
                    .last()
                    .copied()
                    .map(human::short_number)
                    .unwrap_or_default();
                let (first_step, last_step) =
                    (curve.step.first().unwrap_or(&0), curve.step.last().unwrap_or(&0));
                let line = human::sparkline(&curve.value, SPARKLINE_WIDTH);
                format!("{line}  {last} at {step_name} {last_step} (from {first_step})")
            }
            None => trial
                .metrics
                .get(name)
                .copied()
                .map(human::short_number)
                .unwrap_or_default(),
        };
        let _ = writeln!(output, "  {shown:<width$}  {line}");
    }
    output
}

fn decisions(trial: &pb::Trial, spec: Option<&pb::StudySpec>, style: Style) -> String {
    let header = [
        "RULE",
        "METRIC",
        &parts::step_name(spec).to_uppercase(),
        "VALUE",
        "AGAINST",
        "TRIALS",
        "JUDGEMENT",
    ]
    .map(str::to_owned);
    let rows = trial.decisions.iter().map(|decision| {
        let shadow = if decision.shadow { " (only recorded)" } else { "" };
        vec![
            text(format!("{}{shadow}", decision.rule)),
            text(decision.metric.as_str()),
            number(decision.step.to_string()),
            number(human::short_number(decision.value)),
            number(human::short_number(decision.reference)),
            number(if decision.compared_trials > 0 {
                human::count(decision.compared_trials)
            } else {
                "-".to_owned()
            }),
            text(decision.text.as_str()),
        ]
    });
    table::render(style, &header, rows.collect())
}

fn attempts(trial: &pb::Trial, style: Style, now: Timestamp) -> String {
    let with_cost = trial.attempts.iter().any(|attempt| attempt.price_per_hour > 0.0);
    let header = [
        "ATTEMPT",
        "WHERE",
        "GPUS",
        "STARTED",
        "TIME",
        "COST",
        "POINTS",
        "PEAK MEMORY",
        "OUTCOME",
    ];
    let header: Vec<String> = header
        .into_iter()
        .filter(|name| with_cost || *name != "COST")
        .map(str::to_owned)
        .collect();
    let rows = trial.attempts.iter().map(|attempt| {
        let time = parts::elapsed(attempt.started_at.as_ref(), attempt.ended_at.as_ref(), now);
        let pid = if attempt.pid > 0 {
            format!(" pid {}", attempt.pid)
        } else {
            String::new()
        };
        let started = parts::at(attempt.started_at.as_ref()).map(|at| human::ago(at, now));
        let peak = if attempt.peak_memory_bytes > 0 {
            human::bytes(attempt.peak_memory_bytes)
        } else {
            String::new()
        };
        let mut row = vec![
            number(attempt.attempt.to_string()),
            text(format!("{}{pid}", attempt.holder)),
            text(attempt.gpus.join(" ")),
            text(started.unwrap_or_else(|| "not started".to_owned())),
            number(time.map(human::duration).unwrap_or_default()),
        ];
        if with_cost {
            row.push(number(human::amount(attempt.cost)));
        }
        row.extend([
            number(human::count(attempt.points)),
            number(peak),
            text(if attempt.outcome.is_empty() {
                "running".to_owned()
            } else {
                attempt.outcome.clone()
            }),
        ]);
        row
    });
    let mut output = table::render(style, &header, rows.collect());
    for attempt in trial
        .attempts
        .iter()
        .filter(|attempt| !attempt.log_tail.is_empty())
    {
        let lines: Vec<&str> = attempt.log_tail.lines().collect();
        let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        let _ = writeln!(output, "\nLast lines of attempt {}", attempt.attempt);
        for line in tail {
            let _ = writeln!(output, "  {}", human::clean(line));
        }
    }
    output
}
