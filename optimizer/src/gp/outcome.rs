//! Making outcomes comparable: what failed, what is infinite, what is many times worse than the rest.

/// Outcomes for a model: mean 0, variance 1, smaller is better.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcomes {
    pub(crate) values: Vec<f64>,
    /// Logarithm of the change of density, by which evidences of different warps of the same outcomes become comparable.
    pub(crate) log_jacobian: f64,
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
    /// The order only. For outcomes so far apart that their differences are no numbers.
    Ranks,
}

/// Warps to choose from, with the logarithm of the odds that each has beforehand.
pub(crate) const WARPS: [(Warp, f64); 4] = [
    (Warp::Linear, 0.0),
    (Warp::Log { softness: 1.0 }, -1.0),
    (Warp::Log { softness: 0.1 }, -2.0),
    (Warp::Log { softness: 0.01 }, -4.0),
];

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
        let mut log_jacobian = 0.0;
        let values: Vec<f64> = raw
            .iter()
            .map(|y| {
                let y = y.filter(|y| y.is_finite()).unwrap_or(worst);
                match self {
                    Self::Linear => y,
                    Self::Log { softness } => {
                        let width = softness * spread;
                        let log = ((y - best) / width).ln_1p();
                        log_jacobian -= width.ln() + log;
                        log
                    }
                    Self::Ranks => finite.partition_point(|other| *other < y) as f64,
                }
            })
            .collect();
        let (values, scale) = standardized(values)?;
        log_jacobian -= values.len() as f64 * scale.ln();
        Some(Outcomes { values, log_jacobian })
    }
}

/// Mean 0 and variance 1, and the deviation there was. None if there was none, or an infinite one.
fn standardized(mut values: Vec<f64>) -> Option<(Vec<f64>, f64)> {
    let n = values.len() as f64;
    let mean = values.iter().map(|y| y / n).sum::<f64>();
    let scale = (values.iter().map(|y| (y - mean) * (y - mean) / n).sum::<f64>()).sqrt();
    if !scale.is_finite() || scale <= 0.0 {
        return None;
    }
    for value in &mut values {
        *value = (*value - mean) / scale;
    }
    Some((values, scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Warp; 4] = [
        Warp::Linear,
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
