//! The auditor: holds what is stored against what the trainings themselves wrote down, and against what clients were told.
//!
//! It looks from outside only: the API, the trainings' records, the process table and, for Postgres, the tables.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tunesmith_proto::v1;
use v1::TrialState as State;

use crate::client::Api;
use crate::record::{Records, Told};
use crate::replay::audit_suggestions;
use crate::tables::Tables;
use crate::wait::eventually;

/// What was found, for further assertions of a test.
#[derive(Clone, Debug)]
pub struct Findings {
    /// The study.
    pub study: v1::Study,
    /// Its trials, whole.
    pub trials: Vec<v1::Trial>,
    /// What trainings recorded, by trial and attempt.
    pub told: BTreeMap<(u64, u32), Told>,
}

impl Findings {
    /// Trials in a state.
    #[must_use]
    pub fn count(&self, state: State) -> usize {
        self.trials.iter().filter(|trial| trial.state() == state).count()
    }

    /// Attempts over all trials.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.trials.iter().map(|trial| trial.attempts.len()).sum()
    }
}

/// Audits a study of trainings of `tunesmith-probe` after its end.
///
/// # Panics
/// If a promise was broken.
pub async fn audit(api: &mut Api, name: &str, records: &Records) -> Findings {
    let study = api.study(name).await.unwrap();
    assert_eq!(
        study.state(),
        v1::StudyState::Done,
        "the study has not ended: {study:?}"
    );
    let trials = api.trials(name).await;
    eventually("nothing of a training lives", async || {
        let alive = records.alive();
        if alive.is_empty() {
            Ok(())
        } else {
            Err(describe(&alive))
        }
    })
    .await;
    let told = records.read();
    numbers(&study, &trials);
    budget(&study, &trials);
    audit_suggestions(&study, &trials);
    for trial in &trials {
        states(&study, trial);
        for attempt in &trial.attempts {
            let told = told
                .get(&(trial.number, attempt.attempt))
                .cloned()
                .unwrap_or_default();
            points(api, trial, attempt, &told).await;
        }
        whole_curve(api, trial).await;
    }
    for ((trial, attempt), told) in &told {
        assert!(
            !told.unfinished,
            "the record of attempt {attempt} of trial {trial} breaks off"
        );
        let known = trials
            .iter()
            .any(|it| it.number == *trial && it.attempts.iter().any(|it| it.attempt == *attempt));
        assert!(known, "attempt {attempt} of trial {trial} ran and is not stored");
    }
    Findings { study, trials, told }
}

fn describe(pids: &[u32]) -> Vec<String> {
    let line = |pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
            .unwrap_or_default()
            .replace('\0', " ")
    };
    pids.iter().map(|pid| format!("{pid} {}", line(pid))).collect()
}

fn is_final(state: State) -> bool {
    matches!(
        state,
        State::Completed | State::EarlyStopped | State::TimedOut | State::Failed | State::Cancelled
    )
}

/// Numbers without gaps, and counts that agree with the trials.
fn numbers(study: &v1::Study, trials: &[v1::Trial]) {
    let numbers: Vec<u64> = trials.iter().map(|trial| trial.number).collect();
    let expected: Vec<u64> = (1..).take(trials.len()).collect();
    assert_eq!(numbers, expected, "numbers of trials");
    let counts = study.counts.unwrap_or_default();
    let of =
        |state: State| u64::try_from(trials.iter().filter(|trial| trial.state() == state).count()).unwrap();
    assert_eq!(
        [
            counts.completed,
            counts.early_stopped,
            counts.timed_out,
            counts.failed,
            counts.cancelled
        ],
        [
            of(State::Completed),
            of(State::EarlyStopped),
            of(State::TimedOut),
            of(State::Failed),
            of(State::Cancelled)
        ],
        "counts of the study"
    );
    assert_eq!(
        [counts.pending, counts.running, counts.stopping, counts.paused],
        [0; 4],
        "counts of the study"
    );
}

/// Never more trials, never more at the same time, than allowed.
fn budget(study: &v1::Study, trials: &[v1::Trial]) {
    let budget = study.spec.clone().unwrap().budget.unwrap_or_default();
    if let Some(limit) = budget.trials {
        assert!(
            u64::try_from(trials.len()).unwrap() <= limit,
            "{} trials, {limit} allowed",
            trials.len()
        );
    }
    let Some(parallel) = budget.parallel else { return };
    let mut changes: BTreeSet<(Duration, i32, u64, u32)> = BTreeSet::new();
    for trial in trials {
        for attempt in &trial.attempts {
            let key = (trial.number, attempt.attempt);
            let (from, to) = (
                since_epoch(attempt.leased_at.as_ref()),
                since_epoch(attempt.ended_at.as_ref()),
            );
            // At the same instant ends come first.
            changes.insert((from, 1, key.0, key.1));
            changes.insert((to, -1, key.0, key.1));
        }
    }
    let mut running = 0;
    for (at, change, trial, attempt) in changes {
        running += change;
        let allowed = i32::try_from(parallel).unwrap();
        assert!(
            running <= allowed,
            "{running} at the same time at {at:?}, when trial {trial} attempt {attempt} began"
        );
    }
}

fn since_epoch(time: Option<&pbjson_types::Timestamp>) -> Duration {
    let time = time.expect("a time is missing");
    Duration::new(time.seconds.try_into().unwrap(), time.nanos.try_into().unwrap())
}

/// One final state, attempts that follow each other and are bounded by cause.
fn states(study: &v1::Study, trial: &v1::Trial) {
    let number = trial.number;
    assert!(
        is_final(trial.state()),
        "trial {number} is in {:?}",
        trial.state()
    );
    assert!(trial.ended_at.is_some(), "trial {number} has no time of its end");
    let numbers: Vec<u32> = trial.attempts.iter().map(|attempt| attempt.attempt).collect();
    let expected: Vec<u32> = (1..).take(numbers.len()).collect();
    assert_eq!(numbers, expected, "attempts of trial {number}");
    let mut before = None;
    for attempt in &trial.attempts {
        assert!(
            attempt.ended_at.is_some(),
            "attempt {} of trial {number} never ended",
            attempt.attempt
        );
        assert!(
            !attempt.outcome.is_empty(),
            "attempt {} of trial {number} has no outcome",
            attempt.attempt
        );
        let leased = since_epoch(attempt.leased_at.as_ref());
        assert!(
            before <= Some(leased),
            "attempts {} and the one before of trial {number} overlap",
            attempt.attempt
        );
        before = Some(leased);
    }
    let retries = study.spec.clone().unwrap().trial.unwrap_or_default().retries;
    let by_program = |attempt: &&v1::AttemptInfo| {
        matches!(
            attempt.failure_cause.as_str(),
            "EXIT_CODE" | "SIGNAL" | "OUT_OF_MEMORY" | "NO_METRIC"
        )
    };
    let crashes = u32::try_from(trial.attempts.iter().filter(by_program).count()).unwrap();
    assert!(
        crashes <= retries + 1,
        "trial {number} crashed {crashes} times, {retries} retries allowed"
    );
    assert!(
        trial.attempts.len() <= usize::try_from(retries).unwrap() + 1 + 5,
        "trial {number}: {:?}",
        trial.attempts
    );
    if trial.state() == State::Completed {
        let counted = trial.attempts.last().expect("a completed trial ran");
        assert!(
            counted.failure_cause.is_empty(),
            "completed trial {number} counts a failed attempt: {counted:?}"
        );
        for lost in &trial.attempts[..trial.attempts.len() - 1] {
            assert!(
                !lost.failure_cause.is_empty() || lost.exit_code.is_none(),
                "two attempts of {number} count: {lost:?}"
            );
        }
    }
}

/// Points of one attempt: what was printed, in order, none twice; all of it where it counts.
async fn points(api: &mut Api, trial: &v1::Trial, attempt: &v1::AttemptInfo, told: &Told) {
    let what = format!("trial {} attempt {}", trial.number, attempt.attempt);
    assert!(
        told.pids.len() <= 1,
        "{what} was started {} times",
        told.pids.len()
    );
    let request = v1::ListPointsRequest {
        name: trial.name.clone(),
        metrics: vec![],
        attempt: attempt.attempt,
    };
    let curves = api.trials.list_points(request).await.unwrap().into_inner().curves;
    let count: usize = curves.iter().map(|curve| curve.step.len()).sum();
    assert_eq!(
        attempt.points,
        u64::try_from(count).unwrap(),
        "{what}: points are stored twice or hidden"
    );
    assert!(
        count <= told.points.len(),
        "{what}: {count} points are stored, {} were printed",
        told.points.len()
    );
    for curve in &curves {
        let stored: Vec<(i64, f64)> = curve
            .step
            .iter()
            .copied()
            .zip(curve.value.iter().copied())
            .collect();
        let printed = told.points.iter().filter(|(metric, ..)| *metric == curve.metric);
        let printed: Vec<(i64, f64)> = printed.map(|(_, step, value)| (*step, *value)).collect();
        assert_eq!(stored, printed[..stored.len()], "{what}: {}", curve.metric);
    }
    // The first `count` lines over all metrics: nothing in the middle is missing.
    for (metric, step, _) in &told.points[..count] {
        let curve = curves.iter().find(|curve| curve.metric == *metric);
        assert!(
            curve.is_some_and(|curve| curve.step.contains(step)),
            "{what}: {metric} at step {step} is missing"
        );
    }
    let counted = attempt.attempt == u32::try_from(trial.attempts.len()).unwrap();
    if counted && trial.state() == State::Completed {
        assert!(told.ended, "{what} is complete though its training did not end");
        assert_eq!(told.signals, 0, "{what} was told to stop and counts as complete");
        assert_eq!(count, told.points.len(), "{what}: the curve is not whole");
    }
}

/// The curve as it counts: the newest attempt, continued from where earlier ones left off.
async fn whole_curve(api: &mut Api, trial: &v1::Trial) {
    let mut expected: BTreeMap<i64, f64> = BTreeMap::new();
    for attempt in &trial.attempts {
        let request = v1::ListPointsRequest {
            name: trial.name.clone(),
            metrics: vec!["score".to_owned()],
            attempt: attempt.attempt,
        };
        let curves = api.trials.list_points(request).await.unwrap().into_inner().curves;
        for curve in curves {
            if let Some(first) = curve.step.first() {
                expected.split_off(first);
            }
            expected.extend(curve.step.iter().copied().zip(curve.value.iter().copied()));
        }
    }
    let expected: Vec<(i64, f64)> = expected.into_iter().collect();
    assert_eq!(
        api.curve(&trial.name, "score").await,
        expected,
        "curve of trial {}",
        trial.number
    );
}

/// Audits the tables themselves: numbers of points without gap or repeat, and one call one trial.
///
/// # Panics
/// If a promise was broken.
pub async fn audit_tables(tables: impl Into<Tables>) {
    let tables = tables.into();
    let postgres = tables.is_postgres();
    let (points, numbers) = if postgres {
        (
            "cardinality(steps)",
            "json_array_elements_text(trials) AS made(value)",
        )
    } else {
        ("json_array_length(points)", "json_each(request.trials) AS made")
    };
    let chunks = format!(
        "SELECT trial, attempt, sum({points}), max(last_seq) FROM point_chunk GROUP BY study_id, trial, attempt \
         HAVING sum({points}) <> max(last_seq)"
    );
    // One that was added may be handed out by another call.
    let twice = format!(
        "SELECT trial.number FROM request, {numbers}, trial WHERE trial.study_id = request.study_id \
         AND trial.number = CAST(made.value AS bigint) GROUP BY trial.study_id, trial.number, trial.provenance ->> 'origin' \
         HAVING count(*) > CASE trial.provenance ->> 'origin' WHEN 'strategy' THEN 1 ELSE 2 END"
    );
    let open = "SELECT trial, attempt FROM attempt JOIN study ON study.id = study_id WHERE ended_at IS NULL AND study.state = 'DONE'";
    let idle = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    let mut questions = vec![
        ("points with gaps or twice", chunks.as_str()),
        ("trials that two calls made", twice.as_str()),
        ("open attempts of a study that is over", open),
    ];
    if postgres {
        questions.push(("transactions that nobody ends", idle));
    }
    for (what, question) in questions {
        assert_eq!(tables.query(question).await, Vec::<Vec<String>>::new(), "{what}");
    }
}
