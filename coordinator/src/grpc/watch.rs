//! Following a study: its present state, then what is committed.
//!
//! A change of a trial's state is sent as it is; further points of a running trial, and the study's counts, are gathered for a
//! moment, so that a study with many reports costs a watcher little.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tunesmith_common::measurement::MetricName;
use tunesmith_common::{Attempt, StudyId, Timestamp, TrialNumber};
use tunesmith_proto::convert::{timestamp_to_wire, trial_resource};
use tunesmith_proto::v1;
use tunesmith_proto::v1::watch_study_response::Event;

use super::status::ApiError;
use super::view::Legend;
use super::{Api, Messages, view};
use crate::decide::Summary;
use crate::engine::{Committed, EngineHandle};
use crate::store::{StudyState, TrialRow};

/// Messages that wait for a slow watcher.
const WAITING: usize = 64;
/// How long news that can wait are gathered.
const GATHER: Duration = Duration::from_millis(200);

impl Api {
    pub(super) fn watch(&self, engine: &EngineHandle, points: bool) -> Messages<v1::WatchStudyResponse> {
        let (out, messages) = mpsc::channel(WAITING);
        let watcher = Watcher {
            api: self.clone(),
            study: engine.id(),
            out,
            points,
            best: None,
            seen: HashMap::new(),
        };
        // Subscribed before the present state is read, so that nothing falls between.
        let commits = engine.watch();
        // The handle itself is not kept: it would keep the engine of a deleted study.
        let first = self.first_summary(engine);
        self.tasks.spawn(async move {
            let out = watcher.out.clone();
            let ended = tokio::select! {
                () = out.closed() => Ok(()),
                () = watcher.api.draining.clone().cancelled_owned() => Err(ApiError::Unavailable("the coordinator is stopping")),
                ended = watcher.run(first, commits) => ended,
            };
            if let Err(error) = ended {
                // A watcher that does not read any more learns it from the end of the stream.
                let _ = tokio::time::timeout(Duration::from_secs(1), out.send(Err(error.into()))).await;
            }
        });
        Box::pin(ReceiverStream::new(messages))
    }

    fn first_summary(
        &self,
        engine: &EngineHandle,
    ) -> impl Future<Output = Result<Summary, ApiError>> + Send + use<> {
        let engine = engine.clone();
        async move { Ok(engine.call(|core, _, ctx| Ok(core.summary(ctx))).await?) }
    }
}

struct Watcher {
    api: Api,
    study: StudyId,
    out: mpsc::Sender<Result<v1::WatchStudyResponse, Status>>,
    points: bool,
    /// The best trial as it was sent last.
    best: Option<TrialRow>,
    /// State and attempt of each living trial as they were sent last.
    seen: HashMap<TrialNumber, (&'static str, Attempt)>,
}

/// News that can wait for a moment.
#[derive(Default)]
struct Gathered {
    trials: BTreeMap<TrialNumber, (u64, Timestamp, TrialRow)>,
    study: Option<(u64, Timestamp, Arc<Summary>)>,
    due: Option<Instant>,
}

impl Watcher {
    async fn run(
        mut self,
        first: impl Future<Output = Result<Summary, ApiError>>,
        mut commits: broadcast::Receiver<Committed>,
    ) -> Result<(), ApiError> {
        let first = first.await?;
        let objectives = first
            .study
            .spec
            .objective
            .iter()
            .map(|objective| objective.metric.parse());
        let objectives: Vec<MetricName> = objectives
            .collect::<Result<_, _>>()
            .map_err(|error| ApiError::Internal(format!("stored study with a malformed metric: {error}")))?;
        let started_at = first.revision;
        self.send_study(started_at, first.study.updated_at, &first)
            .await?;
        if is_over(&first) {
            return Ok(());
        }
        let mut gathered = Gathered::default();
        loop {
            let committed = tokio::select! {
                committed = commits.recv() => Some(committed),
                () = until(gathered.due) => None,
            };
            match committed {
                None => self.flush(&mut gathered).await?,
                Some(Ok(committed)) if committed.revision <= started_at => {}
                Some(Ok(committed)) => {
                    self.take(&committed, &objectives, &mut gathered).await?;
                    if is_over(&committed.summary) {
                        return self.flush(&mut gathered).await;
                    }
                }
                Some(Err(RecvError::Lagged(missed))) => {
                    let message = format!(
                        "{missed} commits were missed because they were read too slowly; watch again"
                    );
                    return Err(ApiError::OutOfRange(message));
                }
                Some(Err(RecvError::Closed)) => {
                    return Err(ApiError::Unavailable(
                        "the study was deleted or moved; watch again",
                    ));
                }
            }
        }
    }

    async fn take(
        &mut self,
        committed: &Committed,
        objectives: &[MetricName],
        gathered: &mut Gathered,
    ) -> Result<(), ApiError> {
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
                gathered.trials.insert(row.number, (revision, at, row.clone()));
            } else {
                gathered.trials.remove(&row.number);
                let trial = view::trial(&legend, row);
                self.send(revision, at, Event::Trial(trial)).await?;
            }
        }
        for chunk in committed
            .changes
            .points
            .iter()
            .filter(|chunk| self.points && objectives.contains(&chunk.metric))
        {
            let trial = trial_resource(&study.name, chunk.trial);
            let points = Some(view::points(chunk));
            self.send(revision, at, Event::Points(v1::TrialPoints { trial, points }))
                .await?;
        }
        let before = gathered
            .study
            .replace((revision, at, Arc::clone(&committed.summary)));
        let state_changed =
            before.is_none_or(|(_, _, before)| before.study.state != committed.summary.study.state);
        if state_changed && committed.changes.study.is_some() {
            self.flush(gathered).await?;
        }
        gathered.due.get_or_insert_with(|| Instant::now() + GATHER);
        Ok(())
    }

    async fn flush(&mut self, gathered: &mut Gathered) -> Result<(), ApiError> {
        let Gathered { trials, study, .. } = std::mem::take(gathered);
        // Where trials are gathered, so is the study.
        if let Some((revision, at, summary)) = study {
            let legend = Legend::of_row(&summary.study);
            for (revision, at, row) in trials.into_values() {
                let trial = view::trial(&legend, &row);
                self.send(revision, at, Event::Trial(trial)).await?;
            }
            self.send_study(revision, at, &summary).await?;
        }
        Ok(())
    }

    async fn send_study(&mut self, revision: u64, at: Timestamp, summary: &Summary) -> Result<(), ApiError> {
        let best = summary.best.map(|(number, _)| number);
        if self.best.as_ref().map(|row| row.number) != best {
            self.best = self.api.best_row(self.study, best).await?;
        }
        let pending = self.api.pool().pending_reason(self.study);
        let study = v1::Study {
            revision,
            ..view::study(&self.api.terms, summary, self.best.as_ref(), pending)
        };
        self.send(revision, at, Event::Study(study)).await
    }

    async fn send(&self, revision: u64, at: Timestamp, event: Event) -> Result<(), ApiError> {
        let message = v1::WatchStudyResponse {
            revision,
            committed_at: Some(timestamp_to_wire(at)),
            event: Some(event),
        };
        // Its reader has gone: the task is about to be ended by that.
        let _ = self.out.send(Ok(message)).await;
        Ok(())
    }
}

/// Nothing more will happen unless somebody resumes the study.
fn is_over(summary: &Summary) -> bool {
    matches!(summary.study.state, StudyState::Done(_) | StudyState::Archived(_))
        && summary.counts.alive() == 0
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
