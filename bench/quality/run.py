"""Runs what the results lack: each solver on each problem for each seed. Interrupt it and start it again at will.

A run is one JSON line in results/SOLVER/PROBLEM.jsonl: the value of each evaluation in order, and the solver's seconds for each, if there is one at a
time. To run a solver anew, remove its folder.
"""

import argparse
import datetime
import json
import os
import sys
import time

from solvers import HERE, SOLVERS, command
from talking import ONE_THREAD, Conversation, Unavailable, own_version

os.environ.update(ONE_THREAD)  # Before numpy is loaded: the evaluations keep to one thread, too.

import numpy as np  # noqa: E402

from problems import PROBLEMS, check  # noqa: E402

RESULTS = HERE / "results"


def recorded(solver: str) -> dict:
    """The longest run of a solver for each problem and seed."""
    runs = {}
    for path in sorted((RESULTS / solver).glob("*.jsonl")):
        for line in path.read_text().splitlines():
            run = json.loads(line)
            key = run["problem"], run["seed"]
            if key not in runs or len(run["values"]) > len(runs[key]["values"]):
                runs[key] = run
    return runs


def short(number: float, digits: int) -> float:
    return float(f"{number:.{digits}g}")


def run(solver, program, problem, seed: int, budget: int) -> dict:
    """Evaluates a problem as a solver says. As many evaluations are under way as it has in parallel: the oldest ends, then it is asked again."""
    values, seconds, open_ones = [], [], []
    init = {
        "space": problem.space, "seed": seed, "budget": budget, "algorithm": solver.algorithm or solver.name, "noisy": problem.noise > 0,
    }
    dice = np.random.default_rng(seed)
    with Conversation(command(solver, program), **init) as talk:
        for asked_before in range(budget + solver.parallel - 1):
            if asked_before < budget:
                start = talk.seconds()
                asked = talk.call(op="ask")
                open_ones.append((asked, talk.seconds() - start))
                check(problem.space, asked["params"])
            if asked_before < solver.parallel - 1:
                continue
            asked, used = open_ones.pop(0)
            value = problem.evaluate(asked["params"])
            told = value + problem.noise * float(dice.standard_normal())
            start = talk.seconds()
            talk.call(op="tell", id=asked["id"], value=told)
            values.append(short(value, 7))
            seconds.append(short(used + talk.seconds() - start, 3))
        version = talk.version or own_version()
    return {
        "problem": problem.name, "solver": solver.name, "version": version, "seed": seed,
        "date": datetime.date.today().isoformat(), "values": values, "seconds": seconds if solver.parallel == 1 else [],
    }


def chosen(only: str) -> tuple:
    """The solvers and problems that a list such as `auto,branin` names; each kind in whole where it names none."""
    names = [name for name in only.split(",") if name]
    unknown = [name for name in names if name not in SOLVERS and name not in PROBLEMS]
    if unknown:
        raise SystemExit(f"{', '.join(unknown)}: neither a solver ({', '.join(SOLVERS)}) nor a problem ({', '.join(PROBLEMS)})")
    solvers = [SOLVERS[n] for n in names if n in SOLVERS] or [s for s in SOLVERS.values() if not s.optional]
    return solvers, [PROBLEMS[n] for n in names if n in PROBLEMS] or list(PROBLEMS.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", required=True, help="tunesmith-optimizer-stdio")
    parser.add_argument("--seeds", type=int, default=10, help="how many: 0, 1 and so on")
    parser.add_argument("--budget", type=int, default=100, help="evaluations of a run")
    parser.add_argument("--only", default="", help="names of solvers and problems, with commas")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no run after so long")
    options = parser.parse_args()
    solvers, problems = chosen(options.only)
    end = time.monotonic() + options.minutes * 60
    done = {solver.name: recorded(solver.name) for solver in solvers}
    left_out = set()
    # Seed by seed, so that an interrupted comparison is even.
    for seed in range(options.seeds):
        for problem in problems:
            for solver in solvers:
                before = done[solver.name].get((problem.name, seed))
                if solver.name in left_out or (before and len(before["values"]) >= options.budget):
                    continue
                if time.monotonic() > end:
                    print("time is over; run again for the rest", file=sys.stderr)
                    return
                try:
                    result = run(solver, options.program, problem, seed, options.budget)
                except (Unavailable, ValueError) as why:  # Gone, or outside the space.
                    print(f"{solver.name} is left out: {why}", file=sys.stderr)
                    left_out.add(solver.name)
                    continue
                path = RESULTS / solver.name / f"{problem.name}.jsonl"
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("a") as file:
                    file.write(json.dumps(result, separators=(",", ":")) + "\n")
                print(f"{problem.name} {solver.name} seed {seed}: best {min(result['values']):.6g}", file=sys.stderr)


if __name__ == "__main__":
    main()
