//! Upkeep: joining chunks, counting points, forgetting old answers.

use tunesmith_common::trial::TrialState;
use tunesmith_common::{Attempt, RequestId, Timestamp, TrialNumber};
use uuid::Uuid;

use super::Fixture;
use super::rows::{assert_same, at, attempt, chunks, points, request, study_id, trial};
use crate::store::{Changes, PRUNED_AT_A_TIME, PointChunk, RequestRow, StoreError};

pub(super) async fn readers_do_not_see_compaction(fixture: &mut Fixture) {
    let mut owner = fixture.study(1).await;
    // Two metrics, interleaved; more points than one chunk may have.
    for batch in 0..60 {
        let first = batch * 100;
        owner
            .commit(chunks([
                points(1, 1, "loss", first, 90),
                points(1, 1, "acc", first + 90, 10),
            ]))
            .await;
    }
    let others = [points(1, 2, "loss", 0, 1), points(1, 2, "loss", 1, 1)];
    owner
        .commit(Changes {
            attempts: vec![attempt(1, 1)],
            ..chunks(others)
        })
        .await;
    let committed = fixture.store.point_committed(owner.id()).await.unwrap();
    let before = fixture
        .store
        .point_list(owner.id(), TrialNumber(1))
        .await
        .unwrap();
    assert_eq!(before.len(), 122);
    for _ in 0..2 {
        owner.compact(1, 1).await;
        let after = fixture
            .store
            .point_list(owner.id(), TrialNumber(1))
            .await
            .unwrap();
        let sizes: Vec<_> = after
            .iter()
            .map(|chunk| (chunk.first_seq, chunk.last_seq, chunk.steps.len()))
            .collect();
        assert_eq!(
            sizes,
            [
                (90, 5_999, 600),
                (0, 4_489, 4_050),
                (4_500, 5_989, 1_350),
                (0, 0, 1),
                (1, 1, 1)
            ]
        );
        assert_same(curve(after), curve(before.clone()));
        assert_eq!(
            fixture.store.point_committed(owner.id()).await.unwrap(),
            committed
        );
    }
}

fn curve(chunks: Vec<PointChunk>) -> Vec<impl PartialEq + std::fmt::Debug> {
    let points = |chunk: PointChunk| {
        let (attempt, metric) = (chunk.attempt, chunk.metric);
        let when = chunk.times.into_iter().zip(chunk.arrivals);
        let values = chunk.steps.into_iter().zip(chunk.values).zip(when);
        values
            .map(move |point| (attempt, metric.clone(), point))
            .collect::<Vec<_>>()
    };
    chunks.into_iter().flat_map(points).collect()
}

pub(super) async fn compaction_cut_off_anywhere_loses_nothing(fixture: &mut Fixture) {
    let mut owner = fixture.study(1).await;
    for first in 0..20 {
        owner.commit(chunks([points(1, 1, "loss", first, 1)])).await;
    }
    let list = async |fixture: &Fixture| {
        let listed = fixture.store.point_list(study_id(1), TrialNumber(1)).await;
        listed.unwrap()
    };
    let before = curve(list(fixture).await);
    for polls in 0..40 {
        {
            let compacting = fixture
                .store
                .point_compact(&owner.ownership, TrialNumber(1), Attempt(1), None);
            let mut compacting = std::pin::pin!(compacting);
            for _ in 0..polls {
                if futures::poll!(compacting.as_mut()).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        assert_same(curve(list(fixture).await), &before);
        owner.commit(Changes::default()).await;
    }
    owner.compact(1, 1).await;
    let after = list(fixture).await;
    assert_eq!(after.len(), 1);
    assert_same(curve(after), &before);
}

pub(super) async fn compaction_by_an_earlier_owner_changes_nothing(fixture: &mut Fixture) {
    let mut owner = fixture.study(1).await;
    for first in 0..3 {
        owner.commit(chunks([points(1, 1, "loss", first, 1)])).await;
    }
    let earlier = owner.ownership;
    owner.ownership = fixture.store.study_take(owner.id()).await.unwrap();
    let compacted = fixture
        .store
        .point_compact(&earlier, TrialNumber(1), Attempt(1), None);
    assert!(matches!(compacted.await, Err(StoreError::NotOwner(_))));
    let count = async |fixture: &Fixture| {
        let listed = fixture.store.point_list(study_id(1), TrialNumber(1)).await;
        listed.unwrap().len()
    };
    assert_eq!(count(fixture).await, 3);
    owner.compact(1, 1).await;
    assert_eq!(count(fixture).await, 1);
    // It is no commit.
    owner.commit(Changes::default()).await;
}

pub(super) async fn an_answer_is_kept_until_its_trials_have_ended(fixture: &mut Fixture) {
    let mut owner = fixture.study(1).await;
    let about = |n: u128, trials: &[u64]| RequestRow {
        trials: trials.iter().copied().map(TrialNumber).collect(),
        ..request(n)
    };
    let rows = [about(1, &[1]), about(2, &[1, 2]), about(3, &[])];
    owner
        .commit(Changes {
            trials: vec![trial(1, TrialState::Completed), trial(2, TrialState::Pending)],
            requests: rows.to_vec(),
            ..Changes::default()
        })
        .await;
    assert_eq!(fixture.store.request_prune(owner.id(), at(99)).await.unwrap(), 2);
    assert_same(
        fixture.store.request_list(owner.id(), at(0)).await.unwrap(),
        &rows[1..2],
    );
    owner
        .commit(Changes {
            trials: vec![trial(2, TrialState::Completed)],
            ..Changes::default()
        })
        .await;
    assert_eq!(fixture.store.request_prune(owner.id(), at(99)).await.unwrap(), 1);
}

pub(super) async fn answers_are_pruned_a_few_at_a_time(fixture: &mut Fixture) {
    let mut owner = fixture.study(1).await;
    let row = |n: u32| RequestRow {
        id: RequestId(Uuid::from_u128(n.into())),
        at: Timestamp::from_micros(n.into()),
        ..request(1)
    };
    owner
        .commit(Changes {
            requests: (0..=PRUNED_AT_A_TIME + 1).map(row).collect(),
            ..Changes::default()
        })
        .await;
    let before = Timestamp::from_micros((PRUNED_AT_A_TIME + 1).into());
    for count in [PRUNED_AT_A_TIME.into(), 1, 0] {
        assert_eq!(
            fixture.store.request_prune(owner.id(), before).await.unwrap(),
            count
        );
    }
    assert_same(
        fixture
            .store
            .request_list(owner.id(), Timestamp::UNIX_EPOCH)
            .await
            .unwrap(),
        [row(PRUNED_AT_A_TIME + 1)],
    );
}
