//! Taking ownership of a study and reading it from the store.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tunesmith_common::clock::Clock;
use tunesmith_common::measurement::MetricName;
use tunesmith_common::{StudyId, TrialNumber};

use super::upkeep::remembered_since;
use crate::crash::crash_point;
use crate::decide::{Ctx, Loader, StudyCore};
use crate::store::{Ownership, PointRuns, Store, StoreError, StoredTrial};

/// Trials read at a time.
const TRIAL_PAGE: u32 = 20_000;
/// Chunks of points read at a time. Each may have thousands of points.
const POINT_PAGE: u32 = 2_000;
/// Trials whose points are read together, apart from those of others. They may have long curves.
const TRIALS_APART: usize = 64;

/// Takes the study, so that no other owner can commit any more, and loads it.
///
/// # Errors
/// Those of the store; [`StoreError::Corrupt`] if what is stored is not a study that this version understands.
pub async fn load(
    store: &Arc<dyn Store>,
    clock: &dyn Clock,
    study: StudyId,
) -> Result<(StudyCore, Ownership), StoreError> {
    crash_point!(BeforeTake);
    let owner = store.study_take(study).await?;
    crash_point!(Taken);
    let row = store
        .study_fetch(study)
        .await?
        .ok_or_else(|| StoreError::NotFound(format!("study {study}")))?;
    let mut random = || 0; // loading draws no lease ids
    let ctx = Ctx {
        now: clock.now(),
        mono: clock.monotonic(),
        random: &mut random,
    };
    let has_rules = !row.spec.early_stopping.is_empty();
    let knows_others = !row.lineage.history.is_empty();
    let mut loader = Loader::new(row, owner.commit_seq, &ctx)
        .map_err(|error| StoreError::Corrupt(format!("study {study}: {error}")))?;

    if knows_others {
        loader.history(store.history_list(study).await?);
    }
    let mut trials = Pages::read_ahead(
        {
            let store = Arc::clone(store);
            move |after| {
                let store = Arc::clone(&store);
                async move { store.trial_page(study, after, TRIAL_PAGE).await }
            }
        },
        |trials: &Vec<StoredTrial>| trials.last().map(StoredTrial::number),
    );
    while let Some(trials) = trials.next().await? {
        loader.trials(trials, &ctx);
    }
    crash_point!(TrialsLoaded);
    let attempts = store.attempt_list_open(study).await?;
    let committed = store.point_committed(study).await?;
    loader.attempts(attempts, &committed, &ctx);
    if has_rules {
        for number in loader.living_trials() {
            loader.decisions(&store.decision_list(study, number).await?);
        }
    }
    for numbers in loader.trials_apart().chunks(TRIALS_APART) {
        let runs = store.point_runs(study, loader.metrics(), numbers).await?;
        loader.points(&runs);
    }
    if !loader.metrics_of_all().is_empty() {
        let metrics: Arc<[MetricName]> = loader.metrics_of_all().into();
        let mut points = Pages::read_ahead(
            {
                let store = Arc::clone(store);
                move |after| {
                    let (store, metrics) = (Arc::clone(&store), Arc::clone(&metrics));
                    async move { store.point_page(study, &metrics, after, POINT_PAGE).await }
                }
            },
            PointRuns::last_trial,
        );
        while let Some(runs) = points.next().await? {
            loader.points_of_all(&runs);
        }
    }
    for metric in loader.unreported() {
        if store.point_exists(study, &metric).await? {
            loader.reported(&metric);
        }
    }
    let since = remembered_since(ctx.now);
    let oldest = loader.alive_since().map_or(since, |at| at.min(since));
    loader.requests(store.request_list(study, oldest).await?, since);
    crash_point!(Loaded);
    Ok((loader.finish(), owner))
}

/// Pages of rows, read in a task of its own: the next one comes while one is taken in.
struct Pages<T> {
    pages: mpsc::Receiver<Result<T, StoreError>>,
    reader: JoinSet<()>,
}

impl<T: Send + 'static> Pages<T> {
    /// Pages that wait.
    const WAITING: usize = 1;

    /// `read` reads the page after a trial; `last` is the last trial of a page, if it is not empty.
    fn read_ahead<F>(
        read: impl Fn(TrialNumber) -> F + Send + 'static,
        last: impl Fn(&T) -> Option<TrialNumber> + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let (sender, pages) = mpsc::channel(Self::WAITING);
        let mut reader = JoinSet::new();
        reader.spawn(async move {
            let mut after = TrialNumber(0);
            loop {
                let page = read(after).await;
                let end = page.as_ref().map(&last);
                match end {
                    Ok(Some(end)) => after = end,
                    Ok(None) => break,
                    Err(_) => {}
                }
                let failed = page.is_err();
                // Nobody takes it any more if loading has failed.
                if sender.send(page).await.is_err() || failed {
                    break;
                }
            }
        });
        Self { pages, reader }
    }

    /// The next page; none after the last one.
    async fn next(&mut self) -> Result<Option<T>, StoreError> {
        if let Some(page) = self.pages.recv().await {
            return page.map(Some);
        }
        match self.reader.join_next().await {
            Some(Err(error)) => Err(StoreError::Unavailable {
                context: "read a study".to_owned(),
                source: Some(Box::new(error)),
            }),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests;
