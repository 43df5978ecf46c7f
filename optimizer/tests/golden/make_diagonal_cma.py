"""Writes diagonal_cma.json: updates of CMA-ES with a diagonal covariance matrix computed by cmaes, for the tests of src/cma.
Run: python make_diagonal_cma.py (needs cmaes 0.13, numpy).

pycma multiplies variances where Ros and Hansen (2008) add to them; cmaes follows the paper. Its weights and rates differ from ours: it has no
negative weights, and a faster rate for the steps alone. They are written, too, so that the updates can be compared with the same ones. Its
approximation of a normal vector's expected length is replaced by the length itself. The second run starts so far from the optimum and so small that
its path stalls.
"""

import importlib.metadata
import json
import math
import pathlib

import cmaes
import numpy as np


def ellipsoid(x: np.ndarray) -> float:
    return float(sum(30.0**k * (v - 0.1 * k) ** 2 for k, v in enumerate(x)) + x[0] * x[1])


def run(start: list[float], sigma: float, size: int, generations: int, seed: int) -> dict:
    es = cmaes.SepCMA(np.array(start), sigma, population_size=size, seed=seed)
    es._chi_n = math.sqrt(2) * math.exp(math.lgamma((len(start) + 1) / 2) - math.lgamma(len(start) / 2))
    out = {
        "start": start, "sigma": sigma, "weights": list(es._weights) + [0.0] * (size - size // 2), "effective": es._mu_eff,
        "rate_sigma": es._c_sigma, "damping": es._d_sigma, "rate_path": es._cc, "rate_one": es._c1, "rate_ranks": es._cmu,
        "generations": [],
    }
    for _ in range(generations):
        ranked = sorted((es.ask() for _ in range(size)), key=ellipsoid)
        before = es._pc * (1 - es._cc)
        es.tell([(x, ellipsoid(x)) for x in ranked])
        out["generations"].append({
            "ranked": [x.tolist() for x in ranked], "mean": es.mean.tolist(), "sigma": float(es._sigma), "variances": es._C.tolist(),
            "stalled": bool(np.array_equal(es._pc, before)),
        })
    return out


runs = [run([0.3, 0.6, 0.5, 0.45], 0.2, 8, 12, 3), run([5.0, -4.0, 3.0], 1e-3, 12, 8, 4)]
print([[g["stalled"] for g in r["generations"]] for r in runs])
text = {"cmaes": importlib.metadata.version("cmaes"), "runs": runs}
(pathlib.Path(__file__).parent / "diagonal_cma.json").write_text(json.dumps(text, separators=(",", ":")) + "\n")
