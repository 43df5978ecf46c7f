//! A study file while it is being written: changed by what it means, and looked at whatever is wrong with it. Nothing is created from it.

use super::file::{Located, StudyFile, StudyFileError};
use super::raw::RawStudy;
use super::spec::StudySpec;
use crate::document::{self, Change, Content, DocumentError, Edit, Node, Place};

/// Values of a study file that are listed; one that has more is only read as a whole.
const MAX_PARTS: usize = 20_000;

/// A study file with changes.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The text with the changes.
    pub text: String,
    /// What is written in it, in its order; empty if it cannot be read, or has too much of it.
    pub parts: Vec<Part>,
    /// What it means, or what is wrong.
    pub checked: Result<(RawStudy, StudySpec), StudyFileError>,
}

/// A value that is written in a study file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Keys of maps and numbers of items of lists, from the outside to the inside.
    pub path: Vec<String>,
    /// The value as it is written, without quotes. Empty for an empty list or map.
    pub text: String,
    /// Whether it would be something else without quotes.
    pub quoted: bool,
    /// Its line, from 1.
    pub line: usize,
}

impl Draft {
    /// Makes changes in a study file, in their order, and looks at what has come of it. Of a change that cannot be made nothing is done, nor of
    /// those after it. The checked study has seed 0 if none is written.
    #[must_use]
    pub fn new(text: &str, edits: &[Edit]) -> Self {
        let mut text = text.to_owned();
        let mut refused = None;
        for edit in edits {
            match change(&text, edit) {
                Ok(changed) => text = changed,
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
        }
        let checked = match refused {
            Some(error) => Err(StudyFileError {
                file: String::new(),
                problems: vec![Located::from(error)],
            }),
            None => StudyFile::parse(&text, ""),
        };
        let mut parts = Vec::new();
        if let Ok(document) = document::read(&text) {
            list(&document, &mut Vec::new(), &mut parts);
        }
        if parts.len() > MAX_PARTS {
            parts.clear();
        }
        Self { text, parts, checked }
    }
}

impl RawStudy {
    /// The study as a study file.
    #[must_use]
    pub fn to_text(&self) -> String {
        // JSON is YAML: it reads back whatever is in it.
        let json = serde_json::to_string(self).unwrap_or_default();
        document::read(&json).map_or(json, |document| document::write(&document))
    }
}

fn change(text: &str, edit: &Edit) -> Result<String, DocumentError> {
    if edit.path.len() > 1
        && edit.path.first().is_some_and(|first| first == "strategy")
        && let Some(name) = strategy_alone(text)
    {
        let named = Edit {
            path: vec!["strategy".to_owned(), "name".to_owned()],
            change: Change::Set(name),
        };
        let none = Edit {
            path: vec!["strategy".to_owned()],
            change: Change::Set(String::new()),
        };
        let text = document::edit(&document::edit(text, &none)?, &named)?;
        return document::edit(&text, edit);
    }
    document::edit(text, edit)
}

/// The strategy, if it is written as a name alone.
fn strategy_alone(text: &str) -> Option<String> {
    let Content::Map(entries) = document::read(text).ok()?.content else {
        return None;
    };
    let strategy = entries.into_iter().find(|entry| entry.key == "strategy")?;
    match strategy.value.content {
        Content::Scalar { text, plain } if !text.is_empty() => Some(document::one_line(&text, plain)),
        Content::Scalar { .. } | Content::List(_) | Content::Map(_) => None,
    }
}

/// Recursive, on what [`document::read`] bounded in depth.
fn list(node: &Node, path: &mut Vec<String>, parts: &mut Vec<Part>) {
    if parts.len() > MAX_PARTS {
        return;
    }
    let inside: Vec<(String, &Node)> = match &node.content {
        Content::Scalar { .. } => Vec::new(),
        Content::List(items) => (0..).map(|index: usize| index.to_string()).zip(items).collect(),
        Content::Map(entries) => entries
            .iter()
            .map(|entry| (entry.key.clone(), &entry.value))
            .collect(),
    };
    for (key, value) in &inside {
        path.push(key.clone());
        list(value, path, parts);
        path.pop();
    }
    if inside.is_empty() {
        let (text, quoted) = match &node.content {
            Content::Scalar { text, plain } => {
                (text.clone(), document::one_line(text, *plain).starts_with('"'))
            }
            Content::List(_) | Content::Map(_) => (String::new(), false),
        };
        let line = match node.place {
            Place::File { line, .. } => line,
            Place::Override(_) => 0,
        };
        parts.push(Part {
            path: path.clone(),
            text,
            quoted,
            line,
        });
    }
}
