//! How far a trial has come, as a JSON object in one column: the names are part of the database.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tunesmith_common::checkpoint::{Changed, Checkpoint, EarlierEnd, Heir, Parent, RungResult, Stages};
use tunesmith_common::{Params, Timestamp, TrialNumber};

use super::json::{Number, from_json, to_json};
use crate::store::StoreError;

#[derive(Serialize, Deserialize)]
struct StoredStages {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rungs: Vec<StoredRung>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checkpoint: Option<Checkpoint>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<StoredParent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    heir: Option<StoredHeir>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    earlier_ends: Vec<StoredEnd>,
    #[serde(default, skip_serializing_if = "is_zero")]
    trained_us: u64,
}

#[derive(Serialize, Deserialize)]
struct StoredEnd {
    at: i64,
    /// Not noted at first: then as if it had gone on at once.
    went_on_at: Option<i64>,
    value: Option<Number>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    more_values: Vec<Option<Number>>,
    last_step: Option<i64>,
    next: TrialNumber,
}

#[derive(Serialize, Deserialize)]
struct StoredHeir {
    parent: TrialNumber,
    params: Params,
    step: i64,
    value: Number,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checkpoint: Option<Checkpoint>,
}

#[derive(Serialize, Deserialize)]
struct StoredParent {
    trial: TrialNumber,
    step: i64,
    value: Number,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaces: Option<TrialNumber>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    changed: Vec<Changed>,
}

#[derive(Serialize, Deserialize)]
struct StoredRung {
    rung: i64,
    step: i64,
    value: Number,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    more_values: Vec<Option<Number>>,
    at: i64,
}

/// Stages as a JSON object; none if there is nothing to tell.
pub(super) fn stages_to_json(stages: &Stages) -> Result<Option<String>, StoreError> {
    if stages.is_empty() {
        return Ok(None);
    }
    let rung = |result: &RungResult| StoredRung {
        rung: result.rung,
        step: result.step,
        value: Number(result.value),
        more_values: numbers(&result.more_values),
        at: result.at.as_micros(),
    };
    let end = |end: &EarlierEnd| StoredEnd {
        at: end.at.as_micros(),
        went_on_at: Some(end.went_on_at.as_micros()),
        value: end.value.map(Number),
        more_values: numbers(&end.more_values),
        last_step: end.last_step,
        next: end.next,
    };
    to_json(&StoredStages {
        rungs: stages.rungs.iter().map(rung).collect(),
        checkpoint: stages.checkpoint.clone(),
        parent: stages.parent.as_ref().map(|parent| StoredParent {
            trial: parent.trial,
            step: parent.step,
            value: Number(parent.value),
            replaces: parent.replaces,
            changed: parent.changed.clone(),
        }),
        heir: stages.heir.as_ref().map(|heir| StoredHeir {
            parent: heir.parent,
            params: Params::clone(&heir.params),
            step: heir.step,
            value: Number(heir.value),
            checkpoint: heir.checkpoint.clone(),
        }),
        earlier_ends: stages.earlier_ends.iter().map(end).collect(),
        trained_us: u64::try_from(stages.trained.as_micros()).unwrap_or(u64::MAX),
    })
    .map(Some)
}

/// Reads what [`stages_to_json`] wrote.
pub(super) fn stages_from_json(json: &str) -> Result<Stages, StoreError> {
    let stored: StoredStages = from_json("stages", json)?;
    let rung = |stored: StoredRung| RungResult {
        rung: stored.rung,
        step: stored.step,
        value: stored.value.0,
        more_values: values(stored.more_values),
        at: Timestamp::from_micros(stored.at),
    };
    let end = |stored: StoredEnd| EarlierEnd {
        at: Timestamp::from_micros(stored.at),
        went_on_at: Timestamp::from_micros(stored.went_on_at.unwrap_or(stored.at)),
        value: stored.value.map(|value| value.0),
        more_values: values(stored.more_values),
        last_step: stored.last_step,
        next: stored.next,
    };
    Ok(Stages {
        rungs: stored.rungs.into_iter().map(rung).collect(),
        checkpoint: stored.checkpoint,
        parent: stored.parent.map(|parent| {
            Box::new(Parent {
                trial: parent.trial,
                step: parent.step,
                value: parent.value.0,
                replaces: parent.replaces,
                changed: parent.changed,
            })
        }),
        heir: stored.heir.map(|heir| {
            Box::new(Heir {
                parent: heir.parent,
                params: heir.params.into(),
                step: heir.step,
                value: heir.value.0,
                checkpoint: heir.checkpoint,
            })
        }),
        earlier_ends: stored.earlier_ends.into_iter().map(end).collect(),
        trained: Duration::from_micros(stored.trained_us),
    })
}

fn numbers(values: &[Option<f64>]) -> Vec<Option<Number>> {
    values.iter().map(|value| value.map(Number)).collect()
}

fn values(numbers: Vec<Option<Number>>) -> Box<[Option<f64>]> {
    numbers
        .into_iter()
        .map(|number| number.map(|number| number.0))
        .collect()
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_without_the_time_at_which_its_trial_went_on_is_read() {
        let stored = r#"{"earlier_ends": [{"at": 7, "value": 0.5, "last_step": 3, "next": 2}]}"#;
        let end = &stages_from_json(stored).unwrap().earlier_ends[0];
        assert_eq!(
            (end.at, end.went_on_at),
            (Timestamp::from_micros(7), Timestamp::from_micros(7))
        );
    }
}
