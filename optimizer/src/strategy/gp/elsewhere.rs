//! Looking elsewhere: once little is to be gained where the model expects most, the best result and what belongs to it are left aside, and the search
//! goes on with the other results as if it were another one, in what is left of the space. What it finds there may be better than the best known
//! place, which a model that knows that place well would not have looked for.
//!
//! What belongs to the best result is told by the results alone, by nearest-better clustering (Preuss 2010, "Niching the CMA-ES via nearest-better
//! clustering"): each result belongs to where the nearest better one does, unless that is far by the model's length scales. A point of the
//! space belongs to where the nearest result does.

use super::super::view::{FinishedTrial, RunningTrial, StudyView};
use crate::gp::features::{Layout, Points};

/// How often what was found may be left aside in one proposal.
pub(super) const MOST: usize = 3;
/// Results and trials that run without which there is no search elsewhere.
pub(super) const LEAST: usize = 4;
/// How many length scales apart results have nothing to do with one another.
const FAR: f64 = 1.2;
/// What is to be gained, as a share of how much better the best result is than the better quarter of the first ones, at which the first trials go
/// elsewhere; over so many orders of magnitude below it their share grows from none to one, but never beyond [`MOST_TRIALS`].
const LITTLE: f64 = 0.01;
const ORDERS: f64 = 2.0;
const MOST_TRIALS: f64 = 0.85;
/// Variance of the noise, as a share of the function's, at which none go elsewhere: what is expected to be gained at a point does not count what a
/// result there tells of its neighbours, which is most where none is exact.
const NOISY: f64 = 0.05;

/// What is left of a study.
pub(super) struct Rest<'a> {
    pub(super) finished: Vec<FinishedTrial>,
    pub(super) running: Vec<RunningTrial<'a>>,
    /// Models are fitted to so many of the results.
    pub(super) beginning: usize,
    /// Tells what they were left by from others.
    pub(super) made_from: u64,
    pub(super) aside: Aside,
}

/// What was left aside.
#[derive(Clone, Debug)]
pub(super) struct Aside {
    closed: Points,
    open: Points,
    /// Inverse squared length scales.
    weights: Vec<f64>,
}

/// The share of trials that go elsewhere where the best point is expected to bring this `gain`, as a share of what results differ by, and the variance of
/// their `noise` is such a share of the function's.
pub(super) fn share(gain: f64, noise: f64) -> f64 {
    let orders = (LITTLE / gain).log10();
    // Not a number if the gain is none.
    if gain.is_nan() {
        0.0
    } else {
        (orders / ORDERS).clamp(0.0, MOST_TRIALS) * (1.0 - noise / NOISY).max(0.0)
    }
}

impl Aside {
    /// Whether a point is nearer to what was left aside.
    pub(super) fn holds(&self, layout: &Layout, encoded: &[f64]) -> bool {
        let at = Points::from_rows(layout, [encoded]);
        let nearest = |to: &Points| {
            let mut squared = vec![0.0; to.len()];
            at.distances(layout, &self.weights, 0, to, &mut squared);
            squared.into_iter().fold(f64::INFINITY, f64::min)
        };
        nearest(&self.closed) <= nearest(&self.open)
    }
}

impl<'a> Rest<'a> {
    /// What is left of `results` without the best one and what belongs to it, and without what was left aside `before`. Models were fitted to the first
    /// `beginning` results, with these `weights`, and are told from others by `made_from`. `badness` is smaller for a better result. None if too little is left.
    ///
    /// Which of the first `beginning` results are left depends on them alone, so that models of them can be kept.
    pub(super) fn new(
        layout: &Layout,
        view: &StudyView<'a>,
        results: &[&FinishedTrial],
        badness: impl Fn(&FinishedTrial) -> f64,
        (beginning, weights, made_from): (usize, &[f64], u64),
        before: Option<&Aside>,
    ) -> Option<Self> {
        let rows = results.iter().map(|trial| &trial.encoded[..]);
        let points = Points::from_rows(layout, rows);
        let badness: Vec<f64> = results.iter().map(|trial| badness(trial)).collect();
        let weights = before.map_or(weights, |aside| &aside.weights);
        let belongs = belongs_to_best(layout, weights, &points, &badness, beginning);
        let mut closed = before.map_or_else(|| Points::new(layout), |aside| aside.closed.clone());
        let (mut open, mut finished, mut kept) = (Points::new(layout), Vec::new(), 0);
        for (k, (trial, belongs)) in results.iter().zip(belongs).enumerate() {
            if belongs {
                closed.push(layout, &trial.encoded);
            } else {
                open.push(layout, &trial.encoded);
                finished.push((*trial).clone());
                kept += usize::from(k < beginning);
            }
        }
        let aside = Aside {
            closed,
            open,
            weights: weights.to_vec(),
        };
        if kept < 2 || finished.len() < LEAST {
            return None;
        }
        let running = view.running.iter().copied();
        let running = running
            .filter(|trial| !aside.holds(layout, trial.encoded))
            .collect();
        Some(Self {
            finished,
            running,
            beginning: kept,
            made_from,
            aside,
        })
    }

    pub(super) fn view<'b>(&'b self, whole: &StudyView<'b>) -> StudyView<'b>
    where
        'a: 'b,
    {
        StudyView {
            finished: &self.finished,
            running: &self.running,
            ..*whole
        }
    }
}

/// For each result whether it belongs to the best of the first `beginning`: of these by way of the nearest better ones, of the others by
/// the nearest one.
fn belongs_to_best(
    layout: &Layout,
    weights: &[f64],
    points: &Points,
    badness: &[f64],
    beginning: usize,
) -> Vec<bool> {
    let n = points.len();
    let mut order: Vec<usize> = (0..beginning).collect();
    order.sort_by(|&a, &b| badness[a].total_cmp(&badness[b]).then(a.cmp(&b)));
    let mut belongs = vec![false; n];
    let mut squared = vec![0.0; n];
    let mut next_to = |k: usize, among: &[usize]| {
        points.distances(layout, weights, k, points, &mut squared);
        let nearest = among
            .iter()
            .copied()
            .min_by(|&a, &b| squared[a].total_cmp(&squared[b]));
        nearest.filter(|&nearest| squared[nearest] < FAR * FAR)
    };
    for (place, &k) in order.iter().enumerate() {
        belongs[k] = place == 0 || next_to(k, &order[..place]).is_some_and(|better| belongs[better]);
    }
    for k in beginning..n {
        belongs[k] = next_to(k, &order).is_some_and(|nearest| belongs[nearest]);
    }
    belongs
}

#[cfg(test)]
mod tests {
    use tunesmith_common::TrialNumber;
    use tunesmith_common::space::{Domain, Parameter, Scale, Space};

    use super::*;

    fn line() -> Space {
        let parameter = Parameter {
            name: "x".parse().unwrap(),
            domain: Domain::Float {
                low: 0.0,
                high: 1.0,
                scale: Scale::Linear,
                step: None,
            },
            conditions: Vec::new(),
        };
        Space::new(vec![parameter], Vec::new()).unwrap()
    }

    fn trial(number: u64, x: f64, value: f64) -> FinishedTrial {
        FinishedTrial::completed(TrialNumber(number), [x], value)
    }

    fn view<'a>(space: &'a Space, running: &'a [RunningTrial<'a>]) -> StudyView<'a> {
        StudyView {
            space,
            seed: 1,
            next: TrialNumber(20),
            proposed: 19,
            cursor: None,
            finished: &[],
            running,
        }
    }

    /// Length scale 0.1: two basins, of which the first one has the best result.
    const RESULTS: [(f64, f64); 8] = [
        (0.1, 1.0),
        (0.2, 0.0),
        (0.28, 0.5),
        (0.36, 2.0),
        (0.6, 1.5),
        (0.7, 0.3),
        (0.78, 0.7),
        (0.95, 5.0),
    ];
    const WEIGHT: f64 = 100.0;

    fn rest<'a>(
        layout: &Layout,
        view: &StudyView<'a>,
        results: &[FinishedTrial],
        beginning: usize,
        before: Option<&Aside>,
    ) -> Option<Rest<'a>> {
        let results: Vec<&FinishedTrial> = results.iter().collect();
        let badness = |trial: &FinishedTrial| trial.value.unwrap();
        Rest::new(layout, view, &results, badness, (beginning, &[WEIGHT], 0), before)
    }

    fn numbers(rest: &Rest<'_>) -> Vec<u64> {
        rest.finished.iter().map(|trial| trial.trial.0).collect()
    }

    #[test]
    fn the_best_result_and_what_leads_to_it_are_left_aside() {
        let space = line();
        let layout = Layout::new(&space);
        let results: Vec<FinishedTrial> = (1..)
            .zip(RESULTS)
            .map(|(number, (x, value))| trial(number, x, value))
            .collect();
        let points = [[0.25], [0.72]];
        let running = [(9, &points[0]), (10, &points[1])].map(|(number, encoded)| RunningTrial {
            trial: TrialNumber(number),
            encoded,
        });
        let view = view(&space, &running);
        let left = rest(&layout, &view, &results, 8, None).unwrap();
        assert_eq!((numbers(&left), left.beginning), (vec![5, 6, 7, 8], 4));
        assert_eq!(left.running, [running[1]]);
        let holds = |x: f64| left.aside.holds(&layout, &[x]);
        assert!(holds(0.0) && holds(0.47) && !holds(0.49) && !holds(1.0));
        // Once more: three belong together, and one is not enough for a search.
        assert!(rest(&layout, &view, &left.finished, 4, Some(&left.aside)).is_none());
        // As many more, and the first basin still is aside.
        let mut more = left.finished.clone();
        more.extend([(20, 0.44, 3.0), (21, 0.46, 3.1), (22, 0.48, 3.2)].map(|(k, x, y)| trial(k, x, y)));
        let twice = rest(&layout, &view, &more, 7, Some(&left.aside)).unwrap();
        assert_eq!(numbers(&twice), [8, 20, 21, 22]);
        assert!([0.2, 0.7].iter().all(|x| twice.aside.holds(&layout, &[*x])));
    }

    #[test]
    fn later_results_change_nothing_of_what_is_left_of_the_first() {
        let space = line();
        let layout = Layout::new(&space);
        let view = view(&space, &[]);
        let mut results: Vec<FinishedTrial> = (1..)
            .zip(RESULTS)
            .map(|(number, (x, value))| trial(number, x, value))
            .collect();
        let before = numbers(&rest(&layout, &view, &results, 8, None).unwrap());
        // The best one of all, in the other basin; and one in the first.
        results.extend([trial(9, 0.71, -1.0), trial(10, 0.21, 4.0)]);
        let left = rest(&layout, &view, &results, 8, None).unwrap();
        assert_eq!((left.beginning, &numbers(&left)[..4]), (4, &before[..]));
        assert_eq!(numbers(&left)[4..], [9]);
        // Fitted anew, the models begin with it.
        let left = rest(&layout, &view, &results, 10, None).unwrap();
        assert_eq!(numbers(&left), [1, 2, 3, 4, 8, 10]);
    }

    #[test]
    fn the_less_is_to_be_gained_the_more_trials_go_elsewhere_unless_results_are_noisy() {
        for (gain, noise, expected) in [
            (f64::NAN, 0.0, 0.0),
            (1.0, 0.0, 0.0),
            (0.01, 0.0, 0.0),
            (1e-3, 0.0, 0.5),
            (1e-5, 0.0, 0.85),
            (0.0, 0.0, 0.85),
            (0.0, 0.02, 0.51),
            (0.0, 0.05, 0.0),
            (0.0, 1.0, 0.0),
        ] {
            let share = share(gain, noise);
            assert!((share - expected).abs() < 1e-12, "{gain}, {noise}: {share}");
        }
    }
}
