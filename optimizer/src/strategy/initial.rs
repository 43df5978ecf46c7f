//! Points that a study's owner wants to be tried first, before the strategy's own.

use tunesmith_common::params::Params;

use super::SearchStrategy;
use super::random::{complete, random_point};
use super::view::{Proposal, StrategyError, StudyView, Suggestion, one_by_one};

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
    fn point(&self, given: &Params, view: &StudyView<'_>) -> Result<Suggestion, StrategyError> {
        let space = view.space;
        let own = match self.then.propose(view, 1) {
            Ok(proposal) => proposal.points.into_iter().next().map(|point| point.encoded),
            Err(
                StrategyError::WaitsForPeople
                | StrategyError::Exhausted
                | StrategyError::NoFeasiblePoint { .. },
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

    fn propose(&self, view: &StudyView<'_>, count: usize) -> Result<Proposal, StrategyError> {
        let done = usize::try_from(view.proposed).unwrap_or(usize::MAX);
        let waiting = self.points.get(done..).unwrap_or_default();
        if waiting.is_empty() {
            return self.then.propose(view, count);
        }
        let now = waiting.len().min(count);
        let mut given = waiting.iter();
        let mut proposal = one_by_one(view, now, |view| match given.next() {
            Some(given) => self.point(given, view),
            None => Err(StrategyError::Exhausted),
        })?;
        let rest = count - now;
        if rest > 0 && proposal.points.len() == now {
            let view = proposal
                .points
                .iter()
                .fold(*view, |view, point| view.after(point));
            if let Ok(more) = self.then.propose(&view, rest) {
                proposal.points.extend(more.points);
            }
        }
        Ok(proposal)
    }

    fn at_end(&self, view: &StudyView<'_>) -> Option<StrategyError> {
        let done = usize::try_from(view.proposed).unwrap_or(usize::MAX);
        if done < self.points.len() {
            return None;
        }
        self.then.at_end(view)
    }
}
