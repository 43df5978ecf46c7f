//! Grid search: every combination of values once.
//!
//! Cells are visited in the order in which the space numbers them, or in a seeded random order that is computed cell by cell. Cells
//! that violate the constraints are passed over, and so are those that another study has tried from which this one learns. How far the enumeration is travels with the trials, as their cursor: the number of
//! cells looked at so far. So nothing is stored here, a trial that is lost is run again with its cell by whoever lost it, and
//! trials that people add use up no cell.

use tunesmith_common::space::Grid as Cells;

use super::SearchStrategy;
use super::memory::Memory;
use super::permutation::Permutation;
use super::tried::Tried;
use super::view::{Proposal, StrategyError, StudyView, Suggestion, one_by_one};

/// Cells that one suggestion looks at before it gives up: a second or so.
const MAX_CELLS_PER_SUGGESTION: u64 = 200_000;

/// Every combination of values once.
#[derive(Debug)]
pub(super) struct Grid {
    shuffle: bool,
    points: u32,
}

impl Grid {
    /// `points` values per parameter that has no steps of its own.
    pub(super) fn new(shuffle: bool, points: u32) -> Self {
        Self { shuffle, points }
    }

    fn next_cell(
        &self,
        view: &StudyView<'_>,
        grid: &Cells<'_>,
        elsewhere: &Tried,
    ) -> Result<Suggestion, StrategyError> {
        let cells = grid.cells();
        let order = self.shuffle.then(|| Permutation::new(cells, view.seed));
        let mut cursor = view.cursor.unwrap_or(0);
        for _ in 0..MAX_CELLS_PER_SUGGESTION {
            let position = u128::from(cursor);
            if position >= cells {
                return Err(StrategyError::Exhausted);
            }
            cursor = cursor.checked_add(1).ok_or(StrategyError::Exhausted)?;
            let index = order.as_ref().map_or(position, |order| order.at(position));
            if let Some(params) = grid.cell(index)
                && view.space.satisfies(&params)
            {
                let mut suggestion = Suggestion::new(view.space, params, Vec::new());
                if elsewhere.has(&suggestion.encoded, &[]) {
                    continue;
                }
                suggestion.note = format!("cell {} of {cells}", index + 1);
                suggestion.cursor = Some(cursor);
                return Ok(suggestion);
            }
        }
        Err(StrategyError::NoFeasiblePoint {
            tries: MAX_CELLS_PER_SUGGESTION,
        })
    }
}

impl SearchStrategy for Grid {
    fn name(&self) -> &'static str {
        "grid"
    }

    fn propose(
        &self,
        view: &StudyView<'_>,
        count: usize,
        memory: &mut Memory,
    ) -> Result<Proposal, StrategyError> {
        // The check of a study refuses grids that cannot be counted.
        let grid = view.space.grid(self.points).ok_or(StrategyError::Exhausted)?;
        let elsewhere: &mut Tried = memory.of();
        elsewhere.read(view.of_others());
        one_by_one(view, count, |view| self.next_cell(view, &grid, elsewhere))
    }

    fn at_end(&self, view: &StudyView<'_>) -> Option<StrategyError> {
        self.propose(view, 1, &mut Memory::default()).err()
    }
}
