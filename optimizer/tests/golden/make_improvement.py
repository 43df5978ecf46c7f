"""Writes improvement.json: expected improvements by mpmath at arguments up to the extremes of 64-bit numbers, for the tests of
src/gp/acquisition.rs. Each row is the best value, mean, variance, the improvement expected, its derivatives with respect to mean and variance, and
the logarithm of it and the derivatives of that. Run: python make_improvement.py (needs mpmath)."""

import json
import pathlib

import mpmath as mp

mp.mp.dps = 1000  # Far in the tail the two terms of the formula agree in hundreds of digits.
# Best, mean, variance.
cases = [
    (0, 0, 1), (0.5, 0.8, 0.04), (-3, 2, 4), (1, 0, 1), (5, 0, 1), (12, -3, 0.25), (5, 0, 1e-20), (0, -1e150, 1e-200), (2e10, 1e10, 1e-6),
    (0, 8.5, 1), (0, 14, 1), (0, 30, 1), (0, 37.5, 1), (0, 3e-149, 1e-300), (1e150, 0, 1e300), (-1e150, 1e151, 1e300), (1e-150, 2e-150, 1e-301),
]
rows = []
for case in cases:
    best, mean, variance = map(mp.mpf, case)
    deviation = mp.sqrt(variance)
    z = (best - mean) / deviation
    density = mp.exp(-z * z / 2) / mp.sqrt(2 * mp.pi)
    cumulative = mp.erfc(-z / mp.sqrt(2)) / 2
    improvement = (best - mean) * cumulative + deviation * density
    by_mean, by_variance = -cumulative, density / (2 * deviation)
    results = improvement, by_mean, by_variance, mp.log(improvement), by_mean / improvement, by_variance / improvement
    rows.append([*map(float, case), *map(float, results)])
(pathlib.Path(__file__).parent / "improvement.json").write_text(json.dumps({"mpmath": mp.__version__, "rows": rows}) + "\n")
