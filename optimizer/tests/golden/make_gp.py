"""Writes gp.json: a Gaussian process computed by scikit-learn, for the tests of src/gp. Run: python make_gp.py (needs numpy, scikit-learn)."""
import json
import pathlib

import numpy as np
import sklearn
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Kernel, Matern, WhiteKernel

rng = np.random.default_rng(3)
n, d = 17, 4
x = rng.random((n, d))
y = np.sin(5 * x[:, 0]) + x[:, 1] ** 2 - 0.7 * x[:, 2] * x[:, 0] + 0.01 * rng.standard_normal(n)
lengths, amplitude, noise, trend = np.array([0.4, 0.9, 1.7, 6.0]), 1.3, 0.02, 0.6
at = rng.random((6, d))


class Polynomial(Kernel):
    """A line and a parabola along each number, with coefficients of variance 1."""

    def __init__(self):
        pass

    def __call__(self, x, y=None, eval_gradient=False):
        terms = [np.hstack([2 * at - 1, (2 * at - 1) ** 2 - 1 / 3]) for at in (x, x if y is None else y)]
        covariance = terms[0] @ terms[1].T
        return (covariance, np.empty((len(x), len(x), 0))) if eval_gradient else covariance

    def diag(self, x):
        return np.diag(self(x)).copy()

    def is_stationary(self):
        return False


def values(correlation):
    """What is known of a process with this correlation."""
    kernel = ConstantKernel(amplitude) * correlation + ConstantKernel(amplitude * trend / d) * Polynomial() + WhiteKernel(noise)
    # Our mean is the generalised least-squares constant; scikit-learn's process has mean 0, so it gets what is left.
    covariance = kernel(x)
    ones = np.linalg.solve(covariance, np.ones(n))
    mean = ones @ y / ones.sum()
    model = GaussianProcessRegressor(kernel, optimizer=None, alpha=0.0).fit(x, y - mean)
    likelihood, gradient = model.log_marginal_likelihood(model.kernel_.theta, eval_gradient=True)
    expected, deviation = model.predict(at, return_std=True)
    return {
        "kernel": (ConstantKernel(amplitude) * correlation)(x[:3], at).tolist(),
        "mean": float(mean), "log_likelihood": float(likelihood),
        # with respect to the logarithms of amplitude, lengths, the variance of the polynomial's coefficients and noise
        "gradient": gradient.tolist(),
        "expected": (expected + mean).tolist(),
        "variance": (deviation ** 2 - noise).tolist(),
    }


out = {
    "scikit-learn": sklearn.__version__,
    "x": x.tolist(), "y": y.tolist(), "at": at.tolist(), "lengths": lengths.tolist(), "amplitude": amplitude, "noise": noise,
    "trend": trend,
    "matern": values(Matern(lengths, nu=2.5)), "gaussian": values(RBF(lengths)),
}
(pathlib.Path(__file__).parent / "gp.json").write_text(json.dumps(out) + "\n")
