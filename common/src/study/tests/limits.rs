//! Studies with too much of something.

use super::bad_input::{space, with};

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
