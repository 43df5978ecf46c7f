//! Gradient descent with momentum, and Adam, on one flat vector of parameters.
//!
//! Weight decay is decoupled from the gradient for both and applies to weights and biases alike
//! (Loshchilov & Hutter 2019, arXiv:1711.05101).

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Adam's decay rates and its guard against division by zero: the values of Kingma & Ba (2015), arXiv:1412.6980.
const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// The kinds of optimiser one can choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OptimizerKind {
    /// Stochastic gradient descent with momentum.
    Sgd,
    /// Adam with bias correction.
    Adam,
}

impl OptimizerKind {
    /// Numbers kept per parameter.
    pub(crate) fn slots(self) -> usize {
        match self {
            Self::Sgd => 1,
            Self::Adam => 2,
        }
    }
}

impl fmt::Display for OptimizerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sgd => "sgd",
            Self::Adam => "adam",
        })
    }
}

/// What can be tuned about an optimiser.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Settings {
    /// Which one.
    pub(crate) kind: OptimizerKind,
    /// Learning rate, above 0.
    pub(crate) lr: f64,
    /// Share of the last velocity that is kept, in [0, 1); of no meaning to Adam.
    pub(crate) momentum: f64,
    /// Share of each parameter lost per step and unit of learning rate, at least 0.
    pub(crate) weight_decay: f64,
}

/// An optimiser in the middle of its work.
#[derive(Debug, Clone)]
pub(crate) struct Optimizer {
    settings: Settings,
    /// Steps taken; Adam's bias correction depends on it.
    pub(crate) steps: u32,
    /// Velocity (SGD), or first and then second moments (Adam), each as long as the parameters.
    pub(crate) state: Vec<f64>,
}

impl Optimizer {
    /// An optimiser of `count` parameters at rest.
    pub(crate) fn new(settings: Settings, count: usize) -> Self {
        Self {
            settings,
            steps: 0,
            state: vec![0.0; count * settings.kind.slots()],
        }
    }

    /// Moves `parameters` one step against `gradient`.
    ///
    /// SGD: `v = momentum * v + g; x -= lr * v`. Adam: Kingma & Ba, algorithm 1.
    pub(crate) fn step(&mut self, parameters: &mut [f64], gradient: &[f64]) {
        // Saturation only stops the correction from changing, and it has long been 1 by then.
        self.steps = self.steps.saturating_add(1);
        let Settings {
            kind,
            lr,
            momentum,
            weight_decay,
        } = self.settings;
        let keep = 1.0 - lr * weight_decay;
        match kind {
            OptimizerKind::Sgd => {
                for ((x, g), v) in parameters.iter_mut().zip(gradient).zip(&mut self.state) {
                    *v = momentum * *v + g;
                    *x = keep * *x - lr * *v;
                }
            }
            OptimizerKind::Adam => {
                let steps = f64::from(self.steps);
                // The two corrections, taken out of the loop: its divisions and roots are what a step costs.
                let rate = lr / (1.0 - BETA1.powf(steps));
                let root = (1.0 - BETA2.powf(steps)).sqrt().recip();
                let (first, second) = self.state.split_at_mut(parameters.len());
                for (((x, g), m), v) in parameters.iter_mut().zip(gradient).zip(first).zip(second) {
                    *m = BETA1 * *m + (1.0 - BETA1) * g;
                    *v = BETA2 * *v + (1.0 - BETA2) * g * g;
                    *x = keep * *x - rate * *m / (root * v.sqrt() + EPSILON);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    /// With a constant gradient g the velocity after n steps is `g (1 - mu^n) / (1 - mu)`.
    #[test]
    fn momentum_adds_up_like_a_geometric_series() {
        let settings = Settings {
            kind: OptimizerKind::Sgd,
            lr: 0.1,
            momentum: 0.8,
            weight_decay: 0.0,
        };
        let mut sgd = Optimizer::new(settings, 2);
        let mut x = [1.0, -2.0];
        for _ in 0..5 {
            sgd.step(&mut x, &[0.5, -3.0]);
        }
        let expected = (1.0 - 0.8_f64.powi(5)) / 0.2;
        assert!(
            close(sgd.state[0], 0.5 * expected) && close(sgd.state[1], -3.0 * expected),
            "{:?}",
            sgd.state
        );
    }

    /// With a constant gradient both of Adam's corrected moments are exact, so that each step has the length lr.
    #[test]
    fn adam_moves_by_the_learning_rate_whatever_the_size_of_a_constant_gradient() {
        let settings = Settings {
            kind: OptimizerKind::Adam,
            lr: 0.01,
            momentum: 0.0,
            weight_decay: 0.0,
        };
        let mut adam = Optimizer::new(settings, 2);
        let mut x = [1.0, 1.0];
        for _ in 0..7 {
            adam.step(&mut x, &[1e4, -2.0]);
        }
        assert!((x[0] - 0.93).abs() < 1e-8 && (x[1] - 1.07).abs() < 1e-8, "{x:?}");
    }

    #[test]
    fn weight_decay_shrinks_parameters_without_a_gradient() {
        for kind in [OptimizerKind::Sgd, OptimizerKind::Adam] {
            let settings = Settings {
                kind,
                lr: 0.1,
                momentum: 0.9,
                weight_decay: 0.5,
            };
            let mut x = [2.0];
            let mut optimizer = Optimizer::new(settings, 1);
            optimizer.step(&mut x, &[0.0]);
            optimizer.step(&mut x, &[0.0]);
            assert!(close(x[0], 2.0 * 0.95 * 0.95), "{kind:?}: {x:?}");
        }
    }
}
