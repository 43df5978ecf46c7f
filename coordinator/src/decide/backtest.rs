//! Tries early-stopping rules on what a study's trials have reported: what they would have stopped, and what that would have cost.
//!
//! Pure: it neither reads nor changes a study. Points and ends come to the rules in the order in which they came to the study.
//!
//! A trial that is stopped reports nothing more, and ends at once with the value that it has then. Trials that would have been started in its place
//! are not made up.

mod again;

use std::sync::Arc;
use std::time::Duration;

use tunesmith_common::checkpoint::Stages;
use tunesmith_common::measurement::MetricName;
use tunesmith_common::study::StudySpec;
use tunesmith_common::trial::TrialState;
use tunesmith_common::{Attempt, Timestamp, TrialNumber};
use tunesmith_optimizer::Stoppers;

pub use again::Judged;

use super::best::value_that_ranks;
use super::curve::Curve;
use super::values::{Past, Readings, Values};
use crate::store::{AttemptRow, DecisionRow, End, PointChunk, TrialRow};

/// A study whose rules are to be tried, with what its trials have reported.
#[derive(Debug)]
pub struct Backtest {
    spec: StudySpec,
    readings: Readings,
    /// Those that values are taken from, then others that rules look at.
    metrics: Vec<MetricName>,
    /// Which of them rules look at.
    judged: Vec<bool>,
    trials: Vec<Known>,
    events: Vec<Event>,
}

#[derive(Debug)]
struct Known {
    number: TrialNumber,
    state: TrialState,
    values: Values,
    stages: Arc<Stages>,
    last_step: i64,
    runs: Vec<Run>,
    has_points: bool,
}

/// A time in which an attempt ran.
#[derive(Clone, Copy, Debug)]
struct Run {
    from: Timestamp,
    to: Timestamp,
    gpus: f64,
}

/// What happened.
#[derive(Clone, Copy, Debug)]
struct Event {
    at: Timestamp,
    /// Its place among the trials.
    trial: usize,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Point {
        attempt: Attempt,
        metric: usize,
        step: i64,
        value: f64,
        /// Whether it is the attempt's first of the metric.
        begins: bool,
    },
    End(End),
    /// The end that it had come to before it went on, by its place among those.
    EarlierEnd(usize),
    /// It went on from there.
    WentOn(usize),
}

/// What the rules would have done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Backtested {
    /// What each rule did or waited for, for people.
    pub notes: Vec<String>,
    /// Trials that would have been stopped, in the order of the stops.
    pub stops: Vec<Stopped>,
    /// Trials that reported a metric of the rules; others that have ended; of the former, those really stopped by rules.
    pub trials: u64,
    /// See `trials`.
    pub trials_without_points: u64,
    /// See `trials`.
    pub early_stopped: u64,
    /// Of the trials with points: all, and what would have been saved.
    pub cost: Cost,
    /// See `cost`.
    pub saved: Cost,
    /// The best trial that has ended, and its value.
    pub best: Option<(TrialNumber, f64)>,
    /// The same, had the rules been there.
    pub best_with_rules: Option<(TrialNumber, f64)>,
    /// The best in the end of those that would have been stopped, with its rank.
    pub best_lost: Option<(TrialNumber, f64, u64)>,
    /// Trials that have ended with a finite value that counts.
    pub ranked: u64,
}

/// What training costs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Steps.
    pub steps: u64,
    /// Time of attempts.
    pub seconds: f64,
    /// Times their GPUs.
    pub gpu_seconds: f64,
}

/// A trial that would have been stopped.
#[derive(Clone, Debug, PartialEq)]
pub struct Stopped {
    /// The judgement, and when the point judged was reported.
    pub decision: DecisionRow,
    /// The first objective's value then.
    pub value: Option<f64>,
    /// The first objective's value in the end.
    pub final_value: Option<f64>,
    /// Rank in the end, from 1; none without a finite value that counts.
    pub rank: Option<u64>,
    /// The last step reported.
    pub last_step: i64,
    /// What is saved.
    pub saved: Cost,
    /// How the trial really stands.
    pub state: TrialState,
}

impl Backtest {
    /// Of a study that has the rules to be tried. Rules that only record stop here: nothing real is stopped by them.
    #[must_use]
    pub fn new(mut spec: StudySpec) -> Self {
        for rule in &mut spec.early_stopping {
            rule.shadow = false;
        }
        let readings = Readings::new(&spec);
        let mut metrics = readings.metrics().to_vec();
        let watched: Vec<&MetricName> = spec
            .early_stopping
            .iter()
            .map(|stopper| stopper.rule.metric().unwrap_or(&spec.objective.metric))
            .collect();
        for metric in &watched {
            if !metrics.contains(metric) {
                metrics.push((*metric).clone());
            }
        }
        Self {
            judged: metrics.iter().map(|metric| watched.contains(&metric)).collect(),
            spec,
            readings,
            metrics,
            trials: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Whether anything is asked of points: a schedule judges by what is stored with its trials.
    #[must_use]
    pub fn needs_points(&self) -> bool {
        !self.spec.early_stopping.is_empty()
    }

    /// Points and ends taken in so far.
    #[must_use]
    pub fn events(&self) -> usize {
        self.events.len()
    }

    /// Takes in a trial with its attempts and its points: by attempt, then metric, then sequence number. What has not ended ran up to `now`.
    pub fn trial(&mut self, row: TrialRow, attempts: &[AttemptRow], points: &[PointChunk], now: Timestamp) {
        let trial = self.trials.len();
        let mut last = Timestamp::UNIX_EPOCH;
        let mut has_points = false;
        let mut before: Option<(Attempt, usize)> = None;
        for chunk in points {
            let Some(metric) = self.metrics.iter().position(|metric| *metric == chunk.metric) else {
                continue;
            };
            has_points |= self.judged[metric];
            let mut begins = before.replace((chunk.attempt, metric)) != Some((chunk.attempt, metric));
            for ((step, value), at) in chunk.steps.iter().zip(&chunk.values).zip(&chunk.arrivals) {
                last = last.max(*at);
                self.events.push(Event {
                    at: *at,
                    trial,
                    what: What::Point {
                        attempt: chunk.attempt,
                        metric,
                        step: *step,
                        value: *value,
                        begins: std::mem::take(&mut begins),
                    },
                });
            }
        }
        for (place, end) in row.stages.earlier_ends.iter().enumerate() {
            let event = |at, what| Event { at, trial, what };
            self.events.push(event(end.at, What::EarlierEnd(place)));
            self.events.push(event(end.went_on_at, What::WentOn(place)));
        }
        if let Some(end) = End::of(&row.state) {
            self.events.push(Event {
                at: row.ended_at.unwrap_or(now).max(last),
                trial,
                what: What::End(end),
            });
        }
        let runs = attempts.iter().filter_map(|attempt| {
            Some(Run {
                from: attempt.started_at?,
                to: attempt.ended_at.unwrap_or(now),
                gpus: attempt.gpus.len() as f64,
            })
        });
        self.trials.push(Known {
            number: row.number,
            state: row.state,
            values: Values {
                first: row.value,
                more: row.more_values,
            },
            stages: row.stages,
            last_step: row.last_step.unwrap_or(0),
            runs: runs.collect(),
            has_points,
        });
    }

    fn in_order(&mut self) {
        // Stable: what a trial reported at one time stays in its order, and so do trials.
        self.events
            .sort_by_key(|event| (event.at, matches!(event.what, What::End(_))));
    }

    /// Lets everything happen once more.
    #[must_use]
    pub fn run(mut self) -> Backtested {
        self.in_order();
        let mut stoppers = Stoppers::new(&self.spec.early_stopping, &self.spec.objective);
        let mut curves: Vec<Box<[Curve]>> = Vec::new();
        curves.resize_with(self.trials.len(), || self.readings.no_curves());
        let mut is_stopped = vec![false; self.trials.len()];
        let mut stops: Vec<(usize, Stopped)> = Vec::new();
        let (mut best, mut best_with_rules) = (None, None);
        let mut ranks: Vec<Option<f64>> = vec![None; self.trials.len()];
        for event in &self.events {
            let known = &self.trials[event.trial];
            let number = known.number;
            match event.what {
                What::Point {
                    attempt,
                    metric,
                    step,
                    value,
                    begins,
                } if !is_stopped[event.trial] => {
                    let name = &self.metrics[metric];
                    if let Some(curve) = curves[event.trial].get_mut(metric) {
                        if begins {
                            curve.truncate_from(step);
                        }
                        curve.report(step, value);
                    }
                    if begins {
                        stoppers.metric_restarted(number, name, step);
                    }
                    let Some(decision) = stoppers.report(number, name, step, value).into_iter().next() else {
                        continue;
                    };
                    is_stopped[event.trial] = true;
                    let values = self.readings.values(&curves[event.trial], &[]);
                    let value = values.first;
                    let ranking = self.ranking(number, End::EarlyStopped, values);
                    stoppers.trial_ended(number, ranking);
                    self.consider(&mut best_with_rules, number, ranking);
                    let decision = DecisionRow {
                        trial: number,
                        attempt,
                        decision,
                        at: event.at,
                    };
                    stops.push((event.trial, known.stopped(decision, value)));
                }
                // Only the last end counts.
                What::Point { .. } | What::EarlierEnd(_) | What::WentOn(_) => {}
                What::End(end) => {
                    let ranking = self.ranking(number, end, known.values.clone());
                    ranks[event.trial] = ranking.filter(|value| value.is_finite());
                    self.consider(&mut best, number, ranking);
                    if !is_stopped[event.trial] {
                        stoppers.trial_ended(number, ranking);
                        self.consider(&mut best_with_rules, number, ranking);
                    }
                }
            }
        }
        let goal = self.spec.objective.goal;
        let mut order: Vec<f64> = ranks
            .iter()
            .flatten()
            .map(|value| goal.to_minimize(*value))
            .collect();
        order.sort_by(f64::total_cmp);
        let mut outcome = Backtested {
            notes: stoppers.status(),
            best,
            best_with_rules,
            ranked: order.len() as u64,
            ..Backtested::default()
        };
        for (trial, mut stopped) in stops {
            let value = ranks[trial];
            stopped.rank = value.map(|value| {
                let value = goal.to_minimize(value);
                order.partition_point(|better| *better < value) as u64 + 1
            });
            if let (Some(value), Some(rank)) = (value, stopped.rank)
                && outcome.best_lost.is_none_or(|(_, _, known)| rank < known)
            {
                outcome.best_lost = Some((stopped.decision.trial, value, rank));
            }
            outcome.saved.add(stopped.saved);
            outcome.stops.push(stopped);
        }
        for known in &self.trials {
            if known.has_points {
                outcome.trials += 1;
                outcome.early_stopped += u64::from(matches!(known.state, TrialState::EarlyStopped(_)));
                outcome.cost.add(known.cost_from(None));
            } else if End::of(&known.state).is_some() {
                outcome.trials_without_points += 1;
            }
        }
        outcome
    }

    /// The first objective's value, if a trial that ends so may be the best.
    fn ranking(&self, number: TrialNumber, end: End, values: Values) -> Option<f64> {
        let past = Past {
            number,
            end,
            values,
            encoded: Box::default(),
            last_step: None,
        };
        value_that_ranks(&self.spec, &past.finished(&self.spec))
    }

    /// Of equal trials the first stays.
    fn consider(&self, best: &mut Option<(TrialNumber, f64)>, number: TrialNumber, value: Option<f64>) {
        let Some(value) = value.filter(|value| value.is_finite()) else {
            return;
        };
        if best.is_none_or(|(_, known)| self.spec.objective.goal.better(value, known)) {
            *best = Some((number, value));
        }
    }
}

impl Known {
    fn stopped(&self, decision: DecisionRow, value: Option<f64>) -> Stopped {
        let mut saved = self.cost_from(Some(decision.at));
        saved.steps = self.steps_after(decision.decision.step);
        Stopped {
            decision,
            value,
            final_value: self.values.first,
            rank: None,
            last_step: self.last_step,
            saved,
            state: self.state.clone(),
        }
    }

    fn steps_after(&self, step: i64) -> u64 {
        u64::try_from(self.last_step.saturating_sub(step)).unwrap_or(0)
    }

    /// From a time on; from its beginning if none.
    fn cost_from(&self, time: Option<Timestamp>) -> Cost {
        let mut cost = Cost {
            steps: self.steps_after(0),
            ..Cost::default()
        };
        for run in &self.runs {
            let from = time.map_or(run.from, |time| time.max(run.from));
            let seconds = Duration::as_secs_f64(&run.to.saturating_since(from));
            cost.seconds += seconds;
            cost.gpu_seconds += seconds * run.gpus;
        }
        cost
    }
}

impl Cost {
    fn add(&mut self, other: Self) {
        self.steps = self.steps.saturating_add(other.steps);
        self.seconds += other.seconds;
        self.gpu_seconds += other.gpu_seconds;
    }
}

#[cfg(test)]
mod tests;
