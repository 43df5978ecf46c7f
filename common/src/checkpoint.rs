//! Checkpoints of trials, and the rungs that trials which are trained in stages have reached.
//!
//! A checkpoint is named by whoever saved it: trial, attempt and step together are never used twice, so that what is stored under that name never
//! changes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{Attempt, CheckpointStoreId, TrialNumber};
use crate::params::{ParamValue, ParameterName, Params};

/// A checkpoint that is completely stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Where it is.
    pub store: CheckpointStoreId,
    /// The trial that saved it; another one may begin from it.
    pub trial: TrialNumber,
    /// The attempt that saved it.
    pub attempt: Attempt,
    /// The step that its folder is named after: the number of steps trained.
    pub step: i64,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Number of its files.
    pub files: u32,
    /// SHA-256 over names, lengths and contents of its files in the order of their names, in hexadecimal.
    pub digest: String,
}

/// How far a trial that is trained in stages has come.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stages {
    /// Rungs that it has reached, ascending.
    pub rungs: Vec<RungResult>,
    /// The newest checkpoint that it can go on from.
    pub checkpoint: Option<Checkpoint>,
    /// The trial with whose training it began.
    pub parent: Option<Box<Parent>>,
    /// If another trial is to take its place: what that one begins with. Set aside from the moment in which that is decided.
    pub heir: Option<Box<Heir>>,
    /// What it had come to each time that its time was up and that it got more later.
    pub earlier_ends: Vec<EarlierEnd>,
    /// How long its attempts have run since it last began from its start. Known while it may go on.
    pub trained: Duration,
}

/// What a trial had come to when its time was up, before it got more.
#[derive(Clone, Debug, PartialEq)]
pub struct EarlierEnd {
    /// When that was.
    pub at: Timestamp,
    /// When it got more.
    pub went_on_at: Timestamp,
    /// The first objective's value, if it had one. May be NaN or infinite.
    pub value: Option<f64>,
    /// Values of further objectives and of measured constraints, likewise.
    pub more_values: Box<[Option<f64>]>,
    /// The highest step reported.
    pub last_step: Option<i64>,
    /// The number of the study's next trial when it got more: those before were proposed while it had ended.
    pub next: TrialNumber,
}

/// What a trial begins with that takes the place of another one.
#[derive(Clone, Debug, PartialEq)]
pub struct Heir {
    /// The trial with whose training it goes on.
    pub parent: TrialNumber,
    /// That one's parameters.
    pub params: Arc<Params>,
    /// Steps that it had been trained.
    pub step: i64,
    /// The first objective's value that it had come to. May be NaN or infinite.
    pub value: f64,
    /// Its checkpoint at that step; none where programs that ask and tell keep their own.
    pub checkpoint: Option<Checkpoint>,
}

/// The trial with whose training another one began.
#[derive(Clone, Debug, PartialEq)]
pub struct Parent {
    /// Its number.
    pub trial: TrialNumber,
    /// Steps that it had been trained.
    pub step: i64,
    /// The first objective's value that it had come to. May be NaN or infinite.
    pub value: f64,
    /// The trial whose place the child took, if any.
    pub replaces: Option<TrialNumber>,
    /// Parameters of the child that are others than its parent's.
    pub changed: Vec<Changed>,
}

/// A parameter that two trials do not have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Changed {
    /// Its name.
    pub name: ParameterName,
    /// The value of the first; none if it was inactive.
    pub from: Option<ParamValue>,
    /// The value of the second; none if it was inactive.
    pub to: Option<ParamValue>,
}

impl Changed {
    /// What the second has that the first has not, and the other way round.
    #[must_use]
    pub fn between(from: &Params, to: &Params) -> Vec<Self> {
        let new = to
            .iter()
            .map(|(name, value)| (name, from.value(name.as_str()), Some(value)));
        let gone = from
            .iter()
            .filter(|(name, _)| to.value(name.as_str()).is_none())
            .map(|(name, value)| (name, Some(value), None));
        new.chain(gone)
            .filter(|(_, from, to)| from != to)
            .map(|(name, from, to)| Self {
                name: name.clone(),
                from: from.cloned(),
                to: to.cloned(),
            })
            .collect()
    }
}

impl fmt::Display for Changed {
    /// As in `lr 0.1 -> 0.12`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value: &Option<ParamValue>| value.as_ref().map_or("none".to_owned(), ToString::to_string);
        write!(f, "{} {} -> {}", self.name, show(&self.from), show(&self.to))
    }
}

impl Stages {
    /// Whether there is nothing to tell, as of trials that are trained in one go.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a trial had come to when it first reported at or after the step of a rung.
#[derive(Clone, Debug, PartialEq)]
pub struct RungResult {
    /// Step of the rung.
    pub rung: i64,
    /// The step reported.
    pub step: i64,
    /// The first objective's value at that moment. May be NaN or infinite.
    pub value: f64,
    /// Values of measured constraints. May be NaN or infinite.
    pub more_values: Box<[Option<f64>]>,
    /// When; of two results of a study the one that was there first has the earlier time.
    pub at: Timestamp,
}
