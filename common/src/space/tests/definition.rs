//! What is refused as a search space, and how it is said.

use super::*;

fn problems(parameters: Vec<Parameter>) -> Vec<String> {
    match Space::new(parameters, vec![]) {
        Ok(_) => vec![],
        Err(problems) => problems
            .iter()
            .map(|problem| format!("{}: {}", problem.path("space"), problem.message))
            .collect(),
    }
}

fn int_by(low: i64, high: i64, scale: Scale, step: i64) -> Parameter {
    parameter(
        "p",
        Domain::Int {
            low,
            high,
            scale,
            step,
        },
    )
}

fn float_by(low: f64, high: f64, scale: Scale, step: f64) -> Parameter {
    parameter(
        "p",
        Domain::Float {
            low,
            high,
            scale,
            step: Some(step),
        },
    )
}

fn categorical(choices: Vec<ParamValue>) -> Parameter {
    parameter("p", Domain::Categorical { choices })
}

#[test]
fn each_bad_domain_is_refused_with_its_field_and_remedy() {
    let nan = f64::NAN;
    let long = "x".repeat(4_097);
    let cases: Vec<(Parameter, &str)> = vec![
        (
            float("p", 2.0, 1.0, Scale::Linear),
            "space.p.low: low = 2.0 is above high = 1.0; exchange them",
        ),
        (
            float("p", 1.0, 1.0, Scale::Linear),
            "space.p.high: low and high are both 1.0; a single value is type constant with value: 1.0",
        ),
        (
            float("p", -0.0, 0.0, Scale::Linear),
            "space.p.high: low and high are both 0.0; a single value is type constant with value: 0.0",
        ),
        (
            float("p", nan, 1.0, Scale::Linear),
            "space.p.low: NaN is not a finite number",
        ),
        (
            float("p", 0.0, f64::INFINITY, Scale::Linear),
            "space.p.high: inf is not a finite number",
        ),
        (
            float("p", -1e308, 1e308, Scale::Linear),
            "space.p.high: the range from -1e308 to 1e308 overflows; use a narrower range or scale log",
        ),
        (
            float("p", 1e308, 1.5e308, Scale::ReverseLog),
            "space.p.high: the range from 1e308 to 1.5e308 overflows; use a narrower range or scale log",
        ),
        (
            float("p", 0.0, 1.0, Scale::Log),
            "space.p.low: scale log needs low > 0, this is 0.0; raise it, or use scale linear",
        ),
        (
            float("p", -1.0, 1.0, Scale::ReverseLog),
            "space.p.low: scale reverse_log needs low > 0, this is -1.0; raise it, or use scale linear",
        ),
        (
            float("p", 1e300, 1.000_000_000_000_000_2e300, Scale::Log),
            "space.p.high: 1e300 and 1.0000000000000002e300 are too close for a logarithmic scale; use scale linear",
        ),
        (
            float("p", 1.0, 8.0, Scale::Log2),
            "space.p.scale: log2 means powers of two and is for type int; use scale log",
        ),
        (
            float_by(0.0, 1.0, Scale::Linear, 0.0),
            "space.p.step: 0.0 is not a step; give a number above 0",
        ),
        (
            float_by(0.0, 1.0, Scale::Linear, nan),
            "space.p.step: NaN is not a step; give a number above 0",
        ),
        (
            float_by(0.0, 1.0, Scale::Linear, 1.5),
            "space.p.step: 1.5 is more than the range, 1.0; give a smaller step",
        ),
        (
            float_by(0.0, 1.0, Scale::Linear, 1e-17),
            "space.p.step: 1e-17 is too small to tell the values apart; leave it out",
        ),
        (
            float_by(1e16, 1e16 + 100.0, Scale::Linear, 0.5),
            "space.p.step: 0.5 is too small to tell the values apart; leave it out",
        ),
        (
            float_by(1.0, 9.0, Scale::Log, 0.5),
            "space.p.step: a step needs scale linear; leave out one of the two",
        ),
        (
            int("p", 5, 4, Scale::Linear),
            "space.p.low: low = 5 is above high = 4; exchange them",
        ),
        (
            int("p", 4, 4, Scale::Log2),
            "space.p.high: low and high are both 4; a single value is type constant with value: 4",
        ),
        (
            int("p", i64::MIN, 0, Scale::Linear),
            "space.p.low: -9223372036854775808 is not within ±2^53, where numbers are exact everywhere",
        ),
        (
            int("p", 0, (1 << 53) + 1, Scale::Linear),
            "space.p.high: 9007199254740993 is not within ±2^53, where numbers are exact everywhere",
        ),
        (
            int("p", 0, 1 << 53, Scale::Linear),
            "space.p.high: more than 2^50 values; use a narrower range, a larger step or type float",
        ),
        (
            int("p", 0, 8, Scale::Log),
            "space.p.low: scale log needs low > 0, this is 0; raise it, or use scale linear",
        ),
        (
            int("p", 1, 1 << 50, Scale::ReverseLog),
            "space.p.high: 1125899906842624 is above 2^44, the largest int on this scale; use type float",
        ),
        (
            int("p", 3, 64, Scale::Log2),
            "space.p.low: 3 is not a power of two, as scale log2 needs; use one, or scale log",
        ),
        (
            int("p", 0, 64, Scale::Log2),
            "space.p.low: 0 is not a power of two, as scale log2 needs; use one, or scale log",
        ),
        (
            int_by(0, 9, Scale::Linear, 0),
            "space.p.step: 0 is not a step; give a whole number from 1",
        ),
        (
            int_by(0, 9, Scale::Linear, -3),
            "space.p.step: -3 is not a step; give a whole number from 1",
        ),
        (
            int_by(0, 9, Scale::Linear, 10),
            "space.p.step: 10 is more than the range, 9; give a smaller step",
        ),
        (
            int_by(1, 9, Scale::Log, 2),
            "space.p.step: a step needs scale linear; leave out one of the two",
        ),
        (
            categorical(vec![]),
            "space.p.choices: there is nothing to choose from; give at least one value",
        ),
        (
            categorical(vec![ParamValue::Int(0); 10_001]),
            "space.p.choices: 10001 choices are too many; at most 10000 are allowed",
        ),
        (
            categorical(texts(&["a", "b", "a"])),
            "space.p.choices[2]: \"a\" cannot be told from choices[0] = \"a\"; leave one out",
        ),
        (
            categorical(vec![ParamValue::Int(1), ParamValue::Float(1.0)]),
            "space.p.choices[1]: 1.0 cannot be told from choices[0] = 1; leave one out",
        ),
        (
            categorical(vec![text("1"), ParamValue::Int(1)]),
            "space.p.choices[1]: 1 cannot be told from choices[0] = \"1\"; leave one out",
        ),
        (
            categorical(vec![ParamValue::Bool(true), text("true")]),
            "space.p.choices[1]: \"true\" cannot be told from choices[0] = true; leave one out",
        ),
        (
            categorical(vec![ParamValue::Float(nan)]),
            "space.p.choices[0]: NaN is not a finite number",
        ),
        (
            categorical(texts(&[""])),
            "space.p.choices[0]: an empty text is not allowed; use a word such as \"none\"",
        ),
        (
            categorical(texts(&["a\0b"])),
            "space.p.choices[0]: \"a\\0b\" contains a NUL character, which no program can be given",
        ),
        (
            categorical(texts(&[&long])),
            "space.p.choices[0]: this text has 4097 bytes; at most 4096 are allowed",
        ),
        (
            parameter("p", Domain::Constant(ParamValue::Float(f64::INFINITY))),
            "space.p.value: inf is not a finite number",
        ),
        (
            parameter("p", Domain::Constant(ParamValue::Int(i64::MAX))),
            "space.p.value: 9223372036854775807 is not within ±2^53, where numbers are exact everywhere",
        ),
    ];
    for (bad, expected) in cases {
        assert_eq!(problems(vec![bad]), [expected]);
    }
}

#[test]
fn each_bad_condition_is_refused_with_the_names_concerned() {
    let optimizer = || choice("optimizer", &["sgd", "adam"]);
    let child = |parent, values| when(float("m", 0.0, 1.0, Scale::Linear), parent, values);
    let cases: Vec<(Vec<Parameter>, &str)> = vec![
        (
            vec![optimizer(), child(7, texts(&["sgd"]))],
            "space.m.when: there is no parameter number 7 to depend on",
        ),
        (
            vec![child(0, texts(&["sgd"]))],
            "space.m.when.m: a parameter cannot depend on itself",
        ),
        (
            vec![child(1, texts(&["sgd"])), optimizer()],
            "space.m.when.optimizer: optimizer stands after this parameter; move it before",
        ),
        (
            vec![
                when(choice("a", &["x"]), 2, texts(&["x"])),
                when(choice("b", &["x"]), 0, texts(&["x"])),
                when(choice("c", &["x"]), 1, texts(&["x"])),
            ],
            "space.a.when.c: conditions in a circle: a -> c -> b -> a; remove one",
        ),
        (
            vec![optimizer(), child(0, texts(&["sgdd"]))],
            "space.m.when.optimizer: optimizer is never \"sgdd\"; did you mean \"sgd\"?",
        ),
        (
            vec![optimizer(), child(0, vec![ParamValue::Int(3)])],
            "space.m.when.optimizer: optimizer is never 3; it is one of \"sgd\", \"adam\"",
        ),
        (
            vec![
                int("depth", 1, 3, Scale::Linear),
                child(0, vec![ParamValue::Int(4)]),
            ],
            "space.m.when.depth: depth is never 4; it is a whole number from 1 to 3",
        ),
        (
            vec![
                float("lr", 0.0, 1.0, Scale::Linear),
                child(0, vec![ParamValue::Float(0.5)]),
            ],
            "space.m.when.lr: lr is a float; only choices, booleans, ints and constants can be conditions",
        ),
        (
            vec![optimizer(), child(0, vec![])],
            "space.m.when.optimizer: no values, so that the parameter is never active; give at least one",
        ),
        (
            vec![optimizer(), child(0, texts(&["sgd", "sgd"]))],
            "space.m.when.optimizer: \"sgd\" is listed twice; leave one out",
        ),
        (
            vec![optimizer(), when(child(0, texts(&["sgd"])), 0, texts(&["adam"]))],
            "space.m.when.optimizer: two conditions on optimizer; put all values into one list",
        ),
    ];
    for (bad, expected) in cases {
        assert_eq!(problems(bad), [expected]);
    }
}

#[test]
fn everything_wrong_is_said_at_once() {
    let found = problems(vec![
        float("lr", 0.0, 1.0, Scale::Log),
        int("lr", 9, 1, Scale::Linear),
        choice("optimizer", &[]),
        when(
            float("m", f64::NAN, f64::NAN, Scale::Linear),
            1,
            vec![ParamValue::Int(1)],
        ),
    ]);
    let paths: Vec<&str> = found
        .iter()
        .map(|problem| problem.split(": ").next().unwrap())
        .collect();
    assert_eq!(
        paths,
        [
            "space.lr",
            "space.lr.low",
            "space.lr.low",
            "space.optimizer.choices",
            "space.m.low",
            "space.m.high"
        ]
    );
}

#[test]
fn a_space_has_between_one_and_a_thousand_parameters() {
    assert_eq!(
        problems(vec![]),
        ["space: the search space is empty; give at least one parameter"]
    );
    let many = |count| {
        (0..count)
            .map(|index| choice(&format!("p{index}"), &["a"]))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        problems(many(1_001)),
        ["space: 1001 parameters are too many; at most 1000 are allowed"]
    );
    assert_eq!(problems(many(1_000)), [""; 0]);
}

#[test]
fn values_of_conditions_take_the_form_of_their_parent() {
    let space = space(vec![
        int("depth", 1, 3, Scale::Linear),
        when(
            float("x", 0.0, 1.0, Scale::Linear),
            0,
            vec![ParamValue::Float(2.0)],
        ),
    ]);
    assert_eq!(space.parameters()[1].conditions[0].values, [ParamValue::Int(2)]);
    assert_eq!(space.decode(&[0.5, 0.5]).len(), 2);
}

#[test]
fn dimensions_tell_levels_from_continuous_ones() {
    let space = space(vec![
        float("lr", 1e-5, 1e-1, Scale::Log),
        stepped("dropout", 0.0, 0.5, 0.1),
        int("depth", 1, 6, Scale::Linear),
        parameter(
            "stride",
            Domain::Int {
                low: 0,
                high: 10,
                scale: Scale::Linear,
                step: 4,
            },
        ),
        int("batch", 4, 256, Scale::Log2),
        int("units", 1, 4096, Scale::Log),
        int("epochs", 1, 100, Scale::ReverseLog),
        choice("optimizer", &["sgd", "adam", "lion"]),
        parameter(
            "width",
            Domain::Ordinal {
                choices: vec![ParamValue::Int(32), ParamValue::Int(64)],
            },
        ),
        parameter("bias", Domain::Boolean),
        parameter("data", Domain::Constant(text("digits"))),
    ]);
    use Dimension::{Categorical, Continuous, Levels};
    let expected = [
        Continuous,
        Levels(6),
        Levels(6),
        Levels(3),
        Levels(7),
        Continuous,
        Continuous,
        Categorical(3),
        Levels(2),
        Categorical(2),
        Levels(1),
    ];
    assert_eq!(space.dimensions(), expected);
    assert_eq!(space.index_of("stride"), Some(3));
    assert_eq!(space.index_of("strid"), None);
}

#[test]
fn constraints_are_bound_to_the_space_they_are_given_to() {
    let swapped: Vec<Parameter> = digits().into_iter().rev().collect();
    let constraint = Constraint::parse(
        "batch * width <= 16384",
        &[swapped[0].clone(), swapped[3].clone()],
    )
    .unwrap();
    let space = Space::new(digits(), vec![constraint]).unwrap();
    assert_eq!(space.constraints()[0].mentioned(), [1, 4]);
    let other = Constraint::parse("batch > 8", &digits()).unwrap();
    let error = Space::new(vec![choice("batch", &["small"])], vec![other]).unwrap_err();
    assert_eq!(error[0].path("space"), "space.constraints[0]");
}

#[test]
fn an_unsatisfiable_constraint_is_found_out() {
    assert!(constrained(digits(), &["batch * width <= 16384"]).is_satisfiable(1));
    assert!(constrained(digits(), &["batch * width == 128"]).is_satisfiable(1));
    assert!(!constrained(digits(), &["batch * width < 100"]).is_satisfiable(1));
    assert!(!constrained(digits(), &["batch > 16", "batch < 32"]).is_satisfiable(1));
    // Holds for adam, where the momentum is inactive, and only there.
    assert!(constrained(digits(), &["momentum > 2"]).is_satisfiable(1));
    assert!(!constrained(digits(), &["momentum > 2", "optimizer == 'sgd'"]).is_satisfiable(1));
    // The constraint mentions the child only, which is always active.
    let mut parameters = digits();
    parameters[3].conditions[0].values = texts(&["sgd", "adam"]);
    assert!(!constrained(parameters, &["momentum > 2"]).is_satisfiable(1));
}
