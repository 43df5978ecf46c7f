//! Bayesian optimisation with a Gaussian process: for trainings that take long, where each trial should teach as much as it can.
//!
//! The first trials are spread over the space (scrambled Sobol). From then on each trial goes where the expected improvement is
//! largest under a model of all results so far ([`crate::gp`]). Every third trial uses the same model with shorter length scales: a
//! fitted model is surer of itself than a few dozen results justify, and looks for improvements next to the best trial for too long.
//! Trials that run count as if they had ended as the model expects, so that several at a time do not all go to the same place.
//!
//! # Invariants
//!
//! * Hyperparameters are fitted to a beginning of the history whose length grows in steps, from starting points that do not depend on
//!   earlier fits. So a proposal is a function of the history alone, however often and for how many trials one is asked for.
//! * The factor of the covariance matrix is that of this beginning, with the later trials appended one by one: bit for bit the same
//!   whether it was kept or made again.

use std::collections::HashSet;

use tunesmith_common::space::Space;
use tunesmith_common::study::Acquisition;

use super::SearchStrategy;
use super::memory::Memory;
use super::sobol::Sobol;
use super::view::{FinishedTrial, Proposal, StrategyError, StudyView, Suggestion, one_by_one};
use crate::gp::features::{Layout, Points};
use crate::gp::fit::{self, Hyper, Priors, fit};
use crate::gp::local::{self, Region};
use crate::gp::outcome::{WARPS, Warp};
use crate::gp::posterior::Posterior;
use crate::gp::search::{self, Search};
use crate::rng::{Purpose, mix, purpose_rng};

/// Trials before the first model: two more than there are parameters, within these.
const STARTUP: (usize, usize) = (4, 10);
/// Results up to which the model is fitted anew each time; beyond, when there are a fourteenth more.
const FIT_EACH: usize = 40;
const FIT_GROWTH: usize = 14;
/// Results that hyperparameters are fitted to at most. All of them are conditioned on.
const FIT_AT_MOST: usize = 220;
/// Every how many trials the length scales are shortened, to what share, and to what length at most.
const WIDE_EVERY: u64 = 3;
const WIDE_SHARE: f64 = 0.7;
/// Best trials around which is searched.
const CENTRES: usize = 5;
/// With more results than the model holds: every how many trials the whole space is searched, and not only where the model is trusted.
const GLOBAL_EVERY: u64 = 5;

/// The strategy.
#[derive(Debug)]
pub(super) struct Gp {
    sobol: Sobol,
    layout: Layout,
    acquisition: Acquisition,
    startup: usize,
}

/// What is kept between proposals: each entry with what it was made from. The model beside which of those results it holds.
#[derive(Default)]
struct Known {
    model: Option<(Key, Vec<usize>, Option<Model>)>,
    plain: Option<(Key, Conditioned)>,
    wide: Option<(Key, Conditioned)>,
}

/// The results that something was made from: how many of the history's first, and which the last one was.
type Key = (usize, u64, u64);

/// What is fitted.
#[derive(Clone, Debug)]
struct Model {
    warp: Warp,
    hyper: Hyper,
}

/// A posterior of the first `seen` results.
struct Conditioned {
    posterior: Posterior,
    seen: usize,
}

impl Gp {
    pub(super) fn new(space: &Space, acquisition: Acquisition) -> Self {
        let layout = Layout::new(space);
        Self {
            sobol: Sobol::new(space.dimensions().len()),
            startup: (layout.groups().len() + 2).clamp(STARTUP.0, STARTUP.1),
            layout,
            acquisition,
        }
    }

    fn suggest(&self, view: &StudyView<'_>, known: &mut Known) -> Result<Suggestion, StrategyError> {
        let results: Vec<&FinishedTrial> = view
            .finished
            .iter()
            .filter(|trial| trial.failed || trial.value.is_some())
            .collect();
        let raw: Vec<Option<f64>> = results
            .iter()
            .map(|trial| trial.value.filter(|value| !trial.failed && value.is_finite()))
            .collect();
        let begun = results.len() + view.running.len();
        let Some(first) = raw.iter().flatten().next() else {
            return self.sobol.suggest(view);
        };
        if begun < self.startup || raw.iter().flatten().all(|value| value.total_cmp(first).is_eq()) {
            return self.sobol.suggest(view);
        }
        let is_local = results.len() >= local::FROM;
        let beginning = if is_local {
            local::seen(results.len())
        } else {
            fit_length(results.len())
        };
        let key = key(&results[..beginning]);
        if known
            .model
            .as_ref()
            .is_none_or(|(made_from, ..)| *made_from != key)
        {
            let chosen = if is_local {
                let rows: Vec<&[f64]> = results[..beginning]
                    .iter()
                    .map(|trial| &trial.encoded[..])
                    .collect();
                local::choose(&self.layout, view.seed, &rows, |k| {
                    raw[k].unwrap_or(f64::INFINITY)
                })
            } else {
                (0..beginning).collect()
            };
            let values: Vec<Option<f64>> = chosen.iter().map(|&k| raw[k]).collect();
            let held: Vec<&FinishedTrial> = chosen.iter().map(|&k| results[k]).collect();
            let model = self.fit(&held, &values);
            *known = Known {
                model: Some((key, chosen, model)),
                ..Known::default()
            };
        }
        let Some((_, chosen, Some(model))) = &known.model else {
            return Err(StrategyError::Fit {
                reason: format!("no hyperparameters fit the first {beginning} results"),
            });
        };
        let width = is_local.then(|| {
            let outcomes = results.iter().zip(&raw).map(|(trial, value)| {
                let counts = !trial.trial.0.is_multiple_of(GLOBAL_EVERY);
                (value.unwrap_or(f64::INFINITY), counts)
            });
            local::width(outcomes, self.layout.groups().len())
        });
        let width = width.filter(|_| !view.next.0.is_multiple_of(GLOBAL_EVERY));
        let held = chosen.iter().copied().chain(beginning..results.len());
        let (results, raw): (Vec<&FinishedTrial>, Vec<Option<f64>>) =
            held.map(|k| (results[k], raw[k])).unzip();
        let fitted_to = chosen.len();
        let wide = view.next.0.is_multiple_of(WIDE_EVERY);
        let slot = if wide { &mut known.wide } else { &mut known.plain };
        let conditioned = match slot {
            Some((made_from, conditioned)) if *made_from == key && conditioned.seen <= results.len() => {
                conditioned
            }
            _ => {
                let points = Points::from_rows(
                    &self.layout,
                    results[..fitted_to].iter().map(|trial| &trial.encoded[..]),
                );
                let hyper = if wide {
                    model.hyper.widened()
                } else {
                    model.hyper.clone()
                };
                let posterior =
                    Posterior::new(&self.layout, points, hyper).ok_or_else(|| StrategyError::Fit {
                        reason: format!(
                            "the covariance matrix of {fitted_to} results has no Cholesky factor"
                        ),
                    })?;
                let conditioned = Conditioned {
                    posterior,
                    seen: fitted_to,
                };
                &mut slot.insert((key, conditioned)).1
            }
        };
        let posterior = &mut conditioned.posterior;
        posterior.truncate(conditioned.seen);
        for trial in &results[conditioned.seen..] {
            posterior.append(&self.layout, &trial.encoded);
        }
        conditioned.seen = results.len();
        let outcomes = model
            .warp
            .apply(&raw)
            .or_else(|| Warp::Ranks.apply(&raw))
            .filter(|outcomes| posterior.condition(&outcomes.values))
            .ok_or_else(|| StrategyError::Fit {
                reason: "the results cannot be put on one scale".to_owned(),
            })?;
        let means = posterior.fitted(&outcomes.values);
        // What is expected of a trial that runs is to be improved on, too: or the next would go to the same place.
        let mut incumbent = means.iter().copied().fold(f64::INFINITY, f64::min);
        for running in view.running {
            incumbent = incumbent.min(posterior.append(&self.layout, running.encoded));
        }
        self.search(view, &results, &means, incumbent, width, posterior)
    }

    /// Warp and hyperparameters of the largest evidence.
    fn fit(&self, results: &[&FinishedTrial], raw: &[Option<f64>]) -> Option<Model> {
        let chosen = fit_to(raw);
        let raw: Vec<Option<f64>> = chosen.iter().map(|&k| raw[k]).collect();
        let points = Points::from_rows(&self.layout, chosen.iter().map(|&k| &results[k].encoded[..]));
        let priors = Priors::default();
        let mut best: Option<(f64, Model)> = None;
        for (warp, odds) in WARPS.into_iter().chain([(Warp::Ranks, 0.0)]) {
            if warp == Warp::Ranks && best.is_some() {
                break;
            }
            let Some(outcomes) = warp.apply(&raw) else {
                continue;
            };
            // Another warp changes the function little: its fit begins where that of the warp before ended.
            let near = best.as_ref().map(|(_, model)| &model.hyper);
            let effort = fit::Effort {
                starts: if near.is_some() { 1 } else { 2 },
                evaluations: if near.is_some() { 20 } else { 40 },
            };
            let Some((hyper, evidence)) = fit(&self.layout, &points, &outcomes.values, &priors, near, effort)
            else {
                continue;
            };
            let evidence = evidence + outcomes.log_jacobian + odds;
            // The warps are in the order of their strength: once one is too strong, so are those after it.
            if best.as_ref().is_some_and(|(known, _)| evidence <= *known) {
                break;
            }
            best = Some((evidence, Model { warp, hyper }));
        }
        best.map(|(_, model)| model)
    }

    /// The most promising point.
    fn search(
        &self,
        view: &StudyView<'_>,
        results: &[&FinishedTrial],
        means: &[f64],
        incumbent: f64,
        width: Option<f64>,
        posterior: &Posterior,
    ) -> Result<Suggestion, StrategyError> {
        let mut order: Vec<usize> = (0..results.len()).collect();
        order.sort_by(|&a, &b| means[a].total_cmp(&means[b]));
        let centres: Vec<&[f64]> = order
            .iter()
            .take(CENTRES)
            .map(|&k| &results[k].encoded[..])
            .collect();
        let known: HashSet<u64> = view
            .finished
            .iter()
            .map(|trial| fingerprint(&trial.encoded))
            .chain(view.running.iter().map(|trial| fingerprint(trial.encoded)))
            .collect();
        let taken = |encoded: &[f64]| known.contains(&fingerprint(encoded));
        let whole = Region::whole(view.space);
        let region = width.zip(centres.first()).map(|(width, centre)| {
            Region::around(view.space, &self.layout, centre, posterior.weights(), width)
        });
        let mut rng = purpose_rng(view.seed, view.next, Purpose::Search);
        let seed = mix(view.seed ^ mix(view.next.0));
        let spread = || (0..).map(|index| self.sobol.point(seed, index));
        let search = |region: &Region, rng: &mut _| {
            let effort = search::Effort::for_points(posterior.len());
            Search {
                space: view.space,
                layout: &self.layout,
                posterior,
                acquisition: self.acquisition,
                incumbent,
                region,
                taken: &taken,
                best: &centres,
            }
            .run(effort, spread(), rng)
        };
        let found = region
            .and_then(|region| search(&region, &mut rng))
            .or_else(|| search(&whole, &mut rng));
        match found {
            Some(found) => {
                let params = view.space.decode(&found.encoded);
                Ok(Suggestion::new(view.space, params, found.encoded))
            }
            None => {
                let mut suggestion = self.sobol.suggest(view)?;
                "not from the model: every point that it looked at was tried or violates the constraints"
                    .clone_into(&mut suggestion.note);
                Ok(suggestion)
            }
        }
    }
}

impl SearchStrategy for Gp {
    fn name(&self) -> &'static str {
        "gp"
    }

    fn is_costly(&self) -> bool {
        true
    }

    fn propose(
        &self,
        view: &StudyView<'_>,
        count: usize,
        memory: &mut Memory,
    ) -> Result<Proposal, StrategyError> {
        let known: &mut Known = memory.of();
        one_by_one(view, count, |view| self.suggest(view, known))
    }
}

impl Hyper {
    /// A function that varies more than the fitted one.
    fn widened(&self) -> Self {
        let shortened = |weight: &f64| {
            let length = 1.0 / weight.sqrt();
            let length = length.min(length.sqrt().max(1.0)) * WIDE_SHARE;
            1.0 / (length * length)
        };
        Self {
            weights: self.weights.iter().map(shortened).collect(),
            amplitude: self.amplitude.max(1.0),
            noise: self.noise,
        }
    }
}

fn key(results: &[&FinishedTrial]) -> Key {
    let last = results.last();
    (
        results.len(),
        last.map_or(0, |trial| trial.trial.0),
        last.and_then(|trial| trial.value).map_or(0, f64::to_bits),
    )
}

/// Results that the model for `n` results is fitted to.
fn fit_length(n: usize) -> usize {
    let mut length = FIT_EACH;
    if n <= length {
        return n;
    }
    loop {
        let next = length + length.div_ceil(FIT_GROWTH);
        if next > n {
            return length;
        }
        length = next;
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

/// A number that tells points apart.
fn fingerprint(encoded: &[f64]) -> u64 {
    encoded.iter().fold(0, |hash, x| mix(hash ^ x.to_bits()))
}
