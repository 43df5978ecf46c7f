//! How the parameters of a child differ from its parent's.

use rand_chacha::ChaCha8Rng;
use tunesmith_common::TrialNumber;
use tunesmith_common::params::Params;
use tunesmith_common::space::{Dimension, Space};
use tunesmith_common::study::{Explore, Population};

use super::model::{Interval, choose};
use crate::rng::{Purpose, below, purpose_rng, uniform};
use crate::strategy::StrategyError;

/// Tries for a child that satisfies the constraints and differs from its parent.
const TRIES: usize = 64;

/// A point for a trial that goes on from another one's training.
#[derive(Clone, Debug, PartialEq)]
pub struct Child {
    /// Values of its active parameters.
    pub params: Params,
    /// What people should know about how they were chosen. May be empty.
    pub note: String,
}

/// The parameters of the child numbered `child`, which goes on with the training of a trial that has those of `parent`.
///
/// `begun`: the step from which on it does, and what the parent had come to there.
///
/// `intervals`: what the trials of the population brought so far, of which only a model makes use. The same arguments give the same child.
///
/// # Errors
/// [`StrategyError::Fit`] if the parent is no point of the space.
pub fn breed(
    space: &Space,
    population: &Population,
    seed: u64,
    child: TrialNumber,
    parent: &Params,
    begun: (i64, f64),
    intervals: &[Interval],
) -> Result<Child, StrategyError> {
    let at = space.encode(parent).map_err(|error| StrategyError::Fit {
        reason: format!("the parent is no point of the space: {error}"),
    })?;
    let mut rng = purpose_rng(seed, child, Purpose::Change);
    let open: Vec<usize> = population
        .vary
        .iter()
        .filter_map(|name| space.index_of(name.as_str()))
        .filter(|index| !at[*index].is_nan())
        .collect();
    let child_at = |mut point: Vec<f64>, rng: &mut ChaCha8Rng| {
        // What a changed choice may make apply.
        for x in point.iter_mut().filter(|x| x.is_nan()) {
            *x = uniform(rng);
        }
        let params = inherited(space.decode(&point), parent, space, |index| {
            (point[index] - at[index]).abs() > 0.0
        });
        (space.satisfies(&params) && params != *parent).then_some(params)
    };
    let (resample, factors, note) = match &population.explore {
        Explore::Perturb { resample, factors } => (*resample, &factors[..], ""),
        Explore::Model => {
            let chosen = choose(
                space,
                (&at, &open),
                begun,
                population.interval,
                intervals,
                &mut rng,
            );
            let note = match chosen {
                None => "by chance, since there is too little to learn from",
                Some(points) => {
                    let child = points.into_iter().find_map(|point| child_at(point, &mut rng));
                    if let Some(params) = child {
                        let note = String::new();
                        return Ok(Child { params, note });
                    }
                    "by chance, since nothing that the model looked at satisfies the constraints and differs from its parent"
                }
            };
            (0.25, &[0.8, 1.2][..], note)
        }
    };
    for _ in 0..TRIES {
        let point = perturbed(space, &at, &open, resample, factors, &mut rng);
        if let Some(params) = child_at(point, &mut rng) {
            let note = note.to_owned();
            return Ok(Child { params, note });
        }
    }
    Ok(Child {
        params: parent.clone(),
        note: "the same as its parent, since the constraints refuse every change that was tried".to_owned(),
    })
}

/// Values of a child, those of its parent to the last digit where it was not changed.
fn inherited(
    mut child: Params,
    parent: &Params,
    space: &Space,
    is_changed: impl Fn(usize) -> bool,
) -> Params {
    for (name, value) in parent.iter() {
        let same = space
            .index_of(name.as_str())
            .is_some_and(|index| !is_changed(index));
        if same && child.value(name.as_str()).is_some() {
            child.insert(name.clone(), value.clone());
        }
    }
    child
}

/// A changed parent, shape `(d,)`; NaN where the parent has no value.
fn perturbed(
    space: &Space,
    parent: &[f64],
    open: &[usize],
    resample: f64,
    factors: &[f64],
    rng: &mut ChaCha8Rng,
) -> Vec<f64> {
    let mut point = parent.to_vec();
    for &index in open {
        let drawn = uniform(rng) < resample;
        let factor = factors.get(below(factors.len(), rng)).copied().unwrap_or(1.0);
        point[index] = if drawn {
            uniform(rng)
        } else if let Some(scaled) = space.scaled(index, point[index], factor) {
            scaled
        } else if let Dimension::Levels(count) = space.dimensions()[index] {
            // What has an order but is no number moves to a neighbour.
            (point[index] + (factor - 1.0).signum() / count as f64).clamp(0.0, 1.0 - f64::EPSILON)
        } else {
            point[index]
        };
    }
    if open
        .iter()
        .all(|index| (point[*index] - parent[*index]).abs() < f64::EPSILON)
        && let Some(&index) = open.get(below(open.len(), rng))
    {
        point[index] = uniform(rng);
    }
    point
}
