//! One module per group of commands: each calls the coordinator and hands what it gets to a view.

mod check;
mod config;
mod run;
mod schedule;
mod study;
mod token;
mod trial;
mod worker;
mod zoom;

use clap::CommandFactory as _;

use crate::args::{Cli, Command};
use crate::context::Context;
use crate::error::CliError;

/// Runs one command.
///
/// # Errors
/// What went wrong, with the exit status in it.
pub async fn execute(command: Command, context: &Context) -> Result<(), CliError> {
    match command {
        Command::Up(args) => crate::up::up(args, context).await,
        Command::Run(args) => Box::pin(run::run(args, context)).await,
        Command::Study(command) => Box::pin(study::execute(command, context)).await,
        Command::Trial(command) => trial::execute(command, context).await,
        Command::Worker(command) => worker::execute(command, context).await,
        Command::Token(command) => token::execute(command, context).await,
        Command::Config(command) => config::execute(command, context).await,
        Command::CheckLog(args) => check::check_log(&args, context),
        Command::Completions { shell } => completions(shell, context),
    }
}

fn completions(shell: clap_complete::Shell, context: &Context) -> Result<(), CliError> {
    let mut script = vec![];
    clap_complete::generate(shell, &mut Cli::command(), "tunesmith", &mut script);
    context.screen.out_bytes(&script)
}

/// A new request id, which makes repeating a call safe.
fn request_id() -> String {
    uuid::Uuid::new_v4().to_string()
}
