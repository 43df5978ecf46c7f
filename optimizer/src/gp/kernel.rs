//! Correlations as functions of a weighted sum of squared distances `r^2` (Rasmussen and Williams 2006, section 4.2).

/// How smooth the functions are that a model expects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// Matern of smoothness 5/2: `(1 + a + a^2 / 3) exp(-a)` where `a = sqrt(5) r`. Two derivatives.
    #[default]
    Matern,
    /// The squared exponential `exp(-r^2 / 2)`: all derivatives.
    Gaussian,
}

impl Kernel {
    /// Value at a squared distance.
    pub(crate) fn value(self, squared: f64) -> f64 {
        match self {
            Self::Matern => {
                let a = (5.0 * squared).sqrt();
                (1.0 + a + a * a / 3.0) * (-a).exp()
            }
            Self::Gaussian => (-0.5 * squared).exp(),
        }
    }

    /// Value, and derivative with respect to the squared distance.
    pub(crate) fn both(self, squared: f64) -> (f64, f64) {
        match self {
            Self::Matern => {
                let a = (5.0 * squared).sqrt();
                let decay = (-a).exp();
                ((1.0 + a + a * a / 3.0) * decay, -5.0 / 6.0 * (1.0 + a) * decay)
            }
            Self::Gaussian => {
                let value = (-0.5 * squared).exp();
                (value, -0.5 * value)
            }
        }
    }
}
