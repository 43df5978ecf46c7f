//! Studies with too much of something, and budgets that make no sense.

use super::bad_input::{assert_all, refusal, space, with};
use super::*;

#[test]
fn absurd_numbers_of_things_are_refused_by_their_limits() {
    let many: String = (0..10_001)
        .map(|i| format!("  p{i}: {{type: bool, when: {{p{}: true}}}}\n", (i + 1) % 10_001))
        .collect();
    assert_eq!(
        space(&many),
        "study.yaml:2: space: has 10001 entries, at most 1000 are allowed"
    );
    let many = "x < 1, ".repeat(101);
    assert_eq!(
        with(&format!("constraints: [{many}]")),
        "study.yaml:4: constraints: has 101 entries, at most 100 are allowed"
    );
    let many = "{rule: median}, ".repeat(101);
    assert_eq!(
        with(&format!("early_stopping: [{many}]")),
        "study.yaml:4: early_stopping: has 101 entries, at most 100 are allowed"
    );
    let many = "{x: 1}, ".repeat(10_001);
    assert_eq!(
        with(&format!("strategy: {{initial: [{many}]}}")),
        "study.yaml:4: strategy.initial: has 10001 entries, at most 10000 are allowed"
    );
    let many = "a, ".repeat(17);
    assert_eq!(
        with(&format!("strategy: {{history: [{many}]}}")),
        "study.yaml:4: strategy.history: has 17 entries, at most 16 are allowed"
    );
}

#[test]
fn a_rule_about_improvement_says_something_that_the_study_can_tell() {
    let rule = |rule: &str| with(&format!("budget: {{no_improvement: {{{rule}}}}}"));
    assert_all(
        rule,
        &[
            (
                "",
                "study.yaml:4: budget.no_improvement: says nothing; give patience, gain_below or both, such as {patience: 30}",
            ),
            (
                "patience: 0",
                "study.yaml:4: budget.no_improvement.patience: must be at least 1, got 0",
            ),
            (
                "patience: 3, min_delta: -1",
                "study.yaml:4: budget.no_improvement.min_delta: must be 0 or more and finite, got -1",
            ),
            (
                "gain_below: 1, min_delta: 1",
                "study.yaml:4: budget.no_improvement.min_delta: is 1, but only patience uses it; add patience",
            ),
            (
                "gain_below: 0",
                "study.yaml:4: budget.no_improvement.gain_below: must be above 0 and finite, got 0",
            ),
            (
                "gain_below: 1, confidence: 0.999",
                "study.yaml:4: budget.no_improvement.confidence: must be between 0.5 and 0.99, got 0.999",
            ),
            (
                "patience: 3, confidence: 0.9",
                "study.yaml:4: budget.no_improvement.confidence: is 0.9, but only gain_below uses it; add gain_below",
            ),
        ],
    );
    let two = |rule: &str| {
        refusal(&format!(
            "objective: [{{metric: loss, goal: minimize}}, {{metric: ms, goal: minimize}}]\nspace:\n  x: {{type: bool}}\n\
             budget: {{no_improvement: {{{rule}}}}}"
        ))
    };
    assert_all(
        two,
        &[
            (
                "patience: 3, min_delta: 0.5",
                "study.yaml:4: budget.no_improvement.min_delta: is 0.5, but in a study of several objectives every change of the \
                 Pareto set counts; remove it",
            ),
            (
                "gain_below: 0.5",
                "study.yaml:4: budget.no_improvement.gain_below: is 0.5, but a study of several objectives has no single best \
                 value to gain on; use patience, or make all objectives but one constraints, such as {metric: mem_gb, at_most: 16}",
            ),
        ],
    );
    parse(&format!(
        "{LEAST}budget: {{no_improvement: {{patience: 3, gain_below: 0.5}}}}"
    ));
}
