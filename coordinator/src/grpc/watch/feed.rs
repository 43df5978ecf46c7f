//! Makes the news of a study for all who watch it.
//!
//! A change of a trial's state is told as it is; points, further news of a running trial, and the study's counts are gathered for a moment, so
//! that a study with many reports costs little.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tunesmith_common::measurement::MetricName;
use tunesmith_common::{Attempt, StudyId, Timestamp, TrialNumber};
use tunesmith_proto::convert::trial_resource;
use tunesmith_proto::v1;
use tunesmith_proto::v1::watch_study_response::Event;

use super::news::News;
use super::{Told, message};
use crate::decide::Summary;
use crate::engine::Committed;
use crate::grpc::view::Legend;
use crate::grpc::{Api, view};
use crate::store::{StudyState, TrialRow};

/// How long points are gathered, and news of which only the last counts.
const GATHER_POINTS: Duration = Duration::from_millis(100);
const GATHER: Duration = Duration::from_millis(200);

/// Follows one study, for as long as anybody watches it.
pub(super) struct Feed {
    pub(super) api: Api,
    pub(super) study: StudyId,
    pub(super) out: broadcast::Sender<Told>,
    /// The best trial as it was told last.
    best: Option<TrialRow>,
    /// State and attempt of each living trial as they were told last.
    seen: HashMap<TrialNumber, (&'static str, Attempt)>,
    /// The study's state as it was told last.
    state: Option<StudyState>,
    gathered: Gathered,
    /// To be told together.
    ready: Vec<v1::WatchStudyResponse>,
}

/// News that can wait for a moment.
#[derive(Default)]
struct Gathered {
    points: Vec<v1::WatchStudyResponse>,
    points_due: Option<Instant>,
    trials: BTreeMap<TrialNumber, (u64, Timestamp, TrialRow)>,
    study: Option<(u64, Timestamp, Arc<Summary>)>,
    due: Option<Instant>,
}

impl Feed {
    pub(super) fn new(api: Api, study: StudyId, out: broadcast::Sender<Told>) -> Self {
        Self {
            api,
            study,
            out,
            best: None,
            seen: HashMap::new(),
            state: None,
            gathered: Gathered::default(),
            ready: Vec::new(),
        }
    }

    /// Until the study is over, or nobody watches any more.
    pub(super) async fn run(mut self, mut commits: broadcast::Receiver<Committed>) {
        let draining = self.api.draining.clone();
        let out = self.out.clone();
        loop {
            let committed = tokio::select! {
                committed = commits.recv() => committed,
                () = until(self.gathered.points_due) => {
                    self.flush_points();
                    self.tell(false);
                    continue;
                }
                () = until(self.gathered.due) => {
                    self.flush().await;
                    self.tell(false);
                    continue;
                }
                () = out.closed() => {
                    if self.api.feeds.forget_unwatched(self.study, &out) {
                        return;
                    }
                    continue;
                }
                () = draining.cancelled() => return,
            };
            let failed = match committed {
                Ok(committed) => {
                    self.take(&committed).await;
                    if is_over(&committed.summary) {
                        self.flush().await;
                        // Whoever comes from now on begins anew.
                        self.api.feeds.forget(self.study);
                        self.tell(true);
                        return;
                    }
                    self.tell(false);
                    continue;
                }
                Err(RecvError::Lagged(missed)) => Told::Missed(missed),
                Err(RecvError::Closed) => Told::Gone,
            };
            self.api.feeds.forget(self.study);
            let _ = out.send(failed);
            return;
        }
    }

    async fn take(&mut self, committed: &Committed) {
        let (revision, at) = (committed.revision, committed.at);
        let study = &committed.summary.study;
        let legend = Legend::of_row(study);
        for row in &committed.changes.trials {
            let state = (row.state.name(), row.attempt);
            let known = if row.state.is_final() {
                self.seen.remove(&row.number);
                None
            } else {
                self.seen.insert(row.number, state)
            };
            if known == Some(state) {
                let waits = (revision, at, row.clone());
                self.gathered.trials.insert(row.number, waits);
            } else {
                self.gathered.trials.remove(&row.number);
                // What it reported before is told before.
                self.flush_points();
                let trial = view::trial(&legend, row);
                self.ready.push(message(revision, at, Event::Trial(trial)));
            }
        }
        let objectives = &study.spec.objective;
        let is_objective = |metric: &MetricName| {
            objectives
                .iter()
                .any(|objective| objective.metric == metric.as_str())
        };
        for chunk in &committed.changes.points {
            if is_objective(&chunk.metric) {
                let trial = trial_resource(&study.name, chunk.trial);
                let points = Some(view::points(chunk));
                let points = Event::Points(v1::TrialPoints { trial, points });
                self.gathered.points.push(message(revision, at, points));
                self.gathered
                    .points_due
                    .get_or_insert_with(|| Instant::now() + GATHER_POINTS);
            }
        }
        self.gathered.study = Some((revision, at, Arc::clone(&committed.summary)));
        self.gathered.due.get_or_insert_with(|| Instant::now() + GATHER);
        if self.state != Some(study.state) && committed.changes.study.is_some() {
            self.state = Some(study.state);
            self.flush().await;
        }
    }

    fn flush_points(&mut self) {
        self.gathered.points_due = None;
        self.ready.append(&mut self.gathered.points);
    }

    async fn flush(&mut self) {
        self.flush_points();
        let Gathered { trials, study, .. } = std::mem::take(&mut self.gathered);
        // Where trials are gathered, so is the study.
        let Some((revision, at, summary)) = study else {
            return;
        };
        let legend = Legend::of_row(&summary.study);
        for (revision, at, row) in trials.into_values() {
            let trial = view::trial(&legend, &row);
            self.ready.push(message(revision, at, Event::Trial(trial)));
        }
        let best = summary.best.map(|(number, _)| number);
        if self.best.as_ref().map(|row| row.number) != best
            && let Ok(row) = self.api.best_row(self.study, best).await
        {
            self.best = row;
        }
        let study = study_view(&self.api, self.study, revision, &summary, self.best.as_ref());
        self.ready.push(message(revision, at, Event::Study(study)));
    }

    /// Tells what is ready.
    fn tell(&mut self, is_last: bool) {
        if is_last || !self.ready.is_empty() {
            let news = News::new(std::mem::take(&mut self.ready), is_last);
            // Nobody may be there any more.
            let _ = self.out.send(Told::News(Arc::new(news)));
        }
    }
}

/// A study as of a revision.
pub(super) fn study_view(
    api: &Api,
    study: StudyId,
    revision: u64,
    summary: &Summary,
    best: Option<&TrialRow>,
) -> v1::Study {
    let pending = api.pool().pending_reason(study);
    v1::Study {
        revision,
        ..view::study(&api.terms, summary, best, pending)
    }
}

/// Nothing more will happen unless somebody resumes the study.
pub(super) fn is_over(summary: &Summary) -> bool {
    matches!(summary.study.state, StudyState::Done(_) | StudyState::Archived(_))
        && summary.counts.alive() == 0
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
