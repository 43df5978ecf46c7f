//! `budget.no_improvement`: when a study ends because going on is not worth it.

use tunesmith_coordinator::decide::{ImportedEnd, Improving, TrialResult};

use super::*;

impl Desk {
    fn scores(&mut self, values: &[f64]) {
        for value in values {
            let trial = self.asked().row.number;
            self.tell(trial, Some(*value), None).unwrap();
        }
    }

    fn improving(&mut self) -> Improving {
        self.step(|core, _, ctx| core.summary(ctx)).improving
    }

    fn reason(&mut self) -> String {
        self.step(|core, _, ctx| core.summary(ctx)).study.state_reason
    }

    /// A trial that was run elsewhere: nothing is proposed for it.
    fn imports(&mut self, x: f64, value: f64) {
        let params = [("x".parse().unwrap(), tunesmith_common::ParamValue::Float(x))];
        let add = AddRequest {
            params: params.into_iter().collect(),
            note: String::new(),
            tags: Vec::new(),
            result: Some(TrialResult {
                value: Some(value),
                values: Vec::new(),
                end: ImportedEnd::Completed,
                points: PointBatch::default(),
            }),
            request: None,
            actor: "kim".to_owned(),
        };
        self.step(|core, out, ctx| core.add(out, ctx, add)).unwrap();
    }

    /// Answers the questions there are of what is left to gain, and says how many there were.
    fn think(&mut self) -> usize {
        let mut asked = 0;
        while let Some(question) = self.core.gain_question() {
            self.core.gain_answered(question.answer());
            asked += 1;
        }
        self.step(|_, _, _| ());
        asked
    }
}

const ENDED: StudyState = StudyState::Done(DoneReason::Budget);

#[test]
fn a_study_ends_when_the_last_results_have_not_made_the_best_much_better() {
    let mut desk = Desk::new("budget: {no_improvement: {patience: 3, min_delta: 0.25}}");
    desk.scores(&[0.5, 1.0, 1.125, 1.25]);
    assert_eq!(desk.core.state(), StudyState::Active);
    assert_eq!(
        desk.improving().note,
        "no_improvement: 2 of 3 results without improvement"
    );
    // Better by 0.25 than before the last three, and no more.
    desk.scores(&[1.0]);
    assert_eq!(desk.core.state(), ENDED);
    assert_eq!(
        desk.reason(),
        "budget: no_improvement: the best value is 1.25, and was 1 before the last 3 results, not better by more than 0.25"
    );
}

#[test]
fn trials_without_a_number_are_no_results_and_nothing_ends_before_the_first() {
    let mut desk = Desk::new("budget: {no_improvement: {patience: 2}}");
    let failure = || Some(FailureCause::ExitCode { code: 1 });
    for _ in 0..5 {
        let trial = desk.asked().row.number;
        desk.tell(trial, None, failure()).unwrap();
        let trial = desk.asked().row.number;
        desk.tell(trial, Some(f64::NAN), None).unwrap();
        let trial = desk.asked().row.number;
        desk.tell(trial, Some(f64::NEG_INFINITY), None).unwrap();
    }
    assert_eq!(
        desk.improving().note,
        "no_improvement: waits for a first result that counts"
    );
    desk.scores(&[0.5, 0.25]);
    let trial = desk.asked().row.number;
    desk.tell(trial, None, failure()).unwrap();
    assert_eq!(
        (desk.core.state(), desk.improving().idle),
        (StudyState::Active, 1)
    );
    desk.scores(&[0.25]);
    assert_eq!(desk.core.state(), ENDED);
}

#[test]
fn what_runs_is_not_stopped_and_may_change_everything() {
    let mut desk = Desk::new("budget: {no_improvement: {patience: 2}}\ntrial: {command: [train]}");
    let [first, second] = [desk.asked().row.number, desk.asked().row.number];
    desk.scores(&[0.5, 0.25, 0.25]);
    assert_eq!(desk.core.state(), StudyState::Active);
    let Err(CoreError::NoTrial(NoTrial::Budget(why))) = desk.ask(None) else {
        panic!("a trial was made");
    };
    assert!(why.starts_with("no_improvement: the best value is 0.5"), "{why}");
    assert_eq!(desk.step(|core, _, ctx| core.wants(ctx)), 0);
    assert!(
        desk.step(|core, _, ctx| core.summary(ctx))
            .waits_for
            .contains("no_improvement")
    );
    // A surprise: it goes on.
    desk.tell(first, Some(0.75), None).unwrap();
    assert!(desk.step(|core, _, ctx| core.wants(ctx)) > 0);
    desk.scores(&[0.25, 0.25]);
    assert_eq!(desk.core.state(), StudyState::Active, "one runs still");
    desk.tell(second, Some(0.25), None).unwrap();
    assert_eq!(desk.core.state(), ENDED);
}

#[test]
fn a_study_goes_on_when_the_rule_is_changed_or_removed() {
    let mut desk = Desk::new("budget: {no_improvement: {patience: 2}}");
    desk.scores(&[0.5, 0.25, 0.25]);
    assert_eq!(desk.core.state(), ENDED);
    let refused = desk.resume().unwrap_err();
    assert!(
        refused.contains("change or remove budget.no_improvement with an edit, then resume"),
        "{refused}"
    );
    desk.edit("budget: {no_improvement: {patience: 3}}");
    desk.resume().unwrap();
    desk.scores(&[0.25]);
    assert_eq!(desk.core.state(), ENDED);
    desk.edit("");
    desk.resume().unwrap();
    desk.scores(&[0.25; 9]);
    assert_eq!(
        (desk.core.state(), desk.improving()),
        (StudyState::Active, Improving::default())
    );
}

#[test]
fn a_shadow_rule_records_once_each_time_that_it_would_have_ended_the_study() {
    let mut desk = Desk::new("budget: {no_improvement: {patience: 2, shadow: true}}");
    let mut recorded = Vec::new();
    for value in [0.5, 0.25, 0.25, 0.25, 0.75, 0.25, 0.25] {
        desk.scores(&[value]);
        recorded.extend(
            desk.changes
                .audit
                .iter()
                .map(|row| (row.action.clone(), row.detail.clone())),
        );
    }
    assert_eq!(desk.core.state(), StudyState::Active);
    let [first, second] = &recorded[..] else {
        panic!("{recorded:?}");
    };
    assert_eq!(first.0, "would_end_study");
    assert!(first.1.contains("the best value is 0.5") && second.1.contains("the best value is 0.75"));
    assert!(
        desk.improving()
            .note
            .ends_with("it would end the study now, and only records it")
    );
}

#[test]
fn with_several_objectives_a_result_counts_that_changes_the_pareto_set() {
    let mut desk = Desk::of(
        "name: desk\nobjective: [{metric: acc, goal: maximize}, {metric: ms, goal: minimize}]\n\
         space: {x: {type: float, low: 0, high: 1}}\nstrategy: {name: random, seed: 1}\n\
         budget: {no_improvement: {patience: 2}}\n",
    );
    let mut states = Vec::new();
    for (acc, ms) in [(0.5, 5.0), (0.25, 6.0), (0.25, 4.0), (0.25, 4.5), (0.1, 9.0)] {
        let trial = desk.asked().row.number;
        let tell = TellRequest {
            trial,
            lease: None,
            value: None,
            values: vec![("acc".parse().unwrap(), acc), ("ms".parse().unwrap(), ms)],
            failure: None,
        };
        desk.step(|core, out, ctx| core.tell(out, ctx, tell)).unwrap();
        states.push((desk.core.state(), desk.improving().idle));
    }
    let idle: Vec<u64> = states.iter().map(|(_, idle)| *idle).collect();
    assert_eq!(idle, [0, 1, 0, 1, 2]);
    assert_eq!(states[4].0, ENDED);
    assert_eq!(
        desk.reason(),
        "budget: no_improvement: the last 2 results have not changed the Pareto set"
    );
}

/// A hill whose top is at 0.3.
fn hill(x: f64) -> f64 {
    1.0 - (x - 0.3) * (x - 0.3)
}

#[test]
fn a_study_ends_when_a_model_sees_little_left_to_gain() {
    let mut desk = Desk::new("budget: {no_improvement: {gain_below: 0.01, confidence: 0.9}}");
    // All over the range, the top left out.
    let places = (0..12)
        .map(|k| f64::from(k) * 0.083)
        .filter(|x| (x - 0.3).abs() > 0.2);
    for x in places {
        desk.imports(x, hill(x));
    }
    assert_eq!(desk.think(), 0);
    assert_eq!(
        desk.improving().note,
        "no_improvement: what is left to gain is looked at from 13 results on, there are 7"
    );
    for k in 0..5 {
        let x = 0.9 + f64::from(k) * 0.01;
        desk.imports(x, hill(x));
        desk.think();
    }
    for x in [0.99, 0.98, 0.97] {
        desk.imports(x, hill(x));
        assert_eq!(desk.think(), 1, "after each of the first results");
    }
    assert_eq!(desk.core.state(), StudyState::Active);
    let before = desk.improving();
    let left = before.gain_left.unwrap();
    let best = [0.083, 0.5, 0.581].map(hill).into_iter().fold(0.0, f64::max);
    assert!(left > 0.01 && left >= 1.0 - best, "{before:?}");
    assert!(
        before
            .note
            .contains("left to gain with 90 % after 15 results, ends at 0.01"),
        "{before:?}"
    );
    // The top and what is around it.
    for x in [0.15, 0.4, 0.3, 0.27, 0.33, 0.3001] {
        if desk.core.state() == StudyState::Active {
            desk.imports(x, hill(x));
            desk.think();
        }
    }
    assert_eq!(desk.core.state(), ENDED, "{:?}", desk.improving());
    let reason = desk.reason();
    assert!(
        reason.starts_with("budget: no_improvement: at most 0.00")
            && reason.ends_with("results, not more than 0.01"),
        "{reason}"
    );
    // Another limit is compared with what is known; another confidence is another question.
    desk.edit("budget: {no_improvement: {gain_below: 0.0000001, confidence: 0.9}}");
    desk.resume().unwrap();
    assert_eq!(desk.think(), 0);
    assert_eq!(desk.core.state(), StudyState::Active);
    desk.edit("budget: {no_improvement: {gain_below: 0.01, confidence: 0.8}}");
    assert_eq!(desk.improving().gain_left, None);
    assert_eq!(desk.think(), 3);
    assert_eq!(desk.core.state(), ENDED);
}

#[test]
fn nothing_is_asked_of_a_model_while_the_study_is_paused_or_a_question_is_away() {
    let mut desk = Desk::new("budget: {no_improvement: {gain_below: 0.01}}");
    for k in 0..13 {
        let x = f64::from(k) / 13.0;
        desk.imports(x, hill(x));
    }
    desk.step(|core, out, ctx| core.pause(out, ctx, "kim")).unwrap();
    assert!(desk.core.gain_question().is_none());
    desk.resume().unwrap();
    let question = desk.core.gain_question().unwrap();
    assert!(desk.core.gain_question().is_none());
    // The rule is changed meanwhile: the answer is to another question.
    desk.edit("budget: {no_improvement: {gain_below: 0.01, confidence: 0.6}}");
    desk.core.gain_answered(question.answer());
    assert_eq!(desk.think(), 1);
}
