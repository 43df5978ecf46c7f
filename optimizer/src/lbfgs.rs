//! Minimisation of a smooth function in a box by limited-memory BFGS (Nocedal 1980; Nocedal and Wright 2006, algorithm 7.4), with
//! projection onto the box and a backtracking line search.
//!
//! Variables at a bound towards which the function falls are held there for the step; the quasi-Newton direction is that of the
//! others. Deterministic: no random numbers, a fixed order of operations.

/// Pairs of steps and changes of the gradient that are kept.
const MEMORY: usize = 10;
/// Decrease of the function that a step must bring, as a share of what its slope promises.
const ARMIJO: f64 = 1e-4;
/// Halvings of a step before the search gives up.
const MAX_HALVINGS: usize = 20;

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Evaluations of the function at most.
    pub(crate) evaluations: usize,
    /// Stop when no free component of the gradient is larger.
    pub(crate) gradient: f64,
    /// Stop when a step improves the function by less.
    pub(crate) improvement: f64,
    /// Longest first step, in units of the variables.
    pub(crate) first_step: f64,
}

/// A point and the function's value there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Minimum {
    pub(crate) x: Vec<f64>,
    pub(crate) value: f64,
}

/// Minimises `function` from `start`, within `low <= x <= high` in each variable.
///
/// `function` writes the gradient to its second argument and returns the value, or None where it is not defined; such points are
/// stepped back from. None if it is not defined at `start`.
pub(crate) fn minimize(
    start: &[f64],
    (low, high): (f64, f64),
    limits: Limits,
    mut function: impl FnMut(&[f64], &mut [f64]) -> Option<f64>,
) -> Option<Minimum> {
    let d = start.len();
    let mut x: Vec<f64> = start.iter().map(|x| x.clamp(low, high)).collect();
    let mut gradient = vec![0.0; d];
    let mut value = finite(function(&x, &mut gradient), &gradient)?;
    let mut evaluations = 1;
    let mut pairs: std::collections::VecDeque<(Vec<f64>, Vec<f64>, f64)> =
        std::collections::VecDeque::with_capacity(MEMORY);
    let mut trial = vec![0.0; d];
    let mut trial_gradient = vec![0.0; d];
    while evaluations < limits.evaluations {
        let held: Vec<bool> = (0..d)
            .map(|i| (x[i] <= low && gradient[i] > 0.0) || (x[i] >= high && gradient[i] < 0.0))
            .collect();
        let steepest = (0..d)
            .filter(|&i| !held[i])
            .map(|i| gradient[i].abs())
            .fold(0.0, f64::max);
        if steepest <= limits.gradient {
            break;
        }
        let mut direction = quasi_newton(&gradient, &held, &pairs);
        let mut slope = dot(&direction, &gradient);
        if slope.is_nan() || slope >= 0.0 {
            pairs.clear();
            direction = (0..d).map(|i| if held[i] { 0.0 } else { -gradient[i] }).collect();
            slope = dot(&direction, &gradient);
        }
        let longest = direction
            .iter()
            .fold(0.0_f64, |longest, step| longest.max(step.abs()));
        let mut step = if pairs.is_empty() {
            (limits.first_step / longest).min(1.0)
        } else {
            1.0
        };
        let mut accepted = None;
        for _ in 0..MAX_HALVINGS {
            if evaluations >= limits.evaluations {
                break;
            }
            for i in 0..d {
                trial[i] = (x[i] + step * direction[i]).clamp(low, high);
            }
            evaluations += 1;
            let found = finite(function(&trial, &mut trial_gradient), &trial_gradient);
            if let Some(found) = found
                && found <= value + ARMIJO * step * slope
            {
                accepted = Some(found);
                break;
            }
            // The minimum of the parabola through what is known, within reason.
            let parabola = found.map_or(0.25, |found| {
                let curvature = found - value - step * slope;
                if curvature > 0.0 {
                    -step * slope / (2.0 * curvature)
                } else {
                    0.5
                }
            });
            step *= parabola.clamp(0.1, 0.5);
        }
        let Some(found) = accepted else {
            if pairs.is_empty() {
                break;
            }
            pairs.clear();
            continue;
        };
        let moved: Vec<f64> = trial.iter().zip(&x).map(|(new, old)| new - old).collect();
        let changed: Vec<f64> = trial_gradient
            .iter()
            .zip(&gradient)
            .map(|(new, old)| new - old)
            .collect();
        let curvature = dot(&moved, &changed);
        if curvature > 1e-12 * dot(&changed, &changed) {
            if pairs.len() == MEMORY {
                pairs.pop_front();
            }
            pairs.push_back((moved, changed, 1.0 / curvature));
        }
        let improvement = value - found;
        x.copy_from_slice(&trial);
        gradient.copy_from_slice(&trial_gradient);
        value = found;
        if improvement < limits.improvement {
            break;
        }
    }
    Some(Minimum { x, value })
}

/// The two-loop recursion, on the free variables only.
fn quasi_newton(
    gradient: &[f64],
    held: &[bool],
    pairs: &std::collections::VecDeque<(Vec<f64>, Vec<f64>, f64)>,
) -> Vec<f64> {
    let mut q: Vec<f64> = gradient
        .iter()
        .zip(held)
        .map(|(g, held)| if *held { 0.0 } else { -g })
        .collect();
    let mut shares = Vec::with_capacity(pairs.len());
    for (moved, changed, inverse) in pairs.iter().rev() {
        let share = inverse * dot(moved, &q);
        for (q, changed) in q.iter_mut().zip(changed) {
            *q -= share * changed;
        }
        shares.push(share);
    }
    if let Some((_, changed, inverse)) = pairs.back() {
        let scale = 1.0 / (inverse * dot(changed, changed));
        for q in &mut q {
            *q *= scale;
        }
    }
    for ((moved, changed, inverse), share) in pairs.iter().zip(shares.iter().rev()) {
        let correction = share - inverse * dot(changed, &q);
        for (q, moved) in q.iter_mut().zip(moved) {
            *q += correction * moved;
        }
    }
    for (q, held) in q.iter_mut().zip(held) {
        if *held {
            *q = 0.0;
        }
    }
    q
}

fn finite(value: Option<f64>, gradient: &[f64]) -> Option<f64> {
    value.filter(|value| value.is_finite() && gradient.iter().all(|g| g.is_finite()))
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        evaluations: 500,
        gradient: 1e-10,
        improvement: 0.0,
        first_step: 0.5,
    };

    #[test]
    fn rosenbrock_is_minimised() {
        let rosenbrock = |x: &[f64], g: &mut [f64]| {
            g.fill(0.0);
            let mut sum = 0.0;
            for i in 0..x.len() - 1 {
                let (a, b) = (x[i + 1] - x[i] * x[i], 1.0 - x[i]);
                sum += 100.0 * a * a + b * b;
                g[i] += -400.0 * a * x[i] - 2.0 * b;
                g[i + 1] += 200.0 * a;
            }
            Some(sum)
        };
        let found = minimize(&[-1.2, 1.0, -0.5, 0.3], (-5.0, 5.0), LIMITS, rosenbrock).unwrap();
        assert!(found.value < 1e-12, "{found:?}");
        assert!(found.x.iter().all(|x| (x - 1.0).abs() < 1e-5), "{found:?}");
    }

    #[test]
    fn a_minimum_on_the_bounds_is_found() {
        let bowl = |x: &[f64], g: &mut [f64]| {
            let centre = [2.0, -3.0, 0.25];
            for i in 0..3 {
                g[i] = 2.0 * (x[i] - centre[i]);
            }
            Some((0..3).map(|i| (x[i] - centre[i]).powi(2)).sum())
        };
        let found = minimize(&[0.5; 3], (0.0, 1.0), LIMITS, bowl).unwrap();
        let expected = [1.0, 0.0, 0.25];
        assert!(
            found.x.iter().zip(expected).all(|(x, e)| (x - e).abs() < 1e-8),
            "{found:?}"
        );
    }

    #[test]
    fn where_the_function_is_not_defined_is_stepped_back_from() {
        let log = |x: &[f64], g: &mut [f64]| {
            g[0] = 1.0 - 0.1 / x[0];
            (x[0] > 0.0).then(|| x[0] - 0.1 * x[0].ln())
        };
        let found = minimize(&[3.0], (-10.0, 10.0), LIMITS, log).unwrap();
        assert!((found.x[0] - 0.1).abs() < 1e-6, "{found:?}");
        assert_eq!(minimize(&[-3.0], (-10.0, 10.0), LIMITS, log), None);
    }
}
