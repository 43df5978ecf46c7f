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
for m, n, tied in [(2, 40, True), (3, 40, True), (4, 30, True), (5, 20, True), (6, 16, True), (8, 12, True), (2, 30, False), (3, 30, False), (5, 16, False)]:
    # Half of the points near a sphere, so that there are large fronts.
    points = rng.random((n, m))
    points = np.round(points, 2) if tied else points + 0.3
    points[::2] /= np.linalg.norm(points[::2], axis=1, keepdims=True)
    # Rounded, some coordinates are the same; not rounded, none are, and crowding does not depend on the order.
    if tied:
        points[::2] = np.round(points[::2], 4)
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
