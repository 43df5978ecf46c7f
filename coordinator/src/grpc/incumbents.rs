//! How the best value of a study came about. Reads what is stored page by page, and keeps a few numbers of each trial that has ended, so
//! that the next who asks waits only for what is new.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use tunesmith_common::study::StudySpec;
use tunesmith_common::{StudyId, Timestamp, TrialNumber};
use tunesmith_proto::v1;

use super::Api;
use super::status::ApiError;
use super::studies::stored_study;
use super::view;
use crate::store::{End, EndedTrial, Store, StoreError, StoredTrial};

/// Trials read at a time.
const PAGE: u32 = 5_000;
/// Other results that one answer has at most.
const MOST_SAMPLED: u32 = 5_000;
/// Trials of all studies that are kept, of 40 bytes each.
const MOST_KEPT: usize = 2_000_000;
/// Trials that are looked at again one by one; if there are more, all are read anew.
const MOST_OPEN: usize = 500;

/// What is kept of a trial that has ended.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ended {
    trial: TrialNumber,
    ended_at: Timestamp,
    end: End,
    /// Its value, if it counts.
    value: Option<f64>,
}

impl Api {
    pub(super) async fn incumbents(
        &self,
        request: &v1::ListIncumbentsRequest,
    ) -> Result<v1::ListIncumbentsResponse, ApiError> {
        if request.sample > MOST_SAMPLED {
            let message = format!("must be at most {MOST_SAMPLED}, got {}", request.sample);
            return Err(ApiError::invalid("sample", message));
        }
        let row = stored_study(self, &request.name, "name").await?;
        let spec = StudySpec::try_from(row.spec)?;
        // Whoever asks about the same study meanwhile waits for this reading and not for one of their own.
        let kept = self.results.of(row.id);
        let mut read = kept.lock().await;
        read.catch_up(&**self.store(), row.id, &spec).await?;
        let sample = usize::try_from(request.sample).unwrap_or(usize::MAX);
        Ok(answer(&spec, &read.ended, sample))
    }
}

/// What was read of studies before: trials that have ended stay as they are, but for those whose time was up and that may get more.
#[derive(Debug, Default)]
pub struct KeptResults(Mutex<HashMap<StudyId, Arc<tokio::sync::Mutex<Read>>>>);

impl KeptResults {
    pub(super) fn of(&self, study: StudyId) -> Arc<tokio::sync::Mutex<Read>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let size = |read: &Arc<tokio::sync::Mutex<Read>>| read.try_lock().map_or(0, |read| read.ended.len());
        if all.values().map(size).sum::<usize>() > MOST_KEPT {
            // Those that somebody is reading right now live on for as long.
            all.clear();
        }
        Arc::clone(all.entry(study).or_default())
    }
}

/// What was read of one study.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// By when they ended.
    ended: Vec<Ended>,
    /// Trials that had not ended, or may go on.
    open: BTreeSet<TrialNumber>,
    /// The highest number.
    last: u64,
    /// What was computed from the results of a revision.
    computed: (Revision, Vec<KeptAnswer>),
}

/// Of results: how many there are, and when the last one came.
pub(super) type Revision = Option<(usize, Timestamp)>;

/// An answer that was computed before.
#[derive(Debug)]
pub(super) struct KeptAnswer {
    /// The objective, and the share of the best as bits.
    pub(super) about: (usize, u64),
    pub(super) answer: v1::GetImportanceResponse,
}

/// Answers that are kept of one study.
const MOST_ANSWERS: usize = 16;

impl Read {
    /// Trials that have ended.
    pub(super) fn ended(&self) -> u64 {
        number(self.ended.len())
    }

    pub(super) fn revision(&self) -> Revision {
        self.ended.last().map(|last| (self.ended.len(), last.ended_at))
    }

    /// The answer about something, if nothing has ended since it was computed.
    pub(super) fn importance(&self, about: (usize, u64)) -> Option<v1::GetImportanceResponse> {
        let (revision, answers) = &self.computed;
        let known = answers.iter().find(|known| known.about == about);
        known
            .filter(|_| *revision == self.revision())
            .map(|known| known.answer.clone())
    }

    /// Keeps an answer that was computed from the results of a revision.
    pub(super) fn keep(&mut self, revision: Revision, answer: KeptAnswer) {
        if self.computed.0 != revision || self.computed.1.len() >= MOST_ANSWERS {
            self.computed = (revision, Vec::new());
        }
        self.computed.1.push(answer);
    }

    /// Reads what is new. Wherever it is cut off, it goes on from there the next time.
    pub(super) async fn catch_up(
        &mut self,
        store: &dyn Store,
        study: StudyId,
        spec: &StudySpec,
    ) -> Result<(), StoreError> {
        if self.open.len() > MOST_OPEN {
            *self = Self::default();
        }
        for number in self.open.clone() {
            let page = store
                .trial_page(study, TrialNumber(number.0.saturating_sub(1)), 1)
                .await?;
            self.add(spec, page);
        }
        loop {
            let page = store.trial_page(study, TrialNumber(self.last), PAGE).await?;
            if page.is_empty() {
                break;
            }
            self.add(spec, page);
        }
        self.ended.sort_by_key(|result| (result.ended_at, result.trial));
        Ok(())
    }

    fn add(&mut self, spec: &StudySpec, page: Vec<StoredTrial>) {
        for trial in page {
            let number = trial.number();
            self.last = self.last.max(number.0);
            if self.open.remove(&number) {
                self.ended.retain(|known| known.trial != number);
            }
            match trial {
                StoredTrial::Ended(trial) => {
                    let has_checkpoint = trial
                        .stages
                        .as_ref()
                        .is_some_and(|stages| stages.checkpoint.is_some());
                    if trial.end == End::TimedOut && has_checkpoint {
                        self.open.insert(number);
                    }
                    self.ended.push(result(spec, &trial));
                }
                StoredTrial::Living(_) => {
                    self.open.insert(number);
                }
            }
        }
    }
}

fn result(spec: &StudySpec, trial: &EndedTrial) -> Ended {
    let counts = matches!(trial.end, End::Completed | End::EarlyStopped | End::TimedOut);
    let mut bounds = spec
        .measured_constraints
        .iter()
        .zip(trial.more_values.iter().skip(spec.more_objectives.len()));
    let keeps =
        bounds.all(|(constraint, value)| value.is_some_and(|value| constraint.bound.violation(value) <= 0.0));
    Ended {
        trial: trial.number,
        ended_at: trial.ended_at,
        end: trial.end,
        value: trial.value.filter(|value| counts && keeps && value.is_finite()),
    }
}

/// Sorts out which trials were the best when they ended.
fn answer(spec: &StudySpec, ended: &[Ended], sample: usize) -> v1::ListIncumbentsResponse {
    let mut best: Option<f64> = None;
    let (mut incumbents, mut others) = (v1::Results::default(), Vec::new());
    for (index, result) in ended.iter().enumerate() {
        let Some(value) = result.value else { continue };
        if best.is_none_or(|best| spec.objective.goal.better(value, best)) {
            best = Some(value);
            add(&mut incumbents, index, result);
        } else {
            others.push(index);
        }
    }
    let mut sampled = v1::Results::default();
    let count = sample.min(others.len());
    for place in 0..count {
        let index = others[place * others.len() / count];
        add(&mut sampled, index, &ended[index]);
    }
    v1::ListIncumbentsResponse {
        results: number(incumbents.trial.len() + others.len()),
        ended: number(ended.len()),
        incumbents: Some(incumbents),
        sample: Some(sampled),
    }
}

fn add(results: &mut v1::Results, index: usize, result: &Ended) {
    results.trial.push(result.trial.0);
    results.ended.push(number(index + 1));
    results.ended_at_micros.push(result.ended_at.as_micros());
    results.value.push(result.value.unwrap_or(f64::NAN));
    results.state.push(view::ended(result.end).into());
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use tunesmith_common::checkpoint::{Checkpoint, Stages};
    use tunesmith_common::decision::Origin;
    use tunesmith_common::study::StudyFile;
    use tunesmith_common::{Attempt, CheckpointStoreId, Params};
    use uuid::Uuid;

    use super::*;
    use crate::store::contract::rows::pending;

    fn ended(end: End, value: f64, at: i64, has_checkpoint: bool) -> StoredTrial {
        let checkpoint = Checkpoint {
            store: CheckpointStoreId(Uuid::nil()),
            trial: TrialNumber(1),
            attempt: Attempt(1),
            step: 5,
            bytes: 0,
            files: 0,
            digest: String::new(),
        };
        let stages = Stages {
            checkpoint: Some(checkpoint),
            ..Stages::default()
        };
        StoredTrial::Ended(EndedTrial {
            number: TrialNumber(1),
            end,
            params: Params::new(),
            value: Some(value),
            more_values: Box::default(),
            last_step: Some(5),
            stages: Some(Box::new(stages)).filter(|_| has_checkpoint),
            origin: Origin::Strategy,
            cursor: None,
            ended_at: Timestamp::from_micros(at),
        })
    }

    #[test]
    fn a_trial_whose_time_was_up_is_looked_at_again_as_long_as_it_may_go_on() {
        let file =
            "name: s\nobjective: {metric: acc, goal: maximize}\nspace: {x: {type: float, low: 0, high: 1}}\n";
        let (_, spec) = StudyFile::parse(file, "s.yaml").unwrap();
        let values = |read: &Read| {
            read.ended
                .iter()
                .filter_map(|result| result.value)
                .collect::<Vec<f64>>()
        };
        let mut read = Read::default();
        read.add(&spec, vec![ended(End::TimedOut, 0.5, 1, true)]);
        assert_eq!((values(&read), read.open.len()), (vec![0.5], 1));
        read.add(&spec, vec![StoredTrial::Living(Box::new(pending(1)))]);
        assert_eq!((values(&read), read.open.len()), (vec![], 1));
        read.add(&spec, vec![ended(End::Completed, 0.9, 2, true)]);
        assert_eq!((values(&read), read.open.len()), (vec![0.9], 0));

        let mut read = Read::default();
        read.add(&spec, vec![ended(End::TimedOut, 0.5, 1, false)]);
        assert!(read.open.is_empty(), "it has nothing to go on from");
    }
}
