//! A share of trials that are drawn at random whatever the strategy would propose: a baseline to compare it with, and protection against a
//! model that is wrong.

use super::SearchStrategy;
use super::memory::Memory;
use super::random::draw;
use super::view::{Expected, Proposal, StrategyError, StudyView, one_by_one};
use crate::rng::{Purpose, purpose_rng, uniform};

/// A strategy, some of whose trials are drawn at random.
///
/// Which ones depends on the seed and the trial's number alone. They use up nothing of an enumeration, and a study whose enumeration is at
/// its end has no more of them.
#[derive(Debug)]
pub(super) struct Baseline {
    /// Probability that a trial is drawn at random, from 0 to 1.
    pub(super) share: f64,
    pub(super) then: Box<dyn SearchStrategy>,
}

impl SearchStrategy for Baseline {
    fn name(&self) -> &'static str {
        self.then.name()
    }

    fn is_costly(&self) -> bool {
        self.then.is_costly()
    }

    fn propose(
        &self,
        view: &StudyView<'_>,
        count: usize,
        memory: &mut Memory,
    ) -> Result<Proposal, StrategyError> {
        one_by_one(view, count, |view| {
            if let Some(end) = self.then.at_end(view) {
                return Err(end);
            }
            if uniform(&mut purpose_rng(view.seed, view.next, Purpose::Lot)) < self.share {
                let mut suggestion = draw(view.space, view.seed, view.next, Purpose::Baseline)?;
                "drawn at random, as a baseline".clone_into(&mut suggestion.note);
                return Ok(suggestion);
            }
            let mut proposal = self.then.propose(view, 1, memory)?;
            proposal.points.pop().ok_or(StrategyError::Exhausted)
        })
    }

    fn expect(
        &self,
        view: &StudyView<'_>,
        points: &[Vec<f64>],
        memory: &mut Memory,
    ) -> Result<Expected, StrategyError> {
        self.then.expect(view, points, memory)
    }

    fn at_end(&self, view: &StudyView<'_>) -> Option<StrategyError> {
        self.then.at_end(view)
    }
}
