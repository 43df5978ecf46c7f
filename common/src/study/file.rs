//! The study file as a whole: text in, checked study out, every problem with its line.

use std::fmt;

use super::check::{FieldError, SpecErrors};
use super::raw::RawStudy;
use super::spec::StudySpec;
use crate::document::{self, DocumentError, Node, Place};
use crate::id::StudyName;

/// Reads study files.
#[derive(Clone, Copy, Debug)]
pub struct StudyFile;

impl StudyFile {
    /// Reads and checks a study file, YAML or JSON. A study without a name is named after the file.
    ///
    /// The raw study is what was written, for sending it on; the checked one has seed 0 if none was written, for a look at it
    /// only: the seed is drawn where the study is created.
    ///
    /// # Errors
    /// All that is wrong with the study, or the first thing that is wrong with the file's form.
    pub fn parse(text: &str, file_name: &str) -> Result<(RawStudy, StudySpec), StudyFileError> {
        Self::parse_with(text, file_name, &[])
    }

    /// [`Self::parse`] with overrides such as `budget.trials=10`, applied in order before anything is checked.
    ///
    /// # Errors
    /// Like [`Self::parse`]; problems of an override name it instead of a line.
    pub fn parse_with(
        text: &str,
        file_name: &str,
        overrides: &[String],
    ) -> Result<(RawStudy, StudySpec), StudyFileError> {
        let of_document = |error: DocumentError| StudyFileError {
            file: file_name.to_owned(),
            problems: vec![Located::from(error)],
        };
        let mut node = document::read(text).map_err(of_document)?;
        for argument in overrides {
            name_strategy(&mut node, argument);
            document::apply_override(&mut node, argument).map_err(of_document)?;
        }
        let mut raw: RawStudy = document::from_document(&node).map_err(of_document)?;
        if raw.name.is_none() {
            raw.name = name_of_file(file_name).map(|name| name.to_string());
        }
        match StudySpec::from_raw(raw.clone(), 0) {
            Ok(spec) => Ok((raw, spec)),
            Err(errors) => Err(StudyFileError::locate(file_name, &node, errors)),
        }
    }
}

/// A name for the study in a file of this name: the last part of the path without its extension, with `-` in place of what a
/// name cannot have. None if nothing is left.
#[must_use]
pub fn name_of_file(file_name: &str) -> Option<StudyName> {
    let base = file_name.rsplit(['/', '\\']).next().unwrap_or(file_name);
    let stem = base.rsplit_once('.').map_or(base, |(stem, _)| stem);
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let name: String = stem.chars().map(|c| if allowed(c) { c } else { '-' }).collect();
    let name = name.trim_start_matches(['.', '_', '-']);
    name.get(..StudyName::MAX_LENGTH).unwrap_or(name).parse().ok()
}

/// `strategy: random` becomes `strategy: {name: random}` before an override reaches into it.
fn name_strategy(node: &mut Node, argument: &str) {
    let document::Content::Map(entries) = &mut node.content else {
        return;
    };
    let Some(entry) = entries.iter_mut().find(|entry| entry.key == "strategy") else {
        return;
    };
    let reaches_in = argument.trim_start().starts_with("strategy.");
    if reaches_in
        && matches!(&entry.value.content, document::Content::Scalar { text, .. } if !text.is_empty())
    {
        let name = document::Entry {
            key: "name".to_owned(),
            place: entry.value.place.clone(),
            value: entry.value.clone(),
        };
        entry.value.content = document::Content::Map(vec![name]);
    }
}

/// What is wrong with a study file. Shown with one problem per line, like `study.yaml:7: space.lr: the key "type" is missing`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StudyFileError {
    /// Name of the file, as given.
    pub file: String,
    /// The problems, in the order of the file where it is known; not empty.
    pub problems: Vec<Located>,
}

/// A problem with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Where, if known.
    pub place: Option<Place>,
    /// What it is about, such as `space.lr.low`; empty for the document as a whole.
    pub path: String,
    /// What, beginning with the path of the key.
    pub message: String,
}

impl Located {
    /// What, for somebody who sees what it is about.
    #[must_use]
    pub fn without_path(&self) -> &str {
        let rest = self.message.strip_prefix(self.path.as_str());
        rest.and_then(|rest| rest.strip_prefix(": "))
            .unwrap_or(&self.message)
    }
}

impl From<DocumentError> for Located {
    fn from(error: DocumentError) -> Self {
        Self {
            message: error.to_string(),
            path: error.path,
            place: error.place,
        }
    }
}

impl StudyFileError {
    fn locate(file_name: &str, node: &Node, errors: SpecErrors) -> Self {
        let locate = |error: FieldError| Located {
            place: Some(node.locate(&error.path).clone()),
            message: error.to_string(),
            path: error.path,
        };
        let mut problems: Vec<Located> = errors.0.into_iter().map(locate).collect();
        problems.sort_by_key(|problem| match problem.place {
            Some(Place::File { line, column }) => (line, column),
            Some(Place::Override(_)) | None => (usize::MAX, 0),
        });
        Self {
            file: file_name.to_owned(),
            problems,
        }
    }
}

impl fmt::Display for StudyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            match &problem.place {
                Some(Place::File { line, .. }) => write!(f, "{}:{line}: {}", self.file, problem.message)?,
                Some(Place::Override(argument)) => write!(f, "--set {argument}: {}", problem.message)?,
                None => write!(f, "{}: {}", self.file, problem.message)?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for StudyFileError {}
