//! The strategy of studies whose trials are all added by people and programs.

use super::SearchStrategy;
use super::memory::Memory;
use super::view::{Proposal, StrategyError, StudyView};

/// Proposes nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manual;

impl SearchStrategy for Manual {
    fn name(&self) -> &'static str {
        "manual"
    }

    fn propose(&self, _: &StudyView<'_>, _: usize, _: &mut Memory) -> Result<Proposal, StrategyError> {
        Err(StrategyError::WaitsForPeople)
    }
}
