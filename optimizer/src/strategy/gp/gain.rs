//! What a study could still gain: how much better than its best result the best point of the space is, at most, with a stated probability.
//!
//! The rule of Wilson 2024, "Stopping Bayesian optimization with probabilistic regret bounds": a search is over once the probability is large that
//! the best result is within some distance of the optimum. The probability is that of functions drawn from the model, each with a best result and
//! an optimum of its own. The bound here is the quantile of that distance, so that comparing it with a distance is the same rule, and people see
//! a number. It counts that both are about the same function; the difference of two confidence bounds (Makarova et al. 2022, "Automatic
//! termination for hyperparameter optimization") does not, and is several times as large, so that its limits have to be guessed anew for each
//! problem.
//!
//! Where we differ: functions are drawn at points that are dense where an optimum may be, and not as paths over all of the space, so that
//! levels, categories and conditions need nothing of their own ([`Draws`]). The models are the strategy's own with shorter length scales, whatever
//! strategy proposed the points: a fitted model is surer of itself than a few dozen results justify.
//!
//! # Invariants
//!
//! * A function of space, seed, results and confidence alone.
//! * It says nothing of a study of several objectives, nor before there are a few results for each parameter.

use std::collections::HashSet;

use ndarray::{Array2, Axis};
use rand_chacha::ChaCha8Rng;
use tunesmith_common::TrialNumber;
use tunesmith_common::space::Space;
use tunesmith_common::study::Acquisition;

use super::stage::{self, Stage};
use super::{Gp, Known, Ready, fingerprint};
use crate::gp::criterion::{Criterion, Goal};
use crate::gp::edges::Edges;
use crate::gp::features::{Layout, Points};
use crate::gp::local::Region;
use crate::gp::posterior::Posterior;
use crate::gp::search::{Effort, Search};
use crate::lapack;
use crate::rng::{Purpose, mix, normal, purpose_rng};
use crate::strategy::tried::{badness, counts};
use crate::strategy::view::{FinishedTrial, StrategyError, StudyView};

/// Results of the study's own that are needed: so many, and more for each parameter.
const LEAST: (usize, usize) = (10, 3);
/// Functions drawn to find out where optima may be, and for the answer.
const SCOUTS: usize = 256;
const DRAWS: usize = 1_024;
/// Points at which functions are drawn, at most.
const POINTS: usize = 512;
/// Rounds in which points are added around the optima of functions drawn.
const ROUNDS: usize = 2;
/// Deviations by which the share of draws is raised, so that the quantile is not taken for too small by chance.
const CAUTION: f64 = 2.0;

/// Looks that have to agree: a model that is fitted anew after each few results is at times sure of what it was not sure of before, nor is after them.
pub const LOOKS: usize = 3;
/// A look is due when there are a twentieth more results than at the one before.
const GROWTH: usize = 20;

/// After how many results of a study the gain that is left is looked at: the last looks that are due when it has `results` of its own that are
/// numbers, oldest first, at most [`LOOKS`]. Their number grows with the logarithm of that of the results.
///
/// # Errors
/// The number of results that the first look needs, if there are fewer.
pub fn looks(space: &Space, results: usize) -> Result<Vec<usize>, usize> {
    let mut at = needed(&Layout::new(space));
    if results < at {
        return Err(at);
    }
    let mut looks = vec![at];
    loop {
        at += at.div_ceil(GROWTH);
        if at > results {
            return Ok(looks);
        }
        if looks.len() == LOOKS {
            looks.remove(0);
        }
        looks.push(at);
    }
}

fn needed(layout: &Layout) -> usize {
    LEAST.0 + LEAST.1 * layout.groups().len()
}

/// What is known of what could be gained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gain {
    /// Better by this at most, in units of the objective, never negative.
    AtMost(f64),
    /// There are too few results: so many that count are needed.
    TooFew(usize),
    /// The best result is not among those that are numbers.
    NoBest,
}

/// How much better than the best result of a study of one objective the best point of its space is, at most, with probability `confidence`.
///
/// `finished` is as in [`StudyView::finished`]; `best` is the trial of the study with the best result, of which the last one counts; `confidence` lies
/// between 0 and 1. May take as long as a proposal of the strategy `gp`, and longer.
///
/// # Errors
/// [`StrategyError::Fit`] if no model can be fitted.
pub fn gain_left(
    space: &Space,
    seed: u64,
    finished: &[FinishedTrial],
    best: TrialNumber,
    confidence: f64,
) -> Result<Gain, StrategyError> {
    let gp = Gp {
        is_cautious: true,
        ..Gp::new(space, Acquisition::LogEi)
    };
    let own = || finished.iter().filter(|trial| !trial.is_of_other());
    let needed = needed(&gp.layout);
    if own().filter(|trial| badness(trial).is_finite()).count() < needed {
        return Ok(Gain::TooFew(needed));
    }
    let results: Vec<&FinishedTrial> = finished.iter().filter(|trial| counts(trial)).collect();
    let is_best = |trial: &&FinishedTrial| trial.trial == best && badness(trial).is_finite();
    let Some(best) = own().rfind(is_best) else {
        return Ok(Gain::NoBest);
    };
    let best = stage::placed(Stage::of(&results), best).into_owned();
    let view = StudyView {
        space,
        seed,
        next: TrialNumber(finished.len() as u64 + 1),
        proposed: 0,
        cursor: None,
        finished,
        running: &[],
    };
    let gain = gp.with_models(&gp.whole(&view), &mut Known::default(), |ready| {
        gp.gain(&view, &ready, &best.encoded, confidence)
    })?;
    let unfit = |reason: &str| StrategyError::Fit {
        reason: reason.to_owned(),
    };
    gain.flatten().map(Gain::AtMost).ok_or_else(|| {
        unfit("the results say nothing of what lies beyond them: they are all the same, or too far apart")
    })
}

impl Gp {
    /// The quantile, if the models can say one.
    fn gain(&self, view: &StudyView<'_>, ready: &Ready<'_>, best: &[f64], confidence: f64) -> Option<f64> {
        let back = ready.objectives.as_ref()?.first()?;
        if !back.reaches_beyond() {
            return None;
        }
        let mut rng = purpose_rng(view.seed, view.next, Purpose::Gain);
        let mut draws = Draws::new(ready, best);
        self.scout(view, ready, &mut draws, &mut rng);
        let mut gains: Vec<f64> = draws
            .functions(DRAWS, &mut rng)?
            .map(|(best, optimum, _)| (back.raw(best) - back.raw(optimum)).max(0.0))
            .collect();
        gains.sort_by(f64::total_cmp);
        gains.get(rank(confidence, gains.len())).copied()
    }

    /// Adds points where functions drawn from the model may have their optima.
    fn scout(&self, view: &StudyView<'_>, ready: &Ready<'_>, draws: &mut Draws<'_>, rng: &mut ChaCha8Rng) {
        let with_goal = |goal| Criterion {
            goal,
            edges: Edges::default(),
            objectives: ready.criterion.objectives.clone(),
            constraints: ready.criterion.constraints.clone(),
        };
        let outcome = |acquisition| Goal::Outcome {
            acquisition,
            incumbent: draws.best_mean(),
        };
        let bound = with_goal(outcome(Acquisition::Ucb));
        let whole = Region::whole(view.space);
        let effort = Effort::for_points(bound.len());
        let seed = mix(view.seed ^ mix(view.next.0));
        let spread = || self.sobol.shifted(seed);
        let mut tops: Vec<Vec<f64>> = ready.centres.iter().map(|centre| centre.to_vec()).collect();
        for criterion in [
            with_goal(outcome(Acquisition::LogEi)),
            with_goal(Goal::Exploration),
        ] {
            let found = search(view, ready, &whole, &criterion, &ready.centres).run(effort, spread(), rng);
            tops.extend(found.map(|found| found.encoded));
        }
        let mut spread: Vec<Vec<f64>> = spread().take(4 * effort.spread).collect();
        spread.extend(tops.iter().cloned());
        for round in 0..=ROUNDS {
            let best: Vec<&[f64]> = tops.iter().map(Vec::as_slice).collect();
            let mut found = search(view, ready, &whole, &bound, &best).look(
                std::mem::take(&mut spread),
                4 * effort.around,
                rng,
            );
            found.sort_by(|a, b| b.value.total_cmp(&a.value));
            let room = POINTS * (round + 1) / (ROUNDS + 1);
            draws.add(found.into_iter().map(|found| found.encoded), room);
            if round < ROUNDS
                && let Some(functions) = draws.functions(SCOUTS, rng)
            {
                let optima: Vec<usize> = functions.filter_map(|(.., at)| at).collect();
                let mut seen = HashSet::new();
                tops = optima
                    .into_iter()
                    .filter(|at| seen.insert(*at))
                    .map(|at| draws.points[at].clone())
                    .collect();
                if tops.is_empty() {
                    tops.push(draws.best.to_vec());
                }
            }
        }
    }
}

/// A search of all of the space, where points that were tried may be found again.
fn search<'a>(
    view: &StudyView<'a>,
    ready: &'a Ready<'_>,
    region: &'a Region,
    criterion: &'a Criterion<'a>,
    best: &'a [&'a [f64]],
) -> Search<'a> {
    Search {
        space: view.space,
        layout: ready.layout,
        criterion,
        region,
        taken: &|_| false,
        best,
    }
}

/// Functions drawn from the models at some points, of which the first is the best result.
struct Draws<'a> {
    ready: &'a Ready<'a>,
    best: &'a [f64],
    points: Vec<Vec<f64>>,
    known: HashSet<u64>,
}

impl<'a> Draws<'a> {
    fn new(ready: &'a Ready<'a>, best: &'a [f64]) -> Self {
        Self {
            ready,
            best,
            points: Vec::new(),
            known: HashSet::new(),
        }
    }

    /// What the model expects of the best result.
    fn best_mean(&self) -> f64 {
        let layout = self.ready.layout;
        let at = Points::from_rows(layout, [self.best]);
        let model = self.ready.criterion.objectives.first();
        model
            .and_then(|model| model.means(layout, &at).pop())
            .unwrap_or(0.0)
    }

    /// Adds points until there are `room`.
    fn add(&mut self, points: impl Iterator<Item = Vec<f64>>, room: usize) {
        for point in points {
            if self.points.len() >= room {
                break;
            }
            if self.known.insert(fingerprint(&point)) {
                self.points.push(point);
            }
        }
    }

    /// For each of `count` functions, which are smaller where they are better: its value at the best result, its optimum among the points that keep the measured
    /// constraints, and where that is, if it is not the best result itself. None if the model has no factor there.
    fn functions(
        &self,
        count: usize,
        rng: &mut ChaCha8Rng,
    ) -> Option<impl Iterator<Item = (f64, f64, Option<usize>)> + use<>> {
        let layout = self.ready.layout;
        let rows = std::iter::once(self.best).chain(self.points.iter().map(Vec::as_slice));
        let at = Points::from_rows(layout, rows);
        let criterion = &self.ready.criterion;
        let outcomes = draw(criterion.objectives.first()?, layout, &at, count, rng)?;
        let mut violations = Vec::with_capacity(criterion.constraints.len());
        for (model, limit) in &criterion.constraints {
            violations.push((draw(model, layout, &at, count, rng)?, *limit));
        }
        Some((0..count).map(move |k| {
            let best = outcomes[(0, k)];
            let mut optimum = (best, None);
            for i in 1..outcomes.nrows() {
                // The best result is known to keep the constraints.
                let keeps = violations.iter().all(|(by, limit)| by[(i, k)] <= *limit);
                if keeps && outcomes[(i, k)] < optimum.0 {
                    optimum = (outcomes[(i, k)], Some(i - 1));
                }
            }
            (best, optimum.0, optimum.1)
        }))
    }
}

/// Functions drawn from a model at some points, shape `(m, count)`: each column is one. None if their covariance has no Cholesky factor.
fn draw(
    model: &Posterior,
    layout: &Layout,
    at: &Points,
    count: usize,
    rng: &mut ChaCha8Rng,
) -> Option<Array2<f64>> {
    /// What is added to the diagonal, as shares of the function's variance before any result, until there is a factor: points lie next to one
    /// another and next to results, and what is left of the variance there is a small difference of large numbers.
    const JITTERS: [f64; 4] = [1e-11, 1e-9, 1e-8, 1e-7];
    let (mean, mut covariance) = model.joint(layout, at);
    let factor = JITTERS.iter().find_map(|jitter| {
        covariance
            .diag_mut()
            .mapv_inplace(|x| x + jitter * model.amplitude());
        lapack::cholesky(&covariance)
    })?;
    let normals = Array2::from_shape_simple_fn((at.len(), count), || normal(rng));
    Some(factor.dot(&normals) + mean.insert_axis(Axis(1)))
}

/// Which of `count` sorted draws is the quantile: the share and [`CAUTION`] deviations of it, so that the draws that were made are hardly ever
/// too few large ones.
fn rank(confidence: f64, count: usize) -> usize {
    let n = count as f64;
    let rank = confidence * n + CAUTION * (n * confidence * (1.0 - confidence)).sqrt();
    (0..count)
        .take_while(|k| (*k as f64) < rank)
        .count()
        .min(count.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use tunesmith_common::ParamValue;
    use tunesmith_common::space::{Domain, Parameter};

    use super::*;
    use crate::gp::fit::Hyper;

    /// A space in which nothing varies.
    fn constant() -> Space {
        let parameter = Parameter {
            name: "x".parse().unwrap(),
            domain: Domain::Constant(ParamValue::Bool(true)),
            conditions: Vec::new(),
        };
        Space::new(vec![parameter], Vec::new()).unwrap()
    }

    #[test]
    fn the_gain_at_one_point_is_the_quantile_of_a_normal_distribution() {
        // f(a) - f(b) is normal with mean m_a - m_b and variance v_a + v_b - 2 c, so that its 95 % quantile is known.
        let space = constant();
        let layout = Layout::new(&space).with_fidelity(0);
        let rows: [&[f64]; 4] = [&[0.0], &[0.2], &[0.45], &[1.0]];
        let hyper = Hyper {
            kernel: crate::gp::kernel::Kernel::Matern,
            weights: vec![6.0],
            amplitude: 2.0,
            noise: 0.05,
            trend: 0.1,
        };
        let mut model = Posterior::new(&layout, Points::from_rows(&layout, rows), hyper).unwrap();
        assert!(model.condition(&[0.3, -0.5, 0.1, 1.0]));
        let at = Points::from_rows(&layout, [&[0.2_f64] as &[f64], &[0.75]]);
        let (mean, covariance) = model.joint(&layout, &at);
        let deviation = (covariance[(0, 0)] + covariance[(1, 1)] - 2.0 * covariance[(0, 1)]).sqrt();
        let expected = mean[0] - mean[1] + 1.644_853_627 * deviation;
        let mut rng = purpose_rng(7, TrialNumber(1), Purpose::Gain);
        let count = 40_000;
        let functions = draw(&model, &layout, &at, count, &mut rng).unwrap();
        let mut gains: Vec<f64> = (0..count)
            .map(|k| functions[(0, k)] - functions[(1, k)])
            .collect();
        gains.sort_by(f64::total_cmp);
        // Of so many draws a quantile is off by 0.02 deviations at most, with a chance of one in a thousand that the seed does not change.
        let found = gains[count * 95 / 100];
        assert!(
            (found - expected).abs() < 0.03 * deviation,
            "{found} {expected} {deviation}"
        );
    }

    #[test]
    fn the_quantile_is_taken_from_draws_that_are_enough_for_it() {
        // 0.95 * 1024 = 972.8, and two deviations of 6.97.
        assert_eq!(rank(0.95, 1024), 987);
        assert_eq!(rank(0.99, 10), 9);
        assert_eq!(rank(0.5, 100), 60);
    }

    #[test]
    fn looks_come_ever_more_seldom_and_the_last_ones_are_told() {
        let space = constant();
        assert_eq!(looks(&space, 9), Err(10));
        assert_eq!(looks(&space, 10), Ok(vec![10]));
        assert_eq!(looks(&space, 12), Ok(vec![10, 11, 12]));
        assert_eq!(looks(&space, 13), Ok(vec![11, 12, 13]));
        let mut all: Vec<usize> = (10..100_000)
            .filter_map(|n| looks(&space, n).ok()?.pop())
            .collect();
        all.dedup();
        assert!(all.len() < 190, "{}", all.len());
        for three in all.windows(3) {
            assert_eq!(looks(&space, three[2]), Ok(three.to_vec()));
            assert!(three[1] == three[0] + three[0].div_ceil(20));
        }
    }
}
