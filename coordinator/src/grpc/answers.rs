//! Answers that took long to compute, kept until there are new results.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tunesmith_common::{StudyId, Timestamp};
use tunesmith_proto::v1;

/// Of results: how many trials have ended, and when the last one did.
pub(super) type Revision = (u64, Option<Timestamp>);

/// What an answer is about: the objective, and the share of the best as bits.
pub(super) type About = (usize, u64);

/// Answers of one study, and studies with answers, that are kept.
const MOST_ANSWERS: usize = 16;
const MOST_STUDIES: usize = 1_000;

/// Answers about which parameters matter.
#[derive(Debug, Default)]
pub struct KeptAnswers(Mutex<HashMap<StudyId, OfStudy>>);

#[derive(Debug, Default)]
struct OfStudy {
    revision: Revision,
    answers: Vec<(About, v1::GetImportanceResponse)>,
}

impl KeptAnswers {
    /// The answer about something, if nothing has ended since it was computed.
    pub(super) fn get(
        &self,
        study: StudyId,
        revision: Revision,
        about: About,
    ) -> Option<v1::GetImportanceResponse> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.get(&study).filter(|known| known.revision == revision)?;
        let found = known.answers.iter().find(|(known, _)| *known == about);
        found.map(|(_, answer)| answer.clone())
    }

    /// Keeps an answer that was computed from the results of a revision.
    pub(super) fn keep(
        &self,
        study: StudyId,
        revision: Revision,
        about: About,
        answer: v1::GetImportanceResponse,
    ) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST_STUDIES && !all.contains_key(&study) {
            all.clear();
        }
        let known = all.entry(study).or_default();
        if known.revision != revision || known.answers.len() >= MOST_ANSWERS {
            *known = OfStudy {
                revision,
                answers: Vec::new(),
            };
        }
        known.answers.push((about, answer));
    }
}
