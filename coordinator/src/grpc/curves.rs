//! The curves of many trials at once, thinned to what a chart can show, and what is usual among them. Changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use tunesmith_common::measurement::MetricName;
use tunesmith_common::{Attempt, StudyId, TrialNumber};
use tunesmith_proto::convert::parse;
use tunesmith_proto::v1;

use super::status::ApiError;
use super::studies::{order_of, stored_study};
use super::view::Legend;
use super::{Api, view};
use crate::decide::CoreError;
use crate::store::{PointRuns, StudyRow, TrialOrder, TrialQuery, TrialRow};

/// Trials that one answer is about at most.
const MOST_TRIALS: u32 = 500;
/// Trials that are chosen, if the caller does not say how many.
const TRIALS: u32 = 100;
/// Points of a curve, if the caller does not say how many, and at most.
const POINTS: u32 = 100;
const MOST_POINTS: u32 = 2_000;
/// Trials whose points are in memory together before they are thinned.
const AT_A_TIME: usize = 16;
/// Curves that make a band.
const BAND_OF: usize = 3;
/// Steps of a band at most.
const BAND_STEPS: usize = 100;

/// Step and value of each point, by step.
type Curve = Vec<(i64, f64)>;

impl Api {
    pub(super) async fn many_curves(
        &self,
        request: &v1::ListCurvesRequest,
    ) -> Result<v1::ListCurvesResponse, ApiError> {
        let most = within("most", request.most, TRIALS, 1, MOST_TRIALS)?;
        let points = within("points", request.points, POINTS, 2, MOST_POINTS)?;
        let study = stored_study(self, &request.parent, "parent").await?;
        let metric = match request.metric.as_str() {
            "" => study.spec.objective.first.metric.as_str(),
            named => named,
        };
        let metric: MetricName = parse(metric, "metric")?;
        let counts = self.store().trial_counts(study.id).await?;
        let trials: u64 = counts.iter().map(|(_, count)| *count).sum();
        let mut rows = if request.trials.is_empty() {
            self.chosen(&study, most, trials).await?
        } else {
            self.rows_of(study.id, &request.trials).await?
        };
        rows.remove(&TrialNumber(request.except));
        let numbers: Vec<TrialNumber> = rows.keys().copied().collect();
        let legend = Legend::of_row(&study);
        let mut curves = Vec::with_capacity(numbers.len());
        for some in numbers.chunks(AT_A_TIME) {
            let runs = self
                .store()
                .point_runs(study.id, std::slice::from_ref(&metric), some)
                .await?;
            for (number, curve) in joined(&runs) {
                let Some(row) = rows.get(&number) else { continue };
                let shown = view::trial(&legend, row);
                curves.push((
                    shown,
                    thinned(curve, usize::try_from(points).unwrap_or(usize::MAX)),
                ));
            }
        }
        let band = band(
            &curves
                .iter()
                .map(|(_, curve)| curve.as_slice())
                .collect::<Vec<_>>(),
        );
        let curves = curves.into_iter().map(|(trial, curve)| v1::TrialCurve {
            trial: trial.number,
            state: trial.state,
            state_reason: trial.state_reason,
            result: trial.value,
            step: curve.iter().map(|point| point.0).collect(),
            value: curve.iter().map(|point| point.1).collect(),
        });
        Ok(v1::ListCurvesResponse {
            metric: metric.to_string(),
            curves: curves.collect(),
            band,
            trials,
        })
    }

    async fn rows_of(
        &self,
        study: StudyId,
        named: &[u64],
    ) -> Result<BTreeMap<TrialNumber, TrialRow>, ApiError> {
        let numbers: BTreeSet<TrialNumber> = named.iter().copied().map(TrialNumber).collect();
        if numbers.len() > usize::try_from(MOST_TRIALS).unwrap_or(usize::MAX) {
            let message = format!(
                "are {}, at most {MOST_TRIALS} are answered at a time",
                numbers.len()
            );
            return Err(ApiError::invalid("trials", message));
        }
        let mut rows = BTreeMap::new();
        for number in numbers {
            let row = self.store().trial_fetch(study, number).await?;
            rows.insert(number, row.ok_or(CoreError::TrialNotFound(number))?);
        }
        Ok(rows)
    }

    /// Trials that run, the best, and the newest: of each up to the half of what is left.
    async fn chosen(
        &self,
        study: &StudyRow,
        most: u32,
        trials: u64,
    ) -> Result<BTreeMap<TrialNumber, TrialRow>, ApiError> {
        let usable = || vec!["COMPLETED", "EARLY_STOPPED", "TIMED_OUT"];
        let kinds = [
            (vec!["RUNNING", "STOPPING"], TrialOrder::Number, 0),
            (usable(), order_of(&study.spec), 0),
            (vec![], TrialOrder::Number, trials.saturating_sub(u64::from(most))),
        ];
        let last = kinds.len() - 1;
        let mut rows = BTreeMap::new();
        for (index, (states, order, offset)) in kinds.into_iter().enumerate() {
            let left = most.saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX));
            let room = if index == last { left } else { left.div_ceil(2) };
            let query = TrialQuery {
                states,
                order,
                offset,
                limit: most,
            };
            let found = self.store().trial_list(study.id, &query).await?;
            let mut room = usize::try_from(room).unwrap_or(usize::MAX);
            // The newest come last.
            let found: Vec<_> = if index == last {
                found.into_iter().rev().collect()
            } else {
                found
            };
            for row in found {
                if room > 0 && !rows.contains_key(&row.number) {
                    rows.insert(row.number, row);
                    room -= 1;
                }
            }
        }
        Ok(rows)
    }
}

fn within(field: &str, given: u32, default: u32, low: u32, high: u32) -> Result<u32, ApiError> {
    match given {
        0 => Ok(default),
        given if (low..=high).contains(&given) => Ok(given),
        given => {
            let message = format!("must be from {low} to {high}, or 0 for {default}; got {given}");
            Err(ApiError::invalid(field, message))
        }
    }
}

/// The curve of each trial as it counts: an attempt that starts again at some step replaces what earlier ones reported from there on.
fn joined(runs: &PointRuns) -> BTreeMap<TrialNumber, Curve> {
    let mut curves: BTreeMap<TrialNumber, (Attempt, BTreeMap<i64, f64>)> = BTreeMap::new();
    for run in runs.iter() {
        let Some(&(first, _)) = run.points.first() else {
            continue;
        };
        let (newest, points) = curves
            .entry(run.trial)
            .or_insert_with(|| (run.attempt, BTreeMap::new()));
        if *newest != run.attempt {
            *newest = run.attempt;
            points.split_off(&first);
        }
        points.extend(run.points.iter().copied());
    }
    let whole = |(number, (_, points)): (TrialNumber, (Attempt, BTreeMap<i64, f64>))| {
        (number, points.into_iter().collect())
    };
    curves.into_iter().map(whole).collect()
}

/// At most `limit` of the points (two at least): the first and the last, and between them the smallest and the largest of each group of
/// neighbours. What is no finite number is kept only where nothing else is.
fn thinned(curve: Curve, limit: usize) -> Curve {
    if curve.len() <= limit {
        return curve;
    }
    let (Some(first), Some(last)) = (curve.first(), curve.last()) else {
        return curve;
    };
    let inner = &curve[1..curve.len() - 1];
    let groups = (limit.saturating_sub(2) / 2).max(1);
    let mut kept = vec![*first];
    if limit >= 4 {
        for group in 0..groups {
            let part = &inner[group * inner.len() / groups..(group + 1) * inner.len() / groups];
            let finite = || part.iter().filter(|point| point.1.is_finite());
            let low = finite().min_by(|a, b| a.1.total_cmp(&b.1)).or(part.first());
            let high = finite().max_by(|a, b| a.1.total_cmp(&b.1)).or(low);
            let mut both: Vec<(i64, f64)> = low.into_iter().chain(high).copied().collect();
            both.sort_by_key(|point| point.0);
            both.dedup_by_key(|point| point.0);
            kept.extend(both);
        }
    }
    kept.push(*last);
    kept
}

/// Quartiles of curves; none of fewer than three.
fn band(curves: &[&[(i64, f64)]]) -> Option<v1::CurveBand> {
    if curves.len() < BAND_OF {
        return None;
    }
    let steps: BTreeSet<i64> = curves
        .iter()
        .flat_map(|curve| curve.iter().map(|point| point.0))
        .collect();
    let steps: Vec<i64> = steps.into_iter().collect();
    let count = steps.len().min(BAND_STEPS);
    let mut band = v1::CurveBand::default();
    for place in 0..count {
        // From the first to the last.
        let step = steps[if count > 1 {
            place * (steps.len() - 1) / (count - 1)
        } else {
            0
        }];
        let at = |curve: &&[(i64, f64)]| {
            let behind = curve.partition_point(|point| point.0 <= step);
            let reaches = curve.last().is_some_and(|last| last.0 >= step);
            let (_, value) = curve.get(behind.checked_sub(1)?)?;
            (reaches && value.is_finite()).then_some(*value)
        };
        let mut values: Vec<f64> = curves.iter().filter_map(at).collect();
        if values.len() < BAND_OF {
            continue;
        }
        values.sort_by(f64::total_cmp);
        band.step.push(step);
        band.low.push(quantile(&values, 1));
        band.median.push(quantile(&values, 2));
        band.high.push(quantile(&values, 3));
        band.curves.push(u32::try_from(values.len()).unwrap_or(u32::MAX));
    }
    (!band.step.is_empty()).then_some(band)
}

/// So many quarters of the values, which are sorted and not empty, are below; between two of them in proportion.
fn quantile(sorted: &[f64], quarters: usize) -> f64 {
    let place = (sorted.len() - 1) * quarters;
    let (low, high) = (sorted[place / 4], sorted[place.div_ceil(4)]);
    let share = [0.0, 0.25, 0.5, 0.75][place % 4];
    // Not low + (high - low) * share, which may overflow.
    low * (1.0 - share) + high * share
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_thinned_curve_keeps_its_ends_and_its_peaks() {
        let mut curve: Curve = (0..1_000_i32)
            .map(|step| (i64::from(step), f64::from(step % 7)))
            .collect();
        curve[500].1 = 99.0;
        curve[700].1 = f64::NAN;
        let thin = thinned(curve.clone(), 40);
        assert!(thin.len() <= 40, "{}", thin.len());
        assert_eq!((thin.first(), thin.last()), (curve.first(), curve.last()));
        assert!(thin.contains(&(500, 99.0)));
        assert!(thin.iter().all(|point| point.1.is_finite()));
        let flat: Curve = (0..10).map(|step| (step, f64::NAN)).collect();
        assert_eq!(
            thinned(flat, 4).len(),
            3,
            "both ends and one of what lies between"
        );
    }

    proptest! {
        #[test]
        fn a_thinned_curve_has_points_of_the_curve_in_their_order(values in prop::collection::vec(-1e3..1e3_f64, 0..300), limit in 2..50_usize) {
            let curve: Curve = values.into_iter().zip(0..).map(|(value, step)| (step * 3, value)).collect();
            let thin = thinned(curve.clone(), limit);
            prop_assert!(thin.len() <= limit.max(2));
            prop_assert!(thin.windows(2).all(|pair| pair[0].0 < pair[1].0));
            prop_assert!(thin.iter().all(|point| curve.contains(point)));
        }
    }

    #[test]
    fn a_band_has_the_quartiles_of_the_curves_that_reach_a_step() {
        let curves: [Curve; 5] = [
            vec![(1, 1.0), (2, 10.0)],
            vec![(1, 2.0), (2, 20.0)],
            vec![(1, 3.0), (3, 30.0)],
            vec![(1, 4.0)],
            vec![(1, f64::NAN), (2, f64::INFINITY)],
        ];
        let band = band(&curves.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
        assert_eq!(band.step, [1, 2], "two curves only at step 3");
        assert_eq!(band.curves, [4, 3]);
        assert_eq!((band.low[0], band.median[0], band.high[0]), (1.75, 2.5, 3.25));
        // 3, 10, 20: the third curve has said nothing new.
        assert_eq!(band.median[1..], [10.0]);
    }
}
