//! Points that a study's owner wants to be tried first, before the strategy's own.

use tunesmith_common::params::Params;

use super::SearchStrategy;
use super::memory::Memory;
use super::random::{complete, random_point};
use super::view::{Expected, Proposal, StrategyError, StudyView, Suggestion, one_by_one};

/// A strategy that begins with given points.
///
/// The k-th trial that it proposes is the k-th initial point; parameters left open are those of the strategy's own point for that
/// trial. Where that point and the given values do not satisfy the constraints together, or the strategy has no point (a manual
/// one never has), they are drawn at random. Initial points use up nothing of an enumeration.
#[derive(Debug)]
pub(super) struct Initial {
    pub(super) points: Vec<Params>,
    pub(super) then: Box<dyn SearchStrategy>,
}

impl Initial {
    fn point(
        &self,
        given: &Params,
        view: &StudyView<'_>,
        memory: &mut Memory,
    ) -> Result<Suggestion, StrategyError> {
        let space = view.space;
        let own = match self.then.propose(view, 1, memory) {
            Ok(proposal) => proposal.points.into_iter().next().map(|point| point.encoded),
            Err(
                StrategyError::WaitsForPeople
                | StrategyError::Exhausted
                | StrategyError::NoFeasiblePoint { .. }
                | StrategyError::NoModel { .. }
                | StrategyError::Fit { .. },
            ) => None,
        };
        // Parameters that are inactive in the strategy's point may be active together with the given values.
        let filled = own.map(|point| {
            let drawn = random_point(view, view.next);
            point
                .into_iter()
                .zip(drawn)
                .map(|(own, drawn)| if own.is_nan() { drawn } else { own })
                .collect::<Vec<f64>>()
        });
        let completed = filled
            .map(|point| space.complete(given, &point))
            .filter(|params| space.satisfies(params));
        let params = match completed {
            Some(params) => params,
            None => complete(space, view.seed, view.next, given)?,
        };
        let mut suggestion = Suggestion::new(space, params, Vec::new());
        suggestion.note = format!("initial point {}", view.proposed + 1);
        Ok(suggestion)
    }
}

impl SearchStrategy for Initial {
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
            let done = usize::try_from(view.proposed).unwrap_or(usize::MAX);
            match self.points.get(done) {
                Some(given) => self.point(given, view, memory),
                None => {
                    let mut proposal = self.then.propose(view, 1, memory)?;
                    proposal.points.pop().ok_or(StrategyError::Exhausted)
                }
            }
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
        let done = usize::try_from(view.proposed).unwrap_or(usize::MAX);
        if done < self.points.len() {
            return None;
        }
        self.then.at_end(view)
    }
}
