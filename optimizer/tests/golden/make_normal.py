"""Writes normal.json: the logarithm of the expected improvement of a standard normal variable, and its slope, by mpmath with 60 digits,
for the tests of src/normal.rs. Run: python make_normal.py (needs mpmath)."""
import json
import pathlib

import mpmath as mp

mp.mp.dps = 60
zs = [9, 3.3, 1, 0.5, 0, -0.3, -0.999, -1, -1.001, -2, -5, -8.7, -13.9, -14, -14.1, -25, -38, -100, -1e3, -1e6, -1e10]


def improvement(z):
    density = mp.exp(-z * z / 2) / mp.sqrt(2 * mp.pi)
    cumulative = mp.erfc(-z / mp.sqrt(2)) / 2
    # Far out in the tail even 60 digits cancel: as many more as the tail needs.
    return density + z * cumulative, cumulative


rows = []
for z in zs:
    mp.mp.dps = 60 + (0 if z > -30 else int(20 + 2 * abs(mp.log10(abs(z))) * 2))
    if z > -1e4:
        value, cumulative = improvement(mp.mpf(z))
        log, slope = mp.log(value), cumulative / value
    else:
        # 1/z^2 - 3/z^4 + 15/z^6 times the density; the next term is below 1e-22 of it.
        w = 1 / mp.mpf(z) ** 2
        factor = w - 3 * w ** 2 + 15 * w ** 3
        log = -mp.mpf(z) ** 2 / 2 - mp.log(2 * mp.pi) / 2 + mp.log(factor)
        slope = (1 - factor) / -mp.mpf(z) / factor
    rows.append([z, float(log), float(slope)])
(pathlib.Path(__file__).parent / "normal.json").write_text(json.dumps({"mpmath": mp.__version__, "rows": rows}) + "\n")
