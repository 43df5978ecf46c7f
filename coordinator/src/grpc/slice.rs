//! What a study's model expects along its parameters. Reads what is stored, changes nothing.

use tunesmith_common::space::Space;
use tunesmith_common::study::StudySpec;
use tunesmith_common::{Params, TrialNumber};
use tunesmith_optimizer::Expected;
use tunesmith_proto::convert::value;
use tunesmith_proto::v1;

use super::Api;
use super::status::ApiError;
use super::studies::stored_study;
use crate::decide::{CoreError, Line, Replay, lines};
use crate::store::{StudyRow, TrialRow};

/// Values of each parameter, if the caller does not say, and at most.
const POINTS: u32 = 50;
const MOST_POINTS: u32 = 1_000;
/// Points of all parameters together.
const MOST_IN_ALL: usize = 20_000;

impl Api {
    pub(super) async fn slice(
        &self,
        request: &v1::SliceStudyRequest,
    ) -> Result<v1::SliceStudyResponse, ApiError> {
        let count = match request.points {
            0 => POINTS,
            count @ 2..=MOST_POINTS => count,
            count => {
                let message = format!("must be from 2 to {MOST_POINTS}, or 0 for {POINTS}; got {count}");
                return Err(ApiError::invalid("points", message));
            }
        };
        if request.next && request.trial > 0 {
            return Err(ApiError::invalid(
                "next",
                "is given together with trial; give one",
            ));
        }
        let row = stored_study(self, &request.name, "name").await?;
        let spec = StudySpec::try_from(row.spec.clone())?;
        let through = match request.next {
            true => None,
            false => Some(Params::clone(&self.sliced_at(&row, request.trial).await?.params)),
        };
        // One at a time: it takes a whole processor.
        let turn = self.replaying.clone().lock_owned().await;
        let history = self.history(&row).await?;
        let wanted = Wanted {
            through,
            at: (request.trial > 0).then_some(TrialNumber(request.trial)),
            parameters: request.parameters.clone(),
            count: usize::try_from(count).unwrap_or(usize::MAX),
        };
        let space = spec.space.clone();
        let computed = self.tasks.spawn_blocking(move || {
            let sliced = compute(history.replay(), &space, wanted);
            drop(turn);
            sliced
        });
        let Sliced {
            through,
            chosen,
            lines,
            strategy,
            results,
            expected,
        } = computed
            .await
            .map_err(|error| ApiError::Internal(format!("the model could not be made: {error}")))??;
        let mut slices = Vec::with_capacity(lines.len());
        let mut from = 0;
        for line in lines {
            let range = from..from + line.values.len();
            from = range.end;
            let objectives = spec.objectives().zip(&expected.objectives);
            let objectives = objectives.map(|(objective, points)| {
                // Turned back; what was better by one deviation is the smaller number only if small is good.
                let turned = |k: usize| {
                    points[range.clone()]
                        .iter()
                        .map(|point| objective.goal.to_minimize(point[k]))
                        .collect()
                };
                let (mean, mut low, mut high): (Vec<f64>, Vec<f64>, Vec<f64>) =
                    (turned(0), turned(1), turned(2));
                if low.first() > high.first() {
                    std::mem::swap(&mut low, &mut high);
                }
                v1::Expectation {
                    metric: objective.metric.to_string(),
                    mean,
                    low,
                    high,
                }
            });
            slices.push(v1::Slice {
                objectives: objectives.collect(),
                acquisition: expected.promise[range.clone()].to_vec(),
                values: line.values.iter().map(value::to_wire).collect(),
                parameter: line.parameter,
            });
        }
        Ok(v1::SliceStudyResponse {
            strategy: strategy.to_owned(),
            results,
            parameters: Some(value::params_to_wire(&through)),
            chosen: Some(value::params_to_wire(&chosen)),
            acquisition: expected.acquisition.to_owned(),
            slices,
        })
    }

    /// The trial that the slices go through: the one asked for, or the best.
    async fn sliced_at(&self, row: &StudyRow, trial: u64) -> Result<TrialRow, ApiError> {
        let number = if trial > 0 {
            TrialNumber(trial)
        } else {
            let engine = self.engine(&row.name).await?;
            let summary = self.summary(&engine).await?;
            let best = summary.best.map(|(number, _)| number);
            best.or(summary.pareto_set.first().copied()).ok_or_else(|| {
                let message = format!(
                    "study {} has no best trial yet, through which the slices would go; name a trial",
                    row.name
                );
                ApiError::Precondition {
                    reason: "NO_RESULT",
                    message,
                }
            })?
        };
        let found = self.store().trial_fetch(row.id, number).await?;
        Ok(found.ok_or(CoreError::TrialNotFound(number))?)
    }
}

/// What is wanted.
struct Wanted {
    /// The point that the slices go through; the one proposed next if none.
    through: Option<Params>,
    /// The trial at whose proposal the model is looked at; now if none.
    at: Option<TrialNumber>,
    parameters: Vec<String>,
    /// Values of each parameter.
    count: usize,
}

/// What was computed.
struct Sliced {
    through: Params,
    /// The point that the strategy chose.
    chosen: Params,
    lines: Vec<Line>,
    strategy: &'static str,
    /// How many the model has seen.
    results: u64,
    expected: Expected,
}

fn compute(mut replay: Replay, space: &Space, wanted: Wanted) -> Result<Sliced, ApiError> {
    let no_model = |message| ApiError::Precondition {
        reason: "NO_MODEL",
        message,
    };
    let (through, chosen) = match (wanted.through, wanted.at) {
        (Some(through), Some(_)) => (through.clone(), through),
        (through, _) => {
            let next = replay.next_proposal().map_err(no_model)?;
            (through.unwrap_or_else(|| next.clone()), next)
        }
    };
    let count = wanted.count;
    let lines = lines(space, &through, &wanted.parameters, count)
        .map_err(|(index, message)| ApiError::invalid(format!("parameters[{index}]"), message))?;
    let points: Vec<Vec<f64>> = lines
        .iter()
        .flat_map(|line| line.points.iter().cloned())
        .collect();
    if points.len() > MOST_IN_ALL {
        let message = format!(
            "{} parameters with up to {count} values each are {} points, at most {MOST_IN_ALL} are computed; name some parameters",
            lines.len(),
            points.len()
        );
        return Err(ApiError::invalid("points", message));
    }
    let (strategy, results, expected) = replay.expect(wanted.at, &points).map_err(no_model)?;
    Ok(Sliced {
        through,
        chosen,
        lines,
        strategy,
        results,
        expected,
    })
}
