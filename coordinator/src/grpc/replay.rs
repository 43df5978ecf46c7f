//! Making the proposals and judgements of a study again: reads what is stored, computes for a bounded time, changes nothing.

use std::time::Duration;

use tunesmith_common::TrialNumber;
use tunesmith_common::clock::{Clock, Monotonic};
use tunesmith_common::study::StudySpec;
use tunesmith_proto::convert::value::params_to_wire;
use tunesmith_proto::v1;

use super::Api;
use super::status::ApiError;
use super::studies::stored_study;
use super::view;
use crate::decide::{History, Replay, Replayed};
use crate::store::{StudyRow, TrialOrder, TrialQuery};

/// Trials read at a time.
const PAGE: u32 = 5_000;
/// How long one call computes.
const TIME: Duration = Duration::from_secs(3);
/// Differences that one answer has.
const MOST_DIFFERENCES: usize = 1_000;

impl Api {
    pub(super) async fn replay(
        &self,
        request: &v1::ReplayStudyRequest,
    ) -> Result<v1::ReplayStudyResponse, ApiError> {
        // One at a time: it takes a whole processor.
        let turn = self.replaying.clone().lock_owned().await;
        let row = stored_study(self, &request.name, "name").await?;
        let history = self.history(&row).await?;
        let from = TrialNumber(request.from_trial);
        let clock = self.engines.clock().clone();
        let computed = self.tasks.spawn_blocking(move || {
            let mut replay = history.replay();
            replay.skip_to(from);
            (some_of(replay, clock.monotonic() + TIME, &*clock), turn)
        });
        let (mut answer, turn) = computed
            .await
            .map_err(|error| ApiError::Internal(format!("proposals could not be made again: {error}")))?;
        if answer.next_trial == 0 {
            let judged = self.judged(&row).await?;
            answer.same_decisions = judged.same;
            let different = judged.different.into_iter().take(MOST_DIFFERENCES);
            answer.decision_differences = different
                .map(|(trial, stored, again)| v1::DecisionDifference {
                    trial: trial.0,
                    stored: stored.as_ref().map(view::decision),
                    again: again.as_ref().map(view::decision),
                })
                .collect();
        }
        drop(turn);
        Ok(answer)
    }

    /// All trials there are now, read from the newest to the oldest, and those of other studies that it knows.
    pub(super) async fn history(&self, study: &StudyRow) -> Result<History, ApiError> {
        let of_others = self.store().history_list(study.id).await?;
        let mut history = History::new(StudySpec::try_from(study.spec.clone())?).knowing(of_others);
        let counts = self.store().trial_counts(study.id).await?;
        let mut unread: u64 = counts.iter().map(|(_, count)| *count).sum();
        while unread > 0 {
            let limit = u32::try_from(unread).unwrap_or(PAGE).min(PAGE);
            unread -= u64::from(limit);
            let query = TrialQuery {
                states: Vec::new(),
                order: TrialOrder::Number,
                offset: unread,
                limit,
            };
            for row in self.store().trial_list(study.id, &query).await? {
                history.add(row);
            }
        }
        Ok(history)
    }
}

/// Goes on until the time is up, but by one trial at least.
fn some_of(mut replay: Replay, until: Monotonic, clock: &dyn Clock) -> v1::ReplayStudyResponse {
    let mut answer = v1::ReplayStudyResponse::default();
    while let Some((trial, replayed)) = replay.next() {
        match replayed {
            Replayed::Same => answer.same += 1,
            Replayed::NotProposed => answer.not_proposed += 1,
            Replayed::Different {
                stored,
                again,
                reason,
            } => answer.differences.push(v1::ReplayDifference {
                trial: trial.0,
                stored: Some(params_to_wire(&stored)),
                again: again.as_ref().map(params_to_wire),
                reason,
            }),
        }
        if clock.monotonic() >= until || answer.differences.len() >= MOST_DIFFERENCES {
            answer.next_trial = replay.upcoming().map_or(0, |trial| trial.0);
            break;
        }
    }
    answer
}
