//! How far trainings went, as one more coordinate of the model.
//!
//! On the scale `ln(1 + steps) / ln(1 + most steps)`: the difference between 1 and 3 steps says as much as that between 9 and 27.

use std::borrow::Cow;

use super::super::view::FinishedTrial;

/// The scale. There is one only where some training was stopped early.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stage {
    /// Most steps of any training, at least 1.
    most: f64,
}

impl Stage {
    /// The scale of these results; none if all trainings went as far as they were to.
    pub(super) fn of(results: &[&FinishedTrial]) -> Option<Self> {
        let is_partial = |trial: &&FinishedTrial| trial.partial && trial.last_step.is_some();
        if !results.iter().any(is_partial) {
            return None;
        }
        let steps = results.iter().filter_map(|trial| trial.last_step);
        Some(Self {
            most: steps.max().unwrap_or(1).max(1) as f64,
        })
    }

    /// A number that tells scales apart.
    pub(super) fn fingerprint(self) -> u64 {
        self.most.to_bits()
    }

    /// Where a training lies: 1 if it went as far as it was to, whatever the number of its steps.
    fn place(self, trial: &FinishedTrial) -> f64 {
        match trial.last_step {
            Some(step) if trial.partial => (step.max(0) as f64).ln_1p() / self.most.ln_1p(),
            _ => 1.0,
        }
    }
}

/// A result with that coordinate behind those of its point, if there is a scale.
pub(super) fn placed<'a>(stage: Option<Stage>, trial: &'a FinishedTrial) -> Cow<'a, FinishedTrial> {
    let Some(stage) = stage else {
        return Cow::Borrowed(trial);
    };
    let mut trial = trial.clone();
    let place = stage.place(&trial);
    trial.encoded = trial.encoded.iter().copied().chain([place]).collect();
    Cow::Owned(trial)
}

#[cfg(test)]
mod tests {
    use tunesmith_common::TrialNumber;

    use super::*;

    fn trial(partial: bool, last_step: Option<i64>) -> FinishedTrial {
        FinishedTrial {
            trial: TrialNumber(1),
            encoded: [0.5].into(),
            value: Some(0.0),
            failed: false,
            partial,
            last_step,
            others: Box::default(),
            violations: Box::default(),
        }
    }

    #[test]
    fn a_training_lies_as_far_as_it_went_and_a_whole_one_at_the_end() {
        let (whole, short, odd) = (
            trial(false, Some(50)),
            trial(true, Some(6)),
            trial(false, Some(9)),
        );
        assert_eq!(Stage::of(&[&whole, &odd]), None);
        assert_eq!(placed(None, &whole).encoded.len(), 1);
        let stage = Stage::of(&[&whole, &short, &odd]);
        let place = |trial: &FinishedTrial| placed(stage, trial).encoded[1];
        assert!((place(&short) - 7_f64.ln() / 51_f64.ln()).abs() < 1e-12);
        for trial in [&whole, &odd, &trial(true, None)] {
            assert!((place(trial) - 1.0).abs() < 1e-12);
        }
    }
}
