//! Points of the encoded space become values and back.

use std::collections::BTreeMap;

use super::*;

/// Tolerance for decoded floats, as documented.
fn close(domain: &Domain, a: &ParamValue, b: &ParamValue) -> bool {
    let (
        ParamValue::Float(x),
        ParamValue::Float(y),
        Domain::Float {
            low,
            high,
            scale,
            step: None,
        },
    ) = (a, b, domain)
    else {
        return a == b;
    };
    let magnitude = if *scale == Scale::Log {
        x.abs()
    } else {
        low.abs().max(high.abs())
    };
    (x - y).abs() <= 1e-12 * magnitude
}

fn assert_in_domain(domain: &Domain, value: &ParamValue) {
    let fits = match (domain, value) {
        (Domain::Float { low, high, step, .. }, ParamValue::Float(x)) => {
            let on_step = step.is_none_or(|step| {
                let ratio = (x - low) / step;
                (ratio - ratio.round()).abs() < 1e-6
            });
            (low..=high).contains(&x) && on_step
        }
        (
            Domain::Int {
                low,
                high,
                scale,
                step,
            },
            ParamValue::Int(x),
        ) => {
            (low..=high).contains(&x)
                && (*scale != Scale::Log2 || x.count_ones() == 1)
                && (*scale != Scale::Linear || (x - low) % step == 0)
        }
        (Domain::Categorical { choices } | Domain::Ordinal { choices }, value) => choices.contains(value),
        (Domain::Boolean, ParamValue::Bool(_)) => true,
        (Domain::Constant(constant), value) => constant == value,
        _ => false,
    };
    assert!(fits, "{value:?} is not in {domain:?}");
}

proptest! {
    /// Whatever the space and the point: the values are in their domains, in order, and exactly the active ones.
    #[test]
    fn decoded_points_are_valid_and_active(space in any_space(), point in any_point()) {
        let params = space.decode(&point);
        let places: Vec<usize> = params.iter().map(|(name, _)| space.index_of(name.as_str()).unwrap()).collect();
        prop_assert!(places.is_sorted());
        for (index, parameter) in space.parameters().iter().enumerate() {
            let active = parameter.conditions.iter().all(|condition| {
                let parent = params.value(space.parameters()[condition.parent].name.as_str());
                parent.is_some_and(|value| condition.values.contains(value))
            });
            let value = params.value(parameter.name.as_str());
            prop_assert_eq!(value.is_some(), active);
            if let Some(value) = value {
                prop_assert!(places.contains(&index));
                assert_in_domain(&parameter.domain, value);
            }
        }
        prop_assert_eq!(space.check(&params), Ok(()));
        prop_assert_eq!(space.normalize(params.clone()).unwrap(), params);
    }

    /// Encoding and decoding give the values back, and the position stays where it is.
    #[test]
    fn encoding_and_decoding_undo_each_other(space in any_space(), point in any_point()) {
        let params = space.decode(&point);
        let encoded = space.encode(&params).unwrap();
        prop_assert_eq!(encoded.len(), space.dimensions().len());
        for (position, parameter) in encoded.iter().zip(space.parameters()) {
            let active = params.value(parameter.name.as_str()).is_some();
            let fits = if active { (0.0..1.0).contains(position) } else { position.is_nan() };
            prop_assert!(fits, "{} at {}", parameter.name, position);
        }
        let again = space.decode(&encoded);
        prop_assert_eq!(again.len(), params.len());
        for ((name, a), (_, b)) in params.iter().zip(again.iter()) {
            let domain = &space.parameters()[space.index_of(name.as_str()).unwrap()].domain;
            prop_assert!(close(domain, a, b), "{} was {:?}, is {:?}", name, a, b);
        }
        let encoded_again = space.encode(&again).unwrap();
        for (a, b) in encoded.iter().zip(&encoded_again) {
            prop_assert!((a.is_nan() && b.is_nan()) || (a - b).abs() < 1e-6, "{} became {}", a, b);
        }
    }

    /// Snapping is encoding what was decoded, without the values in between.
    #[test]
    fn snapped_points_are_those_of_the_values(space in any_space(), point in any_point()) {
        let dimensions = space.dimensions().len();
        let mut point = point;
        point.resize(dimensions, 0.5);
        let mut snapped = vec![0.0; dimensions];
        space.snap(&point, &mut snapped);
        let params = space.decode(&point);
        for ((parameter, position), dimension) in space.parameters().iter().zip(&snapped).zip(space.dimensions()) {
            let active = params.value(parameter.name.as_str()).is_some();
            prop_assert_eq!(active, !position.is_nan(), "{} at {}", parameter.name, position);
            let encoded = space.encode(&params).unwrap()[space.index_of(parameter.name.as_str()).unwrap()];
            let same = *dimension == Dimension::Continuous || !active || encoded.to_bits() == position.to_bits();
            prop_assert!(same, "{} at {position}, not {encoded}", parameter.name);
        }
        let again = space.decode(&snapped);
        prop_assert_eq!(again.len(), params.len());
        for ((name, a), (_, b)) in params.iter().zip(again.iter()) {
            let domain = &space.parameters()[space.index_of(name.as_str()).unwrap()].domain;
            prop_assert!(close(domain, a, b), "{} was {:?}, is {:?}", name, a, b);
        }
    }

    /// A greater position never gives a smaller value, also on the mirrored scales.
    #[test]
    fn numbers_rise_with_their_position(space in any_space(), a in 0.0..1.0f64, b in 0.0..1.0f64) {
        for (index, parameter) in space.parameters().iter().enumerate() {
            let (low, high) = (space.coding(index).decode(a.min(b)), space.coding(index).decode(a.max(b)));
            match (&parameter.domain, low, high) {
                (_, ParamValue::Float(low), ParamValue::Float(high)) if !matches!(parameter.domain, Domain::Categorical { .. }) => {
                    prop_assert!(low <= high);
                }
                (Domain::Int { .. }, ParamValue::Int(low), ParamValue::Int(high)) => prop_assert!(low <= high),
                _ => {}
            }
        }
    }

    /// Whatever is given stays, as far as it can be active, and the result is a point of the space.
    #[test]
    fn completed_points_keep_what_was_given(space in any_space(), a in any_point(), b in any_point(), keep in any::<u16>()) {
        let some: Params = space.decode(&a).iter().enumerate()
            .filter(|(index, _)| keep & (1 << index) != 0)
            .map(|(_, (name, value))| (name.clone(), value.clone()))
            .collect();
        let given = space.normalize_partial(some.clone()).unwrap();
        prop_assert_eq!(&given, &some);
        let whole = space.complete(&given, &b);
        for (name, value) in given.iter() {
            prop_assert_eq!(whole.value(name.as_str()), Some(value));
        }
        prop_assert_eq!(space.check(&whole), Ok(()));
    }
}

/// Share of `draws` evenly spread positions for each value.
fn shares(parameter: Parameter, draws: u32) -> BTreeMap<i64, f64> {
    let space = space(vec![parameter]);
    let mut shares = BTreeMap::new();
    for draw in 0..draws {
        let position = (f64::from(draw) + 0.5) / f64::from(draws);
        let params = space.decode(&[position]);
        let Some((_, ParamValue::Int(value))) = params.iter().next() else {
            panic!("no int in {params:?}")
        };
        *shares.entry(*value).or_insert(0.0) += 1.0 / f64::from(draws);
    }
    shares
}

#[test]
fn linear_ints_and_powers_of_two_are_equally_likely() {
    let shares_of = |parameter| shares(parameter, 70_000);
    for (found, values) in [
        (
            shares_of(int("p", -3, 3, Scale::Linear)),
            vec![-3, -2, -1, 0, 1, 2, 3],
        ),
        (
            shares_of(int("p", 4, 256, Scale::Log2)),
            vec![4, 8, 16, 32, 64, 128, 256],
        ),
    ] {
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), values);
        assert!(
            found.values().all(|share| (share - 1.0 / 7.0).abs() < 1e-4),
            "{found:?}"
        );
    }
}

#[test]
fn ints_on_a_logarithmic_scale_own_their_stretch_of_it() {
    // Value k has ln((k + 0.5) / (k - 0.5)) of ln(10.5 / 0.5); the ends are not cut in half.
    let found = shares(int("p", 1, 10, Scale::Log), 100_000);
    for k in 1..=10 {
        let expected = ((k as f64 + 0.5) / (k as f64 - 0.5)).ln() / 21f64.ln();
        assert!(
            (found[&k] - expected).abs() < 1e-4,
            "{k}: {} instead of {expected}",
            found[&k]
        );
    }
    let mirrored = shares(int("p", 1, 10, Scale::ReverseLog), 100_000);
    for k in 1..=10 {
        assert!((mirrored[&k] - found[&(11 - k)]).abs() < 1e-4);
    }
}

fn float_at(parameter: Parameter, position: f64) -> f64 {
    let params = space(vec![parameter]).decode(&[position]);
    match params.value("p") {
        Some(ParamValue::Float(value)) => *value,
        other => panic!("{other:?} is no float"),
    }
}

#[test]
fn scales_have_their_middle_where_they_should() {
    let close = |a: f64, b: f64| (a - b).abs() < 1e-12 * b.abs();
    assert!(close(float_at(float("p", 1.0, 5.0, Scale::Linear), 0.5), 3.0));
    assert!(close(float_at(float("p", 1e-5, 1e-1, Scale::Log), 0.5), 1e-3));
    // The mirror image: 1 - x is 0.001 * 999^0.5 in the middle.
    let middle = float_at(float("p", 0.001, 0.999, Scale::ReverseLog), 0.5);
    assert!(close(1.0 - middle, 0.001 * 999f64.sqrt()), "{middle}");
}

#[test]
fn the_ends_are_reached_exactly_and_never_passed() {
    let last = 1.0 - f64::EPSILON / 2.0;
    for scale in [Scale::Linear, Scale::Log, Scale::ReverseLog] {
        for (low, high) in [(1e-5, 0.1), (0.1, 0.3), (5e-324, 1e300), (3.0, 1e16), (0.1, 0.7)] {
            assert_eq!(
                float_at(float("p", low, high, scale), 0.0).to_bits(),
                low.to_bits()
            );
            assert_eq!(
                float_at(float("p", low, high, scale), last).to_bits(),
                high.to_bits()
            );
            for k in 0..1_000 {
                let value = float_at(float("p", low, high, scale), f64::from(k) / 1_000.0);
                assert!((low..=high).contains(&value), "{value} is outside {low}..{high}");
            }
        }
    }
}

#[test]
fn stepped_floats_are_the_decimals_that_people_mean() {
    let values = |low, high, step| {
        let space = space(vec![stepped("p", low, high, step)]);
        let Dimension::Levels(count) = space.dimensions()[0] else {
            panic!("no levels")
        };
        (0..count)
            .map(|k| {
                space
                    .decode(&[(k as f64 + 0.5) / count as f64])
                    .iter()
                    .next()
                    .unwrap()
                    .1
                    .to_string()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(values(0.0, 0.3, 0.1), ["0.0", "0.1", "0.2", "0.3"]);
    assert_eq!(values(-0.2, 0.1, 0.1), ["-0.2", "-0.1", "0.0", "0.1"]);
    assert_eq!(values(0.5, 1.0, 0.2), ["0.5", "0.7", "0.9"]);
    assert_eq!(values(1e-5, 5e-5, 2e-5), ["1e-05", "3e-05", "5e-05"]);
    assert_eq!(
        values(1e10, 1.0e10 + 1.0, 0.5),
        ["10000000000.0", "10000000000.5", "10000000001.0"]
    );
}

#[test]
fn strange_positions_give_the_nearest_values() {
    let space = space(vec![
        int("depth", 1, 6, Scale::Linear),
        int("units", 1, 1 << 44, Scale::Log),
        float("lr", 0.5, 2.0, Scale::Log),
    ]);
    let ends = |depth, units, lr| {
        let values = [
            ("depth", ParamValue::Int(depth)),
            ("units", ParamValue::Int(units)),
            ("lr", ParamValue::Float(lr)),
        ];
        params(&values)
    };
    for point in [
        vec![],
        vec![f64::NAN; 3],
        vec![-3.0; 3],
        vec![f64::NEG_INFINITY; 9],
    ] {
        assert_eq!(space.decode(&point), ends(1, 1, 0.5), "{point:?}");
    }
    for point in [vec![1.0; 3], vec![f64::INFINITY; 4], vec![1e300; 3]] {
        assert_eq!(space.decode(&point), ends(6, 1 << 44, 2.0), "{point:?}");
    }
}

#[test]
fn the_largest_allowed_ranges_come_back_exactly() {
    let space = space(vec![
        int("linear", -(1 << 49), (1 << 49) - 2, Scale::Linear),
        int("log", 1, 1 << 44, Scale::Log),
        int("mirrored", 1, 1 << 44, Scale::ReverseLog),
        int("powers", 1, 1 << 53, Scale::Log2),
    ]);
    for k in 0..2_000 {
        let position = f64::from(k) / 2_000.0 + 1e-9;
        let params = space.decode(&[position; 4]);
        assert_eq!(space.decode(&space.encode(&params).unwrap()), params);
    }
}

#[test]
fn a_given_child_decides_its_parents() {
    let space = space(digits());
    let momentum = params(&[("momentum", ParamValue::Float(0.5))]);
    for position in [0.0, 0.3, 0.6, 0.99] {
        let point = space.complete(&momentum, &[position; 5]);
        assert_eq!(point.value("optimizer"), Some(&text("sgd")));
        assert_eq!(point.value("momentum"), Some(&ParamValue::Float(0.5)));
    }
    let depends = vec![
        choice("kind", &["a", "b", "c", "d"]),
        when(choice("part", &["x", "y"]), 0, texts(&["b", "d"])),
        when(float("deep", 0.0, 1.0, Scale::Linear), 1, texts(&["y"])),
    ];
    let space = super::space(depends);
    let deep = params(&[("deep", ParamValue::Float(0.25))]);
    let kinds: Vec<ParamValue> = [0.1, 0.4, 0.6, 0.9]
        .map(|position| {
            space
                .complete(&deep, &[position, 0.1, 0.1])
                .value("kind")
                .unwrap()
                .clone()
        })
        .to_vec();
    assert_eq!(kinds, texts(&["b", "b", "d", "d"]));
}
