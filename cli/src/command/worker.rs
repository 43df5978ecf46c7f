//! `tunesmith worker ...`.

use tunesmith_proto::v1 as pb;

use crate::args::WorkerCommand;
use crate::context::Context;
use crate::error::CliError;
use crate::names::WorkerRef;
use crate::output::human;
use crate::view::pool as view;

pub(super) async fn execute(command: WorkerCommand, context: &Context) -> Result<(), CliError> {
    match command {
        WorkerCommand::List => list(context).await,
        WorkerCommand::Show { worker } => show(&worker, context).await,
        WorkerCommand::Drain { worker } => drain(&worker, false, context).await,
        WorkerCommand::Resume { worker } => drain(&worker, true, context).await,
        WorkerCommand::Remove { worker } => remove(&worker, context).await,
    }
}

async fn list(context: &Context) -> Result<(), CliError> {
    let response = context
        .client()
        .await?
        .list_workers(pb::ListWorkersRequest {}, "list workers")
        .await?;
    context.screen.result(&response, || {
        view::workers(&response.workers, context.screen.style(), context.now())
    })
}

async fn show(worker: &WorkerRef, context: &Context) -> Result<(), CliError> {
    let request = pb::GetWorkerRequest {
        name: worker.resource(),
    };
    let response = context
        .client()
        .await?
        .get_worker(request, &format!("look at worker \"{}\"", worker.0))
        .await?;
    let found = response.worker.clone().unwrap_or_default();
    context.screen.result(&response, || {
        view::worker(&found, context.screen.style(), context.now())
    })
}

async fn drain(worker: &WorkerRef, resume: bool, context: &Context) -> Result<(), CliError> {
    let doing = format!(
        "{} worker \"{}\"",
        if resume { "resume" } else { "drain" },
        worker.0
    );
    let request = pb::DrainWorkerRequest {
        name: worker.resource(),
        resume,
    };
    let response = context.client().await?.drain_worker(request, &doing).await?;
    let running = response.worker.as_ref().map_or(0, |worker| worker.trials.len());
    context.screen.result(&response, || {
        if resume {
            return format!("Worker {} takes trials again.\n", worker.0);
        }
        let running = human::plural(u64::try_from(running).unwrap_or(u64::MAX), "trial");
        format!("Worker {} takes nothing new; {running} left to end.\n", worker.0)
    })
}

async fn remove(worker: &WorkerRef, context: &Context) -> Result<(), CliError> {
    let request = pb::RemoveWorkerRequest {
        name: worker.resource(),
    };
    let response = context
        .client()
        .await?
        .remove_worker(request, &format!("remove worker \"{}\"", worker.0))
        .await?;
    context
        .screen
        .result(&response, || format!("Worker {} is forgotten.\n", worker.0))
}
