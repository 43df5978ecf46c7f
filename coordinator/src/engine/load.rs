//! Taking ownership of a study and reading it from the store.

use tunesmith_common::clock::Clock;
use tunesmith_common::{StudyId, Timestamp, TrialNumber};

use crate::decide::{Ctx, Loader, StudyCore};
use crate::store::{Ownership, Store, StoreError};

/// Trials read at a time.
const TRIAL_PAGE: u32 = 20_000;
/// Chunks of points read at a time.
const POINT_PAGE: u32 = 20_000;
/// Trials whose points are read together, apart from those of others. They may have long curves.
const TRIALS_APART: usize = 64;
/// How long answers to calls that may be repeated are remembered.
const REMEMBER: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// Takes the study, so that no other owner can commit any more, and loads it.
///
/// # Errors
/// Those of the store; [`StoreError::Corrupt`] if what is stored is not a study that this version understands.
pub async fn load(
    store: &dyn Store,
    clock: &dyn Clock,
    study: StudyId,
) -> Result<(StudyCore, Ownership), StoreError> {
    let owner = store.study_take(study).await?;
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
    let mut loader = Loader::new(row, owner.commit_seq, &ctx)
        .map_err(|error| StoreError::Corrupt(format!("study {study}: {error}")))?;

    let mut after = TrialNumber(0);
    loop {
        let trials = store.trial_page(study, after, TRIAL_PAGE).await?;
        let Some(last) = trials.last() else { break };
        after = last.number();
        loader.trials(trials, &ctx);
    }
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
    let mut after = TrialNumber(0);
    while !loader.metrics_of_all().is_empty() {
        let runs = store
            .point_page(study, loader.metrics_of_all(), after, POINT_PAGE)
            .await?;
        let Some(last) = runs.last_trial() else { break };
        after = last;
        loader.points_of_all(&runs);
    }
    for metric in loader.unreported() {
        if store.point_exists(study, &metric).await? {
            loader.reported(&metric);
        }
    }
    let since = Timestamp::from_micros(
        ctx.now
            .as_micros()
            .saturating_sub(i64::try_from(REMEMBER.as_micros()).unwrap_or(i64::MAX)),
    );
    loader.requests(store.request_list(study, since).await?);
    Ok((loader.finish(), owner))
}
