//! Leaves out the points that other studies have tried from which this one learns, for strategies that do not look at results.

use super::SearchStrategy;
use super::memory::Memory;
use super::tried::Tried;
use super::view::{Proposal, StrategyError, StudyView, Suggestion, one_by_one};
use crate::rng::{Purpose, purpose_rng, uniform};

/// Draws for a point that was not tried.
const TRIES: usize = 256;

/// A strategy whose point is replaced by a random one where another study has tried it. Where all draws were tried too, the point is tried again.
///
/// The strategy itself must keep nothing in its memory.
#[derive(Debug)]
pub(super) struct Untried {
    pub(super) then: Box<dyn SearchStrategy>,
}

impl SearchStrategy for Untried {
    fn name(&self) -> &'static str {
        self.then.name()
    }

    fn propose(
        &self,
        view: &StudyView<'_>,
        count: usize,
        memory: &mut Memory,
    ) -> Result<Proposal, StrategyError> {
        let elsewhere: &mut Tried = memory.of();
        elsewhere.read(view.of_others());
        one_by_one(view, count, |view| {
            let mut proposal = self.then.propose(view, 1, &mut Memory::default())?;
            let own = proposal.points.pop().ok_or(StrategyError::Exhausted)?;
            if !elsewhere.has(&own.encoded, &[]) {
                return Ok(own);
            }
            Ok(replacement(view, elsewhere).unwrap_or(own))
        })
    }
}

/// A random point that satisfies the constraints and was not tried.
fn replacement(view: &StudyView<'_>, elsewhere: &Tried) -> Option<Suggestion> {
    let space = view.space;
    let mut rng = purpose_rng(view.seed, view.next, Purpose::Replacement);
    let mut draws = (0..TRIES).map(|_| {
        let point: Vec<f64> = space.dimensions().iter().map(|_| uniform(&mut rng)).collect();
        let params = space.decode(&point);
        let satisfies = space.satisfies(&params);
        (Suggestion::new(space, params, point), satisfies)
    });
    let (mut suggestion, _) =
        draws.find(|(suggestion, satisfies)| *satisfies && !elsewhere.has(&suggestion.encoded, &[]))?;
    "drawn at random, since another study has tried the trial's own point".clone_into(&mut suggestion.note);
    Some(suggestion)
}
