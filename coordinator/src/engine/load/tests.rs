//! What a study remembers over restarts, on each store: calls that may be repeated, and values of several objectives.

use std::sync::Arc;
use std::time::Duration;

use tunesmith_common::clock::TestClock;
use tunesmith_common::measurement::{MetricName, Point, PointBatch};
use tunesmith_common::study::StudyFile;
use tunesmith_common::{LeaseKey, RequestId, Timestamp};
use uuid::Uuid;

use super::*;
use crate::decide::{Given, Outbox, TellRequest};
use crate::store::testing::Backend;
use crate::store::{AuditRow, Lineage, StudyRow, StudyState};

const STUDY: StudyId = StudyId(Uuid::from_u128(1));
const ONE: &str = "objective: {metric: acc, goal: maximize}\n";
const TWO: &str = "objective: [{metric: acc, goal: maximize}, {metric: ms, goal: minimize}]\nconstraints: [{metric: mem, at_most: 16}]\n";
const HOUR: Duration = Duration::from_secs(3600);

/// A study on a store, without an engine.
struct Desk {
    store: Arc<dyn Store>,
    clock: TestClock,
    core: StudyCore,
    owner: Ownership,
}

impl Desk {
    async fn create(store: Arc<dyn Store>, aims: &str) -> Self {
        let clock = TestClock::at(Timestamp::from_micros(1_000_000_000_000_001));
        let text = &format!(
            "name: desk\n{aims}space: {{x: {{type: float, low: 0, high: 1}}}}\nstrategy: {{name: random, seed: 1}}\n"
        );
        let (raw, spec) = StudyFile::parse(text, "desk.yaml").unwrap();
        let row = StudyRow {
            id: STUDY,
            name: spec.name,
            spec: raw,
            lineage: Lineage::default(),
            state: StudyState::Active,
            state_reason: String::new(),
            strategy_note: String::new(),
            active_time: Duration::ZERO,
            gpu_seconds: 0.0,
            cost: 0.0,
            creator: String::new(),
            policy: None,
            created_at: clock.now(),
            done_at: None,
            updated_at: clock.now(),
        };
        let audit = AuditRow {
            at: clock.now(),
            actor: "kim".to_owned(),
            action: "create_study".to_owned(),
            subject: "studies/desk".to_owned(),
            detail: String::new(),
        };
        store.study_create(&row, &[], None, &audit).await.unwrap();
        Self::load(store, clock).await
    }

    async fn load(store: Arc<dyn Store>, clock: TestClock) -> Self {
        let (core, owner) = load(&store, &clock, STUDY).await.unwrap();
        Self {
            store,
            clock,
            core,
            owner,
        }
    }

    /// The same study after a restart some time later.
    async fn restart(self, backend: &Backend, later: Duration) -> Self {
        self.store.close().await;
        self.clock.advance(later);
        Self::load(backend.open().await, self.clock).await
    }

    async fn step<T>(&mut self, command: impl FnOnce(&mut StudyCore, &mut Outbox, &mut Ctx<'_>) -> T) -> T {
        let mut random = || Uuid::new_v4().as_u128();
        let mut ctx = Ctx {
            now: self.clock.now(),
            mono: self.clock.monotonic(),
            random: &mut random,
        };
        let mut out = Outbox::default();
        let answer = command(&mut self.core, &mut out, &mut ctx);
        let (changes, _) = self.core.close(out, &ctx);
        self.owner = self.store.commit(&self.owner, &changes).await.unwrap();
        answer
    }

    async fn ask(&mut self, request: u128, count: u32) -> Vec<Given> {
        let key = Some((RequestId(Uuid::from_u128(request)), [1; 32]));
        self.step(|core, out, ctx| core.ask(out, ctx, count, "me", None, key))
            .await
            .unwrap()
    }

    async fn tell(&mut self, trial: u64) {
        let tell = TellRequest {
            trial: TrialNumber(trial),
            lease: None,
            value: Some(0.5),
            values: Vec::new(),
            failure: None,
        };
        self.step(|core, out, ctx| core.tell(out, ctx, tell))
            .await
            .unwrap();
    }

    /// The lease that a trial was given with, as the store has it.
    async fn lease(&self, given: &Given) -> LeaseKey {
        let attempts = self.store.attempt_list(STUDY, given.trial).await.unwrap();
        let attempt = attempts.iter().find(|row| row.leased_at == given.at).unwrap();
        LeaseKey {
            study: STUDY,
            trial: given.trial,
            attempt: attempt.attempt,
            id: attempt.lease,
        }
    }
}

fn numbers(given: &[Given]) -> Vec<u64> {
    given.iter().map(|given| given.trial.0).collect()
}

async fn answers_are_kept_for_a_day_and_while_a_trial_of_theirs_lives(backend: Backend) {
    let mut desk = Desk::create(backend.open().await, ONE).await;
    let long = desk.ask(1, 2).await;
    let short = desk.ask(2, 1).await;
    assert_eq!((numbers(&long), numbers(&short)), (vec![1, 2], vec![3]));
    desk.tell(1).await;
    desk.tell(3).await;

    let mut desk = desk.restart(&backend, HOUR).await;
    let (again, short_again) = (desk.ask(1, 2).await, desk.ask(2, 1).await);
    assert_eq!((numbers(&again), numbers(&short_again)), (vec![1, 2], vec![3]));
    assert_eq!((&again[0].held, &short_again[0].held), (&None, &None));
    assert_eq!(again[1], long[1], "under the lease that it had");
    for (given, before) in [(&again[0], &long[0]), (&short_again[0], &short[0])] {
        assert_eq!(desk.lease(given).await, before.held.as_ref().unwrap().lease);
    }

    let mut desk = desk.restart(&backend, 24 * HOUR).await;
    assert_eq!(desk.ask(1, 2).await, again, "trial 2 has not ended");
    assert_eq!(
        numbers(&desk.ask(2, 1).await),
        [4],
        "forgotten: this is a new call"
    );
    desk.tell(2).await;

    let mut desk = desk.restart(&backend, HOUR).await;
    assert_eq!(numbers(&desk.ask(1, 2).await), [5, 6]);
    desk.store.close().await;
    backend.remove().await;
}

#[tokio::test]
async fn answers_are_kept_in_memory() {
    Box::pin(answers_are_kept_for_a_day_and_while_a_trial_of_theirs_lives(
        Backend::memory().await,
    ))
    .await;
}

#[tokio::test]
async fn answers_are_kept_in_sqlite() {
    Box::pin(answers_are_kept_for_a_day_and_while_a_trial_of_theirs_lives(
        Backend::sqlite().await,
    ))
    .await;
}

#[tokio::test]
async fn answers_are_kept_in_postgres() {
    Box::pin(answers_are_kept_for_a_day_and_while_a_trial_of_theirs_lives(
        Backend::postgres().await,
    ))
    .await;
}

/// All that people see of a study, but for the moment at which they look.
fn seen(desk: &Desk) -> String {
    let mut random = || 0;
    let ctx = Ctx {
        now: desk.clock.now(),
        mono: desk.clock.monotonic(),
        random: &mut random,
    };
    let summary = desk.core.summary(&ctx);
    let living: Vec<_> = (1..=9)
        .filter_map(|number| desk.core.active_row(TrialNumber(number)))
        .collect();
    format!(
        "{:?} {:?} {:?} {:?} {living:?}",
        summary.counts,
        summary.best,
        summary.pareto_set,
        desk.core.incumbents(9)
    )
}

async fn values_are_the_same_after_a_restart(backend: Backend) {
    let mut desk = Desk::create(backend.open().await, TWO).await;
    let values = |acc, ms, mem: Option<f64>| {
        let mut values = vec![("acc".parse().unwrap(), acc), ("ms".parse().unwrap(), ms)];
        values.extend(mem.map(|mem| ("mem".parse().unwrap(), mem)));
        values
    };
    let results = [
        values(0.5, 5.0, Some(1.0)),
        values(0.9, 9.0, Some(16.0)),
        values(0.99, 1.0, Some(16.5)),
        values(0.99, 1.0, None),
        values(0.1, f64::NEG_INFINITY, Some(f64::NAN)),
    ];
    desk.ask(1, 6).await;
    let tell = |trial: u64, values: &[(MetricName, f64)]| TellRequest {
        trial: TrialNumber(trial),
        lease: None,
        value: None,
        values: values.to_vec(),
        failure: None,
    };
    // They end in another order than that of their numbers.
    for (trial, values) in (1..=5).rev().zip(results.iter().rev()) {
        let tell = tell(trial, values);
        desk.step(|core, out, ctx| core.tell(out, ctx, tell))
            .await
            .unwrap();
    }
    // One runs on, and has reported about all three.
    let batch = PointBatch {
        metrics: ["ms", "mem", "acc"]
            .map(|metric| metric.parse().unwrap())
            .to_vec(),
        points: (0..6)
            .map(|index| Point {
                metric: index % 3,
                step: i64::from(index / 3),
                value: 0.125 * f64::from(index),
                at: Timestamp::UNIX_EPOCH,
            })
            .collect(),
    };
    desk.step(|core, out, ctx| core.report(out, ctx, TrialNumber(6), None, 1, &batch))
        .await
        .unwrap();
    let before = seen(&desk);
    assert!(before.contains("[TrialNumber(2), TrialNumber(1)]"), "{before}");
    assert!(
        before.contains("more_values: [Some(0.375), Some(0.5)]"),
        "{before}"
    );

    let mut desk = desk.restart(&backend, HOUR).await;
    assert_eq!(seen(&desk), before);
    for (trial, values) in (1..).zip(&results) {
        let tell = tell(trial, values);
        desk.step(|core, out, ctx| core.tell(out, ctx, tell))
            .await
            .unwrap();
    }
    let other = tell(1, &values(0.5, 5.0, Some(2.0)));
    desk.step(|core, out, ctx| core.tell(out, ctx, other))
        .await
        .unwrap_err();
    // The points from before the restart are its values.
    let end = tell(6, &[]);
    desk.step(|core, out, ctx| core.tell(out, ctx, end))
        .await
        .unwrap();
    assert!(
        seen(&desk).contains("[TrialNumber(2), TrialNumber(6)]"),
        "{}",
        seen(&desk)
    );
    desk.store.close().await;
    backend.remove().await;
}

#[tokio::test]
async fn values_are_the_same_in_memory() {
    Box::pin(values_are_the_same_after_a_restart(Backend::memory().await)).await;
}

#[tokio::test]
async fn values_are_the_same_in_sqlite() {
    Box::pin(values_are_the_same_after_a_restart(Backend::sqlite().await)).await;
}

#[tokio::test]
async fn values_are_the_same_in_postgres() {
    Box::pin(values_are_the_same_after_a_restart(Backend::postgres().await)).await;
}
