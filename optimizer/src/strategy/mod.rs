//! Search strategies: functions from what is known of a study to the points to evaluate next.
//!
//! A strategy sees the encoded space (each parameter one dimension in [0, 1)) and minimisation only. Scales, rounding, conditions
//! and signs are the space's and the engine's business.
//!
//! # Invariants
//!
//! * The same view gives the same proposal, bit for bit, on every machine.
//! * A batch of n is the same as n proposals of one, the view being brought up to date in between: what was proposed runs.
//! * Every point proposed satisfies the space's constraints.

mod baseline;
mod cmaes;
mod evolution;
mod gp;
mod grid;
mod highest;
mod initial;
mod manual;
mod memory;
mod nsga2;
mod permutation;
mod random;
mod registry;
mod sobol;
mod standing;
mod tpe;
mod tried;
mod untried;
mod view;

pub use gp::{Gain, LOOKS, gain_left, looks};
pub use memory::Memory;
pub use random::{MAX_TRIES, complete, fallback};
pub use registry::build;
pub use view::{Expected, FinishedTrial, Proposal, RunningTrial, StrategyError, StudyView, Suggestion};

/// Proposes the points to evaluate next.
pub trait SearchStrategy: std::fmt::Debug + Send + Sync {
    /// Name for people and records, such as `sobol`.
    fn name(&self) -> &'static str;

    /// Whether a proposal may take long enough to keep others waiting: it is then computed elsewhere.
    fn is_costly(&self) -> bool {
        false
    }

    /// Proposes up to `count` points, in the order in which they should be tried: the first as trial `view.next`, the others as
    /// the trials that follow it. Fewer only if there are no more.
    ///
    /// The same view gives the same proposal, bit for bit, whatever is in `memory`. `view.running` holds the points being evaluated now, which a good
    /// strategy avoids proposing again.
    ///
    /// # Errors
    /// If there is not even one point: [`StrategyError::Exhausted`] ends the study; the others say what is needed.
    fn propose(
        &self,
        view: &StudyView<'_>,
        count: usize,
        memory: &mut Memory,
    ) -> Result<Proposal, StrategyError>;

    /// What the model with which [`Self::propose`] would choose the next point expects at each of `points`, which are points of the encoded space.
    ///
    /// # Errors
    /// [`StrategyError::NoModel`] if the strategy has none; [`StrategyError::Fit`] if it cannot be fitted to these results.
    fn expect(
        &self,
        _view: &StudyView<'_>,
        _points: &[Vec<f64>],
        _memory: &mut Memory,
    ) -> Result<Expected, StrategyError> {
        let strategy = self.name();
        Err(StrategyError::NoModel { strategy })
    }

    /// Why [`Self::propose`] has nothing for this view, as far as that is known without making a proposal. None is no promise, but that
    /// it is not [`StrategyError::Exhausted`]: a study ends with its last trial, whether or not anybody asks for another one.
    ///
    /// Depends on [`StudyView::proposed`], [`StudyView::cursor`] and the trials of other studies alone.
    fn at_end(&self, _view: &StudyView<'_>) -> Option<StrategyError> {
        None
    }
}
