//! Commits: all or nothing, and every row as it was.

use std::sync::Arc;
use std::time::Duration;

use tunesmith_common::params::ParamValue;
use tunesmith_common::trial::{FailureCause, Holder, StopReason, TrialState};
use tunesmith_common::usage::{UsageSample, UsageSeries};
use tunesmith_common::{Attempt, Params, Timestamp, TrialNumber};

use super::rows::{
    all_states, assert_same, at, attempt, audit, chunks, decision, failure_causes, lease, pending, points,
    request, study, trial, trials,
};
use super::{Fixture, all};
use crate::store::{AttemptRow, Changes, StoreError, TrialRow};

pub(super) async fn a_late_commit_of_the_owner_itself_is_refused(fixture: &mut Fixture) {
    let mut owner = fixture.study(1).await;
    let early = owner.ownership;
    owner.commit(trials([pending(1)])).await;
    // As if this one had been under way all the time.
    let late = fixture.store.commit(&early, &trials([pending(2)])).await;
    assert!(matches!(late, Err(StoreError::NotOwner(_))), "{late:?}");
    let from_the_future = crate::store::Ownership {
        commit_seq: 2,
        ..early
    };
    let late = fixture
        .store
        .commit(&from_the_future, &trials([pending(2)]))
        .await;
    assert!(matches!(late, Err(StoreError::NotOwner(_))), "{late:?}");
    assert_eq!(
        fixture.store.trial_list(owner.id(), &all()).await.unwrap().len(),
        1
    );
}

pub(super) async fn a_bad_row_rolls_everything_back(fixture: &mut Fixture) {
    fixture.study(2).await;
    let mut owner = fixture.study(1).await;
    let mut renamed = study(1);
    renamed.name = study(2).name;
    let changes = Changes {
        study: Some(renamed),
        trials: (1..100).map(pending).collect(),
        attempts: vec![attempt(1, 1)],
        points: vec![points(1, 1, "loss", 0, 3)],
        decisions: vec![decision(1, 3)],
        requests: vec![request(1)],
        audit: vec![audit("studies/study-1", 1)],
    };
    // Only the database sees that the name is taken: every row is fine by itself.
    let refused = owner.refused(changes.clone()).await;
    assert!(matches!(refused, StoreError::AlreadyExists(_)), "{refused:?}");
    super::lists::assert_empty(&fixture.store, owner.id()).await;
    assert_same(
        fixture.store.study_fetch(owner.id()).await.unwrap(),
        Some(study(1)),
    );
    assert_eq!(
        fixture
            .store
            .audit_list("studies/study-1", 9)
            .await
            .unwrap()
            .len(),
        0
    );
    // The owner is still the owner at the same revision.
    owner
        .commit(Changes {
            study: Some(study(1)),
            ..changes
        })
        .await;
    assert_eq!(
        fixture.store.trial_list(owner.id(), &all()).await.unwrap().len(),
        99
    );
}

pub(super) async fn rows_that_contradict_themselves_are_refused(fixture: &mut Fixture) {
    let mut owner = fixture.study(1).await;
    let with = |change: fn(&mut TrialRow)| {
        let mut row = pending(2);
        change(&mut row);
        trials([pending(1), row])
    };
    let mut short = points(1, 1, "loss", 0, 3);
    short.values.pop();
    let mut none = points(1, 1, "loss", 0, 1);
    (none.steps, none.values, none.times, none.arrivals) = (vec![], vec![], vec![], vec![]);
    let bad = [
        with(|row| row.ended_at = Some(at(1))),
        with(|row| row.state = TrialState::Completed),
        with(|row| row.state = TrialState::Running(lease(1))),
        with(|row| row.number = TrialNumber(0)),
        with(|row| row.number = TrialNumber(u64::MAX)),
        with(|row| row.number = TrialNumber(1)),
        with(|row| {
            let mut params = Params::new();
            params.insert("lr".parse().unwrap(), ParamValue::Float(f64::NAN));
            row.params = Arc::new(params);
        }),
        chunks([short]),
        chunks([none]),
        Changes {
            study: Some(study(2)),
            ..trials([pending(1)])
        },
        Changes {
            study: Some(crate::store::StudyRow {
                gpu_seconds: f64::NAN,
                ..study(1)
            }),
            ..trials([pending(1)])
        },
        Changes {
            study: Some(crate::store::StudyRow {
                cost: f64::INFINITY,
                ..study(1)
            }),
            ..trials([pending(1)])
        },
        Changes {
            attempts: vec![AttemptRow {
                price_per_hour: f64::NAN,
                ..attempt(1, 1)
            }],
            ..trials([pending(1)])
        },
        Changes {
            study: Some(crate::store::StudyRow {
                done_at: Some(at(1)),
                ..study(1)
            }),
            ..trials([pending(1)])
        },
        Changes {
            requests: vec![request(1), request(1)],
            ..trials([pending(1)])
        },
    ];
    for changes in bad {
        let refused = owner.refused(changes.clone()).await;
        assert!(
            matches!(refused, StoreError::Invalid(_)),
            "{changes:?}: {refused:?}"
        );
    }
    super::lists::assert_empty(&fixture.store, owner.id()).await;
    owner.commit(trials([pending(1)])).await;
    assert_eq!(owner.ownership.commit_seq, 1);
}

pub(super) async fn an_empty_commit_advances_the_revision(fixture: &mut Fixture) {
    let mut owner = fixture.study(1).await;
    owner.commit(Changes::default()).await;
    owner.commit(Changes::default()).await;
    assert_eq!(fixture.store.study_take(owner.id()).await.unwrap().commit_seq, 2);
}

pub(super) async fn every_state_of_a_trial_reads_back(fixture: &mut Fixture) {
    let mut owner = fixture.study(1).await;
    let rows: Vec<TrialRow> = (1..)
        .zip(all_states())
        .map(|(number, state)| trial(number, state))
        .collect();
    owner.commit(trials(rows.clone())).await;
    assert_same(fixture.store.trial_list(owner.id(), &all()).await.unwrap(), &rows);
    for row in &rows {
        assert_same(
            fixture.store.trial_fetch(owner.id(), row.number).await.unwrap(),
            Some(row),
        );
    }
    let counts = fixture.store.trial_counts(owner.id()).await.unwrap();
    let expected = [
        ("CANCELLED", 1),
        ("COMPLETED", 1),
        ("EARLY_STOPPED", 1),
        ("FAILED", 9),
        ("LEASED", 1),
        ("PAUSED", 1),
        ("PENDING", 1),
        ("RUNNING", 1),
        ("STOPPING", 3),
        ("TIMED_OUT", 1),
    ];
    assert_eq!(counts, expected.map(|(state, count)| (state.to_owned(), count)));
}

pub(super) async fn extreme_values_of_a_trial_read_back(fixture: &mut Fixture) {
    let mut owner = fixture.study(1).await;
    let values = [
        0.0,
        -0.0,
        1.0,
        0.1,
        1e16,
        1e300,
        f64::MAX,
        f64::MIN_POSITIVE,
        5e-324,
        -1e-7,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ];
    let rows: Vec<TrialRow> = (1..)
        .zip(values)
        .map(|(number, value)| {
            let mut row = pending(number);
            row.value = Some(value);
            row.more_values = Box::new([Some(value), None, Some(f64::NAN), Some(-value)]);
            row.last_step = Some(if number % 2 == 0 { i64::MAX } else { i64::MIN });
            row.metrics = vec![
                ("z last".parse().unwrap(), value),
                ("eval/loss".parse().unwrap(), f64::NAN),
                ("a".parse().unwrap(), f64::NEG_INFINITY),
            ];
            let mut params = Params::new();
            for (name, value) in [("z", 1.0), ("a", 1e16), ("m", -0.0), ("b", 1e300), ("c", 5e-324)] {
                params.insert(name.parse().unwrap(), ParamValue::Float(value));
            }
            params.insert("int".parse().unwrap(), ParamValue::Int(i64::MIN));
            row.params = Arc::new(params);
            row.note = "\u{1f600}\u{202e} \\ \"'{}\n\t\u{7f}\u{1}".to_owned();
            row.tags = vec![
                "best \u{1f600}".to_owned(),
                "\"quoted\", \\ '{}\u{202e}".to_owned(),
            ];
            row.attempt = Attempt(u32::MAX);
            row.program_failures = u32::MAX;
            row.infrastructure_failures = u32::MAX;
            row.seed = u64::MAX;
            // The ends of what the wire carries: years 1 and 9999.
            row.created_at = Timestamp::from_micros(-62_135_596_800_000_000);
            row.started_at = Some(Timestamp::from_micros(253_402_300_799_999_999));
            row
        })
        .collect();
    owner.commit(trials(rows.clone())).await;
    assert_same(fixture.store.trial_list(owner.id(), &all()).await.unwrap(), &rows);
}

pub(super) async fn a_trial_is_replaced_as_a_whole(fixture: &mut Fixture) {
    let mut owner = fixture.study(1).await;
    let mut full = trial(
        1,
        TrialState::Stopping(
            lease(1),
            StopReason::TimedOut {
                limit: "1h".to_owned(),
            },
        ),
    );
    full.value = Some(0.5);
    full.more_values = Box::new([Some(0.25), None]);
    full.last_step = Some(3);
    full.metrics = vec![("loss".parse().unwrap(), 0.5)];
    full.note = "note".to_owned();
    full.tags = vec!["tag".to_owned()];
    full.started_at = Some(at(4));
    owner.commit(trials([full])).await;
    let mut bare = pending(1);
    bare.params = Arc::new(Params::new());
    bare.seed = 0;
    bare.created_at = at(77);
    owner.commit(trials([bare.clone(), pending(2)])).await;
    assert_same(
        fixture.store.trial_list(owner.id(), &all()).await.unwrap(),
        [bare, pending(2)],
    );
}

pub(super) async fn attempts_read_back(fixture: &mut Fixture) {
    let mut owner = fixture.study(1).await;
    let mut rows = vec![attempt(1, 1)];
    for (number, cause) in (2..).zip(failure_causes()) {
        rows.push(AttemptRow {
            holder: Holder::Client("laptop".to_owned()),
            holder_name: "laptop \u{1f600}".to_owned(),
            gpus: vec!["GPU-1".to_owned(), "a \"b\", {c}".to_owned()],
            client_ttl: Some(Duration::from_millis(1_500)),
            started_at: Some(at(3)),
            ended_at: Some(at(4)),
            outcome: cause.to_string(),
            failure: Some(cause),
            pid: u32::MAX,
            exit_code: Some(i32::MIN),
            peak_memory: 1 << 40,
            usage: UsageSeries::new(
                2,
                1,
                vec![UsageSample {
                    seconds: 3,
                    gpu_percent: Some(99),
                    ..Default::default()
                }],
            )
            .unwrap(),
            log_tail: "x\u{e4}\n".repeat(16 * 1024),
            ..attempt(1, number)
        });
    }
    rows.push(attempt(2, 1));
    owner
        .commit(Changes {
            attempts: rows.clone(),
            ..Changes::default()
        })
        .await;
    let (second, first) = (rows.pop().unwrap(), rows);
    assert_same(
        fixture
            .store
            .attempt_list(owner.id(), TrialNumber(1))
            .await
            .unwrap(),
        &first,
    );
    assert_same(
        fixture
            .store
            .attempt_list(owner.id(), TrialNumber(2))
            .await
            .unwrap(),
        [&second],
    );
    let mut open = fixture.store.attempt_list_open(owner.id()).await.unwrap();
    open.sort_by_key(|row| row.trial);
    assert_same(open, [&first[0], &second]);
    let ended = AttemptRow {
        price_per_hour: 0.1 + 0.2,
        cost: 1e-7,
        ended_at: Some(at(9)),
        outcome: "completed".to_owned(),
        exit_code: Some(0),
        ..first[0].clone()
    };
    owner
        .commit(Changes {
            attempts: vec![ended.clone()],
            ..Changes::default()
        })
        .await;
    assert_same(
        fixture
            .store
            .attempt_list(owner.id(), TrialNumber(1))
            .await
            .unwrap()
            .first(),
        Some(&ended),
    );
    assert_same(
        fixture.store.attempt_list_open(owner.id()).await.unwrap(),
        [second],
    );
}

pub(super) async fn text_with_nul_is_kept_but_for_the_nul(fixture: &mut Fixture) {
    let mut owner = fixture.study(1).await;
    let nul = "before\0after";
    let mut row = trial(
        1,
        TrialState::Failed(FailureCause::Told {
            reason: nul.to_owned(),
        }),
    );
    row.note = nul.to_owned();
    let ended = AttemptRow {
        log_tail: nul.to_owned(),
        outcome: nul.to_owned(),
        ..attempt(1, 1)
    };
    let mut judged = decision(1, 1);
    judged.decision.text = nul.to_owned();
    let mut done = audit("studies/study-1", 1);
    done.detail = nul.to_owned();
    let changes = Changes {
        trials: vec![row],
        attempts: vec![ended],
        decisions: vec![judged],
        audit: vec![done],
        ..Changes::default()
    };
    owner.commit(changes).await;
    let found = (
        fixture.store.trial_list(owner.id(), &all()).await.unwrap(),
        fixture.store.attempt_list_open(owner.id()).await.unwrap(),
        fixture.store.decision_list_all(owner.id()).await.unwrap(),
        fixture.store.audit_list("studies/study-1", 9).await.unwrap(),
    );
    let texts = [
        &found.0[0].note,
        &found.0[0].state.reason_text(),
        &found.1[0].log_tail,
        &found.1[0].outcome,
        &found.2[0].decision.text,
        &found.3[0].detail,
    ]
    .map(|text| text.replace('\u{fffd}', "\0"));
    assert_eq!(texts, [nul; 6]);
}

trait ReasonText {
    fn reason_text(&self) -> String;
}

impl ReasonText for TrialState {
    fn reason_text(&self) -> String {
        match self {
            Self::Failed(FailureCause::Told { reason }) => reason.clone(),
            other => panic!("{other:?}"),
        }
    }
}

pub(super) async fn requests_are_listed_and_pruned_by_time(fixture: &mut Fixture) {
    let mut owner = fixture.study(1).await;
    let rows = [1, 2, 3].map(request);
    let mut unordered = rows.to_vec();
    unordered.reverse();
    owner
        .commit(Changes {
            requests: unordered,
            ..Changes::default()
        })
        .await;
    assert_same(
        fixture.store.request_list(owner.id(), at(0)).await.unwrap(),
        &rows,
    );
    assert_same(
        fixture.store.request_list(owner.id(), at(2)).await.unwrap(),
        &rows[1..],
    );
    assert_eq!(fixture.store.request_prune(owner.id(), at(2)).await.unwrap(), 1);
    assert_eq!(fixture.store.request_prune(owner.id(), at(2)).await.unwrap(), 0);
    assert_same(
        fixture.store.request_list(owner.id(), at(0)).await.unwrap(),
        &rows[1..],
    );
    owner.commit(Changes::default()).await;
}

pub(super) async fn decisions_keep_their_order(fixture: &mut Fixture) {
    let mut owner = fixture.study(1).await;
    // Not by step nor by time, and the same judgement may be made twice.
    owner
        .commit(Changes {
            decisions: [9, 3, 3].map(|step| decision(2, step)).to_vec(),
            ..Changes::default()
        })
        .await;
    owner
        .commit(Changes {
            decisions: vec![decision(1, 5), decision(2, 1)],
            ..Changes::default()
        })
        .await;
    let of_second = [9, 3, 3, 1].map(|step| decision(2, step));
    assert_same(
        fixture
            .store
            .decision_list(owner.id(), TrialNumber(2))
            .await
            .unwrap(),
        &of_second,
    );
    let mut expected = vec![decision(1, 5)];
    expected.extend(of_second);
    assert_same(
        fixture.store.decision_list_all(owner.id()).await.unwrap(),
        &expected,
    );
}

pub(super) async fn a_large_commit_is_stored_whole(fixture: &mut Fixture) {
    let mut owner = fixture.study(1).await;
    let rows: Vec<TrialRow> = (1..=1_000).map(pending).collect();
    let curves = vec![
        points(1, 1, "loss", 0, 10_000),
        points(1, 1, "acc", 10_000, 1),
        points(2, 1, "loss", 0, 300),
    ];
    let attempts: Vec<AttemptRow> = (1..=200)
        .map(|number| AttemptRow {
            log_tail: "\u{e4}".repeat(32 * 1024),
            ..attempt(number, 1)
        })
        .collect();
    let changes = Changes {
        trials: rows.clone(),
        points: curves.clone(),
        attempts: attempts.clone(),
        ..Changes::default()
    };
    owner.commit(changes).await;
    assert_same(fixture.store.trial_list(owner.id(), &all()).await.unwrap(), &rows);
    let found = fixture
        .store
        .point_list(owner.id(), TrialNumber(1))
        .await
        .unwrap();
    assert_same(found, [&curves[1], &curves[0]]);
    assert_eq!(
        fixture.store.attempt_list_open(owner.id()).await.unwrap().len(),
        attempts.len()
    );
}

pub(super) async fn what_was_committed_is_there_after_a_restart(fixture: &mut Fixture) {
    let mut owner = fixture.study(1).await;
    let running = trial(1, TrialState::Running(lease(1)));
    let changes = Changes {
        trials: vec![running.clone(), pending(2)],
        attempts: vec![attempt(1, 1)],
        points: vec![points(1, 1, "loss", 0, 3)],
        ..Changes::default()
    };
    owner.commit(changes).await;
    let study_id = owner.id();
    fixture.reopen().await;
    let again = fixture.store.study_take(study_id).await.unwrap();
    assert_eq!((again.epoch, again.commit_seq), (2, 1));
    assert_same(
        fixture.store.trial_list(study_id, &all()).await.unwrap(),
        [running, pending(2)],
    );
    assert_same(
        fixture.store.attempt_list_open(study_id).await.unwrap(),
        [attempt(1, 1)],
    );
    assert_same(
        fixture.store.point_list(study_id, TrialNumber(1)).await.unwrap(),
        [points(1, 1, "loss", 0, 3)],
    );
    fixture.store.commit(&again, &trials([pending(3)])).await.unwrap();
}

pub(super) async fn a_caller_who_goes_away_leaves_no_transaction_open(fixture: &mut Fixture) {
    let study = fixture.study(1).await.id();
    let changes = trials((1..50).map(pending));
    // Each goes away a little later than the one before.
    for patience in 0..40 {
        let ownership = fixture.store.study_take(study).await.unwrap();
        let mut commit = Box::pin(fixture.store.commit(&ownership, &changes));
        for _ in 0..patience * 20 {
            if futures::poll!(&mut commit).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    let ownership = fixture.store.study_take(study).await.unwrap();
    fixture
        .store
        .commit(&ownership, &trials([pending(1_000)]))
        .await
        .unwrap();
    for second in 0..9 {
        fixture
            .store
            .audit_add(&audit("workers/w", second))
            .await
            .unwrap();
    }
    fixture.reopen().await;
    assert_same(
        fixture
            .store
            .trial_fetch(study, TrialNumber(1_000))
            .await
            .unwrap(),
        Some(pending(1_000)),
    );
    assert_eq!(fixture.store.audit_list("workers/w", 99).await.unwrap().len(), 9);
}
