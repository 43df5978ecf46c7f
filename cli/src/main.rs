//! The program `tunesmith`: parses the command line, runs one command, turns its result into an exit status.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use tunesmith_cli::args::Cli;
use tunesmith_cli::context::Context;

fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    let context = Context::of_process(cli.global.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(Box::pin(tunesmith_cli::command::execute(cli.command, &context)));
    // A read of standard input cannot be interrupted and must not keep the process alive.
    runtime.shutdown_background();
    Ok(match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            context.screen.failure(&error);
            ExitCode::from(error.exit_code())
        }
    })
}
