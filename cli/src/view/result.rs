//! What a person reads when a study has ended: the best trial, the runners-up, what it took, what to do next.

use std::fmt::Write as _;

use tunesmith_common::Timestamp;
use tunesmith_proto::v1 as pb;

use super::parts::{self, Facts};
use super::{study as study_view, trial as trial_view};
use crate::names;
use crate::output::{Style, human};

/// Trials that the result lists.
pub(crate) const TOP: u32 = 5;

/// The result of a study. `top` are its best trials, best first; of a study of several objectives its Pareto set.
#[must_use]
pub(crate) fn render(study: &pb::Study, top: &[pb::Trial], style: Style, now: Timestamp) -> String {
    let spec = study.spec.as_ref();
    let name = names::short(&study.name);
    let counts = study.counts.unwrap_or_default();
    let (state, _) = parts::study_state(study.state());
    let reason = human::clean(&study.state_reason);
    let mut output = format!("Study {} is {state}", style.bold(&name));
    // Writing to a String cannot fail.
    let _ = writeln!(
        output,
        "{}\n",
        if reason.is_empty() {
            String::new()
        } else {
            format!(": {reason}")
        }
    );

    let top: Vec<pb::Trial> = top
        .iter()
        .filter(|trial| trial.value.is_some_and(f64::is_finite))
        .cloned()
        .collect();
    let best = top.first().or(study.best.as_ref());
    let several = parts::has_several_objectives(spec);
    match best {
        Some(_) if several => {
            let count = human::plural(top.len() as u64, "trial");
            let _ = writeln!(output, "{}", style.green(&format!("Pareto set of {count}")));
        }
        Some(best) => {
            let value = best.value.map(human::exact_number).unwrap_or_default();
            let found = format!("{} = {value}", parts::metric(spec));
            let _ = writeln!(output, "Best trial {}: {}", best.number, style.green(&found));
            if let Some(values) = &best.parameters {
                let mut facts = Facts::default();
                for (name, value) in parts::parameters(values, &parts::parameter_names(spec)) {
                    facts.add(&format!("  {}", human::clean(name)), parts::value_exact(value));
                }
                output.push_str(&facts.render(style));
            }
        }
        None if !parts::bounds(spec).is_empty() && counts.completed > 0 => {
            let _ = writeln!(
                output,
                "{}",
                style.red("No trial with a value keeps all constraints.")
            );
        }
        None => {
            let _ = writeln!(output, "{}", style.red("No trial has a value."));
        }
    }
    if top.len() > 1 || several && !top.is_empty() {
        let _ = write!(output, "\n{}", trial_view::list(&top, spec, style, now));
    }

    let mut facts = Facts::default();
    facts.add(
        "Trials",
        format!(
            "{}: {}",
            human::count(parts::total(&counts)),
            parts::counts_line(&counts)
        ),
    );
    facts.add_some("Saved", study_view::saved(study));
    facts.add_some("Time", time(study));
    let _ = write!(output, "\n{}", facts.render(style));
    let _ = write!(
        output,
        "\n{}",
        next_steps(&name, best, several, counts.failed, style)
    );
    output
}

fn time(study: &pb::Study) -> Option<String> {
    let spending = study.spending.clone().unwrap_or_default();
    let active = parts::span(spending.wall_time.as_ref())
        .filter(|time| !time.is_zero())
        .or_else(|| {
            Some(parts::at(study.done_at.as_ref())?.saturating_since(parts::at(study.created_at.as_ref())?))
        })?;
    let mut text = human::duration(active);
    if spending.gpu_hours > 0.0 {
        let _ = write!(text, ", {} GPU hours", human::short_number(spending.gpu_hours));
    }
    if spending.cost > 0.0 {
        let cost = parts::money(human::amount(spending.cost), study);
        let _ = write!(text, ", {cost}");
    }
    Some(text)
}

fn next_steps(name: &str, best: Option<&pb::Trial>, several: bool, failed: u64, style: Style) -> String {
    let mut lines = vec![];
    if let Some(best) = best {
        lines.push((
            format!("tunesmith trial show {name}/{}", best.number),
            "its curve, and why it was tried",
        ));
    }
    if failed > 0 {
        lines.push((
            format!("tunesmith trial list {name} --state failed"),
            "what went wrong",
        ));
    }
    lines.push((
        format!("tunesmith trial list {name} --best"),
        if several {
            "all trials, best in the first objective first"
        } else {
            "all trials, best first"
        },
    ));
    lines.push((
        format!("tunesmith study export {name} --format csv"),
        "all trials, for a spreadsheet",
    ));
    let width = lines
        .iter()
        .map(|(command, _)| command.chars().count())
        .max()
        .unwrap_or(0);
    let mut text = String::from("Next\n");
    for (command, what) in lines {
        let _ = writeln!(text, "  {command:<width$}  {}", style.dim(what));
    }
    text
}
