//! What of a study may change while it lives.

use super::check::{FieldError, SpecErrors};
use super::raw::{RawStudy, RawTrial};

/// Fields that may change.
pub const EDITABLE: [&str; 6] = [
    "message",
    "project",
    "priority",
    "budget",
    "early_stopping",
    MAX_RUNTIME,
];
/// The one of them that is a part of another.
pub const MAX_RUNTIME: &str = "trial.max_runtime";

impl RawStudy {
    /// Which of the fields that may change while a study lives are others than in `old`. Both as they are read from a study file, so that what is
    /// written differently but means the same is no change.
    ///
    /// # Errors
    /// What else is different.
    pub fn changes(&self, old: &Self) -> Result<Vec<&'static str>, SpecErrors> {
        let fixed = [
            ("name", self.name == old.name),
            ("parent", self.parent == old.parent),
            ("objective", self.objective == old.objective),
            ("space", self.space == old.space),
            ("constraints", self.constraints == old.constraints),
            ("strategy", self.strategy == old.strategy),
            ("trial", without_limit(self) == without_limit(old)),
        ];
        let changed: Vec<FieldError> = fixed
            .into_iter()
            .filter(|(_, same)| !same)
            .map(|(field, _)| FieldError {
                path: field.to_owned(),
                message: format!(
                    "of a study cannot change; {} can; clone the study instead",
                    listed()
                ),
            })
            .collect();
        if !changed.is_empty() {
            return Err(SpecErrors(changed));
        }
        let max_runtime = |study: &Self| study.trial.as_ref().and_then(|trial| trial.max_runtime);
        let free = [
            self.message == old.message,
            self.project == old.project,
            self.priority == old.priority,
            self.budget == old.budget,
            self.early_stopping == old.early_stopping,
            max_runtime(self) == max_runtime(old),
        ];
        let changed = EDITABLE.into_iter().zip(free).filter(|(_, same)| !same);
        Ok(changed.map(|(field, _)| field).collect())
    }
}

/// The fields that may change, for people.
fn listed() -> String {
    let (last, first) = (EDITABLE[EDITABLE.len() - 1], &EDITABLE[..EDITABLE.len() - 1]);
    format!("{} and {last}", first.join(", "))
}

/// What trials run, but for how long.
fn without_limit(study: &RawStudy) -> Option<RawTrial> {
    study.trial.clone().map(|trial| RawTrial {
        max_runtime: None,
        ..trial
    })
}
