//! Trains a small neural network on handwritten digits: the training program of the demo study.
//!
//! It is written as any training program might be and knows nothing of Tunesmith but a few environment variables, each of
//! which has a flag beside it. This file turns outcomes into exit codes and messages, no more.

mod activation;
mod checkpoint;
mod cli;
mod data;
mod network;
mod optimizer;
mod report;
mod train;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser;

use crate::cli::{Args, Config, Infeasible};
use crate::train::{Outcome, TrainError};

/// What tells a tuner that this point can never work (`EX_CONFIG` of sysexits.h).
const EXIT_INFEASIBLE: u8 = 78;

/// Everything that ends the program with a message.
#[derive(Debug, thiserror::Error)]
enum ProgramError {
    #[error(transparent)]
    Infeasible(#[from] Infeasible),
    #[error(transparent)]
    Train(#[from] TrainError),
    #[error(transparent)]
    Data(#[from] data::DataError),
    #[error("cannot listen for SIGTERM")]
    Signal(#[source] io::Error),
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(Some(message)) => {
            say(&message);
            ExitCode::SUCCESS
        }
        Ok(None) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {}", with_causes(&error)));
            match error {
                ProgramError::Infeasible(_) | ProgramError::Train(TrainError::Infeasible(_)) => {
                    ExitCode::from(EXIT_INFEASIBLE)
                }
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// Trains; returns what is worth saying at the end.
fn run(args: Args) -> Result<Option<String>, ProgramError> {
    let config = Config::try_from(args)?;
    let data = data::Dataset::load()?;
    let terminated = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::clone(&terminated))
        .map_err(ProgramError::Signal)?;
    let stop =
        || terminated.load(Ordering::Relaxed) || config.stop_file.as_ref().is_some_and(|file| file.exists());
    Ok(
        match train::run(&config, &data, &mut io::stdout().lock(), &stop)? {
            Outcome::Finished => None,
            Outcome::Diverged(epoch) => Some(format!("training diverged in epoch {epoch}")),
            Outcome::Stopped(epoch, None) => Some(format!("stopped after epoch {epoch} as asked")),
            Outcome::Stopped(epoch, Some(saved)) => Some(format!(
                "stopped after epoch {epoch} as asked; go on with --resume-from {}",
                saved.display()
            )),
        },
    )
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Writes to stderr; if even that fails there is nobody left to tell.
fn say(message: &str) {
    let _ = writeln!(io::stderr(), "{message}");
}
