//! Trials of other studies as they are stored: some of them in each row.

use serde::{Deserialize, Serialize};
use tunesmith_common::{Params, TrialNumber};

use super::super::{End, PriorTrial, StoreError};
use super::corrupt;
use super::json::{Number, from_json, to_json};
use super::types::Json;

/// Trials in a row.
const PER_ROW: usize = 500;

/// A trial of another study as JSON has it.
#[derive(Debug, Serialize, Deserialize)]
struct PriorRecord {
    source: u32,
    number: u64,
    state: String,
    params: Params,
    value: Option<Number>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    more_values: Vec<Option<Number>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_step: Option<i64>,
}

/// The content of the rows, in order.
pub(in crate::store) fn to_rows(trials: &[PriorTrial]) -> Result<Vec<Json>, StoreError> {
    let record = |trial: &PriorTrial| PriorRecord {
        source: trial.source,
        number: trial.number.0,
        state: trial.end.name().to_owned(),
        params: trial.params.clone(),
        value: trial.value.map(Number),
        more_values: trial.more_values.iter().map(|value| value.map(Number)).collect(),
        last_step: trial.last_step,
    };
    trials
        .chunks(PER_ROW)
        .map(|trials| to_json(&trials.iter().map(record).collect::<Vec<_>>()).map(Json))
        .collect()
}

/// Reads what [`to_rows`] wrote.
pub(in crate::store) fn from_rows(rows: Vec<Json>) -> Result<Vec<PriorTrial>, StoreError> {
    let mut trials = Vec::new();
    for Json(row) in rows {
        for record in from_json::<Vec<PriorRecord>>("history", &row)? {
            let end = End::named(&record.state)
                .ok_or_else(|| corrupt(format_args!("history: the state {:?}", record.state)))?;
            trials.push(PriorTrial {
                source: record.source,
                number: TrialNumber(record.number),
                end,
                params: record.params,
                value: record.value.map(|number| number.0),
                more_values: record
                    .more_values
                    .into_iter()
                    .map(|value| value.map(|number| number.0))
                    .collect(),
                last_step: record.last_step,
            });
        }
    }
    Ok(trials)
}
