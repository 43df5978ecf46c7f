//! The document that `study export` writes and `study import` reads: the study and each trial with its curves, all in the API's
//! own JSON form.
//!
//! Who wrote it and when is told by its head; readers refuse a format that they do not know.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tunesmith_common::Timestamp;
use tunesmith_common::measurement::MAX_POINTS_PER_BATCH;
use tunesmith_proto::v1 as pb;

use crate::error::CliError;
use crate::output::human;
use crate::view::parts;

/// Name and version of the format.
const FORMAT: &str = "tunesmith.study.v1";

/// An exported study.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Document {
    format: String,
    /// When it was written, RFC 3339.
    exported_at: Timestamp,
    study: pb::Study,
    /// Trials of other studies that it knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    history: Vec<pb::PriorTrial>,
    /// In the order of their numbers.
    pub(super) trials: Vec<ExportedTrial>,
}

/// A trial with its curves.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ExportedTrial {
    pub(super) trial: pb::Trial,
    pub(super) curves: Vec<pb::Curve>,
}

/// What an import adds to the new study.
#[derive(Debug)]
pub(super) struct Additions {
    /// One for each trial that can be added; `parent` is still empty.
    pub(super) requests: Vec<pb::AddTrialRequest>,
    /// Trials of other studies that the study knows.
    pub(super) history: Vec<pb::PriorTrial>,
    /// What is not as it was.
    pub(super) notes: Vec<String>,
}

impl Document {
    pub(super) fn new(
        study: pb::Study,
        history: Vec<pb::PriorTrial>,
        trials: Vec<ExportedTrial>,
        now: Timestamp,
    ) -> Self {
        Self {
            format: FORMAT.to_owned(),
            exported_at: now,
            study,
            history,
            trials,
        }
    }

    /// Reads a document.
    pub(super) fn parse(text: &[u8], file: &Path) -> Result<Self, CliError> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
        }
        let refused = |why: String| {
            CliError::usage(
                format!("{} is no exported study: {why}", file.display()),
                "a file to import is written by `tunesmith study export NAME`; a study file is submitted with `tunesmith run`",
            )
        };
        // The head first: a newer document has fields that this program does not know, and should be refused by its name.
        let head: Head = serde_json::from_slice(text).map_err(|error| refused(error.to_string()))?;
        if head.format != FORMAT {
            return Err(refused(format!(
                "its format is {:?}, this program reads {FORMAT:?}",
                human::shorten(&head.format, 40)
            )));
        }
        serde_json::from_slice(text).map_err(|error| refused(error.to_string()))
    }

    /// The calls that make the study anew.
    pub(super) fn into_requests(
        self,
        name: Option<&str>,
        file: &Path,
    ) -> Result<(pb::StudySpec, Additions), CliError> {
        let Some(mut spec) = self.study.spec else {
            return Err(CliError::usage(
                format!("{} has no study.spec", file.display()),
                "export the study again",
            ));
        };
        if let Some(name) = name {
            name.clone_into(&mut spec.name);
        }
        let objective = parts::metric(Some(&spec));
        let mut additions = Additions {
            requests: vec![],
            history: self.history,
            notes: vec![],
        };
        let (mut left_out, mut thinned) = (0_u64, 0_u64);
        for ExportedTrial { trial, curves } in self.trials {
            let state = match trial.state() {
                // Time that was up is no state a result can have; what it reported counts all the same.
                pb::TrialState::Completed | pb::TrialState::TimedOut => pb::TrialState::Completed,
                pb::TrialState::EarlyStopped => pb::TrialState::EarlyStopped,
                pb::TrialState::Failed => pb::TrialState::Failed,
                pb::TrialState::Unspecified
                | pb::TrialState::Pending
                | pb::TrialState::Leased
                | pb::TrialState::Running
                | pb::TrialState::Stopping
                | pb::TrialState::Paused
                | pb::TrialState::Cancelled => {
                    left_out += 1;
                    continue;
                }
            };
            let (points, whole) = points(&curves, &objective);
            thinned += u64::from(!whole);
            let mut values = told(&trial, &objective, state);
            let value = values.remove(&objective);
            additions.requests.push(pb::AddTrialRequest {
                parent: String::new(),
                parameters: trial.parameters,
                note: trial.note,
                tags: trial.tags,
                result: Some(pb::Result {
                    value,
                    state: state.into(),
                    points,
                    values,
                }),
                request_id: uuid::Uuid::new_v4().to_string(),
            });
        }
        if left_out > 0 {
            additions.notes.push(format!(
                "{} without a result (cancelled, running or waiting) left out; numbers of later trials change",
                human::plural(left_out, "trial")
            ));
        }
        if thinned > 0 {
            additions.notes.push(format!(
                "curves of {} with more than {} points are imported with every n-th point",
                human::plural(thinned, "trial"),
                human::count(u64::try_from(MAX_POINTS_PER_BATCH).unwrap_or(u64::MAX))
            ));
        }
        Ok((spec, additions))
    }
}

/// The values of a trial by metric, as far as a metric has one. Of one of which the study takes several, such as the last and the best, the
/// curve has to tell them.
fn told(trial: &pb::Trial, objective: &str, state: pb::TrialState) -> HashMap<String, f64> {
    let mut values: HashMap<&str, Vec<f64>> = HashMap::new();
    if state != pb::TrialState::Failed {
        if let Some(value) = trial.value {
            values.entry(objective).or_default().push(value);
        }
        for (metric, value) in &trial.values {
            values.entry(metric).or_default().push(*value);
        }
    }
    for constraint in &trial.constraints {
        if let Some(value) = constraint.value {
            values.entry(&constraint.metric).or_default().push(value);
        }
    }
    let one = |values: &[f64]| {
        let first = values.first()?;
        let same = values.iter().all(|value| value.to_bits() == first.to_bits());
        same.then_some(*first)
    };
    values
        .into_iter()
        .filter_map(|(metric, values)| Some((metric.to_owned(), one(&values)?)))
        .collect()
}

/// Curves as points, and whether all are there: where they are too many for one call, only every n-th of each curve and its last
/// is.
fn points(curves: &[pb::Curve], objective: &str) -> (Option<pb::Points>, bool) {
    let mut curves: Vec<&pb::Curve> = curves.iter().filter(|curve| !curve.step.is_empty()).collect();
    if curves.is_empty() {
        return (None, true);
    }
    curves.sort_by_key(|curve| (curve.metric != objective, curve.metric.as_str()));
    let lengths: Vec<usize> = curves
        .iter()
        .map(|curve| curve.step.len().min(curve.value.len()))
        .collect();
    let total: usize = lengths.iter().sum();
    // The last point of each curve comes on top of every n-th.
    let room = MAX_POINTS_PER_BATCH.saturating_sub(curves.len()).max(1);
    let every = total.div_ceil(room).max(1);
    let whole = total <= MAX_POINTS_PER_BATCH;
    let every = if whole { 1 } else { every };
    let mut points = pb::Points {
        metrics: curves.iter().map(|curve| curve.metric.clone()).collect(),
        ..Default::default()
    };
    for ((metric, curve), length) in (0_u32..).zip(&curves).zip(lengths) {
        for index in (0..length).filter(|index| index % every == 0 || index + 1 == length) {
            points.metric.push(metric);
            points.step.push(curve.step[index]);
            points.value.push(curve.value[index]);
        }
    }
    (Some(points), whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::protojson;
    use crate::view::samples;

    fn exported() -> Document {
        let curve = |metric: &str, values: &[f64]| pb::Curve {
            metric: metric.to_owned(),
            step: (1..).take(values.len()).collect(),
            value: values.to_vec(),
        };
        let trials = vec![
            ExportedTrial {
                trial: samples::trial(1, pb::TrialState::Completed, Some(0.5)),
                curves: vec![
                    curve("loss", &[f64::INFINITY, f64::NAN]),
                    curve("val_acc", &[0.25, 0.5]),
                ],
            },
            ExportedTrial {
                trial: samples::trial(2, pb::TrialState::Cancelled, None),
                curves: vec![],
            },
            ExportedTrial {
                trial: samples::trial(3, pb::TrialState::Failed, None),
                curves: vec![],
            },
        ];
        Document::new(samples::running_study(), vec![], trials, samples::NOW)
    }

    #[test]
    fn what_was_exported_is_imported_with_every_number() {
        let text = protojson::to_text(&exported()).unwrap();
        let back = Document::parse(text.as_bytes(), Path::new("x.json")).unwrap();
        // NaN is not equal to itself, its text is.
        assert_eq!(protojson::to_text(&back).unwrap(), text);
        let (spec, additions) = back.into_requests(Some("copy"), Path::new("x.json")).unwrap();
        assert_eq!(
            spec,
            pb::StudySpec {
                name: "copy".to_owned(),
                ..exported().study.spec.unwrap()
            }
        );
        assert_eq!(
            additions.notes,
            [
                "1 trial without a result (cancelled, running or waiting) left out; numbers of later trials change"
            ]
        );
        let [completed, failed] = additions.requests.as_slice() else {
            panic!("{:?}", additions.requests)
        };
        assert_eq!(completed.parameters, exported().trials[0].trial.parameters);
        let result = completed.result.as_ref().unwrap();
        assert_eq!(
            (result.value, result.state()),
            (Some(0.5), pb::TrialState::Completed)
        );
        let points = result.points.as_ref().unwrap();
        assert_eq!(
            (points.metrics.join(","), points.metric.as_slice()),
            ("val_acc,loss".to_owned(), &[0, 0, 1, 1][..])
        );
        assert_eq!(
            (points.step.as_slice(), points.value[..3].to_vec()),
            (&[1, 2, 1, 2][..], vec![0.25, 0.5, f64::INFINITY])
        );
        assert!(points.value[3].is_nan());
        assert_eq!(failed.result.as_ref().unwrap().state(), pb::TrialState::Failed);
    }

    #[test]
    fn all_values_are_imported_but_those_that_only_the_curve_can_tell() {
        let trial = |state| {
            let mut trial = samples::trial_of_two(1, 0.5, 12.5, Some(15.0));
            trial.set_state(state);
            trial
        };
        let import = |trial: pb::Trial| {
            let exported = ExportedTrial {
                trial,
                curves: vec![],
            };
            let document = Document::new(samples::study_of_two(), vec![], vec![exported], samples::NOW);
            let (_, additions) = document.into_requests(None, Path::new("x.json")).unwrap();
            additions.requests[0].result.clone().unwrap()
        };
        let all = import(trial(pb::TrialState::Completed));
        assert_eq!(all.value, Some(0.5));
        let values = HashMap::from([("latency_ms".to_owned(), 12.5), ("mem_gb".to_owned(), 15.0)]);
        assert_eq!(all.values, values);
        let failed = import(trial(pb::TrialState::Failed));
        assert_eq!(
            (failed.value, failed.values.len()),
            (None, 1),
            "what it measured of its memory"
        );
        // The objective has the best accuracy, the constraint the last one.
        let mut two_values = trial(pb::TrialState::Completed);
        "val_acc".clone_into(&mut two_values.constraints[0].metric);
        assert_eq!(import(two_values).value, None);
    }

    #[test]
    fn a_long_curve_is_thinned_to_what_one_call_may_carry_and_keeps_its_end() {
        let length = 3 * MAX_POINTS_PER_BATCH;
        let curve = pb::Curve {
            metric: "val_acc".to_owned(),
            step: (0..).take(length).collect(),
            value: vec![0.5; length],
        };
        let (points, whole) = points(&[curve], "val_acc");
        let points = points.unwrap();
        assert!(
            !whole
                && points.step.len() <= MAX_POINTS_PER_BATCH
                && points.step.len() > MAX_POINTS_PER_BATCH / 2
        );
        assert_eq!(points.step.last().copied(), i64::try_from(length - 1).ok());
    }

    #[test]
    fn other_files_are_refused_by_what_they_are() {
        for (text, message) in [
            ("name: digits", "expected"),
            (
                "{\"format\": \"tunesmith.study.v9\", \"new\": 1}",
                "its format is \"tunesmith.study.v9\"",
            ),
            ("{\"format\": \"tunesmith.study.v1\"}", "missing field"),
        ] {
            let error = Document::parse(text.as_bytes(), Path::new("x.json")).unwrap_err();
            assert_eq!(error.exit_code(), crate::error::EXIT_USAGE);
            assert!(error.to_string().contains(message), "{error}");
        }
    }
}
