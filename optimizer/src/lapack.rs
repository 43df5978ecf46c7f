//! Factors of symmetric matrices by the system's LAPACK: the only place that calls it.
//!
//! # Invariants
//!
//! * One call at a time in the whole program. Not every build of OpenBLAS may be called from several threads: one without threads or locks of
//!   its own, such as Debian's `libopenblas0-serial`, gives all callers the same scratch memory, and their results are wrong without any error.
//!   Studies whose suggestions are computed at the same time would get other ones than they would alone.
#![expect(clippy::disallowed_types, reason = "calls LAPACK, under a lock")]

use std::sync::{Mutex, PoisonError};

use ndarray::{Array1, Array2, s};
use ndarray_linalg::{Cholesky, Diag, Eigh, FactorizeCInto, InverseCInto, SolveTriangularInto, UPLO};

static CALLS: Mutex<()> = Mutex::new(());

fn alone<T>(call: impl FnOnce() -> T) -> T {
    let _held = CALLS.lock().unwrap_or_else(PoisonError::into_inner);
    call()
}

/// The lower Cholesky factor of a matrix, of which the lower triangle is read. None if it is not positive definite.
pub(crate) fn cholesky(matrix: &Array2<f64>) -> Option<Array2<f64>> {
    alone(|| matrix.cholesky(UPLO::Lower)).ok()
}

/// The inverse of a matrix, and half the logarithm of its determinant. None if it is not positive definite.
pub(crate) fn inverse(matrix: Array2<f64>) -> Option<(Array2<f64>, f64)> {
    alone(|| {
        let factor = matrix.factorizec_into(UPLO::Lower).ok()?;
        let log_root = factor.factor.diag().iter().map(|x| x.ln()).sum();
        Some((factor.invc_into().ok()?, log_root))
    })
}

/// The inverse of a lower triangular matrix, shape `(n, n)`, by rows. It has entries that are not finite if the matrix is singular.
pub(crate) fn inverse_of_lower(factor: &Array2<f64>) -> Array2<f64> {
    /// From here on the library's blocked algorithm is quicker than the plain one.
    const LARGE: usize = 96;
    if factor.nrows() < LARGE {
        return plain_inverse_of_lower(factor);
    }
    blocked_inverse_of_lower(factor).unwrap_or_else(|| plain_inverse_of_lower(factor))
}

fn plain_inverse_of_lower(factor: &Array2<f64>) -> Array2<f64> {
    let n = factor.nrows();
    let mut inverse = vec![0.0; n * n];
    for i in 0..n {
        let (done, rest) = inverse.split_at_mut(i * n);
        let row = &mut rest[..=i];
        // Row i is (e_i - sum over j < i of L_ij times row j) / L_ii.
        for (j, above) in done.chunks_exact(n).enumerate() {
            let l = factor[(i, j)];
            for (x, above) in row.iter_mut().zip(&above[..=j]) {
                *x -= l * above;
            }
        }
        row[i] = 1.0;
        let scale = 1.0 / factor[(i, i)];
        for x in row {
            *x *= scale;
        }
    }
    Array2::from_shape_vec((n, n), inverse).unwrap_or_else(|_| Array2::zeros((n, n)))
}

/// Some columns at a time, each time without the rows above them, where they are 0: a third of the work of solving for all at once.
fn blocked_inverse_of_lower(factor: &Array2<f64>) -> Option<Array2<f64>> {
    const WIDTH: usize = 128;
    let n = factor.nrows();
    let mut inverse = Array2::zeros((n, n));
    for first in (0..n).step_by(WIDTH) {
        let end = n.min(first + WIDTH);
        let corner = factor.slice(s![first.., first..]).to_owned();
        let mut columns = Array2::zeros((n - first, end - first));
        columns.diag_mut().fill(1.0);
        let columns = alone(|| corner.solve_triangular_into(UPLO::Lower, Diag::NonUnit, columns)).ok()?;
        inverse.slice_mut(s![first.., first..end]).assign(&columns);
    }
    Some(inverse)
}

/// Eigenvalues, ascending, and the eigenvectors in columns. None if they are not found.
pub(crate) fn eigenvectors(matrix: &Array2<f64>) -> Option<(Array1<f64>, Array2<f64>)> {
    alone(|| matrix.eigh(UPLO::Lower)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The correlations of `n` points, nearly singular.
    fn correlations(n: usize) -> Array2<f64> {
        let at = |k: usize| ((k * 7919 + n * 31) % 1009) as f64 / 1009.0;
        Array2::from_shape_fn((n, n), |(i, j)| {
            (-8.0 * (at(i) - at(j)).powi(2)).exp() + if i == j { 1e-6 } else { 0.0 }
        })
    }

    fn bits(matrix: &Array2<f64>) -> Vec<u64> {
        matrix.iter().map(|x| x.to_bits()).collect()
    }

    #[test]
    fn threads_that_factor_at_the_same_time_find_what_one_alone_does() {
        const ROUNDS: usize = 15;
        let all = |matrix: &Array2<f64>| {
            let factor = cholesky(matrix).unwrap();
            let (inverse, log_root) = inverse(matrix.clone()).unwrap();
            let (values, vectors) = eigenvectors(matrix).unwrap();
            let values: Vec<u64> = values.iter().map(|x| x.to_bits()).collect();
            let matrices = [factor.clone(), inverse, vectors, inverse_of_lower(&factor)];
            (values, log_root.to_bits(), matrices.map(|matrix| bits(&matrix)))
        };
        let matrices: Vec<Array2<f64>> = (20..120).step_by(9).map(correlations).collect();
        let expected: Vec<_> = matrices.iter().map(all).collect();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..ROUNDS {
                        for (matrix, expected) in matrices.iter().zip(&expected) {
                            assert!(all(matrix) == *expected, "round {round}, {} rows", matrix.nrows());
                        }
                    }
                });
            }
        });
    }

    #[test]
    fn inverses_are_inverses_and_a_matrix_that_is_not_positive_definite_has_none() {
        for n in [1, 5, 130, 300] {
            let matrix = &correlations(n) + &Array2::<f64>::eye(n);
            let factor = cholesky(&matrix).unwrap();
            let (inverse, log_root) = inverse(matrix.clone()).unwrap();
            let off = |product: Array2<f64>| {
                (product - Array2::<f64>::eye(n)).fold(0.0_f64, |most, x| most.max(x.abs()))
            };
            assert!(off(matrix.dot(&inverse)) < 1e-10);
            assert!(off(inverse_of_lower(&factor).dot(&factor)) < 1e-10);
            let expected: f64 = factor.diag().iter().map(|x| x.ln()).sum();
            assert!((log_root - expected).abs() < 1e-10);
        }
        let indefinite = -Array2::<f64>::eye(3);
        assert!(cholesky(&indefinite).is_none() && inverse(indefinite).is_none());
    }
}
