//! Random search: independent draws, uniform in the encoded space.
//!
//! Trial k of a seeded study depends on the seed and k alone. Constraints are met by drawing again from the trial's stream.

use tunesmith_common::TrialNumber;
use tunesmith_common::params::Params;
use tunesmith_common::space::Space;

use super::SearchStrategy;
use super::memory::Memory;
use super::view::{Proposal, StrategyError, StudyView, Suggestion, one_by_one};
use crate::rng::{Purpose, purpose_rng, uniform};

/// Draws after which constraints count as impossible to satisfy.
///
/// Misses a feasible region of a thousandth of the space once in 20,000 times, and costs 10 ms or so.
pub const MAX_TRIES: u32 = 10_000;

/// Independent draws.
#[derive(Clone, Copy, Debug)]
pub(super) struct Random;

impl SearchStrategy for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn propose(&self, view: &StudyView<'_>, count: usize, _: &mut Memory) -> Result<Proposal, StrategyError> {
        one_by_one(view, count, |view| {
            draw(view.space, view.seed, view.next, Purpose::Point)
        })
    }
}

/// A proposal for a strategy whose model cannot be fitted: drawn at random, which its note says.
///
/// # Errors
/// [`StrategyError::NoFeasiblePoint`] if the constraints refuse all draws.
pub fn fallback(view: &StudyView<'_>, error: &StrategyError) -> Result<Proposal, StrategyError> {
    let mut suggestion = draw(view.space, view.seed, view.next, Purpose::Replacement)?;
    suggestion.note = format!("drawn at random: {error}");
    Ok(Proposal {
        points: vec![suggestion],
    })
}

/// The first point of a trial's stream that satisfies the constraints.
pub(super) fn draw(
    space: &Space,
    seed: u64,
    trial: TrialNumber,
    purpose: Purpose,
) -> Result<Suggestion, StrategyError> {
    let mut rng = purpose_rng(seed, trial, purpose);
    for _ in 0..MAX_TRIES {
        let point: Vec<f64> = space.dimensions().iter().map(|_| uniform(&mut rng)).collect();
        let params = space.decode(&point);
        if space.satisfies(&params) {
            return Ok(Suggestion::new(space, params, point));
        }
    }
    Err(StrategyError::no_feasible_draw())
}

/// A random point of the encoded space, shape `(d,)`, to complete values given by people for a trial.
pub(super) fn random_point(view: &StudyView<'_>, trial: TrialNumber) -> Vec<f64> {
    let mut rng = purpose_rng(view.seed, trial, Purpose::Completion);
    view.space
        .dimensions()
        .iter()
        .map(|_| uniform(&mut rng))
        .collect()
}

/// Values of all active parameters: those in `fixed` as given, the others drawn at random for `trial`, so that the constraints
/// are satisfied. `fixed` has passed [`Space::normalize_partial`].
///
/// # Errors
/// [`StrategyError::NoFeasiblePoint`] if no draw satisfies the constraints together with the given values.
pub fn complete(
    space: &Space,
    seed: u64,
    trial: TrialNumber,
    fixed: &Params,
) -> Result<Params, StrategyError> {
    let mut rng = purpose_rng(seed, trial, Purpose::Completion);
    for _ in 0..MAX_TRIES {
        let point: Vec<f64> = space.dimensions().iter().map(|_| uniform(&mut rng)).collect();
        let params = space.complete(fixed, &point);
        if space.satisfies(&params) {
            return Ok(params);
        }
    }
    Err(StrategyError::no_feasible_draw())
}
