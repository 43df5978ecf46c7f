//! Tests of the search space: builders and generated spaces shared by the files of this folder.

use proptest::prelude::*;

use super::*;
use crate::constraint::Constraint;
use crate::params::{ParamValue, Params};

mod definition;
mod grid;
mod points;
mod values;

pub(super) fn text(value: &str) -> ParamValue {
    ParamValue::Text(value.to_owned())
}

pub(super) fn texts(values: &[&str]) -> Vec<ParamValue> {
    values.iter().map(|value| text(value)).collect()
}

pub(super) fn float(name: &str, low: f64, high: f64, scale: Scale) -> Parameter {
    parameter(
        name,
        Domain::Float {
            low,
            high,
            scale,
            step: None,
        },
    )
}

pub(super) fn stepped(name: &str, low: f64, high: f64, step: f64) -> Parameter {
    parameter(
        name,
        Domain::Float {
            low,
            high,
            scale: Scale::Linear,
            step: Some(step),
        },
    )
}

pub(super) fn int(name: &str, low: i64, high: i64, scale: Scale) -> Parameter {
    parameter(
        name,
        Domain::Int {
            low,
            high,
            scale,
            step: 1,
        },
    )
}

pub(super) fn choice(name: &str, choices: &[&str]) -> Parameter {
    parameter(
        name,
        Domain::Categorical {
            choices: texts(choices),
        },
    )
}

pub(super) fn parameter(name: &str, domain: Domain) -> Parameter {
    Parameter {
        name: name.parse().unwrap(),
        domain,
        conditions: vec![],
    }
}

pub(super) fn when(mut parameter: Parameter, parent: usize, values: Vec<ParamValue>) -> Parameter {
    parameter.conditions.push(Condition { parent, values });
    parameter
}

pub(super) fn space(parameters: Vec<Parameter>) -> Space {
    Space::new(parameters, vec![]).unwrap()
}

pub(super) fn constrained(parameters: Vec<Parameter>, constraints: &[&str]) -> Space {
    let constraints = constraints
        .iter()
        .map(|text| Constraint::parse(text, &parameters).unwrap())
        .collect();
    Space::new(parameters, constraints).unwrap()
}

pub(super) fn params(pairs: &[(&str, ParamValue)]) -> Params {
    pairs
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), value.clone()))
        .collect()
}

/// The space of the documentation's example.
pub(super) fn digits() -> Vec<Parameter> {
    vec![
        float("lr", 1e-5, 1e-1, Scale::Log),
        int("batch", 4, 256, Scale::Log2),
        choice("optimizer", &["sgd", "adam"]),
        when(float("momentum", 0.0, 0.99, Scale::Linear), 2, texts(&["sgd"])),
        parameter(
            "width",
            Domain::Ordinal {
                choices: [32, 64, 128, 256].map(ParamValue::Int).to_vec(),
            },
        ),
    ]
}

/// Any domain, small ones more often.
fn any_domain() -> impl Strategy<Value = Domain> {
    let number = prop_oneof![(-1e3..1e3), (-1e12..1e12)];
    let positive = (-8.0..8.0).prop_map(|exponent: f64| 10f64.powf(exponent));
    let linear = (number.clone(), positive.clone()).prop_map(|(low, range)| Domain::Float {
        low,
        high: low + range.max(1.0),
        scale: Scale::Linear,
        step: None,
    });
    let curved = (positive.clone(), 1.01..1e6, prop::bool::ANY).prop_map(
        |(low, ratio, mirrored): (f64, f64, bool)| {
            let scale = if mirrored { Scale::ReverseLog } else { Scale::Log };
            Domain::Float {
                low,
                high: low * ratio,
                scale,
                step: None,
            }
        },
    );
    let stepped = (-100i32..100, 1u32..30, 1u32..30, 0u32..4).prop_map(|(low, step, count, decimals)| {
        let unit = 10f64.powi(-i32::try_from(decimals).unwrap());
        let (low, step) = (f64::from(low) * unit, f64::from(step) * unit);
        Domain::Float {
            low,
            high: low + (f64::from(count) + 0.4) * step,
            scale: Scale::Linear,
            step: Some(step),
        }
    });
    let ints = (-1000i64..1000, 1i64..1000, 1i64..5).prop_map(|(low, range, step)| Domain::Int {
        low,
        high: low + range.max(step),
        scale: Scale::Linear,
        step,
    });
    let curved_ints =
        (1i64..1000, 1i64..100_000, prop::bool::ANY).prop_map(|(low, range, mirrored)| Domain::Int {
            low,
            high: low + range,
            scale: if mirrored { Scale::ReverseLog } else { Scale::Log },
            step: 1,
        });
    let powers = (0u32..20, 1u32..20).prop_map(|(first, count)| Domain::Int {
        low: 1 << first,
        high: 1 << (first + count),
        scale: Scale::Log2,
        step: 1,
    });
    prop_oneof![linear, curved, stepped, ints, curved_ints, powers, separate(),]
}

/// Domains on which others may depend.
fn separate() -> impl Strategy<Value = Domain> {
    prop_oneof![
        (1usize..6, prop::bool::ANY).prop_map(|(count, ordered)| {
            let choices = (0..count).map(|index| text(&format!("choice {index}"))).collect();
            if ordered {
                Domain::Ordinal { choices }
            } else {
                Domain::Categorical { choices }
            }
        }),
        Just(Domain::Categorical {
            choices: vec![
                ParamValue::Int(1),
                text("one"),
                ParamValue::Bool(true),
                ParamValue::Float(0.5)
            ]
        }),
        Just(Domain::Boolean),
        Just(Domain::Constant(ParamValue::Float(2.5))),
        (0i64..3, 1i64..4).prop_map(|(low, range)| Domain::Int {
            low,
            high: low + range,
            scale: Scale::Linear,
            step: 1
        }),
    ]
}

/// Any space of `domain`s, in which parameters depend on earlier ones with separate values.
fn space_of(domain: BoxedStrategy<Domain>, most: usize) -> impl Strategy<Value = Space> {
    let condition = (
        any::<prop::sample::Index>(),
        prop::collection::vec(0.0..1.0f64, 1..3),
    );
    let one = (domain, prop::collection::vec(condition, 0..3));
    prop::collection::vec(one, 1..most).prop_map(|drafts| {
        let mut parameters: Vec<Parameter> = Vec::new();
        for (index, (domain, conditions)) in drafts.into_iter().enumerate() {
            let mut added = parameter(&format!("p{index}"), domain);
            let parents: Vec<usize> = (0..index)
                .filter(|i| !matches!(parameters[*i].domain, Domain::Float { .. }))
                .collect();
            for (pick, positions) in conditions.into_iter().filter(|_| !parents.is_empty()) {
                let parent = *pick.get(&parents);
                if added
                    .conditions
                    .iter()
                    .any(|condition| condition.parent == parent)
                {
                    continue;
                }
                let coding = coding::Coding::new(&parameters[parent].domain);
                let mut values: Vec<ParamValue> = Vec::new();
                for value in positions.iter().map(|position| coding.decode(*position)) {
                    if !values.contains(&value) {
                        values.push(value);
                    }
                }
                added.conditions.push(Condition { parent, values });
            }
            parameters.push(added);
        }
        space(parameters)
    })
}

/// Any space, with parameters of all types and nested conditions.
pub(super) fn any_space() -> impl Strategy<Value = Space> {
    space_of(prop_oneof![any_domain(), separate()].boxed(), 9)
}

/// Any space small enough to list all cells of its grid.
pub(super) fn small_space() -> impl Strategy<Value = Space> {
    let range = (1.0..10.0f64).prop_map(|low| Domain::Float {
        low,
        high: low * 4.0,
        scale: Scale::Log,
        step: None,
    });
    let ints = (1i64..4, prop::bool::ANY).prop_map(|(low, mirrored)| Domain::Int {
        low,
        high: low + 9,
        scale: if mirrored { Scale::ReverseLog } else { Scale::Log },
        step: 1,
    });
    space_of(prop_oneof![1 => range, 1 => ints, 4 => separate()].boxed(), 7)
}

/// Positions for up to as many parameters as generated spaces have.
pub(super) fn any_point() -> impl Strategy<Value = Vec<f64>> {
    let position = prop_oneof![
        8 => 0.0..1.0f64,
        1 => Just(0.0),
        1 => Just(1.0 - f64::EPSILON / 2.0),
    ];
    prop::collection::vec(position, 9)
}
