//! The hypervolume: how much of the objectives' space a set of points dominates, up to a reference point (Zitzler and Thiele 1998).

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

use super::sorting::dominates;

/// Volume of what the points dominate and is better than `reference`, which has as many objectives as they have. Points that are not better
/// than it in every objective add nothing.
///
/// Exact. O(n log n) for up to three objectives: for three, a sweep along the third one over the staircase of the first two (Fonseca,
/// Paquete and Lopez-Ibanez 2006). Else the algorithm of the Walking Fish Group (While, Bradstreet and Barone 2012), whose time grows
/// exponentially with the number of objectives.
#[must_use]
pub fn hypervolume<P: AsRef<[f64]>>(points: &[P], reference: &[f64]) -> f64 {
    let inside: Vec<Vec<f64>> = points
        .iter()
        .map(AsRef::as_ref)
        .filter(|point| point.len() == reference.len() && point.iter().zip(reference).all(|(x, r)| x < r))
        .map(<[f64]>::to_vec)
        .collect();
    volume(inside, reference)
}

/// Of points that are all better than the reference.
fn volume(points: Vec<Vec<f64>>, reference: &[f64]) -> f64 {
    match *reference {
        [] => 0.0,
        [end] => points.iter().map(|point| end - point[0]).fold(0.0, f64::max),
        [x, y] => area(points, x, y),
        [x, y, z] => sweep(points, [x, y, z]),
        _ => walking_fish(points, reference),
    }
}

fn area(mut points: Vec<Vec<f64>>, end: f64, top: f64) -> f64 {
    points.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let (mut area, mut height) = (0.0, top);
    for point in points {
        if point[1] < height {
            area += (end - point[0]) * (height - point[1]);
            height = point[1];
        }
    }
    area
}

/// A number as a key in the order of numbers.
fn key(x: f64) -> u64 {
    // -0 is 0.
    let bits = (x + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

fn sweep(mut points: Vec<Vec<f64>>, [end, top, far]: [f64; 3]) -> f64 {
    points.sort_by(|a, b| a[2].total_cmp(&b[2]));
    // The staircase of the points so far: by the first objective, which grows, the second, which shrinks.
    let mut stairs: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
    let (mut volume, mut area, mut depth) = (0.0, 0.0, 0.0);
    for point in points {
        let (x, y, z) = (point[0], point[1], point[2]);
        volume += area * (z - depth);
        depth = z;
        let before = stairs
            .range(..=key(x))
            .next_back()
            .map_or(top, |(_, step)| step.1);
        if before <= y {
            continue;
        }
        // From x on to the first step that is lower the staircase comes down to y.
        let (mut from, mut height) = (x, before);
        while let Some((&place, &(next, lower))) = stairs.range(key(x)..).next() {
            if lower < y {
                break;
            }
            area += (next - from) * (height - y);
            (from, height) = (next, lower);
            stairs.remove(&place);
        }
        let until = stairs
            .range((Excluded(key(x)), Unbounded))
            .next()
            .map_or(end, |(_, step)| step.0);
        area += (until - from) * (height - y);
        stairs.insert(key(x), (x, y));
    }
    volume + area * (far - depth)
}

/// The volume that each point adds to those after it: its own, less what of that they dominate.
fn walking_fish(mut points: Vec<Vec<f64>>, reference: &[f64]) -> f64 {
    // Worst in the last objective first: those after it, moved into its box, have that objective in common with it, and dominate
    // one another often.
    points.sort_by(|a, b| b[reference.len() - 1].total_cmp(&a[reference.len() - 1]));
    let mut sum = 0.0;
    for (k, point) in points.iter().enumerate() {
        let own: f64 = point.iter().zip(reference).map(|(x, r)| r - x).product();
        let mut limited: Vec<Vec<f64>> = Vec::with_capacity(points.len() - k - 1);
        for other in &points[k + 1..] {
            let moved: Vec<f64> = other.iter().zip(point).map(|(a, b)| a.max(*b)).collect();
            if limited
                .iter()
                .any(|known| dominates(known, &moved) || *known == moved)
            {
                continue;
            }
            limited.retain(|known| !dominates(&moved, known));
            limited.push(moved);
        }
        // All of them have the same last objective: one objective less to look at.
        let last = reference.len() - 1;
        let depth = reference[last] - point[last];
        for other in &mut limited {
            other.pop();
        }
        sum += own - depth * volume(limited, &reference[..last]);
    }
    sum
}
