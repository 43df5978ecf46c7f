//! Bayesian optimisation with a Gaussian process: for trainings that take long, where each trial should teach as much as it can.
//!
//! The first trials are spread over the space (scrambled Sobol). From then on each trial goes where the expected improvement is
//! largest under a model of all results so far ([`crate::gp`]). Every third trial uses the same model with shorter length scales: a
//! fitted model is surer of itself than a few dozen results justify, and looks for improvements next to the best trial for too long.
//! Trials that run count as if they had ended as the model expects, so that several at a time do not all go to the same place.
//!
//! Each objective and each measured constraint has a model of its own ([`columns`]). With several objectives each trial goes where the expected
//! improvement of the hypervolume is largest; constraints count by the probability that they hold ([`aim`]).
//!
//! A trial that was stopped early is a result of a training that went no further. As soon as there is one, how far trainings went is one more
//! coordinate of the model (as in Swersky, Snoek and Adams 2013, "Multi-task Bayesian optimization", with the tasks in a row), and what is expected of a point is expected
//! of a whole training ([`stage`]).
//!
//! # Invariants
//!
//! * Hyperparameters are fitted to a beginning of the history whose length grows in steps, from starting points that do not depend on
//!   earlier fits. So a proposal is a function of the history alone, however often and for how many trials one is asked for.
//! * The factor of the covariance matrix is that of this beginning, with the later trials appended one by one: bit for bit the same
//!   whether it was kept or made again.

use std::borrow::Cow;
use std::collections::HashSet;

use tunesmith_common::space::Space;
use tunesmith_common::study::Acquisition;

use self::aim::{Seen, aim};
use self::columns::{Model, columns};
use self::elsewhere::{Aside, Rest};
use self::stage::Stage;
use super::SearchStrategy;
use super::memory::Memory;
use super::sobol::Sobol;
use super::standing::{badnesses, constraints};
use super::tried::counts;
use super::untried::spread;
use super::view::{Expected, FinishedTrial, Proposal, StrategyError, StudyView, Suggestion, one_by_one};
use crate::gp::criterion::Criterion;
use crate::gp::edges::Edges;
use crate::gp::features::{Layout, Points};
use crate::gp::local::{self, Region};
use crate::gp::outcome::Back;
use crate::gp::posterior::Posterior;
use crate::gp::search::{self, Candidate, Search};
use crate::rng::{Purpose, mix, purpose_rng};

mod aim;
mod choice;
mod columns;
mod elsewhere;
mod gain;
mod stage;

pub use gain::{Gain, LOOKS, gain_left, looks};

/// Trials before the first model: two more than there are parameters, within these.
const STARTUP: (usize, usize) = (4, 10);
/// Results up to which the model is fitted anew each time; beyond, when there are a fourteenth more.
const FIT_EACH: usize = 40;
const FIT_GROWTH: usize = 14;
/// Every how many trials the length scales of numbers are shortened.
const WIDE_EVERY: u64 = 3;
/// With several objectives: every how many trials the front is to grow at its ends.
const FAR_EVERY: u64 = 2;
/// Of the trials with shorter length scales, which are not for coming closer to a place that is known well, all go elsewhere where a larger share than this does.
const WIDE_ELSEWHERE: f64 = 0.3;
/// Where more than this share of the trials go elsewhere, and nothing is left there, they go far from everything known.
const FAR_SHARE: f64 = 0.75;
/// With more results than the model holds: every how many trials the whole space is searched, and not only where the model is trusted.
const GLOBAL_EVERY: u64 = 5;

/// The strategy.
#[derive(Debug)]
pub(super) struct Gp {
    sobol: Sobol,
    layout: Layout,
    /// The same with how far a training went.
    staged: Layout,
    acquisition: Acquisition,
    startup: usize,
    /// Whether its models are those that expect more of what is not known: the wide ones, and only warps that leave room for much better outcomes.
    is_cautious: bool,
}

/// What is kept between proposals: each entry with what it was made from. The posteriors are those of the columns that have a model, of so
/// many of the results that it holds.
#[derive(Default)]
struct Known {
    fitted: Option<Fitted>,
    plain: Option<(Key, usize, Vec<Posterior>)>,
    wide: Option<(Key, usize, Vec<Posterior>)>,
}

/// What is kept for a study, and for what is left of it each time that something is left aside.
type Levels = [Known; 1 + elsewhere::MOST];

/// A study, or what is left of it.
struct Part<'a> {
    view: StudyView<'a>,
    /// Results and trials that run without which there is no model.
    least: usize,
    /// What is left, if something was left aside.
    rest: Option<&'a Rest<'a>>,
}

/// Models that know all results, and what they are used for.
struct Ready<'a> {
    layout: &'a Layout,
    criterion: Criterion<'a>,
    /// Results that the hyperparameters were fitted to, the first ones, and a number that tells them from others; and the fitted inverse squared length
    /// scales of the first objective.
    beginning: usize,
    made_from: u64,
    weights: &'a [f64],
    /// Whether there is one objective, no measured constraint, and a model of all results.
    is_plain: bool,
    /// Results around which the best point is looked for first.
    centres: Vec<&'a [f64]>,
    /// Width of the box in which the model is trusted, if it is not all of the space.
    width: Option<f64>,
    /// The way back to the study's objectives, if each of them has a model.
    objectives: Option<Vec<Back>>,
}

/// The results that something was made from: how many of the history's first, and which the last one was.
type Key = (usize, u64, u64);

/// A model for each column, if it can be fitted.
struct Fitted {
    made_from: Key,
    /// Which of these results the models hold.
    chosen: Vec<usize>,
    models: Vec<Option<Model>>,
}

impl Gp {
    pub(super) fn new(space: &Space, acquisition: Acquisition) -> Self {
        let layout = Layout::new(space);
        Self {
            sobol: Sobol::new(space.dimensions().len()),
            startup: (layout.groups().len() + 2).clamp(STARTUP.0, STARTUP.1),
            staged: layout.clone().with_fidelity(space.dimensions().len()),
            layout,
            acquisition,
            is_cautious: false,
        }
    }

    fn suggest(&self, view: &StudyView<'_>, levels: &mut Levels) -> Result<Suggestion, StrategyError> {
        let Some(chosen) = self.choose(view, levels)? else {
            let mut suggestion = spread(&self.sobol, view)?;
            if view.finished.iter().filter(|trial| counts(trial)).count() >= self.startup {
                "not from a model: no two results are numbers that differ".clone_into(&mut suggestion.note);
            }
            return Ok(suggestion);
        };
        let why = chosen.why();
        let Some(found) = chosen.found else {
            let mut suggestion = spread(&self.sobol, view)?;
            "not from the model: every point that it looked at was tried or violates the constraints"
                .clone_into(&mut suggestion.note);
            return Ok(suggestion);
        };
        let params = view.space.decode(&found.encoded);
        let mut suggestion = Suggestion::new(view.space, params, found.encoded);
        why.clone_into(&mut suggestion.note);
        Ok(suggestion)
    }

    /// All of a study.
    fn whole<'a>(&self, view: &StudyView<'a>) -> Part<'a> {
        Part {
            view: *view,
            least: self.startup,
            rest: None,
        }
    }

    /// What `then` makes of the models of all results; none if there are too few of them.
    fn with_models<T>(
        &self,
        part: &Part<'_>,
        known: &mut Known,
        then: impl FnOnce(Ready<'_>) -> T,
    ) -> Result<Option<T>, StrategyError> {
        let view = &part.view;
        let results: Vec<&FinishedTrial> = view.finished.iter().filter(|trial| counts(trial)).collect();
        let (columns, made) = columns(view, &results);
        let is_exact = made == 0;
        let dimensions = view.space.dimensions().len();
        let begun = results.len() + view.running.len();
        if begun < part.least
            || !columns
                .iter()
                .any(|column| !column.is_constraint && column.varies())
        {
            return Ok(None);
        }
        let is_local = results.len() >= local::FROM;
        let beginning = match part.rest {
            _ if is_local => local::seen(results.len()),
            Some(rest) => rest.beginning,
            None => fit_length(results.len()),
        };
        // Which results are left depends on the model before.
        let made = made ^ part.rest.map_or(0, |rest| rest.made_from);
        let stage = Stage::of(&results);
        let layout = if stage.is_some() {
            &self.staged
        } else {
            &self.layout
        };
        let key = key(&results[..beginning], made ^ stage.map_or(0, Stage::fingerprint));
        if known.fitted.as_ref().is_none_or(|fitted| fitted.made_from != key) {
            let chosen = if is_local {
                let rows: Vec<&[f64]> = results[..beginning]
                    .iter()
                    .map(|trial| &trial.encoded[..])
                    .collect();
                let badness = badnesses(&results[..beginning]);
                local::choose(&self.layout, view.seed, &rows, |k| badness[k])
            } else {
                (0..beginning).collect()
            };
            let held: Vec<Cow<'_, FinishedTrial>> =
                chosen.iter().map(|&k| stage::placed(stage, results[k])).collect();
            let held: Vec<&FinishedTrial> = held.iter().map(Cow::as_ref).collect();
            let models = columns
                .iter()
                .map(|column| column.at(&chosen).fit(layout, &held, self.is_cautious));
            *known = Known {
                fitted: Some(Fitted {
                    models: models.collect(),
                    made_from: key,
                    chosen,
                }),
                ..Known::default()
            };
        }
        let unfit = |reason: String| StrategyError::Fit { reason };
        let fitted = known.fitted.as_ref().filter(|fitted| {
            let mut both = fitted.models.iter().zip(&columns);
            both.any(|(model, column)| model.is_some() && !column.is_constraint)
        });
        let Some(Fitted { models, chosen, .. }) = fitted else {
            return Err(unfit(format!(
                "no hyperparameters fit the first {beginning} results"
            )));
        };
        // The box around the best result is for one objective, of which it is known what is better.
        let width = (is_local && columns.len() == 1).then(|| {
            let outcomes = results.iter().zip(badnesses(&results)).map(|(trial, value)| {
                let counts = !trial.trial.0.is_multiple_of(GLOBAL_EVERY);
                (value, counts)
            });
            local::width(outcomes, self.layout.groups().len())
        });
        let width = width.filter(|_| !view.next.0.is_multiple_of(GLOBAL_EVERY));
        let constraints = constraints(&results);
        let held: Vec<usize> = chosen.iter().copied().chain(beginning..results.len()).collect();
        let results: Vec<Cow<'_, FinishedTrial>> =
            held.iter().map(|&k| stage::placed(stage, results[k])).collect();
        let results: Vec<&FinishedTrial> = results.iter().map(Cow::as_ref).collect();
        let wide = self.is_cautious || view.next.0.is_multiple_of(WIDE_EVERY);
        let slot = if wide { &mut known.wide } else { &mut known.plain };
        let is_current =
            |(made_from, seen, _): &(Key, usize, Vec<Posterior>)| *made_from == key && *seen <= results.len();
        // Those whose models fit: one that has the same outcome everywhere says nothing.
        let modelled = || {
            columns
                .iter()
                .zip(models)
                .filter_map(|(column, model)| Some((column, model.as_ref()?)))
        };
        if !slot.as_ref().is_some_and(is_current) {
            let held = &results[..chosen.len()];
            let posteriors = modelled().map(|(_, model)| {
                let points = Points::from_rows(layout, held.iter().map(|trial| &trial.encoded[..]));
                let hyper = if wide {
                    model.hyper.widened(&self.layout, self.is_cautious)
                } else {
                    model.hyper.clone()
                };
                Posterior::new(layout, points, hyper)
            });
            let posteriors = posteriors.collect::<Option<Vec<_>>>().ok_or_else(|| {
                unfit(format!(
                    "the covariance matrix of {} results has no Cholesky factor",
                    chosen.len()
                ))
            })?;
            *slot = Some((key, chosen.len(), posteriors));
        }
        let Some((_, seen, posteriors)) = slot else {
            unreachable!("it was made above");
        };
        let (mut means, mut limits, mut backs) = (Vec::new(), Vec::new(), Vec::new());
        for (posterior, (column, model)) in posteriors.iter_mut().zip(modelled()) {
            posterior.truncate(*seen);
            for trial in &results[*seen..] {
                posterior.append(layout, &trial.encoded);
            }
            let (outcomes, limit, back) = column
                .at(&held)
                .outcomes(model)
                .filter(|(outcomes, ..)| posterior.condition(outcomes))
                .ok_or_else(|| unfit("the results cannot be put on one scale".to_owned()))?;
            if column.is_constraint {
                limits.push(limit);
            } else {
                means.push(match stage {
                    None => posterior.fitted(&outcomes),
                    // What they would have come to.
                    Some(_) => {
                        let whole = results.iter().map(|trial| &trial.encoded[..dimensions]);
                        posterior.means(layout, &Points::from_rows(layout, whole))
                    }
                });
            }
            backs.extend(back);
        }
        *seen = results.len();
        let mut running: Vec<(Vec<f64>, bool)> = Vec::with_capacity(view.running.len());
        for trial in view.running {
            let expected = posteriors
                .iter_mut()
                .map(|posterior| posterior.append(layout, trial.encoded));
            let mut expected: Vec<f64> = expected.collect();
            let violations = expected.split_off(means.len());
            let holds = violations.iter().zip(&limits).all(|(by, limit)| by <= limit);
            running.push((expected, holds));
        }
        let expected = Seen {
            results: &results,
            means: &means,
            running: &running,
            constraints,
            far: view.next.0.is_multiple_of(FAR_EVERY),
        };
        let (goal, centres) = aim(&expected, self.acquisition);
        let centres: Vec<&[f64]> = centres.into_iter().map(|centre| &centre[..dimensions]).collect();
        let (objectives, violations) = posteriors.split_at(means.len());
        let edges = objectives
            .first()
            .map(|model| Edges::new(layout, model.weights(), &centres));
        let criterion = Criterion {
            goal,
            edges: edges.unwrap_or_default(),
            objectives: objectives.iter().collect(),
            constraints: violations.iter().zip(limits).collect(),
        };
        // Of a weighted sum of objectives nobody knows what it means.
        let objectives = columns.iter().filter(|column| !column.is_constraint).count();
        let modelled = criterion.objectives.len();
        let weights = models
            .iter()
            .flatten()
            .next()
            .map(|model| &model.hyper.weights[..]);
        Ok(Some(then(Ready {
            objectives: (modelled == objectives && is_exact).then_some(backs),
            beginning,
            made_from: mix(key.0 as u64 ^ mix(key.1 ^ mix(key.2))),
            weights: weights.unwrap_or_default(),
            is_plain: columns.len() == 1 && is_exact && !is_local,
            layout,
            criterion,
            centres,
            width,
        })))
    }

    /// The most promising point that was not tried, nor left `aside`.
    fn search(
        &self,
        view: &StudyView<'_>,
        ready: &Ready<'_>,
        aside: Option<&Aside>,
        effort: search::Effort,
    ) -> Option<Candidate> {
        let Ready {
            layout,
            criterion,
            centres,
            width,
            ..
        } = ready;
        let known: HashSet<u64> = view
            .finished
            .iter()
            .map(|trial| fingerprint(&trial.encoded))
            .chain(view.running.iter().map(|trial| fingerprint(trial.encoded)))
            .collect();
        let taken = |encoded: &[f64]| {
            known.contains(&fingerprint(encoded))
                || aside.is_some_and(|aside| aside.holds(&self.layout, encoded))
        };
        let whole = Region::whole(view.space);
        let around = width.zip(centres.first()).zip(criterion.objectives.first());
        let region = around.map(|((width, centre), model)| {
            let weights = &model.weights()[..self.layout.groups().len()];
            Region::around(view.space, &self.layout, centre, weights, width)
        });
        let mut rng = purpose_rng(view.seed, view.next, Purpose::Search);
        let seed = mix(view.seed ^ mix(view.next.0));
        let spread = || self.sobol.shifted(seed);
        let search = |region: &Region, rng: &mut _| {
            Search {
                space: view.space,
                layout,
                criterion,
                region,
                taken: &taken,
                best: centres,
            }
            .run(effort, spread(), rng)
        };
        region
            .and_then(|region| search(&region, &mut rng))
            .or_else(|| search(&whole, &mut rng))
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
        let levels: &mut Levels = memory.of();
        one_by_one(view, count, |view| self.suggest(view, levels))
    }

    fn expect(
        &self,
        view: &StudyView<'_>,
        points: &[Vec<f64>],
        memory: &mut Memory,
    ) -> Result<Expected, StrategyError> {
        let levels: &mut Levels = memory.of();
        let expected = self.choose(view, levels)?.and_then(|chosen| {
            let whole = self.whole(view);
            let expected = self.with_models(&whole, &mut levels[0], |ready| {
                let at = Points::from_rows(ready.layout, points.iter().map(Vec::as_slice));
                let backs = ready.objectives.unwrap_or_default();
                let of_objective = |(model, back): (&&Posterior, &Back)| {
                    let expected = |(mean, variance): (f64, f64)| {
                        let deviation = variance.max(0.0).sqrt();
                        [mean, mean - deviation, mean + deviation].map(|outcome| back.raw(outcome))
                    };
                    model
                        .predict(ready.layout, &at)
                        .into_iter()
                        .map(expected)
                        .collect()
                };
                let models = ready.criterion.objectives.iter().zip(&backs);
                models.map(of_objective).collect()
            });
            let (acquisition, promise) = self.promise(view, &chosen, levels, points)?;
            Some(Expected {
                objectives: expected.ok()??,
                acquisition,
                promise,
            })
        });
        expected.ok_or_else(|| StrategyError::Fit {
            reason:
                "there are too few results, or all are the same; the first trials are spread over the space"
                    .to_owned(),
        })
    }
}

fn key(results: &[&FinishedTrial], made: u64) -> Key {
    let last = results.last();
    let values = last.into_iter().flat_map(|trial| {
        let further = trial.others.iter().chain(&trial.violations).copied();
        trial.value.into_iter().chain(further)
    });
    (
        results.len(),
        last.map_or(0, |trial| trial.trial.0),
        values.fold(made, |hash, value| mix(hash ^ value.to_bits())),
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

/// A number that tells points apart.
fn fingerprint(encoded: &[f64]) -> u64 {
    encoded.iter().fold(0, |hash, x| mix(hash ^ x.to_bits()))
}
