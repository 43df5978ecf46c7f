//! Placeholders in commands, environments and paths: `--lr={lr}`, `{args}`, `{checkpoint_dir}`.
//!
//! A value is inserted as it is and never read again: whatever it contains, it stays within the one argument that mentions it,
//! and no shell ever sees it.

use std::fmt;

use crate::document::nearest;
use crate::params::{ParamValue, Params};

/// Names with a meaning of their own. A parameter of the same name takes its place.
pub const BUILT_IN: [&str; 12] = [
    "args",
    "args:space",
    "args:bare",
    "args:hydra",
    "args:json",
    "params_file",
    "study",
    "trial",
    "trial_dir",
    "checkpoint_dir",
    "seed",
    "until",
];

/// A text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Placeholder { name: String, column: usize },
}

/// Why a text is not a template, or one that cannot be used here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem} (column {column})")]
pub struct TemplateError {
    /// Where in the text, in characters counted from 1.
    pub column: usize,
    problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Problem {
    Unclosed,
    Unopened,
    NotAName(String),
    Unknown {
        name: String,
        nearest: Option<String>,
        known: String,
    },
    NotAlone(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unclosed => {
                f.write_str("\"{\" begins a placeholder that never ends; write \"{{\" for a brace")
            }
            Self::Unopened => f.write_str("\"}\" ends no placeholder; write \"}}\" for a brace"),
            Self::NotAName(text) => write!(
                f,
                "{{{text}}} is not a placeholder; write \"{{{{\" and \"}}}}\" for braces"
            ),
            Self::Unknown {
                name,
                nearest: Some(nearest),
                ..
            } => {
                write!(f, "unknown placeholder {{{name}}}; did you mean {{{nearest}}}?")
            }
            Self::Unknown {
                name,
                nearest: None,
                known,
            } => write!(f, "unknown placeholder {{{name}}}; known are {known}"),
            Self::NotAlone(name) => write!(
                f,
                "{{{name}}} stands for several arguments and must be an element of the command by itself; use {{args:json}} within a text"
            ),
        }
    }
}

/// What placeholders stand for in one trial.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Values of the active parameters.
    pub params: &'a Params,
    /// Name of the study.
    pub study: &'a str,
    /// Number of the trial.
    pub trial: u64,
    /// The trial's own folder.
    pub trial_dir: &'a str,
    /// Folder of the trial's checkpoints.
    pub checkpoint_dir: &'a str,
    /// File with the parameters as JSON.
    pub params_file: &'a str,
    /// Seed of the trial.
    pub seed: u64,
    /// The step to train to; nothing stands for it if that is not known.
    pub until: Option<i64>,
}

/// Where a template stands, which decides what it may contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// An element of a command.
    Argument,
    /// A value of an environment variable or a path.
    Text,
}

impl Template {
    /// Reads a text. `{{` and `}}` are braces.
    ///
    /// # Errors
    /// A brace without its partner, or something between braces that is no name.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut chars = text.chars().zip(1..).peekable();
        while let Some((c, column)) = chars.next() {
            let doubled = chars.peek().is_some_and(|(next, _)| *next == c);
            match c {
                '{' | '}' if doubled => {
                    chars.next();
                    literal.push(c);
                }
                '}' => {
                    return Err(TemplateError {
                        column,
                        problem: Problem::Unopened,
                    });
                }
                '{' => {
                    let mut name = String::new();
                    loop {
                        match chars.next() {
                            Some(('}', _)) => break,
                            Some((c, _)) => name.push(c),
                            None => {
                                return Err(TemplateError {
                                    column,
                                    problem: Problem::Unclosed,
                                });
                            }
                        }
                    }
                    if !is_name(&name) {
                        let problem = Problem::NotAName(crate::document::shorten(&name));
                        return Err(TemplateError { column, problem });
                    }
                    if !literal.is_empty() {
                        parts.push(Part::Literal(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::Placeholder { name, column });
                }
                c => literal.push(c),
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self { parts })
    }

    /// The same without some of its placeholders.
    #[must_use]
    pub fn without(self, gone: &dyn Fn(&str) -> bool) -> Self {
        let stays = |part: &Part| !matches!(part, Part::Placeholder { name, .. } if gone(name));
        Self {
            parts: self.parts.into_iter().filter(stays).collect(),
        }
    }

    /// Names of the placeholders, in order.
    pub fn placeholders(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Placeholder { name, .. } => Some(name.as_str()),
            Part::Literal(_) => None,
        })
    }

    /// Whether every placeholder means something, given the names of the study's parameters, and stands where it may.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self, usage: Usage, parameters: &[&str]) -> Result<(), TemplateError> {
        for part in &self.parts {
            let Part::Placeholder { name, column } = part else {
                continue;
            };
            if parameters.contains(&name.as_str()) {
                continue;
            }
            if !BUILT_IN.contains(&name.as_str()) {
                let known = || parameters.iter().copied().chain(BUILT_IN);
                let problem = Problem::Unknown {
                    name: crate::document::shorten(name),
                    nearest: nearest(name, known()).map(str::to_owned),
                    known: known()
                        .map(|name| format!("{{{name}}}"))
                        .collect::<Vec<_>>()
                        .join(" "),
                };
                return Err(TemplateError {
                    column: *column,
                    problem,
                });
            }
            if is_list(name) && (usage == Usage::Text || self.parts.len() > 1) {
                return Err(TemplateError {
                    column: *column,
                    problem: Problem::NotAlone(name.clone()),
                });
            }
        }
        Ok(())
    }

    /// The arguments that this element of a command stands for: usually one; `{args}` and its like give one or two for each
    /// active parameter; an element that mentions a parameter which is not active gives none.
    ///
    /// # Errors
    /// If [`Self::check`] would have refused it.
    pub fn expand_argument(&self, context: &Context<'_>) -> Result<Vec<String>, TemplateError> {
        if let [Part::Placeholder { name, .. }] = self.parts.as_slice()
            && is_list(name)
            && context.params.value(name).is_none()
        {
            return Ok(arguments(name, context.params));
        }
        let inactive = |name: &str| !BUILT_IN.contains(&name) && context.params.value(name).is_none();
        if self.placeholders().any(inactive) {
            return Ok(Vec::new());
        }
        self.expand_text(context).map(|text| vec![text])
    }

    /// The text with every placeholder replaced; parameters that are not active leave nothing.
    ///
    /// # Errors
    /// If [`Self::check`] would have refused it.
    pub fn expand_text(&self, context: &Context<'_>) -> Result<String, TemplateError> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Placeholder { name, column } => match context.params.value(name) {
                    Some(value) => text.push_str(&value.to_string()),
                    None => match built_in(name, context) {
                        Some(value) => text.push_str(&value),
                        None if is_list(name) => {
                            return Err(TemplateError {
                                column: *column,
                                problem: Problem::NotAlone(name.clone()),
                            });
                        }
                        None => {}
                    },
                },
            }
        }
        Ok(text)
    }
}

impl fmt::Display for Template {
    /// The text that the template was read from.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Literal(literal) => f.write_str(&escape(literal))?,
                Part::Placeholder { name, .. } => write!(f, "{{{name}}}")?,
            }
        }
        Ok(())
    }
}

/// `text` as a template that stands for exactly this text.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

/// The environment variable that carries a parameter: `TUNESMITH_PARAM_` and the name in capitals, with `_` for everything
/// that is neither a letter nor a digit.
#[must_use]
pub fn env_name(parameter: &str) -> String {
    let name = parameter.chars().map(|c| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    });
    "TUNESMITH_PARAM_".chars().chain(name).collect()
}

/// Parameters as one JSON object, in order, with their types.
#[must_use]
pub fn params_json(params: &Params) -> String {
    // Finite numbers and texts always have a JSON form.
    serde_json::to_string(params).unwrap_or_default()
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | ':'))
}

/// Whether a placeholder stands for several arguments.
pub(crate) fn is_list(name: &str) -> bool {
    matches!(name, "args" | "args:space" | "args:bare" | "args:hydra")
}

fn arguments(name: &str, params: &Params) -> Vec<String> {
    let mut arguments = Vec::new();
    for (parameter, value) in params.iter() {
        match name {
            "args:space" => arguments.extend([format!("--{parameter}"), value.to_string()]),
            "args:bare" => arguments.push(format!("{parameter}={value}")),
            "args:hydra" => arguments.push(format!("++{parameter}={}", hydra(value))),
            _ => arguments.push(format!("--{parameter}={value}")),
        }
    }
    arguments
}

/// A value in the grammar of Hydra's overrides, where a text that could be read as something else needs quotes.
fn hydra(value: &ParamValue) -> String {
    let ParamValue::Text(text) = value else {
        return value.to_string();
    };
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/' | '.' | '+' | '@' | '%'))
        && !["true", "false", "null", "nan", "inf"].contains(&text.to_ascii_lowercase().as_str());
    if plain {
        return text.clone();
    }
    // Only backslashes in front of a quote are escapes.
    let mut quoted = String::from("'");
    let mut backslashes = 0;
    for c in text.chars() {
        if c == '\'' {
            quoted.push_str(&"\\".repeat(backslashes + 1));
        }
        backslashes = if c == '\\' { backslashes + 1 } else { 0 };
        quoted.push(c);
    }
    quoted.push_str(&"\\".repeat(backslashes));
    quoted.push('\'');
    quoted
}

fn built_in(name: &str, context: &Context<'_>) -> Option<String> {
    Some(match name {
        "args:json" => params_json(context.params),
        "params_file" => context.params_file.to_owned(),
        "study" => context.study.to_owned(),
        "trial" => context.trial.to_string(),
        "trial_dir" => context.trial_dir.to_owned(),
        "checkpoint_dir" => context.checkpoint_dir.to_owned(),
        "seed" => context.seed.to_string(),
        "until" => context.until.map(|step| step.to_string()).unwrap_or_default(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn params(pairs: &[(&str, ParamValue)]) -> Params {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.clone()))
            .collect()
    }

    fn some() -> Params {
        params(&[
            ("lr", ParamValue::Float(1e-5)),
            ("batch", ParamValue::Int(32)),
            ("nesterov", ParamValue::Bool(true)),
            ("optimizer", ParamValue::Text("sgd, it's".to_owned())),
        ])
    }

    fn context(params: &Params) -> Context<'_> {
        Context {
            params,
            study: "digits",
            trial: 7,
            trial_dir: "/t/7",
            checkpoint_dir: "/c/7",
            params_file: "/t/7/params.json",
            seed: 99,
            until: None,
        }
    }

    fn expand(text: &str) -> Vec<String> {
        let template = Template::parse(text).unwrap();
        template
            .check(
                Usage::Argument,
                &["lr", "batch", "nesterov", "optimizer", "momentum"],
            )
            .unwrap();
        template.expand_argument(&context(&some())).unwrap()
    }

    #[test]
    fn placeholders_become_values() {
        assert_eq!(expand("--lr={lr}"), ["--lr=1e-05"]);
        assert_eq!(expand("{batch}x{nesterov}"), ["32xtrue"]);
        assert_eq!(expand("{{lr}} {study}/{trial} {seed}"), ["{lr} digits/7 99"]);
        assert_eq!(
            expand("{trial_dir}:{checkpoint_dir}:{params_file}"),
            ["/t/7:/c/7:/t/7/params.json"]
        );
        assert_eq!(expand(""), [""]);
    }

    #[test]
    fn all_parameters_at_once_in_five_forms() {
        assert_eq!(
            expand("{args}"),
            [
                "--lr=1e-05",
                "--batch=32",
                "--nesterov=true",
                "--optimizer=sgd, it's"
            ]
        );
        assert_eq!(
            expand("{args:space}"),
            [
                "--lr",
                "1e-05",
                "--batch",
                "32",
                "--nesterov",
                "true",
                "--optimizer",
                "sgd, it's"
            ]
        );
        assert_eq!(
            expand("{args:bare}"),
            ["lr=1e-05", "batch=32", "nesterov=true", "optimizer=sgd, it's"]
        );
        assert_eq!(
            expand("{args:hydra}"),
            [
                "++lr=1e-05",
                "++batch=32",
                "++nesterov=true",
                "++optimizer='sgd, it\\'s'"
            ]
        );
        assert_eq!(
            expand("--all={args:json}"),
            [r#"--all={"lr":0.00001,"batch":32,"nesterov":true,"optimizer":"sgd, it's"}"#]
        );
    }

    #[test]
    fn an_argument_of_an_inactive_parameter_is_dropped_and_a_text_leaves_it_out() {
        assert_eq!(expand("--momentum={momentum}"), Vec::<String>::new());
        let template = Template::parse("m={momentum};lr={lr}").unwrap();
        assert_eq!(template.expand_text(&context(&some())).unwrap(), "m=;lr=1e-05");
    }

    #[test]
    fn a_parameter_takes_the_place_of_a_placeholder_of_its_name() {
        let params = params(&[("seed", ParamValue::Int(3)), ("args", ParamValue::Int(4))]);
        let expand = |text: &str| {
            Template::parse(text)
                .unwrap()
                .expand_argument(&context(&params))
                .unwrap()
        };
        assert_eq!(expand("{seed}"), ["3"]);
        assert_eq!(expand("{args}"), ["4"]);
        assert_eq!(expand("{args:bare}"), ["seed=3", "args=4"]);
    }

    #[test]
    fn a_value_is_not_read_again_and_stays_one_argument() {
        let params = params(&[("x", ParamValue::Text("{seed}; rm -rf \"/\" $(x) {{\n".to_owned()))]);
        let template = Template::parse("a {x} b").unwrap();
        assert_eq!(
            template.expand_argument(&context(&params)).unwrap(),
            ["a {seed}; rm -rf \"/\" $(x) {{\n b"]
        );
    }

    #[test]
    fn malformed_templates_are_refused_with_their_column() {
        let cases = [
            (
                "ä {lr",
                "\"{\" begins a placeholder that never ends; write \"{{\" for a brace (column 3)",
            ),
            (
                "x}",
                "\"}\" ends no placeholder; write \"}}\" for a brace (column 2)",
            ),
            (
                "{\"a\": 1}",
                "{\"a\": 1} is not a placeholder; write \"{{\" and \"}}\" for braces (column 1)",
            ),
            (
                "{}",
                "{} is not a placeholder; write \"{{\" and \"}}\" for braces (column 1)",
            ),
        ];
        for (text, message) in cases {
            assert_eq!(Template::parse(text).unwrap_err().to_string(), message);
        }
        let refused = |text: &str, usage| {
            Template::parse(text)
                .unwrap()
                .check(usage, &["lr"])
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            refused("{lrr}", Usage::Text),
            "unknown placeholder {lrr}; did you mean {lr}? (column 1)"
        );
        assert_eq!(
            refused("{nonsense}", Usage::Argument),
            "unknown placeholder {nonsense}; known are {lr} {args} {args:space} {args:bare} {args:hydra} {args:json} \
             {params_file} {study} {trial} {trial_dir} {checkpoint_dir} {seed} {until} (column 1)"
        );
        let alone = "{args} stands for several arguments and must be an element of the command by itself; use {args:json} \
                     within a text";
        assert_eq!(
            refused("-- {args}", Usage::Argument),
            format!("{alone} (column 4)")
        );
        assert_eq!(refused("{args}", Usage::Text), format!("{alone} (column 1)"));
    }

    #[test]
    fn environment_names_are_capitals_digits_and_underscores() {
        assert_eq!(env_name("model.depth-2"), "TUNESMITH_PARAM_MODEL_DEPTH_2");
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_read_is_written_back(text in ".{0,40}", braces in "[a-z{}: ]{0,20}") {
            for text in [text, braces] {
                if let Ok(template) = Template::parse(&text) {
                    prop_assert_eq!(template.to_string(), text);
                    let _ = template.check(Usage::Argument, &["a"]);
                    let _ = template.expand_argument(&context(&some()));
                }
            }
        }

        /// Whatever a value contains, the command has one argument for each element, and the value is in it unchanged.
        #[test]
        fn any_value_is_one_argument(value in any::<String>(), prefix in any::<String>()) {
            let params = params(&[("x", ParamValue::Text(value.clone()))]);
            let template = Template::parse(&format!("{}{{x}}", escape(&prefix))).unwrap();
            let expanded = template.expand_argument(&context(&params)).unwrap();
            prop_assert_eq!(expanded, vec![format!("{prefix}{value}")]);
        }
    }
}
