//! Several objectives and bounds of metrics: what they are read as, and what is refused.

use super::bad_input::{assert_all, refusal, with};
use super::*;
use crate::study::{Bound, StopperRule};

/// The message for a study of two objectives and some more.
fn two(more: &str) -> String {
    refusal(&format!(
        "objective:\n  - {{metric: acc, goal: maximize}}\n  - {{metric: ms, goal: minimize}}\nspace: {{x: {{type: bool}}}}\n{more}"
    ))
}

#[test]
fn a_list_of_objectives_is_read_in_its_order() {
    let spec = parse(
        "objective: [{metric: acc, goal: maximize}, {metric: ms, goal: minimize, from: mean of last 2}]\nspace: {x: {type: bool}}",
    );
    assert_eq!(spec.objective.metric.as_str(), "acc");
    assert_eq!(spec.more_objectives.len(), 1);
    assert_eq!(spec.more_objectives[0].goal, Goal::Minimize);
    assert_eq!(spec.more_objectives[0].from, ValueFrom::MeanOfLast(2));
    assert_eq!(spec.objectives().count(), 2);
    let list_of_one =
        parse("objective: [{metric: loss, goal: minimize}]\nspace: {x: {type: float, low: 0, high: 1}}");
    assert_eq!(list_of_one.objective, parse(LEAST).objective);
    assert!(list_of_one.more_objectives.is_empty());
}

#[test]
fn constraints_are_expressions_and_bounds_of_metrics_in_any_order() {
    let spec = parse(&format!(
        "{LEAST}constraints: [{{metric: mem_gb, at_most: 16}}, \"x <= 0.5\", {{metric: loss, at_least: -1, from: best}}]\n"
    ));
    assert_eq!(spec.space.constraints().len(), 1);
    let [memory, loss] = &spec.measured_constraints[..] else {
        panic!("{:?}", spec.measured_constraints);
    };
    assert_eq!(
        (memory.bound, memory.from),
        (Bound::AtMost(16.0), ValueFrom::Last)
    );
    assert_eq!((loss.bound, loss.from), (Bound::AtLeast(-1.0), ValueFrom::Best));
    let names: Vec<String> = spec.value_metrics().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["loss", "mem_gb"], "each once, the objective's first");
    assert_eq!(memory.bound.violation(17.5).to_bits(), 1.5_f64.to_bits());
    assert_eq!(loss.bound.violation(17.5).to_bits(), (-18.5_f64).to_bits());
}

#[test]
fn rules_of_a_study_of_several_objectives_take_the_goal_of_the_one_they_name() {
    let spec = parse(
        "objective: [{metric: acc, goal: maximize}, {metric: ms, goal: minimize}]\nspace: {x: {type: bool}}\nearly_stopping:\n\
         - {rule: median, metric: ms}\n- {rule: median, metric: acc}\n- {rule: threshold, metric: ms, above: 9}\n\
         - {rule: plateau, metric: loss, goal: minimize}\n- {rule: below_baseline, metric: ms, constant: 5}\n",
    );
    let goals: Vec<_> = spec
        .early_stopping
        .iter()
        .map(|stopper| stopper.rule.goal())
        .collect();
    let minimize = Some(Goal::Minimize);
    assert_eq!(goals, [minimize, None, None, minimize, minimize]);
    assert!(
        matches!(&spec.early_stopping[0].rule, StopperRule::Percentile { metric: Some(metric), .. } if metric.as_str() == "ms")
    );
}

#[test]
fn objectives_that_cannot_be_are_refused() {
    let space = "space: {x: {type: bool}}\n";
    let cases = [
        (
            "objective: []",
            "study.yaml:2: objective: the list is empty; give at least one objective, such as {metric: val_acc, goal: maximize}",
        ),
        (
            "objective: accuracy",
            "study.yaml:2: objective: expected an objective, such as {metric: val_acc, goal: maximize}, or a list of objectives, found \
             the text \"accuracy\"",
        ),
        (
            "objective: [{metric: a, goal: minimize}, loss]",
            "study.yaml:2: objective[1]: expected one objective, such as {metric: val_acc, goal: maximize}, found the text \"loss\"",
        ),
        (
            "objective: [{metric: a, goal: minimize}, {metric: b}]",
            "study.yaml:2: objective[1]: the key \"goal\" is missing",
        ),
        (
            "objective: [{metric: a, goal: minimize}, {metric: b, goal: minimize}, {metric: a, goal: maximize}]",
            "study.yaml:2: objective[2].metric: \"a\" is the metric of objective[0] too; each objective needs a metric of its own",
        ),
        (
            "objective: [{metric: a, goal: minimize}, {metric: b, goal: minimize, from: first}]",
            "study.yaml:2: objective[1].from: expected last, best or \"mean of last 3\", found \"first\"",
        ),
    ];
    assert_all(|text| refusal(&format!("{space}{text}")), &cases);
    let many: Vec<String> = (0..9)
        .map(|index| format!("{{metric: m{index}, goal: minimize}}"))
        .collect();
    assert_eq!(
        refusal(&format!("{space}objective: [{}]", many.join(", "))),
        "study.yaml:2: objective: has 9 entries, at most 8 are allowed"
    );
}

#[test]
fn what_needs_one_best_trial_is_refused_with_several_objectives() {
    let cases = [
        (
            "budget: {target: 0.9}",
            "study.yaml:5: budget.target: is 0.9, but a study of several objectives has no single best value to reach it; remove it, or \
             make all objectives but one constraints, such as {metric: mem_gb, at_most: 16}",
        ),
        (
            "early_stopping: [{rule: median}]",
            "study.yaml:5: early_stopping[0]: the key \"metric\" is missing: the study has several objectives, so say which metric the \
             rule judges, such as acc or ms",
        ),
        (
            "early_stopping: [{rule: threshold, above: 3}]",
            "study.yaml:5: early_stopping[0]: the key \"metric\" is missing: the study has several objectives, so say which metric the \
             rule judges, such as acc or ms",
        ),
        (
            "early_stopping: [{rule: median, metric: loss}]",
            "study.yaml:5: early_stopping[0]: the key \"goal\" is missing: \"loss\" is not an objective's metric, so say which of its \
             values are better, goal: minimize or goal: maximize",
        ),
        (
            "early_stopping: [{rule: median, metric: ms, goal: maximize}]",
            "study.yaml:5: early_stopping[0].goal: is maximize, but \"ms\" is the objective's metric, and objective[1].goal is minimize; \
             leave it out here",
        ),
        (
            "early_stopping: [{rule: below_baseline, metric: ms}]",
            "study.yaml:5: early_stopping[0]: compares with the best finished trial, which a study of several objectives does not have; \
             give trial, constant or curve",
        ),
    ];
    assert_all(two, &cases);
}

#[test]
fn bounds_that_cannot_be_are_refused() {
    let cases = [
        (
            "constraints: [{metric: mem_gb}]",
            "study.yaml:4: constraints[0]: has no bound; add at_most or at_least, such as {metric: mem_gb, at_most: 16}",
        ),
        (
            "constraints: [\"x < 1\", {metric: mem_gb, at_most: 16, at_least: 1}]",
            "study.yaml:4: constraints[1]: takes one of at_most and at_least, got both; write two constraints to keep a metric between \
             bounds",
        ),
        (
            "constraints: [{metric: mem_gb, at_most: .nan}]",
            "study.yaml:4: constraints[0].at_most: must be finite, got NaN",
        ),
        (
            "constraints: [{metric: mem_gb, at_least: -.inf}]",
            "study.yaml:4: constraints[0].at_least: must be finite, got -inf",
        ),
        (
            "constraints: [{metric: mem_gb, at_most: 1, from: worst}]",
            "study.yaml:4: constraints[0].from: expected last, best or \"mean of last 3\", found \"worst\"",
        ),
        (
            "constraints: [{metric: mem_gb, below: 16}]",
            "study.yaml:4: unknown key \"below\" in constraints[0]; known are metric, at_most, at_least, from",
        ),
        (
            "constraints: [{at_most: 16}]",
            "study.yaml:4: constraints[0]: the key \"metric\" is missing",
        ),
        (
            "constraints: [{metric: mem_gb, at_most: 16GiB}]",
            "study.yaml:4: constraints[0].at_most: expected a number, found the text \"16GiB\"",
        ),
    ];
    assert_all(with, &cases);
    let many: Vec<String> = (0..9)
        .map(|index| format!("{{metric: m{index}, at_most: 1}}"))
        .collect();
    assert_eq!(
        with(&format!("constraints: [{}]", many.join(", "))),
        "study.yaml:4: constraints: has 9 bounds of metrics, at most 8 are allowed"
    );
}
