//! `tunesmith study check` and `tunesmith check-log`: what a file means, without a coordinator.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;

use serde::Serialize;
use tunesmith_common::measurement::MetricName;
use tunesmith_common::metrics::{Reader, Vocabulary};
use tunesmith_common::study::{Bound, MetricSource, StudySpec};

use crate::args::CheckLogArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::output::table::{self, number, text};
use crate::output::{Style, human};
use crate::study_file;
use crate::view::parts::Facts;

/// A longer line is cut there: what a training prints may have no line end at all.
const LINE_LIMIT: u64 = 1024 * 1024;
/// Points and notes that are shown one by one.
const SHOWN: usize = 20;

/// Checks a study file and tells what it would do.
pub(super) fn check_study(file: &Path, set: &[String], context: &Context) -> Result<(), CliError> {
    let loaded = study_file::load(file, set, None)?;
    for warning in &loaded.warnings {
        context.screen.warning(warning);
    }
    context.screen.result(&loaded.spec, || {
        study_summary(&loaded.checked, context.screen.style())
    })
}

fn study_summary(spec: &StudySpec, style: Style) -> String {
    let mut facts = Facts::default();
    facts.add("Study", style.bold(spec.name.as_str()));
    let objectives: Vec<String> = spec
        .objectives()
        .map(|objective| format!("{} {}", serde_word(&objective.goal), objective.metric))
        .collect();
    facts.add(
        if objectives.len() == 1 {
            "Objective"
        } else {
            "Objectives"
        },
        objectives.join("\n"),
    );
    let bounds = spec
        .measured_constraints
        .iter()
        .map(|constraint| match constraint.bound {
            Bound::AtMost(bound) => format!("{} <= {}", constraint.metric, human::exact_number(bound)),
            Bound::AtLeast(bound) => format!("{} >= {}", constraint.metric, human::exact_number(bound)),
        });
    facts.add("Constraints", bounds.collect::<Vec<_>>().join("\n"));
    let parameters: Vec<String> = spec
        .space
        .parameters()
        .iter()
        .map(|parameter| parameter.name.to_string())
        .collect();
    facts.add(
        "Parameters",
        format!(
            "{}: {}",
            parameters.len(),
            human::shorten(&parameters.join(", "), 100)
        ),
    );
    for (name, fact) in spec.outlook() {
        facts.add(name, fact);
    }
    format!("{}\nThe study file is fine.\n", facts.render(style))
}

/// The word that stands for a value in a study file.
fn serde_word<T: Serialize>(value: &T) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// What would be read from a log.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct LogReport {
    lines: u64,
    points: Vec<LogPoint>,
    notes: Vec<LogNote>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LogPoint {
    line: u64,
    metric: String,
    step: i64,
    value: f64,
    /// Whether the line named no step, so that values were counted.
    counted: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LogNote {
    line: u64,
    text: String,
}

/// Reads a log as the worker would.
pub(super) fn check_log(args: &CheckLogArgs, context: &Context) -> Result<(), CliError> {
    let spec = study_file::load(&args.study, &[], None)?.checked;
    let source = spec
        .trial
        .as_ref()
        .map_or(&MetricSource::StdoutJson, |trial| &trial.metrics);
    let vocabulary = Vocabulary {
        metrics: named_metrics(&spec),
        step_name: spec.trial.as_ref().map(|trial| trial.steps.name.clone()),
    };
    let reader = Reader::new(source, vocabulary).map_err(|error| CliError::Usage {
        headline: format!("{}: {error}", args.study.display()),
        hints: vec![],
    })?;
    let is_metrics_file = matches!(source, MetricSource::File(_));
    let failed = |error: &std::io::Error| CliError::file("read the log", &args.file, error);
    let report = if args.file.as_os_str() == "-" {
        read_log(std::io::stdin().lock(), reader, is_metrics_file)
    } else {
        let file = File::open(&args.file).map_err(|error| failed(&error))?;
        read_log(BufReader::new(file), reader, is_metrics_file)
    };
    let report = report.map_err(|error| failed(&error))?;
    let objectives: Vec<&MetricName> = spec.objectives().map(|objective| &objective.metric).collect();
    context.screen.result(&report, || {
        log_summary(&report, &objectives, source, context.screen.style())
    })?;
    let has = |objective: &MetricName| {
        report
            .points
            .iter()
            .any(|point| point.metric == objective.as_str())
    };
    let Some(objective) = objectives.iter().find(|objective| !has(objective)) else {
        return Ok(());
    };
    Err(CliError::Usage {
        headline: format!("no value of the objective's metric, {objective}, was found: such a trial fails"),
        hints: vec![format!(
            "print lines like {{\"metric\": \"{objective}\", \"value\": 0.97, \"step\": 3}}, or see trial.metrics of the study file"
        )],
    })
}

/// Metrics that the study names, each once.
fn named_metrics(spec: &StudySpec) -> Vec<MetricName> {
    let mut metrics = spec.value_metrics();
    for stopper in &spec.early_stopping {
        if let Some(metric) = stopper.rule.metric().filter(|metric| !metrics.contains(metric)) {
            metrics.push(metric.clone());
        }
    }
    metrics
}

fn read_log(
    mut source: impl BufRead,
    mut reader: Reader,
    is_metrics_file: bool,
) -> std::io::Result<LogReport> {
    let mut report = LogReport::default();
    let mut line = vec![];
    loop {
        line.clear();
        if source.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut line)? == 0 {
            return Ok(report);
        }
        report.lines += 1;
        let read = if is_metrics_file {
            reader.file_line(&line)
        } else {
            reader.stdout_line(&line)
        };
        report
            .points
            .extend(read.points.into_iter().map(|point| LogPoint {
                line: report.lines,
                metric: point.metric.to_string(),
                step: point.step,
                value: point.value,
                counted: point.counted,
            }));
        report.notes.extend(read.notes.into_iter().map(|note| LogNote {
            line: report.lines,
            text: note.to_string(),
        }));
    }
}

fn log_summary(
    report: &LogReport,
    objectives: &[&MetricName],
    source: &MetricSource,
    style: Style,
) -> String {
    let how = match source {
        MetricSource::StdoutJson => "as JSON lines".to_owned(),
        MetricSource::Regex(patterns) => format!(
            "with {}",
            human::plural(u64::try_from(patterns.len()).unwrap_or(0), "regular expression")
        ),
        MetricSource::File(file) => format!("as the metrics file {}", human::clean(file)),
    };
    let mut output = format!("{} read {how}\n\n", human::plural(report.lines, "line"));
    let mut metrics: BTreeMap<&str, Vec<&LogPoint>> = BTreeMap::new();
    for point in &report.points {
        metrics.entry(&point.metric).or_default().push(point);
    }
    let header = ["METRIC", "POINTS", "STEPS", "LAST VALUE", "CURVE", ""].map(str::to_owned);
    let rows = metrics.iter().map(|(name, points)| {
        let values: Vec<f64> = points.iter().map(|point| point.value).collect();
        let steps = points.iter().map(|point| point.step);
        let steps = format!(
            "{} to {}",
            steps.clone().min().unwrap_or(0),
            steps.max().unwrap_or(0)
        );
        let counted = if points.iter().any(|point| point.counted) {
            "steps counted"
        } else {
            ""
        };
        let role = if objectives.iter().any(|objective| objective.as_str() == *name) {
            "objective"
        } else {
            ""
        };
        let remarks: Vec<&str> = [role, counted]
            .into_iter()
            .filter(|remark| !remark.is_empty())
            .collect();
        vec![
            text(*name),
            number(human::count(u64::try_from(points.len()).unwrap_or(u64::MAX))),
            text(steps),
            number(
                values
                    .last()
                    .copied()
                    .map(human::short_number)
                    .unwrap_or_default(),
            ),
            text(human::sparkline(&values, 30)),
            text(remarks.join(", ")),
        ]
    });
    if metrics.is_empty() {
        output.push_str("No metrics.\n");
    } else {
        output.push_str(&table::render(style, &header, rows.collect()));
    }
    if !report.notes.is_empty() {
        output.push_str("\nNot read:\n");
        for note in report.notes.iter().take(SHOWN) {
            // Writing to a String cannot fail.
            let _ = writeln!(output, "  line {}: {}", note.line, human::clean(&note.text));
        }
        if report.notes.len() > SHOWN {
            let _ = writeln!(output, "  and {} more", report.notes.len() - SHOWN);
        }
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_read_like_a_worker_reads_it() {
        let log: &[u8] = b"start\n{\"metric\": \"val_acc\", \"value\": 0.5, \"step\": 1}\n{\"val_acc\": 0.75, \"epoch\": 2, \"other\": 1}\n\
            {\"metric\": \"val_acc\", \"value\": \"high\", \"step\": 3}\n{\"val_acc\": NaN}\nend";
        let objective: MetricName = "val_acc".parse().unwrap();
        let vocabulary = Vocabulary {
            metrics: vec![objective.clone()],
            step_name: None,
        };
        let reader = Reader::new(&MetricSource::StdoutJson, vocabulary).unwrap();
        let report = read_log(log, reader, false).unwrap();
        assert_eq!((report.lines, report.points.len(), report.notes.len()), (6, 3, 1));
        let style = Style {
            color: false,
            width: None,
        };
        insta::assert_snapshot!(log_summary(
            &report,
            &[&objective],
            &MetricSource::StdoutJson,
            style
        ));
    }
}
