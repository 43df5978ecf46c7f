//! The numbers that a trial comes to: one for each objective, and one for each metric that has a bound.

use tunesmith_common::TrialNumber;
use tunesmith_common::measurement::{From as ValueFrom, Goal, MetricName};
use tunesmith_common::study::StudySpec;
use tunesmith_optimizer::FinishedTrial;

use super::curve::Curve;
use super::study::CoreError;
use crate::store::End;

/// The numbers that a trial comes to. May be NaN or infinite; none where nothing was reported.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Values {
    /// The first objective's.
    pub(super) first: Option<f64>,
    /// Those of the further objectives, then those that measured constraints are about.
    pub(super) more: Box<[Option<f64>]>,
}

impl Values {
    fn iter(&self) -> impl Iterator<Item = Option<f64>> {
        std::iter::once(self.first).chain(self.more.iter().copied())
    }
}

/// How a trial's values are taken from its curves. Stays the same as long as the study lives.
#[derive(Clone, Debug)]
pub(super) struct Readings {
    /// The metrics whose curves are kept: those of the objectives in their order, then those of constraints.
    metrics: Box<[MetricName]>,
    /// For each value, the place of its metric among those, and how it is taken from the curve.
    readings: Box<[(usize, ValueFrom, Goal)]>,
    objectives: usize,
}

/// Values that a caller told, by metric as [`Readings::metrics`] has them. They go before the curves.
pub(super) type Told = Box<[Option<f64>]>;

impl Readings {
    pub(super) fn new(spec: &StudySpec) -> Self {
        let metrics = spec.value_metrics();
        let place = |metric: &MetricName| metrics.iter().position(|known| known == metric).unwrap_or(0);
        let objectives = spec
            .objectives()
            .map(|objective| (place(&objective.metric), objective.from, objective.goal));
        let constraints = spec.measured_constraints.iter().map(|constraint| {
            (
                place(&constraint.metric),
                constraint.from,
                constraint.bound.goal(),
            )
        });
        Self {
            readings: objectives.chain(constraints).collect(),
            objectives: 1 + spec.more_objectives.len(),
            metrics: metrics.into(),
        }
    }

    /// The metrics whose curves are kept.
    pub(super) fn metrics(&self) -> &[MetricName] {
        &self.metrics
    }

    /// Curves without points.
    pub(super) fn no_curves(&self) -> Box<[Curve]> {
        self.metrics.iter().map(|_| Curve::default()).collect()
    }

    /// The values of a trial with these curves.
    pub(super) fn values(&self, curves: &[Curve], told: &[Option<f64>]) -> Values {
        let mut values = self.readings.iter().map(|&(place, from, goal)| {
            let told = told.get(place).copied().flatten();
            told.or_else(|| curves.get(place)?.value(from, goal))
        });
        Values {
            first: values.next().flatten(),
            more: values.collect(),
        }
    }

    /// Metrics of objectives that have no value.
    pub(super) fn missing(&self, values: &Values) -> Vec<MetricName> {
        let objectives = self.metrics.iter().take(self.objectives).zip(values.iter());
        objectives
            .filter(|(_, value)| value.is_none())
            .map(|(metric, _)| metric.clone())
            .collect()
    }

    /// Whether values that were told are among those that a trial has ended with.
    pub(super) fn agree(&self, told: &[Option<f64>], ended: &Values) -> bool {
        self.readings
            .iter()
            .zip(ended.iter())
            .all(|(&(place, ..), ended)| {
                told.get(place)
                    .copied()
                    .flatten()
                    .is_none_or(|told| ended.is_some_and(|ended| ended.to_bits() == told.to_bits()))
            })
    }

    /// What a caller told: the first objective's value by itself, and others by metric. `parent` is where in the call they were given.
    ///
    /// # Errors
    /// If a metric is none of the study's, or has two values.
    pub(super) fn told(
        &self,
        parent: &str,
        value: Option<f64>,
        values: &[(MetricName, f64)],
    ) -> Result<Told, CoreError> {
        let invalid = |field: &str, message: String| {
            let field = format!("{parent}{field}");
            Err(CoreError::Invalid { field, message })
        };
        let mut told: Told = self.metrics.iter().map(|_| None).collect();
        if let (Some(value), Some(first)) = (value, told.first_mut()) {
            *first = Some(value);
        }
        for (metric, value) in values {
            let Some(place) = self.metrics.iter().position(|known| known == metric) else {
                let known: Vec<&str> = self.metrics.iter().map(MetricName::as_str).collect();
                let message = format!(
                    "has \"{metric}\", which is no metric of an objective or a constraint of the study; known are {}",
                    known.join(", ")
                );
                return invalid("values", message);
            };
            if told[place].replace(*value).is_some() {
                let message =
                    format!("has \"{metric}\", whose value is given twice; leave out one of the two");
                return invalid("values", message);
            }
        }
        Ok(told)
    }
}

/// What a finished trial told, for calls that repeat its end.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) state: &'static str,
    pub(super) values: Values,
}

/// A trial that has ended.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) number: TrialNumber,
    pub(super) end: End,
    pub(super) values: Values,
    /// Position in the encoded space; NaN for inactive parameters.
    pub(super) encoded: Box<[f64]>,
    pub(super) last_step: Option<i64>,
}

impl Past {
    /// The trial as strategies see it; of another study if its number is 0.
    pub(super) fn finished(self, spec: &StudySpec) -> FinishedTrial {
        let counts = !matches!(self.end, End::Failed | End::Cancelled);
        let mut more = self.values.more.iter().copied().chain(std::iter::repeat(None));
        let others = spec
            .more_objectives
            .iter()
            .zip(more.by_ref())
            .map(|(objective, value)| match value.filter(|_| counts) {
                Some(value) => objective.goal.to_minimize(value),
                None => f64::NAN,
            })
            .collect();
        let violations = spec
            .measured_constraints
            .iter()
            .zip(more)
            .map(|(constraint, value)| value.map_or(f64::NAN, |value| constraint.bound.violation(value)))
            .collect();
        FinishedTrial {
            trial: self.number,
            value: self
                .values
                .first
                .filter(|_| counts)
                .map(|value| spec.objective.goal.to_minimize(value)),
            failed: self.end == End::Failed,
            partial: matches!(self.end, End::EarlyStopped | End::TimedOut),
            last_step: self.last_step,
            encoded: self.encoded,
            others,
            violations,
        }
    }
}

#[cfg(test)]
mod tests {
    use tunesmith_common::study::StudyFile;

    use super::*;

    fn spec() -> StudySpec {
        let text = "objective: [{metric: acc, goal: maximize, from: best}, {metric: ms, goal: minimize}]\nspace: {x: {type: bool}}\n\
                    constraints: [{metric: mem, at_most: 16, from: best}, {metric: acc, at_least: 0.5}]\n";
        StudyFile::parse(text, "two.yaml").unwrap().1
    }

    fn past(end: End, first: Option<f64>, more: [Option<f64>; 3]) -> Past {
        Past {
            number: TrialNumber(1),
            end,
            values: Values {
                first,
                more: more.into(),
            },
            encoded: Box::default(),
            last_step: None,
        }
    }

    #[test]
    fn each_value_is_taken_from_its_curve_as_its_objective_or_bound_says() {
        let readings = Readings::new(&spec());
        let names: Vec<&str> = readings.metrics().iter().map(MetricName::as_str).collect();
        assert_eq!(
            names,
            ["acc", "ms", "mem"],
            "one curve for the metric of an objective and a bound"
        );
        let mut curves = readings.no_curves();
        for (curve, values) in curves.iter_mut().zip([[0.9, 0.4], [7.0, 8.0], [20.0, 30.0]]) {
            curve.report(1, values[0]);
            curve.report(2, values[1]);
        }
        let values = readings.values(&curves, &[]);
        assert_eq!(values.first, Some(0.9));
        // The best memory is the least.
        assert_eq!(values.more[..], [Some(8.0), Some(20.0), Some(0.4)]);
        assert!(readings.missing(&values).is_empty());

        let told = readings.told("", None, &[("ms".parse().unwrap(), 5.0)]).unwrap();
        assert_eq!(readings.values(&curves, &told).more[0], Some(5.0));
        let empty = readings.values(&readings.no_curves(), &told);
        assert_eq!(empty.more[..], [Some(5.0), None, None]);
        assert_eq!(readings.missing(&empty), ["acc".parse::<MetricName>().unwrap()]);
    }

    #[test]
    fn strategies_see_further_objectives_turned_and_violations_in_units_of_the_metric() {
        let seen = past(End::Completed, Some(0.9), [Some(7.0), Some(20.0), Some(0.9)]).finished(&spec());
        assert_eq!(seen.value, Some(-0.9));
        assert_eq!(seen.others[..], [7.0]);
        assert_eq!(seen.violations[..], [4.0, 0.5 - 0.9]);

        let seen = past(End::EarlyStopped, Some(0.9), [None, None, Some(0.25)]).finished(&spec());
        assert!(seen.partial && seen.others[0].is_nan() && seen.violations[0].is_nan());
        assert_eq!(seen.violations[1].to_bits(), 0.25_f64.to_bits());

        let failed = past(End::Failed, Some(0.9), [Some(7.0), Some(20.0), None]).finished(&spec());
        assert!(failed.failed && failed.value.is_none() && failed.others[0].is_nan());
        assert_eq!(
            failed.violations[0].to_bits(),
            4.0_f64.to_bits(),
            "as reported, however it ended"
        );
    }
}
