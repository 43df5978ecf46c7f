//! Values that people and programs give for a space.

use super::*;

fn float_value(value: f64) -> ParamValue {
    ParamValue::Float(value)
}

fn good() -> Vec<(&'static str, ParamValue)> {
    vec![
        ("lr", float_value(0.001)),
        ("batch", ParamValue::Int(32)),
        ("optimizer", text("sgd")),
        ("momentum", float_value(0.9)),
        ("width", ParamValue::Int(64)),
    ]
}

/// The good point with one value changed, or taken away.
fn with(name: &'static str, value: Option<ParamValue>) -> Params {
    let mut pairs = good();
    pairs.retain(|(known, _)| *known != name);
    pairs.extend(value.map(|value| (name, value)));
    params(&pairs)
}

fn messages<T: std::fmt::Debug>(result: Result<T, Vec<SpaceError>>) -> Vec<String> {
    result.unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn each_bad_value_is_refused_with_the_remedy() {
    let space = space(digits());
    assert_eq!(space.check(&params(&good())), Ok(()));
    let cases: Vec<(&'static str, Option<ParamValue>, &str)> = vec![
        (
            "lr",
            Some(float_value(1.0)),
            "lr: 1.0 is too large; give a number from 1e-05 to 0.1",
        ),
        (
            "lr",
            Some(ParamValue::Int(0)),
            "lr: 0 is too small; give a number from 1e-05 to 0.1",
        ),
        (
            "lr",
            Some(float_value(f64::NAN)),
            "lr: NaN is not finite; give a number from 1e-05 to 0.1",
        ),
        (
            "lr",
            Some(text("0.01")),
            "lr: \"0.01\" is not a number; give a number from 1e-05 to 0.1",
        ),
        ("lr", None, "lr: missing; give a number from 1e-05 to 0.1"),
        (
            "batch",
            Some(ParamValue::Int(48)),
            "batch: 48 is not a power of two; give a power of two from 4 to 256",
        ),
        (
            "batch",
            Some(ParamValue::Int(512)),
            "batch: 512 is too large; give a power of two from 4 to 256",
        ),
        (
            "batch",
            Some(float_value(32.5)),
            "batch: 32.5 is not a whole number; give a power of two from 4 to 256",
        ),
        (
            "batch",
            Some(float_value(1e300)),
            "batch: 1e+300 is not a whole number; give a power of two from 4 to 256",
        ),
        (
            "batch",
            Some(ParamValue::Bool(true)),
            "batch: true is not a whole number; give a power of two from 4 to 256",
        ),
        (
            "width",
            Some(ParamValue::Int(65)),
            "width: 65 is not possible; give one of 32, 64, 128, 256",
        ),
        (
            "width",
            Some(text("64")),
            "width: \"64\" is not possible; give one of 32, 64, 128, 256",
        ),
        (
            "optimizer",
            Some(text("x\n\u{1b}[31m")),
            "optimizer: \"x\\n\\u{1b}[31m\" is not possible; give one of \"sgd\", \"adam\"",
        ),
        (
            "momentun",
            Some(float_value(0.5)),
            "momentun: no such parameter in the search space; did you mean momentum?",
        ),
        (
            "seed",
            Some(float_value(0.5)),
            "seed: no such parameter in the search space",
        ),
        (
            "optimizer",
            Some(text("adam")),
            "momentum: only active when optimizer is \"sgd\", but it is \"adam\"; leave it out",
        ),
        (
            "momentum",
            None,
            "momentum: missing; give a number from 0.0 to 0.99",
        ),
        // Whether the momentum is active is not known then: nothing is said of it.
        (
            "optimizer",
            None,
            "optimizer: missing; give one of \"sgd\", \"adam\"",
        ),
    ];
    for (name, value, expected) in cases {
        let bad = with(name, value);
        assert_eq!(messages(space.check(&bad))[0], expected);
        assert_eq!(space.encode(&bad).unwrap_err().to_string(), expected);
    }
}

#[test]
fn only_the_cause_is_reported_and_not_its_consequences() {
    let space = space(digits());
    let only_unknown_parent = with("optimizer", Some(text("sgdd")));
    assert_eq!(
        messages(space.check(&only_unknown_parent)),
        ["optimizer: \"sgdd\" is not possible; give one of \"sgd\", \"adam\""]
    );
    let missing_parent = with("optimizer", None);
    assert_eq!(messages(space.check(&missing_parent)).len(), 1);
}

#[test]
fn what_depends_on_an_inactive_parameter_is_inactive_too() {
    let space = space(vec![
        choice("kind", &["a", "b"]),
        when(choice("part", &["x", "y"]), 0, texts(&["b"])),
        when(float("deep", 0.0, 1.0, Scale::Linear), 1, texts(&["y"])),
    ]);
    let given = params(&[
        ("kind", text("a")),
        ("part", text("y")),
        ("deep", float_value(0.5)),
    ]);
    assert_eq!(
        messages(space.check(&given)),
        [
            "part: only active when kind is \"b\", but it is \"a\"; leave it out",
            "deep: only active when part is \"y\", but part is not active itself; leave it out",
        ]
    );
}

#[test]
fn a_megabyte_of_text_does_not_end_up_in_the_message() {
    let space = space(digits());
    let huge = "x".repeat(1 << 20);
    let message = &messages(space.check(&with("optimizer", Some(text(&huge)))))[0];
    assert!(message.len() < 200, "{} bytes", message.len());
}

#[test]
fn values_are_put_in_order_and_into_their_form() {
    let mut parameters = digits();
    parameters.push(stepped("dropout", 0.0, 0.5, 0.1));
    parameters.push(parameter("data", Domain::Constant(text("digits"))));
    let space = space(parameters);
    let given = params(&[
        ("width", float_value(64.0)),
        ("optimizer", text("adam")),
        ("dropout", float_value(0.1 + 0.2)),
        ("batch", float_value(32.0)),
        ("lr", float_value(0.1)),
    ]);
    let normal = space.normalize(given).unwrap();
    let text: Vec<String> = normal
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(
        text,
        [
            "lr=0.1",
            "batch=32",
            "optimizer=adam",
            "width=64",
            "dropout=0.3",
            "data=digits"
        ]
    );
    let mixed = super::space(vec![float("x", -2.0, 2.0, Scale::Linear)]);
    assert_eq!(
        mixed.normalize(params(&[("x", ParamValue::Int(1))])).unwrap(),
        params(&[("x", float_value(1.0))])
    );
    let zero = mixed.normalize(params(&[("x", float_value(-0.0))])).unwrap();
    assert_eq!(zero.value("x").unwrap().to_string(), "0.0");
    let constant = super::space(vec![parameter("data", Domain::Constant(ParamValue::Float(1.0)))]);
    let message = &messages(constant.check(&params(&[("data", ParamValue::Int(2))])))[0];
    assert_eq!(message, "data: 2 is not possible; give 1.0");
}

#[test]
fn steps_are_told_from_what_lies_between_them() {
    let space = space(vec![
        stepped("x", 0.1, 0.7, 0.2),
        parameter(
            "n",
            Domain::Int {
                low: 3,
                high: 12,
                scale: Scale::Linear,
                step: 4,
            },
        ),
    ]);
    let at = |x: f64, n: i64| space.check(&params(&[("x", float_value(x)), ("n", ParamValue::Int(n))]));
    for (x, n) in [(0.1, 3), (0.3, 7), (0.5, 11), (0.7, 3)] {
        assert_eq!(at(x, n), Ok(()));
    }
    assert_eq!(
        messages(at(0.2, 12)),
        [
            "x: 0.2 is not on a step; give a number from 0.1 to 0.7 in steps of 0.2",
            "n: 12 is not on a step; give a whole number from 3 to 12 in steps of 4",
        ]
    );
}

#[test]
fn a_violated_constraint_is_named_with_the_values() {
    let space = constrained(digits(), &["batch * width <= 16384", "lr < 0.05"]);
    let mut pairs = good();
    pairs[1].1 = ParamValue::Int(256);
    pairs[4].1 = ParamValue::Int(256);
    let bad = params(&pairs);
    assert_eq!(
        messages(space.check(&bad)),
        ["the constraint \"batch * width <= 16384\" does not hold for batch = 256, width = 256"]
    );
    assert!(!space.satisfies(&bad));
    assert!(space.satisfies(&params(&good())));
    let partial = params(&[("width", ParamValue::Int(256)), ("batch", ParamValue::Int(256))]);
    assert_eq!(messages(space.normalize_partial(partial)).len(), 1);
    let undecided = params(&[("width", ParamValue::Int(256))]);
    assert_eq!(space.normalize_partial(undecided.clone()), Ok(undecided));
}

#[test]
fn given_values_that_exclude_each_other_are_refused() {
    let mut parameters = digits();
    parameters.push(when(float("beta", 0.0, 1.0, Scale::Linear), 2, texts(&["adam"])));
    let space = space(parameters);
    let both = params(&[("momentum", float_value(0.5)), ("beta", float_value(0.5))]);
    assert_eq!(
        messages(space.normalize_partial(both)),
        ["optimizer: no value of optimizer allows all of the given parameters; leave some of them out"]
    );
    let against = params(&[("momentum", float_value(0.5)), ("optimizer", text("adam"))]);
    assert_eq!(
        messages(space.normalize_partial(against)),
        [
            "optimizer: optimizer is \"adam\", but momentum, which is given too, needs \"sgd\"; leave one of them out"
        ]
    );
}

proptest! {
    /// Whatever is given, there is an answer, and what is accepted is a point.
    #[test]
    fn any_values_are_accepted_or_refused(
        space in any_space(),
        values in prop::collection::vec(
            prop_oneof![
                any::<i64>().prop_map(ParamValue::Int),
                any::<f64>().prop_map(ParamValue::Float),
                any::<bool>().prop_map(ParamValue::Bool),
                ".*".prop_map(ParamValue::Text),
                (0i64..4).prop_map(ParamValue::Int),
            ],
            9,
        ),
    ) {
        let given: Params = space.parameters().iter().zip(values).map(|(p, value)| (p.name.clone(), value)).collect();
        if let Ok(normal) = space.normalize(given.clone()) {
            prop_assert_eq!(space.check(&normal), Ok(()));
            prop_assert!(space.encode(&normal).is_ok());
        }
        if let Ok(partial) = space.normalize_partial(given) {
            prop_assert_eq!(space.check(&space.complete(&partial, &[0.5; 9])), Ok(()));
        }
    }
}
