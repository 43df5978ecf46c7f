"""Runs what the results lack: each solver with each number of workers for each seed. Interrupt it and start it again at will.

A run is one JSON line in results/SOLVER.jsonl: each improvement of the best value, with the epochs and the simulated seconds until then.
"""

import argparse
import datetime
import json
import os
import sys
import time

from curves import curves
from simulate import simulate
from solvers import HERE, ONE_THREAD, SOLVERS, Unavailable, own_version

os.environ.update(ONE_THREAD)

RESULTS = HERE / "results"
# Epochs of all workers together, for so many workers: 20 whole trainings; more where that would be few for each.
EPOCHS = {1: 1000, 4: 1000, 16: 2000, 64: 4000}


def path_of(solver: str):
    return RESULTS / f"{solver.replace(' + ', '+').replace(' ', '-')}.jsonl"


def recorded(solver: str) -> dict:
    """The last run of a solver for each number of workers and seed."""
    path = path_of(solver)
    runs = (json.loads(line) for line in (path.read_text().splitlines() if path.exists() else []))
    return {(run["workers"], run["seed"]): run for run in runs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", required=True, help="tunesmith-optimizer-stdio")
    parser.add_argument("--seeds", type=int, default=10, help="how many: 0, 1 and so on")
    parser.add_argument("--only", default="", help="names of solvers, with commas")
    parser.add_argument("--workers", default=",".join(map(str, EPOCHS)), help="numbers of workers, with commas")
    options = parser.parse_args()
    names = [name for name in options.only.split(",") if name]
    if unknown := [name for name in names if name not in SOLVERS]:
        raise SystemExit(f"{', '.join(unknown)}: not among the solvers ({', '.join(SOLVERS)})")
    RESULTS.mkdir(exist_ok=True)
    left_out = set()
    for name in names or SOLVERS:
        done = recorded(name)
        for workers in map(int, options.workers.split(",")):
            for seed in range(options.seeds):
                if name in left_out or (workers, seed) in done:
                    continue
                began = time.monotonic()
                try:
                    with SOLVERS[name].talk(options.program, curves().space, seed) as solver:
                        run = simulate(solver, curves(), workers, EPOCHS[workers])
                        version = solver.version
                except Unavailable as why:
                    print(f"{name} is left out: {why}", file=sys.stderr)
                    left_out.add(name)
                    continue
                line = {
                    "solver": name, "version": version or own_version(), "workers": workers, "seed": seed, "date": datetime.date.today().isoformat(),
                    "epochs": run.epochs, "seconds": round(run.seconds, 3), "trials": run.trials, "stopped": run.stopped, "improved": run.improved,
                }
                with path_of(name).open("a") as file:
                    file.write(json.dumps(line, separators=(",", ":")) + "\n")
                print(
                    f"{name}, {workers} workers, seed {seed}: {run.best_after(run.epochs):.4f} after {run.trials} trials,"
                    f" {time.monotonic() - began:.1f} s", file=sys.stderr,
                )


if __name__ == "__main__":
    main()
