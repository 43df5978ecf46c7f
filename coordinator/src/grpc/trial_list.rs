//! Lists of trials: all of a study, or the best.

use tunesmith_common::trial::TrialState;
use tunesmith_common::usage::UsageSeries;
use tunesmith_common::{StudyId, TrialNumber};
use tunesmith_proto::v1;

use super::page::Page;
use super::status::ApiError;
use super::studies::{order_of, stored_study};
use super::trials::cut;
use super::view::Legend;
use super::{Api, view};
use crate::decide::CoreError;
use crate::store::{AttemptRow, StudyRow, TrialOrder, TrialQuery};

impl Api {
    pub(super) async fn list_of_trials(
        &self,
        request: &v1::ListTrialsRequest,
    ) -> Result<v1::ListTrialsResponse, ApiError> {
        let study = stored_study(self, &request.parent, "parent").await?;
        if request.best_only {
            return self.list_of_best(request, &study).await;
        }
        let order = match request.order_by.as_str() {
            "" | "number" => TrialOrder::Number,
            order @ ("value" | "newest") if request.with_attempts => {
                let message =
                    format!("must be left out with order_by {order:?}: attempts are listed by number");
                return Err(ApiError::invalid("with_attempts", message));
            }
            "newest" => TrialOrder::Newest,
            "value" => order_of(&study.spec),
            other => {
                return Err(ApiError::invalid(
                    "order_by",
                    format!(
                        "must be \"number\", \"newest\" or \"value\", got {:?}",
                        cut(other, 80)
                    ),
                ));
            }
        };
        let mut states = Vec::new();
        for (index, &state) in request.states.iter().enumerate() {
            let known = v1::TrialState::try_from(state).ok().and_then(view::state_name);
            states.push(known.ok_or_else(|| {
                ApiError::invalid(
                    format!("states[{index}]"),
                    format!("{state} is not a state of a trial"),
                )
            })?);
        }
        states.sort_unstable();
        states.dedup();
        let filter = states.join(",");
        let query = [
            study.id.0.as_bytes(),
            filter.as_bytes(),
            request.order_by.as_bytes(),
        ];
        let page = Page::read(request.page_size, &request.page_token, &query.map(|part| part))?;
        let query = TrialQuery {
            states,
            order,
            offset: page.offset,
            limit: page.limit,
        };
        let rows = self.store().trial_list(study.id, &query).await?;
        let legend = Legend::of_row(&study);
        let mut trials = Vec::with_capacity(rows.len());
        let mut waiting: Option<String> = None;
        for row in &rows {
            let mut trial = view::trial(&legend, row);
            if row.state == TrialState::Pending {
                if waiting.is_none() {
                    waiting = Some(self.waiting_for(&study, row).await?);
                }
                trial.pending_reason = waiting.clone().unwrap_or_default();
            }
            trials.push(trial);
        }
        if request.with_attempts {
            self.add_attempts(study.id, &mut trials).await?;
        }
        Ok(v1::ListTrialsResponse {
            trials,
            next_page_token: page.next(rows.len()),
        })
    }

    /// Adds attempts and judgements to trials that are in the order of their numbers.
    async fn add_attempts(&self, study: StudyId, trials: &mut [v1::Trial]) -> Result<(), ApiError> {
        let (Some(first), Some(last)) = (trials.first(), trials.last()) else {
            return Ok(());
        };
        let numbers = TrialNumber(first.number)..=TrialNumber(last.number);
        let mut attempts = self
            .store()
            .attempt_list_of(study, numbers.clone())
            .await?
            .into_iter()
            .peekable();
        let mut decisions = self
            .store()
            .decision_list_of(study, numbers)
            .await?
            .into_iter()
            .peekable();
        let (now, unsaid) = (self.now(), UsageSeries::default());
        for trial in trials {
            // Those of trials in other states are passed over.
            while let Some(row) = attempts.next_if(|row| row.trial.0 <= trial.number) {
                if row.trial.0 == trial.number {
                    let log_tail = String::new();
                    trial
                        .attempts
                        .push(view::attempt(&AttemptRow { log_tail, ..row }, 0, &unsaid, now));
                }
            }
            while let Some(row) = decisions.next_if(|row| row.trial.0 <= trial.number) {
                if row.trial.0 == trial.number {
                    trial.decisions.push(view::decision(&row));
                }
            }
        }
        Ok(())
    }

    /// The Pareto set, or the best trial.
    async fn list_of_best(
        &self,
        request: &v1::ListTrialsRequest,
        study: &StudyRow,
    ) -> Result<v1::ListTrialsResponse, ApiError> {
        if !request.states.is_empty() {
            let message =
                "cannot be chosen among the best trials, which have all ended; leave out states or best_only";
            return Err(ApiError::invalid("states", message));
        }
        if request.with_attempts {
            let message = "must be left out with best_only: attempts are listed by number";
            return Err(ApiError::invalid("with_attempts", message));
        }
        if !matches!(request.order_by.as_str(), "" | "value") {
            let message = format!(
                "must be \"value\" or left out with best_only, got {:?}",
                cut(&request.order_by, 80)
            );
            return Err(ApiError::invalid("order_by", message));
        }
        let page = Page::read(
            request.page_size,
            &request.page_token,
            &[study.id.0.as_bytes(), b"best"],
        )?;
        let engine = self.engine(&study.name).await?;
        let summary = self.summary(&engine).await?;
        let best = summary.best.map(|(number, _)| number);
        let numbers = summary.pareto_set.iter().copied().chain(best);
        let numbers: Vec<TrialNumber> = numbers
            .skip(usize::try_from(page.offset).unwrap_or(usize::MAX))
            .take(usize::try_from(page.limit).unwrap_or(usize::MAX))
            .collect();
        let legend = Legend::of_row(study);
        let mut trials = Vec::with_capacity(numbers.len());
        for &number in &numbers {
            let row = self.store().trial_fetch(engine.id(), number).await?;
            trials.push(view::trial(
                &legend,
                &row.ok_or(CoreError::TrialNotFound(number))?,
            ));
        }
        Ok(v1::ListTrialsResponse {
            trials,
            next_page_token: page.next(numbers.len()),
        })
    }
}
