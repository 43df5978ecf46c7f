//! What a training's output says about its metrics: lines in, points out.
//!
//! Pure: no files, no processes. The worker feeds it what a training prints, the command line (`tunesmith check-log`) what a
//! person wants explained. Output is data from outside: nothing here fails or panics on it, and a line that says nothing is a
//! line of log. What a line meant to say but could not is told as a [`Note`].

pub mod json;
mod number;
mod reader;
pub mod regex;

pub use json::{json_line, quote_bare_words};
pub use number::{step as parse_step, value as parse_value};
pub use reader::{LineReport, PointRead, Reader, StepCounter};
pub use regex::{PatternError, Patterns};

use crate::id::MetricName;

/// Values that one line may carry at most; the rest is dropped.
pub const MAX_READINGS_PER_LINE: usize = 1_000;

/// One value that a line carries.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The metric.
    pub metric: MetricName,
    /// Its step, at least 0, if the line names one.
    pub step: Option<i64>,
    /// The value; may be NaN or infinite.
    pub value: f64,
}

/// What a reader of lines must know of the study.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vocabulary {
    /// Metrics that the study names: keys of flat JSON lines that are metrics.
    pub metrics: Vec<MetricName>,
    /// What the study calls a step, such as `iteration`; taken before `step` and `epoch`, which always count.
    pub step_name: Option<String>,
}

impl Vocabulary {
    /// Keys that may hold the step, the most telling first.
    fn step_keys(&self) -> impl Iterator<Item = &str> {
        self.step_name.as_deref().into_iter().chain(["step", "epoch"])
    }
}

/// Why something that looks like a metric gave no point, or not the expected one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Note {
    /// The value is no number.
    #[error("the value of {metric} is no number: {text}")]
    Value {
        /// The metric.
        metric: String,
        /// What stands there, shortened.
        text: String,
    },
    /// The step is no whole number of at least 0; the value is counted instead.
    #[error("the step of {metric} is no whole number of at least 0: {text}; its values are counted instead")]
    Step {
        /// The metric.
        metric: String,
        /// What stands there, shortened.
        text: String,
    },
    /// The metric's name is refused.
    #[error("{0}")]
    Name(#[from] crate::id::NameError),
    /// There are more values in the line than are read.
    #[error("more than {MAX_READINGS_PER_LINE} values in one line")]
    TooMany,
}

/// `text` fit for a message: at most 40 characters.
fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
