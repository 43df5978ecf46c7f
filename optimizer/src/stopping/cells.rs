//! Which steps count as the same step when trials are compared.
//!
//! Steps below 512 each count by themselves. From there on each doubling is divided into 32 cells, and the steps of a cell, which
//! differ by at most 3 percent, count as one: so there are at most 1,024 cells for steps up to 33 million and 2,240 in all,
//! however irregularly trials report. The division does not depend on what was reported.

/// Number of a cell.
pub(super) type Cell = u16;

/// Steps up to here have a cell each. A power of two, at least [`PER_DOUBLING`].
const EXACT: u64 = 1 << EXACT_BITS;
const EXACT_BITS: u32 = 9;
/// Cells of each doubling beyond.
const PER_DOUBLING: u64 = 1 << PER_DOUBLING_BITS;
const PER_DOUBLING_BITS: u32 = 5;

/// The cell of a step; steps below 0 count as 0.
pub(super) fn cell(step: i64) -> Cell {
    let step = u64::try_from(step).unwrap_or(0);
    let number = if step < EXACT {
        step
    } else {
        let doubling = step.ilog2();
        let within = (step >> (doubling - PER_DOUBLING_BITS)) - PER_DOUBLING;
        EXACT + u64::from(doubling - EXACT_BITS) * PER_DOUBLING + within
    };
    Cell::try_from(number).unwrap_or(Cell::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_ascend_with_steps_and_are_as_few_as_promised() {
        assert_eq!(cell(-5), 0);
        assert_eq!(cell(511), 511);
        assert_eq!(cell(512), 512);
        assert_eq!(cell((1 << 25) - 1), 1_023);
        assert_eq!(cell(i64::MAX), 2_239);
        let mut last = 0;
        for step in 0..200_000 {
            let here = cell(step);
            assert!(here == last || here == last + 1, "step {step}");
            last = here;
        }
    }

    #[test]
    fn steps_of_one_cell_differ_by_at_most_three_percent() {
        for step in 512..100_000_i64 {
            let beyond = step + step * 32 / 1_000 + 1;
            assert_ne!(cell(step), cell(beyond), "{step} and {beyond}");
        }
    }
}
