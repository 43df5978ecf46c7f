//! Studies: the list, and one in full.

use std::fmt::Write as _;

use tunesmith_common::Timestamp;
use tunesmith_proto::v1 as pb;

use super::parts::{self, Facts};
use super::trial as trial_view;
use crate::names;
use crate::output::table::{self, number, text};
use crate::output::{Style, human};

/// What came of making a study's proposals again.
#[must_use]
pub(crate) fn replayed(replay: &pb::ReplayStudyResponse) -> String {
    let mut out = String::new();
    let line = |values: Option<&pbjson_types::Struct>| match values {
        Some(values) => {
            let values = parts::parameters(values, &[]);
            let values: Vec<String> = values
                .into_iter()
                .map(|(name, value)| format!("{}={}", human::clean(name), parts::value_exact(value)))
                .collect();
            values.join(" ")
        }
        None => "nothing".to_owned(),
    };
    for difference in &replay.differences {
        let _ = writeln!(
            out,
            "Trial {}: stored {}, now {}{}",
            difference.trial,
            line(difference.stored.as_ref()),
            line(difference.again.as_ref()),
            if difference.reason.is_empty() {
                String::new()
            } else {
                format!(" ({})", human::clean(&difference.reason))
            }
        );
    }
    for difference in &replay.decision_differences {
        let text = |decision: &Option<pb::StopDecision>| match decision {
            Some(decision) => format!(
                "{} ({})",
                human::clean(&decision.text),
                human::clean(&decision.rule)
            ),
            None => "no judgement".to_owned(),
        };
        let _ = writeln!(
            out,
            "Trial {}: stored {}, now {}",
            difference.trial,
            text(&difference.stored),
            text(&difference.again)
        );
    }
    let _ = write!(
        out,
        "{} made again and the same",
        human::plural(replay.same, "proposal")
    );
    if replay.same_decisions > 0 {
        let _ = write!(
            out,
            "; likewise {}",
            human::plural(replay.same_decisions, "judgement")
        );
    }
    if replay.not_proposed > 0 {
        let _ = write!(
            out,
            "; {} chosen by people or programs",
            human::plural(replay.not_proposed, "trial")
        );
    }
    out.push_str(".\n");
    out
}

/// The list of studies.
#[must_use]
pub(crate) fn list(studies: &[pb::Study], style: Style, now: Timestamp) -> String {
    if studies.is_empty() {
        return "No studies yet. Submit one with `tunesmith run FILE`.\n".to_owned();
    }
    let header = [
        "STUDY",
        "STATE",
        "TRIALS",
        "FAILED",
        "OBJECTIVE",
        "BEST",
        "CREATED",
        "MESSAGE",
    ]
    .map(str::to_owned);
    let rows = studies.iter().map(|study| {
        let spec = study.spec.as_ref();
        let (state, color) = parts::study_state(study.state());
        let counts = study.counts.unwrap_or_default();
        let budget = spec
            .and_then(|spec| spec.budget.as_ref())
            .and_then(|budget| budget.trials);
        let done = human::count(parts::ended(&counts));
        vec![
            text(names::short(&study.name)),
            text(state).color(color),
            number(budget.map_or_else(
                || done.clone(),
                |budget| format!("{done}/{}", human::count(budget)),
            )),
            number(if counts.failed > 0 {
                human::count(counts.failed)
            } else {
                String::new()
            }),
            text(goals(spec)),
            number(if parts::has_several_objectives(spec) {
                pareto_count(study)
            } else {
                best_value(study).map(human::short_number).unwrap_or_default()
            }),
            text(
                parts::at(study.created_at.as_ref())
                    .map(|at| human::ago(at, now))
                    .unwrap_or_default(),
            ),
            text(human::shorten(
                &spec.map(|spec| human::clean(&spec.message)).unwrap_or_default(),
                60,
            )),
        ]
    });
    table::render(style, &header, rows.collect())
}

/// `max acc, min ms`.
fn goals(spec: Option<&pb::StudySpec>) -> String {
    let words = parts::objectives(spec).map(|objective| {
        let goal = match objective.goal() {
            pb::Goal::Maximize => "max ",
            pb::Goal::Minimize => "min ",
            pb::Goal::Unspecified => "",
        };
        format!("{goal}{}", human::clean(&objective.metric))
    });
    words.collect::<Vec<_>>().join(", ")
}

/// How many trials the Pareto set has; empty if none.
fn pareto_count(study: &pb::Study) -> String {
    match study.pareto_set.len() {
        0 => String::new(),
        count => human::plural(count as u64, "trial"),
    }
}

/// Value of the best trial, if there is one.
#[must_use]
pub(crate) fn best_value(study: &pb::Study) -> Option<f64> {
    study.best.as_ref().and_then(|best| best.value)
}

/// One study in full. `pareto_set` are the trials of its Pareto set, if it has several objectives.
#[must_use]
pub(crate) fn show(study: &pb::Study, pareto_set: &[pb::Trial], style: Style, now: Timestamp) -> String {
    let spec = study.spec.as_ref();
    let counts = study.counts.unwrap_or_default();
    let name = names::short(&study.name);
    let mut facts = Facts::default();
    let (state, _) = parts::study_state(study.state());
    let reason = human::clean(&study.state_reason);
    facts.add("Study", style.bold(&name));
    facts.add(
        "State",
        if reason.is_empty() {
            state.to_owned()
        } else {
            format!("{state} ({reason})")
        },
    );
    facts.add(
        "Message",
        spec.map(|spec| human::clean(&spec.message)).unwrap_or_default(),
    );
    let creator = match human::clean(&study.creator) {
        name if name.is_empty() => String::new(),
        name => format!(" by {name}"),
    };
    facts.add_some(
        "Created",
        parts::at(study.created_at.as_ref()).map(|at| format!("{}{creator}", human::time(at, now))),
    );
    facts.add_some(
        "Ended",
        parts::at(study.done_at.as_ref()).map(|at| human::time(at, now)),
    );
    let several = parts::has_several_objectives(spec);
    let objectives: Vec<String> = parts::objectives(spec).map(objective).collect();
    facts.add(
        if several { "Objectives" } else { "Objective" },
        objectives.join("\n"),
    );
    let bounds: Vec<String> = parts::bounds(spec)
        .iter()
        .map(|constraint| format!("{}{}", parts::bound(constraint), from(&constraint.from)))
        .collect();
    facts.add("Constraints", bounds.join("\n"));
    facts.add("Trials", parts::counts_line(&counts));
    facts.add("Waiting", human::clean(&study.pending_reason));
    facts.add_some("Best", study.best.as_ref().map(|best| best_line(best, spec)));
    if several {
        facts.add("Pareto set", pareto_count(study));
    }
    facts.add_some("Saved", saved(study));
    facts.add("Strategy", strategy(study));
    facts.add("Rungs", rungs(study));
    facts.add(
        "Project",
        human::clean(study.spec.as_ref().map_or("", |spec| &spec.project)),
    );
    facts.add(
        "Parent",
        study
            .parent
            .as_ref()
            .map(|parent| names::short(&parent.name))
            .unwrap_or_default(),
    );
    let known: Vec<String> = study.history.iter().map(source).collect();
    facts.add("Knows", known.join("\n"));
    facts.add("Early stopping", early_stopping(spec));
    facts.add("", clean_lines(&study.stopper_notes));
    facts.add("Budget", budget(study));
    facts.add_some("Cost", cost(study));
    facts.add_some("Policy", study.policy.as_ref().map(|by| policy(by, spec)));
    facts.add(
        "Improvement",
        study
            .improvement
            .as_ref()
            .map(|improvement| human::clean(&improvement.note))
            .unwrap_or_default(),
    );
    facts.add("Command", command(spec));
    facts.add("Warnings", clean_lines(&study.warnings));
    let mut output = facts.render(style);
    if !pareto_set.is_empty() {
        let table = trial_view::list(pareto_set, spec, style, now);
        let _ = write!(output, "\n{}\n{table}", style.bold("Pareto set"));
    }
    if let Some(spec) = spec {
        let _ = write!(output, "\n{}", space(spec, style));
    }
    output
}

/// The trials of another study that are known, such as `24 trials of digits, without 3 that do not fit`.
#[must_use]
pub(crate) fn source(source: &pb::HistorySource) -> String {
    let name = source
        .study
        .as_ref()
        .map(|study| names::short(&study.name))
        .unwrap_or_default();
    let known = format!("{} of {name}", human::plural(source.taken, "trial"));
    if source.left_out == 0 {
        return known;
    }
    format!(
        "{known}, without {} outside of the space or without a value",
        human::count(source.left_out)
    )
}

fn clean_lines(lines: &[String]) -> String {
    lines
        .iter()
        .map(|line| human::clean(line))
        .collect::<Vec<_>>()
        .join("\n")
}

fn objective(objective: &pb::Objective) -> String {
    let goal = match objective.goal() {
        pb::Goal::Maximize => "maximize ",
        pb::Goal::Minimize => "minimize ",
        pb::Goal::Unspecified => "",
    };
    format!(
        "{goal}{}{}",
        human::clean(&objective.metric),
        from(&objective.from)
    )
}

/// How a value is taken from a curve, if the study says so.
fn from(from: &str) -> String {
    match from {
        "" => String::new(),
        "last" | "best" => format!(", the {from} value of each trial"),
        other => format!(", the {} values of each trial", human::clean(other)),
    }
}

fn best_line(best: &pb::Trial, spec: Option<&pb::StudySpec>) -> String {
    let value = best
        .value
        .map(human::short_number)
        .unwrap_or_else(|| "-".to_owned());
    let parameters = parts::parameters_line(best, &parts::parameter_names(spec));
    format!("{value} by trial {}  {parameters}", best.number)
}

fn strategy(study: &pb::Study) -> String {
    let Some(strategy) = study.spec.as_ref().and_then(|spec| spec.strategy.as_ref()) else {
        return human::clean(&study.strategy_note);
    };
    let mut text = human::clean(&strategy.name);
    if !strategy.sampler.is_empty() {
        let _ = write!(text, " over {}", human::clean(&strategy.sampler));
    }
    if let Some(seed) = strategy.seed {
        let _ = write!(text, ", seed {seed}");
    }
    if !study.strategy_note.is_empty() {
        let _ = write!(text, " ({})", human::clean(&study.strategy_note));
    }
    text
}

/// A line for each rung, under the number of its bracket if there are several.
fn rungs(study: &pb::Study) -> String {
    let step_name = parts::step_name(study.spec.as_ref());
    let mut lines = Vec::new();
    for (index, bracket) in study.brackets.iter().enumerate() {
        if study.brackets.len() > 1 {
            lines.push(format!("bracket {index}"));
        }
        for rung in &bracket.rungs {
            let best = rung
                .best
                .map(|best| format!(", best {}", human::short_number(best)));
            lines.push(format!(
                "{step_name} {}: reached by {}, {} rest{}",
                rung.step,
                human::plural(rung.reached, "trial"),
                human::count(rung.resting),
                best.unwrap_or_default()
            ));
        }
    }
    lines.join("\n")
}

fn early_stopping(spec: Option<&pb::StudySpec>) -> String {
    let rules = spec
        .map(|spec| spec.early_stopping.as_slice())
        .unwrap_or_default();
    let words = rules.iter().map(|rule| {
        let goal = match rule.goal() {
            pb::Goal::Minimize => "minimize ",
            pb::Goal::Maximize => "maximize ",
            pb::Goal::Unspecified => "",
        };
        let metric = format!("{goal}{}", human::clean(&rule.metric));
        let shadow = if rule.shadow { "only recorded" } else { "" };
        let more: Vec<&str> = [metric.trim_end(), shadow]
            .into_iter()
            .filter(|word| !word.is_empty())
            .collect();
        match more.as_slice() {
            [] => human::clean(&rule.rule),
            more => format!("{} ({})", human::clean(&rule.rule), more.join(", ")),
        }
    });
    words.collect::<Vec<_>>().join(", ")
}

fn budget(study: &pb::Study) -> String {
    let Some(budget) = study.spec.as_ref().and_then(|spec| spec.budget.as_ref()) else {
        return String::new();
    };
    let spent = study.spending.clone().unwrap_or_default();
    let counts = study.counts.unwrap_or_default();
    let mut words = vec![];
    if let Some(trials) = budget.trials {
        words.push(format!(
            "{} of {}",
            human::count(parts::total(&counts)),
            human::plural(trials, "trial")
        ));
    }
    if let Some(parallel) = budget.parallel {
        words.push(format!("{parallel} at a time"));
    }
    if let Some(limit) = parts::span(budget.wall_time.as_ref()) {
        let used = parts::span(spent.wall_time.as_ref()).unwrap_or_default();
        words.push(format!("{} of {}", human::duration(used), human::duration(limit)));
    }
    if let Some(limit) = budget.gpu_hours {
        let committed = match spent.gpu_hours_committed {
            hours if hours > 0.0 => format!(" used + {} committed", human::short_number(hours)),
            _ => String::new(),
        };
        words.push(format!(
            "{}{committed} of {} GPU hours",
            human::short_number(spent.gpu_hours),
            human::short_number(limit)
        ));
    }
    if let Some(limit) = budget.cost {
        let committed = match spent.cost_committed {
            cost if cost > 0.0 => format!(" used + {} committed", human::amount(cost)),
            _ => String::new(),
        };
        words.push(format!(
            "cost {}{committed} of {}",
            human::amount(spent.cost),
            parts::money(human::exact_number(limit), study)
        ));
    }
    if let Some(failures) = budget.failures {
        words.push(format!(
            "{} of {}",
            human::count(counts.failed),
            human::plural(failures, "failure")
        ));
    }
    if let Some(target) = budget.target {
        words.push(format!("until {}", human::short_number(target)));
    }
    words.join(", ")
}

/// What was spent where no limit of the budget says so.
fn cost(study: &pb::Study) -> Option<String> {
    let spent = study
        .spending
        .as_ref()
        .filter(|spent| !spent.currency.is_empty())?;
    let budget = study.spec.as_ref().and_then(|spec| spec.budget.as_ref());
    if budget.is_some_and(|budget| budget.cost.is_some()) {
        return None;
    }
    let committed = match spent.cost_committed {
        cost if cost > 0.0 => format!(" used + {} committed", human::amount(cost)),
        _ => String::new(),
    };
    Some(parts::money(
        format!("{}{committed}", human::amount(spent.cost)),
        study,
    ))
}

/// The policy that the study falls under, and what that has set in it.
fn policy(by: &pb::StudyPolicy, spec: Option<&pb::StudySpec>) -> String {
    let budget = spec.and_then(|spec| spec.budget).unwrap_or_default();
    let span = |time: Option<&pbjson_types::Duration>| parts::span(time).map(human::duration);
    let sets = by.sets.iter().map(|key| {
        let value = match key.as_str() {
            "budget.trials" => budget.trials.map(human::count),
            "budget.parallel" => budget.parallel.map(|parallel| human::count(parallel.into())),
            "budget.wall_time" => span(budget.wall_time.as_ref()),
            "budget.gpu_hours" => budget.gpu_hours.map(human::exact_number),
            "budget.cost" => budget.cost.map(human::exact_number),
            "trial.max_runtime" => {
                let trial = spec.and_then(|spec| spec.trial.as_ref());
                trial.and_then(|trial| span(trial.max_runtime.as_ref()))
            }
            _ => None,
        };
        let value = value.map(|value| format!(" to {value}")).unwrap_or_default();
        format!("{}{value}", human::clean(key))
    });
    let (name, sets) = (human::clean(&by.name), sets.collect::<Vec<_>>());
    if sets.is_empty() {
        return name;
    }
    format!("{name}, which has set {}", sets.join(", "))
}

fn command(spec: Option<&pb::StudySpec>) -> String {
    let words = spec
        .and_then(|spec| spec.trial.as_ref())
        .map(|trial| trial.command.as_slice())
        .unwrap_or_default();
    words
        .iter()
        .map(|word| human::shell_word(&human::clean(word)))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Steps that early stopping saved, and their share of what the ended trials would have run.
#[must_use]
pub(crate) fn saved(study: &pb::Study) -> Option<String> {
    let spec = study.spec.as_ref();
    let max = parts::step_max(spec)?;
    if study.steps_saved == 0 {
        return None;
    }
    let counts = study.counts.unwrap_or_default();
    let full = max.saturating_mul(counts.completed + counts.early_stopped + counts.timed_out);
    let saved = human::plural(study.steps_saved, &parts::step_name(spec));
    Some(match human::percent(study.steps_saved.min(full), full) {
        Some(percent) => format!("{saved} by early stopping, {percent} % of {}", human::count(full)),
        None => format!("{saved} by early stopping"),
    })
}

fn space(spec: &pb::StudySpec, style: Style) -> String {
    let header = ["PARAMETER", "TYPE", "VALUES", "ONLY WHEN"].map(str::to_owned);
    let rows = spec.space.iter().map(|parameter| {
        let when: Vec<String> = parameter
            .when
            .iter()
            .map(|condition| {
                let values: Vec<String> = condition.values.iter().map(parts::value_exact).collect();
                format!("{} is {}", human::clean(&condition.parent), values.join(" or "))
            })
            .collect();
        vec![
            text(parameter.name.as_str()),
            text(parameter.r#type.as_str()),
            text(values(parameter)),
            text(when.join(" and ")),
        ]
    });
    let mut output = table::render(style, &header, rows.collect());
    for constraint in &spec.constraints {
        let _ = writeln!(output, "where {}", human::clean(constraint));
    }
    output
}

fn values(parameter: &pb::Parameter) -> String {
    if let Some(value) = &parameter.value {
        return parts::value_exact(value);
    }
    if !parameter.choices.is_empty() {
        let words: Vec<String> = parameter.choices.iter().map(parts::value_exact).collect();
        return human::shorten(&words.join(", "), 80);
    }
    let (Some(low), Some(high)) = (parameter.low, parameter.high) else {
        return String::new();
    };
    let mut text = format!("{} to {}", human::exact_number(low), human::exact_number(high));
    if let Some(step) = parameter.step {
        let _ = write!(text, " in steps of {}", human::exact_number(step));
    }
    if !matches!(parameter.scale.as_str(), "" | "linear") {
        let _ = write!(text, ", {}", human::clean(&parameter.scale));
    }
    text
}
