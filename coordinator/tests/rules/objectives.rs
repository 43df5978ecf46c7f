//! Several objectives and measured constraints: which trials count, which are the best.

use tunesmith_common::measurement::MetricName;
use tunesmith_coordinator::decide::{ImportedEnd, Summary, TrialResult};

use super::*;

const TWO: &str = "name: desk\nobjective: [{metric: acc, goal: maximize}, {metric: ms, goal: minimize}]\n\
                   space: {x: {type: float, low: 0, high: 1}}\nconstraints: [{metric: mem, at_most: 16}]\n\
                   strategy: {name: random, seed: 1}\n";

fn named(values: &[(&str, f64)]) -> Vec<(MetricName, f64)> {
    values
        .iter()
        .map(|(metric, value)| (metric.parse().unwrap(), *value))
        .collect()
}

impl Desk {
    fn tell_all(
        &mut self,
        trial: TrialNumber,
        value: Option<f64>,
        values: &[(&str, f64)],
    ) -> Result<(), CoreError> {
        let tell = TellRequest {
            trial,
            lease: None,
            value,
            values: named(values),
            failure: None,
        };
        self.step(|core, out, ctx| core.tell(out, ctx, tell))
    }

    /// Runs a trial that comes to these values.
    fn run(&mut self, values: &[(&str, f64)]) -> TrialNumber {
        let trial = self.asked().row.number;
        self.tell_all(trial, None, values).unwrap();
        trial
    }

    fn summary(&mut self) -> Summary {
        self.step(|core, _, ctx| core.summary(ctx))
    }

    fn pareto_set(&mut self) -> Vec<u64> {
        self.summary().pareto_set.iter().map(|number| number.0).collect()
    }
}

#[test]
fn the_pareto_set_is_of_feasible_trials_and_ordered_by_the_first_objective() {
    let mut desk = Desk::of(TWO);
    desk.run(&[("acc", 0.5), ("ms", 5.0), ("mem", 1.0)]);
    desk.run(&[("acc", 0.4), ("ms", 6.0), ("mem", 1.0)]); // worse in both
    desk.run(&[("acc", 0.9), ("ms", 9.0), ("mem", 16.0)]);
    desk.run(&[("acc", 0.99), ("ms", 1.0), ("mem", 16.5)]); // too large
    desk.run(&[("acc", 0.99), ("ms", 1.0)]); // nobody knows how large
    desk.run(&[("acc", f64::NAN), ("ms", 0.0), ("mem", 1.0)]);
    desk.run(&[("acc", 0.5), ("ms", 5.0), ("mem", 2.0)]); // the same again
    assert_eq!(desk.pareto_set(), [3, 1, 7]);
    assert_eq!(desk.summary().best, None);
    desk.run(&[("acc", 0.9), ("ms", 4.0), ("mem", 2.0)]);
    assert_eq!(desk.pareto_set(), [8]);
}

#[test]
fn with_one_objective_the_best_is_feasible_and_only_a_feasible_trial_reaches_the_target() {
    let mut desk = Desk::new("constraints: [{metric: mem, at_most: 16}]\nbudget: {target: 0.9}\n");
    desk.run(&[("acc", 0.95), ("mem", 17.0)]);
    desk.run(&[("acc", 0.97)]);
    assert_eq!(
        (desk.summary().best, desk.core.state()),
        (None, StudyState::Active)
    );
    let feasible = desk.run(&[("acc", 0.5), ("mem", 16.0)]);
    assert_eq!(desk.summary().best, Some((feasible, 0.5)));
    let target = desk.run(&[("acc", 0.91), ("mem", 3.0)]);
    assert_eq!(desk.summary().best, Some((target, 0.91)));
    assert_eq!(desk.core.state(), StudyState::Done(DoneReason::Target));
}

#[test]
fn a_good_end_without_a_value_of_each_objective_fails_and_names_the_metrics() {
    for (metrics, said) in [
        (&["acc"][..], "ended without a value of the objective's metric ms"),
        (
            &["mem"][..],
            "ended without values of the objectives' metrics acc and ms",
        ),
    ] {
        let mut desk = Desk::of(&format!("{TWO}trial: {{command: [train]}}\n"));
        let lease = desk.offer(worker(1), &[]).unwrap();
        let batch = PointBatch {
            metrics: metrics.iter().map(|metric| metric.parse().unwrap()).collect(),
            ..points(&[(1, 0.5)])
        };
        desk.step(|core, out, ctx| core.points(out, ctx, worker(1), lease, 1, &batch));
        let ended = end(lease, 1, AttemptOutcome::Exited(0));
        desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), ended));
        let row = &desk.changes.trials[0];
        let TrialState::Failed(cause) = &row.state else {
            panic!("{:?}", row.state)
        };
        assert_eq!((cause.name(), cause.to_string().as_str()), ("NO_METRIC", said));
        assert_eq!(
            row.more_values.len(),
            2,
            "a value, or none, for each further objective and bound"
        );
    }
}

#[test]
fn telling_too_little_or_too_much_changes_nothing() {
    let mut desk = Desk::of(TWO);
    let trial = desk.asked().row.number;
    let refusals = [
        (
            desk.tell_all(trial, Some(0.5), &[]),
            "values: has no value of \"ms\", and no point of it was reported; give a value for each objective, or say that the trial \
             failed",
        ),
        (
            desk.tell_all(trial, Some(0.5), &[("acc", 0.5), ("ms", 1.0)]),
            "values: has \"acc\", whose value is given twice; leave out one of the two",
        ),
        (
            desk.tell_all(trial, Some(0.5), &[("ms", 1.0), ("loss", 1.0)]),
            "values: has \"loss\", which is no metric of an objective or a constraint of the study; known are acc, ms, mem",
        ),
    ];
    for (refused, message) in refusals {
        assert_eq!(refused.unwrap_err().to_string(), message);
    }
    assert_eq!(
        desk.core.active_row(trial).unwrap().value,
        None,
        "nothing has changed"
    );
    // What is not told is taken from the points.
    let batch = PointBatch {
        metrics: vec!["mem".parse().unwrap()],
        ..points(&[(1, 20.0)])
    };
    desk.step(|core, out, ctx| core.report(out, ctx, trial, None, 0, &batch))
        .unwrap();
    desk.tell_all(trial, Some(0.5), &[("ms", 1.0)]).unwrap();
    let row = &desk.changes.trials[0];
    assert_eq!(
        (row.value, &row.more_values[..]),
        (Some(0.5), &[Some(1.0), Some(20.0)][..])
    );
}

#[test]
fn a_trial_that_was_told_to_stop_ends_with_what_it_has() {
    let mut desk = Desk::of(&format!(
        "{TWO}early_stopping: [{{rule: threshold, metric: acc, below: 0.5}}]\n"
    ));
    let trial = desk.asked().row.number;
    let reported = desk
        .step(|core, out, ctx| core.report(out, ctx, trial, None, 0, &points(&[(1, 0.25)])))
        .unwrap();
    assert!(reported.stop.is_some());
    desk.tell_all(trial, None, &[]).unwrap();
    let row = &desk.changes.trials[0];
    assert_eq!((row.state.name(), row.value), ("EARLY_STOPPED", Some(0.25)));
    assert_eq!(row.more_values[..], [None, None]);
    assert_eq!(desk.pareto_set(), Vec::<u64>::new());
}

#[test]
fn telling_the_same_values_twice_is_accepted_and_others_are_not() {
    let mut desk = Desk::of(TWO);
    let values = [("acc", 0.5), ("ms", 1.0), ("mem", 2.0)];
    let trial = desk.run(&values);
    desk.tell_all(trial, None, &values).unwrap();
    desk.tell_all(trial, Some(0.5), &[]).unwrap();
    for other in [("ms", 1.5), ("mem", 2.5)] {
        let refused = desk.tell_all(trial, Some(0.5), &[other]).unwrap_err();
        assert!(matches!(refused, CoreError::AlreadyEnded { .. }), "{refused}");
    }
}

#[test]
fn a_finished_trial_is_added_with_all_its_values() {
    let mut desk = Desk::of(TWO);
    let mut add = |values: &[(&str, f64)], points| {
        let add = AddRequest {
            params: Params::new(),
            note: String::new(),
            tags: Vec::new(),
            result: Some(TrialResult {
                value: None,
                values: named(values),
                end: ImportedEnd::Completed,
                points,
            }),
            request: None,
            actor: "kim".to_owned(),
        };
        desk.step(|core, out, ctx| core.add(out, ctx, add))?;
        Ok::<_, CoreError>(desk.changes.trials[0].clone())
    };
    let row = add(&[("ms", 1.0), ("mem", 2.0)], points(&[(1, 0.25), (2, 0.5)])).unwrap();
    assert_eq!((row.state.name(), row.value), ("COMPLETED", Some(0.5)));
    assert_eq!(row.more_values[..], [Some(1.0), Some(2.0)]);
    let row = add(&[("ms", 1.0)], PointBatch::default()).unwrap();
    let TrialState::Failed(cause) = &row.state else {
        panic!("{:?}", row.state)
    };
    assert_eq!(
        cause.to_string(),
        "ended without a value of the objective's metric acc"
    );
    let refused = add(&[("loss", 1.0)], PointBatch::default()).unwrap_err();
    assert!(
        refused.to_string().starts_with("result.values: has \"loss\""),
        "{refused}"
    );
}
