//! The part of the configuration that says on what terms studies use the machines. In the file alone: lists are no matter for flags.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use tunesmith_common::units::HumanDuration;

use super::ConfigError;
use crate::decide::{Caps, Match, Policy, Price, Prices, Terms};

/// What amounts are counted in unless told otherwise.
const DEFAULT_CURRENCY: &str = "USD";
/// Longest name of a currency.
const MAX_CURRENCY: usize = 16;
/// Longest name of a policy.
const MAX_NAME: usize = 64;

/// What workers with these labels cost, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawPrice {
    /// Labels that a worker must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// An hour of one GPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_gpu_hour: Option<f64>,
    /// An hour of a trial, whatever GPUs it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_hour: Option<f64>,
}

impl From<&Price> for RawPrice {
    fn from(price: &Price) -> Self {
        let given = |amount: f64| (amount != 0.0).then_some(amount);
        Self {
            labels: price.labels.clone(),
            per_gpu_hour: given(price.per_gpu_hour),
            per_hour: given(price.per_hour),
        }
    }
}

/// What a class of studies may ask for, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawPolicy {
    /// Its name.
    pub name: String,
    /// The most GPU hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_gpu_hours: Option<f64>,
    /// The longest time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_wall_time: Option<HumanDuration>,
    /// The highest cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<f64>,
    /// The most trials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_trials: Option<u64>,
    /// The most trials at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<u32>,
    /// The longest time of one trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_runtime: Option<HumanDuration>,
    /// Which studies it is for.
    #[serde(default, rename = "match", skip_serializing_if = "RawMatch::is_all")]
    pub matches: RawMatch,
}

/// Which studies a policy is for, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawMatch {
    /// Labels of tokens that they are created with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub creators: Vec<String>,
    /// What their names begin with.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name_prefix: String,
    /// Labels of workers that their trials ask for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl RawMatch {
    fn is_all(&self) -> bool {
        *self == Self::default()
    }
}

impl From<&Policy> for RawPolicy {
    fn from(policy: &Policy) -> Self {
        let Policy { name, matches, caps } = policy;
        Self {
            name: name.clone(),
            max_gpu_hours: caps.gpu_hours,
            max_wall_time: caps.wall_time.map(HumanDuration),
            max_cost: caps.cost,
            max_trials: caps.trials,
            max_parallel: caps.parallel,
            max_runtime: caps.max_runtime.map(HumanDuration),
            matches: RawMatch {
                creators: matches.creators.clone(),
                name_prefix: matches.name_prefix.clone(),
                labels: matches.labels.clone(),
            },
        }
    }
}

/// Checks what is written of the terms.
pub(super) fn check(
    currency: Option<String>,
    prices: &[RawPrice],
    policies: &[RawPolicy],
) -> Result<Terms, ConfigError> {
    let currency = currency.unwrap_or_else(|| DEFAULT_CURRENCY.to_owned());
    let short = (1..=MAX_CURRENCY).contains(&currency.chars().count());
    if !short || currency.chars().any(|c| c.is_control() || c.is_whitespace()) {
        let message =
            format!("must be 1 to {MAX_CURRENCY} characters without spaces, such as EUR, got {currency:?}");
        return Err(ConfigError::value("currency", message));
    }
    let list = (1..).zip(prices).map(|(place, raw)| price(place, raw));
    let prices = Prices {
        currency,
        list: list.collect::<Result<_, _>>()?,
    };
    if let Some((place, _)) = hidden(&prices.list, |price| price.labels.is_empty()) {
        let message = format!(
            "entry {place} is never looked at, since one before it has no labels and fits every worker; put that one last"
        );
        return Err(ConfigError::value("price", message));
    }
    let policies: Vec<Policy> = policies
        .iter()
        .map(|raw| policy(raw, prices.is_empty()))
        .collect::<Result<_, _>>()?;
    let mut names = BTreeSet::new();
    if let Some(twice) = policies.iter().find(|policy| !names.insert(&policy.name)) {
        let message = format!("{:?} is there twice; names tell policies apart", twice.name);
        return Err(ConfigError::value("policy", message));
    }
    if let Some((_, policy)) = hidden(&policies, |policy| policy.matches.is_all()) {
        let message = format!(
            "{:?} is never looked at, since one before it has no match and fits every study; put that one last",
            policy.name
        );
        return Err(ConfigError::value("policy", message));
    }
    Ok(Terms { prices, policies })
}

/// The first entry behind one that fits everything, with its place, which counts from 1.
fn hidden<T>(list: &[T], fits_all: impl Fn(&T) -> bool) -> Option<(usize, &T)> {
    let catch_all = list.iter().position(fits_all)?;
    list.get(catch_all + 1).map(|entry| (catch_all + 2, entry))
}

/// `free` is whether nothing costs anything.
fn policy(raw: &RawPolicy, free: bool) -> Result<Policy, ConfigError> {
    let name = &raw.name;
    if !(1..=MAX_NAME).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        let message = format!("name must be 1 to {MAX_NAME} characters, got {name:?}");
        return Err(ConfigError::value("policy", message));
    }
    let refuse =
        |key: &str, what: String| Err(ConfigError::value("policy", format!("{key} of {name:?} {what}")));
    for (key, limit) in [("max_gpu_hours", raw.max_gpu_hours), ("max_cost", raw.max_cost)] {
        if let Some(limit) = limit.filter(|limit| !(limit.is_finite() && *limit > 0.0)) {
            return refuse(key, format!("must be above 0 and finite, got {limit}"));
        }
    }
    for (key, limit) in [
        ("max_trials", raw.max_trials),
        ("max_parallel", raw.max_parallel.map(u64::from)),
    ] {
        if limit == Some(0) {
            return refuse(key, "must be at least 1, got 0".to_owned());
        }
    }
    for (key, limit) in [
        ("max_wall_time", raw.max_wall_time),
        ("max_runtime", raw.max_runtime),
    ] {
        if limit.is_some_and(|limit| limit.0.is_zero()) {
            return refuse(key, "must be longer than 0s".to_owned());
        }
    }
    if let Some(cost) = raw.max_cost.filter(|_| free) {
        return refuse(
            "max_cost",
            format!("is {cost}, but nothing has a price; add [[price]], or remove this"),
        );
    }
    Ok(Policy {
        name: name.clone(),
        matches: Match {
            creators: raw.matches.creators.clone(),
            name_prefix: raw.matches.name_prefix.clone(),
            labels: raw.matches.labels.clone(),
        },
        caps: Caps {
            gpu_hours: raw.max_gpu_hours,
            wall_time: raw.max_wall_time.map(|time| time.0),
            cost: raw.max_cost,
            trials: raw.max_trials,
            parallel: raw.max_parallel,
            max_runtime: raw.max_runtime.map(|time| time.0),
        },
    })
}

/// `place` counts the entries from 1.
fn price(place: usize, raw: &RawPrice) -> Result<Price, ConfigError> {
    let amount = |key: &str, amount: Option<f64>| match amount {
        Some(amount) if !(amount.is_finite() && amount >= 0.0) => Err(ConfigError::value(
            "price",
            format!("{key} of entry {place} must be 0 or more and finite, got {amount}"),
        )),
        amount => Ok(amount.unwrap_or(0.0)),
    };
    if raw.per_gpu_hour.is_none() && raw.per_hour.is_none() {
        let message = format!(
            "entry {place} says nothing; give per_gpu_hour, per_hour or both (0 for workers that cost nothing)"
        );
        return Err(ConfigError::value("price", message));
    }
    Ok(Price {
        labels: raw.labels.clone(),
        per_gpu_hour: amount("per_gpu_hour", raw.per_gpu_hour)?,
        per_hour: amount("per_hour", raw.per_hour)?,
    })
}
