//! Declaring a study in a part of another one's space. Reads what is stored, changes nothing.

use std::collections::HashSet;

use pbjson_types::Value;
use tunesmith_common::space::Narrowing;
use tunesmith_common::study::StudySpec;
use tunesmith_common::{StudyName, TrialNumber};
use tunesmith_proto::convert::{study as study_convert, value};
use tunesmith_proto::v1;

use super::Api;
use super::status::ApiError;
use super::studies::{order_of, stored_study};
use crate::decide::{CoreError, Taker};
use crate::store::{End, StoreError, StudyRow, TrialQuery, TrialRow};

/// How much wider than the trials the space is on each side, if the caller does not say.
const MARGIN: f64 = 0.1;
/// Around one of so many trials, and at least around so many, if the caller does not say.
const ONE_OF: u64 = 10;
const LEAST_TRIALS: u64 = 5;
/// Trials that may be asked for.
const MOST_TRIALS: u32 = 1_000;
/// Trials read at a time.
const PAGE: u32 = 1_000;

impl Api {
    pub(super) async fn zoom(&self, request: &v1::PlanZoomRequest) -> Result<v1::PlanZoomResponse, ApiError> {
        let row = stored_study(self, &request.name, "name").await?;
        let spec = StudySpec::try_from(row.spec.clone())?;
        let margin = request.margin.unwrap_or(MARGIN);
        if !(0.0..=1.0).contains(&margin) {
            let message =
                format!("must be from 0 to 1, got {margin}; 0.1 adds a tenth of each range on both sides");
            return Err(ApiError::invalid("margin", message));
        }
        let mut narrowings = Vec::with_capacity(request.ranges.len());
        for (index, range) in request.ranges.iter().enumerate() {
            let narrowing = narrowing(range, &format!("ranges[{index}]"))?;
            narrowings.push((range.parameter.clone(), narrowing));
        }
        let trials = self.zoomed_around(request, &row, &spec).await?;
        let encoded: Vec<Vec<f64>> = trials
            .iter()
            .filter_map(|trial| spec.space.encode(&trial.params).ok())
            .collect();
        let points: Vec<&[f64]> = encoded.iter().map(Vec::as_slice).collect();
        let given: HashSet<String> = narrowings.iter().map(|(name, _)| name.clone()).collect();
        let around = spec
            .space
            .parameters()
            .iter()
            .zip(spec.space.around(&points, margin));
        narrowings.extend(around.filter_map(|(parameter, narrowing)| {
            let name = parameter.name.to_string();
            (!given.contains(&name)).then_some((name, narrowing?))
        }));
        let name = self.free_name(&request.study, &row.name).await?;
        let mut zoomed = spec.zoom(&name, &narrowings)?;
        let mut gone = Vec::new();
        for (place, other) in zoomed.study.strategy.history.iter().enumerate().skip(1) {
            let found = match other.parse::<StudyName>() {
                Ok(other) => self.store().study_find(&other).await?,
                Err(_) => None,
            };
            if found.is_none() {
                zoomed.notes.push(format!(
                    "{other}, whose trials {} knows, is no longer there",
                    row.name
                ));
                gone.push(place);
            }
        }
        for place in gone.into_iter().rev() {
            zoomed.study.strategy.history.remove(place);
        }
        let child = StudySpec::from_raw(zoomed.study.clone(), 0)?;
        let (taken, left_out) = self.take(&row, &Taker::new(&child, &spec, 0)?).await?;
        Ok(v1::PlanZoomResponse {
            spec: Some(study_convert::to_wire(&zoomed.study)),
            notes: zoomed.notes,
            trials: trials.iter().map(|trial| trial.number.0).collect(),
            taken: taken.len() as u64,
            left_out,
        })
    }

    /// The trials around which the new study lies.
    async fn zoomed_around(
        &self,
        request: &v1::PlanZoomRequest,
        row: &StudyRow,
        spec: &StudySpec,
    ) -> Result<Vec<TrialRow>, ApiError> {
        if request.around_trial > 0 {
            if request.best > 0 {
                let message = "is given together with around_trial; leave one of them out";
                return Err(ApiError::invalid("best", message));
            }
            let number = TrialNumber(request.around_trial);
            let found = self.store().trial_fetch(row.id, number).await?;
            return Ok(vec![found.ok_or(CoreError::TrialNotFound(number))?]);
        }
        if request.best == 0 && !request.ranges.is_empty() {
            return Ok(Vec::new());
        }
        let none = || {
            let message = format!(
                "study {} has no finished trial with a value that keeps all constraints, around which to zoom; give ranges or around_trial",
                row.name
            );
            ApiError::Precondition {
                reason: "NO_RESULT",
                message,
            }
        };
        if !spec.more_objectives.is_empty() {
            if request.best > 0 {
                let message = format!(
                    "is {}, but a study of several objectives is zoomed around its Pareto set; leave it out",
                    request.best
                );
                return Err(ApiError::invalid("best", message));
            }
            let engine = self.engine(&row.name).await?;
            let summary = self.summary(&engine).await?;
            let mut trials = Vec::with_capacity(summary.pareto_set.len());
            for &number in summary.pareto_set.iter() {
                let found = self.store().trial_fetch(row.id, number).await?;
                trials.push(found.ok_or(CoreError::TrialNotFound(number))?);
            }
            return if trials.is_empty() {
                Err(none())
            } else {
                Ok(trials)
            };
        }
        if request.best > MOST_TRIALS {
            let message = format!("must be at most {MOST_TRIALS}, got {}", request.best);
            return Err(ApiError::invalid("best", message));
        }
        let trials = self.best_trials(row, spec, u64::from(request.best)).await?;
        if trials.is_empty() {
            Err(none())
        } else {
            Ok(trials)
        }
    }

    /// So many of the best trials that keep all measured constraints; if 0, a tenth of those that have a value.
    async fn best_trials(
        &self,
        row: &StudyRow,
        spec: &StudySpec,
        wanted: u64,
    ) -> Result<Vec<TrialRow>, ApiError> {
        let states = [End::Completed, End::EarlyStopped, End::TimedOut].map(End::name);
        let wanted = if wanted > 0 {
            wanted
        } else {
            let counts = self.store().trial_counts(row.id).await?;
            let ended = counts
                .iter()
                .filter(|(state, _)| states.contains(&state.as_str()));
            let ended: u64 = ended.map(|(_, count)| *count).sum();
            ended.div_ceil(ONE_OF).clamp(LEAST_TRIALS, u64::from(MOST_TRIALS))
        };
        let keeps = |trial: &TrialRow| {
            spec.measured_constraints
                .iter()
                .enumerate()
                .all(|(k, constraint)| {
                    let value = trial.more_values.get(k).copied().flatten();
                    value.is_some_and(|value| constraint.bound.violation(value) <= 0.0)
                })
        };
        let mut best = Vec::new();
        for page in 0.. {
            let query = TrialQuery {
                states: states.to_vec(),
                order: order_of(&row.spec),
                offset: page * u64::from(PAGE),
                limit: PAGE,
            };
            let rows = self.store().trial_list(row.id, &query).await?;
            let is_last = rows.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
            for trial in rows {
                if !trial.value.is_some_and(f64::is_finite) || best.len() as u64 >= wanted {
                    return Ok(best);
                }
                if keeps(&trial) {
                    best.push(trial);
                }
            }
            if is_last {
                break;
            }
        }
        Ok(best)
    }

    /// The name asked for, if it is free, or one that is.
    async fn free_name(&self, asked: &str, parent: &StudyName) -> Result<StudyName, ApiError> {
        /// Names tried.
        const MOST: u32 = 1_000;
        let parse = |text: &str| {
            text.parse::<StudyName>()
                .map_err(|error| ApiError::invalid("study", error))
        };
        if !asked.is_empty() {
            let name = parse(asked)?;
            if self.store().study_find(&name).await?.is_some() {
                return Err(StoreError::AlreadyExists(format!("study {name}")).into());
            }
            return Ok(name);
        }
        let room = StudyName::MAX_LENGTH - "-zoom-1000".len();
        let stem = parent.as_str().get(..room).unwrap_or(parent.as_str());
        for number in 1..=MOST {
            let name = match number {
                1 => parse(&format!("{stem}-zoom"))?,
                number => parse(&format!("{stem}-zoom-{number}"))?,
            };
            if self.store().study_find(&name).await?.is_none() {
                return Ok(name);
            }
        }
        let message = format!("must be given: {stem}-zoom and {MOST} names like it are taken");
        Err(ApiError::invalid("study", message))
    }
}

fn narrowing(range: &v1::ZoomRange, field: &str) -> Result<Narrowing, ApiError> {
    let bound = |bound: &Option<Value>, name: &str| {
        let bound = bound
            .as_ref()
            .map(|bound| value::from_wire(bound, &format!("{field}.{name}")));
        bound.transpose()
    };
    let (low, high) = (bound(&range.low, "low")?, bound(&range.high, "high")?);
    let choices = range.choices.iter().enumerate();
    let choices = choices
        .map(|(index, choice)| value::from_wire(choice, &format!("{field}.choices[{index}]")))
        .collect::<Result<Vec<_>, _>>()?;
    match (choices.is_empty(), low.is_none() && high.is_none()) {
        (false, true) => Ok(Narrowing::Choices(choices)),
        (true, false) => Ok(Narrowing::Range { low, high }),
        (true, true) => Err(ApiError::invalid(field, "is empty; give low, high or choices")),
        (false, false) => Err(ApiError::invalid(
            field,
            "has both bounds and choices; leave out one of them",
        )),
    }
}
