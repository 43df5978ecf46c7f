//! `tunesmith config ...`: which coordinator and token are used, and whether they work.

use serde::Serialize;
use tunesmith_proto::v1 as pb;

use crate::args::ConfigCommand;
use crate::context::Context;
use crate::error::CliError;
use crate::output::human;
use crate::settings::Settings;
use crate::view::parts::Facts;

/// What `config` prints as JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    coordinator: String,
    token: String,
    data: String,
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    workers: Option<usize>,
}

pub(super) async fn execute(command: ConfigCommand, context: &Context) -> Result<(), CliError> {
    let settings = context.settings()?;
    match command {
        ConfigCommand::Show => print(&settings, None, context),
        ConfigCommand::Check => {
            if settings.token.is_none() {
                context
                    .screen
                    .warning(&format!("the token is missing: {}", settings.token_origin));
            }
            let client = crate::client::Client::connect(&settings).await?;
            let workers = client
                .list_workers(pb::ListWorkersRequest {}, "use the coordinator")
                .await?
                .workers;
            let ready = workers
                .iter()
                .filter(|worker| worker.state() == pb::WorkerState::Ready)
                .count();
            print(&settings, Some(ready), context)
        }
    }
}

fn print(settings: &Settings, workers: Option<usize>, context: &Context) -> Result<(), CliError> {
    let shown = Shown {
        coordinator: settings.url.clone(),
        token: settings.token_origin.to_string(),
        data: context.environment.data_dir().display().to_string(),
        version: env!("CARGO_PKG_VERSION"),
        workers,
    };
    context.screen.result(&shown, || {
        let mut facts = Facts::default();
        facts.add("Coordinator", shown.coordinator.clone());
        facts.add("Token", shown.token.clone());
        facts.add("Data of `tunesmith up`", shown.data.clone());
        facts.add("Version", shown.version);
        facts.add_some(
            "Check",
            workers.map(|ready| {
                let ready = human::plural(u64::try_from(ready).unwrap_or(u64::MAX), "worker");
                format!("the coordinator answers and accepts the token; {ready} ready")
            }),
        );
        facts.render(context.screen.style())
    })
}
