//! The grid: each configuration once, in order, counted without listing.

use std::collections::HashSet;

use super::*;

fn cells(space: &Space, points: u32) -> Vec<String> {
    let grid = space.grid(points).unwrap();
    let line = |params: Params| {
        params
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    (0..grid.cells())
        .map(|index| line(grid.cell(index).unwrap()))
        .collect()
}

/// All configurations, listed by trying every value of every parameter in order.
fn listed(space: &Space, points: u32) -> Vec<Params> {
    let mut partial: Vec<crate::space::points::Values> = vec![vec![]];
    for index in 0..space.parameters().len() {
        let mut longer = Vec::new();
        for values in partial {
            let choices: Vec<Option<ParamValue>> = if space.is_active(index, &values) {
                (0..space.coding(index).grid_len(points))
                    .map(|place| Some(space.grid_value(index, place, points)))
                    .collect()
            } else {
                vec![None]
            };
            longer.extend(choices.into_iter().map(|value| {
                let mut values = values.clone();
                values.push(value);
                values
            }));
        }
        partial = longer;
    }
    partial.into_iter().map(|values| space.collect(values)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    /// Counting gives the same cells in the same order as listing, all different and all valid.
    #[test]
    fn the_grid_is_what_listing_gives(space in small_space(), points in 1u32..4) {
        let expected = listed(&space, points);
        let grid = space.grid(points).unwrap();
        prop_assert_eq!(grid.cells(), expected.len() as u128);
        let mut seen = HashSet::new();
        for (index, expected) in expected.iter().enumerate() {
            let cell = grid.cell(index as u128).unwrap();
            prop_assert_eq!(&cell, expected);
            prop_assert_eq!(space.check(&cell), Ok(()));
            let text = format!("{cell:?}");
            prop_assert!(seen.insert(text));
        }
        prop_assert_eq!(grid.cell(grid.cells()), None);
    }

    /// The values of one parameter on the grid rise, are distinct, valid, and found again.
    #[test]
    fn grid_values_rise_and_are_found_again(space in any_space(), points in 1u32..50) {
        for (index, parameter) in space.parameters().iter().enumerate() {
            let coding = space.coding(index);
            let count = coding.grid_len(points);
            let values: Vec<ParamValue> = (0..count).map(|place| coding.grid_value(place, points)).collect();
            for (place, value) in values.iter().enumerate() {
                prop_assert_eq!(coding.grid_position(value, points), Some(place as u64));
                prop_assert_eq!(coding.accept(&parameter.domain, value), Ok(value.clone()));
            }
            if let (Domain::Int { low, high, scale, step }, true) = (&parameter.domain, count > 1) {
                prop_assert_eq!(&values[0], &ParamValue::Int(*low));
                if *scale != Scale::Linear || *step == 1 {
                    prop_assert_eq!(&values[values.len() - 1], &ParamValue::Int(*high));
                }
            }
        }
    }
}

#[test]
fn the_last_parameter_changes_fastest() {
    let space = space(vec![
        float("x", 0.0, 1.0, Scale::Linear),
        choice("c", &["a", "b"]),
    ]);
    assert_eq!(
        cells(&space, 3),
        [
            "x=0.0 c=a",
            "x=0.0 c=b",
            "x=0.5 c=a",
            "x=0.5 c=b",
            "x=1.0 c=a",
            "x=1.0 c=b"
        ]
    );
    assert_eq!(space.cells(3), Some(6));
    assert_eq!(space.cell(2, 3).unwrap().value("c"), Some(&text("a")));
    assert_eq!(space.cell(6, 3), None);
}

#[test]
fn inactive_parameters_do_not_multiply() {
    let space = space(vec![
        choice("optimizer", &["sgd", "adam"]),
        when(float("momentum", 0.0, 0.9, Scale::Linear), 0, texts(&["sgd"])),
        parameter("bias", Domain::Boolean),
    ]);
    assert_eq!(
        cells(&space, 2),
        [
            "optimizer=sgd momentum=0.0 bias=false",
            "optimizer=sgd momentum=0.0 bias=true",
            "optimizer=sgd momentum=0.9 bias=false",
            "optimizer=sgd momentum=0.9 bias=true",
            "optimizer=adam bias=false",
            "optimizer=adam bias=true",
        ]
    );
}

#[test]
fn points_are_spread_on_the_scale_with_both_ends() {
    let values = |parameter: Parameter, points| {
        let space = space(vec![parameter]);
        cells(&space, points)
            .iter()
            .map(|cell| cell.replace("p=", ""))
            .collect::<Vec<_>>()
    };
    assert_eq!(values(float("p", 0.0, 1.0, Scale::Linear), 11)[3], "0.3");
    assert_eq!(
        values(float("p", 1.0, 100.0, Scale::Log), 1),
        ["10.000000000000002"]
    );
    let log: Vec<f64> = values(float("p", 1e-5, 1e-1, Scale::Log), 5)
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    for (found, expected) in log.iter().zip([1e-5, 1e-4, 1e-3, 1e-2, 1e-1]) {
        assert!((found / expected - 1.0).abs() < 1e-12, "{found}");
    }
    assert_eq!(values(int("p", 1, 9, Scale::Linear), 3), ["1", "5", "9"]);
    assert_eq!(values(int("p", 1, 9, Scale::Linear), 4), ["1", "4", "6", "9"]);
    assert_eq!(values(int("p", 1, 9, Scale::Linear), 1), ["5"]);
    assert_eq!(values(int("p", 1, 3, Scale::Linear), 10), ["1", "2", "3"]);
    assert_eq!(
        values(int("p", 1, 1000, Scale::Log), 4),
        ["1", "10", "100", "1000"]
    );
    assert_eq!(
        values(int("p", 1, 1000, Scale::ReverseLog), 4),
        ["1", "901", "991", "1000"]
    );
    // Finer than whole numbers near the end: the next ones are taken instead of the same one twice.
    assert_eq!(
        values(int("p", 1, 20, Scale::Log), 8),
        ["1", "2", "3", "4", "6", "8", "13", "20"]
    );
    assert_eq!(values(int("p", 4, 256, Scale::Log2), 2).len(), 7);
    assert_eq!(
        values(
            parameter(
                "p",
                Domain::Int {
                    low: 0,
                    high: 9,
                    scale: Scale::Linear,
                    step: 3
                }
            ),
            2
        ),
        ["0", "3", "6", "9"]
    );
}

#[test]
fn wide_grids_are_counted_at_once_or_refused() {
    let wide = |count: usize| {
        space(
            (0..count)
                .map(|i| float(&format!("p{i}"), 0.0, 1.0, Scale::Linear))
                .collect(),
        )
    };
    assert_eq!(wide(20).cells(10), Some(10u128.pow(20)));
    assert_eq!(
        wide(20).cell(10u128.pow(20) - 1, 10).unwrap().value("p0"),
        Some(&ParamValue::Float(1.0))
    );
    assert_eq!(wide(32).cells(u32::MAX), None);
    assert_eq!(wide(128).cells(2), None);
    assert_eq!(wide(127).cells(2), Some(1 << 127));
    assert_eq!(wide(1_000).cells(0), Some(1));
    assert!(wide(1_000).cell(0, 1).is_some());
}

#[test]
fn many_parents_at_once_are_counted_without_listing() {
    // All parents stand before all children: 2^40 combinations, but each pair has 1 + 3 configurations.
    let mut parameters: Vec<Parameter> = (0..40)
        .map(|i| parameter(&format!("use{i}"), Domain::Boolean))
        .collect();
    parameters.extend((0..40).map(|i| {
        let child = float(&format!("x{i}"), 0.0, 1.0, Scale::Linear);
        when(child, i, vec![ParamValue::Bool(true)])
    }));
    let space = space(parameters);
    assert_eq!(space.cells(3), Some(4u128.pow(40)));
    let last = space.cell(4u128.pow(40) - 1, 3).unwrap();
    assert_eq!(
        (last.len(), last.value("x39")),
        (80, Some(&ParamValue::Float(1.0)))
    );
    assert_eq!(space.cell(0, 3).unwrap().len(), 40);
}

#[test]
fn a_chain_of_a_thousand_conditions_is_counted() {
    let yes = || vec![ParamValue::Bool(true)];
    let mut parameters = vec![parameter("p0", Domain::Boolean)];
    parameters.extend((1..1_000).map(|i| when(parameter(&format!("p{i}"), Domain::Boolean), i - 1, yes())));
    let space = space(parameters);
    assert_eq!(space.cells(1), Some(1_001));
    assert_eq!(space.cell(1_000, 1).unwrap().len(), 1_000);
    assert_eq!(space.cell(0, 1).unwrap().len(), 1);
    assert!(
        space
            .complete(&params(&[("p999", ParamValue::Bool(false))]), &[0.0; 1_000])
            .len()
            == 1_000
    );
}

#[test]
fn conditions_too_entangled_to_count_are_given_up() {
    // Each child waits for its own parent and for one that comes last: no order of counting is short.
    let yes = || vec![ParamValue::Bool(true)];
    let mut parameters: Vec<Parameter> = (0..31)
        .map(|i| parameter(&format!("use{i}"), Domain::Boolean))
        .collect();
    parameters.extend((0..30).map(|i| {
        let child = parameter(&format!("x{i}"), Domain::Boolean);
        when(when(child, i, yes()), 30, yes())
    }));
    assert_eq!(space(parameters).cells(2), None);
}
