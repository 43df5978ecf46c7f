//! Whether going on is worth it: `budget.no_improvement`.
//!
//! Patience is counted as results come in. What a model says is left to gain is computed elsewhere, as proposals are: a [`GainQuestion`] takes
//! everything that the answer depends on with it. It is asked for once for each look ([`tunesmith_optimizer::looks`]), which come ever more seldom.
//!
//! # Invariants
//!
//! * Both say the same of the same results in the same order, whether the study was kept in memory or loaded.
//! * The last [`LOOKS`] looks must agree; one whose model could not be fitted agrees with nothing.
//! * Nothing that runs is stopped: no new trial is made while it holds, and the study ends with the last one that runs if it holds then.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tunesmith_common::TrialNumber;
use tunesmith_common::study::{NoImprovement, StudySpec};
use tunesmith_optimizer::{FinishedTrial, Gain, LOOKS, gain_left, looks};

use super::best::{ParetoSet, value_that_ranks};
use super::outbox::Outbox;
use super::study::{Ctx, StudyCore};
use crate::store::StudyState;

/// What is known of how a study's results have become better.
#[derive(Debug, Default)]
pub(super) struct Improvement {
    /// The best value so far, the smaller the better, and whose it is. With several objectives how often the Pareto set has changed, below zero.
    best: Option<(f64, TrialNumber)>,
    set: ParetoSet,
    /// What was best after each result, infinite while nothing was.
    bests: Vec<f64>,
    /// Whose that was, and how much the study's strategy knew then.
    then: Vec<(TrialNumber, usize)>,
    /// What was found at the last looks that were taken, by the number of results, and with which confidence.
    found: BTreeMap<usize, Found>,
    confidence: f64,
    /// Whether a question is being answered.
    is_away: bool,
    /// With how many results no look was due that was not taken.
    quiet_at: Option<usize>,
    /// Whether it was recorded that the study would have ended.
    is_recorded: bool,
}

/// What a look has found: the gain that is left, or why nobody knows.
#[derive(Clone, Debug, PartialEq)]
enum Found {
    AtMost(f64),
    Nothing(String),
}

/// Why going on is not worth it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    /// No better for so many results.
    Idle {
        patience: u64,
        /// Best value as reported, and the one so many results ago. None with several objectives.
        values: Option<(f64, f64)>,
        min_delta: f64,
    },
    /// Not more than this is left to gain.
    Gained {
        gain: f64,
        limit: f64,
        confidence: f64,
        results: usize,
    },
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Idle {
                patience,
                values: None,
                ..
            } => write!(
                f,
                "no_improvement: the last {patience} results have not changed the Pareto set"
            ),
            Self::Idle {
                patience,
                values: Some((best, before)),
                min_delta,
            } => write!(
                f,
                "no_improvement: the best value is {best}, and was {before} before the last {patience} results, not better by more than \
                 {min_delta}"
            ),
            Self::Gained {
                gain,
                limit,
                confidence,
                results,
            } => write!(
                f,
                "no_improvement: at most {} is left to gain with {} % after {results} results, not more than {limit}",
                rounded(gain),
                percent(confidence)
            ),
        }
    }
}

/// What people see of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Improving {
    /// Results that are numbers.
    pub results: u64,
    /// How many of the last of them have not made the best better by more than `min_delta`, or changed the Pareto set.
    pub idle: u64,
    /// What is left to gain at most, in units of the objective.
    pub gain_left: Option<f64>,
    /// The probability that it is so.
    pub confidence: Option<f64>,
    /// What it says or waits for, in words. Empty if the study has no such rule.
    pub note: String,
}

/// A question of what is left to gain, to be answered where there is time for it.
#[derive(Debug)]
pub struct GainQuestion {
    spec: Arc<StudySpec>,
    finished: Vec<FinishedTrial>,
    best: TrialNumber,
    results: usize,
    confidence: f64,
}

/// The answer to it.
#[derive(Debug)]
pub struct GainAnswer {
    results: usize,
    found: Found,
    is_bug: bool,
}

impl GainQuestion {
    /// Computes the answer. May take seconds; needs nothing but itself.
    #[must_use]
    pub fn answer(self) -> GainAnswer {
        let space = &self.spec.space;
        let seed = self.spec.strategy.seed;
        let gain = AssertUnwindSafe(|| gain_left(space, seed, &self.finished, self.best, self.confidence));
        let gain = catch_unwind(gain);
        let is_bug = gain.is_err();
        let found = match gain {
            Ok(Ok(Gain::AtMost(gain))) => Found::AtMost(gain),
            Ok(Ok(Gain::TooFew(needed))) => Found::Nothing(format!("it needs {needed} results")),
            Ok(Ok(Gain::NoBest)) => {
                Found::Nothing("no result is a number that keeps the measured constraints".to_owned())
            }
            Ok(Err(error)) => Found::Nothing(error.to_string()),
            Err(_) => {
                Found::Nothing("the model panicked, which the coordinator's log tells more about".to_owned())
            }
        };
        GainAnswer {
            results: self.results,
            found,
            is_bug,
        }
    }
}

impl GainAnswer {
    /// Whether the model panicked.
    #[must_use]
    pub fn is_bug(&self) -> bool {
        self.is_bug
    }
}

impl Improvement {
    /// Takes note of a trial of the study that has ended, after all others that have, when the strategy knows so many results with it.
    pub(super) fn result(&mut self, spec: &StudySpec, trial: &FinishedTrial, known: usize) {
        if trial.value.is_none_or(f64::is_nan) {
            return;
        }
        self.consider(spec, trial);
        let (best, number) = self.best.unwrap_or((f64::INFINITY, TrialNumber(0)));
        self.bests.push(best);
        self.then.push((number, known));
    }

    /// Takes note of what a trial had come to when it was looked at, if that may stand for it. It is no result yet.
    pub(super) fn at_rung(&mut self, spec: &StudySpec, trial: &FinishedTrial) {
        self.consider(spec, trial);
    }

    fn consider(&mut self, spec: &StudySpec, trial: &FinishedTrial) {
        let Some(value) = value_that_ranks(spec, trial) else {
            return;
        };
        let before = self.best.map(|(best, _)| best);
        let better = if spec.more_objectives.is_empty() {
            let value = spec.objective.goal.to_minimize(value);
            Some(value).filter(|value| value.is_finite() && before.is_none_or(|before| *value < before))
        } else {
            let values = trial.value.into_iter().chain(trial.others.iter().copied());
            let changed = self.set.insert(trial.trial, values.collect());
            changed.then_some(before.unwrap_or(0.0) - 1.0)
        };
        self.best = better.map(|value| (value, trial.trial)).or(self.best);
    }

    /// The same of a study that was loaded: what holds was recorded when it came to hold.
    pub(super) fn loaded(mut self, spec: &StudySpec) -> Self {
        self.is_recorded = self.verdict(spec).is_some();
        self
    }

    /// How many of the last results have not made the best better by more than `min_delta`. None while there is no best.
    fn idle(&self, min_delta: f64) -> Option<u64> {
        let best = self.bests.last().copied().filter(|best| best.is_finite())?;
        // The bests only fall.
        let first = self.bests.partition_point(|before| before - best > min_delta);
        Some((self.bests.len() - 1 - first) as u64)
    }

    /// The largest gain of the last looks, and the results of the last one, if all of them found one.
    ///
    /// While another look is being taken, the ones before it count.
    fn gain(&self, rule: &NoImprovement) -> Option<(f64, usize)> {
        if self.found.len() < LOOKS || self.confidence.to_bits() != rule.confidence.to_bits() {
            return None;
        }
        let newest = *self.found.last_key_value()?.0;
        let largest = self
            .found
            .values()
            .try_fold(0.0_f64, |largest, found| match found {
                Found::AtMost(gain) => Some(largest.max(*gain)),
                Found::Nothing(_) => None,
            })?;
        Some((largest, newest))
    }

    /// Why going on is not worth it, if it is not.
    fn verdict(&self, spec: &StudySpec) -> Option<Verdict> {
        let rule = spec.budget.no_improvement.as_ref()?;
        if let Some(patience) = rule.patience
            && let Some(idle) = self.idle(rule.min_delta)
            && idle >= patience
        {
            let back = usize::try_from(patience).unwrap_or(usize::MAX);
            let before = self
                .bests
                .len()
                .checked_sub(1 + back)
                .and_then(|k| self.bests.get(k));
            let reported = |value: f64| spec.objective.goal.to_minimize(value); // turned a second time, it is as reported
            let values = before
                .zip(self.bests.last())
                .map(|(before, best)| (reported(*best), reported(*before)));
            return Some(Verdict::Idle {
                patience,
                values: values.filter(|_| spec.more_objectives.is_empty()),
                min_delta: rule.min_delta,
            });
        }
        let limit = rule.gain_below?;
        let (gain, results) = self.gain(rule).filter(|(gain, _)| *gain <= limit)?;
        Some(Verdict::Gained {
            gain,
            limit,
            confidence: rule.confidence,
            results,
        })
    }
}

impl StudyCore {
    /// Why no new trial is worth making, if none is.
    pub(super) fn not_worth_it(&self) -> Option<Verdict> {
        let rule = self.spec.budget.no_improvement.as_ref()?;
        self.improvement.verdict(&self.spec).filter(|_| !rule.shadow)
    }

    /// Records that the study would have ended, once each time it would, if its rule only records.
    pub(super) fn record_no_improvement(&mut self, out: &mut Outbox, ctx: &Ctx<'_>) {
        if !self.spec.budget.no_improvement.is_some_and(|rule| rule.shadow) {
            return;
        }
        let verdict = self.improvement.verdict(&self.spec);
        let is_new = verdict.is_some() && !self.improvement.is_recorded;
        self.improvement.is_recorded = verdict.is_some();
        if let Some(verdict) = verdict.filter(|_| is_new) {
            self.audit(
                out,
                ctx,
                "coordinator",
                "would_end_study",
                None,
                &verdict.to_string(),
            );
        }
    }

    /// A question of what is left to gain whose answer is needed, if there is one and none is away. It must be answered by
    /// [`Self::gain_answered`].
    pub fn gain_question(&mut self) -> Option<GainQuestion> {
        let rule = self.spec.budget.no_improvement?;
        if rule.gain_below.is_none() || self.row.state != StudyState::Active || self.improvement.is_away {
            return None;
        }
        let improvement = &mut self.improvement;
        if improvement.confidence.to_bits() != rule.confidence.to_bits() {
            improvement.confidence = rule.confidence;
            improvement.found.clear();
            improvement.quiet_at = None;
        }
        if improvement.quiet_at == Some(improvement.bests.len()) {
            return None;
        }
        let looks = looks(&self.spec.space, improvement.bests.len()).unwrap_or_default();
        let Some(results) = looks
            .into_iter()
            .find(|look| !improvement.found.contains_key(look))
        else {
            improvement.quiet_at = Some(improvement.bests.len());
            return None;
        };
        let (best, known) = *improvement.then.get(results.checked_sub(1)?)?;
        let finished = self.adviser.first_results(known)?;
        improvement.is_away = true;
        Some(GainQuestion {
            spec: Arc::clone(&self.spec),
            finished,
            best,
            results,
            confidence: rule.confidence,
        })
    }

    /// Takes in an answer. If the rule has another confidence by now, the next question forgets it.
    pub fn gain_answered(&mut self, answer: GainAnswer) {
        let improvement = &mut self.improvement;
        improvement.is_away = false;
        improvement.found.insert(answer.results, answer.found);
        while improvement.found.len() > LOOKS {
            improvement.found.pop_first();
        }
    }

    /// What people see of it.
    pub(super) fn improving(&self) -> Improving {
        let Some(rule) = &self.spec.budget.no_improvement else {
            return Improving::default();
        };
        let improvement = &self.improvement;
        let idle = improvement.idle(rule.min_delta);
        let gain = rule.gain_below.and_then(|_| improvement.gain(rule));
        let note = match improvement.verdict(&self.spec) {
            Some(verdict) if rule.shadow => {
                format!("{verdict}; it would end the study now, and only records it")
            }
            Some(verdict) => verdict.to_string(),
            None => {
                let patience = rule.patience.map(|patience| match idle {
                    Some(idle) => format!("{idle} of {patience} results without improvement"),
                    None => "waits for a first result that counts".to_owned(),
                });
                let gain = rule.gain_below.map(|limit| self.gain_note(rule, limit, gain));
                let notes: Vec<String> = patience.into_iter().chain(gain).collect();
                format!("no_improvement: {}", notes.join("; "))
            }
        };
        Improving {
            results: improvement.bests.len() as u64,
            idle: idle.unwrap_or(0),
            gain_left: gain.map(|(gain, _)| gain),
            confidence: rule.gain_below.map(|_| rule.confidence),
            note,
        }
    }

    fn gain_note(&self, rule: &NoImprovement, limit: f64, gain: Option<(f64, usize)>) -> String {
        let improvement = &self.improvement;
        if let Some((gain, results)) = gain {
            return format!(
                "at most {} left to gain with {} % after {results} results, ends at {limit}",
                rounded(gain),
                percent(rule.confidence)
            );
        }
        let results = improvement.bests.len();
        match looks(&self.spec.space, results) {
            Err(needed) => {
                format!("what is left to gain is looked at from {needed} results on, there are {results}")
            }
            Ok(_) => match improvement.found.values().next_back() {
                Some(Found::Nothing(why)) => format!("what is left to gain is not known: {why}"),
                _ => format!(
                    "what is left to gain is known once {LOOKS} looks were taken, {} of them were",
                    improvement.found.len()
                ),
            },
        }
    }
}

/// To three digits, for people.
fn rounded(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let digits = 2.0 - value.abs().log10().floor();
    let unit = 10_f64.powf(-digits);
    let places = (0..300).take_while(|place| f64::from(*place) < digits).count();
    format!("{:.places$}", (value / unit).round() * unit)
}

fn percent(share: f64) -> f64 {
    (share * 1e4).round() / 100.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tunesmith_common::study::StudyFile;

    use super::*;

    fn spec(more: &str) -> StudySpec {
        let text =
            format!("objective: {{metric: acc, goal: maximize}}\nspace: {{x: {{type: bool}}}}\n{more}");
        StudyFile::parse(&text, "s.yaml").unwrap().1
    }

    fn finished(number: u64, value: Option<f64>) -> FinishedTrial {
        FinishedTrial {
            trial: TrialNumber(number),
            encoded: Box::default(),
            value,
            failed: value.is_none(),
            partial: number.is_multiple_of(3),
            last_step: None,
            others: Box::default(),
            violations: Box::default(),
        }
    }

    fn any_value() -> impl Strategy<Value = Option<f64>> {
        prop_oneof![
            8 => (-8..8_i8).prop_map(|value| Some(f64::from(value) / 4.0)),
            1 => Just(None),
            1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY]).prop_map(Some),
        ]
    }

    proptest! {
        /// By definition: the best of all is not better by more than `min_delta` than the best of all but the last `patience`.
        #[test]
        fn patience_compares_the_best_with_the_best_of_so_many_results_before(
            values in prop::collection::vec(any_value(), 0..40), patience in 1..8_u64, min_delta in 0..4_u8,
        ) {
            let min_delta = f64::from(min_delta) / 4.0;
            let spec = spec(&format!("budget: {{no_improvement: {{patience: {patience}, min_delta: {min_delta}}}}}"));
            let mut improvement = Improvement::default();
            for (number, value) in (1..).zip(&values) {
                let known = usize::try_from(number).unwrap();
                improvement.result(&spec, &finished(number, *value), known);
            }
            let numbers: Vec<f64> = values.iter().flatten().copied().filter(|value| !value.is_nan()).collect();
            let best = |values: &[f64]| {
                values.iter().copied().filter(|value| value.is_finite()).reduce(f64::min)
            };
            let before = numbers.len().checked_sub(usize::try_from(patience).unwrap()).and_then(|k| best(&numbers[..k]));
            let expected = before.zip(best(&numbers)).is_some_and(|(before, best)| before - best <= min_delta);
            let verdict = improvement.verdict(&spec);
            prop_assert_eq!(verdict.is_some(), expected, "{:?}", verdict);
            if let Some(Verdict::Idle { values: Some((best, before)), .. }) = verdict {
                // As reported: larger is better.
                prop_assert!(best - before <= min_delta);
            }
        }
    }

    #[test]
    fn numbers_for_people_have_three_digits() {
        let shown = [0.0, 0.001_234_5, 0.95, 12_345.0, 1.0, 1e-9].map(rounded);
        assert_eq!(shown, ["0", "0.00123", "0.950", "12300", "1.00", "0.00000000100"]);
        assert_eq!(percent(0.95).to_string(), "95");
        assert_eq!(percent(0.975).to_string(), "97.5");
    }
}
