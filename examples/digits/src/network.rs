//! A multi-layer perceptron: forward pass, cross-entropy loss and its gradient.
//!
//! All weights and biases lie in one vector, layer after layer, weights `(inputs, outputs)` row by row and then the
//! biases. Optimiser and checkpoints see that vector only and need not know about layers.

use std::fmt;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut2, Axis, Zip};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::activation::{Activation, to_f64};
use crate::data::{CLASSES, Images, PIXELS};

/// Most hidden layers one can ask for.
pub(crate) const MAX_DEPTH: usize = 16;
/// Most units of a hidden layer one can ask for.
pub(crate) const MAX_WIDTH: usize = 4_096;

/// Everything about the network that decides how many weights it has and what they mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Architecture {
    /// Hidden layers, at least 1.
    pub(crate) depth: usize,
    /// Units of each hidden layer, at least 1.
    pub(crate) width: usize,
    /// Activation of the hidden layers; the outputs are a softmax.
    pub(crate) activation: Activation,
}

impl Architecture {
    /// Weights and biases of all layers together.
    pub(crate) fn parameter_count(self) -> usize {
        self.layers().iter().map(LayerShape::len).sum()
    }

    /// The same, or `None` if the numbers are beyond what this program offers: for shapes read from a file.
    pub(crate) fn checked_parameter_count(self) -> Option<usize> {
        let offered = (1..=MAX_DEPTH).contains(&self.depth) && (1..=MAX_WIDTH).contains(&self.width);
        offered.then(|| self.parameter_count())
    }

    fn layers(self) -> Vec<LayerShape> {
        let mut sizes = vec![PIXELS];
        sizes.extend(std::iter::repeat_n(self.width, self.depth));
        sizes.push(CLASSES);
        let mut offset = 0;
        let mut layers = Vec::with_capacity(sizes.len() - 1);
        for pair in sizes.windows(2) {
            let layer = LayerShape {
                inputs: pair[0],
                outputs: pair[1],
                offset,
            };
            offset += layer.len();
            layers.push(layer);
        }
        layers
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layers = if self.depth == 1 { "layer" } else { "layers" };
        write!(
            f,
            "{} hidden {layers} of {} units ({})",
            self.depth, self.width, self.activation
        )
    }
}

/// One layer's place in the vector of parameters.
#[derive(Debug, Clone, Copy)]
struct LayerShape {
    inputs: usize,
    outputs: usize,
    offset: usize,
}

impl LayerShape {
    fn len(&self) -> usize {
        (self.inputs + 1) * self.outputs
    }

    fn weights<'a>(&self, parameters: &'a [f64]) -> ArrayView2<'a, f64> {
        let end = self.offset + self.inputs * self.outputs;
        ArrayView2::from_shape((self.inputs, self.outputs), &parameters[self.offset..end])
            .expect("the slice has inputs x outputs numbers")
    }

    fn biases<'a>(&self, parameters: &'a [f64]) -> ArrayView1<'a, f64> {
        let start = self.offset + self.inputs * self.outputs;
        ArrayView1::from(&parameters[start..start + self.outputs])
    }

    /// The layer's weights, shape `(inputs, outputs)`, and its biases, shape `(outputs,)`.
    fn split_mut<'a>(&self, parameters: &'a mut [f64]) -> (ArrayViewMut2<'a, f64>, &'a mut [f64]) {
        let layer = &mut parameters[self.offset..self.offset + self.len()];
        let (weights, biases) = layer.split_at_mut(self.inputs * self.outputs);
        let weights = ArrayViewMut2::from_shape((self.inputs, self.outputs), weights)
            .expect("the slice has inputs x outputs numbers");
        (weights, biases)
    }
}

/// How well a network does on some images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Quality {
    /// Mean cross-entropy in nats; NaN if the network's outputs are not numbers.
    pub(crate) loss: f64,
    /// Share of images whose most probable digit is the right one, 0 to 1. Outputs that are not numbers are wrong.
    pub(crate) accuracy: f64,
}

/// Random silencing of hidden units while training. Srivastava et al. (2014), JMLR 15, in its "inverted" form:
/// the survivors are scaled up, so that nothing changes when it is off.
#[derive(Debug)]
pub(crate) struct Dropout<'a> {
    /// Probability that a unit is silenced, in [0, 1).
    pub(crate) rate: f64,
    /// Where the choice comes from; used only if `rate` is above 0.
    pub(crate) rng: &'a mut ChaCha8Rng,
}

/// What the forward pass leaves for the backward pass, per hidden layer, each of shape `(n, width)`.
struct Hidden {
    outputs: Array2<f64>,
    /// Derivative of the outputs by the sums, dropout included.
    slopes: Array2<f64>,
}

/// The network and its parameters.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    layers: Vec<LayerShape>,
    activation: Activation,
    /// See the module's documentation for the order.
    pub(crate) parameters: Vec<f64>,
}

impl Network {
    /// A network with random weights; biases start at 0.
    pub(crate) fn new(architecture: Architecture, rng: &mut ChaCha8Rng) -> Self {
        let layers = architecture.layers();
        let mut parameters = vec![0.0; architecture.parameter_count()];
        for layer in &layers {
            let limit = architecture.activation.weight_limit(layer.inputs, layer.outputs);
            let (mut weights, _) = layer.split_mut(&mut parameters);
            weights.mapv_inplace(|_| rng.random_range(-limit..limit));
        }
        Self {
            layers,
            activation: architecture.activation,
            parameters,
        }
    }

    /// Mean cross-entropy of a batch in nats, and its gradient by every parameter.
    ///
    /// * `pixels`: shape `(n, 64)`, n at least 1; `labels`: shape `(n,)`.
    /// * `gradient`: as long as the parameters; overwritten.
    pub(crate) fn loss_and_gradient(
        &self,
        pixels: ArrayView2<'_, f64>,
        labels: &[usize],
        dropout: &mut Dropout<'_>,
        gradient: &mut [f64],
    ) -> f64 {
        let mut hidden: Vec<Hidden> = Vec::with_capacity(self.layers.len() - 1);
        for layer in &self.layers[..self.layers.len() - 1] {
            let input = hidden.last().map_or(pixels, |below| below.outputs.view());
            let sums = self.sums(layer, input);
            hidden.push(self.activate(sums, dropout));
        }
        let mut last = hidden.last().map_or(pixels, |below| below.outputs.view());
        // From here on `error` is the derivative of the loss by a layer's sums, shape (n, outputs).
        let mut error = self.sums(&self.layers[self.layers.len() - 1], last);
        let loss = softmax_cross_entropy(&mut error, labels);
        error /= to_f64(labels.len());

        for (index, layer) in self.layers.iter().enumerate().rev() {
            let (mut weights, biases) = layer.split_mut(gradient);
            ndarray::linalg::general_mat_mul(1.0, &last.t(), &error, 0.0, &mut weights);
            for (bias, column) in biases.iter_mut().zip(error.columns()) {
                *bias = column.sum();
            }
            if index == 0 {
                break;
            }
            error = error.dot(&layer.weights(&self.parameters).t());
            error *= &hidden[index - 1].slopes;
            last = if index == 1 {
                pixels
            } else {
                hidden[index - 2].outputs.view()
            };
        }
        loss
    }

    /// Loss and accuracy on `images`, all units taking part.
    pub(crate) fn evaluate(&self, images: &Images) -> Quality {
        let mut values = images.pixels.clone();
        for (index, layer) in self.layers.iter().enumerate() {
            values = self.sums(layer, values.view());
            if index + 1 < self.layers.len() {
                values.mapv_inplace(|z| self.activation.value_and_slope(z).0);
            }
        }
        let right = values
            .rows()
            .into_iter()
            .zip(&images.labels)
            .filter(|(scores, label)| is_best(scores, **label));
        let accuracy = to_f64(right.count()) / to_f64(images.labels.len());
        Quality {
            loss: softmax_cross_entropy(&mut values, &images.labels),
            accuracy,
        }
    }

    /// What the units of `layer` receive, shape `(n, outputs)`.
    fn sums(&self, layer: &LayerShape, input: ArrayView2<'_, f64>) -> Array2<f64> {
        let mut sums = input.dot(&layer.weights(&self.parameters));
        sums += &layer.biases(&self.parameters);
        sums
    }

    fn activate(&self, sums: Array2<f64>, dropout: &mut Dropout<'_>) -> Hidden {
        let mut outputs = sums;
        let mut slopes = Array2::zeros(outputs.dim());
        let survivor_scale = 1.0 / (1.0 - dropout.rate);
        Zip::from(&mut outputs)
            .and(&mut slopes)
            .for_each(|output, slope| {
                (*output, *slope) = self.activation.value_and_slope(*output);
                if dropout.rate > 0.0 {
                    let scale = if dropout.rng.random::<f64>() < dropout.rate {
                        0.0
                    } else {
                        survivor_scale
                    };
                    *output *= scale;
                    *slope *= scale;
                }
            });
        Hidden { outputs, slopes }
    }
}

/// Whether the score of `label` is above all others; false if any score is NaN.
fn is_best(scores: &ArrayView1<'_, f64>, label: usize) -> bool {
    scores
        .iter()
        .enumerate()
        .all(|(digit, &score)| digit == label || score < scores[label])
}

/// Mean of `-ln softmax(scores)[label]` in nats. `scores`, shape `(n, 10)`, becomes `softmax(scores) - one_hot(label)`,
/// the derivative of each image's own loss by its scores.
fn softmax_cross_entropy(scores: &mut Array2<f64>, labels: &[usize]) -> f64 {
    let losses: Array1<f64> = scores
        .axis_iter_mut(Axis(0))
        .zip(labels)
        .map(|(mut row, &label)| {
            // Subtracting the largest keeps exp() from overflowing and does not change the softmax.
            let largest = row.fold(f64::NEG_INFINITY, |a, &b| a.max(b));
            row -= largest;
            let loss_of_label = row[label];
            row.mapv_inplace(f64::exp);
            let sum = row.sum();
            row /= sum;
            row[label] -= 1.0;
            sum.ln() - loss_of_label
        })
        .collect();
    losses.sum() / to_f64(labels.len())
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn some_images() -> (Array2<f64>, Vec<usize>) {
        let pixels = Array2::from_shape_fn((5, PIXELS), |(row, column)| {
            f64::from(u8::try_from((row * 31 + column * 7) % 17).unwrap()) / 16.0
        });
        (pixels, vec![3, 0, 9, 3, 5])
    }

    /// Every derivative against `(f(x + h) - f(x - h)) / 2h`, for each activation, with and without dropout.
    #[test]
    fn gradient_agrees_with_finite_differences() {
        const STEP: f64 = 1e-5;
        let (pixels, labels) = some_images();
        for activation in [
            Activation::Relu,
            Activation::Tanh,
            Activation::Sigmoid,
            Activation::Gelu,
        ] {
            for (depth, rate) in [(1, 0.0), (2, 0.3), (3, 0.0)] {
                let architecture = Architecture {
                    depth,
                    width: 4,
                    activation,
                };
                let mut network = Network::new(architecture, &mut ChaCha8Rng::seed_from_u64(5));
                // Biases of 0 would leave units whose inputs are all silent exactly in relu's kink.
                let mut rng = ChaCha8Rng::seed_from_u64(6);
                network
                    .parameters
                    .iter_mut()
                    .for_each(|x| *x += rng.random_range(-0.3..0.3));
                let loss = |network: &Network, gradient: &mut [f64]| {
                    let mut rng = ChaCha8Rng::seed_from_u64(8);
                    network.loss_and_gradient(
                        pixels.view(),
                        &labels,
                        &mut Dropout { rate, rng: &mut rng },
                        gradient,
                    )
                };
                let count = network.parameters.len();
                let (mut gradient, mut ignored) = (vec![f64::NAN; count], vec![0.0; count]);
                loss(&network, &mut gradient);
                for (index, &derivative) in gradient.iter().enumerate() {
                    let before = network.parameters[index];
                    network.parameters[index] = before + STEP;
                    let above = loss(&network, &mut ignored);
                    network.parameters[index] = before - STEP;
                    let below = loss(&network, &mut ignored);
                    network.parameters[index] = before;
                    let expected = (above - below) / (2.0 * STEP);
                    assert!(
                        (derivative - expected).abs() < 1e-7,
                        "{activation:?}, depth {depth}, parameter {index}: {derivative} is not {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn cross_entropy_of_equal_scores_is_the_logarithm_of_the_number_of_classes() {
        let mut scores = Array2::from_elem((3, CLASSES), 1e6);
        let loss = softmax_cross_entropy(&mut scores, &[0, 4, 9]);
        assert!((loss - 10_f64.ln()).abs() < 1e-12, "{loss}");
        assert!((scores[[1, 4]] + 0.9).abs() < 1e-12 && (scores[[1, 5]] - 0.1).abs() < 1e-12);
    }

    #[test]
    fn dropout_keeps_the_expected_output_and_evaluation_ignores_it() {
        let network = Network::new(
            Architecture {
                depth: 1,
                width: 20_000,
                activation: Activation::Sigmoid,
            },
            &mut ChaCha8Rng::seed_from_u64(1),
        );
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let sums = Array2::zeros((1, 20_000)); // every sigmoid is 0.5
        let outputs = network
            .activate(
                sums,
                &mut Dropout {
                    rate: 0.25,
                    rng: &mut rng,
                },
            )
            .outputs;
        let silent = outputs.iter().filter(|&&output| output <= 0.0).count();
        assert!((4_800..5_200).contains(&silent), "{silent} of 20,000 silenced");
        assert!((outputs.mean().unwrap() - 0.5).abs() < 0.01);
    }

    #[test]
    fn a_network_of_nans_is_wrong_everywhere_and_says_so() {
        let architecture = Architecture {
            depth: 2,
            width: 4,
            activation: Activation::Relu,
        };
        let mut network = Network::new(architecture, &mut ChaCha8Rng::seed_from_u64(1));
        network.parameters.fill(f64::NAN);
        let (pixels, labels) = some_images();
        let quality = network.evaluate(&Images { pixels, labels });
        assert!(quality.loss.is_nan() && quality.accuracy <= 0.0, "{quality:?}");
    }
}
