//! Back-tests of curves whose answer is known.

use tunesmith_common::checkpoint::{EarlierEnd, Stages};
use tunesmith_common::decision::{Origin, Provenance};
use tunesmith_common::study::StudyFile;
use tunesmith_common::trial::{FailureCause, Holder, Lease, StopReason};
use tunesmith_common::{LeaseId, Params};
use uuid::Uuid;

use super::*;

const FIRST: Attempt = Attempt(1);
/// Later than anything.
const NOW: i64 = 1_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000)
}

fn study(from: &str, rules: &str) -> Backtest {
    let text = format!(
        "objective: {{metric: acc, goal: maximize, from: {from}}}\nspace: {{x: {{type: bool}}}}\nearly_stopping: [{rules}]\n"
    );
    Backtest::new(StudyFile::parse(&text, "study.yaml").unwrap().1)
}

fn row(number: u64, state: TrialState, value: Option<f64>, last_step: i64, ended: Option<i64>) -> TrialRow {
    TrialRow {
        number: TrialNumber(number),
        state,
        attempt: FIRST,
        program_failures: 0,
        infrastructure_failures: 0,
        params: Params::default().into(),
        seed: 0,
        value,
        more_values: Box::default(),
        last_step: Some(last_step),
        metrics: Vec::new(),
        stages: std::sync::Arc::default(),
        note: String::new(),
        tags: Vec::new(),
        provenance: Provenance {
            origin: Origin::Strategy,
            strategy: String::new(),
            settings: None,
            seed: 0,
            history_revision: 0,
            results: 0,
            cursor: None,
            note: String::new(),
        }
        .into(),
        created_at: at(0),
        started_at: Some(at(0)),
        ended_at: ended.map(at),
    }
}

fn attempt(attempt: Attempt, from: i64, to: Option<i64>, gpus: usize) -> AttemptRow {
    AttemptRow {
        trial: TrialNumber(1),
        attempt,
        lease: LeaseId(Uuid::nil()),
        holder: Holder::Client("program".to_owned()),
        holder_name: "program".to_owned(),
        gpus: vec!["gpu".to_owned(); gpus],
        price_per_hour: 0.0,
        cost: 0.0,
        client_ttl: None,
        leased_at: at(from),
        started_at: Some(at(from)),
        ended_at: to.map(at),
        outcome: String::new(),
        failure: None,
        pid: 0,
        exit_code: None,
        peak_memory: 0,
        usage: Default::default(),
        log_tail: String::new(),
    }
}

/// Step, value and second of each point.
fn points(attempt: Attempt, points: &[(i64, f64, i64)]) -> PointChunk {
    PointChunk {
        trial: TrialNumber(1),
        attempt,
        metric: "acc".parse().unwrap(),
        first_seq: 1,
        last_seq: points.len() as u64,
        steps: points.iter().map(|point| point.0).collect(),
        values: points.iter().map(|point| point.1).collect(),
        times: points.iter().map(|point| at(point.2)).collect(),
        arrivals: points.iter().map(|point| at(point.2)).collect(),
    }
}

/// A trial that completed, with a value each ten seconds from its start on, from step 1 on.
fn completed(backtest: &mut Backtest, number: u64, start: i64, values: &[f64]) {
    let reported: Vec<(i64, f64, i64)> = (1..)
        .zip(values)
        .map(|(step, value)| (step, *value, start + 10 * step))
        .collect();
    let &(last_step, value, end) = reported.last().unwrap();
    backtest.trial(
        row(
            number,
            TrialState::Completed,
            Some(value),
            last_step,
            Some(end + 1),
        ),
        &[attempt(FIRST, start, Some(end + 1), 2)],
        &[points(FIRST, &reported)],
        at(NOW),
    );
}

fn stopped_at(outcome: &Backtested) -> Vec<(u64, i64)> {
    let stops = outcome.stops.iter();
    stops
        .map(|stop| (stop.decision.trial.0, stop.decision.decision.step))
        .collect()
}

#[test]
fn what_is_stopped_saved_and_lost_is_counted_for_trials_of_all_ends() {
    // One that only records stops here, too.
    let mut backtest = study("last", "{rule: threshold, below: 0.5, shadow: true}");
    completed(&mut backtest, 1, 0, &[0.6, 0.7, 0.8, 0.9]);
    completed(&mut backtest, 2, 0, &[0.6, 0.4, 0.9, 0.95]);
    // Imported: a value, and nothing that could be judged.
    backtest.trial(
        row(3, TrialState::Completed, Some(0.5), 0, Some(5)),
        &[],
        &[],
        at(NOW),
    );
    let failed = TrialState::Failed(FailureCause::OutOfMemory);
    backtest.trial(
        row(4, failed.clone(), Some(0.3), 1, Some(11)),
        &[attempt(FIRST, 0, Some(11), 1)],
        &[points(FIRST, &[(1, 0.3, 10)])],
        at(NOW),
    );
    let reason = StopReason::EarlyStopped {
        rule: "median".to_owned(),
        text: String::new(),
    };
    backtest.trial(
        row(5, TrialState::EarlyStopped(reason), Some(0.55), 2, Some(21)),
        &[attempt(FIRST, 0, Some(21), 0)],
        &[points(FIRST, &[(1, 0.6, 10), (2, 0.55, 20)])],
        at(NOW),
    );
    let running = TrialState::Running(Lease {
        attempt: FIRST,
        id: LeaseId(Uuid::nil()),
        holder: Holder::Client("program".to_owned()),
    });
    backtest.trial(
        row(6, running, Some(0.99), 2, None),
        &[attempt(FIRST, 0, None, 0)],
        &[points(FIRST, &[(1, 0.7, 10), (2, 0.99, 20)])],
        at(NOW),
    );
    let outcome = backtest.run();
    assert_eq!(stopped_at(&outcome), [(4, 1), (2, 2)]);
    let [failing, second] = outcome.stops.as_slice() else {
        panic!("{outcome:?}")
    };
    assert_eq!(
        (failing.value, failing.rank, &failing.state),
        (Some(0.3), None, &failed)
    );
    assert_eq!(
        (second.value, second.final_value, second.rank),
        (Some(0.4), Some(0.95), Some(1))
    );
    assert_eq!(
        second.decision.decision.text,
        "acc 0.4 at step 2 is below the threshold 0.5"
    );
    assert_eq!(second.decision.at, at(20));
    // From second 20 to 41, on two GPUs.
    let saved = Cost {
        steps: 2,
        seconds: 21.0,
        gpu_seconds: 42.0,
    };
    assert_eq!((second.saved, second.last_step), (saved, 4));
    assert_eq!(
        (
            outcome.trials,
            outcome.trials_without_points,
            outcome.early_stopped
        ),
        (5, 1, 1)
    );
    let cost = Cost {
        steps: 4 + 4 + 1 + 2 + 2,
        seconds: 41.0 + 41.0 + 11.0 + 21.0 + 1_000.0,
        gpu_seconds: 82.0 + 82.0 + 11.0,
    };
    assert_eq!(outcome.cost, cost);
    let saved = Cost {
        steps: 2,
        seconds: 22.0,
        gpu_seconds: 43.0,
    };
    assert_eq!(outcome.saved, saved);
    assert_eq!(outcome.best, Some((TrialNumber(2), 0.95)));
    assert_eq!(outcome.best_with_rules, Some((TrialNumber(1), 0.9)));
    assert_eq!(outcome.best_lost, Some((TrialNumber(2), 0.95, 1)));
    assert_eq!(outcome.ranked, 4);
}

#[test]
fn what_a_stopped_trial_reported_later_is_not_compared_with() {
    let rules = "{rule: threshold, below: 0.5}, {rule: median, min_trials: 1}";
    let mut backtest = study("last", rules);
    completed(&mut backtest, 1, 0, &[0.6, 0.4, 0.99]);
    completed(&mut backtest, 2, 100, &[0.65, 0.6, 0.6]);
    assert_eq!(stopped_at(&backtest.run()), [(1, 2)]);
    // As it was, its average at step 3 is better than all of trial 2.
    let mut backtest = study("last", "{rule: median, min_trials: 1}");
    completed(&mut backtest, 1, 0, &[0.6, 0.4, 0.99]);
    completed(&mut backtest, 2, 100, &[0.65, 0.6, 0.6]);
    assert_eq!(stopped_at(&backtest.run()), [(2, 3)]);
}

#[test]
fn a_stopped_trial_ends_with_its_value_then() {
    // Trial 1 is the best that has ended, with 0.4, though it would have come to 0.9.
    let rules = "{rule: threshold, below: 0.45}, {rule: below_baseline}";
    let mut backtest = study("last", rules);
    completed(&mut backtest, 1, 0, &[0.6, 0.4, 0.9]);
    completed(&mut backtest, 2, 100, &[0.5, 0.7]);
    let outcome = backtest.run();
    assert_eq!(stopped_at(&outcome), [(1, 2), (2, 1)]);
    assert_eq!(
        outcome.stops[1].decision.decision.reference.to_bits(),
        0.6_f64.to_bits()
    );
    assert_eq!(outcome.best_with_rules, Some((TrialNumber(2), 0.5)));
}

#[test]
fn points_come_in_the_order_in_which_they_arrived_whatever_the_clocks_of_machines_say() {
    const DAY: i64 = 86_400;
    let mut backtest = study("last", "{rule: median, min_trials: 1}");
    let arrived = points(FIRST, &[(1, 0.9, 10), (2, 0.9, 20)]);
    let reported = PointChunk {
        times: vec![at(DAY), at(DAY + 10)],
        ..arrived
    };
    backtest.trial(
        row(1, TrialState::Completed, Some(0.9), 2, Some(50)),
        &[attempt(FIRST, 0, Some(50), 0)],
        &[reported],
        at(NOW),
    );
    completed(&mut backtest, 2, 60, &[0.1, 0.1]);
    assert_eq!(stopped_at(&backtest.run()), [(2, 1)]);
}

#[test]
fn what_a_later_attempt_replaces_counts_no_more() {
    let mut backtest = study("best", "{rule: threshold, below: 0.3}");
    backtest.trial(
        row(1, TrialState::Completed, Some(0.8), 4, Some(90)),
        &[
            attempt(FIRST, 0, Some(30), 0),
            attempt(Attempt(2), 50, Some(90), 0),
        ],
        &[
            points(FIRST, &[(1, 0.5, 10), (2, 0.9, 20)]),
            points(Attempt(2), &[(2, 0.6, 60), (3, 0.2, 70), (4, 0.8, 80)]),
        ],
        at(NOW),
    );
    let outcome = backtest.run();
    assert_eq!(outcome.stops[0].value, Some(0.6));
    assert!((outcome.stops[0].saved.seconds - 20.0).abs() < 1e-9);
    assert!(
        (outcome.cost.seconds - 70.0).abs() < 1e-9,
        "without the time between attempts"
    );
}

#[test]
fn nothing_reported_is_nothing_stopped() {
    let outcome = study("last", "{rule: median}").run();
    let notes = vec!["rule 1, median of acc: idle: no acc was reported".to_owned()];
    assert_eq!(
        outcome,
        Backtested {
            notes,
            ..Backtested::default()
        }
    );
}

/// A trial that has ended by timeout, and goes on later, is what others are compared with until it goes on, and when it has ended again.
#[test]
fn what_had_ended_and_went_on_was_compared_with_in_between() {
    let text = "objective: {metric: acc, goal: maximize}\nspace: {x: {type: bool}}\nearly_stopping: [{rule: wilcoxon, shadow: true, min_steps: 4, p: 0.1}]\n";
    let mut backtest = Backtest::of_its_own(StudyFile::parse(text, "study.yaml").unwrap().1);
    let mut first = row(1, TrialState::Completed, Some(0.9), 5, Some(90));
    let mut stages = Stages::default();
    stages.earlier_ends.push(EarlierEnd {
        at: at(10),
        went_on_at: at(30),
        value: Some(0.9),
        more_values: Box::default(),
        last_step: Some(4),
        next: TrialNumber(3),
    });
    first.stages = stages.into();
    let four = |value: f64, from: i64| -> Vec<_> { (1..=4).map(|step| (step, value, from + step)).collect() };
    let begun = points(FIRST, &four(0.9, 0));
    let went_on = points(Attempt(2), &[(5, 0.9, 80)]);
    backtest.trial(first, &[], &[begun, went_on], at(NOW));
    // While the first one had ended, after it went on, and when it has ended again.
    for (number, from) in [(2, 10), (3, 30), (4, 90)] {
        let of_trial = row(number, TrialState::Completed, Some(0.1), 4, Some(from + 5));
        backtest.trial(
            of_trial,
            &[],
            &[points(FIRST, &four(0.1 + 0.01 * number as f64, from))],
            at(NOW),
        );
    }
    let judged = backtest.judge_again(Vec::new());
    let again = judged.different.iter().map(|(trial, _, again)| {
        let decision = &again.as_ref().unwrap().decision;
        (trial.0, decision.step)
    });
    assert_eq!(again.collect::<Vec<_>>(), [(2, 4), (4, 4)]);
}
