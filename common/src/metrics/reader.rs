//! A reader of one training's lines, with the memory it needs: the steps so far, for values that come without one.

use std::collections::HashMap;

use super::{Note, PatternError, Patterns, Reading, Vocabulary, json_line};
use crate::id::MetricName;
use crate::study::MetricSource;

/// A point that a line gave.
#[derive(Clone, Debug, PartialEq)]
pub struct PointRead {
    /// The metric.
    pub metric: MetricName,
    /// Its step, at least 0: the line's own, or counted.
    pub step: i64,
    /// The value; may be NaN or infinite.
    pub value: f64,
    /// Whether the step was counted because the line names none.
    pub counted: bool,
}

/// What one line gave. Both empty: it is log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LineReport {
    /// Points, in the order of the line.
    pub points: Vec<PointRead>,
    /// What it meant to say but could not.
    pub notes: Vec<Note>,
}

/// Numbers the values of each metric that come without a step: from 1, and on from the last step that was named.
#[derive(Clone, Debug, Default)]
pub struct StepCounter(HashMap<MetricName, i64>);

impl StepCounter {
    /// The step of the next value of `metric`.
    pub fn resolve(&mut self, metric: &MetricName, step: Option<i64>) -> i64 {
        let step = step.unwrap_or_else(|| self.0.get(metric).map_or(1, |last| last.saturating_add(1)));
        match self.0.get_mut(metric) {
            Some(last) => *last = step,
            None => {
                self.0.insert(metric.clone(), step);
            }
        }
        step
    }
}

/// Reads the lines of one training.
#[derive(Clone, Debug)]
pub struct Reader {
    /// How standard output is read; None: it is log.
    stdout: Option<Format>,
    vocabulary: Vocabulary,
    steps: StepCounter,
}

#[derive(Clone, Debug)]
enum Format {
    Json,
    Patterns(Patterns),
}

impl Reader {
    /// A reader for a study's trials.
    ///
    /// # Errors
    /// [`PatternError`] if the study's regular expressions cannot be used.
    pub fn new(source: &MetricSource, vocabulary: Vocabulary) -> Result<Self, PatternError> {
        let stdout = match source {
            MetricSource::StdoutJson => Some(Format::Json),
            MetricSource::Regex(patterns) => Some(Format::Patterns(Patterns::new(patterns)?)),
            MetricSource::File(_) => None,
        };
        Ok(Self {
            stdout,
            vocabulary,
            steps: StepCounter::default(),
        })
    }

    /// A reader of JSON lines only.
    #[must_use]
    pub fn json(vocabulary: Vocabulary) -> Self {
        Self {
            stdout: Some(Format::Json),
            vocabulary,
            steps: StepCounter::default(),
        }
    }

    /// Reads a line of standard output.
    pub fn stdout_line(&mut self, line: &[u8]) -> LineReport {
        let (readings, notes) = match &self.stdout {
            None => return LineReport::default(),
            Some(Format::Json) => json_line(line, &self.vocabulary),
            Some(Format::Patterns(patterns)) => patterns.line(line),
        };
        self.number(readings, notes)
    }

    /// Reads a line of the metrics file, or of the training's own file: JSON whatever standard output is.
    pub fn file_line(&mut self, line: &[u8]) -> LineReport {
        let (readings, notes) = json_line(line, &self.vocabulary);
        self.number(readings, notes)
    }

    /// The steps so far, for values that come otherwise than in lines.
    pub fn steps(&mut self) -> &mut StepCounter {
        &mut self.steps
    }

    fn number(&mut self, readings: Vec<Reading>, notes: Vec<Note>) -> LineReport {
        let points = readings
            .into_iter()
            .map(|Reading { metric, step, value }| PointRead {
                step: self.steps.resolve(&metric, step),
                metric,
                value,
                counted: step.is_none(),
            })
            .collect();
        LineReport { points, notes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(reader: &mut Reader, lines: &[&str]) -> Vec<(String, i64)> {
        let mut out = Vec::new();
        for line in lines {
            out.extend(
                reader
                    .stdout_line(line.as_bytes())
                    .points
                    .into_iter()
                    .map(|p| (p.metric.to_string(), p.step)),
            );
        }
        out
    }

    #[test]
    fn values_without_a_step_are_counted_per_metric_from_1_and_on_from_a_named_one() {
        let vocabulary = Vocabulary {
            metrics: vec!["a".parse().unwrap(), "b".parse().unwrap()],
            step_name: None,
        };
        let mut reader = Reader::new(&MetricSource::StdoutJson, vocabulary).unwrap();
        let lines = [
            r#"{"a":1}"#,
            r#"{"a":1,"b":2}"#,
            r#"{"a":1,"step":10}"#,
            r#"{"a":1,"b":1}"#,
        ];
        let expected = [("a", 1), ("a", 2), ("b", 1), ("a", 10), ("a", 11), ("b", 2)];
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, step)| ((*name).to_owned(), *step))
            .collect();
        assert_eq!(steps(&mut reader, &lines), expected);
    }

    #[test]
    fn standard_output_is_log_when_the_metrics_are_in_a_file() {
        let mut reader =
            Reader::new(&MetricSource::File("m.jsonl".to_owned()), Vocabulary::default()).unwrap();
        let line = br#"{"metric":"a","value":1}"#;
        assert_eq!(reader.stdout_line(line), LineReport::default());
        assert_eq!(reader.file_line(line).points.len(), 1);
    }
}
