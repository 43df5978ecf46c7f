//! Studies as files: `tunesmith study export` and `tunesmith study import`.

mod csv;
mod document;

use std::path::Path;

use futures::StreamExt as _;
use tunesmith_proto::v1 as pb;

use crate::client::Client;
use crate::context::Context;
use crate::error::CliError;
use crate::names::StudyRef;
use crate::output::{human, protojson};
use document::{Document, ExportedTrial};

/// Calls on their way at the same time: enough to hide the way to the coordinator, few enough not to crowd out others.
const PARALLEL_CALLS: usize = 16;

/// Writes a study with its trials and curves as JSON.
pub(crate) async fn export_json(
    client: &Client,
    study: &StudyRef,
    file: Option<&Path>,
    context: &Context,
) -> Result<(), CliError> {
    let (found, trials) = study_and_trials(client, study).await?;
    let calls = futures::stream::iter(trials.into_iter().map(|trial| whole_trial(client, trial)));
    let mut calls = calls.buffered(PARALLEL_CALLS);
    let mut exported = vec![];
    while let Some(trial) = calls.next().await {
        exported.push(trial?);
    }
    let history = if found.history.is_empty() {
        vec![]
    } else {
        client
            .whole_history(&study.resource(), "export what the study knows")
            .await?
    };
    let document = Document::new(found, history, exported, context.now());
    write(
        file,
        protojson::to_text(&document)?.as_bytes(),
        document.trials.len(),
        context,
    )
}

/// A trial with its attempts, decisions and curves.
async fn whole_trial(client: &Client, listed: pb::Trial) -> Result<ExportedTrial, CliError> {
    let doing = format!("export trial {}", crate::names::short_trial(&listed.name));
    let request = pb::GetTrialRequest {
        name: listed.name.clone(),
    };
    let trial = client.get_trial(request, &doing).await?.trial.unwrap_or(listed);
    let request = pb::ListPointsRequest {
        name: trial.name.clone(),
        ..Default::default()
    };
    let curves = client.list_points(request, &doing).await?.curves;
    Ok(ExportedTrial { trial, curves })
}

/// Writes one row per trial.
pub(crate) async fn export_csv(
    client: &Client,
    study: &StudyRef,
    file: Option<&Path>,
    context: &Context,
) -> Result<(), CliError> {
    let (found, trials) = study_and_trials(client, study).await?;
    write(
        file,
        csv::render(found.spec.as_ref(), &trials).as_bytes(),
        trials.len(),
        context,
    )
}

async fn study_and_trials(
    client: &Client,
    study: &StudyRef,
) -> Result<(pb::Study, Vec<pb::Trial>), CliError> {
    let doing = format!("export study {:?}", study.0.as_str());
    let found = client
        .get_study(
            pb::GetStudyRequest {
                name: study.resource(),
            },
            &doing,
        )
        .await?;
    let request = pb::ListTrialsRequest {
        parent: study.resource(),
        ..Default::default()
    };
    let trials = client.trials_up_to(request, usize::MAX, |_| true, &doing).await?;
    Ok((found.study.unwrap_or_default(), trials))
}

fn write(file: Option<&Path>, content: &[u8], trials: usize, context: &Context) -> Result<(), CliError> {
    let Some(path) = file else {
        return context.screen.out_bytes(content);
    };
    std::fs::write(path, content).map_err(|error| CliError::file("write", path, &error))?;
    let trials = human::plural(u64::try_from(trials).unwrap_or(u64::MAX), "trial");
    context
        .screen
        .message(&format!("{trials} written to {}.", path.display()));
    Ok(())
}

/// Creates a paused study from an exported file and adds its finished trials.
pub(crate) async fn import(file: &Path, name: Option<&str>, context: &Context) -> Result<(), CliError> {
    let text = std::fs::read(file).map_err(|error| CliError::file("read", file, &error))?;
    let document = Document::parse(&text, file)?;
    let (spec, additions) = document.into_requests(name, file)?;
    let name = spec.name.clone();
    let shown = human::clean(&name);
    for note in &additions.notes {
        context.screen.warning(note);
    }

    let client = context.client().await?;
    let doing = format!("create study {shown:?}");
    let request = pb::CreateStudyRequest {
        spec: Some(spec),
        request_id: uuid::Uuid::new_v4().to_string(),
        paused: true,
        // What it comes from need not be here.
        detached: true,
        history: additions.history,
        ..Default::default()
    };
    let created = client
        .create_study(request, &doing)
        .await
        .map_err(|error| match error {
            taken @ CliError::NameTaken { .. } => taken.hint("choose another with --name"),
            other => other,
        })?;
    let study = created.study.unwrap_or_default();
    if study.state() != pb::StudyState::Paused {
        client
            .pause_study(
                pb::PauseStudyRequest {
                    name: study.name.clone(),
                },
                &format!("pause study {shown:?}"),
            )
            .await?;
    }

    let total = additions.requests.len();
    for (done, mut request) in additions.requests.into_iter().enumerate() {
        request.parent.clone_from(&study.name);
        // In order, so that trials keep their order.
        client.add_trial(request, &format!("import trial {} of {total}", done + 1)).await.map_err(|error| {
            error.hint(format!(
                "study {shown} exists with the first {done} trials; remove it with `tunesmith study stop {shown}` and \
                 `tunesmith study delete {shown}` before another attempt"
            ))
        })?;
    }
    let found = client
        .get_study(pb::GetStudyRequest { name: study.name }, &doing)
        .await?;
    let trials = human::plural(u64::try_from(total).unwrap_or(u64::MAX), "trial");
    context.screen.result(&found, || {
        imported(&shown, &trials, &found.study.clone().unwrap_or_default())
    })
}

/// What became of an imported study, and how it goes on: the trials it brought may have ended it.
fn imported(shown: &str, trials: &str, study: &pb::Study) -> String {
    let state = match study.state() {
        pb::StudyState::Done | pb::StudyState::Archived => {
            let reason = human::clean(&study.state_reason);
            let change = match study.done_reason() {
                pb::DoneReason::Budget | pb::DoneReason::Target | pb::DoneReason::Failures => format!(
                    " To go on, change what ended it with `tunesmith study edit {shown}`, then `tunesmith study resume {shown}`."
                ),
                _ => String::new(),
            };
            format!("done: {reason}.{change}")
        }
        pb::StudyState::Active => "active.".to_owned(),
        pb::StudyState::Paused | pb::StudyState::Unspecified => {
            format!("paused. Let it go on with `tunesmith study resume {shown}`.")
        }
    };
    format!("Study {shown} is imported with {trials}, and {state}\n")
}
