//! Curves of a trial.

use tunesmith_common::measurement::MetricName;
use tunesmith_proto::convert::parse;
use tunesmith_proto::v1;

use super::status::ApiError;
use super::{Api, view};

/// Points that one answer carries at most.
const MAX_POINTS: usize = 4_000_000;

impl Api {
    pub(super) async fn curves(
        &self,
        request: &v1::ListPointsRequest,
    ) -> Result<v1::ListPointsResponse, ApiError> {
        let metrics = request
            .metrics
            .iter()
            .enumerate()
            .map(|(index, name)| parse::<MetricName>(name, &format!("metrics[{index}]")))
            .collect::<Result<Vec<_>, _>>()?;
        let (study, row) = self.stored_trial(&request.name).await?;
        if request.attempt > row.attempt.0 {
            let message = format!(
                "is {}, but trial {} has had {} attempts",
                request.attempt, row.number, row.attempt
            );
            return Err(ApiError::invalid("attempt", message));
        }
        let chunks = self.store().point_list(study.id, row.number).await?;
        let curves = view::curves(&chunks, &metrics, request.attempt);
        let points: usize = curves.iter().map(|curve| curve.step.len()).sum();
        if points > MAX_POINTS {
            let message = format!(
                "{points} points are more than the {MAX_POINTS} that one answer carries; ask for fewer metrics"
            );
            return Err(ApiError::TooMuch(message));
        }
        Ok(v1::ListPointsResponse { curves })
    }
}
