//! The studies that a study names: its parent, and those whose trials it knows from the start.

use super::Problems;
use crate::document::shorten;
use crate::id::StudyName;

/// Studies whose trials are known from the start, each of which is read when the study is created.
pub(super) const MAX_HISTORY: usize = 16;

/// The parent, if there is one and its name is one.
pub(super) fn parent(raw: Option<&str>, problems: &mut Problems) -> Option<StudyName> {
    problems.take("parent", raw?.parse())
}

/// Studies whose trials are known from the start; `own` is the name of the study itself.
pub(super) fn history(raw: &[String], own: Option<&StudyName>, problems: &mut Problems) -> Vec<StudyName> {
    let mut names: Vec<StudyName> = Vec::new();
    for (index, text) in raw.iter().enumerate() {
        let path = format!("strategy.history[{index}]");
        let Some(name) = problems.take(&path, text.parse::<StudyName>()) else {
            continue;
        };
        if names.contains(&name) {
            problems.add(path, format!("{:?} is named twice; remove one", shorten(text)));
        } else if own == Some(&name) {
            let message = format!(
                "{:?} is the name of this study, which has no trials before it begins; remove it, or choose another name",
                shorten(text)
            );
            problems.add(path, message);
        } else {
            names.push(name);
        }
    }
    names
}
