//! The choice that `auto` makes.

use std::num::NonZeroU32;

use super::spec::{Acquisition, StrategyName, StudySpec};
use crate::space::Dimension;

/// Combinations up to which a space without a budget of trials is searched completely.
const SMALL_GRID: u128 = 1_000;
/// Parameters, and trials, up to which the Gaussian process is worth its time.
const MOST_DIMENSIONS: usize = 200;
const MOST_TRIALS: u64 = 10_000;
/// Objectives up to which it is.
const MOST_OBJECTIVES: usize = 4;

impl StudySpec {
    /// The strategy that proposes, `auto` replaced by its choice, and what the study's owner should know about it: which one `auto` chose and why.
    /// The note is empty if nothing was left to choose.
    #[must_use]
    pub fn chosen_strategy(&self) -> (StrategyName, String) {
        match self.strategy.name {
            StrategyName::Auto => choose(self),
            name => (name, String::new()),
        }
    }
}

/// A shuffled grid where every combination can be tried, else the Gaussian process, or where that would be too slow TPE for one objective and
/// NSGA-II for several.
fn choose(spec: &StudySpec) -> (StrategyName, String) {
    let objectives = spec.objectives().count();
    let combinations = match combinations(spec) {
        Ok((grid, why)) => return (grid, format!("auto chose grid in random order: {why}")),
        Err(why) => why,
    };
    let (cheap, cheap_name) = if objectives > 1 {
        (StrategyName::Nsga2, "nsga2")
    } else {
        (StrategyName::Tpe, "tpe")
    };
    let dimensions = spec.space.dimensions().len();
    if objectives > MOST_OBJECTIVES {
        let why = format!(
            "with {objectives} objectives it keeps more of them apart than gp, which is for up to {MOST_OBJECTIVES}"
        );
        return (
            cheap,
            format!("auto chose {cheap_name}: {combinations}, and {why}"),
        );
    }
    if dimensions > MOST_DIMENSIONS {
        let why = format!(
            "with {dimensions} parameters it is faster than gp, which is for up to {MOST_DIMENSIONS}"
        );
        return (
            cheap,
            format!("auto chose {cheap_name}: {combinations}, and {why}"),
        );
    }
    if let Some(trials) = spec.budget.trials
        && trials > MOST_TRIALS
    {
        let why = format!("with {trials} trials it is faster than gp, which is for up to {MOST_TRIALS}");
        return (
            cheap,
            format!("auto chose {cheap_name}: {combinations}, and {why}"),
        );
    }
    (
        StrategyName::Gp {
            acquisition: Acquisition::default(),
        },
        format!("auto chose gp: {combinations}, and it learns most from each trial"),
    )
}

/// A grid of all combinations, and why it will do; or why it will not.
fn combinations(spec: &StudySpec) -> Result<(StrategyName, String), String> {
    let mut levels = 1;
    for dimension in spec.space.dimensions() {
        match *dimension {
            Dimension::Continuous => return Err("the space has continuous parameters".to_owned()),
            Dimension::Levels(count) | Dimension::Categorical(count) => levels = count.max(levels),
        }
    }
    let Some(points) = u32::try_from(levels).ok().and_then(NonZeroU32::new) else {
        return Err("the space has too many combinations to try them all".to_owned());
    };
    let (limit, against) = match spec.budget.trials {
        Some(trials) => (u128::from(trials), format!("the budget of {trials} trials")),
        None => (
            SMALL_GRID,
            format!("the {SMALL_GRID} that are tried completely without a budget of trials"),
        ),
    };
    match spec.space.cells(points.get()) {
        Some(cells) if cells <= limit => {
            let grid = StrategyName::Grid {
                shuffle: true,
                points,
            };
            Ok((
                grid,
                format!("the space has {cells} combinations, within {against}"),
            ))
        }
        Some(cells) => Err(format!("the space has {cells} combinations, more than {against}")),
        None => Err(format!("the space has more combinations than {against}")),
    }
}
