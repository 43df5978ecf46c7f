//! The rules: from a trial's curve and what it is compared with to a verdict.

use tunesmith_common::TrialNumber;
use tunesmith_common::measurement::{Goal, MetricName};
use tunesmith_common::study::{Baseline, StopperRule};

use super::cells::cell;
use super::fold::State;
use super::outlook::{End, Outlook, knot};
use super::rungs::{Entered, Standing};
use super::signed_rank::p_value;
use super::text;
use super::track::{Compared, Place, Track};

/// What a rule says of one report.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// Go on.
    Continue,
    /// Nothing was judged: this is not one of the reports that the rule looks at.
    Skipped,
    /// Nothing could be judged yet.
    Idle(Idle),
    /// Stop.
    Stop(Stop),
}

/// Why a rule could not judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Idle {
    /// The trial is in its warm-up.
    WarmUp {
        /// The step reported.
        step: i64,
        /// The last step of the warm-up.
        until: i64,
    },
    /// Too few other trials have come this far.
    TooFewTrials {
        /// Others at the step.
        found: usize,
        /// Others needed.
        needed: u32,
        /// The step reported.
        step: i64,
    },
    /// Too few trials have been trained to the end.
    TooFewWhole {
        /// Those that have.
        found: usize,
        /// Those needed.
        needed: u32,
    },
    /// The trial has too few finite values.
    TooEarly {
        /// The step reported.
        step: i64,
    },
    /// The trial has not come as far as its first rung.
    BeforeRung {
        /// The step reported.
        step: i64,
        /// Step of the rung.
        rung: i64,
    },
    /// Too few trials are in the rung.
    TooFewInRung {
        /// Trials in it, this one included.
        found: usize,
        /// Trials needed.
        needed: u32,
        /// Step of the rung.
        rung: i64,
    },
    /// Too few steps have a value both here and in the best trial.
    TooFewCommon {
        /// Such steps.
        found: usize,
        /// Steps needed.
        needed: i64,
        /// The best trial.
        trial: TrialNumber,
    },
    /// Only NaN and infinities were reported.
    NoFiniteValue,
    /// No trial has ended with a value and a curve of the metric.
    NoBestTrial,
    /// The baseline's trial has no value yet at the step.
    NotReached {
        /// The baseline's trial.
        trial: TrialNumber,
        /// The step reported.
        step: i64,
    },
    /// The baseline begins later.
    BeforeBaseline {
        /// The step reported.
        step: i64,
    },
}

/// The numbers of a judgement that says stop, as reported.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stop {
    pub(super) value: f64,
    pub(super) reference: f64,
    pub(super) compared: usize,
    pub(super) text: String,
}

/// A report to be judged.
#[derive(Debug)]
pub(super) struct Case<'a> {
    pub(super) trial: TrialNumber,
    pub(super) metric: &'a MetricName,
    /// Which of the metric's values are better.
    pub(super) goal: Goal,
    pub(super) step: i64,
    pub(super) value: f64,
    pub(super) place: Place,
    pub(super) track: &'a Track,
    pub(super) compared: &'a Compared,
}

/// The curve that a trial is compared with.
#[derive(Debug)]
pub(super) enum Reference<'a> {
    /// No trial has ended that could be it.
    NoTrial,
    /// Of a trial; whether it has ended.
    Of(TrialNumber, &'a [(i64, f64)], bool),
}

impl Case<'_> {
    /// Judges by one rule; `index` is its place among those on the metric, `reference` finds the curve of a trial's baseline.
    pub(super) fn judge<'r>(
        &self,
        index: usize,
        rule: &StopperRule,
        reference: impl FnOnce(&Baseline) -> Reference<'r>,
    ) -> Verdict {
        match rule {
            StopperRule::Threshold {
                above,
                below,
                after_step,
                ..
            } => self.threshold(*above, *below, *after_step),
            StopperRule::Diverging { factor, patience, .. } => {
                if self.value.is_finite() {
                    return self.if_last(|| self.climbing(index, *factor, *patience));
                }
                Verdict::Stop(Stop {
                    value: self.value,
                    reference: self
                        .track
                        .now
                        .best
                        .map_or(f64::NAN, |best| self.goal.to_minimize(best)),
                    compared: 0,
                    text: text::not_finite(self.metric, self.value, self.step),
                })
            }
            StopperRule::Percentile {
                keep,
                warmup_steps,
                min_trials,
                interval,
                ..
            } => self.if_last(|| {
                if !self.is_due(*interval) {
                    return Verdict::Skipped;
                }
                self.after(*warmup_steps, || self.percentile(*keep, *min_trials))
            }),
            StopperRule::Plateau {
                patience,
                min_delta,
                warmup_steps,
                ..
            } => self.if_last(|| self.after(*warmup_steps, || self.plateau(index, *patience, *min_delta))),
            StopperRule::Curve {
                probability,
                warmup_steps,
                min_trials,
                ..
            } => self.if_last(|| {
                // Neighbouring steps tell the same.
                if self
                    .track
                    .before
                    .step
                    .is_some_and(|before| knot(before) == knot(self.step))
                {
                    return Verdict::Skipped;
                }
                self.after(*warmup_steps, || self.outlook(index, *probability, *min_trials))
            }),
            StopperRule::Wilcoxon { p, min_steps, .. } => match reference(&Baseline::Best) {
                Reference::Of(best, points, _) => self.pairwise((best, points), *p, *min_steps),
                Reference::NoTrial => Verdict::Idle(Idle::NoBestTrial),
            },
            StopperRule::Asha { reduction, .. } => self.if_last(|| self.halving(index, *reduction)),
            StopperRule::BelowBaseline {
                baseline,
                tolerance,
                warmup_steps,
                ..
            } => self.if_last(|| {
                self.after(*warmup_steps, || {
                    if !self.value.is_finite() {
                        return Verdict::Idle(Idle::NoFiniteValue);
                    }
                    match self.baseline(baseline, reference) {
                        Ok((value, name)) => self.against(value, &name, *tolerance),
                        Err(verdict) => verdict,
                    }
                })
            }),
        }
    }

    fn if_last(&self, judge: impl FnOnce() -> Verdict) -> Verdict {
        if self.place == Place::Last {
            judge()
        } else {
            Verdict::Skipped
        }
    }

    fn after(&self, warmup: i64, judge: impl FnOnce() -> Verdict) -> Verdict {
        if warmup > 0 && self.step <= warmup {
            return Verdict::Idle(Idle::WarmUp {
                step: self.step,
                until: warmup,
            });
        }
        judge()
    }

    /// Whether this is the trial's first report among the `interval` steps that it lies in, the first of which begin at step 0 and
    /// are not judged.
    fn is_due(&self, interval: i64) -> bool {
        let interval = interval.max(1);
        let previous = self.track.before.step.unwrap_or(0);
        interval == 1 || self.step.div_euclid(interval) > previous.div_euclid(interval)
    }

    fn percentile(&self, keep: f64, min_trials: u32) -> Verdict {
        let (Some(best), Some(cohort)) = (self.track.now.best, &self.compared.cohort) else {
            return Verdict::Idle(Idle::NoFiniteValue);
        };
        let (owner, average) = self.track.standing();
        let quantile = cohort.quantile(cell(self.step), owner, average, keep);
        if quantile.trials < min_trials.max(1) as usize {
            return Verdict::Idle(Idle::TooFewTrials {
                found: quantile.trials,
                needed: min_trials.max(1),
                step: self.step,
            });
        }
        if best <= quantile.value {
            return Verdict::Continue;
        }
        let goal = self.goal;
        let numbers = (goal.to_minimize(best), goal.to_minimize(quantile.value));
        Verdict::Stop(Stop {
            value: numbers.0,
            reference: numbers.1,
            compared: quantile.trials,
            text: text::percentile(self.metric, goal, keep, numbers, self.step, quantile.trials),
        })
    }

    fn outlook(&self, index: usize, probability: f64, min_trials: u32) -> Verdict {
        let mut pasts = self.compared.pasts.iter();
        let Some(past) = pasts.find(|past| past.place == index) else {
            return Verdict::Skipped;
        };
        let needed = min_trials.max(1);
        let end = match past.outlook(self.goal, self.track.points(), needed as usize) {
            Outlook::TooFew(found) => return Verdict::Idle(Idle::TooFewWhole { found, needed }),
            Outlook::Nothing => return Verdict::Idle(Idle::TooEarly { step: self.step }),
            Outlook::End(end) if end.probability >= probability => return Verdict::Continue,
            Outlook::End(end) => end,
        };
        let End {
            expected,
            best: (best, trial),
            probability,
            trials,
        } = end;
        let numbers = (self.goal.to_minimize(expected), self.goal.to_minimize(best));
        Verdict::Stop(Stop {
            value: numbers.0,
            reference: numbers.1,
            compared: trials,
            text: text::outlook(
                self.metric,
                self.goal,
                numbers,
                trial,
                probability,
                self.step,
                trials,
            ),
        })
    }

    fn halving(&self, index: usize, reduction: u32) -> Verdict {
        let rungs = self.compared.rungs.iter().enumerate();
        let found = rungs
            .filter(|(_, rungs)| rungs.place == index)
            .find_map(|(at, rungs)| {
                let entries = self.track.entries(at)?;
                Some(rungs.entered(entries, self.track.before.step))
            });
        let standing = match found {
            None | Some(Entered::Nothing) => return Verdict::Skipped,
            Some(Entered::NotYet(rung)) => {
                return Verdict::Idle(Idle::BeforeRung {
                    step: self.step,
                    rung,
                });
            }
            Some(Entered::Rung(standing)) => standing,
        };
        let Standing {
            step: rung,
            trials,
            kept,
            needed,
        } = standing;
        if kept == 0 {
            return Verdict::Idle(Idle::TooFewInRung {
                found: trials,
                needed: reduction,
                rung,
            });
        }
        let best = self.track.now.best;
        if best.is_some_and(|best| best <= needed) {
            return Verdict::Continue;
        }
        let turned = |value: f64| {
            if value.is_finite() {
                self.goal.to_minimize(value)
            } else {
                f64::NAN
            }
        };
        let numbers = (best.map_or(f64::NAN, turned), turned(needed));
        Verdict::Stop(Stop {
            value: numbers.0,
            reference: numbers.1,
            compared: trials - 1,
            text: text::halving(self.metric, numbers, self.step, kept, trials, rung),
        })
    }

    fn pairwise(&self, (best, points): (TrialNumber, &[(i64, f64)]), p: f64, min_steps: i64) -> Verdict {
        let mut others = points.iter().peekable();
        let (mut differences, mut own_sum, mut best_sum) = (Vec::new(), 0.0, 0.0);
        for (step, value) in self.track.points() {
            while others.next_if(|(other, _)| other < step).is_some() {}
            let Some((_, other)) = others.next_if(|(other, _)| other == step) else {
                continue;
            };
            if value.is_finite() && other.is_finite() {
                let (own, other) = (self.goal.to_minimize(*value), self.goal.to_minimize(*other));
                // Between values near the largest number: infinite, and no difference would be ranked.
                differences.push((own - other).clamp(-f64::MAX, f64::MAX));
                own_sum += own;
                best_sum += other;
            }
        }
        let count = differences.len();
        if i64::try_from(count).unwrap_or(i64::MAX) < min_steps.max(1) {
            return Verdict::Idle(Idle::TooFewCommon {
                found: count,
                needed: min_steps,
                trial: best,
            });
        }
        let is_worse = differences.iter().sum::<f64>() > 0.0;
        let found = p_value(&mut differences);
        if !is_worse || found >= p {
            return Verdict::Continue;
        }
        let mean = |sum: f64| self.goal.to_minimize(sum / count as f64);
        let numbers = (mean(own_sum), mean(best_sum));
        Verdict::Stop(Stop {
            value: numbers.0,
            reference: numbers.1,
            compared: 1,
            text: text::pairwise(self.metric, self.goal, numbers, best, count, (found, p)),
        })
    }

    fn threshold(&self, above: Option<f64>, below: Option<f64>, after_step: i64) -> Verdict {
        if self.step <= after_step {
            return Verdict::Idle(Idle::WarmUp {
                step: self.step,
                until: after_step,
            });
        }
        let (bound, side) = match (above, below) {
            (Some(above), _) if self.value > above => (above, "above"),
            (_, Some(below)) if self.value < below => (below, "below"),
            _ => return Verdict::Continue,
        };
        Verdict::Stop(Stop {
            value: self.value,
            reference: bound,
            compared: 0,
            text: text::threshold(self.metric, side, self.value, bound, self.step),
        })
    }

    fn plateau(&self, index: usize, patience: i64, min_delta: f64) -> Verdict {
        let Some(State::Plateau(Some((best, since)))) = self.track.now.states.get(index) else {
            return Verdict::Idle(Idle::NoFiniteValue);
        };
        if self.step.saturating_sub(*since) < patience {
            return Verdict::Continue;
        }
        let best = self.goal.to_minimize(*best);
        Verdict::Stop(Stop {
            value: self.value,
            reference: best,
            compared: 0,
            text: text::plateau(self.metric, best, min_delta, *since, self.step),
        })
    }

    fn climbing(&self, index: usize, factor: f64, patience: u32) -> Verdict {
        let Some(State::Climb(climb)) = self.track.now.states.get(index) else {
            return Verdict::Continue;
        };
        if climb.run < patience.max(1) {
            return Verdict::Continue;
        }
        let goal = self.goal;
        let numbers = (
            goal.to_minimize(climb.smoothed),
            goal.to_minimize(climb.limit(factor)),
        );
        let scale = (goal.to_minimize(climb.low), factor, climb.range());
        Verdict::Stop(Stop {
            value: numbers.0,
            reference: numbers.1,
            compared: 0,
            text: text::climbing(self.metric, goal, numbers, scale, self.step, climb.run),
        })
    }

    /// The baseline's value at the step, and what to call it.
    fn baseline<'r>(
        &self,
        baseline: &Baseline,
        reference: impl FnOnce(&Baseline) -> Reference<'r>,
    ) -> Result<(f64, String), Verdict> {
        let step = self.step;
        match baseline {
            Baseline::Constant(value) => Ok((*value, "the baseline".to_owned())),
            Baseline::Curve(points) => match interpolate(points, step) {
                Some(value) => Ok((value, "the baseline at that step".to_owned())),
                None => Err(Verdict::Idle(Idle::BeforeBaseline { step })),
            },
            Baseline::Trial(trial) if *trial == self.trial => Err(Verdict::Skipped),
            Baseline::Trial(_) | Baseline::Best => match reference(baseline) {
                Reference::NoTrial => Err(Verdict::Idle(Idle::NoBestTrial)),
                Reference::Of(trial, points, ended) => match last_value(points, step, ended) {
                    Some(value) if *baseline == Baseline::Best => Ok((
                        value,
                        format!("what the best trial so far, {trial}, had at that step"),
                    )),
                    Some(value) => Ok((value, format!("what trial {trial} had at that step"))),
                    None => Err(Verdict::Idle(Idle::NotReached { trial, step })),
                },
            },
        }
    }

    fn against(&self, reference: f64, name: &str, tolerance: f64) -> Verdict {
        let goal = self.goal;
        if goal.to_minimize(self.value) <= goal.to_minimize(reference) + tolerance {
            return Verdict::Continue;
        }
        let numbers = (self.value, reference);
        Verdict::Stop(Stop {
            value: self.value,
            reference,
            compared: usize::from(name != "the baseline" && name != "the baseline at that step"),
            text: text::baseline(self.metric, goal, numbers, name, tolerance, self.step),
        })
    }
}

/// A given curve at a step: straight lines between its points, its last value beyond them, none before them.
fn interpolate(points: &[(i64, f64)], step: i64) -> Option<f64> {
    let after = points.partition_point(|(known, _)| *known <= step);
    let &(start, low) = points.get(after.checked_sub(1)?)?;
    let Some(&(end, high)) = points.get(after) else {
        return Some(low);
    };
    let fraction = (step - start) as f64 / (end - start) as f64;
    Some(low * (1.0 - fraction) + high * fraction)
}

/// A trial's curve at a step: the last finite value at or before it; none if the trial goes on and has not reached it.
fn last_value(points: &[(i64, f64)], step: i64, ended: bool) -> Option<f64> {
    let reached = points.last().is_some_and(|(last, _)| *last >= step);
    if !ended && !reached {
        return None;
    }
    let after = points.partition_point(|(known, _)| *known <= step);
    points[..after]
        .iter()
        .rev()
        .map(|(_, value)| *value)
        .find(|value| value.is_finite())
}
