//! The command line's grammar. Says what may be typed and what it means; does nothing.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::names::{StudyRef, TrialRef, WorkerRef};

const AFTER_HELP: &str = "\
Start here:
  tunesmith up                  coordinator and worker on this machine
  tunesmith run study.yaml      submit a study and follow it

Exit status: 0 done, 1 the study ended without one usable trial or a replay
differs, 2 wrong usage or wrong study file, 3 coordinator unreachable, 4 refused by the coordinator, 130 interrupted.";

/// Finds the best hyperparameters for your training program on a pool of machines.
#[derive(Debug, Parser)]
#[command(name = "tunesmith", version, after_help = AFTER_HELP, max_term_width = 100, subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    /// Arguments of every command.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Arguments of every command.
#[derive(Clone, Debug, Args)]
pub struct GlobalArgs {
    /// Address of the coordinator [default: http://127.0.0.1:7700]
    #[arg(
        long,
        global = true,
        env = "TUNESMITH_COORDINATOR",
        hide_env_values = true,
        value_name = "URL",
        help_heading = "Everywhere"
    )]
    pub coordinator: Option<String>,
    /// File with the token [default: TUNESMITH_TOKEN, or admin.token in the data folder of `tunesmith up`]
    #[arg(
        long,
        global = true,
        env = "TUNESMITH_TOKEN_FILE",
        hide_env_values = true,
        value_name = "FILE",
        help_heading = "Everywhere"
    )]
    pub token_file: Option<PathBuf>,
    /// Form of the result on standard output; json is one document with the fields of the API
    #[arg(
        long,
        global = true,
        value_name = "FORM",
        default_value = "table",
        help_heading = "Everywhere"
    )]
    pub output: OutputFormat,
}

/// Form of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    Table,
    /// For programs: ProtoJSON.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a coordinator and a worker on this machine, until interrupted
    Up(UpArgs),
    /// Submit a study, follow it, and print the result
    Run(RunArgs),
    /// Look at studies and steer them
    #[command(subcommand, arg_required_else_help = true)]
    Study(StudyCommand),
    /// Look at trials, add them, stop them
    #[command(subcommand, arg_required_else_help = true)]
    Trial(TrialCommand),
    /// Look at the workers of the pool
    #[command(subcommand, arg_required_else_help = true)]
    Worker(WorkerCommand),
    /// Make tokens and revoke them
    #[command(subcommand, arg_required_else_help = true)]
    Token(TokenCommand),
    /// Show which coordinator and token are used, and check them
    #[command(subcommand, arg_required_else_help = true)]
    Config(ConfigCommand),
    /// Show which metrics would be read from a training's log
    CheckLog(CheckLogArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Arguments of `up`.
#[derive(Clone, Debug, Args)]
pub struct UpArgs {
    /// Folder for the database, tokens and logs [default: $XDG_DATA_HOME/tunesmith, or ~/.local/share/tunesmith]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Address to listen at
    #[arg(long, value_name = "ADDR", default_value = crate::settings::DEFAULT_LISTEN)]
    pub listen: SocketAddr,
    /// Trials to run at the same time [default: one per GPU, or what the worker finds right]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub slots: Option<u32>,
    /// GPUs to use, such as 0,1 [default: all]
    #[arg(long, value_name = "LIST")]
    pub gpus: Option<String>,
    /// Start no worker; workers elsewhere may join
    #[arg(long, conflicts_with_all = ["slots", "gpus"])]
    pub no_worker: bool,
}

/// Arguments of `run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// The study file (YAML or JSON)
    pub file: PathBuf,
    /// Change a field of the study file, such as budget.trials=20
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Name of the study [default: `name` in the file, or the file's name]
    #[arg(long)]
    pub name: Option<String>,
    /// Do not follow the study
    #[arg(long)]
    pub detach: bool,
}

/// What to do with studies.
#[derive(Debug, Subcommand)]
pub enum StudyCommand {
    /// List studies, newest first
    List {
        /// Archived ones, too
        #[arg(long)]
        all: bool,
        /// Only those of this project
        #[arg(long, value_name = "PROJECT")]
        project: Option<String>,
    },
    /// Show one study
    Show {
        /// The study
        study: StudyRef,
    },
    /// Follow a study until it ends, and print the result
    Watch {
        /// The study
        study: StudyRef,
    },
    /// Print the best trials, or the Pareto set
    Best {
        /// The study
        study: StudyRef,
        /// How many [default: 1, of several objectives the whole Pareto set]
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
        top: Option<u32>,
    },
    /// Start no new trials; running ones go on
    Pause {
        /// The study
        study: StudyRef,
    },
    /// Let a paused study go on, or one that ended by a budget that was raised since
    Resume {
        /// The study
        study: StudyRef,
    },
    /// End a study; its running trials are cancelled
    Stop {
        /// The study
        study: StudyRef,
    },
    /// Change message, project, priority, budget, early_stopping or trial.max_runtime of a study
    Edit(EditArgs),
    /// Submit a study with the same definition under another name
    Clone {
        /// The study to copy
        study: StudyRef,
        /// Name of the new study
        new_name: String,
        /// Change a field, such as strategy.seed=8
        #[arg(long = "set", value_name = "KEY=VALUE")]
        set: Vec<String>,
    },
    /// Submit a study that looks more closely at a part of another one's space, and knows its trials from the start
    Zoom(ZoomArgs),
    /// Show what a study's model expects along each parameter, and how promising it takes that to be: why a point was tried
    Slice(SliceArgs),
    /// Show which parameters matter for an objective, which only together, and how far that is to be trusted
    Importance(ImportanceArgs),
    /// Try early-stopping rules on the curves that a study has stored: which trials they would have stopped, saved and lost
    Backtest(BacktestArgs),
    /// Write a study with all its trials and curves to a file
    Export {
        /// The study
        study: StudyRef,
        /// json keeps everything and can be imported again; csv has one row per trial
        #[arg(long, value_name = "FORM", default_value = "json")]
        format: ExportFormat,
        /// The file to write [default: standard output]
        #[arg(short = 'o', long = "file", value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Create a study, paused, from a file that `export` wrote, with its finished trials
    Import {
        /// The file
        file: PathBuf,
        /// Name of the study [default: the one in the file]
        #[arg(long)]
        name: Option<String>,
    },
    /// Make the strategy's proposals again from what is stored, and report those that differ
    Replay {
        /// The study
        study: StudyRef,
    },
    /// Hide a study that has ended from lists
    Archive {
        /// The study
        study: StudyRef,
    },
    /// Delete a study that has ended, with everything it stored
    Delete {
        /// The study
        study: StudyRef,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Check a study file and say how many trials it makes; nothing is submitted
    Check {
        /// The study file
        file: PathBuf,
        /// Change a field of the study file, such as budget.trials=20
        #[arg(long = "set", value_name = "KEY=VALUE")]
        set: Vec<String>,
    },
}

/// Arguments of `study zoom`.
#[derive(Clone, Debug, Args)]
pub struct ZoomArgs {
    /// The study to look into
    pub study: StudyRef,
    /// Name of the new study [default: one like STUDY-zoom that is free]
    #[arg(long)]
    pub name: Option<String>,
    /// Around so many of its best trials [default: a tenth of those with a value, 5 at least; of several objectives the Pareto set]
    #[arg(long, value_name = "N", conflicts_with = "around", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub best: Option<u32>,
    /// Around this trial
    #[arg(long, value_name = "TRIAL", value_parser = clap::value_parser!(u64).range(1..))]
    pub around: Option<u64>,
    /// How much wider than these trials on each side, as a share of each parameter's range [default: 0.1]
    #[arg(long, value_name = "SHARE")]
    pub margin: Option<f64>,
    /// What is left of a parameter, such as lr=1e-4..1e-2, lr=1e-4.., opt=adam,sgd or width=64; without --best and --around the only change
    #[arg(long = "range", value_name = "NAME=VALUES")]
    pub ranges: Vec<String>,
    /// Change a field of the new study, such as strategy.name=random or budget.trials=20
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Print the new study as a study file instead of submitting it
    #[arg(long)]
    pub print: bool,
}

/// Arguments of `study slice`.
#[derive(Clone, Debug, Args)]
pub struct SliceArgs {
    /// The study
    pub study: StudyRef,
    /// Through this trial, with the model that proposed it [default: through the best trial, with the model of all results]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub trial: Option<u64>,
    /// Through the point that would be proposed next
    #[arg(long, conflicts_with = "trial")]
    pub next: bool,
    /// Along this parameter; may be repeated [default: all that vary]
    #[arg(long = "parameter", value_name = "NAME")]
    pub parameters: Vec<String>,
    /// Values of each parameter
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub points: u32,
}

/// Arguments of `study importance`.
#[derive(Clone, Debug, Args)]
pub struct ImportanceArgs {
    /// The study
    pub study: StudyRef,
    /// Metric of the objective to explain [default: the first objective's]
    #[arg(long)]
    pub metric: Option<String>,
    /// Vary parameters as they vary among this share of the results, best first, such as 0.25 [default: all over the space]
    #[arg(long, value_name = "SHARE")]
    pub best: Option<f64>,
}

/// Arguments of `study backtest`.
#[derive(Clone, Debug, Args)]
pub struct BacktestArgs {
    /// The study
    pub study: StudyRef,
    /// A rule to try, as in a study file: median, or '{rule: median, warmup_steps: 5}'; may be repeated [default: the study's own]
    #[arg(long = "rule", value_name = "RULE")]
    pub rules: Vec<String>,
}

/// Arguments of `study edit`.
#[derive(Clone, Debug, Args)]
pub struct EditArgs {
    /// The study
    pub study: StudyRef,
    /// Change a field, such as budget.trials=100 or message="second try"
    #[arg(long = "set", value_name = "KEY=VALUE", required = true)]
    pub set: Vec<String>,
}

/// Form of an exported study.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Everything; can be imported.
    Json,
    /// One row per trial.
    Csv,
}

/// What to do with trials.
#[derive(Debug, Subcommand)]
pub enum TrialCommand {
    /// List the trials of a study
    List(TrialListArgs),
    /// Show one trial: why it was tried, its curve, its attempts, why it was stopped
    Show {
        /// The trial, as STUDY/NUMBER
        trial: TrialRef,
    },
    /// Add a trial with parameters of your choice; those left out are drawn at random
    Add(TrialAddArgs),
    /// Stop a trial
    Stop {
        /// The trial, as STUDY/NUMBER
        trial: TrialRef,
    },
    /// Add a new trial with the parameters of a finished one
    Retry {
        /// The trial, as STUDY/NUMBER
        trial: TrialRef,
    },
    /// Write a note on a trial, in place of the one it has
    Note {
        /// The trial, as STUDY/NUMBER
        trial: TrialRef,
        /// The note; empty to remove it
        text: String,
    },
    /// Give a trial tags, in place of those that it has
    Tag {
        /// The trial, as STUDY/NUMBER
        trial: TrialRef,
        /// The tags, short labels without commas; none to remove them
        tags: Vec<String>,
    },
    /// Print what a trial's program printed
    Logs(LogsArgs),
    /// Print the parameters that a training went through, from its first ancestor on, so that a study can repeat it
    Schedule {
        /// The trial, as STUDY/NUMBER
        trial: TrialRef,
    },
}

/// Arguments of `trial list`.
#[derive(Clone, Debug, Args)]
pub struct TrialListArgs {
    /// The study
    pub study: StudyRef,
    /// Only trials in this state; may be repeated
    #[arg(long, value_name = "STATE")]
    pub state: Vec<StateFilter>,
    /// Only trials with this tag; may be repeated
    #[arg(long, value_name = "TAG")]
    pub tag: Vec<String>,
    /// Best first instead of by number
    #[arg(long)]
    pub best: bool,
    /// Newest first instead of by number
    #[arg(long, conflicts_with = "best")]
    pub newest: bool,
    /// At most so many; 0 is all
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: u32,
}

/// State of trials to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StateFilter {
    /// Waits to be handed out.
    Pending,
    /// Handed out or running.
    Running,
    /// Asked to stop.
    Stopping,
    /// Rests with a checkpoint.
    Paused,
    /// Ended by itself.
    Completed,
    /// Stopped by a rule.
    EarlyStopped,
    /// Stopped because time was up.
    TimedOut,
    /// Failed for good.
    Failed,
    /// Cancelled.
    Cancelled,
}

/// Arguments of `trial add`.
#[derive(Clone, Debug, Args)]
pub struct TrialAddArgs {
    /// The study
    pub study: StudyRef,
    /// Parameters, such as lr=0.01 optimizer=adam
    #[arg(value_name = "PARAMETER=VALUE")]
    pub parameters: Vec<String>,
    /// Free text, shown in lists
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// A tag, a short label; may be repeated
    #[arg(long, value_name = "TAG")]
    pub tag: Vec<String>,
    /// The objective's value, for a trial that was run elsewhere; it is then finished at once. Of several objectives and bounds of
    /// metrics METRIC=NUMBER each
    #[arg(long, value_name = "[METRIC=]NUMBER", allow_hyphen_values = true)]
    pub value: Vec<String>,
}

/// Arguments of `trial logs`.
#[derive(Clone, Debug, Args)]
pub struct LogsArgs {
    /// The trial, as STUDY/NUMBER
    pub trial: TrialRef,
    /// Go on until the program ends
    #[arg(short, long)]
    pub follow: bool,
    /// Standard error instead of standard output
    #[arg(long)]
    pub stderr: bool,
    /// Attempt [default: the newest]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub attempt: Option<u32>,
    /// Only the last part of this size, such as 16KiB
    #[arg(long, value_name = "SIZE")]
    pub tail: Option<String>,
}

/// What to do with workers.
#[derive(Debug, Subcommand)]
pub enum WorkerCommand {
    /// List workers
    List,
    /// Show one worker
    Show {
        /// The worker
        worker: WorkerRef,
    },
    /// Give a worker nothing new; what it runs is finished
    Drain {
        /// The worker
        worker: WorkerRef,
    },
    /// Let a drained worker take trials again
    Resume {
        /// The worker
        worker: WorkerRef,
    },
    /// Forget a worker that is offline
    Remove {
        /// The worker
        worker: WorkerRef,
    },
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token and print it, this once
    Create {
        /// Who gets it
        #[arg(long, value_name = "TEXT")]
        label: String,
        /// A token for workers, which can join the pool and do nothing else
        #[arg(long)]
        worker: bool,
        /// Write it to this new file, readable only by you, instead of standard output
        #[arg(short = 'o', long = "file", value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// List tokens
    List,
    /// Make a token worthless
    Revoke {
        /// Identity, from `tunesmith token list`
        id: String,
    },
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check that the coordinator answers and accepts the token
    Check,
    /// Show the coordinator and the token's file
    Show,
}

/// Arguments of `check-log`.
#[derive(Clone, Debug, Args)]
pub struct CheckLogArgs {
    /// What a training printed; `-` is standard input
    pub file: PathBuf,
    /// The study file, which says how metrics are read
    #[arg(long, value_name = "FILE")]
    pub study: PathBuf,
}

#[cfg(test)]
mod tests;
