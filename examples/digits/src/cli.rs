//! The command line and its environment variables, and their translation into a checked [`Config`].
//!
//! Values that are wrong by themselves are refused by clap (exit code 2). Values that are right each but impossible
//! together are [`Infeasible`] (exit code 78): no retry can help, and a tuner should learn from it.

use std::path::PathBuf;

use clap::Parser;
use clap::builder::{RangedU64ValueParser, TypedValueParser};

use crate::activation::Activation;
use crate::data::TRAIN_SIZE;
use crate::network::{Architecture, MAX_DEPTH, MAX_WIDTH};
use crate::optimizer::{OptimizerKind, Settings};

const DEFAULT_MOMENTUM: f64 = 0.9;

/// Trains a small neural network on the UCI handwritten digits and prints one JSON line per epoch.
///
/// Exit codes: 0 done, stopped as asked, or diverged (the last line then says NaN or Infinity); 1 a file could not be
/// read or written; 2 wrong usage; 78 this combination can never work. If a flag is given twice, the later one counts.
#[derive(Debug, Clone, Parser)]
#[command(name = "digits", version, args_override_self = true)]
pub(crate) struct Args {
    /// Learning rate, above 0
    #[arg(long, default_value_t = 0.05, value_parser = positive)]
    lr: f64,
    /// Share of the last velocity that is kept, 0 to below 1 [default: 0.9]; with --optimizer sgd only
    #[arg(long, value_parser = share)]
    momentum: Option<f64>,
    /// Images per step; at most 1200, the size of the training set
    #[arg(long, default_value_t = 32, value_parser = count(1_000_000))]
    batch: usize,
    /// Units of each hidden layer
    #[arg(long, default_value_t = 64, value_parser = count(MAX_WIDTH))]
    width: usize,
    /// Hidden layers
    #[arg(long, default_value_t = 2, value_parser = count(MAX_DEPTH))]
    depth: usize,
    /// Probability that a hidden unit is silenced in a training step, 0 to below 1
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    dropout: f64,
    /// What a hidden unit does with the sum it receives
    #[arg(long, value_enum, default_value_t = Activation::Relu)]
    activation: Activation,
    /// How the weights follow the gradient
    #[arg(long, value_enum, default_value_t = OptimizerKind::Sgd)]
    optimizer: OptimizerKind,
    /// Share of each weight lost per step and unit of learning rate, 0 or more
    #[arg(long, visible_alias = "weight_decay", default_value_t = 0.0, value_parser = not_negative)]
    weight_decay: f64,
    /// Copies of each training image shown per epoch beside the image itself, each moved by up to one pixel
    #[arg(long, default_value_t = 7, value_parser = RangedU64ValueParser::<usize>::new().range(0..=64))]
    copies: usize,
    /// Epochs to train, those before a checkpoint included
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    epochs: u32,
    /// Decides the starting weights and the order of the images; not the division into training and validation
    #[arg(long, env = "TUNESMITH_SEED", default_value_t = 0)]
    seed: u64,
    /// Folder for checkpoints, made when needed; none are written without it
    #[arg(long, env = "TUNESMITH_CHECKPOINT_DIR")]
    checkpoint_dir: Option<PathBuf>,
    /// Epochs between checkpoints; one more is written at the end
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    checkpoint_every: u32,
    /// Checkpoint (a folder `step-<epoch>`) to go on from
    #[arg(long, env = "TUNESMITH_RESUME_FROM")]
    resume_from: Option<PathBuf>,
    /// If this file exists at the end of an epoch, save a checkpoint and end; so does SIGTERM
    #[arg(long, env = "TUNESMITH_STOP_FILE")]
    stop_file: Option<PathBuf>,
}

/// A combination of values that can never work.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Infeasible(pub(crate) String);

/// What to train and how; checked.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) architecture: Architecture,
    pub(crate) optimizer: Settings,
    /// 1 to [`TRAIN_SIZE`].
    pub(crate) batch: usize,
    /// In [0, 1).
    pub(crate) dropout: f64,
    /// Moved copies of each image per epoch.
    pub(crate) copies: usize,
    /// At least 1.
    pub(crate) epochs: u32,
    pub(crate) seed: u64,
    pub(crate) checkpoint_dir: Option<PathBuf>,
    /// At least 1.
    pub(crate) checkpoint_every: u32,
    pub(crate) resume_from: Option<PathBuf>,
    pub(crate) stop_file: Option<PathBuf>,
}

impl TryFrom<Args> for Config {
    type Error = Infeasible;

    fn try_from(args: Args) -> Result<Self, Infeasible> {
        if args.batch > TRAIN_SIZE {
            return Err(Infeasible(format!(
                "--batch {} is larger than the training set of {TRAIN_SIZE} images; choose at most {TRAIN_SIZE}",
                args.batch
            )));
        }
        if let (OptimizerKind::Adam, Some(momentum)) = (args.optimizer, args.momentum) {
            return Err(Infeasible(format!(
                "--momentum {momentum} has no meaning with --optimizer adam; leave it out or choose sgd"
            )));
        }
        Ok(Self {
            architecture: Architecture {
                depth: args.depth,
                width: args.width,
                activation: args.activation,
            },
            optimizer: Settings {
                kind: args.optimizer,
                lr: args.lr,
                momentum: args.momentum.unwrap_or(DEFAULT_MOMENTUM),
                weight_decay: args.weight_decay,
            },
            batch: args.batch,
            dropout: args.dropout,
            copies: args.copies,
            epochs: args.epochs,
            seed: args.seed,
            checkpoint_dir: args.checkpoint_dir,
            checkpoint_every: args.checkpoint_every,
            resume_from: args.resume_from,
            stop_file: args.stop_file,
        })
    }
}

fn count(most: usize) -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::<usize>::new().range(1..=u64::try_from(most).unwrap_or(u64::MAX))
}

fn number(text: &str, allowed: impl Fn(f64) -> bool, rule: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if value.is_finite() && allowed(value) {
        Ok(value)
    } else {
        Err(format!("must be {rule}"))
    }
}

fn positive(text: &str) -> Result<f64, String> {
    number(text, |value| value > 0.0, "finite and above 0")
}

fn not_negative(text: &str) -> Result<f64, String> {
    number(text, |value| value >= 0.0, "finite and at least 0")
}

fn share(text: &str) -> Result<f64, String> {
    number(
        text,
        |value| (0.0..1.0).contains(&value),
        "at least 0 and below 1",
    )
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn config(arguments: &[&str]) -> Result<Config, Infeasible> {
        Config::try_from(Args::try_parse_from([&["digits"], arguments].concat()).unwrap())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn numbers_out_of_range_are_refused_with_flag_value_and_rule() {
        for (argument, rule) in [
            ("--lr=0", "above 0"),
            ("--lr=NaN", "above 0"),
            ("--lr=fast", "not a number"),
            ("--dropout=1", "below 1"),
            ("--momentum=-0.1", "at least 0"),
            ("--weight-decay=inf", "finite"),
            ("--batch=0", "0 is not in 1.."),
            ("--width=5000", "5000 is not in 1..=4096"),
            ("--epochs=0", "0 is not in 1.."),
            ("--activation=step", "possible values: relu"),
        ] {
            let error = Args::try_parse_from(["digits", argument])
                .unwrap_err()
                .to_string();
            let flag = argument.split_once('=').unwrap().0;
            assert!(
                error.contains(flag) && error.contains(rule),
                "{argument}: {error}"
            );
        }
    }

    #[test]
    fn impossible_combinations_are_told_apart_from_wrong_values() {
        assert!(config(&["--batch=1200"]).is_ok());
        assert!(config(&["--batch=1201"]).unwrap_err().0.contains("--batch 1201"));
        assert!(config(&["--optimizer=adam"]).is_ok());
        assert!(
            config(&["--optimizer=adam", "--momentum=0.5"])
                .unwrap_err()
                .0
                .contains("--momentum 0.5")
        );
    }
}
