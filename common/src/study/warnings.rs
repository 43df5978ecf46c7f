//! What is allowed in a study but probably not meant.

use super::spec::{Schedule, StopperRule, StrategyName, StudySpec};
use crate::space::Domain;

/// Dimensions up to which a grid is a reasonable plan.
const GRID_DIMENSIONS: usize = 4;

impl StudySpec {
    /// What its owner should know before it is started, one sentence each. Empty for most studies.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let (Some(parallel), Some(trials)) = (self.budget.parallel, self.budget.trials)
            && u64::from(parallel) > trials
        {
            warnings.push(format!(
                "budget.parallel is {parallel}, but there are only {trials} trials"
            ));
        }
        self.warn_of_grid(&mut warnings);
        self.warn_of_unregarded_constraints(&mut warnings);
        self.warn_of_stoppers(&mut warnings);
        if let Some(program) = self.trial.as_ref().and_then(|trial| trial.command.first())
            && program.contains(' ')
        {
            warnings.push(format!(
                "trial.command[0] is {program:?}, a program whose name contains a space: no shell splits it into arguments"
            ));
        }
        warnings
    }

    fn warn_of_grid(&self, warnings: &mut Vec<String>) {
        let StrategyName::Grid { points, .. } = self.strategy.name else {
            return;
        };
        let varied = self
            .space
            .parameters()
            .iter()
            .filter(|p| !matches!(p.domain, Domain::Constant(_)))
            .count();
        if varied > GRID_DIMENSIONS {
            warnings.push(format!(
                "a grid over {varied} parameters tries few values of each; sobol or random cover such a space better"
            ));
        }
        if let (Some(cells), Some(trials)) = (self.space.cells(points.get()), self.budget.trials)
            && cells > u128::from(trials)
        {
            warnings.push(format!(
                "the grid has {cells} points, of which budget.trials allows {trials}"
            ));
        }
    }

    /// Rungs and populations compare the objective alone.
    fn warn_of_unregarded_constraints(&self, warnings: &mut Vec<String>) {
        let which = match &self.strategy.schedule {
            Some(Schedule::Halving(_)) => "trials go on",
            Some(Schedule::Population(_)) => "trials are replaced",
            Some(Schedule::Replay(_)) | None => return,
        };
        let counts = match self.strategy.name {
            StrategyName::Gp { .. } | StrategyName::Tpe => "the best trial and what the sampler proposes",
            _ => "the best trial",
        };
        if !self.measured_constraints.is_empty() {
            warnings.push(format!(
                "the objective alone decides which {which}: a bound of a metric in constraints counts for {counts} only"
            ));
        }
    }

    fn warn_of_stoppers(&self, warnings: &mut Vec<String>) {
        let last_step = self.trial.as_ref().and_then(|trial| trial.steps.max);
        for (index, stopper) in self.early_stopping.iter().enumerate() {
            let warmup = match &stopper.rule {
                StopperRule::Percentile { warmup_steps, .. }
                | StopperRule::BelowBaseline { warmup_steps, .. }
                | StopperRule::Plateau { warmup_steps, .. }
                | StopperRule::Curve { warmup_steps, .. } => *warmup_steps,
                StopperRule::Diverging { .. } => 0,
                StopperRule::Threshold { after_step, .. } => *after_step,
                StopperRule::Asha { min_steps, .. } => *min_steps,
                StopperRule::Wilcoxon { min_steps, .. } => {
                    // Folds may be counted from 0.
                    if let Some(last_step) = last_step
                        && *min_steps > last_step.saturating_add(1)
                    {
                        warnings.push(format!(
                            "early_stopping[{index}] never judges: it waits for {min_steps} steps, and trial.steps.max is {last_step}"
                        ));
                    }
                    continue;
                }
            };
            if let Some(last_step) = last_step
                && warmup >= last_step
            {
                warnings.push(format!(
                    "early_stopping[{index}] never judges: it waits for step {warmup}, and trial.steps.max is {last_step}"
                ));
            }
        }
    }
}
