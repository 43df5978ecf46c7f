//! `tunesmith study ...`.

use std::io::{BufRead as _, IsTerminal as _};

use tunesmith_proto::v1 as pb;

use super::{check, run, zoom};
use crate::args::{BacktestArgs, EditArgs, ExportFormat, ImportanceArgs, SliceArgs, StudyCommand};
use crate::client::Client;
use crate::context::Context;
use crate::error::CliError;
use crate::names::StudyRef;
use crate::output::human;
use crate::study_file;
use crate::transfer;
use crate::view::{
    backtest as backtest_view, importance as importance_view, parts, slice as slice_view, study as view,
    trial as trial_view,
};

pub(super) async fn execute(command: StudyCommand, context: &Context) -> Result<(), CliError> {
    match command {
        StudyCommand::Check { file, set } => check::check_study(&file, &set, context),
        StudyCommand::List { all, project } => list(all, project.as_deref(), context).await,
        StudyCommand::Show { study } => show(&study, context).await,
        StudyCommand::Watch { study } => {
            let client = context.client().await?;
            run::follow_to_the_end(&client, &study.resource(), context).await
        }
        StudyCommand::Best { study, top } => best(&study, top, context).await,
        StudyCommand::Pause { study } => pause(&study, context).await,
        StudyCommand::Resume { study } => resume(&study, context).await,
        StudyCommand::Stop { study } => stop(&study, context).await,
        StudyCommand::Edit(args) => Box::pin(edit(args, context)).await,
        StudyCommand::Clone { study, new_name, set } => {
            Box::pin(clone(&study, &new_name, &set, context)).await
        }
        StudyCommand::Zoom(args) => Box::pin(zoom::zoom(args, context)).await,
        StudyCommand::Slice(args) => slice(args, context).await,
        StudyCommand::Importance(args) => importance(args, context).await,
        StudyCommand::Backtest(args) => backtest(args, context).await,
        StudyCommand::Export { study, format, file } => {
            let client = context.client().await?;
            match format {
                ExportFormat::Json => transfer::export_json(&client, &study, file.as_deref(), context).await,
                ExportFormat::Csv => transfer::export_csv(&client, &study, file.as_deref(), context).await,
            }
        }
        StudyCommand::Import { file, name } => {
            Box::pin(transfer::import(&file, name.as_deref(), context)).await
        }
        StudyCommand::Replay { study } => replay(&study, context).await,
        StudyCommand::Archive { study } => archive(&study, context).await,
        StudyCommand::Delete { study, yes } => delete(&study, yes, context).await,
    }
}

async fn list(all: bool, project: Option<&str>, context: &Context) -> Result<(), CliError> {
    let mut studies = context.client().await?.all_studies(all).await?;
    if let Some(project) = project {
        studies.retain(|study| study.spec.as_ref().is_some_and(|spec| spec.project == project));
    }
    let response = pb::ListStudiesResponse {
        studies,
        next_page_token: String::new(),
    };
    context.screen.result(&response, || {
        view::list(&response.studies, context.screen.style(), context.now())
    })
}

/// The study of that name.
pub(super) async fn fetch(client: &Client, resource: &str) -> Result<pb::Study, CliError> {
    let doing = format!("look at study {:?}", crate::names::short(resource));
    let response = client
        .get_study(
            pb::GetStudyRequest {
                name: resource.to_owned(),
            },
            &doing,
        )
        .await?;
    Ok(response.study.unwrap_or_default())
}

async fn show(study: &StudyRef, context: &Context) -> Result<(), CliError> {
    let client = context.client().await?;
    let found = fetch(&client, &study.resource()).await?;
    let pareto_set = if parts::has_several_objectives(found.spec.as_ref()) && !context.screen.json() {
        run::pareto_set(&client, &study.resource(), u32::MAX, "list the Pareto set").await?
    } else {
        vec![]
    };
    let response = pb::GetStudyResponse {
        study: Some(found.clone()),
    };
    context.screen.result(&response, || {
        view::show(&found, &pareto_set, context.screen.style(), context.now())
    })
}

async fn best(study: &StudyRef, top: Option<u32>, context: &Context) -> Result<(), CliError> {
    let client = context.client().await?;
    let found = fetch(&client, &study.resource()).await?;
    let several = parts::has_several_objectives(found.spec.as_ref());
    // One trial is the answer, where there is one; a set is the answer as a whole.
    let limit = top.unwrap_or(if several { u32::MAX } else { 1 });
    let trials = run::best_trials(&client, &found, limit, "list the best trials").await?;
    if trials.is_empty() {
        let feasible = if parts::bounds(found.spec.as_ref()).is_empty() {
            ""
        } else {
            " that keeps its constraints"
        };
        return Err(CliError::NoUsableTrial {
            headline: format!("study {} has no trial with a value{feasible} yet", study.0),
            hints: vec![format!("see its trials with `tunesmith trial list {}`", study.0)],
        });
    }
    let spec = found.spec.as_ref();
    let response = pb::ListTrialsResponse {
        trials,
        next_page_token: String::new(),
    };
    context
        .screen
        .result(&response, || match response.trials.as_slice() {
            [trial] if limit == 1 => {
                trial_view::show(trial, &found, &[], context.screen.style(), context.now())
            }
            trials => trial_view::list(trials, spec, context.screen.style(), context.now()),
        })
}

/// Prints a study after a change, or one line that says what happened.
fn changed(study: Option<pb::Study>, context: &Context, line: String) -> Result<(), CliError> {
    context.screen.result(&pb::GetStudyResponse { study }, || line)
}

async fn pause(study: &StudyRef, context: &Context) -> Result<(), CliError> {
    let request = pb::PauseStudyRequest {
        name: study.resource(),
    };
    let response = context
        .client()
        .await?
        .pause_study(request, &format!("pause study \"{}\"", study.0))
        .await?;
    let counts = response
        .study
        .as_ref()
        .and_then(|study| study.counts)
        .unwrap_or_default();
    let running = human::plural(counts.running + counts.stopping, "running trial");
    let line = format!(
        "Study {0} is paused; {running} left to end. Let it go on with `tunesmith study resume {0}`.",
        study.0
    );
    changed(response.study, context, line)
}

async fn resume(study: &StudyRef, context: &Context) -> Result<(), CliError> {
    let request = pb::ResumeStudyRequest {
        name: study.resource(),
    };
    let response = context
        .client()
        .await?
        .resume_study(request, &format!("resume study \"{}\"", study.0))
        .await?;
    changed(
        response.study,
        context,
        format!(
            "Study {0} goes on. Follow it with `tunesmith study watch {0}`.",
            study.0
        ),
    )
}

async fn stop(study: &StudyRef, context: &Context) -> Result<(), CliError> {
    let request = pb::StopStudyRequest {
        name: study.resource(),
    };
    let response = context
        .client()
        .await?
        .stop_study(request, &format!("stop study \"{}\"", study.0))
        .await?;
    let counts = response
        .study
        .as_ref()
        .and_then(|study| study.counts)
        .unwrap_or_default();
    let stopping = counts.running + counts.stopping;
    let line = if stopping > 0 {
        format!(
            "Study {} is stopped; {} told to stop.",
            study.0,
            human::plural(stopping, "trial")
        )
    } else {
        format!("Study {} is stopped.", study.0)
    };
    changed(response.study, context, line)
}

async fn edit(args: EditArgs, context: &Context) -> Result<(), CliError> {
    let client = context.client().await?;
    let found = fetch(&client, &args.study.resource()).await?;
    let (spec, paths) = study_file::edit(found.spec.unwrap_or_default(), &args.set)?;
    let changed_fields = paths.join(", ");
    let request = pb::UpdateStudyRequest {
        name: args.study.resource(),
        spec: Some(spec),
        update_mask: Some(pbjson_types::FieldMask { paths }),
    };
    let response = client
        .update_study(request, &format!("edit study \"{}\"", args.study.0))
        .await?;
    changed(
        response.study,
        context,
        format!("Study {} is changed: {changed_fields}.", args.study.0),
    )
}

async fn clone(study: &StudyRef, new_name: &str, set: &[String], context: &Context) -> Result<(), CliError> {
    let client = context.client().await?;
    let found = fetch(&client, &study.resource()).await?;
    let spec = study_file::change(found.spec.unwrap_or_default(), set, new_name)?;
    let response = Box::pin(run::submit(&client, spec, "choose another name")).await?;
    run::announce(&response.study.clone().unwrap_or_default(), &[], context);
    context.screen.result(&response, || {
        format!(
            "Follow it with `tunesmith study watch {}`.\n",
            human::clean(new_name)
        )
    })
}

async fn slice(args: SliceArgs, context: &Context) -> Result<(), CliError> {
    let client = context.client().await?;
    let request = pb::SliceStudyRequest {
        name: args.study.resource(),
        trial: args.trial.unwrap_or_default(),
        parameters: args.parameters,
        points: args.points,
        next: args.next,
    };
    let doing = format!("slice study \"{}\"", args.study.0);
    let response = client.slice_study(request, &doing).await?;
    context
        .screen
        .result(&response, || slice_view::show(&response, context.screen.style()))
}

async fn importance(args: ImportanceArgs, context: &Context) -> Result<(), CliError> {
    let client = context.client().await?;
    let request = pb::GetImportanceRequest {
        name: args.study.resource(),
        metric: args.metric.unwrap_or_default(),
        quantile: args.best,
    };
    let doing = format!("tell what matters in study \"{}\"", args.study.0);
    let response = client.get_importance(request, &doing).await?;
    context.screen.result(&response, || {
        importance_view::show(&response, context.screen.style())
    })
}

async fn backtest(args: BacktestArgs, context: &Context) -> Result<(), CliError> {
    let client = context.client().await?;
    let early_stopping = if args.rules.is_empty() {
        Vec::new()
    } else {
        let found = fetch(&client, &args.study.resource()).await?;
        study_file::rules(found.spec.unwrap_or_default(), &args.rules)?
    };
    let request = pb::BacktestStudyRequest {
        name: args.study.resource(),
        early_stopping,
    };
    let doing = format!("try rules on study \"{}\"", args.study.0);
    let response = client.backtest_study(request, &doing).await?;
    context.screen.result(&response, || {
        backtest_view::show(&response, context.screen.style())
    })
}

async fn archive(study: &StudyRef, context: &Context) -> Result<(), CliError> {
    let request = pb::ArchiveStudyRequest {
        name: study.resource(),
    };
    let response = context
        .client()
        .await?
        .archive_study(request, &format!("archive study \"{}\"", study.0))
        .await?;
    changed(
        response.study,
        context,
        format!(
            "Study {} is archived; `tunesmith study list --all` still shows it.",
            study.0
        ),
    )
}

async fn replay(study: &StudyRef, context: &Context) -> Result<(), CliError> {
    let client = context.client().await?;
    let doing = format!("replay study \"{}\"", study.0);
    let mut request = pb::ReplayStudyRequest {
        name: study.resource(),
        from_trial: 0,
    };
    let mut all = pb::ReplayStudyResponse::default();
    loop {
        let some = client.replay_study(request.clone(), &doing).await?;
        all.same += some.same;
        all.not_proposed += some.not_proposed;
        all.differences.extend(some.differences);
        all.same_decisions += some.same_decisions;
        all.decision_differences.extend(some.decision_differences);
        if some.next_trial == 0 {
            break;
        }
        request.from_trial = some.next_trial;
    }
    context.screen.result(&all, || view::replayed(&all))?;
    let count = |count: usize, what: &str| (count > 0).then(|| human::plural(count as u64, what));
    let proposals = count(all.differences.len(), "proposal");
    let judgements = count(all.decision_differences.len(), "judgement");
    let wrong: Vec<String> = proposals.into_iter().chain(judgements).collect();
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(CliError::Failed {
            headline: format!(
                "study \"{}\" has {} that its history does not give",
                study.0,
                wrong.join(" and "),
            ),
            hints: vec!["another version of Tunesmith explains differences".to_owned()],
        }),
    }
}

async fn delete(study: &StudyRef, yes: bool, context: &Context) -> Result<(), CliError> {
    let client = context.client().await?;
    if !yes {
        let found = fetch(&client, &study.resource()).await?;
        let trials = human::plural(parts::total(&found.counts.unwrap_or_default()), "trial");
        confirm(
            &format!(
                "Delete study {} with {trials} and everything stored of them? [y/N] ",
                study.0
            ),
            context,
        )?;
    }
    let request = pb::DeleteStudyRequest {
        name: study.resource(),
    };
    let response = client
        .delete_study(request, &format!("delete study \"{}\"", study.0))
        .await?;
    context
        .screen
        .result(&response, || format!("Study {} is deleted.\n", study.0))
}

/// Asks a question that must be answered with yes.
fn confirm(question: &str, context: &Context) -> Result<(), CliError> {
    if !std::io::stdin().is_terminal() {
        return Err(CliError::usage(
            "nobody is here to confirm",
            "say --yes to go on without being asked",
        ));
    }
    context.screen.prompt(question);
    let mut answer = String::new();
    // No answer is a no.
    let _ = std::io::stdin().lock().read_line(&mut answer);
    if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        Ok(())
    } else {
        Err(CliError::usage(
            "not confirmed, nothing was changed",
            "answer y, or say --yes",
        ))
    }
}
