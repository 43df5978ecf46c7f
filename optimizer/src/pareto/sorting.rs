//! Non-dominated sorting and crowding distances (Deb, Pratap, Agarwal and Meyarivan 2002, "A fast and elitist multiobjective genetic
//! algorithm: NSGA-II").

use std::cmp::Ordering;

/// Whether `a` is as good as `b` in each objective, and better in one.
#[must_use]
pub fn dominates(a: &[f64], b: &[f64]) -> bool {
    let mut better = false;
    for (a, b) in a.iter().zip(b) {
        // Not `a > b`: a NaN is as good as nothing.
        if !matches!(a.partial_cmp(b), Some(Ordering::Less | Ordering::Equal)) {
            return false;
        }
        better |= a < b;
    }
    better
}

/// For each point the number of its front: 0 if no other one dominates it, else 1 more than the highest of those that do.
///
/// O(n log n) for one and two objectives. Else each point is compared with those of the fronts before its own that come before it in the
/// order of the first objective (Zhang, Tian, Cheng and Jin 2015, "An efficient approach to nondominated sorting for evolutionary multiobjective
/// optimization"): O(n^2) at worst, and much less where there are many fronts.
#[must_use]
pub fn ranks<P: AsRef<[f64]>>(points: &[P]) -> Vec<usize> {
    let points: Vec<&[f64]> = points.iter().map(AsRef::as_ref).collect();
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|&a, &b| lexicographic(points[a], points[b]).then(a.cmp(&b)));
    // What dominates a point comes before it, and what is the same beside it.
    let is_plain = points
        .iter()
        .all(|point| point.len() <= 2 && point.iter().all(|x| !x.is_nan()));
    let mut ranks = vec![0; points.len()];
    // With two objectives the last one of a front has its least second one: it alone tells whether the front dominates a point.
    let mut fronts: Vec<Vec<usize>> = Vec::new();
    for (place, &k) in order.iter().enumerate() {
        let before = place.checked_sub(1).map(|place| order[place]);
        if let Some(same) = before.filter(|&before| lexicographic(points[before], points[k]).is_eq()) {
            ranks[k] = ranks[same];
            continue;
        }
        // A front that does not dominate a point is dominated by none of those before it that do not: the fronts can be searched by halves.
        let in_front = |front: &Vec<usize>| {
            let newest_first = front.iter().rev().take(if is_plain { 1 } else { usize::MAX });
            newest_first
                .copied()
                .any(|other| dominates(points[other], points[k]))
        };
        let rank = fronts.partition_point(in_front);
        if rank == fronts.len() {
            fronts.push(Vec::new());
        }
        fronts[rank].push(k);
        ranks[k] = rank;
    }
    ranks
}

fn lexicographic(a: &[f64], b: &[f64]) -> Ordering {
    let mut both = a.iter().zip(b);
    // 0 and -0 are the same.
    let order = both.find_map(|(a, b)| match a.partial_cmp(b) {
        Some(Ordering::Equal) => None,
        Some(order) => Some(order),
        None => Some(a.total_cmp(b)).filter(|order| order.is_ne()),
    });
    order.unwrap_or(Ordering::Equal)
}

/// How lonely each of the points of one front is: for each objective the distance between its two neighbours as a share of the front's
/// range, and the sum of these. Infinite for those that are the least or the largest in one objective. Where several are, it is the first
/// of the least and the last of the largest.
#[must_use]
pub fn crowding<P: AsRef<[f64]>>(front: &[P]) -> Vec<f64> {
    let front: Vec<&[f64]> = front.iter().map(AsRef::as_ref).collect();
    let mut distances = vec![0.0; front.len()];
    let objectives = front.first().map_or(0, |point| point.len());
    let mut order: Vec<usize> = (0..front.len()).collect();
    let along = |j: usize| front.iter().map(move |point| point[j]).collect::<Vec<f64>>();
    for values in (0..objectives).map(along) {
        order.sort_by(|&a, &b| values[a].total_cmp(&values[b]).then(a.cmp(&b)));
        let (Some(&least), Some(&most)) = (order.first(), order.last()) else {
            break;
        };
        distances[least] = f64::INFINITY;
        distances[most] = f64::INFINITY;
        let range = values[most] - values[least];
        if !(range > 0.0 && range.is_finite()) {
            continue;
        }
        for three in order.windows(3) {
            distances[three[1]] += (values[three[2]] - values[three[0]]) / range;
        }
    }
    distances
}
