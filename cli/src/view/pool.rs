//! Workers and tokens.

use comfy_table::Color;
use tunesmith_common::Timestamp;
use tunesmith_proto::v1 as pb;

use super::parts::{self, Facts};
use crate::names;
use crate::output::table::{self, number, text};
use crate::output::{Style, human};

fn worker_state(state: pb::WorkerState) -> (&'static str, Option<Color>) {
    match state {
        pb::WorkerState::Unspecified => ("unknown", None),
        pb::WorkerState::Ready => ("ready", Some(Color::Green)),
        pb::WorkerState::Draining => ("draining", Some(Color::Yellow)),
        pb::WorkerState::Offline => ("offline", Some(Color::Red)),
    }
}

/// The list of workers.
#[must_use]
pub(crate) fn workers(workers: &[pb::Worker], style: Style, now: Timestamp) -> String {
    if workers.is_empty() {
        return "No workers. Start `tunesmith-worker` on each machine of the pool, or `tunesmith up` on this one.\n".to_owned();
    }
    let header = [
        "WORKER", "STATE", "TRIALS", "GPUS", "CPUS", "MEMORY", "SEEN", "VERSION", "WHY",
    ]
    .map(str::to_owned);
    let rows = workers.iter().map(|worker| {
        let (state, color) = worker_state(worker.state());
        let resources = worker.resources.clone().unwrap_or_default();
        let seen = parts::at(worker.last_seen_at.as_ref()).map(|at| human::ago(at, now));
        vec![
            text(names::short(&worker.name)),
            text(state).color(color),
            number(format!("{}/{}", worker.trials.len(), resources.slots)),
            text(gpus(&resources.gpus)),
            number(human::short_number(resources.cpus)),
            number(human::bytes(resources.memory_bytes)),
            text(seen.unwrap_or_default()),
            text(worker.version.as_str()),
            text(human::shorten(&human::clean(&worker.state_reason), 60)),
        ]
    });
    table::render(style, &header, rows.collect())
}

/// `2 x H200 (141 GiB)`; different models are listed one after the other.
fn gpus(gpus: &[pb::Gpu]) -> String {
    let mut kinds: Vec<(String, usize)> = vec![];
    for gpu in gpus {
        let kind = format!(
            "{} ({})",
            human::clean(&gpu.model),
            human::bytes(gpu.memory_bytes)
        );
        match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => kinds.push((kind, 1)),
        }
    }
    kinds
        .into_iter()
        .map(|(kind, count)| format!("{count} x {kind}"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// `2 slots, 1 x H200 (141 GiB)`.
#[must_use]
pub(crate) fn worker_summary(worker: &pb::Worker) -> String {
    let resources = worker.resources.clone().unwrap_or_default();
    let gpus = gpus(&resources.gpus);
    let gpus = if gpus.is_empty() {
        "no GPU".to_owned()
    } else {
        gpus
    };
    format!(
        "{}: {}, {gpus}",
        names::short(&worker.name),
        human::plural(resources.slots.into(), "slot")
    )
}

/// One worker in full.
#[must_use]
pub(crate) fn worker(worker: &pb::Worker, style: Style, now: Timestamp) -> String {
    let resources = worker.resources.clone().unwrap_or_default();
    let (state, _) = worker_state(worker.state());
    let reason = human::clean(&worker.state_reason);
    let mut facts = Facts::default();
    facts.add("Worker", style.bold(&names::short(&worker.name)));
    facts.add(
        "State",
        if reason.is_empty() {
            state.to_owned()
        } else {
            format!("{state} ({reason})")
        },
    );
    facts.add("Address", human::clean(&worker.address));
    facts.add("Version", human::clean(&worker.version));
    facts.add_some(
        "Connected",
        parts::at(worker.connected_at.as_ref()).map(|at| human::time(at, now)),
    );
    facts.add_some(
        "Seen",
        parts::at(worker.last_seen_at.as_ref()).map(|at| human::ago(at, now)),
    );
    facts.add(
        "Slots",
        format!("{} of {} in use", worker.trials.len(), resources.slots),
    );
    facts.add("CPUs", human::short_number(resources.cpus));
    facts.add("Memory", human::bytes(resources.memory_bytes));
    let gpus: Vec<String> = resources
        .gpus
        .iter()
        .map(|gpu| {
            format!(
                "{}  {} ({})",
                human::clean(&gpu.uuid),
                human::clean(&gpu.model),
                human::bytes(gpu.memory_bytes)
            )
        })
        .collect();
    facts.add(
        "GPUs",
        if gpus.is_empty() {
            "none".to_owned()
        } else {
            gpus.join("\n")
        },
    );
    let mut labels: Vec<String> = resources
        .labels
        .iter()
        .map(|(key, value)| format!("{}={}", human::clean(key), human::clean(value)))
        .collect();
    labels.sort();
    facts.add("Labels", labels.join(" "));
    facts.add(
        "Trials",
        worker
            .trials
            .iter()
            .map(|trial| names::short_trial(trial))
            .collect::<Vec<_>>()
            .join("\n"),
    );
    facts.render(style)
}

/// The list of tokens.
#[must_use]
pub(crate) fn tokens(tokens: &[pb::Token], style: Style, now: Timestamp) -> String {
    if tokens.is_empty() {
        return "No tokens.\n".to_owned();
    }
    let header = ["ID", "FOR", "LABEL", "CREATED", "STATE"].map(str::to_owned);
    let rows = tokens.iter().map(|token| {
        let kind = match token.kind() {
            pb::TokenKind::User => "people",
            pb::TokenKind::Worker => "workers",
            pb::TokenKind::Unspecified => "unknown",
        };
        let created = parts::at(token.created_at.as_ref()).map(|at| human::ago(at, now));
        let state = if token.revoked {
            text("revoked").color(Some(Color::Red))
        } else {
            text("valid")
        };
        vec![
            text(token.id.as_str()),
            text(kind),
            text(token.label.as_str()),
            text(created.unwrap_or_default()),
            state,
        ]
    });
    table::render(style, &header, rows.collect())
}
