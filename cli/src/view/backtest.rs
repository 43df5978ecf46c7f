//! What early-stopping rules would have stopped.

use std::fmt::Write as _;
use std::time::Duration;

use tunesmith_proto::v1 as pb;

use super::parts;
use crate::output::table::{self, number, text};
use crate::output::{Style, human};

/// Stops that are listed: a person looks for good trials among them, not at hundreds.
const LISTED: usize = 20;

/// The stopped trials that came to most in the end, and what the rules would have saved and lost.
#[must_use]
pub(crate) fn show(tried: &pb::BacktestStudyResponse, style: Style) -> String {
    let mut out = String::new();
    for note in &tried.notes {
        let _ = writeln!(out, "{}", human::clean(note));
    }
    if !tried.stops.is_empty() {
        let _ = write!(out, "\n{}", stops(tried, style));
    }
    let _ = write!(out, "\n{}", summary(tried));
    out
}

fn stops(tried: &pb::BacktestStudyResponse, style: Style) -> String {
    let mut stops: Vec<&pb::BacktestStop> = tried.stops.iter().collect();
    stops.sort_by_key(|stop| (stop.rank == 0, stop.rank, stop.trial));
    let with_gpus = tried.gpu_seconds > 0.0;
    let mut header = vec![
        "TRIAL",
        "RULE",
        "STEP",
        "VALUE",
        "IN THE END",
        "RANK",
        "STEPS SAVED",
        "TIME SAVED",
    ];
    if with_gpus {
        header.push("GPU TIME SAVED");
    }
    header.push("STATE");
    let header: Vec<String> = header.into_iter().map(str::to_owned).collect();
    let value = |value: Option<f64>| number(value.map_or_else(|| "-".to_owned(), human::short_number));
    let rows = stops.iter().take(LISTED).map(|stop| {
        let decision = stop.decision.clone().unwrap_or_default();
        let mut cells = vec![
            number(stop.trial.to_string()),
            text(decision.rule),
            number(decision.step.to_string()),
            value(stop.value),
            value(stop.final_value),
            number(match stop.rank {
                0 => "-".to_owned(),
                rank => rank.to_string(),
            }),
            number(human::count(stop.steps_saved)),
            number(time(stop.seconds_saved)),
        ];
        if with_gpus {
            cells.push(number(time(stop.gpu_seconds_saved)));
        }
        let (state, color) = parts::trial_state(stop.state());
        cells.push(text(state).color(color));
        cells
    });
    let mut out = table::render(style, &header, rows.collect());
    if let Some(more) = stops.len().checked_sub(LISTED).filter(|more| *more > 0) {
        let _ = writeln!(out, "... and {more} more, none of them better in the end");
    }
    out
}

fn summary(tried: &pb::BacktestStudyResponse) -> String {
    let mut out = format!(
        "{} of {} with points would have been stopped",
        human::count(tried.stops.len() as u64),
        human::plural(tried.trials, "trial"),
    );
    if tried.early_stopped > 0 {
        let _ = write!(
            out,
            "; {} of them were really stopped early, and count only up to there",
            human::count(tried.early_stopped)
        );
    }
    out.push_str(".\n");
    if tried.stops.is_empty() {
        return out;
    }
    let percent = human::percent(tried.steps_saved, tried.steps)
        .map_or_else(String::new, |percent| format!(" ({percent} %)"));
    let _ = write!(
        out,
        "Saved: {} of {}{percent}, {} of {} of training",
        human::count(tried.steps_saved),
        human::plural(tried.steps, "step"),
        time(tried.seconds_saved),
        time(tried.seconds),
    );
    if tried.gpu_seconds > 0.0 {
        let _ = write!(
            out,
            ", {:.1} of {:.1} GPU hours",
            tried.gpu_seconds_saved / 3_600.0,
            tried.gpu_seconds / 3_600.0
        );
    }
    out.push_str(".\n");
    let named =
        |best: &pb::BacktestBest| format!("trial {} with {}", best.trial, human::short_number(best.value));
    match (&tried.best, &tried.best_with_rules) {
        (Some(best), Some(with)) if best == with => {
            let _ = writeln!(out, "Best: {}, with the rules as without.", named(best));
        }
        (best, with) => {
            let named = |best: &Option<pb::BacktestBest>| best.as_ref().map_or("none".to_owned(), named);
            let _ = writeln!(out, "Best: {}; with the rules {}.", named(best), named(with));
        }
    }
    if let Some(lost) = &tried.best_lost {
        let _ = writeln!(
            out,
            "The best of those stopped, {}, was number {} of {} in the end.",
            named(lost),
            tried.best_lost_rank,
            human::count(tried.ranked)
        );
    }
    out
}

fn time(seconds: f64) -> String {
    human::duration(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}
