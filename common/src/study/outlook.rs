//! What a study comes to, told before it is started.

use super::spec::{StrategyName, StudySpec};

impl StudySpec {
    /// What the study comes to: a word for each thing and the thing, for people.
    #[must_use]
    pub fn outlook(&self) -> Vec<(&'static str, String)> {
        let mut facts = Vec::new();
        let (strategy, note) = self.chosen_strategy();
        if !note.is_empty() {
            facts.push(("Strategy", note));
        }
        let cells = match strategy {
            StrategyName::Grid { points, .. } => self.space.cells(points.get()),
            // `auto` has been replaced by its choice.
            StrategyName::Auto
            | StrategyName::Manual
            | StrategyName::Random
            | StrategyName::Sobol
            | StrategyName::Gp { .. }
            | StrategyName::Tpe
            | StrategyName::Cmaes
            | StrategyName::Evolution
            | StrategyName::Nsga2 => None,
        };
        if let Some(cells) = cells {
            facts.push(("Grid", format!("{cells} points")));
        }
        let trials = match (cells, self.budget.trials) {
            (Some(cells), Some(trials)) => Some(cells.min(u128::from(trials))),
            (Some(cells), None) => Some(cells),
            (None, Some(trials)) => Some(u128::from(trials)),
            (None, None) => None,
        };
        let number = match (trials, strategy) {
            (Some(trials), _) => trials.to_string(),
            (None, StrategyName::Manual) => "those that people add".to_owned(),
            (None, _) => {
                "without end, until something else of the budget is used up or somebody stops it".to_owned()
            }
        };
        facts.push(("Trials", number));
        let steps = self
            .trial
            .as_ref()
            .and_then(|trial| Some((trial.steps.max?, &trial.steps.name)));
        if let (Some((max, name)), Some(trials)) = (steps, trials) {
            let max = u128::try_from(max).unwrap_or(0);
            facts.push((
                "At most",
                format!("{} {name}s of training", trials.saturating_mul(max)),
            ));
        }
        facts
    }
}
