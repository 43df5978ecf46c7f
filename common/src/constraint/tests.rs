//! What constraints mean, and how bad ones are refused.

use proptest::prelude::*;

use super::*;
use crate::params::{ParamValue, Params};
use crate::space::{Domain, Parameter, Scale};

fn parameters() -> Vec<Parameter> {
    let text = |value: &str| ParamValue::Text(value.to_owned());
    let parameter = |name: &str, domain| Parameter {
        name: name.parse().unwrap(),
        domain,
        conditions: vec![],
    };
    let int = |name: &str| {
        parameter(
            name,
            Domain::Int {
                low: -1000,
                high: 1000,
                scale: Scale::Linear,
                step: 1,
            },
        )
    };
    vec![
        int("batch"),
        int("width"),
        parameter(
            "lr",
            Domain::Float {
                low: 0.0,
                high: 1.0,
                scale: Scale::Linear,
                step: None,
            },
        ),
        parameter(
            "optimizer",
            Domain::Categorical {
                choices: vec![text("sgd"), text("adam")],
            },
        ),
        parameter(
            "mixed",
            Domain::Categorical {
                choices: vec![text("none"), ParamValue::Int(3), ParamValue::Bool(true)],
            },
        ),
        parameter("bias", Domain::Boolean),
        int("weight-decay"),
        int("model.depth"),
        int("in"),
        int("min"),
    ]
}

fn point() -> Params {
    let text = |value: &str| ParamValue::Text(value.to_owned());
    [
        ("batch", ParamValue::Int(64)),
        ("width", ParamValue::Int(0)),
        ("lr", ParamValue::Float(0.25)),
        ("optimizer", text("sgd")),
        ("mixed", text("none")),
        ("bias", ParamValue::Bool(true)),
        ("weight-decay", ParamValue::Int(2)),
        ("model.depth", ParamValue::Int(3)),
        ("in", ParamValue::Int(7)),
        ("min", ParamValue::Int(8)),
    ]
    .into_iter()
    .map(|(name, value)| (name.parse().unwrap(), value))
    .collect()
}

fn holds(text: &str) -> bool {
    match Constraint::parse(text, &parameters()) {
        Ok(constraint) => constraint.holds(&point()),
        Err(error) => panic!("{text}: {error}"),
    }
}

#[test]
fn constraints_mean_what_they_say() {
    let true_ones = [
        "batch == 64",
        "batch * 2 + 1 == 129",
        "1 + batch * 2 == 129",
        "(1 + batch) * 2 == 130",
        "batch - 1 - 1 == 62",
        "batch / 4 / 4 == 4",
        "batch % 5 == 4",
        "-batch % 5 == 1",
        "batch % -5 == -1",
        "-batch ** 2 == -4096",
        "2 ** 3 ** 2 == 512 + width",
        "batch ** -1 == 1 / 64",
        "+batch == - -64",
        "batch >= 64 and batch <= 64",
        "not batch < 64",
        "not (batch > 1 and batch < 3)",
        "!bias || batch > 2",
        "bias && batch > 2",
        "bias",
        "bias == true and bias != False",
        "not bias == false",
        "optimizer == \"sgd\" or lr < 0.1",
        "optimizer != 'adam'",
        "optimizer in ['sgd', 'adam']",
        "model.depth in [1, 2, 3]",
        "model.depth not in [-1, 2]",
        "`weight-decay` < 3 and `in` == 7 and min == 8",
        "min(batch, 3, 9) == 3 and max(1, batch) == 64 and abs(-batch) == 64",
        "sqrt(batch) == 8 and log2(batch) == 6",
        "log(lr) < -1.38 and log(lr) > -1.39",
        "0 < lr < 0.5 < batch",
        "1 < batch > lr < 0.5",
        "lr == .25 and lr == 25e-2 and lr == 2.5E-1 and lr == 0.25",
        "true or batch == 1",
        "batch == 1 or batch == 2 or batch == 64",
        "batch == 1 and batch == 2 or batch == 64",
        "batch == 64 or batch == 1 and batch == 2",
        "\tbatch\n==\r64 ",
    ];
    for text in true_ones {
        assert!(holds(text), "{text} should hold");
        assert!(!holds(&format!("not ({text})")), "not ({text}) should not hold");
    }
}

#[test]
fn what_cannot_be_computed_does_not_hold_and_spoils_nothing_else() {
    let undefined = [
        "batch / width > 1",
        "batch % width == 0",
        "log(width) < 1",
        "log2(-batch) < 1",
        "sqrt(-batch) < 1",
        "1e308 * batch > 1",
        "1 / (batch ** 400) < 1",
        "1 / batch / 1e-308 / 1e-308 > 0",
        "(-batch) ** 0.5 < 1",
        "mixed < 4",
        "mixed * 2 == 6",
        "min(batch, 1 / width) == 64",
    ];
    for text in undefined {
        assert!(!holds(text), "{text}");
        assert!(!holds(&format!("not ({text})")), "not ({text})");
        assert!(!holds(&format!("({text}) and bias")), "{text} and true");
        assert!(holds(&format!("({text}) or bias")), "{text} or true");
        assert!(holds(&format!("bias or ({text})")), "true or {text}");
        assert!(
            holds(&format!("not (({text}) and not bias)")),
            "not ({text} and false)"
        );
    }
}

#[test]
fn values_of_several_kinds_are_compared_as_they_are() {
    let mut point = point();
    let mut holds_with = |value: ParamValue, text: &str| {
        point.insert("mixed".parse().unwrap(), value);
        Constraint::parse(text, &parameters()).unwrap().holds(&point)
    };
    assert!(holds_with(ParamValue::Int(3), "mixed == 3"));
    assert!(holds_with(ParamValue::Int(3), "mixed <= 3 and mixed * 2 == 6"));
    assert!(holds_with(ParamValue::Int(3), "mixed != 'none'"));
    assert!(!holds_with(ParamValue::Int(3), "mixed == 'none'"));
    assert!(holds_with(ParamValue::Bool(true), "mixed"));
    assert!(!holds_with(ParamValue::Int(3), "mixed"));
    assert!(holds_with(ParamValue::Bool(true), "mixed in ['none', true]"));
}

#[test]
fn a_constraint_on_an_inactive_parameter_holds() {
    let constraint = Constraint::parse("batch > 1000 and lr > 2", &parameters()).unwrap();
    assert!(!constraint.holds(&point()));
    let without: Params = point()
        .iter()
        .filter(|(name, _)| name.as_str() != "lr")
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect();
    assert!(constraint.holds(&without));
}

#[test]
fn a_constraint_is_shown_as_written() {
    let text = "batch   *  width<=16384";
    let constraint = Constraint::parse(text, &parameters()).unwrap();
    assert_eq!(constraint.to_string(), text);
    assert_eq!(constraint.mentioned(), [0, 1]);
}

#[test]
fn each_mistake_is_refused_where_it_stands() {
    let cases = [
        (
            "",
            1,
            "found the end, expected a parameter, a number, a text or '('",
        ),
        (
            "   ",
            4,
            "found the end, expected a parameter, a number, a text or '('",
        ),
        (
            "batch <",
            8,
            "found the end, expected a parameter, a number, a text or '('",
        ),
        (
            "batch < < 3",
            9,
            "found \"<\", expected a parameter, a number, a text or '('",
        ),
        ("batch 3", 7, "found \"3\", expected an operator or the end"),
        ("batch > 3)", 10, "found \")\", expected an operator or the end"),
        (
            "(batch > 3",
            11,
            "found the end, expected ')' for the '(' at column 1",
        ),
        ("batch = 3", 7, "a single '=' does not compare; write '=='"),
        ("batch > 3 & bias", 11, "found '&'; write 'and'"),
        ("batch > 3 | bias", 11, "found '|'; write 'or'"),
        ("batch > 3; bias", 10, "';' has no meaning in a constraint"),
        ("ä + batch\u{0}", 1, "'ä' has no meaning in a constraint"),
        ("batch > \u{0}", 9, "'\\0' has no meaning in a constraint"),
        ("batch > 16k", 9, "\"16k\" is not a number"),
        ("batch > 1.2.3", 9, "\"1.2.3\" is not a number"),
        ("batch > 1e", 9, "\"1e\" is not a number"),
        ("batch > 1e999", 9, "\"1e999\" is too large a number"),
        ("optimizer == 'sgd", 14, "the ' opened here is not closed"),
        (
            "optimizer == 's\\gd'",
            16,
            "a backslash may only stand before a quote or a backslash",
        ),
        ("`batch > 3", 1, "the ` opened here is not closed"),
        ("bach > 3", 1, "\"bach\" is no parameter; did you mean batch?"),
        (
            "zzzzzzz > 3",
            1,
            "\"zzzzzzz\" is no parameter of this search space",
        ),
        (
            "weight-decay < 3",
            1,
            "\"weight\" is no parameter; write weight-decay in backticks: `weight-decay`",
        ),
        (
            "optimizer == sgd",
            14,
            "\"sgd\" is no parameter; write a text in quotes: \"sgd\"",
        ),
        (
            "optimizer == 'sdg'",
            14,
            "optimizer is never \"sdg\"; did you mean \"sgd\"?",
        ),
        (
            "optimizer in ['sgd', 'rmsprop']",
            22,
            "optimizer is never \"rmsprop\"",
        ),
        (
            "optimizer == 3",
            14,
            "this is a number, but it is compared with a text",
        ),
        (
            "batch == 'sgd'",
            10,
            "this is a text, but it is compared with a number",
        ),
        (
            "bias == 1",
            9,
            "this is a number, but it is compared with true or false",
        ),
        ("optimizer < 'sgd'", 1, "< needs numbers, this is a text"),
        ("batch * optimizer > 3", 9, "* needs numbers, this is a text"),
        ("batch + bias > 3", 9, "+ needs numbers, this is true or false"),
        ("-optimizer == 1", 2, "- needs numbers, this is a text"),
        ("2 ** optimizer == batch", 6, "** needs numbers, this is a text"),
        ("(batch > 1) > 0", 1, "> needs numbers, this is true or false"),
        (
            "batch and bias",
            1,
            "and needs conditions on both sides, such as a < b, this is a number",
        ),
        (
            "bias or lr",
            9,
            "or needs conditions on both sides, such as a < b, this is a number",
        ),
        (
            "not batch",
            5,
            "not needs a condition, such as a < b, this is a number",
        ),
        (
            "batch * width",
            1,
            "a constraint must be true or false, this is a number; compare it, as in x <= 10",
        ),
        (
            "optimizer",
            1,
            "a constraint must be true or false, this is a text; compare it, as in x <= 10",
        ),
        (
            "1 < 2",
            1,
            "no parameter is mentioned, so that this is either always true or never",
        ),
        (
            "foo(batch) > 1",
            1,
            "\"foo\" is no function; there are abs, log, log2, max, min, sqrt",
        ),
        ("abs(batch, 1) > 1", 1, "abs takes one number, found 2"),
        ("max(batch) > 1", 1, "max takes at least two numbers, found 1"),
        (
            "max(batch, optimizer) > 1",
            12,
            "max needs numbers, this is a text",
        ),
        (
            "max() > batch",
            5,
            "found \")\", expected a parameter, a number, a text or '('",
        ),
        ("max(batch 1) > 1", 11, "found \"1\", expected ',' or ')'"),
        ("batch in 3", 10, "found \"3\", expected a list such as [1, 2]"),
        (
            "batch in []",
            11,
            "found \"]\", expected a parameter, a number, a text or '('",
        ),
        (
            "batch in [1, width]",
            14,
            "a list has only numbers, texts, true and false",
        ),
        ("batch in [1 2]", 13, "found \"2\", expected ',' or ']'"),
        (
            "and",
            1,
            "found \"and\", expected a parameter, a number, a text or '('",
        ),
        (
            "in == 7",
            1,
            "found \"in\", expected a parameter, a number, a text or '('",
        ),
    ];
    for (text, column, message) in cases {
        let error = Constraint::parse(text, &parameters()).expect_err(text);
        assert_eq!(
            (error.column, error.message.as_str()),
            (column, message),
            "{text}"
        );
    }
}

#[test]
fn deep_nesting_and_long_texts_are_refused_without_harm() {
    let nested = |open: &str, close: &str, count: usize| {
        format!("{}batch{} > 1", open.repeat(count), close.repeat(count))
    };
    for (open, close) in [("(", ")"), ("-", ""), ("abs(", ")"), ("2**", ""), ("1 < (", ")")] {
        let error = Constraint::parse(&nested(open, close, 500), &parameters()).expect_err(open);
        assert!(
            error.message.contains("nested deeper than 64 levels"),
            "{open}: {error}"
        );
    }
    assert!(Constraint::parse(&nested("(", ")", 64), &parameters()).is_ok());
    assert!(Constraint::parse(&nested("(", ")", 65), &parameters()).is_err());
    let error = Constraint::parse(&"(".repeat(10_000), &parameters()).unwrap_err();
    assert_eq!(
        error.message,
        "a constraint has at most 4096 bytes, this one has 10000; write it as several"
    );
    // A long chain is not deep.
    let chain = format!("batch{} > 1", " + 1".repeat(1_000));
    assert!(Constraint::parse(&chain, &parameters()).unwrap().holds(&point()));
    let not = format!("{}bias", "not ".repeat(500));
    assert!(Constraint::parse(&not, &parameters()).is_err());
}

proptest! {
    /// Whatever the text, there is an answer: a constraint, or an error that points into the text.
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC*") {
        check_any(&text);
    }

    /// The same for texts made of the words of the language, which get further into the parser.
    #[test]
    fn any_sequence_of_words_is_read_or_refused(words in prop::collection::vec(prop::sample::select(vec![
        "batch", "lr", "optimizer", "mixed", "bias", "`weight-decay`", "1", "0.5", "'sgd'", "true", "(", ")", "[", "]", ",", "+", "-",
        "*", "/", "%", "**", "==", "!=", "<", "<=", "and", "or", "not", "in", "min(", "log(",
    ]), 0..20)) {
        check_any(&words.join(" "));
    }

    /// Arithmetic agrees with Rust's.
    #[test]
    fn arithmetic_agrees(a in -1000i64..1000, b in -1000i64..1000, c in 1i64..50) {
        let point: Params = [("batch", a), ("width", b), ("in", c)].into_iter()
            .map(|(name, value)| (name.parse().unwrap(), ParamValue::Int(value))).collect();
        let (x, y, z) = (a as f64, b as f64, c as f64);
        let result = x - y * z + x / z - (x + y) * (z - 2.0);
        let text = format!("batch - width * `in` + batch / `in` - (batch + width) * (`in` - 2) == {result:?}");
        prop_assert!(Constraint::parse(&text, &parameters()).unwrap().holds(&point), "{}", text);
        let floor = x - z * (x / z).floor();
        let text = format!("batch % `in` == {floor:?}");
        prop_assert!(Constraint::parse(&text, &parameters()).unwrap().holds(&point), "{}", text);
    }
}

fn check_any(text: &str) {
    match Constraint::parse(text, &parameters()) {
        Ok(constraint) => {
            assert!(!constraint.mentioned().is_empty());
            assert_eq!(constraint.holds(&point()), constraint.holds(&point()));
            assert_eq!(constraint.text(), text);
        }
        Err(error) => {
            assert!(
                error.column >= 1 && error.column <= text.chars().count() + 1,
                "{error}"
            );
            assert!(!error.message.is_empty());
        }
    }
}
