"""Writes wilcoxon.json: p-values of one-sided Wilcoxon signed-rank tests by scipy, for the tests of src/stopping/signed_rank.rs.
Run: python make_wilcoxon.py (needs scipy).

Up to 12 differences with ties and zeros: scipy's permutation of all signs, with split zeros. Up to 50 without ties and zeros: its exact
distribution. Beyond 50 that are not zero: its normal approximation with continuity correction, zeros by Pratt, who leaves the ranks of the others
as split zeros do."""
import json
import pathlib

import numpy as np
import scipy
from scipy.stats import PermutationMethod, wilcoxon

rng = np.random.default_rng(7)


def case(differences, **how):
    differences = [float(d) for d in differences]
    p = wilcoxon(differences, alternative="greater", **how).pvalue
    return {"differences": differences, "p": float(p)}


every = {"zero_method": "zsplit", "method": PermutationMethod(n_resamples=1 << 13)}
cases = [
    case([1, 2, 3, 4, 5], **every),
    case([-1, -2, -3, -4, -5], **every),
    case([1, 1, 1, -1], **every),
    case([0, 0, 3, -1], **every),
    case([0.5, 0.5, -0.5, 2, 2, -3, 0], **every),
]
for n in [6, 9, 12]:
    for _ in range(4):
        d = rng.integers(-3, 5, n) / 4
        if np.any(d != 0):
            cases.append(case(d, **every))
for n in [5, 8, 13, 20, 35, 50]:
    for shift in [0, 0.2, 0.6]:
        cases.append(case(rng.normal(shift, 1, n), method="exact"))
for n in [90, 200, 1000]:
    for shift in [0, 0.1, 0.3]:
        d = rng.normal(shift, 1, n)
        cases.append(case(d, method="asymptotic", correction=True))
        cases.append(case(np.round(d * 2) / 2, method="asymptotic", correction=True, zero_method="pratt"))
text = {"scipy": scipy.__version__, "cases": cases}
(pathlib.Path(__file__).parent / "wilcoxon.json").write_text(json.dumps(text) + "\n")
