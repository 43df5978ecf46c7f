//! Making outcomes comparable: what failed, what is infinite, what is many times worse than the rest.

/// Outcomes for a model: mean 0, variance 1, smaller is better.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcomes {
    pub(crate) values: Vec<f64>,
    /// Logarithm of the change of density, by which evidences of different warps of the same outcomes become comparable.
    pub(crate) log_jacobian: f64,
    /// The way back to raw outcomes.
    pub(crate) back: Back,
}

/// The way between a model's outcomes and raw ones.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Back {
    warp: Warp,
    /// The finite raw outcomes, ascending.
    finite: Vec<f64>,
    spread: f64,
    /// Mean and deviation of what was warped.
    mean: f64,
    scale: f64,
}

impl Back {
    /// Whether outcomes better than all that were seen have a raw one, too.
    pub(crate) fn reaches_beyond(&self) -> bool {
        self.warp != Warp::Ranks
    }

    /// The model's outcome for a raw one of those that were seen.
    pub(crate) fn outcome(&self, raw: f64) -> f64 {
        (self.warped(raw) - self.mean) / self.scale
    }

    /// A raw outcome of those that were seen, warped.
    fn warped(&self, raw: f64) -> f64 {
        let (best, median) = (self.finite[0], self.finite[self.finite.len() / 2]);
        match self.warp {
            Warp::Linear => raw,
            Warp::Log { softness } => ((raw - best) / (softness * self.spread)).ln_1p(),
            Warp::Tail => raw.min(median) + self.spread * ((raw - median) / self.spread).max(0.0).ln_1p(),
            Warp::Ranks => self.finite.partition_point(|other| *other < raw) as f64,
        }
    }

    /// The logarithm of the warp's slope at a raw outcome of those that were seen; 0 for ranks, which have none.
    fn log_slope(&self, raw: f64) -> f64 {
        match self.warp {
            Warp::Linear | Warp::Ranks => 0.0,
            Warp::Log { softness } => -(softness * self.spread).ln() - self.warped(raw),
            Warp::Tail => -((raw - self.finite[self.finite.len() / 2]) / self.spread)
                .max(0.0)
                .ln_1p(),
        }
    }

    /// The raw outcome that an outcome of the model stands for, which may lie beyond all that were seen.
    pub(crate) fn raw(&self, outcome: f64) -> f64 {
        let warped = self.mean + self.scale * outcome;
        let (Some(best), Some(worst)) = (self.finite.first(), self.finite.last()) else {
            return warped;
        };
        let median = self.finite[self.finite.len() / 2];
        match self.warp {
            Warp::Linear => warped,
            Warp::Log { softness } => best + softness * self.spread * warped.exp_m1(),
            Warp::Tail if warped <= median => warped,
            Warp::Tail => median + self.spread * ((warped - median) / self.spread).exp_m1(),
            Warp::Ranks => {
                let last = self.finite.len() - 1;
                let below = (0..last).rev().find(|k| *k as f64 <= warped).unwrap_or(0);
                let share = (warped - below as f64).clamp(0.0, 1.0);
                let above = self.finite.get(below + 1).unwrap_or(worst);
                self.finite[below] * (1.0 - share) + above * share
            }
        }
    }
}

/// A monotone change of scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Warp {
    /// None but shift and scale.
    Linear,
    /// `ln(1 + (y - best) / (softness * spread))`, where `spread` is how much worse than the best the median is: what is bad is
    /// pressed together, the more the smaller the softness.
    Log {
        /// Positive.
        softness: f64,
    },
    /// None up to the median; beyond, `ln(1 + (y - median) / spread)` of these spreads: good outcomes keep their proportions.
    Tail,
    /// The order only. For outcomes so far apart that their differences are no numbers.
    Ranks,
}

/// How much farther than the best one from the median the worst outcome of one of several objectives may be.
const LONGEST_TAIL: f64 = 30.0;

/// The warp for one of several objectives: none, unless the worst outcomes are far off. Volumes are measured by what is good, and what is good
/// is to keep its proportions.
pub(crate) fn warp_of_several(raw: &[Option<f64>]) -> Warp {
    let mut finite: Vec<f64> = raw.iter().flatten().copied().filter(|y| y.is_finite()).collect();
    finite.sort_by(f64::total_cmp);
    let (Some(best), Some(worst)) = (finite.first(), finite.last()) else {
        return Warp::Linear;
    };
    let median = finite[finite.len() / 2];
    if worst - median > LONGEST_TAIL * (median - best) {
        Warp::Tail
    } else {
        Warp::Linear
    }
}

/// Warps to choose from, with the logarithm of the odds that each has beforehand.
pub(crate) const WARPS: [(Warp, f64); 4] = [
    (Warp::Linear, 0.0),
    (Warp::Log { softness: 1.0 }, -1.0),
    (Warp::Log { softness: 0.1 }, -2.0),
    (Warp::Log { softness: 0.01 }, -4.0),
];

/// The first so many of them leave room for outcomes that are better than the best one by as much as that is better than the median: a
/// logarithm ends not far beyond the best outcome, the nearer the smaller its softness.
pub(crate) const ROOMY: usize = 2;

impl Warp {
    /// Applies it to raw outcomes; None stands for a trial that failed, and counts as the worst one that did not.
    ///
    /// None if there are not two different finite values, or their differences overflow.
    pub(crate) fn apply(self, raw: &[Option<f64>]) -> Option<Outcomes> {
        let mut finite: Vec<f64> = raw.iter().flatten().copied().filter(|y| y.is_finite()).collect();
        finite.sort_by(f64::total_cmp);
        let (best, worst) = (*finite.first()?, *finite.last()?);
        let median = finite[finite.len() / 2];
        let spread = [median - best, worst - best]
            .into_iter()
            .find(|spread| *spread > 0.0)?;
        let mut back = Back {
            warp: self,
            finite,
            spread,
            mean: 0.0,
            scale: 1.0,
        };
        let numbers = || raw.iter().map(|y| y.filter(|y| y.is_finite()).unwrap_or(worst));
        let slopes: f64 = numbers().map(|y| back.log_slope(y)).sum();
        let (values, mean, scale) = standardized(numbers().map(|y| back.warped(y)).collect())?;
        let log_jacobian = slopes - values.len() as f64 * scale.ln();
        (back.mean, back.scale) = (mean, scale);
        Some(Outcomes {
            values,
            log_jacobian,
            back,
        })
    }
}

/// Violations for a model: mean 0, variance 1, and where among these the violation 0 lies.
///
/// They are pressed together on both sides of it: `sign(v) ln(1 + |v| / unit)` with the median size of them as the unit, after the "bilog" of Eriksson
/// and Poloczek 2021, "Scalable constrained Bayesian optimization": what matters is where they change sign. None stands for what was not
/// measured, and counts as the largest one, or one unit if there is none.
///
/// None if there are not two different ones.
pub(crate) fn violations(raw: &[Option<f64>]) -> Option<(Vec<f64>, f64)> {
    let finite = || raw.iter().flatten().copied().filter(|by| by.is_finite());
    let mut sizes: Vec<f64> = finite().map(f64::abs).filter(|size| *size > 0.0).collect();
    sizes.sort_by(f64::total_cmp);
    let unit = *sizes.get(sizes.len() / 2)?;
    let least = finite().fold(0.0, f64::min);
    let most = Some(finite().fold(0.0, f64::max))
        .filter(|most| *most > 0.0)
        .unwrap_or(unit);
    let pressed = raw.iter().map(|by| {
        let by = match *by {
            Some(by) if by.is_finite() => by,
            Some(f64::NEG_INFINITY) => least,
            _ => most,
        };
        (by.abs() / unit).ln_1p().copysign(by)
    });
    let pressed: Vec<f64> = pressed.collect();
    let mean = pressed.iter().map(|by| by / pressed.len() as f64).sum::<f64>();
    let (values, _, scale) = standardized(pressed)?;
    Some((values, -mean / scale))
}

/// Mean 0 and variance 1, and the mean and the deviation there were. None if there was no deviation, or an infinite one.
fn standardized(mut values: Vec<f64>) -> Option<(Vec<f64>, f64, f64)> {
    let n = values.len() as f64;
    let mean = values.iter().map(|y| y / n).sum::<f64>();
    let scale = (values.iter().map(|y| (y - mean) * (y - mean) / n).sum::<f64>()).sqrt();
    if !scale.is_finite() || scale <= 0.0 {
        return None;
    }
    for value in &mut values {
        *value = (*value - mean) / scale;
    }
    Some((values, mean, scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Warp; 5] = [
        Warp::Linear,
        Warp::Tail,
        Warp::Log { softness: 1.0 },
        Warp::Log { softness: 0.01 },
        Warp::Ranks,
    ];

    #[test]
    fn order_stays_and_failures_are_worst() {
        let raw = [
            Some(3.0),
            None,
            Some(1.0),
            Some(f64::NAN),
            Some(1e6),
            Some(f64::NEG_INFINITY),
            Some(2.0),
        ];
        for warp in ALL {
            let outcomes = warp.apply(&raw).unwrap().values;
            assert!(
                outcomes[2] < outcomes[6] && outcomes[6] < outcomes[0] && outcomes[0] < outcomes[4],
                "{warp:?}"
            );
            for failed in [1, 3, 5] {
                assert_eq!(outcomes[failed].to_bits(), outcomes[4].to_bits(), "{warp:?}");
            }
            let mean: f64 = outcomes.iter().sum::<f64>() / 7.0;
            let variance: f64 = outcomes.iter().map(|y| y * y).sum::<f64>() / 7.0;
            assert!(mean.abs() < 1e-12 && (variance - 1.0).abs() < 1e-12, "{warp:?}");
        }
    }

    #[test]
    fn the_way_back_leads_to_the_raw_outcomes_and_beyond_them() {
        let raw: Vec<Option<f64>> = [3.0, 1.0, 4.0, 1.5, 9.0, 2.6, 1e3]
            .into_iter()
            .map(Some)
            .collect();
        for warp in ALL {
            let Outcomes { values, back, .. } = warp.apply(&raw).unwrap();
            for (value, raw) in values.iter().zip(raw.iter().flatten()) {
                assert!((back.raw(*value) - raw).abs() < 1e-9 * raw, "{warp:?} {raw}");
                assert_eq!(back.outcome(*raw).to_bits(), value.to_bits(), "{warp:?} {raw}");
            }
            let beyond = |value: f64| [back.raw(values[1] - value), back.raw(values[6] + value)];
            let [better, worse] = beyond(0.1);
            match warp {
                Warp::Ranks => assert!((better - 1.0).abs() < 1e-9 && (worse - 1e3).abs() < 1e-9),
                _ => assert!(better < 1.0 && worse > 1e3, "{warp:?} {better} {worse}"),
            }
        }
    }

    #[test]
    fn without_two_different_values_there_is_nothing_to_compare() {
        for raw in [
            vec![],
            vec![None, Some(f64::INFINITY)],
            vec![Some(2.0); 5],
            vec![Some(2.0), None],
        ] {
            assert!(ALL.iter().all(|warp| warp.apply(&raw).is_none()), "{raw:?}");
        }
        let far = [Some(-1e308), Some(1e308), Some(0.0)];
        assert_eq!(Warp::Linear.apply(&far), None);
        assert!(Warp::Ranks.apply(&far).is_some());
    }

    #[test]
    fn of_several_objectives_only_far_tails_are_pressed_together() {
        let raw =
            |worst: f64| -> Vec<Option<f64>> { [0.0, 1.0, 2.0, 3.0, worst].into_iter().map(Some).collect() };
        assert_eq!(warp_of_several(&raw(60.0)), Warp::Linear);
        assert_eq!(warp_of_several(&raw(63.0)), Warp::Tail);
        assert_eq!(warp_of_several(&[None, Some(f64::NAN)]), Warp::Linear);
        // Up to the median it is linear; the spread is 2.
        let tail = Warp::Tail.apply(&raw(1e6)).unwrap().values;
        let unit = tail[1] - tail[0];
        assert!((tail[2] - tail[1] - unit).abs() < 1e-12);
        assert!((tail[4] - tail[2] - 2.0 * unit * (1.0 + (1e6 - 2.0) / 2.0_f64).ln()).abs() < 1e-9);
    }

    #[test]
    fn violations_keep_their_sign_and_what_was_not_measured_is_the_worst() {
        let raw = [
            Some(-4.0),
            Some(1.0),
            None,
            Some(1e9),
            Some(f64::NEG_INFINITY),
            Some(0.0),
        ];
        let (values, limit) = violations(&raw).unwrap();
        assert!((values[5] - limit).abs() < 1e-12);
        assert!(values[0] < limit && values[1] > limit && values[1] < values[3]);
        assert_eq!(values[2].to_bits(), values[3].to_bits());
        assert_eq!(values[4].to_bits(), values[0].to_bits());
        // Nothing is violated but what was not measured.
        let (values, limit) = violations(&[Some(-1.0), Some(-2.0), None]).unwrap();
        assert!(values[2] > limit && values[0] < limit);
        for raw in [
            vec![],
            vec![None; 3],
            vec![Some(0.0); 3],
            vec![Some(-1.0); 3],
            vec![Some(2.0), None],
        ] {
            assert_eq!(violations(&raw), None, "{raw:?}");
        }
    }

    #[test]
    fn the_jacobian_is_the_sum_of_the_slopes() {
        let raw: Vec<Option<f64>> = [3.0, 1.0, 4.0, 1.5, 9.0, 2.6].into_iter().map(Some).collect();
        for softness in [1.0, 0.1] {
            let warp = Warp::Log { softness };
            let spread = 3.0 - 1.0;
            let outcomes = warp.apply(&raw).unwrap();
            let warped: Vec<f64> = raw
                .iter()
                .flatten()
                .map(|y| ((y - 1.0) / (softness * spread)).ln_1p())
                .collect();
            let mean = warped.iter().sum::<f64>() / 6.0;
            let scale = (warped.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / 6.0).sqrt();
            let expected: f64 = raw
                .iter()
                .flatten()
                .map(|y| (1.0 / (softness * spread + y - 1.0) / scale).ln())
                .sum();
            assert!((outcomes.log_jacobian - expected).abs() < 1e-9);
        }
    }
}
