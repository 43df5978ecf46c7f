//! Study files while they are written: what they mean, and all that would speak against creating or changing a study like that. Reads what is stored,
//! changes nothing.

use tunesmith_common::document::{self, Change, Edit, Place};
use tunesmith_common::study::{Draft, FieldError, Located, RawStudy, StudyFile, StudySpec};
use tunesmith_proto::convert::study as study_convert;
use tunesmith_proto::v1::{self, study_file_edit::Change as WireChange};

use super::Api;
use super::status::ApiError;
use super::studies::{edited, stored_study};
use super::trials::cut;
use crate::store::StudyRow;

/// Changes that one call may make.
const MAX_EDITS: usize = 1_000;
/// Problems and warnings that are told.
const MAX_TOLD: usize = 200;
/// Bytes of the text of each.
const MAX_TEXT: usize = 4_096;

impl Api {
    pub(super) async fn check(
        &self,
        request: v1::CheckStudyRequest,
        actor: &str,
    ) -> Result<v1::CheckStudyResponse, ApiError> {
        if request.edits.len() > MAX_EDITS {
            let message = format!(
                "has {} changes, at most {MAX_EDITS} are made at once",
                request.edits.len()
            );
            return Err(ApiError::invalid("edits", message));
        }
        let text = match request.spec {
            Some(_) if !request.text.is_empty() => {
                return Err(ApiError::invalid(
                    "spec",
                    "is given together with text; leave one of them out",
                ));
            }
            Some(spec) => study_convert::from_wire(spec)
                .map_err(|error| error.within("spec"))?
                .to_text(),
            None => request.text,
        };
        let edits = request.edits.into_iter().enumerate();
        let edits = edits
            .map(|(index, edit)| edit_from_wire(edit, index))
            .collect::<Result<Vec<_>, _>>()?;
        let stored = match request.study.as_str() {
            "" => None,
            name => Some(stored_study(self, name, "study").await?),
        };
        let draft = Draft::new(&text, &edits);
        let mut changed = Vec::new();
        let mut problems = match &draft.checked {
            Err(error) => error.problems.clone(),
            Ok((raw, spec)) => {
                let problems = match &stored {
                    Some(stored) => {
                        let (paths, problems) = self.speaks_against_change(raw, stored)?;
                        changed = paths;
                        problems
                    }
                    None => self.speaks_against(raw, spec, actor).await?,
                };
                located(problems, &draft.text)
            }
        };
        problems.truncate(MAX_TOLD);
        let mut answer = v1::CheckStudyResponse {
            values: draft.parts.iter().map(value_to_wire).collect(),
            problems: problems.iter().map(problem_to_wire).collect(),
            changed,
            ..Default::default()
        };
        if let Ok((raw, spec)) = &draft.checked
            && problems.is_empty()
        {
            answer.spec = Some(study_convert::to_wire(raw));
            answer.warnings = spec.warnings();
            answer.warnings.truncate(MAX_TOLD);
            answer.facts = spec
                .outlook()
                .into_iter()
                .map(|(title, text)| v1::StudyFact {
                    title: title.to_owned(),
                    text,
                })
                .collect();
        }
        answer.text = draft.text;
        Ok(answer)
    }

    /// What speaks against creating a study like that.
    async fn speaks_against(
        &self,
        raw: &RawStudy,
        spec: &StudySpec,
        creator: &str,
    ) -> Result<Vec<FieldError>, ApiError> {
        let mut problems = Vec::new();
        if let Err(errors) = self.terms.govern(&mut raw.clone(), spec, creator) {
            problems.extend(errors.0);
        }
        if self.store().study_find(&spec.name).await?.is_some() {
            problems.push(FieldError {
                path: "name".to_owned(),
                message: format!(
                    "study {} exists already; choose another name, such as {0}-2",
                    spec.name
                ),
            });
        }
        match self.relatives(spec).await {
            Ok(()) => {}
            Err(ApiError::Spec(errors)) => problems.extend(errors.0),
            Err(error) => return Err(error),
        }
        Ok(problems)
    }

    /// What would change of a study, and what speaks against that.
    fn speaks_against_change(
        &self,
        raw: &RawStudy,
        stored: &StudyRow,
    ) -> Result<(Vec<String>, Vec<FieldError>), ApiError> {
        let (old, _) = StudyFile::parse(&stored.spec.to_text(), "").map_err(|error| {
            ApiError::Internal(format!(
                "study {} is stored as one that cannot be read: {error}",
                stored.name
            ))
        })?;
        let changed = match raw.changes(&old) {
            Ok(changed) => changed,
            Err(errors) => return Ok((Vec::new(), errors.0)),
        };
        let changed: Vec<String> = changed.into_iter().map(str::to_owned).collect();
        if changed.is_empty() {
            return Ok((changed, Vec::new()));
        }
        match edited(&self.terms, raw.clone(), stored, changed.clone()) {
            Ok(_) => Ok((changed, Vec::new())),
            Err(errors) => Ok((changed, errors.0)),
        }
    }
}

/// Problems with their places in a study file.
fn located(problems: Vec<FieldError>, text: &str) -> Vec<Located> {
    let document = document::read(text).ok();
    let located = problems.into_iter().map(|error| Located {
        place: document
            .as_ref()
            .map(|document| document.locate(&error.path).clone()),
        message: error.to_string(),
        path: error.path,
    });
    located.collect()
}

fn edit_from_wire(edit: v1::StudyFileEdit, index: usize) -> Result<Edit, ApiError> {
    let change = match edit.change {
        Some(WireChange::Set(value)) => Change::Set(value),
        Some(WireChange::Remove(true)) => Change::Remove,
        Some(WireChange::Rename(key)) => Change::Rename(key),
        Some(WireChange::Remove(false)) | None => {
            let message = "says nothing; give set, remove or rename";
            return Err(ApiError::invalid(format!("edits[{index}].change"), message));
        }
    };
    Ok(Edit {
        path: edit.path,
        change,
    })
}

fn value_to_wire(part: &tunesmith_common::study::Part) -> v1::StudyFileValue {
    v1::StudyFileValue {
        path: part.path.clone(),
        text: part.text.clone(),
        quoted: part.quoted,
        line: u32::try_from(part.line).unwrap_or(u32::MAX),
    }
}

fn problem_to_wire(problem: &Located) -> v1::StudyFileProblem {
    let line = match problem.place {
        Some(Place::File { line, .. }) => u32::try_from(line).unwrap_or(u32::MAX),
        Some(Place::Override(_)) | None => 0,
    };
    v1::StudyFileProblem {
        path: cut(&problem.path, MAX_TEXT).to_owned(),
        line,
        text: cut(problem.without_path(), MAX_TEXT).to_owned(),
    }
}
