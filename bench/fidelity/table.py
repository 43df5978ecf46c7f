"""Makes curves/digits.json.gz, the recorded learning curves: `python3 bench/fidelity/table.py EXPORT DIGITS`.

EXPORT is what `tunesmith study export` wrote of study.yaml when all its trials had ended, DIGITS the program that was trained. What an epoch costs is
measured here, one training at a time: processor time of five epochs less that of one, divided by four.
"""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

TABLE = Path(__file__).resolve().parent / "curves" / "digits.json.gz"
# Validation accuracy is a multiple of one image, so a whole number says it.
IMAGES = 597


def used(command: list) -> float:
    before = os.times()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    after = os.times()
    return after.children_user - before.children_user


def epoch(digits: str, params: dict) -> float:
    """Seconds of processor time for one epoch."""
    command = [digits, "--copies=3", *(f"--{name}={value}" for name, value in params.items())]
    return max(0.01, (used([*command, "--epochs=5"]) - used([*command, "--epochs=1"])) / 4)


def main(export: str, digits: str) -> None:
    study = json.loads(Path(export).read_text())
    rows = []
    for trial in study["trials"]:
        [curve] = [curve for curve in trial["curves"] if curve["metric"] == "val_acc"]
        params = trial["trial"]["parameters"]
        right = [round(float(value) * IMAGES) for value in curve["value"]]
        rows.append({"params": params, "seconds": round(epoch(digits, params), 4), "right": right})
    table = {"images": IMAGES, "space": study["study"]["spec"]["space"], "trials": rows}
    text = json.dumps(table, separators=(",", ":"))
    # Without name and time, the same table is the same file.
    TABLE.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{len(rows)} configurations, {TABLE.stat().st_size} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
