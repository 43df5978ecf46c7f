//! What people write on trials: notes and tags.

use tunesmith_proto::v1;

use super::Api;
use super::status::ApiError;
use super::trials::check_length;
use super::view::Legend;
use crate::decide::{CoreError, TrialWords};
use crate::engine::EngineError;

/// Tags of a trial, and characters of each.
const MAX_TAGS: usize = 20;
const MAX_TAG: usize = 64;

impl Api {
    pub(super) async fn describe(
        &self,
        resource: &str,
        words: TrialWords,
        actor: String,
    ) -> Result<v1::Trial, ApiError> {
        let (engine, number) = self.trial(resource).await?;
        let (now, by) = (words.clone(), actor.clone());
        let active = engine
            .call(move |core, out, ctx| {
                core.describe(out, ctx, number, now, &by)?;
                Ok((Legend::of_spec(core.spec()), core.active_row(number)))
            })
            .await;
        match active {
            Ok((legend, row)) => return self.row_or_stored(&engine, &legend, number, row).await,
            Err(EngineError::Core(CoreError::TrialNotFound(_))) => {}
            Err(error) => return Err(error.into()),
        }
        // Trials that have ended are not in memory: the row of one never changes again but for what people write on it.
        let row = self
            .store()
            .trial_fetch(engine.id(), number)
            .await?
            .ok_or(CoreError::TrialNotFound(number))?;
        if !row.state.is_final() {
            return Err(ApiError::Unavailable(
                "the trial is just being created or has just ended",
            ));
        }
        let (legend, row) = engine
            .call(move |core, out, ctx| {
                core.describe_ended(out, ctx, row, words, &actor)?;
                Ok((Legend::of_spec(core.spec()), out.ended_row(number).cloned()))
            })
            .await?;
        self.row_or_stored(&engine, &legend, number, row).await
    }
}

/// What people write on a trial; what the mask does not name stays.
pub(super) fn words_from_wire(
    note: String,
    tags: Vec<String>,
    mask: Option<pbjson_types::FieldMask>,
) -> Result<TrialWords, ApiError> {
    let paths = mask.unwrap_or_default().paths;
    if let Some(path) = paths
        .iter()
        .find(|path| !matches!(path.as_str(), "note" | "tags"))
    {
        let message = format!("{path:?} cannot change, only note and tags; add another trial instead");
        return Err(ApiError::invalid("update_mask", message));
    }
    let changes = |field: &str| paths.iter().any(|path| path == field);
    check_length("note", &note)?;
    Ok(TrialWords {
        note: (paths.is_empty() || changes("note")).then_some(note),
        tags: changes("tags").then(|| tags_from_wire(tags)).transpose()?,
    })
}

/// Short labels without what would make them look like others, each once.
pub(super) fn tags_from_wire(tags: Vec<String>) -> Result<Vec<String>, ApiError> {
    if tags.len() > MAX_TAGS {
        let message = format!("has {} entries, at most {MAX_TAGS} are kept", tags.len());
        return Err(ApiError::invalid("tags", message));
    }
    let mut kept: Vec<String> = Vec::with_capacity(tags.len());
    for (index, tag) in tags.into_iter().enumerate() {
        let field = format!("tags[{index}]");
        if tag.is_empty() || tag.trim() != tag {
            return Err(ApiError::invalid(
                field,
                "is empty, or has spaces around it; remove them",
            ));
        }
        if tag.chars().count() > MAX_TAG {
            return Err(ApiError::invalid(
                field,
                format!("has more than {MAX_TAG} characters; a note takes more"),
            ));
        }
        if let Some(c) = tag.chars().find(|c| c.is_control() || *c == ',') {
            return Err(ApiError::invalid(
                field,
                format!("has {c:?}, which no tag can have; remove it"),
            ));
        }
        if !kept.contains(&tag) {
            kept.push(tag);
        }
    }
    Ok(kept)
}
