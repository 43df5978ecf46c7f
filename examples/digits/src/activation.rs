//! The activation functions of the hidden layers, each with its derivative and the right scale of starting weights.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What a hidden unit does with the sum it receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Activation {
    /// `max(0, z)`.
    Relu,
    /// The hyperbolic tangent.
    Tanh,
    /// `1 / (1 + exp(-z))`.
    Sigmoid,
    /// `z * Phi(z)`, in the form with tanh. Hendrycks & Gimpel (2016), arXiv:1606.08415, section 2.
    Gelu,
}

impl Activation {
    /// The value at `z` and the derivative there.
    pub(crate) fn value_and_slope(self, z: f64) -> (f64, f64) {
        match self {
            // Not `f64::max`, which would turn NaN into 0 and hide that training diverged.
            Self::Relu if z < 0.0 => (0.0, 0.0),
            Self::Relu => (z, 1.0),
            Self::Tanh => {
                let y = z.tanh();
                (y, 1.0 - y * y)
            }
            Self::Sigmoid => {
                let y = 1.0 / (1.0 + (-z).exp());
                (y, y * (1.0 - y))
            }
            Self::Gelu => {
                const CUBIC: f64 = 0.044_715;
                let scale = (2.0 / std::f64::consts::PI).sqrt();
                let t = (scale * (z + CUBIC * z * z * z)).tanh();
                let inner_slope = scale * (1.0 + 3.0 * CUBIC * z * z);
                (
                    0.5 * z * (1.0 + t),
                    0.5 * (1.0 + t) + 0.5 * z * (1.0 - t * t) * inner_slope,
                )
            }
        }
    }

    /// Largest absolute starting weight of a layer, drawn uniformly.
    ///
    /// `sqrt(6 / inputs)` for the rectifiers (He et al. 2015, arXiv:1502.01852, section 2.2), else
    /// `sqrt(6 / (inputs + outputs))` (Glorot & Bengio 2010, AISTATS, eq. 16).
    pub(crate) fn weight_limit(self, inputs: usize, outputs: usize) -> f64 {
        let fan = match self {
            Self::Relu | Self::Gelu => inputs,
            Self::Tanh | Self::Sigmoid => inputs + outputs,
        };
        (6.0 / to_f64(fan)).sqrt()
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Relu => "relu",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::Gelu => "gelu",
        })
    }
}

/// A count as a number; counts here are far below 2^53, where `f64` stops being exact.
pub(crate) fn to_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Activation; 4] = [
        Activation::Relu,
        Activation::Tanh,
        Activation::Sigmoid,
        Activation::Gelu,
    ];

    #[test]
    fn slopes_agree_with_finite_differences() {
        const STEP: f64 = 1e-6;
        for activation in ALL {
            for z in [-3.0, -0.7, -0.01, 0.02, 0.5, 4.0] {
                let (above, below) = (
                    activation.value_and_slope(z + STEP).0,
                    activation.value_and_slope(z - STEP).0,
                );
                let slope = activation.value_and_slope(z).1;
                let difference = slope - (above - below) / (2.0 * STEP);
                assert!(difference.abs() < 1e-8, "{activation:?} at {z}: {difference}");
            }
        }
    }

    #[test]
    fn known_values() {
        let at_one = ALL.map(|activation| activation.value_and_slope(1.0).0);
        // GELU of 1 is Phi(1) = 0.841345; the form with tanh differs in the fourth digit.
        for (value, expected) in at_one.into_iter().zip([1.0, 0.761_594, 0.731_059, 0.841_345]) {
            assert!((value - expected).abs() < 3e-4, "{value} is not {expected}");
        }
    }

    #[test]
    fn not_a_number_stays_visible() {
        for activation in ALL {
            assert!(activation.value_and_slope(f64::NAN).0.is_nan(), "{activation:?}");
        }
    }
}
