//! What a client was told: every call that was answered with OK, to be found again in the database whatever happened since.

use std::collections::BTreeMap;

use tunesmith_proto::v1;

/// Calls of clients that were acknowledged.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Trials that were handed out or added, by number: their request id and their parameters.
    pub trials: BTreeMap<u64, (String, Option<pbjson_types::Struct>)>,
    /// Trials that were told to have ended, with their value.
    pub told: BTreeMap<u64, f64>,
    /// Points that were reported, by trial: step and value, in order.
    pub points: BTreeMap<u64, Vec<(i64, f64)>>,
}

impl Ledger {
    /// A call made this trial.
    ///
    /// # Panics
    /// If another call made the same trial.
    pub fn made(&mut self, request_id: &str, trial: &v1::Trial) {
        let entry = (request_id.to_owned(), trial.parameters.clone());
        if let Some(before) = self.trials.insert(trial.number, entry) {
            assert_eq!(
                before.0, request_id,
                "trial {} was given to two calls",
                trial.number
            );
        }
    }

    /// Takes in the calls of another client of the same study.
    ///
    /// # Panics
    /// If both were given the same trial.
    pub fn join(&mut self, other: Self) {
        for (trial, entry) in other.trials {
            if let Some(before) = self.trials.insert(trial, entry.clone()) {
                assert_eq!(before.0, entry.0, "trial {trial} was given to two calls");
            }
        }
        self.told.extend(other.told);
        self.points.extend(other.points);
    }

    /// Checks that everything in it is there.
    ///
    /// # Panics
    /// If something is not.
    pub fn check(&self, trials: &[v1::Trial], points: &BTreeMap<u64, Vec<(i64, f64)>>) {
        let stored: BTreeMap<u64, &v1::Trial> = trials.iter().map(|trial| (trial.number, trial)).collect();
        for (number, (request, parameters)) in &self.trials {
            let trial = stored
                .get(number)
                .unwrap_or_else(|| panic!("trial {number} of call {request} is gone"));
            assert_eq!(
                &trial.parameters, parameters,
                "trial {number} has other parameters"
            );
        }
        for (number, value) in &self.told {
            let trial = stored
                .get(number)
                .unwrap_or_else(|| panic!("trial {number}, which was told, is gone"));
            assert_eq!(
                trial.state(),
                v1::TrialState::Completed,
                "trial {number}, which was told, is not complete"
            );
            assert_eq!(trial.value, Some(*value), "trial {number} has another value");
        }
        for (number, told) in &self.points {
            let found = points.get(number).map_or(&[][..], Vec::as_slice);
            let shared = &found[..found.len().min(told.len())];
            assert_eq!(
                shared,
                told.as_slice(),
                "points of trial {number} that were acknowledged"
            );
        }
    }
}
