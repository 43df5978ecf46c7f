//! Early-stopping rules tried on what a study has stored. Reads page by page, computes beside the engines, changes nothing.

use tunesmith_common::TrialNumber;
use tunesmith_common::study::{RawStudy, StudySpec};
use tunesmith_proto::convert;
use tunesmith_proto::v1;

use super::Api;
use super::status::ApiError;
use super::studies::stored_study;
use super::view;
use crate::decide::{Backtest, Backtested, Cost, Judged, Stopped};
use crate::store::{StudyRow, TrialOrder, TrialQuery};

/// Trials read at a time; the points of each are read by themselves.
const PAGE: u32 = 1_000;
/// Points that are computed with, of 56 bytes each in memory.
const MOST_POINTS: usize = 5_000_000;

impl Api {
    pub(super) async fn backtest(
        &self,
        request: v1::BacktestStudyRequest,
    ) -> Result<v1::BacktestStudyResponse, ApiError> {
        let row = stored_study(self, &request.name, "name").await?;
        let (spec, rules) = with_rules(&row, request.early_stopping)?;
        // One at a time: it takes a whole processor, and the memory of all points.
        let turn = self.replaying.clone().lock_owned().await;
        let backtest = self.filled(&row, Backtest::new(spec)).await?;
        let computed = self.tasks.spawn_blocking(move || {
            let outcome = backtest.run();
            drop(turn);
            outcome
        });
        let outcome = computed
            .await
            .map_err(|error| ApiError::Internal(format!("rules could not be tried: {error}")))?;
        Ok(answer(outcome, rules))
    }

    /// The judgements of a study's own rules and of its schedule, made again. Whoever calls it has the turn to compute.
    pub(super) async fn judged(&self, study: &StudyRow) -> Result<Judged, ApiError> {
        let spec = StudySpec::try_from(study.spec.clone())?;
        let stored = self.store().decision_list_all(study.id).await?;
        if spec.early_stopping.is_empty() && stored.is_empty() {
            return Ok(Judged::default());
        }
        let backtest = self.filled(study, Backtest::of_its_own(spec)).await?;
        self.tasks
            .spawn_blocking(move || backtest.judge_again(stored))
            .await
            .map_err(|error| ApiError::Internal(format!("judgements could not be made again: {error}")))
    }

    /// All trials there are now, from the first to the last.
    async fn filled(&self, study: &StudyRow, mut backtest: Backtest) -> Result<Backtest, ApiError> {
        let mut query = TrialQuery {
            states: Vec::new(),
            order: TrialOrder::Number,
            offset: 0,
            limit: PAGE,
        };
        loop {
            let trials = self.store().trial_list(study.id, &query).await?;
            let is_last = trials.len() < PAGE as usize;
            query.offset += u64::from(PAGE);
            for trial in trials {
                let attempts = self.store().attempt_list(study.id, trial.number).await?;
                let points = if backtest.needs_points() {
                    self.store().point_list(study.id, trial.number).await?
                } else {
                    Vec::new()
                };
                backtest.trial(trial, &attempts, &points, self.engines.clock().now());
                if backtest.events() > MOST_POINTS {
                    return Err(ApiError::TooMuch(format!(
                        "study {} has more than {MOST_POINTS} points of the metrics that the rules and the study's values need, which are too many \
                         to try rules on",
                        study.name
                    )));
                }
            }
            if is_last {
                return Ok(backtest);
            }
        }
    }
}

/// The study with the rules to be tried, and those as they are sent.
fn with_rules(
    row: &StudyRow,
    rules: Vec<v1::StopperRule>,
) -> Result<(StudySpec, Vec<v1::StopperRule>), ApiError> {
    let mut raw: RawStudy = row.spec.clone();
    if !rules.is_empty() {
        let mut wire = convert::study::to_wire(&raw);
        wire.early_stopping = rules;
        raw.early_stopping = convert::study::from_wire(wire)?.early_stopping;
    }
    if raw.early_stopping.is_empty() {
        let message = format!(
            "study {} has no rules of its own to try; name some, such as {{rule: median}}",
            row.name
        );
        return Err(ApiError::invalid("early_stopping", message));
    }
    let rules = convert::study::to_wire(&raw).early_stopping;
    Ok((StudySpec::try_from(raw)?, rules))
}

fn answer(outcome: Backtested, rules: Vec<v1::StopperRule>) -> v1::BacktestStudyResponse {
    let best = |(trial, value): (TrialNumber, f64)| v1::BacktestBest {
        trial: trial.0,
        value,
    };
    let Cost {
        steps,
        seconds,
        gpu_seconds,
    } = outcome.cost;
    v1::BacktestStudyResponse {
        early_stopping: rules,
        notes: outcome.notes,
        stops: outcome.stops.into_iter().map(stop).collect(),
        trials: outcome.trials,
        trials_without_points: outcome.trials_without_points,
        early_stopped: outcome.early_stopped,
        steps,
        steps_saved: outcome.saved.steps,
        seconds,
        seconds_saved: outcome.saved.seconds,
        gpu_seconds,
        gpu_seconds_saved: outcome.saved.gpu_seconds,
        best: outcome.best.map(best),
        best_with_rules: outcome.best_with_rules.map(best),
        best_lost: outcome.best_lost.map(|(trial, value, _)| best((trial, value))),
        best_lost_rank: outcome.best_lost.map_or(0, |(_, _, rank)| rank),
        ranked: outcome.ranked,
    }
}

fn stop(stopped: Stopped) -> v1::BacktestStop {
    v1::BacktestStop {
        trial: stopped.decision.trial.0,
        decision: Some(view::decision(&stopped.decision)),
        value: stopped.value,
        final_value: stopped.final_value,
        rank: stopped.rank.unwrap_or(0),
        last_step: stopped.last_step,
        steps_saved: stopped.saved.steps,
        seconds_saved: stopped.saved.seconds,
        gpu_seconds_saved: stopped.saved.gpu_seconds,
        state: view::state(&stopped.state).into(),
    }
}
