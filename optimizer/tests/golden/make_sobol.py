"""Makes sobol.json: points of the unscrambled Sobol sequence as SciPy computes them.

    python make_sobol.py        (SciPy 1.17.1)

For 10 dimensions the first 64 points. For 1,000 dimensions of the points 0 to 1,023 the sum over all dimensions of each, and the
points 1, 500 and 1,023 whole. All numbers are multiples of 2^-30 and sums of at most 1,000 of them: exact as doubles.
"""

import json
import pathlib

import scipy
from scipy.stats import qmc


def main() -> None:
    small = qmc.Sobol(d=10, scramble=False).random(64)
    large = qmc.Sobol(d=1000, scramble=False).random(1024)
    golden = {
        "scipy": scipy.__version__,
        "first_64_in_10_dimensions": small.tolist(),
        "sums_of_1024_in_1000_dimensions": large.sum(axis=1).tolist(),
        "in_1000_dimensions": {str(index): large[index].tolist() for index in (1, 500, 1023)},
    }
    (pathlib.Path(__file__).parent / "sobol.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
