//! What most tests start with.

use std::ops::RangeInclusive;
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tunesmith_e2e::{Api, Coordinator, Findings, Records, Storage, Worker, audit, eventually};
use tunesmith_proto::v1;

/// Short, so that a lost worker is found out within a test; long enough for a busy machine.
pub(crate) const LEASE: Duration = Duration::from_secs(3);
/// How long a study of a test may take on a slow machine under load.
pub(crate) const STUDY: Duration = Duration::from_secs(150);

/// A coordinator on SQLite with one worker.
pub(crate) struct World {
    pub(crate) records: Records,
    pub(crate) worker: Worker,
    pub(crate) coordinator: Coordinator,
    pub(crate) api: Api,
}

impl World {
    pub(crate) async fn start(slots: u32) -> Self {
        Self::start_in(&Storage::Sqlite, slots).await
    }

    pub(crate) async fn start_in(storage: &Storage, slots: u32) -> Self {
        let coordinator = Coordinator::start(storage, LEASE).await;
        let worker = Worker::start(&coordinator, "first", &["--slots", &slots.to_string()]);
        let api = coordinator.api();
        Self {
            records: Records::new(),
            worker,
            coordinator,
            api,
        }
    }

    /// Waits for the end of a study and audits it.
    pub(crate) async fn finish(&mut self, study: &str) -> Findings {
        self.api.done(study, STUDY).await;
        audit(&mut self.api, study, &self.records).await
    }
}

/// Waits until so many trials of a study run, and have printed so many lines each.
pub(crate) async fn running(records: &Records, trials: usize, lines: usize) {
    eventually("trainings run", async || {
        let told = records.read();
        let far = told
            .values()
            .filter(|told| !told.ended && told.points.len() >= lines)
            .count();
        if far >= trials {
            Ok(())
        } else {
            Err(format!("{far} of {trials}: {told:?}"))
        }
    })
    .await;
}

/// Random numbers from a seed that is printed; `TUNESMITH_TEST_SEED` repeats one.
pub(crate) fn seeded() -> ChaCha8Rng {
    let seed = match std::env::var("TUNESMITH_TEST_SEED") {
        Ok(text) => text.parse().unwrap(),
        Err(_) => {
            let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
            high ^ low
        }
    };
    #[expect(clippy::print_stderr, reason = "whoever wants to repeat the test needs it")]
    {
        eprintln!("TUNESMITH_TEST_SEED={seed}");
    }
    ChaCha8Rng::seed_from_u64(seed)
}

/// A generator of its own for each of several tasks.
pub(crate) fn fork(random: &mut ChaCha8Rng) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(random.random())
}

/// A study for callers that ask and tell.
pub(crate) fn asked_study(name: &str, more: &str) -> String {
    format!(
        "name: {name}\nobjective: {{metric: score, goal: maximize}}\nspace:\n  x: {{type: float, low: 0.0, high: 1.0}}\n\
         strategy: {{name: random, seed: 7}}\n{more}\n"
    )
}

/// Rules for such a study that judge and stop nothing.
pub(crate) const RULES: &str = "early_stopping:\n  - {rule: median, min_trials: 3, shadow: true}\n  - {rule: threshold, below: 0.1, shadow: true}\n";

/// `studies/{study}/trials/{number}`.
pub(crate) fn trial_name(study: &str, number: u64) -> String {
    format!("studies/{study}/trials/{number}")
}

/// Waits until the pool has so many workers that take trials.
pub(crate) async fn ready(api: &mut Api, count: usize) -> Vec<v1::Worker> {
    eventually("workers are ready", async || {
        let workers = api
            .pool
            .list_workers(v1::ListWorkersRequest {})
            .await
            .map_err(|status| status.to_string())?;
        let workers = workers.into_inner().workers;
        let ready = workers
            .iter()
            .filter(|worker| worker.state() == v1::WorkerState::Ready)
            .count();
        if ready == count {
            Ok(workers)
        } else {
            Err(format!("{workers:?}"))
        }
    })
    .await
}

/// The only trial of a study is done, its last attempt trained these steps, and its curve has each from the first on once.
pub(crate) async fn assert_went_on(
    api: &mut Api,
    records: &Records,
    study: &str,
    steps: RangeInclusive<i64>,
) {
    let trial = api.trials(study).await.remove(0);
    assert_eq!(trial.state(), v1::TrialState::Completed, "{trial:?}");
    let told = records.read();
    let last = &told[&(1, trial.attempts.last().unwrap().attempt)];
    assert_eq!(
        last.points.first().map(|(_, step, _)| step),
        Some(steps.start()),
        "{last:?}"
    );
    let curve = api.curve(&trial.name, "score").await;
    let known: Vec<i64> = curve.iter().map(|(step, _)| *step).collect();
    assert_eq!(known, (1..=*steps.end()).collect::<Vec<i64>>());
}
