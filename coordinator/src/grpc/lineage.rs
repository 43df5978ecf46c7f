//! Where a new study comes from: its parent, and the trials of other studies that it knows from the start.

use tunesmith_common::study::{FieldError, SpecErrors, StudySpec};
use tunesmith_common::{StudyName, Timestamp, TrialNumber};
use tunesmith_proto::convert::value::{params_from_wire, params_to_wire};
use tunesmith_proto::v1;

use super::page::Page;
use super::status::ApiError;
use super::studies::stored_study;
use super::{Api, view};
use crate::decide::Taker;
use crate::store::{End, Lineage, PriorTrial, Relative, Source, StoredTrial, StudyRow};

/// Trials read at a time.
const PAGE: u32 = 20_000;
/// Trials of other studies that a study knows at most, of all of them together.
const MOST_TRIALS: usize = 100_000;

impl Api {
    /// The studies that a new study names, and what it can use of their trials, in the order in which these ended.
    ///
    /// # Errors
    /// If one of them is not there, has no values of the study's objectives, or they have too many trials.
    pub(super) async fn lineage(&self, spec: &StudySpec) -> Result<(Lineage, Vec<PriorTrial>), ApiError> {
        let mut lineage = Lineage::default();
        if let Some(name) = &spec.parent {
            lineage.parent = Some(relative(&self.named(name, "parent").await?));
        }
        let mut known = Vec::new();
        for (place, name) in spec.strategy.history.iter().enumerate() {
            let path = format!("strategy.history[{place}]");
            let row = self.named(name, &path).await?;
            let other = StudySpec::try_from(row.spec.clone())?;
            let taker = Taker::new(spec, &other, place)?;
            let (taken, left_out) = self.take(&row, &taker).await?;
            lineage.history.push(Source {
                study: relative(&row),
                taken: taken.len() as u64,
                left_out,
            });
            known.extend(taken);
            if known.len() > MOST_TRIALS {
                let message = format!(
                    "the studies up to {name} have {} trials that this one could learn from, at most {MOST_TRIALS} are taken; leave some out, or \
                     narrow the space",
                    known.len()
                );
                return Err(refused(path, message));
            }
        }
        Ok((lineage, known))
    }

    /// Whether the studies that a new study names are there and of use to it, without reading their trials.
    ///
    /// # Errors
    /// If one of them is not.
    pub(super) async fn relatives(&self, spec: &StudySpec) -> Result<(), ApiError> {
        if let Some(name) = &spec.parent {
            self.named(name, "parent").await?;
        }
        for (place, name) in spec.strategy.history.iter().enumerate() {
            let row = self.named(name, &format!("strategy.history[{place}]")).await?;
            Taker::new(spec, &StudySpec::try_from(row.spec)?, place)?;
        }
        Ok(())
    }

    /// The same for a study whose relatives need not be here, with the trials that it knows.
    pub(super) async fn detached(
        &self,
        spec: &StudySpec,
        known: Vec<PriorTrial>,
    ) -> Result<(Lineage, Vec<PriorTrial>), ApiError> {
        let mut lineage = Lineage::default();
        if let Some(name) = &spec.parent {
            lineage.parent = Some(self.named_if_there(name).await?);
        }
        for (source, name) in (0..).zip(&spec.strategy.history) {
            lineage.history.push(Source {
                study: self.named_if_there(name).await?,
                taken: known.iter().filter(|trial| trial.source == source).count() as u64,
                left_out: 0,
            });
        }
        Ok((lineage, known))
    }

    async fn named(&self, name: &StudyName, path: &str) -> Result<StudyRow, ApiError> {
        let found = self.store().study_find(name).await?;
        found.ok_or_else(|| {
            let message = format!("there is no study {name}; correct the name, or remove it");
            refused(path.to_owned(), message)
        })
    }

    async fn named_if_there(&self, name: &StudyName) -> Result<Relative, ApiError> {
        let found = self.store().study_find(name).await?;
        Ok(Relative {
            id: found.map(|row| row.id),
            name: name.clone(),
        })
    }

    /// What can be used of a study's trials, and how many that have ended cannot.
    pub(super) async fn take(
        &self,
        row: &StudyRow,
        taker: &Taker<'_>,
    ) -> Result<(Vec<PriorTrial>, u64), ApiError> {
        let mut taken: Vec<(Timestamp, PriorTrial)> = Vec::new();
        let mut left_out = 0;
        let mut after = TrialNumber(0);
        loop {
            let page = self.store().trial_page(row.id, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.number();
            for trial in &page {
                let StoredTrial::Ended(trial) = trial else {
                    continue;
                };
                match taker.take(trial) {
                    Some(prior) => taken.push((trial.ended_at, prior)),
                    None => left_out += u64::from(trial.end != End::Cancelled),
                }
            }
        }
        taken.sort_by_key(|(ended_at, trial)| (*ended_at, trial.number));
        Ok((taken.into_iter().map(|(_, trial)| trial).collect(), left_out))
    }

    /// The trials of other studies that a study knows.
    pub(super) async fn list_of_history(
        &self,
        request: &v1::ListHistoryRequest,
    ) -> Result<v1::ListHistoryResponse, ApiError> {
        let study = stored_study(self, &request.name, "name").await?;
        let query = [&study.id.0.as_bytes()[..], b"history"];
        let page = Page::read(request.page_size, &request.page_token, &query)?;
        let known = self.store().history_list(study.id).await?;
        let name = |source: u32| {
            let place = usize::try_from(source).unwrap_or(usize::MAX);
            let source = study.lineage.history.get(place);
            source.map_or_else(String::new, |source| source.study.name.to_string())
        };
        let trials: Vec<v1::PriorTrial> = known
            .iter()
            .skip(usize::try_from(page.offset).unwrap_or(usize::MAX))
            .take(usize::try_from(page.limit).unwrap_or(usize::MAX))
            .map(|trial| v1::PriorTrial {
                study: name(trial.source),
                number: trial.number.0,
                state: view::ended(trial.end).into(),
                parameters: Some(params_to_wire(&trial.params)),
                value: trial.value,
                more_values: trial
                    .more_values
                    .iter()
                    .map(|&value| v1::OptionalValue { value })
                    .collect(),
                last_step: trial.last_step,
            })
            .collect();
        let next_page_token = page.next(trials.len());
        Ok(v1::ListHistoryResponse {
            trials,
            next_page_token,
        })
    }
}

/// Trials of other studies from the wire, as a study with `spec` knows them.
///
/// # Errors
/// What is wrong with the first of them that cannot be one.
pub(super) fn prior_trials(trials: &[v1::PriorTrial], spec: &StudySpec) -> Result<Vec<PriorTrial>, ApiError> {
    let names: Vec<&str> = spec.strategy.history.iter().map(StudyName::as_str).collect();
    let numbers = spec.more_objectives.len() + spec.measured_constraints.len();
    let prior = |(index, trial): (usize, &v1::PriorTrial)| {
        let field = |name: &str| format!("history[{index}].{name}");
        let source = names
            .iter()
            .position(|name| *name == trial.study)
            .ok_or_else(|| {
                let message = format!(
                    "{:?} is not in spec.strategy.history; add it there",
                    super::trials::cut(&trial.study, 80)
                );
                ApiError::invalid(field("study"), message)
            })?;
        let end = view::end(trial.state())
            .filter(|end| *end != End::Cancelled)
            .ok_or_else(|| {
                let message =
                    "must be COMPLETED, EARLY_STOPPED, TIMED_OUT or FAILED: the others teach nothing";
                ApiError::invalid(field("state"), message)
            })?;
        if trial.more_values.len() != numbers {
            let message = format!(
                "has {} entries, but the study has {numbers} further objectives and measured constraints",
                trial.more_values.len()
            );
            return Err(ApiError::invalid(field("more_values"), message));
        }
        let parameters = trial.parameters.clone().unwrap_or_default();
        let params = params_from_wire(&parameters, &field("parameters"))?;
        let params = spec.space.normalize(params).map_err(|errors| {
            refused_all(
                &field("parameters"),
                errors.into_iter().map(|error| error.to_string()),
            )
        })?;
        Ok(PriorTrial {
            source: u32::try_from(source).unwrap_or(u32::MAX),
            number: TrialNumber(trial.number),
            end,
            params,
            value: trial.value,
            more_values: trial.more_values.iter().map(|value| value.value).collect(),
            last_step: trial.last_step,
        })
    };
    if trials.len() > MOST_TRIALS {
        let message = format!("has {} trials, at most {MOST_TRIALS} are taken", trials.len());
        return Err(ApiError::invalid("history", message));
    }
    trials.iter().enumerate().map(prior).collect()
}

fn relative(row: &StudyRow) -> Relative {
    Relative {
        id: Some(row.id),
        name: row.name.clone(),
    }
}

fn refused(path: String, message: String) -> ApiError {
    refused_all(&path, [message])
}

fn refused_all(path: &str, messages: impl IntoIterator<Item = String>) -> ApiError {
    let error = |message| FieldError {
        path: path.to_owned(),
        message,
    };
    ApiError::Spec(SpecErrors(messages.into_iter().map(error).collect()))
}
