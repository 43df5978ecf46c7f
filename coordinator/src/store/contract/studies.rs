//! Studies: creating, owning, deleting.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Barrier;
use tokio_util::task::TaskTracker;
use tunesmith_common::{Params, TrialNumber};

use super::rows::{
    assert_same, at, attempt, audit, chunks, decision, pending, points, request, study, study_id, trials,
};
use super::{Fixture, all};
use crate::store::{
    ByPolicy, Changes, DoneReason, End, Lineage, PriorTrial, Relative, RequestRow, Source, StoreError,
    StudyRow, StudyState, TrialQuery,
};

pub(super) async fn a_study_reads_back_as_it_was_created(fixture: &mut Fixture) {
    let row = study(1);
    let created = fixture
        .store
        .study_create(&row, &[], None, &audit("studies/study-1", 0))
        .await
        .unwrap();
    assert_same(&created, &row);
    assert_same(fixture.store.study_find(&row.name).await.unwrap(), Some(&row));
    assert_same(fixture.store.study_fetch(row.id).await.unwrap(), Some(&row));
    assert_same(
        fixture.store.study_find(&"other".parse().unwrap()).await.unwrap(),
        None::<()>,
    );
    let ownership = fixture.store.study_take(row.id).await.unwrap();
    assert_eq!((ownership.epoch, ownership.commit_seq), (1, 0));
    assert_eq!(
        fixture
            .store
            .audit_list("studies/study-1", 9)
            .await
            .unwrap()
            .len(),
        1
    );
    fixture.store.ping().await.unwrap();
}

pub(super) async fn trials_of_other_studies_read_back_in_order(fixture: &mut Fixture) {
    let relative = |n: u128| Relative {
        id: (n < 8).then(|| study_id(n)),
        name: study(n).name,
    };
    let row = StudyRow {
        creator: "kim\u{202e} \"of\" rack 3".to_owned(),
        policy: Some(ByPolicy {
            name: "guests".to_owned(),
            sets: vec![],
        }),
        lineage: Lineage {
            parent: Some(relative(7)),
            history: vec![
                Source {
                    study: relative(7),
                    taken: 1_200,
                    left_out: 3,
                },
                Source {
                    study: relative(8),
                    taken: 4,
                    left_out: 0,
                },
            ],
        },
        ..study(1)
    };
    let params = pending(1).params;
    let prior = |number: u64| PriorTrial {
        source: 0,
        number: TrialNumber(number),
        end: End::Completed,
        params: Params::clone(&params),
        value: Some(0.1 + f64::from(u32::try_from(number).unwrap())),
        more_values: Box::default(),
        last_step: None,
    };
    // More than are kept together, in an order of their own, and every kind of value.
    let mut known: Vec<PriorTrial> = (1..=1_200).rev().map(prior).collect();
    let ends = [End::Failed, End::EarlyStopped, End::TimedOut, End::Completed];
    let values = [None, Some(f64::NAN), Some(f64::NEG_INFINITY), Some(-0.0)];
    for ((number, end), value) in (1..).zip(ends).zip(values) {
        known.push(PriorTrial {
            source: 1,
            end,
            value,
            more_values: [value, Some(1.5)].into(),
            last_step: Some(i64::MIN),
            ..prior(number)
        });
    }
    let made = audit("studies/study-1", 0);
    let created = fixture.store.study_create(&row, &known, None, &made).await;
    assert_same(created.unwrap(), &row);
    fixture.reopen().await;
    let store = &fixture.store;
    assert_same(store.study_find(&row.name).await.unwrap(), Some(&row));
    assert_same(store.history_list(row.id).await.unwrap(), &known);
    // A commit leaves both as they are.
    let owner = store.study_take(row.id).await.unwrap();
    let changes = Changes {
        study: Some(row.clone()),
        ..Changes::default()
    };
    store.commit(&owner, &changes).await.unwrap();
    assert_same(store.study_fetch(row.id).await.unwrap(), Some(&row));
    assert_same(store.history_list(row.id).await.unwrap(), &known);
    assert_eq!(store.history_list(study_id(2)).await.unwrap(), []);
    store
        .study_delete(row.id, &audit("studies/study-1", 1))
        .await
        .unwrap();
    assert_eq!(store.history_list(row.id).await.unwrap(), []);
}

pub(super) async fn creating_again_with_the_same_request_returns_the_first_study(fixture: &mut Fixture) {
    let row = study(1);
    let call = request(1);
    let create = async |n: u128, call: &RequestRow| {
        fixture
            .store
            .study_create(&study(n), &[], Some(call), &audit("studies", 0))
            .await
    };
    assert_same(create(1, &call).await.unwrap(), &row);
    assert_same(create(1, &call).await.unwrap(), &row);
    let other_content = RequestRow {
        content: [8; 32],
        ..call.clone()
    };
    assert!(matches!(
        create(2, &other_content).await,
        Err(StoreError::AlreadyExists(_))
    ));
    assert!(matches!(
        create(1, &request(2)).await,
        Err(StoreError::AlreadyExists(_))
    ));
    assert_eq!(fixture.store.study_list(true, 0, 9).await.unwrap().len(), 1);
    assert_eq!(
        fixture.store.audit_list("studies", 9).await.unwrap().len(),
        1,
        "only the first call is recorded"
    );

    // The answer is the study as it is by then.
    let mut owner = super::Owner {
        ownership: fixture.store.study_take(row.id).await.unwrap(),
        store: Arc::clone(&fixture.store),
    };
    let paused = crate::store::StudyRow {
        state: StudyState::Paused,
        ..row
    };
    owner
        .commit(Changes {
            study: Some(paused.clone()),
            ..Changes::default()
        })
        .await;
    assert_same(create(1, &call).await.unwrap(), &paused);
    let store = &fixture.store;
    assert_same(store.study_created_by(&call).await.unwrap(), Some(&paused));
    assert_same(store.study_created_by(&request(2)).await.unwrap(), None::<()>);
    let other = store.study_created_by(&other_content).await;
    assert!(matches!(other, Err(StoreError::AlreadyExists(_))));
}

pub(super) async fn a_name_that_is_taken_is_refused(fixture: &mut Fixture) {
    fixture.study(1).await;
    let mut same_name = study(2);
    same_name.name = study(1).name;
    let refused = fixture
        .store
        .study_create(&same_name, &[], None, &audit("studies", 1))
        .await;
    assert_eq!(refused.unwrap_err().to_string(), "study study-1 exists already");
    assert_same(fixture.store.study_fetch(study_id(2)).await.unwrap(), None::<()>);
    assert_eq!(fixture.store.audit_list("", 9).await.unwrap().len(), 1);
    // The refused call has left no owner either: its study can be created under another name.
    fixture.study(2).await;
}

pub(super) async fn two_calls_with_one_request_at_once_make_one_study(fixture: &mut Fixture) {
    let tasks = TaskTracker::new();
    let barrier = Arc::new(Barrier::new(8));
    let calls: Vec<_> = (0..8_u128)
        .map(|n| {
            let (store, barrier) = (Arc::clone(&fixture.store), Arc::clone(&barrier));
            tasks.spawn(async move {
                // Each call makes up its own identity; the name is the caller's.
                let row = crate::store::StudyRow {
                    id: study_id(100 + n),
                    ..study(1)
                };
                barrier.wait().await;
                store
                    .study_create(&row, &[], Some(&request(1)), &audit("studies", 0))
                    .await
                    .map(|row| row.id)
            })
        })
        .collect();
    let mut ids = Vec::new();
    for call in calls {
        ids.push(call.await.unwrap().unwrap());
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_eq!(fixture.store.study_list(true, 0, 9).await.unwrap().len(), 1);
}

pub(super) async fn studies_are_listed_newest_first_and_archived_ones_on_demand(fixture: &mut Fixture) {
    for n in 1..=4 {
        let mut owner = fixture.study(n).await;
        if n == 2 {
            let mut row = study(n);
            row.state = StudyState::Archived(DoneReason::Target);
            row.done_at = Some(at(99));
            owner
                .commit(Changes {
                    study: Some(row),
                    ..Changes::default()
                })
                .await;
        }
    }
    // As old as study 4: then the identity decides.
    let mut twin = study(5);
    twin.created_at = study(4).created_at;
    fixture
        .store
        .study_create(&twin, &[], None, &audit("studies", 0))
        .await
        .unwrap();
    let list = async |archived, offset, limit| {
        let rows = fixture.store.study_list(archived, offset, limit).await.unwrap();
        rows.into_iter()
            .map(|row| row.name.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        list(true, 0, 9).await,
        ["study-5", "study-4", "study-3", "study-2", "study-1"]
    );
    assert_eq!(
        list(false, 0, 9).await,
        ["study-5", "study-4", "study-3", "study-1"]
    );
    assert_eq!(list(false, 1, 2).await, ["study-4", "study-3"]);
    assert_eq!(list(false, 9, 2).await, [""; 0]);
    let mut alive = fixture.store.study_list_alive().await.unwrap();
    alive.sort();
    assert_eq!(alive, [1, 3, 4, 5].map(study_id));
}

pub(super) async fn every_state_of_a_study_reads_back(fixture: &mut Fixture) {
    let reasons = [
        DoneReason::Budget,
        DoneReason::Target,
        DoneReason::Exhausted,
        DoneReason::Cancelled,
        DoneReason::Failures,
    ];
    let mut states = vec![StudyState::Active, StudyState::Paused];
    for reason in reasons {
        states.extend([
            StudyState::Ending(reason),
            StudyState::Done(reason),
            StudyState::Archived(reason),
        ]);
    }
    let mut owner = fixture.study(1).await;
    for state in states {
        let ended = matches!(state, StudyState::Done(_) | StudyState::Archived(_));
        let mut row = study(1);
        row.state = state;
        row.name = "renamed".parse().unwrap();
        row.state_reason = "target \u{1f600} reached: 0.99 >= 0.98".to_owned();
        row.strategy_note = String::new();
        row.active_time = Duration::from_micros(86_400_000_000_001);
        row.gpu_seconds = 0.1 + 0.2;
        row.cost = 0.2 + 0.4;
        row.policy = ended.then(|| ByPolicy {
            name: "guests \u{1f600}".to_owned(),
            sets: vec!["budget.cost".to_owned(), "trial.max_runtime".to_owned()],
        });
        row.done_at = ended.then(|| at(7));
        row.updated_at = at(8);
        owner
            .commit(Changes {
                study: Some(row.clone()),
                ..Changes::default()
            })
            .await;
        assert_same(fixture.store.study_fetch(row.id).await.unwrap(), Some(&row));
        let alive = fixture.store.study_list_alive().await.unwrap();
        assert_eq!(alive.is_empty(), ended, "{state:?}");
    }
}

pub(super) async fn taking_a_study_fences_the_owner_before(fixture: &mut Fixture) {
    let mut first = fixture.study(1).await;
    first.commit(trials([pending(1)])).await;
    let second = fixture.store.study_take(first.id()).await.unwrap();
    assert_eq!((second.epoch, second.commit_seq), (first.ownership.epoch + 1, 1));
    assert!(
        matches!(first.refused(trials([pending(2)])).await, StoreError::NotOwner(id) if id == first.id())
    );
    assert!(matches!(
        first.refused(Changes::default()).await,
        StoreError::NotOwner(_)
    ));
    assert_eq!(
        fixture.store.trial_list(first.id(), &all()).await.unwrap().len(),
        1
    );
    let after = fixture
        .store
        .commit(&second, &trials([pending(2)]))
        .await
        .unwrap();
    assert_eq!(
        after,
        crate::store::Ownership {
            commit_seq: 2,
            ..second
        }
    );
}

pub(super) async fn a_study_that_is_not_there_cannot_be_taken(fixture: &mut Fixture) {
    assert!(matches!(
        fixture.store.study_take(study_id(1)).await,
        Err(StoreError::NotFound(_))
    ));
}

pub(super) async fn deleting_leaves_nothing_behind(fixture: &mut Fixture) {
    let mut owner = fixture.study(1).await;
    let mut other = fixture.study(2).await;
    let everything = |n| Changes {
        study: Some(study(n)),
        trials: vec![pending(1), pending(2)],
        attempts: vec![attempt(1, 1)],
        points: vec![points(1, 1, "loss", 0, 3)],
        decisions: vec![decision(1, 3)],
        requests: vec![request(1)],
        audit: vec![audit(&format!("studies/study-{n}/trials/1"), 1)],
    };
    owner.commit(everything(1)).await;
    other.commit(everything(2)).await;
    fixture
        .store
        .study_delete(owner.id(), &audit("studies/study-1", 2))
        .await
        .unwrap();
    fixture
        .store
        .study_delete(owner.id(), &audit("studies/study-1", 3))
        .await
        .unwrap();
    assert!(matches!(
        owner.refused(trials([pending(3)])).await,
        StoreError::NotOwner(_)
    ));
    // What is left of it would be seen in a study of the same identity.
    let again = fixture.study(1).await;
    assert_eq!(again.ownership.commit_seq, 0);
    super::lists::assert_empty(&fixture.store, study_id(1)).await;
    assert_eq!(
        fixture
            .store
            .audit_list("studies/study-1", 9)
            .await
            .unwrap()
            .len(),
        2,
        "the audit log outlives studies"
    );
    // The other study has kept everything.
    assert_eq!(
        fixture.store.trial_list(other.id(), &all()).await.unwrap().len(),
        2
    );
    assert_eq!(
        fixture
            .store
            .point_list(other.id(), TrialNumber(1))
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        fixture.store.attempt_list_open(other.id()).await.unwrap().len(),
        1
    );
    assert_eq!(
        fixture.store.decision_list_all(other.id()).await.unwrap().len(),
        1
    );
    assert_eq!(
        fixture.store.request_list(other.id(), at(0)).await.unwrap().len(),
        1
    );
    other.commit(chunks([points(2, 1, "loss", 0, 1)])).await;
}

pub(super) async fn owners_that_race_commit_without_gap_and_one_at_a_time(fixture: &mut Fixture) {
    const OWNERS: u64 = 4;
    const TRIALS_EACH: u64 = 25;
    let study = fixture.study(1).await.id();
    let tasks = TaskTracker::new();
    let racers: Vec<_> = (0..OWNERS)
        .map(|racer| {
            let store = Arc::clone(&fixture.store);
            tasks.spawn(async move {
                let mut ownership = store.study_take(study).await.unwrap();
                let mut written = Vec::new();
                for n in 0..TRIALS_EACH {
                    let row = pending(1 + racer * TRIALS_EACH + n);
                    loop {
                        match store.commit(&ownership, &trials([row.clone()])).await {
                            Ok(next) => {
                                assert_eq!(next.commit_seq, ownership.commit_seq + 1);
                                written.push(next.commit_seq);
                                ownership = next;
                                break;
                            }
                            Err(StoreError::NotOwner(_)) => {
                                ownership = store.study_take(study).await.unwrap()
                            }
                            Err(error) => panic!("{error}"),
                        }
                    }
                    // Others get their turn, whatever the runtime.
                    tokio::task::yield_now().await;
                }
                written
            })
        })
        .collect();
    let mut revisions = Vec::new();
    for racer in racers {
        revisions.extend(racer.await.unwrap());
    }
    revisions.sort_unstable();
    assert_eq!(
        revisions,
        (1..=OWNERS * TRIALS_EACH).collect::<Vec<_>>(),
        "a revision was made twice or never"
    );
    let found = fixture
        .store
        .trial_list(
            study,
            &TrialQuery {
                limit: 1_000,
                ..TrialQuery::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(found.len(), revisions.len());
}
