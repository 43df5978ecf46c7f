//! From a study as written to a study that can be run: every rule that needs more than one value's type.
//!
//! All that is wrong is reported, not only the first: a study is corrected in one round.

mod limits;
mod lineage;
mod objectives;
pub(super) mod population;
mod space;
mod stopping;
mod strategy;
mod trial;

use std::fmt;
use std::num::NonZeroU32;

pub(in crate::study) use limits::CONFIDENCE;
pub(in crate::study) use stopping::{
    DIVERGING_PATIENCE, MIN_STEPS, MIN_TRIALS, MIN_WHOLE, P_VALUE, PLATEAU_PATIENCE, PROBABILITY, REDUCTION,
    common_steps, curve_warmup,
};
pub(in crate::study) use trial::{DEFAULT_GRACE, DEFAULT_STEP_NAME};

pub(in crate::study) use strategy::default_brackets;

use super::raw::{RawConstraint, RawStrategy, RawStrategyName, RawStudy};
use super::spec::{StrategyName, StrategySpec, StudySpec};
use crate::id::{ProjectName, StudyName};

/// Bytes of a study's message.
const MAX_MESSAGE: usize = 64 << 10;
/// Largest priority.
const MAX_PRIORITY: u32 = 1000;
/// Parameters, which are compared with each other by name.
const MAX_PARAMETERS: usize = 1_000;
/// Constraints, each of which is tried on every draw.
const MAX_CONSTRAINTS: usize = 100;
/// Early-stopping rules, each of which is asked at every report.
const MAX_STOPPERS: usize = 100;
/// Points to try first.
const MAX_INITIAL: usize = 10_000;

/// One thing that is wrong with a study.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Where, such as `space.lr.low` or `trial.command[2]`.
    pub path: String,
    /// What, with the value and the remedy.
    pub message: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// All that is wrong with a study; not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecErrors(pub Vec<FieldError>);

impl fmt::Display for SpecErrors {
    /// One problem per line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SpecErrors {}

/// Collects what is wrong.
#[derive(Debug, Default)]
struct Problems(Vec<FieldError>);

impl Problems {
    fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError {
            path: path.into(),
            message: message.into(),
        });
    }

    /// The value, or a note of the problem.
    fn take<T, E: fmt::Display>(&mut self, path: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.add(path, error.to_string())).ok()
    }

    /// Notes a float that is not finite.
    fn finite(&mut self, path: &str, value: Option<f64>) {
        if let Some(value) = value.filter(|value| !value.is_finite()) {
            self.add(path, format!("must be finite, got {value}"));
        }
    }

    /// Notes a number below the least that makes sense.
    fn at_least<T: PartialOrd + fmt::Display>(&mut self, path: &str, value: Option<T>, least: T) {
        if let Some(value) = value.filter(|value| *value < least) {
            self.add(path, format!("must be at least {least}, got {value}"));
        }
    }
}

impl StudySpec {
    /// Checks a study. `drawn_seed` becomes its seed if it gives none.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn from_raw(raw: RawStudy, drawn_seed: u64) -> Result<Self, SpecErrors> {
        let mut problems = Problems::default();
        let measured = |constraint: &&RawConstraint| matches!(constraint, RawConstraint::Measured(_));
        let bounds = raw.constraints.iter().filter(measured).count();
        for (path, count, limit) in [
            (
                "objective",
                raw.objective.iter().count(),
                objectives::MAX_OBJECTIVES,
            ),
            ("space", raw.space.len(), MAX_PARAMETERS),
            ("constraints", raw.constraints.len(), MAX_CONSTRAINTS),
            ("early_stopping", raw.early_stopping.len(), MAX_STOPPERS),
            ("strategy.initial", raw.strategy.initial.len(), MAX_INITIAL),
            ("strategy.segments", raw.strategy.segments.len(), MAX_INITIAL),
            ("strategy.vary", raw.strategy.vary.len(), MAX_INITIAL),
            ("strategy.factors", raw.strategy.factors.len(), MAX_INITIAL),
            (
                "strategy.history",
                raw.strategy.history.len(),
                lineage::MAX_HISTORY,
            ),
        ] {
            if count > limit {
                problems.add(path, format!("has {count} entries, at most {limit} are allowed"));
            }
        }
        if bounds > objectives::MAX_MEASURED {
            problems.add(
                "constraints",
                format!(
                    "has {bounds} bounds of metrics, at most {} are allowed",
                    objectives::MAX_MEASURED
                ),
            );
        }
        if !problems.0.is_empty() {
            // The rest would take long, or drown this in a flood.
            return Err(SpecErrors(problems.0));
        }
        let name = match &raw.name {
            Some(name) => problems.take("name", name.parse::<StudyName>()),
            None => {
                problems.add("name", "is missing; give the study one, such as digits-1");
                None
            }
        };
        let message = raw.message.unwrap_or_default();
        if message.len() > MAX_MESSAGE {
            problems.add(
                "message",
                format!("has {} bytes, at most {MAX_MESSAGE} are kept", message.len()),
            );
        }
        let parent = lineage::parent(raw.parent.as_deref(), &mut problems);
        let project = raw.project.as_deref();
        let project = project.and_then(|name| problems.take("project", name.parse::<ProjectName>()));
        let history = lineage::history(&raw.strategy.history, name.as_ref(), &mut problems);
        let objectives = objectives::objectives(&raw.objective, &mut problems);
        let measured_constraints = objectives::measured(&raw.constraints, &mut problems);
        let seed = raw.strategy.seed.unwrap_or(drawn_seed);
        let space = space::check(&raw.space, &raw.constraints, seed, &mut problems);
        let initial = space::initial(space.as_ref(), &raw.strategy.initial, &mut problems);
        let last_step = raw.trial.as_ref().and_then(|trial| trial.steps.max);
        let strategy_name = strategy::proposer(&raw.strategy, &mut problems);
        let schedule = strategy::schedule(
            &raw.strategy,
            &raw.objective,
            space.as_ref(),
            last_step,
            &mut problems,
        );
        let random_share = random_share(&raw.strategy, &mut problems);
        if let (Some(space), StrategyName::Grid { points, .. }) = (&space, strategy_name)
            && space.cells(points.get()).is_none()
        {
            let message = format!(
                "the grid has more than {} points; give steps, fewer points, or use random",
                u128::MAX
            );
            problems.add("strategy", message);
        }
        let rules = raw.early_stopping.iter().enumerate();
        let early_stopping: Vec<_> = rules
            .filter_map(|(index, rule)| {
                let path = format!("early_stopping[{index}]");
                stopping::check(rule, &raw.objective, last_step, &path, &mut problems)
            })
            .collect();
        stopping::refuse_two_goals(&raw.early_stopping, &raw.objective, &mut problems);
        let priority = priority(raw.priority, &mut problems);
        if let (Some(trial), None, None) = (&raw.trial, last_step, &schedule) {
            trial::refuse_until(trial, &raw.space, &mut problems);
        }
        let trial = raw
            .trial
            .map(|trial| trial::check(trial, &raw.space, &mut problems));
        let budget = limits::budget(&raw.budget, raw.objective.more.is_empty(), &mut problems);
        limits::check(&budget, trial.as_ref(), &mut problems);

        match (name, objectives, space) {
            (Some(name), Some((objective, more_objectives)), Some(space)) if problems.0.is_empty() => {
                Ok(Self {
                    name,
                    message,
                    parent,
                    project,
                    objective,
                    more_objectives,
                    measured_constraints,
                    space,
                    strategy: StrategySpec {
                        name: strategy_name,
                        schedule,
                        seed,
                        initial,
                        history,
                        random_share,
                    },
                    early_stopping,
                    budget,
                    priority,
                    trial,
                })
            }
            _ => Err(SpecErrors(problems.0)),
        }
    }
}

impl TryFrom<RawStudy> for StudySpec {
    type Error = SpecErrors;

    /// Checks a study that has its seed already, such as one that was stored.
    fn try_from(raw: RawStudy) -> Result<Self, SpecErrors> {
        let Some(seed) = raw.strategy.seed else {
            let message = "is missing".to_owned();
            return Err(SpecErrors(vec![FieldError {
                path: "strategy.seed".to_owned(),
                message,
            }]));
        };
        Self::from_raw(raw, seed)
    }
}

fn random_share(raw: &RawStrategy, problems: &mut Problems) -> f64 {
    let share = raw.random_share.unwrap_or(0.0);
    if !(0.0..=1.0).contains(&share) {
        problems.add(
            "strategy.random_share",
            format!("must be from 0 to 1, got {share}; 0.1 draws one trial in ten at random"),
        );
    } else if share > 0.0 && raw.name == RawStrategyName::Manual {
        let message = "a manual study has no trials of its own to draw at random; remove it, or choose another strategy";
        problems.add("strategy.random_share", message);
    }
    share
}

fn priority(raw: Option<u32>, problems: &mut Problems) -> NonZeroU32 {
    match raw.map(|priority| (priority, NonZeroU32::new(priority))) {
        None => NonZeroU32::MIN,
        Some((_, Some(priority))) if priority.get() <= MAX_PRIORITY => priority,
        Some((priority, _)) => {
            problems.add(
                "priority",
                format!("must be between 1 and {MAX_PRIORITY}, got {priority}"),
            );
            NonZeroU32::MIN
        }
    }
}
