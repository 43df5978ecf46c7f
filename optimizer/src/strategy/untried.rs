//! Leaves out points that were tried: those of other studies from which this one learns, for strategies that do not look at results; and those of any trial
//! where a strategy that learns has nothing to go by yet.

use super::SearchStrategy;
use super::memory::Memory;
use super::sobol::Sobol;
use super::tried::Tried;
use super::view::{Proposal, RunningTrial, StrategyError, StudyView, Suggestion, one_by_one};
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
            Ok(replacement(view, elsewhere, &[], "another study").unwrap_or(own))
        })
    }
}

/// The trial's point of a sequence that is spread over the space; where a trial has it already, a random one in its place. Where all draws were tried
/// too, the point is tried again.
///
/// # Errors
/// [`StrategyError::NoFeasiblePoint`] if the constraints refuse all draws.
pub(super) fn spread(sobol: &Sobol, view: &StudyView<'_>) -> Result<Suggestion, StrategyError> {
    let own = sobol.suggest(view)?;
    let mut tried = Tried::default();
    tried.read(view.finished);
    if !tried.has(&own.encoded, view.running) {
        return Ok(own);
    }
    Ok(replacement(view, &tried, view.running, "another trial").unwrap_or(own))
}

/// A random point that satisfies the constraints and was not tried, nor is that of one of those `running`. Its note tells who has tried the trial's own one.
fn replacement(
    view: &StudyView<'_>,
    tried: &Tried,
    running: &[RunningTrial<'_>],
    by: &str,
) -> Option<Suggestion> {
    let space = view.space;
    let mut rng = purpose_rng(view.seed, view.next, Purpose::Replacement);
    let mut draws = (0..TRIES).map(|_| {
        let point: Vec<f64> = space.dimensions().iter().map(|_| uniform(&mut rng)).collect();
        let params = space.decode(&point);
        let satisfies = space.satisfies(&params);
        (Suggestion::new(space, params, point), satisfies)
    });
    let (mut suggestion, _) =
        draws.find(|(suggestion, satisfies)| *satisfies && !tried.has(&suggestion.encoded, running))?;
    suggestion.note = format!("drawn at random, since {by} has tried the trial's own point");
    Some(suggestion)
}
