//! Lists: orders, pages, filters.

use std::sync::Arc;

use tunesmith_common::checkpoint::Stages;
use tunesmith_common::decision::{Origin, Provenance};
use tunesmith_common::trial::TrialState;
use tunesmith_common::{Attempt, Params, StudyId, Timestamp, TrialNumber};

use super::rows::{
    all_states, assert_same, at, attempt, audit, chunks, pending, points, study_id, token, trial, trials,
    worker,
};
use super::{Fixture, all};
use crate::store::{
    AttemptRow, Changes, End, EndedTrial, Ownership, PointChunk, PointRun, PointRuns, Store, StoreError,
    StoredTrial, TokenKind, TokenRow, TrialOrder, TrialQuery, TrialRow, WorkerRow,
};

/// Everything that a study can have is empty.
pub(super) async fn assert_empty(store: &Arc<dyn Store>, study: StudyId) {
    assert_same(store.trial_list(study, &all()).await.unwrap(), [(); 0]);
    assert_same(store.trial_page(study, TrialNumber(0), 9).await.unwrap(), [(); 0]);
    assert_same(
        store.trial_fetch(study, TrialNumber(1)).await.unwrap(),
        None::<()>,
    );
    assert_same(store.trial_counts(study).await.unwrap(), [(); 0]);
    assert_same(store.attempt_list(study, TrialNumber(1)).await.unwrap(), [(); 0]);
    assert_same(store.attempt_list_open(study).await.unwrap(), [(); 0]);
    assert_same(store.decision_list(study, TrialNumber(1)).await.unwrap(), [(); 0]);
    assert_same(store.decision_list_all(study).await.unwrap(), [(); 0]);
    assert_same(
        store.request_list(study, Timestamp::UNIX_EPOCH).await.unwrap(),
        [(); 0],
    );
    assert_eq!(store.request_prune(study, at(99)).await.unwrap(), 0);
    assert_same(store.point_list(study, TrialNumber(1)).await.unwrap(), [(); 0]);
    let metrics = ["loss".parse().unwrap()];
    let none = PointRuns::default();
    assert_eq!(
        store
            .point_page(study, &metrics, TrialNumber(0), 9)
            .await
            .unwrap(),
        none
    );
    assert_eq!(
        store
            .point_runs(study, &metrics, &[TrialNumber(1)])
            .await
            .unwrap(),
        none
    );
    assert!(!store.point_exists(study, &metrics[0]).await.unwrap());
    assert_same(store.point_committed(study).await.unwrap(), [(); 0]);
    assert_same(store.point_count(study, TrialNumber(1)).await.unwrap(), [(); 0]);
    let nobody = Ownership {
        study,
        epoch: 999,
        commit_seq: 0,
    };
    let compacted = store.point_compact(&nobody, TrialNumber(1), Attempt(1), None);
    assert!(matches!(compacted.await, Err(StoreError::NotOwner(_))));
}

pub(super) async fn a_study_that_is_not_there_has_nothing(fixture: &mut Fixture) {
    assert_empty(&fixture.store, study_id(1)).await;
    fixture
        .store
        .study_delete(study_id(1), &audit("studies/x", 1))
        .await
        .unwrap();
    assert_same(fixture.store.audit_list("", 9).await.unwrap(), [(); 0]);
}

pub(super) async fn trials_are_ranked_with_those_without_a_finite_value_last(fixture: &mut Fixture) {
    let mut owner = fixture.study(1).await;
    let values = [
        Some(f64::NAN),
        Some(2.0),
        None,
        Some(f64::NEG_INFINITY),
        Some(-1.0),
        Some(f64::INFINITY),
        Some(2.0),
        Some(1e300),
        Some(-1e300),
    ];
    owner
        .commit(trials((1..).zip(values).map(|(number, value)| {
            crate::store::TrialRow {
                value,
                ..pending(number)
            }
        })))
        .await;
    let numbers = async |order, offset, limit| {
        let query = TrialQuery {
            order,
            offset,
            limit,
            ..TrialQuery::default()
        };
        let rows = fixture.store.trial_list(study_id(1), &query).await.unwrap();
        rows.into_iter().map(|row| row.number.0).collect::<Vec<_>>()
    };
    assert_eq!(
        numbers(TrialOrder::Number, 0, 99).await,
        [1, 2, 3, 4, 5, 6, 7, 8, 9]
    );
    assert_eq!(numbers(TrialOrder::Newest, 2, 4).await, [7, 6, 5, 4]);
    assert_eq!(
        numbers(TrialOrder::BestMinimize, 0, 99).await,
        [9, 5, 2, 7, 8, 1, 3, 4, 6]
    );
    assert_eq!(
        numbers(TrialOrder::BestMaximize, 0, 99).await,
        [8, 2, 7, 5, 9, 1, 3, 4, 6]
    );
    assert_eq!(numbers(TrialOrder::BestMaximize, 1, 3).await, [2, 7, 5]);
}

pub(super) async fn trials_are_filtered_and_paged(fixture: &mut Fixture) {
    let mut owner = fixture.study(1).await;
    let state = |number| {
        if number % 3 == 0 {
            TrialState::Completed
        } else {
            TrialState::Pending
        }
    };
    owner
        .commit(trials((1..=10).map(|number| trial(number, state(number)))))
        .await;
    let list = async |states: &[&'static str], offset, limit| {
        let query = TrialQuery {
            states: states.to_vec(),
            offset,
            limit,
            order: TrialOrder::Number,
        };
        let rows = fixture.store.trial_list(study_id(1), &query).await.unwrap();
        rows.into_iter().map(|row| row.number.0).collect::<Vec<_>>()
    };
    assert_eq!(list(&["COMPLETED"], 0, 99).await, [3, 6, 9]);
    assert_eq!(list(&["COMPLETED", "PENDING"], 2, 3).await, [3, 4, 5]);
    assert_eq!(list(&["FAILED"], 0, 99).await, [0; 0]);
    assert_eq!(list(&[], 8, 99).await, [9, 10]);
    assert_eq!(list(&[], 0, 0).await, [0; 0]);
    let page = async |after, limit| {
        let rows = fixture
            .store
            .trial_page(study_id(1), TrialNumber(after), limit)
            .await
            .unwrap();
        rows.iter().map(|row| row.number().0).collect::<Vec<_>>()
    };
    assert_eq!(page(0, 4).await, [1, 2, 3, 4]);
    assert_eq!(page(4, 99).await, [5, 6, 7, 8, 9, 10]);
    assert_eq!(page(10, 99).await, [0; 0]);
}

pub(super) async fn points_are_ordered_by_attempt_metric_and_sequence(fixture: &mut Fixture) {
    let mut owner = fixture.study(1).await;
    let ordered = [
        points(1, 1, "Zoo", 7, 1),
        points(1, 1, "a b", 0, 2),
        points(1, 1, "a b", 9, 1),
        points(1, 1, "a b", 10, 1),
        points(1, 1, "a-b", 2, 1),
        points(1, 1, "a/b", 3, 1),
        points(1, 2, "_", 0, 1),
        points(1, 2, "a", 1, 1),
        points(1, 10, "a", 0, 1),
    ];
    let mut shuffled = ordered.to_vec();
    shuffled.reverse();
    shuffled.swap(1, 6);
    shuffled.push(points(2, 1, "a", 0, 1));
    owner.commit(chunks(shuffled)).await;
    assert_same(
        fixture
            .store
            .point_list(owner.id(), TrialNumber(1))
            .await
            .unwrap(),
        &ordered,
    );
}

pub(super) async fn points_of_any_value_and_time_read_back(fixture: &mut Fixture) {
    let mut owner = fixture.study(1).await;
    let values = vec![
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        0.0,
        -0.0,
        f64::MAX,
        5e-324,
        0.1,
        1e16,
        123_456_789.0,
    ];
    let count = values.len();
    let chunk = PointChunk {
        first_seq: 0,
        last_seq: u64::try_from(i64::MAX).unwrap(),
        steps: (0..count)
            .map(|n| if n % 2 == 0 { i64::MAX } else { i64::MIN })
            .collect(),
        values,
        times: (0..count)
            .map(|n| Timestamp::from_micros(if n % 2 == 0 { i64::MAX } else { i64::MIN }))
            .collect(),
        arrivals: (0..count)
            .map(|n| Timestamp::from_micros(if n % 3 == 0 { i64::MAX } else { i64::MIN }))
            .collect(),
        ..points(1, u32::MAX, "loss", 0, 1)
    };
    owner.commit(chunks([chunk.clone()])).await;
    assert_same(
        fixture
            .store
            .point_list(owner.id(), TrialNumber(1))
            .await
            .unwrap(),
        [&chunk],
    );
    // The same chunk again changes nothing; one of the same key replaces it.
    owner.commit(chunks([chunk.clone()])).await;
    assert_same(
        fixture
            .store
            .point_list(owner.id(), TrialNumber(1))
            .await
            .unwrap(),
        [&chunk],
    );
    let longer = points(1, u32::MAX, "loss", 0, 3);
    owner.commit(chunks([longer.clone()])).await;
    assert_same(
        fixture
            .store
            .point_list(owner.id(), TrialNumber(1))
            .await
            .unwrap(),
        [longer],
    );
}

pub(super) async fn of_trials_that_have_ended_as_much_is_loaded_as_decides(fixture: &mut Fixture) {
    let mut owner = fixture.study(1).await;
    let values = [None, Some(f64::NAN), Some(0.1), Some(f64::NEG_INFINITY)];
    let rows: Vec<TrialRow> = (1..)
        .zip(all_states())
        .zip(values.into_iter().cycle())
        .map(|((number, state), value)| {
            let mut row = trial(number, state);
            row.value = value;
            row.more_values = vec![value, None, Some(f64::INFINITY)]
                .into_iter()
                .take((number % 4) as usize)
                .collect();
            row.last_step = value.map(|_| i64::MIN);
            if number % 2 == 0 {
                let mut provenance = Provenance::clone(&row.provenance);
                (provenance.origin, provenance.cursor) = (Origin::Imported, None);
                row.provenance = Arc::new(provenance);
            }
            row
        })
        .collect();
    owner.commit(trials(rows.clone())).await;
    let loaded = fixture
        .store
        .trial_page(owner.id(), TrialNumber(0), 99)
        .await
        .unwrap();
    assert_eq!(loaded.len(), rows.len());
    for (found, row) in loaded.into_iter().zip(rows) {
        match found {
            StoredTrial::Living(found) => {
                assert!(!row.state.is_final());
                assert_same(*found, row);
            }
            StoredTrial::Ended(found) => assert_same(
                found,
                EndedTrial {
                    number: row.number,
                    end: End::of(&row.state).unwrap(),
                    params: Params::clone(&row.params),
                    value: row.value,
                    more_values: row.more_values,
                    last_step: row.last_step,
                    stages: Some(Box::new(Stages::clone(&row.stages))).filter(|stages| !stages.is_empty()),
                    origin: row.provenance.origin,
                    cursor: row.provenance.cursor,
                    ended_at: row.ended_at.unwrap(),
                },
            ),
        }
    }
}

/// Trial, attempt, metric's place, points.
type Shown = (u64, u32, usize, Vec<(i64, f64)>);

fn shown(runs: &PointRuns) -> Vec<Shown> {
    let show = |run: PointRun<'_>| (run.trial.0, run.attempt.0, run.metric, run.points.to_vec());
    runs.iter().map(show).collect()
}

pub(super) async fn points_are_paged_by_whole_trials(fixture: &mut Fixture) {
    let mut owner = fixture.study(1).await;
    let of_trial = |number| {
        [
            points(number, 1, "acc", 0, 2),
            points(number, 1, "loss", 2, 2),
            points(number, 2, "acc", 0, 1),
        ]
    };
    owner
        .commit(chunks([1, 2, 4, 9].into_iter().flat_map(of_trial)))
        .await;
    let metrics = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<Vec<_>>();
    let page = async |names: &[&str], after, limit| {
        let page = fixture
            .store
            .point_page(study_id(1), &metrics(names), TrialNumber(after), limit)
            .await
            .unwrap();
        assert_eq!(
            page.last_trial().map(|trial| trial.0),
            shown(&page).last().map(|run| run.0)
        );
        shown(&page)
    };
    let expected = |names: &[&str], numbers: &[u64]| {
        let chunks = numbers.iter().flat_map(|number| of_trial(*number));
        let show = |chunk: PointChunk| -> Option<Shown> {
            let metric = names.iter().position(|name| *name == chunk.metric.as_str())?;
            let points = chunk.steps.into_iter().zip(chunk.values).collect();
            Some((chunk.trial.0, chunk.attempt.0, metric, points))
        };
        chunks.filter_map(show).collect::<Vec<_>>()
    };
    let both = ["loss", "acc"];
    assert_eq!(page(&both, 0, 99).await, expected(&both, &[1, 2, 4, 9]));
    assert_eq!(page(&both, 0, 6).await, expected(&both, &[1, 2]));
    assert_eq!(page(&both, 0, 8).await, expected(&both, &[1, 2]));
    assert_eq!(page(&both, 2, 6).await, expected(&both, &[4, 9]));
    assert_eq!(page(&both, 0, 1).await, expected(&both, &[1]));
    assert_eq!(page(&both, 4, 0).await, expected(&both, &[9]));
    assert_eq!(page(&both, 9, 99).await, []);
    assert_eq!(page(&["loss"], 0, 3).await, expected(&["loss"], &[1, 2, 4]));
    assert_eq!(
        page(&["other", "loss"], 1, 1).await,
        expected(&["other", "loss"], &[2])
    );
    assert_eq!(page(&["other"], 0, 9).await, []);
    assert_eq!(page(&[], 0, 9).await, []);

    let runs = async |names: &[&str], numbers: &[u64]| {
        let numbers: Vec<_> = numbers.iter().copied().map(TrialNumber).collect();
        let runs = fixture
            .store
            .point_runs(study_id(1), &metrics(names), &numbers)
            .await;
        shown(&runs.unwrap())
    };
    assert_eq!(runs(&both, &[9, 3, 2]).await, expected(&both, &[2, 9]));
    assert_eq!(runs(&["loss"], &[1]).await, expected(&["loss"], &[1]));
    assert_eq!(runs(&both, &[]).await, []);
    let exists = async |name: &str| {
        let metric = name.parse().unwrap();
        fixture.store.point_exists(study_id(1), &metric).await.unwrap()
    };
    assert!(exists("loss").await && !exists("los").await);
}

pub(super) async fn the_last_sequence_number_of_open_attempts_is_known(fixture: &mut Fixture) {
    let mut owner = fixture.study(1).await;
    let ended = AttemptRow {
        ended_at: Some(at(3)),
        ..attempt(1, 1)
    };
    let changes = Changes {
        attempts: vec![ended, attempt(1, 2), attempt(2, 1), attempt(3, 1)],
        points: vec![
            points(1, 1, "loss", 0, 99),
            points(1, 2, "acc", 3, 1),
            points(1, 2, "loss", 0, 3),
            points(1, 2, "loss", 4, 6),
            points(1, 2, "z", 1, 1),
            points(3, 1, "loss", 0, 1),
        ],
        ..Changes::default()
    };
    owner.commit(changes).await;
    let mut known = fixture.store.point_committed(owner.id()).await.unwrap();
    known.sort();
    assert_eq!(
        known,
        [(TrialNumber(1), Attempt(2), 9), (TrialNumber(3), Attempt(1), 0)]
    );
}

pub(super) async fn points_are_counted_by_attempt(fixture: &mut Fixture) {
    let mut owner = fixture.study(1).await;
    let all = [
        points(1, 1, "loss", 1, 3),
        points(1, 1, "acc", 4, 2),
        points(1, 2, "acc", 1, 7),
        points(2, 1, "acc", 1, 9),
    ];
    owner
        .commit(Changes {
            attempts: vec![attempt(1, 1), attempt(1, 2), attempt(1, 3), attempt(2, 1)],
            ..chunks(all)
        })
        .await;
    for _ in 0..2 {
        let counted = fixture.store.point_count(owner.id(), TrialNumber(1)).await;
        let mut counted = counted.unwrap();
        counted.sort_unstable();
        assert_eq!(counted, [(Attempt(1), 5), (Attempt(2), 7)]);
        owner.compact(1, 1).await;
    }
}

pub(super) async fn audit_rows_are_found_by_subject(fixture: &mut Fixture) {
    let mut owner = fixture.study(7).await;
    for (second, subject) in [
        "studies/a",
        "studies/a/trials/1",
        "studies/a-b",
        "studies/a0",
        "studies/A",
        "workers/a_b%",
        "studies/a",
    ]
    .iter()
    .enumerate()
    {
        fixture
            .store
            .audit_add(&audit(subject, i64::try_from(second).unwrap()))
            .await
            .unwrap();
    }
    owner
        .commit(Changes {
            audit: vec![audit("studies/a/trials/2", 3), audit("studies/a/trials/3", 3)],
            ..Changes::default()
        })
        .await;
    let list = async |subject: &str, limit| {
        let rows = fixture.store.audit_list(subject, limit).await.unwrap();
        rows.into_iter()
            .map(|row| (row.subject, row.at))
            .collect::<Vec<_>>()
    };
    let row = |subject: &str, second| (subject.to_owned(), at(second));
    let about_a = [
        row("studies/a", 6),
        row("studies/a/trials/3", 3),
        row("studies/a/trials/2", 3),
        row("studies/a/trials/1", 1),
        row("studies/a", 0),
    ];
    assert_eq!(list("studies/a", 99).await, about_a);
    assert_eq!(list("studies/a", 2).await, about_a[..2]);
    assert_eq!(list("studies/a/trials", 99).await, about_a[1..4]);
    assert_eq!(list("workers/a_b%", 99).await, [row("workers/a_b%", 5)]);
    assert_eq!(list("workers/axb", 99).await, []);
    assert_eq!(list("", 99).await.len(), 10);
    assert_same(
        fixture.store.audit_list("studies/a0", 9).await.unwrap(),
        [audit("studies/a0", 3)],
    );
}

pub(super) async fn workers_are_saved_listed_and_forgotten(fixture: &mut Fixture) {
    for row in [worker(1, "b"), worker(2, "a"), worker(3, "B")] {
        fixture.store.worker_save(&row).await.unwrap();
    }
    assert_same(
        fixture.store.worker_list().await.unwrap(),
        [worker(3, "B"), worker(2, "a"), worker(1, "b")],
    );
    let changed = WorkerRow {
        draining: false,
        generation: 4,
        resources: serde_json::json!({}),
        ..worker(1, "z")
    };
    fixture.store.worker_save(&changed).await.unwrap();
    fixture.store.worker_delete(worker(2, "a").id).await.unwrap();
    fixture.store.worker_delete(worker(2, "a").id).await.unwrap();
    assert_same(
        fixture.store.worker_list().await.unwrap(),
        [worker(3, "B"), changed],
    );
}

pub(super) async fn tokens_are_added_listed_and_revoked(fixture: &mut Fixture) {
    let of_worker = TokenRow {
        kind: TokenKind::Worker,
        ..token("w", 1)
    };
    for row in [&token("a", 1), &of_worker, &token("c", 2)] {
        fixture.store.token_add(row).await.unwrap();
    }
    let again = fixture.store.token_add(&token("a", 5)).await;
    assert!(matches!(again, Err(StoreError::AlreadyExists(_))), "{again:?}");
    fixture.store.token_revoke("a", at(8)).await.unwrap();
    fixture.store.token_revoke("a", at(9)).await.unwrap();
    assert!(matches!(
        fixture.store.token_revoke("x", at(9)).await,
        Err(StoreError::NotFound(_))
    ));
    let revoked = TokenRow {
        revoked_at: Some(at(8)),
        ..token("a", 1)
    };
    assert_same(
        fixture.store.token_list().await.unwrap(),
        [token("c", 2), revoked, of_worker],
    );
}
