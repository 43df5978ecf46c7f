//! How the best value of a study came about.

use tunesmith_proto::v1;

use super::Api;
use super::status::ApiError;
use super::view;
use crate::decide::{Incumbents, Ranked};

/// Other results that one answer has at most.
const MOST_SAMPLED: u32 = 5_000;

impl Api {
    pub(super) async fn incumbents(
        &self,
        request: &v1::ListIncumbentsRequest,
    ) -> Result<v1::ListIncumbentsResponse, ApiError> {
        if request.sample > MOST_SAMPLED {
            let message = format!("must be at most {MOST_SAMPLED}, got {}", request.sample);
            return Err(ApiError::invalid("sample", message));
        }
        let sample = usize::try_from(request.sample).unwrap_or(usize::MAX);
        let engine = self.study(&request.name).await?;
        let found = engine.call(move |core, _, _| Ok(core.incumbents(sample))).await?;
        Ok(answer(&found))
    }
}

fn answer(found: &Incumbents) -> v1::ListIncumbentsResponse {
    v1::ListIncumbentsResponse {
        incumbents: Some(columns(&found.incumbents)),
        sample: Some(columns(&found.sample)),
        ended: found.ended,
        results: found.results,
    }
}

fn columns(results: &[Ranked]) -> v1::Results {
    let outcomes = || results.iter().map(|result| &result.outcome);
    v1::Results {
        trial: outcomes().map(|outcome| outcome.trial.0).collect(),
        ended: results.iter().map(|result| result.ended).collect(),
        ended_at_micros: outcomes().map(|outcome| outcome.ended_at.as_micros()).collect(),
        value: results.iter().map(|result| result.value).collect(),
        state: outcomes()
            .map(|outcome| view::ended(outcome.end).into())
            .collect(),
    }
}
