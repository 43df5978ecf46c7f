//! How the best value of a study came about. Reads what is stored page by page, and keeps a few numbers of each trial.

use tunesmith_common::study::StudySpec;
use tunesmith_common::{Timestamp, TrialNumber};
use tunesmith_proto::v1;

use super::Api;
use super::status::ApiError;
use super::studies::stored_study;
use super::view;
use crate::store::{End, EndedTrial, StoredTrial};

/// Trials read at a time.
const PAGE: u32 = 5_000;
/// Other results that one answer has at most.
const MOST_SAMPLED: u32 = 5_000;

/// What is kept of a trial that has ended.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ended {
    trial: TrialNumber,
    ended_at: Timestamp,
    end: End,
    /// Its value, if it counts.
    value: Option<f64>,
}

impl Api {
    pub(super) async fn incumbents(
        &self,
        request: &v1::ListIncumbentsRequest,
    ) -> Result<v1::ListIncumbentsResponse, ApiError> {
        if request.sample > MOST_SAMPLED {
            let message = format!("must be at most {MOST_SAMPLED}, got {}", request.sample);
            return Err(ApiError::invalid("sample", message));
        }
        let row = stored_study(self, &request.name, "name").await?;
        let spec = StudySpec::try_from(row.spec)?;
        let mut ended = Vec::new();
        let mut after = TrialNumber(0);
        loop {
            let page = self.store().trial_page(row.id, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.number();
            ended.extend(page.iter().filter_map(|trial| match trial {
                StoredTrial::Ended(trial) => Some(result(&spec, trial)),
                StoredTrial::Living(_) => None,
            }));
        }
        Ok(answer(
            &spec,
            ended,
            usize::try_from(request.sample).unwrap_or(usize::MAX),
        ))
    }
}

fn result(spec: &StudySpec, trial: &EndedTrial) -> Ended {
    let counts = matches!(trial.end, End::Completed | End::EarlyStopped | End::TimedOut);
    let mut bounds = spec
        .measured_constraints
        .iter()
        .zip(trial.more_values.iter().skip(spec.more_objectives.len()));
    let keeps =
        bounds.all(|(constraint, value)| value.is_some_and(|value| constraint.bound.violation(value) <= 0.0));
    Ended {
        trial: trial.number,
        ended_at: trial.ended_at,
        end: trial.end,
        value: trial.value.filter(|value| counts && keeps && value.is_finite()),
    }
}

/// Sorts out which trials were the best when they ended.
fn answer(spec: &StudySpec, mut ended: Vec<Ended>, sample: usize) -> v1::ListIncumbentsResponse {
    ended.sort_by_key(|result| (result.ended_at, result.trial));
    let mut best: Option<f64> = None;
    let (mut incumbents, mut others) = (v1::Results::default(), Vec::new());
    for (index, result) in ended.iter().enumerate() {
        let Some(value) = result.value else { continue };
        if best.is_none_or(|best| spec.objective.goal.better(value, best)) {
            best = Some(value);
            add(&mut incumbents, index, result);
        } else {
            others.push(index);
        }
    }
    let mut sampled = v1::Results::default();
    let count = sample.min(others.len());
    for place in 0..count {
        let index = others[place * others.len() / count];
        add(&mut sampled, index, &ended[index]);
    }
    v1::ListIncumbentsResponse {
        results: number(incumbents.trial.len() + others.len()),
        ended: number(ended.len()),
        incumbents: Some(incumbents),
        sample: Some(sampled),
    }
}

fn add(results: &mut v1::Results, index: usize, result: &Ended) {
    results.trial.push(result.trial.0);
    results.ended.push(number(index + 1));
    results.ended_at_micros.push(result.ended_at.as_micros());
    results.value.push(result.value.unwrap_or(f64::NAN));
    results.state.push(view::ended(result.end).into());
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
