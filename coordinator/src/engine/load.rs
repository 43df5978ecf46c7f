//! Taking ownership of a study and reading it from the store.

use tunesmith_common::clock::Clock;
use tunesmith_common::{StudyId, TrialNumber};

use super::upkeep::remembered_since;
use crate::crash::crash_point;
use crate::decide::{Ctx, Loader, StudyCore};
use crate::store::{Ownership, Store, StoreError};

/// Trials read at a time.
const TRIAL_PAGE: u32 = 20_000;
/// Chunks of points read at a time.
const POINT_PAGE: u32 = 20_000;

/// Takes the study, so that no other owner can commit any more, and loads it.
///
/// # Errors
/// Those of the store; [`StoreError::Corrupt`] if what is stored is not a study that this version understands.
pub async fn load(
    store: &dyn Store,
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
    let mut loader = Loader::new(row, owner.commit_seq, &ctx)
        .map_err(|error| StoreError::Corrupt(format!("study {study}: {error}")))?;

    let mut after = TrialNumber(0);
    let mut alive = Vec::new();
    loop {
        let rows = store.trial_page(study, after, TRIAL_PAGE).await?;
        let Some(last) = rows.last() else { break };
        after = last.number;
        alive.extend(
            rows.iter()
                .filter(|row| !row.state.is_final())
                .map(|row| row.number),
        );
        loader.trials(rows, &ctx);
    }
    crash_point!(TrialsLoaded);
    let attempts = store.attempt_list_open(study).await?;
    let committed = store.point_committed(study).await?;
    loader.attempts(attempts, &committed, &ctx);

    if loader.wants_all_points() {
        for &number in &alive {
            loader.decisions(&store.decision_list(study, number).await?);
        }
        let metrics = loader.wanted_metrics();
        let mut after = TrialNumber(0);
        loop {
            let chunks = store.point_page(study, &metrics, after, POINT_PAGE).await?;
            let Some(last) = chunks.last() else { break };
            after = last.trial;
            loader.points(&chunks);
        }
    } else {
        for number in alive {
            loader.points(&store.point_list(study, number).await?);
        }
    }
    let since = remembered_since(ctx.now);
    let oldest = loader.alive_since().map_or(since, |at| at.min(since));
    loader.requests(store.request_list(study, oldest).await?, since);
    crash_point!(Loaded);
    Ok((loader.finish(), owner))
}

#[cfg(test)]
mod tests;
