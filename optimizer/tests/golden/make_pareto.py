"""Writes pareto.json: fronts, crowding distances and hypervolumes computed by pymoo, for the tests of src/pareto. Run: python make_pareto.py (needs pymoo)."""
import json
import pathlib

import numpy as np
import pymoo
from pymoo.indicators.hv import HV
from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

rng = np.random.default_rng(5)
cases = []
for m, n in [(2, 40), (3, 40), (4, 30), (5, 20), (6, 16), (8, 12)]:
    # Rounded, so that some coordinates are the same; and half of the points near a sphere, so that there are large fronts.
    points = np.round(rng.random((n, m)), 2)
    points[::2] = np.round(points[::2] / np.linalg.norm(points[::2], axis=1, keepdims=True), 4)
    fronts, ranks = NonDominatedSorting().do(points, return_rank=True)
    first = points[fronts[0]]
    crowding = calc_crowding_distance(first)
    reference = np.full(m, 0.9)
    cases.append({
        "points": points.tolist(),
        "ranks": [int(rank) for rank in ranks],
        "front": [int(k) for k in fronts[0]],
        # pymoo divides the sum by the number of objectives; the paper does not.
        "crowding": [None if np.isinf(x) else float(x * m) for x in crowding],
        "reference": reference.tolist(),
        "hypervolume": float(HV(ref_point=reference)(points)),
    })
path = pathlib.Path(__file__).with_name("pareto.json")
path.write_text(json.dumps({"pymoo": pymoo.__version__, "cases": cases}) + "\n")
