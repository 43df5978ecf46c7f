//! The rules once more, straight from their definitions: everything is kept, and every report looks at all of it.

use std::collections::{BTreeMap, BTreeSet};

use tunesmith_common::TrialNumber;
use tunesmith_common::measurement::{Goal, MetricName};
use tunesmith_common::study::{Baseline, Objective, StopperRule, StopperSpec};

use super::cells::cell;
use super::outlook::{Outlook, Past, knot};
use super::rungs::Rungs;

type Curve = BTreeMap<i64, f64>;

/// A decision reduced to its numbers: rule, value, reference, trials compared.
pub(super) type Said = (u32, u64, u64, u64);

/// A study by definition.
#[derive(Debug)]
pub(super) struct Naive {
    rules: Vec<StopperSpec>,
    objective: Objective,
    curves: BTreeMap<(TrialNumber, MetricName), Curve>,
    ended: BTreeMap<TrialNumber, Option<f64>>,
    said: BTreeSet<(TrialNumber, usize)>,
    stopped: BTreeSet<TrialNumber>,
}

fn finite(curve: &Curve) -> Vec<(i64, f64)> {
    curve
        .iter()
        .map(|(step, value)| (*step, *value))
        .filter(|(_, value)| value.is_finite())
        .collect()
}

fn least(values: impl Iterator<Item = f64>) -> Option<f64> {
    values.reduce(f64::min)
}

impl Naive {
    pub(super) fn new(rules: &[StopperSpec], objective: &Objective) -> Self {
        Self {
            rules: rules.to_vec(),
            objective: objective.clone(),
            curves: BTreeMap::new(),
            ended: BTreeMap::new(),
            said: BTreeSet::new(),
            stopped: BTreeSet::new(),
        }
    }

    pub(super) fn restart(&mut self, trial: TrialNumber, metric: &MetricName, from: i64) {
        if !self.ended.contains_key(&trial)
            && let Some(curve) = self.curves.get_mut(&(trial, metric.clone()))
        {
            curve.retain(|step, _| *step < from);
        }
    }

    pub(super) fn end(&mut self, trial: TrialNumber, value: Option<f64>) {
        self.ended.entry(trial).or_insert(value);
    }

    pub(super) fn report(
        &mut self,
        trial: TrialNumber,
        metric: &MetricName,
        step: i64,
        value: f64,
    ) -> Vec<Said> {
        if self.ended.contains_key(&trial) {
            return Vec::new();
        }
        self.curves
            .entry((trial, metric.clone()))
            .or_default()
            .insert(step, value);
        if self.stopped.contains(&trial) {
            return Vec::new();
        }
        let mut all = Vec::new();
        let mut stopped = false;
        for (index, spec) in self.rules.iter().enumerate() {
            if self.said.contains(&(trial, index)) || (stopped && !spec.shadow) {
                continue;
            }
            if let Some((value, reference, compared)) = self.judge(&spec.rule, trial, metric, step, value) {
                stopped |= !spec.shadow;
                let compared = u64::try_from(compared).unwrap();
                all.push((
                    u32::try_from(index).unwrap(),
                    (value + 0.0).to_bits(),
                    (reference + 0.0).to_bits(),
                    compared,
                ));
            }
        }
        self.said.extend(all.iter().map(|said| (trial, said.0 as usize)));
        if stopped {
            self.stopped.insert(trial);
        }
        all
    }

    /// Which values of a metric are better: as a rule on it says, else as for the objective.
    fn goal_of(&self, metric: &MetricName) -> Goal {
        self.rules
            .iter()
            .filter(|spec| spec.rule.metric() == Some(metric))
            .find_map(|spec| spec.rule.goal())
            .unwrap_or(self.objective.goal)
    }

    /// Value, reference and number of trials compared, if the rule says stop.
    fn judge(
        &self,
        rule: &StopperRule,
        trial: TrialNumber,
        reported: &MetricName,
        step: i64,
        value: f64,
    ) -> Option<(f64, f64, usize)> {
        let goal = self.goal_of(reported);
        let on = |metric: &Option<MetricName>| metric.as_ref().unwrap_or(&self.objective.metric) == reported;
        let curve = &self.curves[&(trial, reported.clone())];
        let is_last = curve.range(step + 1..).next().is_none();
        let warm = |warmup: i64| warmup == 0 || step > warmup;
        match rule {
            StopperRule::Percentile {
                metric,
                goal: _,
                keep,
                warmup_steps,
                min_trials,
                interval,
            } => {
                let previous = curve.range(..step).next_back().map_or(0, |(step, _)| *step);
                let due = *interval == 1 || step / interval > previous / interval;
                if !on(metric) || !is_last || !due || !warm(*warmup_steps) {
                    return None;
                }
                let best = least(finite(curve).into_iter().map(|(_, x)| goal.to_minimize(x)))?;
                let mut averages = Vec::new();
                for ((other, of), curve) in &self.curves {
                    let seen: Vec<f64> = finite(curve)
                        .iter()
                        .filter(|(s, _)| cell(*s) <= cell(step))
                        .map(|(_, x)| *x)
                        .collect();
                    let reached = curve.keys().any(|s| cell(*s) >= cell(step));
                    if other != &trial && of == reported && reached && !seen.is_empty() {
                        let average =
                            seen.iter().sum::<f64>() / f64::from(u32::try_from(seen.len()).unwrap());
                        averages.push(goal.to_minimize(average));
                    }
                }
                if averages.len() < *min_trials as usize {
                    return None;
                }
                averages.sort_by(f64::total_cmp);
                let position = f64::from(u32::try_from(averages.len() - 1).unwrap()) * keep / 100.0;
                let low = averages
                    .iter()
                    .enumerate()
                    .rev()
                    .find(|(i, _)| f64::from(u32::try_from(*i).unwrap()) <= position)?;
                let high = averages.get(low.0 + 1).unwrap_or(low.1);
                let share = position.fract();
                let quantile = if low.1 < high {
                    low.1 * (1.0 - share) + high * share
                } else {
                    *low.1
                };
                (best > quantile)
                    .then(|| (goal.to_minimize(best), goal.to_minimize(quantile), averages.len()))
            }
            StopperRule::Threshold {
                metric,
                above,
                below,
                after_step,
            } => {
                if !on(metric) || step <= *after_step {
                    return None;
                }
                let above = above.filter(|above| value > *above);
                let below = below.filter(|below| value < *below);
                above.or(below).map(|bound| (value, bound, 0))
            }
            StopperRule::Plateau {
                metric,
                goal: _,
                patience,
                min_delta,
                warmup_steps,
            } => {
                if !on(metric) || !is_last || !warm(*warmup_steps) {
                    return None;
                }
                let mut improved: Option<(i64, f64)> = None;
                for (at, x) in finite(curve) {
                    if improved
                        .is_none_or(|(_, best)| goal.to_minimize(x) < goal.to_minimize(best) - min_delta)
                    {
                        improved = Some((at, x));
                    }
                }
                let (at, best) = improved?;
                (step - at >= *patience).then_some((value, best, 0))
            }
            StopperRule::Diverging {
                metric,
                goal: _,
                factor,
                patience,
            } => {
                if !on(metric) {
                    return None;
                }
                let xs: Vec<f64> = finite(curve)
                    .into_iter()
                    .map(|(_, x)| goal.to_minimize(x))
                    .collect();
                if !value.is_finite() {
                    let best = least(xs.into_iter()).map_or(f64::NAN, |best| goal.to_minimize(best));
                    return Some((value, best, 0));
                }
                if !is_last {
                    return None;
                }
                climb(&xs, *factor, *patience as usize)
                    .map(|(smoothed, limit)| (goal.to_minimize(smoothed), goal.to_minimize(limit), 0))
            }
            StopperRule::Curve {
                metric,
                probability,
                warmup_steps,
                min_trials,
                ..
            } => {
                let previous = curve.range(..step).next_back().map(|(step, _)| knot(*step));
                if !on(metric) || !is_last || previous == Some(knot(step)) || !warm(*warmup_steps) {
                    return None;
                }
                let points = |curve: &Curve| -> Vec<(i64, f64)> {
                    curve.iter().map(|(step, value)| (*step, *value)).collect()
                };
                let mut past = Past::of(rule, 0, self.objective.from)?;
                for ((other, of), curve) in &self.curves {
                    if of == reported && self.ended.contains_key(other) {
                        past.ended(*other, goal, &points(curve));
                    }
                }
                match past.outlook(goal, &points(curve), *min_trials as usize) {
                    Outlook::End(end) if end.probability < *probability => Some((
                        goal.to_minimize(end.expected),
                        goal.to_minimize(end.best.0),
                        end.trials,
                    )),
                    _ => None,
                }
            }
            StopperRule::Wilcoxon {
                metric,
                goal: _,
                p,
                min_steps,
            } => {
                if !on(metric) {
                    return None;
                }
                let best = self.curves.get(&(self.best()?, reported.clone()))?;
                let pairs: Vec<(f64, f64)> = finite(curve)
                    .into_iter()
                    .filter_map(|(step, x)| Some((x, *best.get(&step)?)))
                    .filter(|(_, other)| other.is_finite())
                    .collect();
                let turned = |x: f64| goal.to_minimize(x);
                let differences: Vec<f64> = pairs
                    .iter()
                    .map(|(x, other)| turned(*x) - turned(*other))
                    .collect();
                let enough = i64::try_from(pairs.len()).unwrap() >= *min_steps;
                if !enough || differences.iter().sum::<f64>() <= 0.0 || by_all_signs(&differences) >= *p {
                    return None;
                }
                let count = f64::from(u32::try_from(pairs.len()).unwrap());
                let mean = |values: Vec<f64>| turned(values.into_iter().map(turned).sum::<f64>() / count);
                Some((
                    mean(pairs.iter().map(|pair| pair.0).collect()),
                    mean(pairs.iter().map(|pair| pair.1).collect()),
                    1,
                ))
            }
            StopperRule::Asha {
                metric, reduction, ..
            } => {
                let (bracket, rungs) = Self::rungs(rule, trial);
                let previous = curve.range(..step).next_back().map_or(-1, |(step, _)| *step);
                let rung = rungs.into_iter().rfind(|rung| *rung <= step)?;
                if !on(metric) || !is_last || rung <= previous {
                    return None;
                }
                let own = Self::at_rung(curve, goal, rung)?;
                let others = self.curves.iter().filter(|((other, of), _)| {
                    other != &trial && of == reported && Self::rungs(rule, *other).0 == bracket
                });
                let mut all: Vec<f64> = others
                    .filter_map(|(_, curve)| Self::at_rung(curve, goal, rung))
                    .collect();
                all.push(own);
                all.sort_by(f64::total_cmp);
                let kept = all.len() / *reduction as usize;
                let needed = *all.get(kept.checked_sub(1)?)?;
                let turned = |x: f64| {
                    if x.is_finite() {
                        goal.to_minimize(x)
                    } else {
                        f64::NAN
                    }
                };
                (own > needed || own.is_infinite()).then(|| (turned(own), turned(needed), all.len() - 1))
            }
            StopperRule::BelowBaseline {
                metric,
                goal: _,
                baseline,
                tolerance,
                warmup_steps,
            } => {
                if !on(metric) || !is_last || !warm(*warmup_steps) || !value.is_finite() {
                    return None;
                }
                let (reference, compared) = self.baseline(baseline, trial, reported, step)?;
                (goal.to_minimize(value) > goal.to_minimize(reference) + tolerance)
                    .then_some((value, reference, compared))
            }
        }
    }

    /// Steps of the rungs of a trial's bracket.
    fn rungs(rule: &StopperRule, trial: TrialNumber) -> (usize, Vec<i64>) {
        let StopperRule::Asha {
            min_steps,
            reduction,
            max_steps,
            ..
        } = rule
        else {
            return (0, Vec::new());
        };
        let bracket = Rungs::of(rule, 0).unwrap().bracket_of(trial);
        let mut steps = Vec::new();
        let mut step = i128::from(*min_steps);
        while step < i128::from(max_steps.unwrap_or(i64::MAX)) {
            steps.push(i64::try_from(step).unwrap());
            step *= i128::from(*reduction);
        }
        (bracket, steps.split_off(bracket))
    }

    /// A curve's best value at its first report at or after a step, if it has come there; infinite without a finite one.
    fn at_rung(curve: &Curve, goal: Goal, rung: i64) -> Option<f64> {
        let (at, _) = curve.range(rung..).next()?;
        let seen = finite(curve).into_iter().filter(|(step, _)| step <= at);
        Some(least(seen.map(|(_, x)| goal.to_minimize(x))).unwrap_or(f64::INFINITY))
    }

    /// The best trial that has ended.
    fn best(&self) -> Option<TrialNumber> {
        let goal: Goal = self.objective.goal;
        let values = self
            .ended
            .iter()
            .filter_map(|(number, value)| Some((*number, (*value)?)));
        let mut values: Vec<_> = values.filter(|(_, value)| value.is_finite()).collect();
        values.sort_by(|a, b| {
            (goal.to_minimize(a.1) + 0.0)
                .total_cmp(&(goal.to_minimize(b.1) + 0.0))
                .then(a.0.cmp(&b.0))
        });
        Some(values.first()?.0)
    }

    fn baseline(
        &self,
        baseline: &Baseline,
        trial: TrialNumber,
        metric: &MetricName,
        step: i64,
    ) -> Option<(f64, usize)> {
        let other = match baseline {
            Baseline::Constant(value) => return Some((*value, 0)),
            Baseline::Curve(points) => {
                let (start, low) = points.iter().rfind(|(known, _)| *known <= step)?;
                let Some((end, high)) = points.iter().find(|(known, _)| *known > step) else {
                    return Some((*low, 0));
                };
                let share = f64::from(u32::try_from(step - start).unwrap())
                    / f64::from(u32::try_from(end - start).unwrap());
                return Some((low * (1.0 - share) + high * share, 0));
            }
            Baseline::Trial(other) => *other,
            Baseline::Best => self.best()?,
        };
        if other == trial {
            return None;
        }
        let curve = self.curves.get(&(other, metric.clone()))?;
        if !self.ended.contains_key(&other) && curve.range(step..).next().is_none() {
            return None;
        }
        finite(curve)
            .into_iter()
            .rfind(|(known, _)| *known <= step)
            .map(|(_, value)| (value, 1))
    }
}

/// P-value of a signed-rank test: the share of all choices of signs whose positive ranks add up to as much. Twice the rank of a difference
/// is one more than those that are smaller, twice, and those that are equal.
fn by_all_signs(differences: &[f64]) -> f64 {
    let doubled = |d: &f64| {
        let smaller = differences.iter().filter(|other| other.abs() < d.abs()).count();
        let equal = differences
            .iter()
            .filter(|other| other.abs().total_cmp(&d.abs()).is_eq())
            .count();
        2 * smaller + equal + 1
    };
    let ranked: Vec<(usize, bool)> = differences
        .iter()
        .filter(|d| d.abs() > 0.0)
        .map(|d| (doubled(d), *d > 0.0))
        .collect();
    let observed: usize = ranked
        .iter()
        .filter(|(_, positive)| *positive)
        .map(|(rank, _)| rank)
        .sum();
    let mut counts = BTreeMap::from([(0, 1.0)]);
    for (rank, _) in &ranked {
        let mut next: BTreeMap<usize, f64> = BTreeMap::new();
        for (sum, count) in counts {
            *next.entry(sum).or_default() += count / 2.0;
            *next.entry(sum + rank).or_default() += count / 2.0;
        }
        counts = next;
    }
    counts.range(observed..).map(|(_, count)| count).sum()
}

/// Smoothed value and limit, if the last `patience` reports all lie beyond the range of those before.
fn climb(xs: &[f64], factor: f64, patience: usize) -> Option<(f64, f64)> {
    let mut smoothed: Option<f64> = None;
    let mut range: Vec<f64> = Vec::new();
    let mut row: Vec<f64> = Vec::new();
    let mut limit = f64::NAN;
    for (index, x) in xs.iter().enumerate() {
        let m = smoothed.map_or(*x, |m| m * 0.5 + x * 0.5);
        smoothed = Some(m);
        let low = least(xs[..=index].iter().copied()).unwrap();
        let high = -least(range.iter().map(|x| -x)).unwrap_or(f64::INFINITY);
        limit = low + factor * (high - low);
        row.push(*x);
        if range.len() < 5 || high <= low || m <= limit {
            range.append(&mut row);
        }
    }
    (row.len() >= patience).then_some((smoothed?, limit))
}
