//! Against values of pymoo (`tests/golden/make_pareto.py`; `pareto.json` says of which version), and against the definitions.

use proptest::prelude::*;

use super::boxes::Boxes;
use super::*;

#[derive(Debug)]
struct Case {
    points: Vec<Vec<f64>>,
    ranks: Vec<usize>,
    front: Vec<usize>,
    crowding: Vec<f64>,
    reference: Vec<f64>,
    hypervolume: f64,
}

fn golden() -> Vec<Case> {
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/golden/pareto.json")).unwrap();
    let of = |case: &serde_json::Value, key: &str| case[key].clone();
    let cases = golden["cases"].as_array().unwrap().iter().map(|case| Case {
        points: serde_json::from_value(of(case, "points")).unwrap(),
        ranks: serde_json::from_value(of(case, "ranks")).unwrap(),
        front: serde_json::from_value(of(case, "front")).unwrap(),
        crowding: serde_json::from_value::<Vec<Option<f64>>>(of(case, "crowding"))
            .unwrap()
            .into_iter()
            .map(|room| room.unwrap_or(f64::INFINITY))
            .collect(),
        reference: serde_json::from_value(of(case, "reference")).unwrap(),
        hypervolume: case["hypervolume"].as_f64().unwrap(),
    });
    cases.collect()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * (1.0 + b.abs())
}

#[test]
fn fronts_rooms_and_volumes_are_those_of_pymoo() {
    let cases = golden();
    assert_eq!(cases.len(), 9);
    let mut compared = 0;
    for case in cases {
        assert_eq!(ranks(&case.points), case.ranks);
        let front: Vec<&Vec<f64>> = case.front.iter().map(|&k| &case.points[k]).collect();
        let room = crowding(&front);
        // Where several have the least or largest value of an objective, which one has no end of room is a matter of order.
        let objectives = case.reference.len();
        let tied = (0..objectives).any(|j| {
            let mut values: Vec<u64> = front.iter().map(|point| point[j].to_bits()).collect();
            values.sort_unstable();
            values.windows(2).any(|two| two[0] == two[1])
        });
        compared += usize::from(!tied);
        for (ours, theirs) in room.iter().zip(&case.crowding) {
            assert!(
                tied || close(*ours, *theirs) || (ours.is_infinite() && theirs.is_infinite()),
                "{objectives}: {ours} {theirs}"
            );
        }
        let volume = hypervolume(&case.points, &case.reference);
        assert!(
            close(volume, case.hypervolume),
            "{objectives}: {volume} {}",
            case.hypervolume
        );
    }
    assert_eq!(compared, 4, "fronts without ties");
}

#[test]
fn dominance_needs_to_be_as_good_everywhere_and_better_somewhere() {
    for (a, b, expected) in [
        ([1.0, 2.0], [1.0, 3.0], true),
        ([1.0, 2.0], [1.0, 2.0], false),
        ([1.0, 3.0], [2.0, 2.0], false),
        ([0.0, f64::NAN], [1.0, 1.0], false),
        ([0.0, 0.0], [1.0, f64::NAN], false),
        ([f64::NEG_INFINITY, 0.0], [0.0, -0.0], true),
    ] {
        assert_eq!(dominates(&a, &b), expected, "{a:?} {b:?}");
    }
}

#[test]
fn crowding_is_the_sum_of_the_neighbours_distances_as_shares_of_the_range() {
    let front = [[0.0, 10.0], [1.0, 6.0], [3.0, 5.0], [4.0, 0.0]];
    let room = crowding(&front);
    assert!(room[0].is_infinite() && room[3].is_infinite());
    assert!(close(room[1], 3.0 / 4.0 + 5.0 / 10.0) && close(room[2], 3.0 / 4.0 + 6.0 / 10.0));
    assert_eq!(crowding::<Vec<f64>>(&[]), Vec::<f64>::new());
    // One value only in an objective: it tells nothing apart.
    assert!(crowding(&[[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])[1].abs() < 1e-12);
}

#[test]
fn what_is_not_better_than_the_reference_adds_no_volume() {
    for d in 1..=8 {
        let reference = vec![1.0; d];
        assert!(hypervolume::<Vec<f64>>(&[], &reference).abs() < 1e-12);
        let mut outside = vec![0.0; d];
        outside[d - 1] = 1.0;
        let nan = vec![f64::NAN; d];
        assert!(hypervolume(&[outside.clone(), nan.clone()], &reference).abs() < 1e-12);
        let half = vec![0.5; d];
        let volume = hypervolume(&[outside, half.clone(), nan, half], &reference);
        assert!(close(volume, 0.5_f64.powi(i32::try_from(d).unwrap())));
    }
}

/// Some points of a coarse grid, so that many coordinates are the same, and a length that all have.
fn any_points(most: usize) -> impl proptest::strategy::Strategy<Value = Vec<Vec<f64>>> {
    (1..=most).prop_flat_map(|d| {
        prop::collection::vec(
            prop::collection::vec((0_i32..7).prop_map(|x| f64::from(x) / 6.0), d),
            1..14,
        )
    })
}

/// How many of the cells of the grid of `any_points`, up to 1 in each objective, the points dominate.
fn counted(points: &[Vec<f64>]) -> f64 {
    let d = points[0].len();
    let cells = 6_u32.pow(u32::try_from(d).unwrap());
    let dominated = |cell: &u32| {
        let low = |j: usize| f64::from(cell / 6_u32.pow(u32::try_from(j).unwrap()) % 6) / 6.0;
        points
            .iter()
            .any(|point| point.iter().enumerate().all(|(j, x)| *x <= low(j) + 1e-9))
    };
    (0..cells).filter(dominated).count() as f64 / f64::from(cells)
}

proptest! {
    #[test]
    fn a_rank_is_one_more_than_that_of_the_worst_point_that_dominates(points in any_points(5)) {
        let ranks = ranks(&points);
        for (k, point) in points.iter().enumerate() {
            let above = points.iter().zip(&ranks).filter(|(other, _)| dominates(other, point));
            let expected = above.map(|(_, rank)| rank + 1).max().unwrap_or(0);
            prop_assert_eq!(ranks[k], expected);
        }
    }

    #[test]
    fn a_volume_is_that_of_the_cells_that_are_dominated(points in any_points(5)) {
        let reference = vec![1.0; points[0].len()];
        let volume = hypervolume(&points, &reference);
        prop_assert!(close(volume, counted(&points)), "{volume} {}", counted(&points));
    }

    #[test]
    fn a_volume_does_not_depend_on_the_order_of_points_nor_objectives(points in any_points(6), turn in 0_usize..6) {
        let reference = vec![1.0; points[0].len()];
        let mut other = points.clone();
        other.reverse();
        for point in &mut other {
            let turn = turn % point.len();
            point.rotate_left(turn);
        }
        prop_assert!(close(hypervolume(&points, &reference), hypervolume(&other, &reference)));
    }

    /// Every cell of the grid is in one box if no point dominates it, and in none otherwise.
    #[test]
    fn boxes_are_what_no_point_dominates_each_part_once(points in any_points(4)) {
        let d = points[0].len();
        let reference = vec![1.0; d];
        let front: Vec<&Vec<f64>> = ranks(&points).into_iter().zip(&points).filter(|(rank, _)| *rank == 0).map(|(_, point)| point).collect();
        let Boxes { coordinates, boxes } = Boxes::new(&front, &reference);
        // One layer of cells below the grid, too: boxes have no lower end there.
        let cells = 7_u32.pow(u32::try_from(d).unwrap());
        for cell in 0..cells {
            let middle = |j: usize| (f64::from(cell / 7_u32.pow(u32::try_from(j).unwrap()) % 7) - 0.5) / 6.0;
            let inside = boxes.iter().filter(|(low, high)| {
                (0..d).all(|j| {
                    let end = |corner: u16| coordinates[j][usize::from(corner)];
                    end(low[j]) < middle(j) && middle(j) < end(high[j])
                })
            });
            let dominated = front.iter().any(|point| (0..d).all(|j| point[j] < middle(j)));
            prop_assert_eq!(inside.count(), usize::from(!dominated));
        }
        if d == 3 {
            prop_assert!(boxes.len() <= 2 * front.len() + 1, "{} boxes for {}", boxes.len(), front.len());
        }
    }
}
