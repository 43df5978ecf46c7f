//! `tunesmith run` and `tunesmith study watch`: submit, follow, print the result.

use tunesmith_proto::v1 as pb;

use super::request_id;
use crate::args::RunArgs;
use crate::client::Client;
use crate::context::Context;
use crate::error::CliError;
use crate::follow::{self, Outcome};
use crate::names;
use crate::output::human;
use crate::study_file;
use crate::view::{parts, result, study as study_view};

/// Submits a study and, unless told otherwise, follows it.
pub(super) async fn run(args: RunArgs, context: &Context) -> Result<(), CliError> {
    let file = study_file::load(&args.file, &args.set, args.name.as_deref())?;
    for warning in &file.warnings {
        context.screen.warning(warning);
    }
    let client = context.client().await?;
    let name = file.spec.name.clone();
    let response = Box::pin(submit(
        &client,
        file.spec,
        &format!("choose another with --name, such as --name {name}-2"),
    ))
    .await?;
    let study = response.study.clone().unwrap_or_default();
    announce(&study, &file.warnings, context);
    if args.detach {
        return context.screen.result(&response, || {
            format!("Follow it with `tunesmith study watch {name}`.\n")
        });
    }
    follow_to_the_end(&client, &study.name, context).await
}

/// Creates a study; `remedy` is for a name that is taken.
pub(super) async fn submit(
    client: &Client,
    spec: pb::StudySpec,
    remedy: &str,
) -> Result<pb::CreateStudyResponse, CliError> {
    let doing = format!("create study {:?}", human::clean(&spec.name));
    let request = pb::CreateStudyRequest {
        spec: Some(spec),
        request_id: request_id(),
        ..Default::default()
    };
    Box::pin(client.create_study(request, &doing))
        .await
        .map_err(|error| match error {
            taken @ CliError::NameTaken { .. } => taken.hint(remedy),
            other => other,
        })
}

/// Says what the coordinator made of a new study, but for warnings that were `told` before.
pub(super) fn announce(study: &pb::Study, told: &[String], context: &Context) {
    for warning in study.warnings.iter().filter(|warning| !told.contains(warning)) {
        context.screen.warning(&human::clean(warning));
    }
    let note = human::clean(&study.strategy_note);
    let note = if note.is_empty() {
        String::new()
    } else {
        format!(" ({note})")
    };
    context.screen.message(&format!(
        "Study {} is submitted{note}.",
        names::short(&study.name)
    ));
    if !study.history.is_empty() {
        let known: Vec<String> = study.history.iter().map(study_view::source).collect();
        context
            .screen
            .message(&format!("It knows from the start: {}.", known.join("; ")));
    }
}

/// Follows `studies/{study}` and prints its result.
pub(super) async fn follow_to_the_end(
    client: &Client,
    study: &str,
    context: &Context,
) -> Result<(), CliError> {
    let short = names::short(study);
    match follow::follow(client, study, &context.screen, context.clock.as_ref()).await? {
        Outcome::Ended => print_result(client, study, context).await,
        Outcome::Interrupted => {
            context.screen.message(&format!(
                "Study {short} goes on without you. Follow it again with `tunesmith study watch {short}`, end it with \
                 `tunesmith study stop {short}`."
            ));
            Err(CliError::Interrupted)
        }
    }
}

async fn print_result(client: &Client, study: &str, context: &Context) -> Result<(), CliError> {
    let short = names::short(study);
    let doing = format!("read the result of {short:?}");
    let response = client
        .get_study(
            pb::GetStudyRequest {
                name: study.to_owned(),
            },
            &doing,
        )
        .await?;
    let found = response.study.clone().unwrap_or_default();
    let limit = if parts::has_several_objectives(found.spec.as_ref()) {
        u32::MAX
    } else {
        result::TOP
    };
    let top = best_trials(client, &found, limit, &doing).await?;
    context.screen.result(&response, || {
        result::render(&found, &top, context.screen.style(), context.now())
    })?;
    if top.is_empty() && study_view::best_value(&found).is_none() {
        return Err(CliError::NoUsableTrial {
            headline: format!("study {short} ended without one usable trial"),
            hints: vec![format!(
                "see what went wrong with `tunesmith trial list {short}` and `tunesmith trial logs {short}/1`"
            )],
        });
    }
    Ok(())
}

/// The trials of the Pareto set, best in the first objective first.
pub(super) async fn pareto_set(
    client: &Client,
    study: &str,
    limit: u32,
    doing: &str,
) -> Result<Vec<pb::Trial>, CliError> {
    let request = pb::ListTrialsRequest {
        parent: study.to_owned(),
        best_only: true,
        ..Default::default()
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    client.trials_up_to(request, limit, |_| true, doing).await
}

/// The best trials that have a number as value and keep all constraints, best first; of several objectives the Pareto set.
pub(super) async fn best_trials(
    client: &Client,
    study: &pb::Study,
    limit: u32,
    doing: &str,
) -> Result<Vec<pb::Trial>, CliError> {
    if parts::has_several_objectives(study.spec.as_ref()) {
        return pareto_set(client, &study.name, limit, doing).await;
    }
    let request = pb::ListTrialsRequest {
        parent: study.name.clone(),
        states: [
            pb::TrialState::Completed,
            pb::TrialState::EarlyStopped,
            pb::TrialState::TimedOut,
        ]
        .map(i32::from)
        .to_vec(),
        order_by: "value".to_owned(),
        ..Default::default()
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let feasible = |trial: &pb::Trial| trial.feasible != Some(false);
    let mut trials = client.trials_up_to(request, limit, feasible, doing).await?;
    trials.retain(|trial| trial.value.is_some_and(f64::is_finite));
    Ok(trials)
}
