//! One study's early-stopping rules at work: finds the curves, asks the rules, remembers what they said.

use std::collections::HashMap;

use tunesmith_common::TrialNumber;
use tunesmith_common::decision::StopDecision;
use tunesmith_common::measurement::{Goal, MetricName};
use tunesmith_common::study::{Baseline, Objective, StopperRule, StopperSpec};

use super::judge::{Case, Idle, Reference, Stop, Verdict};
use super::outlook::Past;
use super::rungs::Rungs;
use super::text;
use super::track::{Compared, Place, Track};

mod restore;

pub use restore::Restorer;

/// A study's early-stopping rules with all that they need to know of its trials. [`Restorer`] makes them from what is stored.
#[derive(Debug)]
pub struct Stoppers {
    objective: Goal,
    rules: Vec<Rule>,
    metrics: Vec<Watched>,
    trials: HashMap<TrialNumber, Trial>,
    ended: NumberSet,
    /// Value, turned so that smaller is better, and number of the best trial that has ended.
    best: Option<(f64, TrialNumber)>,
}

/// A rule and what became of it.
#[derive(Debug)]
struct Rule {
    name: &'static str,
    shadow: bool,
    /// Which metric, and which of the rules on it.
    metric: usize,
    place: usize,
    /// The direction that it gives the metric, if it does.
    goal: Option<Goal>,
    judged: u64,
    stopped: u64,
    idle: Option<Idle>,
}

/// A metric that some rule looks at.
#[derive(Debug)]
struct Watched {
    name: MetricName,
    /// Which of its values are better.
    goal: Goal,
    /// The rules on it.
    rules: Vec<StopperRule>,
    /// Whether anything was reported.
    reported: bool,
    /// What all trials have of it, as far as rules compare with that.
    compared: Compared,
    /// Trials whose curves are baselines, with the curves of those that have ended.
    baselines: HashMap<TrialNumber, Option<Curve>>,
    /// Whether the best trial's curve is a baseline.
    wants_best: bool,
    best: Option<(TrialNumber, Curve)>,
}

type Curve = Vec<(i64, f64)>;

/// A trial that has not ended.
#[derive(Debug, Default)]
struct Trial {
    /// By metric.
    tracks: Vec<Option<Box<Track>>>,
    /// Rules that have said stop.
    said: Vec<u32>,
    /// Whether one of them meant it.
    stopped: bool,
}

impl Stoppers {
    /// The rules of a study, before any point was reported. Rules on one metric have the same goal, which the check of a study sees to.
    #[must_use]
    pub fn new(rules: &[StopperSpec], objective: &Objective) -> Self {
        let mut stoppers = Self {
            objective: objective.goal,
            rules: Vec::with_capacity(rules.len()),
            metrics: Vec::new(),
            trials: HashMap::new(),
            ended: NumberSet::default(),
            best: None,
        };
        for spec in rules {
            let metric = stoppers.watch(spec.rule.metric().unwrap_or(&objective.metric));
            let watched = &mut stoppers.metrics[metric];
            match &spec.rule {
                StopperRule::Percentile { .. } => {
                    watched.compared.cohort.get_or_insert_default();
                }
                StopperRule::BelowBaseline {
                    baseline: Baseline::Trial(trial),
                    ..
                } => {
                    watched.baselines.insert(*trial, None);
                }
                StopperRule::BelowBaseline {
                    baseline: Baseline::Best,
                    ..
                }
                | StopperRule::Wilcoxon { .. } => watched.wants_best = true,
                _ => {}
            }
            let place = watched.rules.len();
            watched.compared.rungs.extend(Rungs::of(&spec.rule, place));
            watched
                .compared
                .pasts
                .extend(Past::of(&spec.rule, place, objective.from));
            if let Some(goal) = spec.rule.goal() {
                watched.goal = goal;
            }
            watched.rules.push(spec.rule.clone());
            let shadow = spec.shadow;
            stoppers.rules.push(Rule {
                name: name_of(&spec.rule),
                shadow,
                metric,
                place,
                goal: spec.rule.goal(),
                judged: 0,
                stopped: 0,
                idle: None,
            });
        }
        stoppers
    }

    fn watch(&mut self, name: &MetricName) -> usize {
        if let Some(known) = self.metrics.iter().position(|watched| watched.name == *name) {
            return known;
        }
        self.metrics.push(Watched {
            name: name.clone(),
            goal: self.objective,
            rules: Vec::new(),
            reported: false,
            compared: Compared::default(),
            baselines: HashMap::new(),
            wants_best: false,
            best: None,
        });
        self.metrics.len() - 1
    }

    /// Takes in a point of a trial and judges the trial by it.
    ///
    /// Returns the decisions of rules that say stop now and have not said so of this trial before: all of those that only record
    /// (`shadow`), and of the others the first in the study's list. Once that one has spoken, the trial is not judged any more; its
    /// points still count for others. Points of trials that have ended are ignored.
    pub fn report(
        &mut self,
        trial: TrialNumber,
        metric: &MetricName,
        step: i64,
        value: f64,
    ) -> Vec<StopDecision> {
        let Some((metric, place)) = self.take(trial, metric, step, value) else {
            return Vec::new();
        };
        let mut decisions: Vec<StopDecision> = Vec::new();
        let mut stopped = false;
        for index in 0..self.rules.len() {
            let rule = &self.rules[index];
            if rule.metric != metric || (stopped && !rule.shadow) || self.has_said(trial, index) {
                continue;
            }
            let verdict = self.judge(index, trial, step, value, place);
            let rule = &mut self.rules[index];
            match verdict {
                Verdict::Skipped => {}
                Verdict::Idle(idle) => rule.idle = Some(idle),
                Verdict::Continue => rule.judged += 1,
                Verdict::Stop(stop) => {
                    rule.judged += 1;
                    stopped |= !rule.shadow;
                    decisions.push(decision(index, rule, &self.metrics[metric].name, step, stop));
                }
            }
        }
        for decision in &decisions {
            self.note_decision(trial, decision.rule_index);
        }
        decisions
    }

    /// Takes note that a rule has said stop of a trial: it will not say so again. Unknown rules are ignored.
    fn note_decision(&mut self, trial: TrialNumber, rule_index: u32) {
        let Some(rule) = self.rules.get_mut(rule_index as usize) else {
            return;
        };
        rule.stopped += 1;
        if !self.ended.contains(trial) {
            let trial = self.trials.entry(trial).or_default();
            trial.said.push(rule_index);
            trial.stopped |= !rule.shadow;
        }
    }

    /// A new attempt of a trial begins to report a metric, at `from_step`: what earlier ones reported from there on is void.
    pub fn metric_restarted(&mut self, trial: TrialNumber, metric: &MetricName, from_step: i64) {
        let Some(index) = self.metrics.iter().position(|watched| watched.name == *metric) else {
            return;
        };
        let tracks = self.trials.get_mut(&trial).map(|trial| &mut trial.tracks);
        if let Some(Some(track)) = tracks.and_then(|tracks| tracks.get_mut(index)) {
            let watched = &mut self.metrics[index];
            track.truncate(&watched.rules, watched.goal, &mut watched.compared, from_step);
        }
    }

    /// A trial has ended: its curves stay what others are compared with, also if it failed, and nothing of it can change any
    /// more. `value` is the objective's value as reported, if it counts: it decides which trial is the best.
    pub fn trial_ended(&mut self, trial: TrialNumber, value: Option<f64>) {
        if self.rules.is_empty() || !self.ended.insert(trial) {
            return;
        }
        let mut tracks = self.trials.remove(&trial).unwrap_or_default().tracks;
        tracks.resize_with(self.metrics.len(), || None);
        let value = value
            .filter(|value| value.is_finite())
            .map(|value| self.objective.to_minimize(value));
        // Of equal trials the one with the lower number, so that the order in which they end does not matter.
        let is_best = value.is_some_and(|value| {
            self.best
                .is_none_or(|(best, number)| value < best || (value <= best && trial < number))
        });
        if let Some(value) = value.filter(|_| is_best) {
            self.best = Some((value, trial));
        }
        for (watched, track) in self.metrics.iter_mut().zip(tracks) {
            let points = track.as_ref().map_or(&[][..], |track| track.points());
            for past in &mut watched.compared.pasts {
                past.ended(trial, watched.goal, points);
            }
            let is_best = is_best && watched.wants_best;
            let is_baseline = watched.baselines.contains_key(&trial);
            if !is_best && !is_baseline {
                continue;
            }
            let points = track.map(|track| track.into_points()).unwrap_or_default();
            if is_best {
                watched.best = Some((trial, points.clone()));
            }
            if is_baseline {
                watched.baselines.insert(trial, Some(points));
            }
        }
    }

    /// What each rule does or waits for, for people, in the order of the study's list.
    #[must_use]
    pub fn status(&self) -> Vec<String> {
        (1..)
            .zip(&self.rules)
            .map(|(number, rule)| self.status_of(number, rule))
            .collect()
    }

    fn status_of(&self, number: usize, rule: &Rule) -> String {
        let watched = &self.metrics[rule.metric];
        let metric = &watched.name;
        let goal = match rule.goal {
            None => "",
            Some(Goal::Minimize) => ", minimized",
            Some(Goal::Maximize) => ", maximized",
        };
        let shadow = if rule.shadow { ", shadow" } else { "" };
        let stopped = match rule.stopped {
            0 => String::new(),
            1 => format!(
                ", {} 1 trial",
                if rule.shadow {
                    "would have stopped"
                } else {
                    "stopped"
                }
            ),
            count => format!(
                ", {} {count} trials",
                if rule.shadow {
                    "would have stopped"
                } else {
                    "stopped"
                }
            ),
        };
        let now = match (&rule.idle, rule.judged) {
            (_, 0) if !watched.reported => format!("idle: no {metric} was reported"),
            (Some(idle), 0) => format!("idle: {}", idle.text(metric)),
            (None, 0) => format!("waits for the next report of {metric}"),
            (_, 1) => "judged 1 report".to_owned(),
            (_, judged) => format!("judged {judged} reports"),
        };
        format!(
            "rule {number}, {} of {metric}{goal}{shadow}: {now}{stopped}",
            rule.name
        )
    }

    /// Puts a point in its place; none if no rule looks at the metric, or the trial has ended.
    fn take(
        &mut self,
        trial: TrialNumber,
        metric: &MetricName,
        step: i64,
        value: f64,
    ) -> Option<(usize, Place)> {
        let index = self.metrics.iter().position(|watched| watched.name == *metric)?;
        if self.ended.contains(trial) {
            return None;
        }
        let count = self.metrics.len();
        let watched = &mut self.metrics[index];
        watched.reported = true;
        let tracks = &mut self.trials.entry(trial).or_default().tracks;
        if tracks.is_empty() {
            tracks.resize_with(count, || None);
        }
        let track = tracks[index]
            .get_or_insert_with(|| Box::new(Track::new(&watched.rules, trial, &mut watched.compared)));
        let place = track.take(&watched.rules, watched.goal, &mut watched.compared, step, value);
        Some((index, place))
    }

    fn has_said(&self, trial: TrialNumber, rule: usize) -> bool {
        self.trials
            .get(&trial)
            .is_some_and(|trial| trial.stopped || trial.said.iter().any(|said| *said as usize == rule))
    }

    fn judge(&self, rule: usize, trial: TrialNumber, step: i64, value: f64, place: Place) -> Verdict {
        let rule = &self.rules[rule];
        let watched = &self.metrics[rule.metric];
        let Some(track) = self.track(trial, rule.metric) else {
            return Verdict::Skipped;
        };
        let case = Case {
            trial,
            metric: &watched.name,
            goal: watched.goal,
            step,
            value,
            place,
            track,
            compared: &watched.compared,
        };
        case.judge(
            rule.place,
            &watched.rules[rule.place],
            |baseline| match baseline {
                Baseline::Trial(other) => match watched.baselines.get(other) {
                    Some(Some(curve)) => Reference::Of(*other, curve, true),
                    _ => Reference::Of(
                        *other,
                        self.track(*other, rule.metric).map_or(&[], Track::points),
                        false,
                    ),
                },
                Baseline::Best => match &watched.best {
                    Some((best, curve)) => Reference::Of(*best, curve, true),
                    None => Reference::NoTrial,
                },
                Baseline::Constant(_) | Baseline::Curve(_) => Reference::NoTrial,
            },
        )
    }

    fn track(&self, trial: TrialNumber, metric: usize) -> Option<&Track> {
        self.trials.get(&trial)?.tracks.get(metric)?.as_deref()
    }
}

fn name_of(rule: &StopperRule) -> &'static str {
    match rule {
        StopperRule::Percentile { keep, .. } if text::is_median(*keep) => "median",
        StopperRule::Percentile { .. } => "percentile",
        StopperRule::Threshold { .. } => "threshold",
        StopperRule::Plateau { .. } => "plateau",
        StopperRule::Diverging { .. } => "diverging",
        StopperRule::BelowBaseline { .. } => "below_baseline",
        StopperRule::Asha { .. } => "asha",
        StopperRule::Curve { .. } => "curve",
        StopperRule::Wilcoxon { .. } => "wilcoxon",
    }
}

fn decision(index: usize, rule: &Rule, metric: &MetricName, step: i64, stop: Stop) -> StopDecision {
    StopDecision {
        rule_index: u32::try_from(index).unwrap_or(u32::MAX),
        rule: rule.name.to_owned(),
        shadow: rule.shadow,
        metric: metric.clone(),
        step,
        // Turning signs back makes zeros negative.
        value: stop.value + 0.0,
        reference: stop.reference + 0.0,
        compared_trials: stop.compared as u64,
        text: stop.text,
    }
}

impl Idle {
    fn text(&self, metric: &MetricName) -> String {
        match self {
            Self::WarmUp { step, until } => format!("at step {step}, judges after step {until}"),
            Self::TooFewTrials { found, needed, step } => {
                format!(
                    "{found} of the {needed} other trials needed have reached step {step} with a value of {metric}"
                )
            }
            Self::TooFewWhole { found, needed } => {
                format!("{found} of the {needed} trials needed have been trained to the end")
            }
            Self::TooEarly { step } => format!("too few values of {metric} at step {step}"),
            Self::BeforeRung { step, rung } => format!("at step {step}, the first rung is at step {rung}"),
            Self::TooFewInRung { found, needed, rung } => {
                format!("{found} of the {needed} trials needed have reached the rung at step {rung}")
            }
            Self::TooFewCommon { found, needed, trial } => {
                format!(
                    "{found} of the {needed} steps needed have a value of {metric} here and in trial {trial}, the best"
                )
            }
            Self::NoFiniteValue => format!("no finite value of {metric} was reported"),
            Self::NoBestTrial => "no trial has ended with a value to compare with".to_owned(),
            Self::NotReached { trial, step } => format!("trial {trial} has no {metric} yet at step {step}"),
            Self::BeforeBaseline { step } => format!("at step {step}, the baseline begins later"),
        }
    }
}

/// A set of trial numbers: a bit each where they are dense, as they are.
#[derive(Debug, Default)]
struct NumberSet(HashMap<u64, u64>);

impl NumberSet {
    fn insert(&mut self, number: TrialNumber) -> bool {
        let word = self.0.entry(number.0 / 64).or_default();
        let bit = 1 << (number.0 % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    fn contains(&self, number: TrialNumber) -> bool {
        self.0
            .get(&(number.0 / 64))
            .is_some_and(|word| word >> (number.0 % 64) & 1 == 1)
    }
}
