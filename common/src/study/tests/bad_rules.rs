//! Early-stopping rules that contradict the study or each other.

use super::bad_input::{assert_all, refusal, with};
use super::*;

#[test]
fn a_rule_on_another_metric_must_say_which_direction_is_better() {
    for rule in [
        "median",
        "percentile, keep: 25",
        "plateau",
        "diverging",
        "below_baseline",
        "asha",
        "wilcoxon",
    ] {
        let text = |more: &str| {
            format!(
                "early_stopping:\n  - {{rule: threshold, metric: acc, above: 1}}\n  - {{rule: {rule}{more}}}\n"
            )
        };
        assert_eq!(
            with(&text(", metric: acc")),
            "study.yaml:6: early_stopping[1]: the key \"goal\" is missing: \"acc\" is not the objective's metric, so say which of its \
             values are better, goal: minimize or goal: maximize"
        );
        // Of the objective's metric it is known, and said again at most.
        for metric in ["", ", metric: loss"] {
            assert_eq!(
                with(&text(&format!("{metric}, goal: maximize"))),
                "study.yaml:6: early_stopping[1].goal: is maximize, but \"loss\" is the objective's metric, and objective.goal is \
                 minimize; leave it out here"
            );
            for goal in ["", ", goal: minimize"] {
                parse(&format!("{LEAST}{}", text(&format!("{metric}{goal}"))));
            }
        }
    }
    let two = "early_stopping: [{rule: median, metric: acc, goal: maximize}, {rule: plateau, metric: acc, goal: minimize}]";
    assert_eq!(
        with(two),
        "study.yaml:4: early_stopping[1].goal: is minimize, but early_stopping[0] says the opposite of \"acc\"; a metric has one goal"
    );
}

#[test]
fn rungs_that_cannot_be_are_refused() {
    let cases = [
        (
            "strategy: hyperband",
            "study.yaml:4: strategy.max_steps: is missing: hyperband needs to know the last step of a training; give it here, or as \
             trial.steps.max",
        ),
        (
            "strategy: {name: asha, min_steps: 0, max_steps: 9}",
            "study.yaml:4: strategy.min_steps: must be at least 1, got 0",
        ),
        (
            "strategy: {name: asha, reduction: 1, max_steps: 9}",
            "study.yaml:4: strategy.reduction: must be at least 2, got 1; 3 lets one trial in three go on",
        ),
        (
            "strategy: {name: bohb, min_steps: 9, max_steps: 9, brackets: 1}",
            "study.yaml:4: strategy.max_steps: must be above min_steps, which is 9, got 9",
        ),
        (
            "strategy: {name: asha, max_steps: 27, brackets: 4}",
            "study.yaml:4: strategy.brackets: must be from 1 to 3, as many as there are rungs before step 27, got 4",
        ),
        (
            "strategy: {name: asha, max_steps: 27, sampler: cmaes}",
            "study.yaml:4: strategy.sampler: cmaes cannot choose the points of asha, use one of random, sobol, gp, tpe",
        ),
        (
            "strategy: {name: gp, sampler: tpe}",
            "study.yaml:4: strategy.sampler: only the strategies asha, hyperband, bohb, pbt and pb2 take \"sampler\"",
        ),
        (
            "strategy: {name: gp, reduction: 3}",
            "study.yaml:4: strategy.reduction: only the strategies asha, hyperband and bohb take \"reduction\"; for the rule that stops \
             trials and never lets them go on, write it under early_stopping",
        ),
        (
            "strategy: random\ntrial: {command: [a, '--epochs={until}']}",
            "study.yaml:5: trial.command[1]: {until} stands for the step to train to, which is not known; give trial.steps.max",
        ),
    ];
    assert_all(with, &cases);
    assert_eq!(
        refusal(
            "objective: [{metric: a, goal: maximize}, {metric: b, goal: minimize}]\nspace: {x: {type: bool}}\nstrategy: {name: asha, max_steps: 9}\n"
        ),
        "study.yaml:3: strategy.name: asha compares trials by one objective, this study has 2; use nsga2 or gp, or make all but one of them \
         constraints, such as {metric: mem_gb, at_most: 16}"
    );
}

#[test]
fn numbers_of_rules_that_do_not_fit_each_other_are_refused() {
    let cases = [
        (
            "early_stopping: [{rule: asha, min_steps: 0}]",
            "study.yaml:4: early_stopping[0].min_steps: must be at least 1, got 0",
        ),
        (
            "early_stopping: [{rule: curve}]",
            "study.yaml:4: early_stopping[0]: the key \"max_steps\" is missing: the last step of a training, whose value is foreseen; \
             trial.steps.max serves, too",
        ),
        (
            "early_stopping: [{rule: curve, max_steps: 1}]",
            "study.yaml:4: early_stopping[0].max_steps: must be at least 2, got 1",
        ),
        (
            "early_stopping: [{rule: curve, max_steps: 50, probability: 5}]",
            "study.yaml:4: early_stopping[0].probability: must be between 0 and 1, exclusive, got 5",
        ),
        (
            "early_stopping: [{rule: asha, reduction: 1}]",
            "study.yaml:4: early_stopping[0].reduction: must be at least 2, got 1",
        ),
        (
            "early_stopping: [{rule: asha, brackets: 0}]",
            "study.yaml:4: early_stopping[0].brackets: must be at least 1, got 0",
        ),
        (
            "early_stopping: [{rule: asha, min_steps: 9, max_steps: 9}]",
            "study.yaml:4: early_stopping[0].min_steps: is 9, but rungs lie below max_steps, which is 9: there would be none, so give less",
        ),
        (
            "early_stopping: [{rule: asha, brackets: 2}]",
            "study.yaml:4: early_stopping[0].brackets: is 2, but how trials are divided between brackets depends on the number of rungs, \
             which have no end: give max_steps or trial.steps.max, or leave it out",
        ),
        (
            "early_stopping: [{rule: asha, brackets: 5}]\ntrial: {command: [a, '{args}'], steps: {max: 50}}",
            "study.yaml:4: early_stopping[0].brackets: must be at most 4, the number of rungs (at 1, 3, 9, 27) below trial.steps.max, which \
             is 50, got 5; each bracket begins a rung later",
        ),
        (
            "early_stopping: [{rule: wilcoxon, p: 0.6}]",
            "study.yaml:4: early_stopping[0].p: must be above 0 and at most 0.5, got 0.6; 0.1 is usual",
        ),
        (
            "early_stopping: [{rule: wilcoxon, p: .nan}]",
            "study.yaml:4: early_stopping[0].p: must be above 0 and at most 0.5, got NaN; 0.1 is usual",
        ),
        (
            "early_stopping: [{rule: wilcoxon, p: 0.0625, min_steps: 4}]",
            "study.yaml:4: early_stopping[0].min_steps: must be at least 5 for p: 0.0625, got 4, with which no p-value is so small",
        ),
        (
            "early_stopping: [{rule: median, reduction: 3}]",
            "study.yaml:4: early_stopping[0].reduction: median does not take \"reduction\", only asha does",
        ),
    ];
    assert_all(with, &cases);
}
