//! What a class of studies may ask for.
//!
//! A policy holds when a study is created and when its budget is edited, never in between: a study that runs is not changed by a configuration that
//! was. What the study leaves open gets the policy's limit, as if its owner had written it; what it asks beyond that is refused.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::time::Duration;

use tunesmith_common::study::{FieldError, MAX_RUNTIME, RawStudy, SpecErrors, StudySpec};
use tunesmith_common::units::HumanDuration;

use super::terms::Terms;
use crate::store::{ByPolicy, StudyRow};

const COST: &str = "budget.cost";
const WALL_TIME: &str = "budget.wall_time";

/// What studies of a class may ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// Name, unique among policies.
    pub name: String,
    /// Which studies it is for.
    pub matches: Match,
    /// What they may ask for at most.
    pub caps: Caps,
}

/// Which studies a policy is for: those of which all of this is true.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Match {
    /// Labels of tokens that they are created with; empty is any.
    pub creators: Vec<String>,
    /// What their names begin with.
    pub name_prefix: String,
    /// Labels of workers that their trials ask for.
    pub labels: BTreeMap<String, String>,
}

/// The most that a study may ask for. `None` is without limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Caps {
    /// Of `budget.gpu_hours`.
    pub gpu_hours: Option<f64>,
    /// Of `budget.wall_time`.
    pub wall_time: Option<Duration>,
    /// Of `budget.cost`.
    pub cost: Option<f64>,
    /// Of `budget.trials`.
    pub trials: Option<u64>,
    /// Of `budget.parallel`.
    pub parallel: Option<u32>,
    /// Of `trial.max_runtime`.
    pub max_runtime: Option<Duration>,
}

impl Match {
    /// Whether it is for every study.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    fn fits(&self, creator: &str, spec: &StudySpec) -> bool {
        let asked = spec.trial.as_ref().map(|trial| &trial.resources.labels);
        let asks = |(key, value)| asked.is_some_and(|asked| asked.get(key) == Some(value));
        (self.creators.is_empty() || self.creators.iter().any(|name| name == creator))
            && spec.name.as_str().starts_with(&self.name_prefix)
            && self.labels.iter().all(asks)
    }
}

impl Terms {
    /// Holds a study that is about to be created to its policy. `spec` is `raw`, checked.
    ///
    /// # Errors
    /// If it asks for more than its policy allows, or for a limit of costs where nothing costs anything.
    pub fn govern(
        &self,
        raw: &mut RawStudy,
        spec: &StudySpec,
        creator: &str,
    ) -> Result<Option<ByPolicy>, SpecErrors> {
        self.hold(raw, spec, creator, Scope::Whole)
    }

    /// The same for a study whose budget is about to be edited, or `with_trial` the limits of its trials, too. What its policy had set and the edit does
    /// not touch counts as set by the policy still.
    ///
    /// # Errors
    /// As for [`Self::govern`], but for what cannot be edited.
    pub fn govern_edit(
        &self,
        raw: &mut RawStudy,
        spec: &StudySpec,
        stored: &StudyRow,
        with_trial: bool,
    ) -> Result<Option<ByPolicy>, SpecErrors> {
        let scope = if with_trial { Scope::Whole } else { Scope::Budget };
        let mut policy = self.hold(raw, spec, &stored.creator, scope)?;
        if let (Some(policy), Some(before)) = (&mut policy, &stored.policy) {
            let untouched = |path: &&String| shown(raw, path) == shown(&stored.spec, path);
            for path in before.sets.iter().filter(untouched) {
                if !policy.sets.contains(path) {
                    policy.sets.push(path.clone());
                }
            }
        }
        Ok(policy)
    }

    fn hold(
        &self,
        raw: &mut RawStudy,
        spec: &StudySpec,
        creator: &str,
        scope: Scope,
    ) -> Result<Option<ByPolicy>, SpecErrors> {
        let mut errors: Vec<FieldError> = self.check_budget(&raw.budget).err().into_iter().collect();
        let mut policies = self.policies.iter();
        let policy = policies.find(|policy| policy.matches.fits(creator, spec));
        let sets = policy.map(|policy| policy.hold(raw, spec, scope, &mut errors));
        if !errors.is_empty() {
            return Err(SpecErrors(errors));
        }
        Ok(policy.zip(sets).map(|(policy, sets)| ByPolicy {
            name: policy.name.clone(),
            sets: sets.into_iter().map(str::to_owned).collect(),
        }))
    }
}

/// What of a study is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Whole,
    Budget,
}

impl Policy {
    /// Sets what `raw` leaves open, and returns the keys of that.
    fn hold(
        &self,
        raw: &mut RawStudy,
        spec: &StudySpec,
        scope: Scope,
        errors: &mut Vec<FieldError>,
    ) -> Vec<&'static str> {
        let caps = &self.caps;
        let has_gpus = spec
            .trial
            .as_ref()
            .is_some_and(|trial| trial.resources.gpus.count > 0);
        let (budget, trial) = (&mut raw.budget, &mut raw.trial);
        let mut holding = Holding {
            policy: &self.name,
            sets: Vec::new(),
            errors,
        };
        holding.cap("budget.trials", &mut budget.trials, "max_trials", caps.trials);
        holding.cap(
            "budget.parallel",
            &mut budget.parallel,
            "max_parallel",
            caps.parallel,
        );
        let wall_time = caps.wall_time.map(HumanDuration);
        holding.cap(WALL_TIME, &mut budget.wall_time, "max_wall_time", wall_time);
        // Where these could never be reached they would be no limits, and are refused as such.
        let gpu_hours = caps.gpu_hours.filter(|_| has_gpus);
        holding.cap(
            "budget.gpu_hours",
            &mut budget.gpu_hours,
            "max_gpu_hours",
            gpu_hours,
        );
        let cost = caps.cost.filter(|_| trial.is_some());
        holding.cap(COST, &mut budget.cost, "max_cost", cost);
        if let Some(trial) = trial {
            let written = trial.max_runtime;
            if scope == Scope::Whole {
                // No trial may be longer than the whole study.
                let cap = caps.max_runtime.map(HumanDuration);
                let cap = cap.map(|cap| match (written, budget.wall_time) {
                    (None, Some(wall_time)) => cap.min(wall_time),
                    _ => cap,
                });
                holding.cap(MAX_RUNTIME, &mut trial.max_runtime, "max_runtime", cap);
            }
            if let (Some(runtime), Some(wall_time)) = (written, wall_time)
                && runtime > wall_time
                && holding.sets.contains(&WALL_TIME)
            {
                holding.refuse(MAX_RUNTIME, runtime, "max_wall_time", wall_time);
            }
        }
        holding.sets
    }
}

/// A study being held to a policy.
struct Holding<'a> {
    policy: &'a str,
    sets: Vec<&'static str>,
    errors: &'a mut Vec<FieldError>,
}

impl Holding<'_> {
    /// `key` is the policy's own word for the limit.
    fn cap<T: Copy + PartialOrd + Display>(
        &mut self,
        path: &'static str,
        value: &mut Option<T>,
        key: &'static str,
        cap: Option<T>,
    ) {
        match (*value, cap) {
            (None, Some(cap)) => {
                *value = Some(cap);
                self.sets.push(path);
            }
            (Some(asked), Some(cap)) if asked > cap => self.refuse(path, asked, key, cap),
            (_, None) | (Some(_), Some(_)) => {}
        }
    }

    fn refuse(&mut self, path: &str, asked: impl Display, key: &str, cap: impl Display) {
        self.errors.push(FieldError {
            path: path.to_owned(),
            message: format!(
                "is {asked}, but the policy {:?} has {key} = {cap}; ask for no more, leave it out to get what the policy gives, or have \
                 whoever runs the coordinator change the policy",
                self.policy
            ),
        });
    }
}

/// The value of a key that a policy may set, to compare it with another.
fn shown(raw: &RawStudy, path: &str) -> Option<String> {
    fn text(value: Option<impl fmt::Display>) -> Option<String> {
        value.map(|value| value.to_string())
    }
    match path {
        "budget.trials" => text(raw.budget.trials),
        "budget.parallel" => text(raw.budget.parallel),
        WALL_TIME => text(raw.budget.wall_time),
        "budget.gpu_hours" => text(raw.budget.gpu_hours),
        COST => text(raw.budget.cost),
        MAX_RUNTIME => text(raw.trial.as_ref().and_then(|trial| trial.max_runtime)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
