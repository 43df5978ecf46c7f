//! Choosing the next point: where it promises most, and where little is promised there, elsewhere.

use tunesmith_common::study::Acquisition;

use super::super::tried::{badness, counts};
use super::super::view::{FinishedTrial, StrategyError, StudyView};
use super::elsewhere::{self, Aside, Rest, share};
use super::{FAR_SHARE, Gp, Levels, Part, Ready, WIDE_ELSEWHERE, WIDE_EVERY};
use crate::gp::acquisition;
use crate::gp::criterion::Goal;
use crate::gp::features::Points;
use crate::gp::search::{Candidate, Effort};
use crate::rng::mix;

/// The fractional parts of the multiples of the golden ratio: of any share of consecutive trials those at or below it are spread evenly.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// The point chosen, if there is one that was not tried, and why.
pub(super) struct Chosen<'a> {
    pub(super) found: Option<Candidate>,
    aim: Aim,
    /// What was left of the study.
    rest: Option<Rest<'a>>,
    /// How often something was left aside.
    level: usize,
}

/// What a point is chosen by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aim {
    /// The study's acquisition function, or what takes its place.
    Promise,
    /// The best value that is expected.
    Best,
    /// How far from everything known.
    Unknown,
}

/// What follows from the most promising point.
enum Next<'a> {
    Settled(Option<Candidate>, Aim),
    /// The point to fall back to, and what is left of the study.
    Elsewhere(Option<Candidate>, Box<Rest<'a>>),
}

impl Chosen<'_> {
    /// What people should know of it.
    pub(super) fn why(&self) -> &'static str {
        match (self.aim, self.level) {
            (Aim::Promise, 0) => "",
            (Aim::Promise, _) => "away from the best results, close to which little is to be gained",
            (Aim::Best, 0) => "where the best value is expected: little is to be gained any more",
            (Aim::Best, _) => "where the best value is expected away from the best results",
            (Aim::Unknown, _) => {
                "far from all that was tried, since little is to be gained where most is expected"
            }
        }
    }
}

impl Gp {
    /// The next point. None if there are too few results for a model.
    pub(super) fn choose<'a>(
        &self,
        view: &StudyView<'a>,
        levels: &mut Levels,
    ) -> Result<Option<Chosen<'a>>, StrategyError> {
        let mut chosen: Option<Chosen<'a>> = None;
        let mut left: Option<Rest<'a>> = None;
        for (level, known) in levels.iter_mut().enumerate() {
            let part = self.part(view, left.as_ref());
            let next = self.with_models(&part, known, |ready| self.next(view, &part, ready, level));
            let next = match next {
                Ok(Some(next)) => next,
                // Of what is left there is no model: the point found before stands.
                Ok(None) | Err(_) if level > 0 => break,
                Ok(None) => return Ok(None),
                Err(error) => return Err(error),
            };
            let (found, aim, rest) = match next {
                Next::Settled(found, aim) => (found, aim, None),
                Next::Elsewhere(found, rest) => (found, Aim::Promise, Some(*rest)),
            };
            let ends = rest.is_none();
            chosen = Some(Chosen {
                found,
                aim,
                rest: std::mem::replace(&mut left, rest),
                level,
            });
            if ends {
                break;
            }
        }
        Ok(chosen)
    }

    /// What is left of a study, or all of it.
    fn part<'b>(&self, view: &StudyView<'b>, rest: Option<&'b Rest<'b>>) -> Part<'b> {
        match rest {
            None => self.whole(view),
            Some(rest) => Part {
                view: rest.view(view),
                least: elsewhere::LEAST,
                rest: Some(rest),
            },
        }
    }

    /// The best point by models of a part of the study, or what is left without what is around the best result.
    fn next<'a>(
        &self,
        view: &StudyView<'a>,
        part: &Part<'_>,
        mut ready: Ready<'_>,
        level: usize,
    ) -> Next<'a> {
        let aside = part.rest.map(|rest| &rest.aside);
        let effort = Effort::for_points(ready.criterion.len());
        let found = self.search(view, &ready, aside, effort);
        let gain = if level < elsewhere::MOST && ready.is_plain {
            found
                .as_ref()
                .and_then(|found| self.expected_gain(part, &ready, found))
        } else {
            None
        };
        let noise = ready
            .criterion
            .objectives
            .first()
            .map_or(0.0, |model| model.noise_share());
        let share = gain.map_or(0.0, |gain| share(gain, noise));
        if share <= 0.0 {
            return Next::Settled(found, Aim::Promise);
        }
        let place = (view.next.0 as f64 * GOLDEN).fract();
        let is_wide = view.next.0.is_multiple_of(WIDE_EVERY);
        if place < share || (is_wide && share > WIDE_ELSEWHERE) {
            let results: Vec<&FinishedTrial> =
                part.view.finished.iter().filter(|trial| counts(trial)).collect();
            let made = (ready.beginning, ready.weights, ready.made_from);
            let rest = Rest::new(&self.layout, view, &results, badness, made, aside);
            if let Some(rest) = rest {
                return Next::Elsewhere(found, Box::new(rest));
            }
            // All results belong together: until their best place is known well, more is to be gained there than far from everything.
            if share <= FAR_SHARE {
                return Next::Settled(found, Aim::Promise);
            }
            let far = self.farthest(view, &part.view, aside, ready.weights);
            return Next::Settled(far.or(found), Aim::Unknown);
        }
        ready.criterion.goal = Goal::Mean;
        let best = self.search(view, &ready, aside, effort.nearby());
        // A trial that runs changes nothing of the mean: another one would go to the same place.
        let is_awaited = best.as_ref().is_some_and(|best| {
            let at = std::slice::from_ref(&best.encoded);
            let running = part.view.running.iter().map(|trial| trial.encoded);
            let finished = part.view.finished.iter().map(|trial| &trial.encoded[..]);
            self.distances(ready.weights, at, running) < self.distances(ready.weights, at, finished)
        });
        // The best mean is nearly always of the best result's categories. Others are tried while they may be better.
        let are_others_open = found
            .as_ref()
            .zip(best.as_ref())
            .is_some_and(|(found, best)| !self.layout.same_categories(&found.encoded, &best.encoded));
        if is_awaited || are_others_open {
            return Next::Settled(found, Aim::Promise);
        }
        Next::Settled(best, Aim::Best)
    }

    /// Of points spread over the space the one that is farthest from all that was tried, by a model's length scales.
    fn farthest(
        &self,
        view: &StudyView<'_>,
        part: &StudyView<'_>,
        aside: Option<&Aside>,
        weights: &[f64],
    ) -> Option<Candidate> {
        /// Points that are compared.
        const SPREAD: usize = 512;
        let seed = mix(view.seed ^ mix(view.next.0));
        let spread = self.sobol.shifted(seed).take(SPREAD).map(|point| {
            let mut encoded = vec![0.0; point.len()];
            view.space.snap(&point, &mut encoded);
            encoded
        });
        let is_open = |encoded: &Vec<f64>| {
            !aside.is_some_and(|aside| aside.holds(&self.layout, encoded))
                && (view.space.constraints().is_empty() || view.space.satisfies(&view.space.decode(encoded)))
        };
        let open: Vec<Vec<f64>> = spread.filter(is_open).collect();
        let far = self.unknown(part, weights, &open);
        let farthest = open.into_iter().zip(far).max_by(|(_, a), (_, b)| a.total_cmp(b));
        let (encoded, value) = farthest.filter(|(_, squared)| *squared > 0.0)?;
        Some(Candidate {
            latent: encoded.clone(),
            encoded,
            value,
        })
    }

    /// The squared distance of each point from what is nearest to it of all that was tried.
    fn unknown(&self, part: &StudyView<'_>, weights: &[f64], points: &[Vec<f64>]) -> Vec<f64> {
        let finished = part.finished.iter().map(|trial| &trial.encoded[..]);
        let tried = finished.chain(part.running.iter().map(|trial| trial.encoded));
        self.distances(weights, points, tried)
    }

    /// The squared distance of each point from the nearest of others, infinite if there are none.
    fn distances<'p>(
        &self,
        weights: &[f64],
        points: &[Vec<f64>],
        others: impl Iterator<Item = &'p [f64]>,
    ) -> Vec<f64> {
        let others = Points::from_rows(&self.layout, others);
        let points = Points::from_rows(&self.layout, points.iter().map(Vec::as_slice));
        let mut squared = vec![0.0; others.len()];
        let nearest = |i| {
            points.distances(&self.layout, weights, i, &others, &mut squared);
            squared.iter().copied().fold(f64::INFINITY, f64::min)
        };
        (0..points.len()).map(nearest).collect()
    }

    /// The improvement expected at a point, as a share of how much better the best result is than the better quarter of the study's first ones, which were
    /// spread over the space; both on the model's scale, on which a tenth of what is left counts as much however little that is.
    fn expected_gain(&self, part: &Part<'_>, ready: &Ready<'_>, found: &Candidate) -> Option<f64> {
        let Goal::Outcome { incumbent, .. } = ready.criterion.goal else {
            return None;
        };
        let (model, back) = (
            ready.criterion.objectives.first()?,
            ready.objectives.as_ref()?.first()?,
        );
        let at = Points::from_rows(ready.layout, [&found.encoded[..]]);
        let &(mean, variance) = model.predict(ready.layout, &at).first()?;
        let (log, ..) = acquisition::value(Acquisition::LogEi, incumbent, mean, variance);
        let finished = part.view.finished.iter();
        let least = finished.clone().map(badness).fold(f64::INFINITY, f64::min);
        let mut first: Vec<f64> = finished
            .take(self.startup)
            .map(badness)
            .filter(|value| value.is_finite())
            .collect();
        first.sort_by(f64::total_cmp);
        let spread = back.outcome(*first.get(first.len() / 4)?) - back.outcome(least);
        (spread > 0.0).then(|| log.exp() / spread)
    }

    /// The name of what a point was chosen by, and how promising others are by it: those that were left aside as little as the least of the others.
    pub(super) fn promise(
        &self,
        view: &StudyView<'_>,
        chosen: &Chosen<'_>,
        levels: &mut Levels,
        points: &[Vec<f64>],
    ) -> Option<(&'static str, Vec<f64>)> {
        let part = self.part(view, chosen.rest.as_ref());
        let promise = self.with_models(&part, &mut levels[chosen.level], |mut ready| {
            if chosen.aim == Aim::Best {
                ready.criterion.goal = Goal::Mean;
            }
            let at = Points::from_rows(ready.layout, points.iter().map(Vec::as_slice));
            let mut promise = match chosen.aim {
                Aim::Unknown => self.unknown(&part.view, ready.weights, points),
                Aim::Promise | Aim::Best => ready.criterion.values(ready.layout, &at),
            };
            if let Some(Rest { aside, .. }) = part.rest {
                let held: Vec<bool> = points
                    .iter()
                    .map(|point| aside.holds(&self.layout, point))
                    .collect();
                let open = promise.iter().zip(&held).filter(|(_, held)| !**held);
                let least = open.map(|(promise, _)| *promise).fold(f64::INFINITY, f64::min);
                if least.is_finite() {
                    for (promise, held) in promise.iter_mut().zip(held) {
                        *promise = if held { promise.min(least) } else { *promise };
                    }
                }
            }
            let name = match ready.criterion.goal {
                _ if chosen.aim == Aim::Unknown => "distance",
                Goal::Outcome { acquisition, .. } => acquisition.name(),
                Goal::Mean => "mean",
                Goal::Front(_) => "log_ehvi",
                Goal::Feasible => "log_probability",
                Goal::Exploration => "bound",
            };
            (name, promise)
        });
        promise.ok().flatten()
    }
}
