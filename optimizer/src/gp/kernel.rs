//! The Matern kernel of smoothness 5/2 on a weighted sum of squared distances (Rasmussen and Williams 2006, section 4.2).
//!
//! With `r` the root of that sum, `k = (1 + a + a^2 / 3) exp(-a)` where `a = sqrt(5) r`.

/// Value at a squared distance.
pub(crate) fn matern(squared: f64) -> f64 {
    let a = (5.0 * squared).sqrt();
    (1.0 + a + a * a / 3.0) * (-a).exp()
}

/// Value, and derivative with respect to the squared distance.
pub(crate) fn matern_both(squared: f64) -> (f64, f64) {
    let a = (5.0 * squared).sqrt();
    let decay = (-a).exp();
    ((1.0 + a + a * a / 3.0) * decay, -5.0 / 6.0 * (1.0 + a) * decay)
}
