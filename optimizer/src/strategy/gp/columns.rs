//! What is modelled of a study: a column of outcomes for each objective, and one for each measured constraint.
//!
//! Of more objectives than hypervolumes are computed for there is one column: the distance from the best of each, weighted anew for each trial
//! (the augmented Chebyshev norm of Knowles 2006, "ParEGO: a hybrid algorithm with on-line landscape approximation for expensive
//! multiobjective optimization problems").

use super::super::standing::{constraints, objectives, outcome};
use super::super::view::{FinishedTrial, StudyView};
use crate::gp::features::{Group, Kind, Layout, Points};
use crate::gp::fit::{Hyper, Priors, fit};
use crate::gp::kernel::Kernel;
use crate::gp::outcome::{Back, Outcomes, ROOMY, WARPS, Warp, violations, warp_of_several};
use crate::pareto::boxes;
use crate::rng::{Purpose, mix, purpose_rng, uniform};

/// Results that hyperparameters are fitted to at most. All of them are conditioned on.
const FIT_AT_MOST: usize = 220;
/// Results that a scale and a kernel are chosen by at most.
const SAMPLE: usize = 128;
/// Logarithm of the odds that a function is smooth beforehand: most trainings' results are as functions of their parameters, but for noise, and few
/// results do not say much yet.
const SMOOTH_ODDS: f64 = 1.0;
/// So many times the odds are against a warp where there are categories. Pressed together, what is bad in one of them looks the same in the others, and the
/// model goes on in the first category that it did well in.
const CATEGORY_ODDS: f64 = 4.0;
/// To what share length scales are shortened for a function that varies more than the fitted one.
const WIDE_SHARE: f64 = 0.7;
/// Weight of the sum of all distances beside the largest one.
const AUGMENTED: f64 = 0.05;

/// Outcomes of some results, smaller is better.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// None for those that failed or have no number.
    values: Vec<Option<f64>>,
    /// Whether it is a violation, which is one where it is above 0.
    pub(super) is_constraint: bool,
    /// Whether volumes are measured by it.
    is_one_of_several: bool,
}

/// What is fitted to a column.
#[derive(Clone, Debug)]
pub(super) struct Model {
    scale: Scale,
    pub(super) hyper: Hyper,
}

/// The scale on which a column is modelled.
#[derive(Clone, Copy, Debug)]
enum Scale {
    Objective(Warp),
    Violation,
}

/// A fit on one scale.
struct Attempt {
    /// The logarithm of the posterior of the hyperparameters, and that by which scales are compared.
    evidence: f64,
    rated: f64,
    warp: Warp,
    outcomes: Outcomes,
    hyper: Hyper,
}

/// The columns of results, those of objectives first, and a number that tells them apart from those that the same results have in another
/// proposal.
pub(super) fn columns(view: &StudyView<'_>, results: &[&FinishedTrial]) -> (Vec<Column>, u64) {
    let count = objectives(results);
    let mut made = 0;
    let mut columns: Vec<Column> = if count > boxes::MOST {
        let mut rng = purpose_rng(view.seed, view.next, Purpose::Weights);
        // Uniform among those that sum to 1.
        let lots: Vec<f64> = (0..count).map(|_| -(1.0 - uniform(&mut rng)).ln()).collect();
        let sum: f64 = lots.iter().sum();
        let weights: Vec<f64> = lots.iter().map(|lot| lot / sum).collect();
        made = mix(view.next.0);
        vec![distances(results, &weights)]
    } else {
        let objective = |k| Column {
            values: results.iter().map(|trial| outcome(trial, k)).collect(),
            is_constraint: false,
            is_one_of_several: count > 1,
        };
        (0..count).map(objective).collect()
    };
    columns.extend((0..constraints(results)).map(|k| {
        Column {
            values: results
                .iter()
                .map(|trial| {
                    trial
                        .violations
                        .get(k)
                        .copied()
                        .filter(|by| !trial.failed && !by.is_nan())
                })
                .collect(),
            is_constraint: true,
            is_one_of_several: false,
        }
    }));
    (columns, made)
}

/// How far each result is from the best of each objective, by weights.
fn distances(results: &[&FinishedTrial], weights: &[f64]) -> Column {
    let ranges: Vec<(f64, f64)> = (0..weights.len())
        .map(|k| {
            let numbers = || results.iter().filter_map(|trial| outcome(trial, k));
            let (least, most) = (
                numbers().fold(f64::INFINITY, f64::min),
                numbers().fold(f64::NEG_INFINITY, f64::max),
            );
            (least, (most - least).max(f64::MIN_POSITIVE))
        })
        .collect();
    let distance = |trial: &&FinishedTrial| {
        let (mut largest, mut sum) = (0.0_f64, 0.0);
        for (k, (weight, (least, range))) in weights.iter().zip(&ranges).enumerate() {
            let off = weight * (outcome(trial, k)? - least) / range;
            largest = largest.max(off);
            sum += off;
        }
        Some(largest + AUGMENTED * sum).filter(|distance| distance.is_finite())
    };
    Column {
        values: results.iter().map(distance).collect(),
        is_constraint: false,
        is_one_of_several: false,
    }
}

impl Column {
    /// Whether there are two different numbers.
    pub(super) fn varies(&self) -> bool {
        let mut numbers = self.values.iter().flatten();
        let first = numbers.next();
        first.is_some_and(|first| numbers.any(|value| value.total_cmp(first).is_ne()))
    }

    /// That of some of the results.
    pub(super) fn at(&self, places: &[usize]) -> Self {
        Self {
            values: places.iter().map(|&k| self.values[k]).collect(),
            is_constraint: self.is_constraint,
            is_one_of_several: self.is_one_of_several,
        }
    }

    /// Scale and hyperparameters of the largest evidence; if `is_cautious`, of the scales on which outcomes may still become much better.
    ///
    /// Which scale and which kernel, and about which hyperparameters, is found out with a sample of the results, and the fit ends with all of them.
    pub(super) fn fit(
        &self,
        layout: &Layout,
        results: &[&FinishedTrial],
        is_cautious: bool,
    ) -> Option<Model> {
        let all = fit_to(&self.values);
        let choose = |places: &[usize]| self.at(places).choose(layout, places, results, is_cautious);
        let few = sample(&all);
        // Of results that are nearly all the same the sample may have none that differs.
        let Some(mut model) = choose(&few) else {
            return choose(&all);
        };
        if few.len() < all.len() {
            let points = Points::from_rows(layout, all.iter().map(|&k| &results[k].encoded[..]));
            let (outcomes, ..) = self.at(&all).outcomes(&model)?;
            let (kernel, near) = (model.hyper.kernel, Some(&model.hyper));
            let fitted = fit(layout, &points, &outcomes, kernel, &Priors::default(), near);
            if let Some((hyper, _)) = fitted {
                model.hyper = hyper;
            }
        }
        Some(model)
    }

    /// Scale, kernel and hyperparameters of those of the results at `places` that the column is of.
    fn choose(
        &self,
        layout: &Layout,
        places: &[usize],
        results: &[&FinishedTrial],
        is_cautious: bool,
    ) -> Option<Model> {
        let points = Points::from_rows(layout, places.iter().map(|&k| &results[k].encoded[..]));
        let priors = Priors::default();
        let fit_to = |outcomes: &[f64], kernel: Kernel, near: Option<&Hyper>| {
            fit(layout, &points, outcomes, kernel, &priors, near)
        };
        if self.is_constraint {
            let (outcomes, _) = violations(&self.values)?;
            let (hyper, _) = fit_to(&outcomes, Kernel::Matern, None)?;
            let scale = Scale::Violation;
            return Some(Model { scale, hyper });
        }
        let mut best: Option<Attempt> = None;
        let one = [(warp_of_several(&self.values), 0.0)];
        let warps = match (self.is_one_of_several, is_cautious) {
            (true, _) => &one[..],
            (false, true) => &WARPS[..ROOMY],
            (false, false) => &WARPS,
        };
        for (warp, odds) in warps.iter().copied().chain([(Warp::Ranks, 0.0)]) {
            if warp == Warp::Ranks && best.is_some() {
                break;
            }
            let Some(outcomes) = warp.apply(&self.values) else {
                continue;
            };
            // Another warp changes the function little: its fit begins where that of the warp before ended.
            let near = best.as_ref().map(|best| &best.hyper);
            let Some((hyper, evidence)) = fit_to(&outcomes.values, Kernel::Matern, near) else {
                continue;
            };
            let odds = odds
                * if layout.has_categories() {
                    CATEGORY_ODDS
                } else {
                    1.0
                };
            let rated = evidence + outcomes.log_jacobian + odds;
            // The warps are in the order of their strength: once one is too strong, so are those after it.
            if best.as_ref().is_some_and(|best| rated <= best.rated) {
                break;
            }
            best = Some(Attempt {
                rated,
                evidence,
                warp,
                outcomes,
                hyper,
            });
        }
        let mut best = best?;
        // A cautious model and those that volumes are measured by expect functions that may turn anywhere.
        if !self.is_one_of_several && !is_cautious {
            let smooth = fit_to(&best.outcomes.values, Kernel::Gaussian, Some(&best.hyper));
            if let Some((hyper, evidence)) = smooth
                && evidence + SMOOTH_ODDS > best.evidence
            {
                best.hyper = hyper;
            }
        }
        Some(Model {
            scale: Scale::Objective(best.warp),
            hyper: best.hyper,
        })
    }

    /// The column on a model's scale, and there the largest violation that is none: 0 for an objective, which has a way back instead.
    pub(super) fn outcomes(&self, model: &Model) -> Option<(Vec<f64>, f64, Option<Back>)> {
        match model.scale {
            Scale::Violation => violations(&self.values).map(|(values, limit)| (values, limit, None)),
            Scale::Objective(warp) => {
                let outcomes = warp
                    .apply(&self.values)
                    .or_else(|| Warp::Ranks.apply(&self.values));
                outcomes.map(|Outcomes { values, back, .. }| (values, 0.0, Some(back)))
            }
        }
    }
}

impl Hyper {
    /// A function that varies more than the fitted one along the parameters, `layout`'s groups: along categories, too, if `is_cautious`. What is learned of a
    /// number in one category would otherwise be doubted in the others, and they be left untried.
    pub(super) fn widened(&self, layout: &Layout, is_cautious: bool) -> Self {
        let groups = layout.groups();
        let widened = |(weight, group): (&f64, &Group)| {
            if group.kind == Kind::Category && !is_cautious {
                return *weight;
            }
            let length = 1.0 / weight.sqrt();
            let length = length.min(length.sqrt().max(1.0)) * WIDE_SHARE;
            1.0 / (length * length)
        };
        Self {
            kernel: self.kernel,
            weights: self
                .weights
                .iter()
                .zip(groups)
                .map(widened)
                .chain(self.weights[groups.len()..].iter().copied())
                .collect(),
            amplitude: self.amplitude.max(1.0),
            noise: self.noise,
            trend: self.trend,
        }
    }
}

/// Which results the hyperparameters are fitted to, ascending: all, or the best, the newest and some of the others.
fn fit_to(raw: &[Option<f64>]) -> Vec<usize> {
    let n = raw.len();
    if n <= FIT_AT_MOST {
        return (0..n).collect();
    }
    let mut order: Vec<usize> = (0..n).collect();
    let value = |k: usize| raw[k].unwrap_or(f64::INFINITY);
    order.sort_by(|&a, &b| value(a).total_cmp(&value(b)).then(a.cmp(&b)));
    let share = FIT_AT_MOST / 4;
    let mut chosen: Vec<usize> = order[..share].to_vec();
    chosen.extend(n - share..n);
    let rest = FIT_AT_MOST - 2 * share;
    chosen.extend((0..rest).map(|k| k * n / rest));
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

/// Some of these, spread evenly over them.
fn sample(all: &[usize]) -> Vec<usize> {
    let n = all.len();
    let count = n.min(SAMPLE);
    (0..count).map(|k| all[k * n / count]).collect()
}

#[cfg(test)]
mod tests {
    use tunesmith_common::space::{Domain, Parameter, Scale as Spacing, Space};
    use tunesmith_common::{ParamValue, TrialNumber};

    use super::*;
    use crate::rng::unit;

    fn parameter(name: &str, domain: Domain) -> Parameter {
        Parameter {
            name: name.parse().unwrap(),
            domain,
            conditions: Vec::new(),
        }
    }

    /// Two numbers, and a category if there is to be one.
    fn space(has_category: bool) -> Space {
        let number = Domain::Float {
            low: 0.0,
            high: 1.0,
            scale: Spacing::Linear,
            step: None,
        };
        let category = Domain::Categorical {
            choices: ["one", "two"]
                .map(|name| ParamValue::Text(name.to_owned()))
                .into(),
        };
        let mut parameters = vec![parameter("x", number.clone()), parameter("y", number)];
        if has_category {
            parameters.push(parameter("z", category));
        }
        Space::new(parameters, Vec::new()).unwrap()
    }

    /// Results all over the space, with what `value` makes of the place of each and of its two numbers.
    fn trials(value: impl Fn(usize, f64, f64) -> f64, space: &Space, results: usize) -> Vec<FinishedTrial> {
        (0..results)
            .map(|k| {
                let number = k as u64;
                let (x, y) = (unit(mix(2 * number)), unit(mix(2 * number + 1)));
                let mut encoded = vec![x, y];
                encoded.resize(space.dimensions().len(), (k % 2) as f64);
                FinishedTrial::completed(TrialNumber(number + 1), encoded, value(k, x, y))
            })
            .collect()
    }

    /// A model of results of a function of two numbers.
    fn model(
        function: impl Fn(f64, f64) -> f64,
        space: &Space,
        is_cautious: bool,
        is_one_of_several: bool,
        results: usize,
    ) -> Model {
        let trials = trials(|_, x, y| function(x, y), space, results);
        let column = Column {
            values: trials.iter().map(|trial| trial.value).collect(),
            is_constraint: false,
            is_one_of_several,
        };
        let trials: Vec<&FinishedTrial> = trials.iter().collect();
        column.fit(&Layout::new(space), &trials, is_cautious).unwrap()
    }

    #[test]
    fn the_kernel_is_as_smooth_as_the_results() {
        let smooth = |x: f64, y: f64| (4.0 * x).sin() + (3.0 * y).cos();
        let kinks = |x: f64, y: f64| (7.0 * x).sin().abs() + (y - 0.4).abs().sqrt();
        let numbers = space(false);
        assert_eq!(
            model(smooth, &numbers, false, false, 40).hyper.kernel,
            Kernel::Gaussian
        );
        assert_eq!(
            model(kinks, &numbers, false, false, 40).hyper.kernel,
            Kernel::Matern
        );
        // Where it must not be too sure of itself it never is.
        assert_eq!(
            model(smooth, &numbers, true, false, 40).hyper.kernel,
            Kernel::Matern
        );
        assert_eq!(
            model(smooth, &numbers, false, true, 40).hyper.kernel,
            Kernel::Matern
        );
    }

    /// A model of 200 results, of which the values are made of the place of each and whether the sample has it.
    fn model_of_many(value: impl Fn(usize, bool, f64, f64) -> f64) -> (Model, Option<Model>) {
        let space = space(false);
        let few = sample(&fit_to(&[None; 200]));
        assert_eq!((few.len(), few[127]), (SAMPLE, 198));
        let trials = trials(|k, x, y| value(k, few.contains(&k), x, y), &space, 200);
        let column = Column {
            values: trials.iter().map(|trial| trial.value).collect(),
            is_constraint: false,
            is_one_of_several: false,
        };
        let trials: Vec<&FinishedTrial> = trials.iter().collect();
        let layout = Layout::new(&space);
        let model = column.fit(&layout, &trials, false).unwrap();
        (model, column.at(&few).choose(&layout, &few, &trials, false))
    }

    #[test]
    fn a_fit_begins_with_a_sample_of_many_results_and_ends_with_all() {
        let smooth = |x: f64, y: f64| (4.0 * x).sin() + (3.0 * y).cos();
        let noise = |k: usize| 0.2 * (unit(mix(k as u64)) - 0.5);
        let (model, of_sample) =
            model_of_many(|k, in_sample, x, y| smooth(x, y) + if in_sample { 0.0 } else { noise(k) });
        let of_sample = of_sample.unwrap().hyper;
        assert_eq!(model.hyper.kernel, of_sample.kernel);
        let (noise, unseen) = (model.hyper.noise, of_sample.noise);
        assert!(noise > 1e-4 && unseen < 1e-5, "{noise} {unseen}");
    }

    #[test]
    fn results_of_which_the_sample_is_all_the_same_have_a_model() {
        let (_, of_sample) = model_of_many(|k, in_sample, x, _| if in_sample { 0.0 } else { x + k as f64 });
        assert!(of_sample.is_none());
    }

    #[test]
    fn where_there_are_categories_a_warp_takes_more_evidence() {
        let steep = |x: f64, y: f64| (2.0 * (x + y * y)).exp();
        let warp =
            |has_category, results| match model(steep, &space(has_category), false, false, results).scale {
                Scale::Objective(warp) => warp,
                Scale::Violation => unreachable!("it is an objective"),
            };
        let log = Warp::Log { softness: 1.0 };
        assert_eq!((warp(false, 7), warp(true, 7)), (log, Warp::Linear));
        // More results say it clearly enough.
        assert_eq!((warp(false, 12), warp(true, 12)), (log, log));
    }

    #[test]
    fn a_wider_model_knows_as_much_of_another_category() {
        let layout = Layout::new(&space(true));
        let hyper = Hyper {
            kernel: Kernel::Matern,
            weights: vec![1.0, 4.0, 0.25],
            amplitude: 0.5,
            noise: 0.1,
            trend: 0.1,
        };
        let share = WIDE_SHARE * WIDE_SHARE;
        let close = |a: &[f64], b: [f64; 3]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        let wider = hyper.widened(&layout, false);
        assert!(close(&wider.weights, [1.0 / share, 4.0 / share, 0.25]));
        // A cautious one doubts it: a length scale of two is shortened to the square root of two first.
        let cautious = hyper.widened(&layout, true);
        assert!(close(&cautious.weights, [1.0 / share, 4.0 / share, 0.5 / share]));
        assert_eq!((wider.amplitude, wider.noise), (1.0, 0.1));
    }
}
