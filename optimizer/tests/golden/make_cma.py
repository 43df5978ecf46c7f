"""Writes cma.json: updates of CMA-ES computed by pycma, for the tests of src/cma. Run: python make_cma.py (needs cma 4.5, numpy).

Two runs of a few generations each, one of them started so far from the optimum and so small that sigma grows and the path of C stalls. pycma's
rate of the step size and its damping are set to those of the tutorial (arXiv 1604.00772, table 1), from which it differs by a constant in
the rate, and its first covariance matrix to the identity, from which it differs by 1e-4; all else is its own.
"""

import json
import pathlib

import cma
import numpy as np


def ellipsoid(x: np.ndarray) -> float:
    return float(sum(30.0**k * (v - 0.1 * k) ** 2 for k, v in enumerate(x)) + x[0] * x[1])


def run(start: list[float], sigma: float, size: int, generations: int, seed: int) -> dict:
    es = cma.CMAEvolutionStrategy(start, sigma, {"popsize": size, "seed": seed, "verbose": -9})
    n, effective = len(start), es.sp.weights.mueff
    es.adapt_sigma.initialize(es)
    es.adapt_sigma.cs = (effective + 2) / (n + effective + 5)
    es.adapt_sigma.damps = 1 + 2 * max(0, ((effective - 1) / (n + 1)) ** 0.5 - 1) + es.adapt_sigma.cs
    es.sm.lazy_update_gap = 0
    es.sm.C, es.sm.B, es.sm.D = np.eye(n), np.eye(n), np.ones(n)
    out = {
        "start": start, "sigma": sigma, "size": size, "weights": list(es.sp.weights), "effective": effective,
        "rate_sigma": es.adapt_sigma.cs, "damping": es.adapt_sigma.damps,
        "rate_path": es.sp.cc, "rate_one": es.sp.c1, "rate_ranks": es.sp.cmu, "generations": [],
    }
    for _ in range(generations):
        points = es.ask()
        es.tell(points, [ellipsoid(x) for x in points])
        es.sm.update_now()
        ranked = sorted(points, key=ellipsoid)
        stalled = es.adapt_sigma.hsig(es) == 0
        out["generations"].append({
            "ranked": [list(x) for x in ranked], "mean": list(es.mean), "sigma": es.sigma,
            "covariance": es.sm.C.tolist(), "stalled": bool(stalled),
        })
    return out


runs = [run([0.3, 0.6, 0.5, 0.45], 0.2, 8, 12, 3), run([5.0, -4.0, 3.0], 1e-3, 12, 8, 4)]
print([[g["stalled"] for g in r["generations"]] for r in runs])
(pathlib.Path(__file__).parent / "cma.json").write_text(json.dumps({"cma": cma.__version__.split()[0], "runs": runs}, separators=(",", ":")) + "\n")
