//! The part of the configuration that says on what terms studies use the machines. In the file alone: lists are no matter for flags.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::decide::{Price, Prices, Terms};

/// What amounts are counted in unless told otherwise.
const DEFAULT_CURRENCY: &str = "USD";
/// Longest name of a currency.
const MAX_CURRENCY: usize = 16;

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

/// Checks what is written of the terms.
pub(super) fn check(currency: Option<String>, prices: &[RawPrice]) -> Result<Terms, ConfigError> {
    let currency = currency.unwrap_or_else(|| DEFAULT_CURRENCY.to_owned());
    let short = (1..=MAX_CURRENCY).contains(&currency.chars().count());
    if !short || currency.chars().any(|c| c.is_control() || c.is_whitespace()) {
        let message =
            format!("must be 1 to {MAX_CURRENCY} characters without spaces, such as EUR, got {currency:?}");
        return Err(ConfigError::value("currency", message));
    }
    let list = (1..).zip(prices).map(|(place, raw)| price(place, raw));
    Ok(Terms {
        prices: Prices {
            currency,
            list: list.collect::<Result<_, _>>()?,
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
