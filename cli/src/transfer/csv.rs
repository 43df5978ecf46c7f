//! Trials as comma-separated values (RFC 4180): one row per trial, a column for each parameter and metric.

use std::collections::BTreeSet;

use tunesmith_common::Timestamp;
use tunesmith_proto::v1 as pb;

use crate::output::human;
use crate::view::parts;

/// All trials as one document. Every digit of a number is kept.
pub(super) fn render(spec: Option<&pb::StudySpec>, trials: &[pb::Trial]) -> String {
    let mut parameters: Vec<&str> = parts::parameter_names(spec);
    let unknown: BTreeSet<&str> = trials
        .iter()
        .filter_map(|trial| trial.parameters.as_ref())
        .flat_map(|values| values.fields.keys().map(String::as_str))
        .filter(|name| !parameters.contains(name))
        .collect();
    parameters.extend(unknown);
    let metrics: BTreeSet<&str> = trials
        .iter()
        .flat_map(|trial| trial.metrics.keys().map(String::as_str))
        .collect();

    let mut header: Vec<String> = ["trial", "state", "value"].map(str::to_owned).to_vec();
    let objectives: Vec<&str> = parts::objectives(spec)
        .filter(|_| parts::has_several_objectives(spec))
        .map(|objective| objective.metric.as_str())
        .collect();
    header.extend(objectives.iter().map(|metric| format!("value.{metric}")));
    let bounds = parts::bounds(spec);
    header.extend(
        bounds
            .iter()
            .map(|bound| format!("constraint.{}", parts::bound(bound))),
    );
    if !bounds.is_empty() {
        header.push("feasible".to_owned());
    }
    header.extend(parameters.iter().map(|name| format!("param.{name}")));
    header.extend(metrics.iter().map(|name| format!("metric.{name}")));
    header.extend(
        [
            "last_step",
            "created_at",
            "started_at",
            "ended_at",
            "seconds",
            "seed",
            "reason",
            "note",
            "tags",
        ]
        .map(str::to_owned),
    );
    let mut output = line(&header);
    for trial in trials {
        let mut row = vec![
            trial.number.to_string(),
            parts::trial_state(trial.state()).0.to_owned(),
            trial.value.map(human::exact_number).unwrap_or_default(),
        ];
        let exact = |value: Option<f64>| value.map(human::exact_number).unwrap_or_default();
        row.extend(
            objectives
                .iter()
                .map(|metric| exact(trial.values.get(*metric).copied())),
        );
        let bounded = |place: usize| {
            trial
                .constraints
                .get(place)
                .and_then(|constraint| constraint.value)
        };
        row.extend((0..bounds.len()).map(|place| exact(bounded(place))));
        if !bounds.is_empty() {
            row.push(
                trial
                    .feasible
                    .map(|feasible| feasible.to_string())
                    .unwrap_or_default(),
            );
        }
        row.extend(parameters.iter().map(|name| {
            let value = trial
                .parameters
                .as_ref()
                .and_then(|values| values.fields.get(*name));
            value.map(parts::value_exact).unwrap_or_default()
        }));
        row.extend(metrics.iter().map(|name| {
            trial
                .metrics
                .get(*name)
                .copied()
                .map(human::exact_number)
                .unwrap_or_default()
        }));
        let (started, ended) = (
            parts::at(trial.started_at.as_ref()),
            parts::at(trial.ended_at.as_ref()),
        );
        let seconds = started
            .zip(ended)
            .map(|(start, end)| end.saturating_since(start).as_secs_f64());
        let text = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
        row.extend([
            trial.last_step.map(|step| step.to_string()).unwrap_or_default(),
            text(parts::at(trial.created_at.as_ref())),
            text(started),
            text(ended),
            seconds.map(human::exact_number).unwrap_or_default(),
            trial.seed.to_string(),
            trial.state_reason.clone(),
            trial.note.clone(),
            trial.tags.join(","),
        ]);
        output.push_str(&line(&row));
    }
    output
}

fn line(fields: &[String]) -> String {
    let quoted = fields.iter().map(|field| {
        if field.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", field.replace('"', "\"\""))
        } else {
            field.clone()
        }
    });
    format!("{}\r\n", quoted.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    #[test]
    fn every_trial_is_a_row_and_text_is_quoted_where_it_must_be() {
        let trials = [
            samples::trial(1, pb::TrialState::Completed, Some(0.986_123_456_789)),
            pb::Trial {
                state_reason: "exited with status 1, \"oops\"\nsecond line".to_owned(),
                ..samples::trial(2, pb::TrialState::Failed, None)
            },
        ];
        let study = samples::running_study();
        insta::assert_snapshot!(render(study.spec.as_ref(), &trials).replace("\r\n", "|\n"));
    }

    #[test]
    fn values_of_several_objectives_and_constraints_have_columns() {
        let trials = [
            samples::trial_of_two(1, 0.5, 12.5, Some(15.0)),
            samples::trial_of_two(2, 0.5, 12.5, None),
        ];
        let text = render(samples::study_of_two().spec.as_ref(), &trials);
        let rows: Vec<&str> = text.lines().collect();
        assert!(
            rows[0].starts_with(
                "trial,state,value,value.val_acc,value.latency_ms,constraint.mem_gb <= 16,feasible,param.lr,"
            ),
            "{text}"
        );
        assert!(rows[1].starts_with("1,completed,0.5,0.5,12.5,15,true,"), "{text}");
        assert!(rows[2].starts_with("2,completed,0.5,0.5,12.5,,false,"), "{text}");
    }
}
