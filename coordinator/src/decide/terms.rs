//! On what terms studies use the machines: what an hour of them costs, and what studies may ask for.
//!
//! Comes from the coordinator's configuration and stays the same while the coordinator runs. What was spent under other terms stays what it was:
//! each attempt is stored with the price that it was handed out at.

use std::collections::BTreeMap;

use tunesmith_common::study::{FieldError, RawBudget};

use super::policy::Policy;

/// The terms. By default nothing costs anything, and studies may ask for everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms {
    /// What machines cost.
    pub prices: Prices,
    /// What studies may ask for; the first that fits a study counts.
    pub policies: Vec<Policy>,
}

/// What machines cost, by the labels of their workers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prices {
    /// What amounts are counted in, for people.
    pub currency: String,
    /// The first that fits a worker counts.
    pub list: Vec<Price>,
}

/// What workers with these labels cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Price {
    /// Labels that a worker must have, with these values; none fit every worker.
    pub labels: BTreeMap<String, String>,
    /// An hour of one GPU; finite and not negative.
    pub per_gpu_hour: f64,
    /// An hour of a trial, whatever GPUs it has; finite and not negative.
    pub per_hour: f64,
}

impl Prices {
    /// Whether nothing costs anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// What amounts are counted in; empty if there are none.
    #[must_use]
    pub fn shown_currency(&self) -> &str {
        if self.is_empty() { "" } else { &self.currency }
    }

    /// What an hour of a trial with so many GPUs costs on a worker with these labels; 0 if no price fits.
    #[must_use]
    pub fn per_hour(&self, labels: &BTreeMap<String, String>, gpus: usize) -> f64 {
        let fits = |price: &&Price| {
            let mut wanted = price.labels.iter();
            wanted.all(|(key, value)| labels.get(key) == Some(value))
        };
        let gpus = f64::from(u32::try_from(gpus).unwrap_or(u32::MAX));
        self.list
            .iter()
            .find(fits)
            .map_or(0.0, |price| price.per_hour + price.per_gpu_hour * gpus)
    }
}

impl Terms {
    /// Whether a budget means something here.
    ///
    /// # Errors
    /// If it is a limit of costs, and nothing costs anything.
    pub fn check_budget(&self, budget: &RawBudget) -> Result<(), FieldError> {
        match budget.cost {
            Some(cost) if self.prices.is_empty() => Err(FieldError {
                path: "budget.cost".to_owned(),
                message: format!(
                    "is {cost}, but this coordinator knows no prices, so that nothing would count towards it; add [[price]] to its \
                     configuration file, or remove this"
                ),
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        pairs.iter().map(owned).collect()
    }

    fn price(of: &[(&str, &str)], per_gpu_hour: f64, per_hour: f64) -> Price {
        Price {
            labels: labels(of),
            per_gpu_hour,
            per_hour,
        }
    }

    #[test]
    fn the_first_price_whose_labels_a_worker_has_counts() {
        let mut prices = Prices {
            currency: "EUR".to_owned(),
            list: vec![
                price(&[("gpu", "h100"), ("zone", "a")], 2.0, 0.25),
                price(&[("gpu", "h100")], 3.0, 0.0),
            ],
        };
        let costs = |labels_of: &[(&str, &str)], gpus: usize, expected: f64| {
            assert_eq!(Some(prices.per_hour(&labels(labels_of), gpus)), Some(expected));
        };
        costs(&[("gpu", "h100"), ("zone", "a"), ("rack", "7")], 4, 8.25);
        costs(&[("gpu", "h100"), ("zone", "b")], 4, 12.0);
        costs(&[("gpu", "h200")], 4, 0.0);
        costs(&[], 0, 0.0);
        prices.list.push(price(&[], 0.5, 0.125));
        let per_hour = |gpus| Some(prices.per_hour(&labels(&[("gpu", "h200")]), gpus));
        assert_eq!(per_hour(2), Some(1.125));
        assert_eq!(
            per_hour(0),
            Some(0.125),
            "without a GPU the hour of the trial is left"
        );
    }
}
