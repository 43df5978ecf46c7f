//! Trials of other studies that a study knows from the start: which of them it can use, and what its strategy sees of them.

use tunesmith_common::measurement::{From as ValueFrom, Goal, MetricName};
use tunesmith_common::study::{FieldError, SpecErrors, StudySpec};
use tunesmith_common::{Params, TrialNumber};
use tunesmith_optimizer::FinishedTrial;

use super::values::{Past, Values};
use crate::store::{End, EndedTrial, PriorTrial};

/// What a strategy sees of a trial of another study.
pub(super) fn seen(trial: PriorTrial, spec: &StudySpec) -> FinishedTrial {
    let encoded = spec.space.encode(&trial.params);
    let past = Past {
        number: TrialNumber(0),
        end: trial.end,
        values: Values {
            first: trial.value,
            more: trial.more_values,
        },
        encoded: encoded
            .unwrap_or_else(|_| vec![f64::NAN; spec.space.dimensions().len()])
            .into(),
        last_step: trial.last_step,
    };
    past.finished(spec)
}

/// Takes what a study can use of the trials of another one.
#[derive(Debug)]
pub struct Taker<'a> {
    spec: &'a StudySpec,
    /// Place of the other study among those that are known.
    source: u32,
    /// For each objective and measured constraint of the study, the place of the same value among those of the other one.
    values: Vec<Option<usize>>,
    objectives: usize,
}

impl<'a> Taker<'a> {
    /// For `spec`, from a study with `other`, which is the one in place `source` of `strategy.history`.
    ///
    /// # Errors
    /// If the other study has no value of one of the objectives: the same metric, taken from its curve in the same way.
    pub fn new(spec: &'a StudySpec, other: &StudySpec, source: usize) -> Result<Self, SpecErrors> {
        let known: Vec<Number<'_>> = numbers(other).collect();
        let place = |wanted: Number<'_>| known.iter().position(|known| *known == wanted);
        let values: Vec<Option<usize>> = numbers(spec).map(place).collect();
        let objectives = spec.objectives().count();
        let missing = numbers(spec)
            .zip(&values)
            .take(objectives)
            .find(|(_, place)| place.is_none());
        if let Some((wanted, _)) = missing {
            let listed: Vec<String> = known.iter().map(|number| name(*number)).collect();
            let message = format!(
                "study {} has no values of the objective {}, only of {}; leave it out, or change the objective",
                other.name,
                name(wanted),
                listed.join(", ")
            );
            return Err(SpecErrors(vec![FieldError {
                path: format!("strategy.history[{source}]"),
                message,
            }]));
        }
        Ok(Self {
            spec,
            source: u32::try_from(source).unwrap_or(u32::MAX),
            values,
            objectives,
        })
    }

    /// What the study can use of a trial: none if it is no point of its space, says nothing about its objectives, or was cancelled.
    ///
    /// A parameter that the study does not have does not matter; one that the trial does not have must be a constant.
    #[must_use]
    pub fn take(&self, trial: &EndedTrial) -> Option<PriorTrial> {
        if trial.end == End::Cancelled {
            return None;
        }
        let space = &self.spec.space;
        let known: Params = trial
            .params
            .iter()
            .filter(|(name, _)| space.index_of(name.as_str()).is_some())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let params = space.normalize(known).ok()?;
        let of_trial = |place: &Option<usize>| match (*place)?.checked_sub(1) {
            None => trial.value,
            Some(place) => trial.more_values.get(place).copied().flatten(),
        };
        let mut values = self.values.iter().map(of_trial);
        let value = values.next().flatten();
        let more_values: Box<[Option<f64>]> = values.collect();
        let objectives = std::iter::once(&value)
            .chain(more_values.iter())
            .take(self.objectives);
        if trial.end != End::Failed && objectives.into_iter().any(Option::is_none) {
            return None;
        }
        Some(PriorTrial {
            source: self.source,
            number: trial.number,
            end: trial.end,
            params,
            value,
            more_values,
            last_step: trial.last_step,
        })
    }
}

/// A number that a trial comes to: the metric, how it is taken from the curve, and which direction is better, where that decides what is taken.
type Number<'a> = (&'a MetricName, ValueFrom, Option<Goal>);

/// What the numbers of a trial are, in their order: those of objectives, then those that measured constraints are about.
fn numbers(spec: &StudySpec) -> impl Iterator<Item = Number<'_>> {
    let number = |metric, from: ValueFrom, goal| (metric, from, (from == ValueFrom::Best).then_some(goal));
    let objectives = spec
        .objectives()
        .map(move |objective| number(&objective.metric, objective.from, objective.goal));
    let constraints = spec.measured_constraints.iter();
    objectives.chain(
        constraints
            .map(move |constraint| number(&constraint.metric, constraint.from, constraint.bound.goal())),
    )
}

fn name((metric, from, goal): Number<'_>) -> String {
    match from {
        ValueFrom::Last => format!("{metric} (last)"),
        ValueFrom::Best if goal == Some(Goal::Minimize) => format!("{metric} (the smallest)"),
        ValueFrom::Best => format!("{metric} (the largest)"),
        ValueFrom::MeanOfLast(count) => format!("{metric} (mean of last {count})"),
    }
}

#[cfg(test)]
mod tests {
    use tunesmith_common::Timestamp;
    use tunesmith_common::decision::Origin;
    use tunesmith_common::params::ParamValue;
    use tunesmith_common::study::StudyFile;

    use super::*;

    fn spec(text: &str) -> StudySpec {
        StudyFile::parse(text, "study.yaml")
            .unwrap_or_else(|error| panic!("{error}"))
            .1
    }

    fn trial(
        end: End,
        params: &[(&str, ParamValue)],
        value: Option<f64>,
        more: &[Option<f64>],
    ) -> EndedTrial {
        EndedTrial {
            number: TrialNumber(3),
            end,
            params: params
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.clone()))
                .collect(),
            value,
            more_values: more.into(),
            last_step: Some(5),
            stages: None,
            origin: Origin::Strategy,
            cursor: None,
            ended_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_trial_is_taken_with_the_values_of_this_studys_objectives_if_it_is_a_point_of_its_space() {
        let other = spec(
            "name: other\nobjective: [{metric: ms, goal: minimize}, {metric: acc, goal: maximize, from: mean of last 3}]\n\
             constraints: [{metric: mem, at_most: 9}]\nspace: {x: {type: float, low: 0, high: 9}, depth: {type: int, low: 1, high: 9}}\n",
        );
        let own = spec(
            "objective: {metric: acc, goal: minimize, from: mean of last 3}\nconstraints: [\"x < 0.9\", {metric: gpu, at_most: 1}, {metric: mem, at_least: 2}]\n\
             space: {x: {type: float, low: 0, high: 1}, batch: {type: constant, value: 32}}\nstrategy: {history: other}\n",
        );
        let taker = Taker::new(&own, &other, 2).unwrap();
        let values = [Some(0.75), Some(4.0)];
        let take = |end: End, x: f64, more: &[Option<f64>]| {
            let params = [("x", ParamValue::Float(x)), ("depth", ParamValue::Int(4))];
            taker.take(&trial(end, &params, Some(7.0), more))
        };
        let taken = take(End::EarlyStopped, 0.5, &values).unwrap();
        assert_eq!(
            (taken.source, taken.number, taken.end, taken.last_step),
            (2, TrialNumber(3), End::EarlyStopped, Some(5))
        );
        assert_eq!(taken.value, Some(0.75));
        assert_eq!(
            taken.more_values[..],
            [None, Some(4.0)],
            "the metric gpu is not known there"
        );
        let named: Vec<(&str, &ParamValue)> = taken
            .params
            .iter()
            .map(|(name, value)| (name.as_str(), value))
            .collect();
        let (x, batch) = (ParamValue::Float(0.5), ParamValue::Int(32));
        assert_eq!(named, [("x", &x), ("batch", &batch)]);
        let seen = seen(taken, &own);
        assert!(seen.is_of_other() && seen.partial && !seen.failed);
        assert_eq!(seen.value, Some(0.75), "by this study's goal");
        assert!(seen.violations[0].is_nan());
        assert!((seen.violations[1] + 2.0).abs() < 1e-12);
        for (end, x, more, why) in [
            (End::Completed, 1.5, &values[..], "beyond the range"),
            (End::Completed, 0.95, &values[..], "a constraint does not hold"),
            (
                End::Completed,
                0.5,
                &[None, Some(4.0)][..],
                "without the objective",
            ),
            (End::Cancelled, 0.5, &values[..], "cancelled"),
        ] {
            assert_eq!(take(end, x, more), None, "{why}");
        }
        assert!(
            take(End::Failed, 0.5, &[None, None]).is_some(),
            "that it failed is worth knowing"
        );
        // A parameter that the trial does not have, and that may be anything.
        let own = spec(
            "objective: {metric: ms, goal: minimize}\nspace: {x: {type: float, low: 0, high: 1}, width: {type: int, low: 1, high: 2}}\n",
        );
        let taker = Taker::new(&own, &other, 0).unwrap();
        let params = [("x", ParamValue::Float(0.5))];
        assert_eq!(
            taker.take(&trial(End::Completed, &params, Some(7.0), &values)),
            None
        );
    }

    #[test]
    fn a_study_without_values_of_the_objective_is_refused() {
        let other = spec("name: other\nobjective: {metric: acc, goal: maximize}\nspace: {x: {type: bool}}\n");
        let own = spec("objective: {metric: acc, goal: maximize, from: best}\nspace: {x: {type: bool}}\n");
        let error = Taker::new(&own, &other, 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "strategy.history[1]: study other has no values of the objective acc (the largest), only of acc (last); leave it out, or change the objective"
        );
        // The best of a curve is another number where the other direction is better.
        let turned = spec(
            "name: other\nobjective: {metric: acc, goal: minimize, from: best}\nspace: {x: {type: bool}}\n",
        );
        let error = Taker::new(&own, &turned, 0).unwrap_err();
        assert!(
            error.to_string().contains("only of acc (the smallest)"),
            "{error}"
        );
    }
}
