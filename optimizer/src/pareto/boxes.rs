//! What no point of a front dominates, cut into boxes that do not overlap.
//!
//! A sweep along the last objective: between two of the points' coordinates the section does not change, and is what the points so far
//! leave open in one objective less. A box of the section lasts as long as it stays the same; so there are 2 n + 1 boxes at most for three
//! objectives, as in Yang, Emmerich, Deutz and Back 2019, "Efficient computation of expected hypervolume improvement using box
//! decomposition algorithms".

use std::collections::BTreeMap;

/// Objectives at most.
pub(crate) const MOST: usize = 4;

/// A corner of a box: for each objective the place of its coordinate in [`Boxes::coordinates`]; 0 beyond the last objective.
pub(crate) type Corner = [u16; MOST];

/// Disjoint boxes.
#[derive(Clone, Debug)]
pub(crate) struct Boxes {
    /// For each objective: minus infinity, then the coordinates of the front, ascending, then that of the reference.
    pub(crate) coordinates: Vec<Vec<f64>>,
    /// Lower and upper corner of each box.
    pub(crate) boxes: Vec<(Corner, Corner)>,
}

impl Boxes {
    /// What no point of `front` dominates and is better than `reference`, which has from one to [`MOST`] objectives. Points that are not better
    /// than the reference in each objective count for nothing.
    pub(crate) fn new<P: AsRef<[f64]>>(front: &[P], reference: &[f64]) -> Self {
        let front: Vec<&[f64]> = front
            .iter()
            .map(AsRef::as_ref)
            .filter(|point| point.iter().zip(reference).all(|(x, r)| x < r))
            .collect();
        let mut coordinates = Vec::with_capacity(reference.len());
        for (j, end) in reference.iter().enumerate() {
            let mut places: Vec<f64> = front.iter().map(|point| point[j]).collect();
            places.sort_by(f64::total_cmp);
            places.dedup_by(|a, b| *a <= *b);
            let mut all = vec![f64::NEG_INFINITY];
            all.extend(places);
            all.push(*end);
            coordinates.push(all);
        }
        let place = |j: usize, x: f64| {
            let places: &Vec<f64> = &coordinates[j];
            u16::try_from(places.partition_point(|other| *other < x)).unwrap_or(u16::MAX)
        };
        let mut ends = [0; MOST];
        for (j, end) in reference.iter().enumerate() {
            ends[j] = place(j, *end);
        }
        let points: Vec<Corner> = front
            .iter()
            .map(|point| {
                let mut corner = [0; MOST];
                for (j, x) in point.iter().enumerate() {
                    corner[j] = place(j, *x);
                }
                corner
            })
            .collect();
        let boxes = open(points, &ends, reference.len());
        Self { coordinates, boxes }
    }
}

/// What the points leave open in the first `objectives` objectives.
fn open(mut points: Vec<Corner>, ends: &Corner, objectives: usize) -> Vec<(Corner, Corner)> {
    let Some(last) = objectives.checked_sub(1) else {
        return Vec::new();
    };
    points.sort_unstable_by_key(|point| point[last]);
    if last == 0 {
        let mut high = [0; MOST];
        high[0] = points.first().map_or(ends[0], |point| point[0]);
        return vec![([0; MOST], high)];
    }
    let mut closed = Vec::new();
    // Boxes of the section, each with where it begins.
    let mut section: BTreeMap<(Corner, Corner), u16> = open(Vec::new(), ends, last)
        .into_iter()
        .map(|known| (known, 0))
        .collect();
    let mut close = |(mut low, mut high): (Corner, Corner), from: u16, to: u16| {
        if from < to {
            (low[last], high[last]) = (from, to);
            closed.push((low, high));
        }
    };
    let mut before: Vec<Corner> = Vec::new();
    for level in points.chunk_by(|a, b| a[last] == b[last]) {
        let to = level[0][last];
        for point in level {
            let covers = |a: &Corner, b: &Corner| a[..last].iter().zip(b).all(|(a, b)| a <= b);
            if !before.iter().any(|other| covers(other, point)) {
                before.retain(|other| !covers(point, other));
                before.push(*point);
            }
        }
        let next: BTreeMap<(Corner, Corner), u16> = open(before.clone(), ends, last)
            .into_iter()
            .map(|known| (known, section.remove(&known).unwrap_or(to)))
            .collect();
        for (known, from) in std::mem::replace(&mut section, next) {
            close(known, from, to);
        }
    }
    for (known, from) in section {
        close(known, from, ends[last]);
    }
    closed
}
