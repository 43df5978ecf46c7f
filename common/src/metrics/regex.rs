//! Metrics in free text, by regular expressions with named groups.
//!
//! A pattern either has the groups `name` and `value`, and gives one value per match, for output such as `loss=0.3 acc=0.9`; or its groups are
//! named after metrics: `val_acc: (?P<val_acc>NUMBER)`. Both may have a group `step`. Every pattern is tried on every line, and
//! may match several times. A group that is the word `NUMBER` alone stands for any number. A group's name cannot hold `/`,
//! a space or `-`: metrics with such names need the first form.

use ::regex::bytes::{Regex, RegexBuilder};

use super::{MAX_READINGS_PER_LINE, Note, Reading, number, shorten};
use crate::id::{MetricName, NameError};

/// Bytes a compiled pattern may take: keeps a malicious or careless one from using up the machine.
const SIZE_LIMIT: usize = 1 << 20;
/// Patterns a study may have.
pub const MAX_PATTERNS: usize = 100;
/// What `NUMBER` stands for: the full grammar of numbers as programs print them.
const NUMBER: &str = r"[+-]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|(?i:nan|infinity|inf))";

/// Why patterns are refused. Patterns are counted from 1.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PatternError {
    /// There is none, or there are too many.
    #[error("{0} patterns were given; give 1 to {MAX_PATTERNS}")]
    Count(usize),
    /// It is no regular expression, or one that is too large.
    #[error("pattern {pattern} is no usable regular expression")]
    Syntax {
        /// Which pattern.
        pattern: usize,
        /// What is wrong.
        #[source]
        source: ::regex::Error,
    },
    /// It names no metric.
    #[error(
        "pattern {pattern} names no metric: give it groups `(?P<name>...)` and `(?P<value>...)`, \
         or a group named after the metric, such as `(?P<val_acc>NUMBER)`"
    )]
    NoMetric {
        /// Which pattern.
        pattern: usize,
    },
    /// A group has no meaning beside `name` and `value`.
    #[error("group {group:?} of pattern {pattern} has no meaning beside the groups `name` and `value`")]
    Group {
        /// Which pattern.
        pattern: usize,
        /// The group.
        group: String,
    },
    /// A group's name is no metric.
    #[error("a group of pattern {pattern} cannot name a metric")]
    Name {
        /// Which pattern.
        pattern: usize,
        /// What is wrong.
        #[source]
        source: NameError,
    },
}

/// Compiled patterns of a study.
#[derive(Clone, Debug)]
pub struct Patterns(Vec<Pattern>);

#[derive(Clone, Debug)]
struct Pattern {
    regex: Regex,
    form: Form,
    has_step: bool,
}

#[derive(Clone, Debug)]
enum Form {
    NameAndValue,
    /// Group's name as written, and the metric.
    Metrics(Vec<(String, MetricName)>),
}

impl Patterns {
    /// Compiles patterns.
    ///
    /// # Errors
    /// [`PatternError`] names the pattern, and what to do about it.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Result<Self, PatternError> {
        if !(1..=MAX_PATTERNS).contains(&patterns.len()) {
            return Err(PatternError::Count(patterns.len()));
        }
        let compiled = patterns
            .iter()
            .enumerate()
            .map(|(index, text)| Pattern::new(index + 1, text.as_ref()));
        compiled.collect::<Result<_, _>>().map(Self)
    }

    /// Reads the metrics of one line, with or without its newline.
    #[must_use]
    pub fn line(&self, line: &[u8]) -> (Vec<Reading>, Vec<Note>) {
        let line = line.strip_suffix(b"\n").unwrap_or(line).trim_ascii_end();
        let mut found = Vec::new();
        let mut notes = Vec::new();
        for pattern in &self.0 {
            pattern.read(line, &mut found, &mut notes);
        }
        (found, notes)
    }
}

impl Pattern {
    fn new(pattern: usize, text: &str) -> Result<Self, PatternError> {
        let text = text.replace(">NUMBER)", &format!(">{NUMBER})"));
        let regex = RegexBuilder::new(&text)
            .size_limit(SIZE_LIMIT)
            .build()
            .map_err(|source| PatternError::Syntax { pattern, source })?;
        let groups: Vec<&str> = regex.capture_names().flatten().collect();
        let has_step = groups.contains(&"step");
        let others = groups.iter().filter(|group| **group != "step");
        let form = if groups.contains(&"name") && groups.contains(&"value") {
            if let Some(group) = others.clone().find(|group| !matches!(**group, "name" | "value")) {
                return Err(PatternError::Group {
                    pattern,
                    group: (*group).to_owned(),
                });
            }
            Form::NameAndValue
        } else {
            let metrics = others
                .map(|group| Ok(((*group).to_owned(), group.parse()?)))
                .collect::<Result<Vec<_>, NameError>>()
                .map_err(|source| PatternError::Name { pattern, source })?;
            if metrics.is_empty() || groups.contains(&"value") {
                return Err(PatternError::NoMetric { pattern });
            }
            Form::Metrics(metrics)
        };
        Ok(Self {
            regex,
            form,
            has_step,
        })
    }

    fn read(&self, line: &[u8], found: &mut Vec<Reading>, notes: &mut Vec<Note>) {
        for captures in self.regex.captures_iter(line) {
            let text = |group: &str| {
                captures
                    .name(group)
                    .map(|found| String::from_utf8_lossy(found.as_bytes()))
            };
            let stated = if self.has_step { text("step") } else { None };
            let step = stated.as_deref().and_then(number::step);
            let mut push = |metric: MetricName, value: &str| {
                if found.len() == MAX_READINGS_PER_LINE {
                    notes.push(Note::TooMany);
                    return false;
                }
                match number::value(value) {
                    Some(value) => {
                        if let (Some(text), None) = (&stated, step) {
                            notes.push(Note::Step {
                                metric: metric.to_string(),
                                text: shorten(text),
                            });
                        }
                        found.push(Reading { metric, step, value });
                    }
                    None => notes.push(Note::Value {
                        metric: metric.to_string(),
                        text: shorten(value),
                    }),
                }
                true
            };
            let go_on = match &self.form {
                Form::NameAndValue => match (text("name"), text("value")) {
                    (Some(name), Some(value)) => match name.parse() {
                        Ok(metric) => push(metric, &value),
                        Err(error) => {
                            notes.push(Note::Name(error));
                            true
                        }
                    },
                    _ => true,
                },
                Form::Metrics(metrics) => metrics
                    .iter()
                    .all(|(group, metric)| text(group).is_none_or(|value| push(metric.clone(), &value))),
            };
            if !go_on || notes.len() > MAX_READINGS_PER_LINE {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(patterns: &[&str], line: &[u8]) -> Vec<String> {
        let (readings, _) = Patterns::new(patterns).unwrap().line(line);
        readings
            .iter()
            .map(|r| format!("{} {:?} {}", r.metric, r.step, r.value))
            .collect()
    }

    #[test]
    fn groups_named_after_metrics() {
        let pattern = r"epoch (?P<step>\d+): acc (?P<val_acc>NUMBER)(?:, loss (?<loss>NUMBER))?";
        assert_eq!(
            read(&[pattern], b"epoch 3: acc 0.97, loss 1.5e-3\n"),
            ["val_acc Some(3) 0.97", "loss Some(3) 0.0015"]
        );
        assert_eq!(read(&[pattern], b"epoch 4: acc nan"), ["val_acc Some(4) NaN"]);
        assert!(read(&[pattern], b"epoch x").is_empty());
    }

    #[test]
    fn name_and_value_may_match_several_times_in_a_line() {
        let pattern = r"(?P<name>[\w/]+)\s*=\s*(?P<value>NUMBER)";
        let line = b"\xff step=3 loss=0.3 eval/acc = -1E5 \xfe lr=.5 t=-inf";
        let expected = [
            "step None 3",
            "loss None 0.3",
            "eval/acc None -100000",
            "lr None 0.5",
            "t None -inf",
        ];
        assert_eq!(read(&[pattern], line), expected);
    }

    #[test]
    fn every_pattern_is_tried() {
        assert_eq!(
            read(&[r"a=(?P<a>NUMBER)", r"b=(?P<b>NUMBER)"], b"b=1 a=2"),
            ["a None 2", "b None 1"]
        );
    }

    #[test]
    fn what_is_meant_but_unusable_is_said() {
        let patterns = Patterns::new(&[r"(?P<step>\S+) loss (?P<loss>\S+)"]).unwrap();
        let (readings, notes) = patterns.line(b"1 loss none");
        assert!(readings.is_empty());
        assert_eq!(notes[0].to_string(), "the value of loss is no number: none");
        let (readings, notes) = patterns.line(b"-1 loss 0.5");
        assert_eq!(readings[0].step, None);
        assert!(matches!(notes[..], [Note::Step { .. }]), "{notes:?}");
    }

    #[test]
    fn unusable_patterns_are_refused_with_a_remedy() {
        let cases: [(&str, &str); 6] = [
            (r"loss (?P<loss>", "pattern 1 is no usable regular expression"),
            (
                r"(?P<loss>\w{1000}{1000})",
                "pattern 1 is no usable regular expression",
            ),
            (r"loss=(\d+)", "pattern 1 names no metric"),
            (r"loss=(?P<value>NUMBER)", "pattern 1 names no metric"),
            (
                r"(?P<name>\w)(?P<value>\d)(?P<other>\d)",
                "group \"other\" of pattern 1",
            ),
            (r"(?P<step>\d)", "pattern 1 names no metric"),
        ];
        for (pattern, expected) in cases {
            let error = Patterns::new(&[pattern]).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{pattern}: {error}");
        }
        assert_eq!(Patterns::new::<&str>(&[]).unwrap_err(), PatternError::Count(0));
    }

    #[test]
    fn a_line_full_of_values_is_cut() {
        let patterns = Patterns::new(&[r"(?P<name>a)(?P<value>1)"]).unwrap();
        let (readings, notes) = patterns.line("a1".repeat(5_000).as_bytes());
        assert_eq!(readings.len(), MAX_READINGS_PER_LINE);
        assert_eq!(notes, [Note::TooMany]);
    }
}
