//! Where a study comes from, and the trials of other studies that it knows from the start.

use serde::{Deserialize, Serialize};
use tunesmith_common::{Params, StudyId, StudyName, TrialNumber};

use super::End;

/// The studies that a study comes from, as they were when it was created. Stays the same as long as the study is there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lineage {
    /// The study that this one looks into more closely.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Relative>,
    /// The studies whose trials it knows from the start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Source>,
}

/// Another study.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relative {
    /// Identity; that study may be gone. None if it was never here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<StudyId>,
    /// Its name at the time.
    pub name: StudyName,
}

/// A study whose trials are known from the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The study.
    #[serde(flatten)]
    pub study: Relative,
    /// Trials that were taken.
    pub taken: u64,
    /// Trials that had ended and were not taken: no points of the space, or without values of the objectives.
    pub left_out: u64,
}

/// A trial of another study.
#[derive(Clone, Debug, PartialEq)]
pub struct PriorTrial {
    /// Place of its study in [`Lineage::history`].
    pub source: u32,
    /// Its number there.
    pub number: TrialNumber,
    /// How it ended.
    pub end: End,
    /// Values of the active parameters, as a point of the space of the study that knows it.
    pub params: Params,
    /// Value of the first objective of the study that knows it. May be NaN or infinite.
    pub value: Option<f64>,
    /// Values of its further objectives, then those that its measured constraints are about.
    pub more_values: Box<[Option<f64>]>,
    /// The highest step reported.
    pub last_step: Option<i64>,
}
