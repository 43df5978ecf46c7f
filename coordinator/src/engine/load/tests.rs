//! What a study remembers of calls that may be repeated, over restarts, on each store.

use std::sync::Arc;
use std::time::Duration;

use tunesmith_common::clock::TestClock;
use tunesmith_common::study::StudyFile;
use tunesmith_common::{LeaseKey, RequestId, Timestamp};
use uuid::Uuid;

use super::*;
use crate::decide::{Given, Outbox, TellRequest};
use crate::store::testing::Backend;
use crate::store::{AuditRow, StudyRow, StudyState};

const STUDY: StudyId = StudyId(Uuid::from_u128(1));
const HOUR: Duration = Duration::from_secs(3600);

/// A study on a store, without an engine.
struct Desk {
    store: Arc<dyn Store>,
    clock: TestClock,
    core: StudyCore,
    owner: Ownership,
}

impl Desk {
    async fn create(store: Arc<dyn Store>) -> Self {
        let clock = TestClock::at(Timestamp::from_micros(1_000_000_000_000_001));
        let text = "name: desk\nobjective: {metric: acc, goal: maximize}\nspace: {x: {type: float, low: 0, high: 1}}\n\
                    strategy: {name: random, seed: 1}\n";
        let (raw, spec) = StudyFile::parse(text, "desk.yaml").unwrap();
        let row = StudyRow {
            id: STUDY,
            name: spec.name,
            spec: raw,
            state: StudyState::Active,
            state_reason: String::new(),
            strategy_note: String::new(),
            active_time: Duration::ZERO,
            gpu_seconds: 0.0,
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
        store.study_create(&row, None, &audit).await.unwrap();
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
    let mut desk = Desk::create(backend.open().await).await;
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
    answers_are_kept_for_a_day_and_while_a_trial_of_theirs_lives(Backend::memory().await).await;
}

#[tokio::test]
async fn answers_are_kept_in_sqlite() {
    answers_are_kept_for_a_day_and_while_a_trial_of_theirs_lives(Backend::sqlite().await).await;
}

#[tokio::test]
async fn answers_are_kept_in_postgres() {
    answers_are_kept_for_a_day_and_while_a_trial_of_theirs_lives(Backend::postgres().await).await;
}
