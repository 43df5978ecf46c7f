//! Any sequence of calls has the same answers from a database as from memory, and leaves the same behind.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tunesmith_common::checkpoint::{Changed, Checkpoint, EarlierEnd, Heir, Parent, RungResult, Stages};
use tunesmith_common::params::{ParamValue, Params};
use tunesmith_common::trial::TrialState;
use tunesmith_common::{Attempt, CheckpointStoreId, Timestamp, TrialNumber};

use super::all;
use super::rows::{
    all_states, at, attempt, audit, decision, failure_causes, points, request, study, study_id, token, trial,
    worker,
};
use crate::store::testing::Backend;
use crate::store::{
    AttemptRow, Changes, DoneReason, MemoryStore, Ownership, PointChunk, RequestRow, Store, StudyRow,
    StudyState, TrialOrder, TrialQuery, TrialRow,
};

/// Few of everything, so that calls meet.
const STUDIES: u128 = 3;
const TRIALS: u64 = 4;

#[derive(Clone, Debug)]
enum Command {
    Create {
        study: u128,
        name: u128,
        request: Option<(u128, u8)>,
    },
    Take(u128),
    /// By an ownership that was good once: 0 is the newest known.
    Commit {
        study: u128,
        age: usize,
        changes: Box<Changes>,
    },
    Delete(u128),
    Compact {
        study: u128,
        trial: u64,
        attempt: u32,
    },
    Prune {
        study: u128,
        before: i64,
    },
    SaveWorker(u128, bool),
    DeleteWorker(u128),
    AddToken(u8),
    RevokeToken(u8, i64),
}

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        3 => any::<f64>(),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(f64::NEG_INFINITY),
        1 => Just(0.5),
    ]
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[^\\x00]{0,12}"]
}

/// Two rungs and a checkpoint for a trial with a value, a checkpoint for every other one without.
fn stages(number: u64, value: Option<f64>) -> Stages {
    let rung = |rung: i64, value: f64| RungResult {
        rung,
        step: rung + 1,
        value,
        more_values: [Some(value), None].into(),
        at: at(rung),
    };
    let checkpoint = Checkpoint {
        store: CheckpointStoreId(uuid::Uuid::from_u128(7)),
        trial: TrialNumber(number),
        attempt: Attempt(2),
        step: 5,
        bytes: 1 << 40,
        files: 3,
        digest: "00ff".to_owned(),
    };
    Stages {
        rungs: value
            .map(|value| vec![rung(1, value), rung(3, 0.5)])
            .unwrap_or_default(),
        checkpoint: Some(checkpoint.clone()).filter(|_| value.is_some() || number.is_multiple_of(2)),
        parent: value.filter(|_| number.is_multiple_of(3)).map(|value| {
            Box::new(Parent {
                trial: TrialNumber(1),
                step: 4,
                value,
                replaces: Some(TrialNumber(2)).filter(|_| number.is_multiple_of(2)),
                changed: vec![Changed {
                    name: "lr".parse().unwrap(),
                    from: Some(ParamValue::Float(0.1)),
                    to: None,
                }],
            })
        }),
        heir: value.filter(|_| number.is_multiple_of(2)).map(|value| {
            Box::new(Heir {
                parent: TrialNumber(2),
                params: Arc::new(Params::from_iter([(
                    "lr".parse().unwrap(),
                    ParamValue::Float(0.1),
                )])),
                step: 4,
                value,
                checkpoint: Some(checkpoint).filter(|_| number.is_multiple_of(4)),
            })
        }),
        earlier_ends: Vec::from_iter(Some(EarlierEnd {
            at: at(2),
            went_on_at: at(3),
            value,
            more_values: [value, None].into(),
            last_step: value.map(|_| 4),
            next: TrialNumber(9),
        }))
        .into_iter()
        .filter(|_| number.is_multiple_of(3))
        .collect(),
        trained: Duration::from_micros(number / 2),
    }
}

fn any_trial() -> impl Strategy<Value = TrialRow> {
    let states: Vec<TrialState> = all_states();
    (
        1..=TRIALS,
        prop::sample::select(states),
        prop::option::of(any_number()),
        prop::collection::vec(prop::option::of(any_number()), 0..3),
        any_text(),
        prop::collection::vec(any_text(), 0..3),
        any::<u64>(),
    )
        .prop_map(|(number, state, value, more_values, note, tags, seed)| TrialRow {
            value,
            more_values: more_values.into(),
            metrics: value
                .map(|value| ("loss".parse().unwrap(), value))
                .into_iter()
                .collect(),
            last_step: value.map(|_| i64::try_from(number).unwrap()),
            stages: Arc::new(stages(number, value)),
            note,
            tags,
            seed,
            ..trial(number, state)
        })
}

fn any_attempt() -> impl Strategy<Value = AttemptRow> {
    let causes = prop::option::of(prop::sample::select(failure_causes().to_vec()));
    (
        1..=TRIALS,
        1..=2_u32,
        causes,
        any_text(),
        any::<bool>(),
        any::<Option<i32>>(),
        0.0..1e6_f64,
    )
        .prop_map(
            |(trial, number, failure, log_tail, ended, exit_code, price_per_hour)| AttemptRow {
                price_per_hour,
                cost: if ended { price_per_hour / 7.0 } else { 0.0 },
                failure,
                log_tail,
                exit_code,
                ended_at: ended.then(|| at(3)),
                client_ttl: ended.then(|| Duration::from_millis(250)),
                ..attempt(trial, number)
            },
        )
}

/// Places of chunks that do not overlap: ten sequence numbers each, even ones for one metric, odd ones for the other.
fn any_points() -> impl Strategy<Value = PointChunk> {
    (
        1..=TRIALS,
        1..=2_u32,
        0..8_u64,
        prop::collection::vec(any_number(), 1..6),
    )
        .prop_map(|(trial, attempt, place, values)| {
            let metric = if place % 2 == 0 { "loss" } else { "val/acc" };
            let count = u64::try_from(values.len()).unwrap();
            PointChunk {
                values,
                ..points(trial, attempt, metric, place * 10, count)
            }
        })
}

fn any_study_row(n: u128) -> impl Strategy<Value = StudyRow> {
    let states = prop::sample::select(vec![
        StudyState::Active,
        StudyState::Paused,
        StudyState::Ending(DoneReason::Budget),
        StudyState::Done(DoneReason::Target),
        StudyState::Archived(DoneReason::Failures),
    ]);
    (states, any_text(), 1..=STUDIES, 0.0..1e9_f64).prop_map(move |(state, reason, name, gpu_seconds)| {
        StudyRow {
            cost: gpu_seconds / 7.0,
            name: study(name).name,
            state,
            state_reason: reason,
            gpu_seconds,
            done_at: matches!(state, StudyState::Done(_) | StudyState::Archived(_)).then(|| at(5)),
            ..study(n)
        }
    })
}

fn any_changes(n: u128) -> impl Strategy<Value = Changes> {
    let few = 0..4_usize;
    (
        prop::option::weighted(0.3, any_study_row(n)),
        prop::collection::vec(any_trial(), few.clone()),
        prop::collection::vec(any_attempt(), few.clone()),
        prop::collection::vec(any_points(), few.clone()),
        prop::collection::vec((1..=TRIALS, 0..5_i64), few),
        prop::option::of(1..4_u128),
        prop::option::of(any_text()),
    )
        .prop_map(
            |(study, trials, attempts, points, decisions, answered, detail)| Changes {
                study,
                trials,
                attempts,
                points,
                decisions: decisions
                    .into_iter()
                    .map(|(trial, step)| decision(trial, step))
                    .collect(),
                requests: answered.map(request).into_iter().collect(),
                audit: detail
                    .map(|detail| crate::store::AuditRow {
                        detail,
                        ..audit("studies/x", 1)
                    })
                    .into_iter()
                    .collect(),
            },
        )
}

fn any_command() -> impl Strategy<Value = Command> {
    let study = || 1..=STUDIES;
    let commit = study().prop_flat_map(|study| {
        (
            Just(study),
            prop_oneof![8 => Just(0), 1 => 1..3_usize],
            any_changes(study),
        )
            .prop_map(|(study, age, changes)| Command::Commit {
                study,
                age,
                changes: Box::new(changes),
            })
    });
    prop_oneof![
        3 => (study(), study(), prop::option::of((1..3_u128, 0..2_u8)))
            .prop_map(|(study, name, request)| Command::Create { study, name, request }),
        4 => study().prop_map(Command::Take),
        16 => commit,
        1 => study().prop_map(Command::Delete),
        2 => (study(), 1..=TRIALS, 1..=2_u32)
            .prop_map(|(study, trial, attempt)| Command::Compact { study, trial, attempt }),
        1 => (study(), 0..4_i64).prop_map(|(study, before)| Command::Prune { study, before }),
        1 => (1..3_u128, any::<bool>()).prop_map(|(n, draining)| Command::SaveWorker(n, draining)),
        1 => (1..3_u128).prop_map(Command::DeleteWorker),
        1 => (0..3_u8).prop_map(Command::AddToken),
        1 => (0..3_u8, 0..9_i64).prop_map(|(n, second)| Command::RevokeToken(n, second)),
    ]
}

/// Owners of studies that were good once, newest last.
type Owners = BTreeMap<u128, Vec<Ownership>>;

/// Carries out a command and tells the answer as text.
async fn answer(store: &dyn Store, owners: &mut Owners, command: &Command) -> String {
    match command {
        Command::Create {
            study: n,
            name,
            request: call,
        } => {
            let row = StudyRow {
                name: study(*name).name,
                ..study(*n)
            };
            let call = call.map(|(id, content)| RequestRow {
                content: [content; 32],
                ..request(id)
            });
            format!(
                "{:?}",
                store
                    .study_create(&row, &[], call.as_ref(), &audit("studies/x", 2))
                    .await
            )
        }
        Command::Take(n) => match store.study_take(study_id(*n)).await {
            Ok(ownership) => {
                owners.entry(*n).or_default().push(ownership);
                format!("{ownership:?}")
            }
            Err(error) => format!("{error:?}"),
        },
        Command::Commit {
            study: n,
            age,
            changes,
        } => {
            let known = owners
                .get(n)
                .and_then(|known| known.iter().nth_back(*age))
                .copied();
            let by = known.unwrap_or(Ownership {
                study: study_id(*n),
                epoch: 0,
                commit_seq: 0,
            });
            match store.commit(&by, changes).await {
                Ok(ownership) => {
                    owners.entry(*n).or_default().push(ownership);
                    format!("{ownership:?}")
                }
                Err(error) => format!("{error:?}"),
            }
        }
        Command::Delete(n) => format!(
            "{:?}",
            store.study_delete(study_id(*n), &audit("studies/x", 3)).await
        ),
        Command::Compact {
            study,
            trial,
            attempt,
        } => {
            let newest = owners.get(study).and_then(|known| known.last()).copied();
            let by = newest.unwrap_or(Ownership {
                study: study_id(*study),
                epoch: 0,
                commit_seq: 0,
            });
            let done = store
                .point_compact(&by, TrialNumber(*trial), Attempt(*attempt), None)
                .await;
            format!("{done:?}")
        }
        Command::Prune { study, before } => {
            format!("{:?}", store.request_prune(study_id(*study), at(*before)).await)
        }
        Command::SaveWorker(n, draining) => {
            let row = crate::store::WorkerRow {
                draining: *draining,
                ..worker(*n, "w")
            };
            format!("{:?}", store.worker_save(&row).await)
        }
        Command::DeleteWorker(n) => format!("{:?}", store.worker_delete(worker(*n, "w").id).await),
        Command::AddToken(n) => format!(
            "{:?}",
            store.token_add(&token(&format!("t{n}"), i64::from(*n))).await
        ),
        Command::RevokeToken(n, second) => {
            format!("{:?}", store.token_revoke(&format!("t{n}"), at(*second)).await)
        }
    }
}

/// Everything that can be read, as text.
async fn everything(store: &dyn Store) -> String {
    let mut text = String::new();
    macro_rules! show {
        ($($call:tt)+) => {
            writeln!(text, "{} = {:#?}", stringify!($($call)+), store.$($call)+.await).unwrap()
        };
    }
    show!(study_list(true, 0, 99));
    show!(study_list(false, 1, 1));
    show!(audit_list("", 999));
    show!(worker_list());
    show!(token_list());
    for study in (1..=STUDIES).map(study_id) {
        show!(study_fetch(study));
        show!(trial_list(study, &all()));
        for order in [
            TrialOrder::Newest,
            TrialOrder::BestMinimize,
            TrialOrder::BestMaximize,
        ] {
            show!(trial_list(study, &TrialQuery { order, ..all() }));
        }
        show!(trial_list(
            study,
            &TrialQuery {
                states: vec!["FAILED", "RUNNING"],
                offset: 1,
                ..all()
            }
        ));
        show!(trial_page(study, TrialNumber(1), 2));
        show!(trial_counts(study));
        show!(attempt_list_of(study, TrialNumber(2)..=TrialNumber(3)));
        show!(decision_list_of(study, TrialNumber(2)..=TrialNumber(3)));
        show!(decision_list_all(study));
        show!(request_list(study, Timestamp::UNIX_EPOCH));
        let both = ["val/acc".parse().unwrap(), "loss".parse().unwrap()];
        show!(point_page(study, &both, TrialNumber(0), 3));
        show!(point_page(study, &both[1..], TrialNumber(1), 2));
        show!(point_runs(study, &both, &[TrialNumber(1), TrialNumber(3)]));
        show!(point_exists(study, &both[0]));
        for trial in (1..=TRIALS).map(TrialNumber) {
            show!(trial_fetch(study, trial));
            show!(attempt_list(study, trial));
            show!(decision_list(study, trial));
            show!(point_list(study, trial));
        }
        // Those that promise no order.
        let mut open = store.attempt_list_open(study).await.unwrap();
        open.sort_by_key(|row| (row.trial, row.attempt));
        let mut committed = store.point_committed(study).await.unwrap();
        committed.sort();
        writeln!(text, "{open:#?} {committed:?}").unwrap();
    }
    let mut alive = store.study_list_alive().await.unwrap();
    alive.sort();
    writeln!(text, "{alive:?}").unwrap();
    text
}

async fn compare(store: Arc<dyn Store>, commands: &[Command]) -> Result<(), TestCaseError> {
    let memory = MemoryStore::new();
    let (mut owners, mut owners_in_memory) = (Owners::new(), Owners::new());
    for command in commands {
        let expected = answer(&memory, &mut owners_in_memory, command).await;
        let found = answer(&*store, &mut owners, command).await;
        prop_assert_eq!(found, expected, "{:?}", command);
    }
    prop_assert_eq!(everything(&*store).await, everything(&memory).await);
    Ok(())
}

fn check(cases: u32, backend: impl AsyncFn() -> Backend) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut runner = TestRunner::new(Config {
        cases,
        source_file: Some(file!()),
        ..Config::default()
    });
    let result = runner.run(&prop::collection::vec(any_command(), 1..40), |commands| {
        runtime.block_on(async {
            let backend = backend().await;
            let store = backend.open().await;
            let result = compare(Arc::clone(&store), &commands).await;
            store.close().await;
            backend.remove().await;
            result
        })
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn sqlite_does_as_memory_does() {
    check(48, Backend::sqlite);
}

#[test]
fn postgres_does_as_memory_does() {
    check(24, Backend::postgres);
}
