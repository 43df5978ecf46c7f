//! What the next trial is to improve on, and around which results it is looked for first.

use tunesmith_common::study::Acquisition;

use super::super::standing::{badnesses, holds};
use super::super::view::FinishedTrial;
use crate::gp::criterion::Goal;
use crate::gp::improvement::Front;
use crate::pareto::{crowding, ranks};

/// Best trials around which is searched, with one objective and with several.
const CENTRES: usize = 5;
const CENTRES_ON_FRONT: usize = 16;
/// How far beyond the front's worst values the reference lies, as a share of the front's range.
const BEYOND: f64 = 0.1;
/// How far it lies from the front's best values at least, in deviations of the outcomes: in every other trial, and in the others.
const NEAR: f64 = 1.0;
const FAR: f64 = 3.0;
/// Difference of two means, in deviations of the outcomes, that is none.
const SAME: f64 = 0.05;
/// Points of a front that are told apart, by the number of objectives: the boxes that they leave open grow with it.
const MOST_ON_FRONT: [usize; 5] = [1, 1, 200, 100, 32];

/// What the models say of the results that they hold, and of the trials that run.
pub(super) struct Seen<'a> {
    pub(super) results: &'a [&'a FinishedTrial],
    /// For each objective that is modelled, its mean at each result.
    pub(super) means: &'a [Vec<f64>],
    /// For each trial that runs the means of the objectives, and whether the constraints hold by theirs.
    pub(super) running: &'a [(Vec<f64>, bool)],
    /// Measured constraints of the study.
    pub(super) constraints: usize,
    /// Whether the front is to grow at its ends.
    pub(super) far: bool,
}

/// Goal and centres, the best first.
pub(super) fn aim<'a>(expected: &Seen<'a>, acquisition: Acquisition) -> (Goal, Vec<&'a [f64]>) {
    let Seen {
        results,
        means,
        running,
        constraints,
        far,
    } = expected;
    let is_sound: Vec<bool> = results
        .iter()
        .map(|trial| *constraints == 0 || holds(trial, *constraints))
        .collect();
    let encoded = |order: &[usize], most: usize| -> Vec<&'a [f64]> {
        order
            .iter()
            .take(most)
            .map(|&k| &results[k].encoded[..])
            .collect()
    };
    let mut order: Vec<usize> = (0..results.len()).collect();
    if !is_sound.contains(&true) {
        let badness = badnesses(results);
        order.sort_by(|&a, &b| badness[a].total_cmp(&badness[b]));
        return (Goal::Feasible, encoded(&order, CENTRES));
    }
    let running = running.iter().filter(|(_, holds)| *holds).map(|(means, _)| means);
    match means {
        [means] => {
            order.sort_by(|&a, &b| is_sound[b].cmp(&is_sound[a]).then(means[a].total_cmp(&means[b])));
            let sound = means.iter().zip(&is_sound).filter(|(_, is_sound)| **is_sound);
            let known = sound.map(|(mean, _)| *mean);
            // What is expected of a trial that runs is to be improved on, too: or the next would go to the same place.
            let incumbent = known
                .chain(running.map(|means| means[0]))
                .fold(f64::INFINITY, f64::min);
            let acquisition = if *constraints == 0 {
                acquisition
            } else {
                Acquisition::LogEi
            };
            let goal = Goal::Outcome {
                acquisition,
                incumbent,
            };
            (goal, encoded(&order, CENTRES))
        }
        _ => {
            order.retain(|&k| is_sound[k] && !results[k].failed);
            let at = |k: usize| means.iter().map(|means| means[k]).collect::<Vec<f64>>();
            let known: Vec<Vec<f64>> = order.iter().map(|&k| at(k)).collect();
            let best: Vec<usize> = first_front(&known, CENTRES_ON_FRONT);
            let centres: Vec<usize> = best.iter().map(|&k| order[k]).collect();
            let all: Vec<Vec<f64>> = known.into_iter().chain(running.cloned()).collect();
            let front: Vec<Vec<f64>> = first_front(&all, usize::MAX)
                .into_iter()
                .map(|k| all[k].clone())
                .collect();
            let reference = reference(&front, means.len(), *far);
            let most = MOST_ON_FRONT.get(means.len()).copied().unwrap_or(1);
            let kept: Vec<&Vec<f64>> = first_front(&front, most).into_iter().map(|k| &front[k]).collect();
            (
                Goal::Front(Front::new(&kept, &reference)),
                encoded(&centres, CENTRES_ON_FRONT),
            )
        }
    }
}

/// A point a little worse than the worst of the front in each objective, and not nearer to the best than [`NEAR`] or [`FAR`]: near, so that what is
/// bad in all objectives but one does not draw trials; far in turns with it, and where the front is a corner that could hide the rest of it, so that
/// the front grows at its ends. What another one is about as good as in each objective, and much better in sum, says nothing about the worst.
fn reference(front: &[Vec<f64>], objectives: usize, far: bool) -> Vec<f64> {
    let is_traded = |point: &&Vec<f64>| {
        !front.iter().any(|other| {
            let mut both = point.iter().zip(other);
            let sum: f64 = both.clone().map(|(a, b)| a - b).sum();
            both.all(|(a, b)| a - b >= -SAME) && sum > 2.0 * SAME * objectives as f64
        })
    };
    let front: Vec<&Vec<f64>> = front.iter().filter(is_traded).collect();
    let least_range = if far || front.len() <= objectives {
        FAR
    } else {
        NEAR
    };
    (0..objectives)
        .map(|j| {
            let values = || front.iter().map(|point| point[j]);
            let least = values().fold(f64::INFINITY, f64::min);
            let most = values().fold(f64::NEG_INFINITY, f64::max);
            (most + BEYOND * (most - least)).max(least + least_range)
        })
        .collect()
}

/// Those that no other one dominates; of more than `most` of them those with the most room: one after the other, the most crowded is left out.
fn first_front<P: AsRef<[f64]>>(points: &[P], most: usize) -> Vec<usize> {
    let mut front: Vec<usize> = ranks(points)
        .into_iter()
        .enumerate()
        .filter_map(|(k, rank)| (rank == 0).then_some(k))
        .collect();
    while front.len() > most {
        let members: Vec<&[f64]> = front.iter().map(|&k| points[k].as_ref()).collect();
        let room = crowding(&members);
        let crowded = (0..front.len()).min_by(|&a, &b| room[a].total_cmp(&room[b]));
        front.remove(crowded.unwrap_or(0));
    }
    front
}

#[cfg(test)]
mod tests {
    use tunesmith_common::TrialNumber;

    use super::*;

    fn trial(number: u64, values: &[f64], violations: &[f64]) -> FinishedTrial {
        FinishedTrial {
            trial: TrialNumber(number),
            encoded: [number as f64].into(),
            value: Some(values[0]),
            failed: false,
            partial: false,
            last_step: None,
            others: values[1..].into(),
            violations: violations.into(),
        }
    }

    fn aimed(trials: &[FinishedTrial], running: &[(Vec<f64>, bool)], constraints: usize) -> (Goal, Vec<f64>) {
        let results: Vec<&FinishedTrial> = trials.iter().collect();
        let objectives = 1 + trials[0].others.len();
        let mean = |k: usize, trial: &FinishedTrial| {
            if k == 0 {
                trial.value.unwrap()
            } else {
                trial.others[k - 1]
            }
        };
        let means: Vec<Vec<f64>> = (0..objectives)
            .map(|k| trials.iter().map(|trial| mean(k, trial)).collect())
            .collect();
        let expected = Seen {
            results: &results,
            means: &means,
            running,
            constraints,
            far: false,
        };
        let (goal, centres) = aim(&expected, Acquisition::Ucb);
        (goal, centres.iter().map(|centre| centre[0]).collect())
    }

    #[test]
    fn improved_on_is_the_best_result_that_satisfies_the_constraints() {
        let trials = [
            trial(1, &[0.0], &[1.0]),
            trial(2, &[2.0], &[-1.0]),
            trial(3, &[1.0], &[f64::NAN]),
        ];
        let incumbent = |running: &[(Vec<f64>, bool)]| match aimed(&trials, running, 1) {
            (
                Goal::Outcome {
                    acquisition,
                    incumbent,
                },
                centres,
            ) => {
                // The logarithm, which the probability can be added to.
                assert_eq!((acquisition, centres[0]), (Acquisition::LogEi, 2.0));
                incumbent
            }
            other => panic!("{other:?}"),
        };
        assert!((incumbent(&[]) - 2.0).abs() < 1e-12);
        assert!((incumbent(&[(vec![0.5], false), (vec![1.5], true)]) - 1.5).abs() < 1e-12);
        // Without one that does, one is looked for, around the one that violates them least.
        let (goal, centres) = aimed(&trials[..1], &[], 1);
        assert!(matches!(goal, Goal::Feasible) && centres == [1.0]);
    }

    #[test]
    fn the_reference_lies_beyond_the_front_and_not_beyond_what_is_bad_in_all_but_name() {
        let close = |ours: Vec<f64>, expected: [f64; 2]| {
            assert!(
                ours.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12),
                "{ours:?} {expected:?}"
            );
        };
        let front = vec![vec![0.0, 4.0], vec![1.0, 1.0], vec![2.0, 0.0]];
        close(reference(&front, 2, false), [2.2, 4.4]);
        close(reference(&front, 2, true), [3.0, 4.4]);
        // A corner may hide the rest.
        close(reference(&front[..1], 2, false), [3.0, 7.0]);
        let mut worse = front;
        worse.push(vec![-0.01, 9.0]);
        close(reference(&worse, 2, false), [2.2, 4.4]);
    }

    #[test]
    fn of_a_large_front_those_with_room_are_kept() {
        let mut points: Vec<[f64; 2]> = (0..50).map(|k| [f64::from(k), f64::from(50 - k)]).collect();
        points.push([10.5, 39.6]);
        points.push([60.0, 60.0]);
        assert_eq!(first_front(&points, usize::MAX).len(), 51);
        let kept = first_front(&points, 11);
        assert!(kept.len() == 11 && kept.contains(&0) && kept.contains(&49));
        let mut places: Vec<f64> = kept.iter().map(|&k| points[k][0]).collect();
        places.sort_by(f64::total_cmp);
        assert!(places.windows(2).all(|two| two[1] - two[0] < 13.0), "{places:?}");
    }
}
