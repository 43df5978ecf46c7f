"""The solvers that are compared, and the conversation with the process of each of them.

Ours is the example program `tunesmith-optimizer-stdio`; each peer is `peer.py` in a virtual environment of its own.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / "target" / "bench-quality"


@dataclass(frozen=True)
class Solver:
    """`environment` names a virtual environment and `needs` what is installed there; ours has neither.

    An `optional` one is not run unless it is asked for. So many evaluations are under way in `parallel`; `algorithm` is what the solver's process is told
    to be, its name if empty.
    """

    name: str
    environment: str = ""
    needs: tuple = ()
    optional: bool = False
    parallel: int = 1
    algorithm: str = ""


# Both in one environment, since torch takes gigabytes.
TORCH = ("torch", ("optuna", "scipy", "torch", "botorch"))

SOLVERS = {
    solver.name: solver
    for solver in [
        Solver("auto"),
        Solver("auto-16", parallel=16, algorithm="auto"),
        # On these problems `auto` chooses it, and its proposals are the same.
        Solver("gp", optional=True),
        Solver("tpe"),
        Solver("cmaes"),
        Solver("evolution"),
        Solver("random"),
        Solver("optuna-tpe", "optuna", ("optuna",)),
        Solver("hyperopt-tpe", "hyperopt", ("hyperopt", "setuptools")),
        Solver("optuna-gp", *TORCH, optional=True),
        Solver("smac3", "smac3", ("smac",), optional=True),
        Solver("botorch", *TORCH, optional=True),
        # HEBO wants numpy below 1.25 and GPy's newer releases 2: left to find one between, pip did not end within nine minutes.
        Solver("hebo", "hebo", ("HEBO", "GPy==1.13.1"), optional=True),
    ]
}

ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")}


class Unavailable(Exception):
    """A solver cannot be run here; the message says why."""


def command(solver: Solver, program: str) -> list:
    """How to start a solver; installs it first if need be. `program` is ours."""
    if not solver.environment:
        return [program]
    place = WORK / solver.environment
    python, ready = place / "bin" / "python", place / "ready"
    if not ready.exists():
        print(f"installing {solver.name} into {place.relative_to(ROOT)}", file=sys.stderr)
        for step in ([sys.executable, "-m", "venv", place], [python, "-m", "pip", "install", "--quiet", *solver.needs]):
            if subprocess.run(step, stdout=sys.stderr, check=False).returncode != 0:
                raise Unavailable(f"{solver.name} does not install into {place.relative_to(ROOT)}; what pip says stands above")
        ready.touch()
    return [str(python), str(HERE / "peer.py"), solver.name]


class Conversation:
    """One run of a solver: a process that is asked and told, one JSON object a line."""

    def __init__(self, command: list, **init):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | ONE_THREAD
        )
        self.version = self.call(op="init", **init).get("version")

    def call(self, **request) -> dict:
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise Unavailable(f"the solver ended with status {self.process.wait(10)} when it was sent {request['op']!r}")
        return json.loads(answer)

    def seconds(self) -> float:
        """Processor time that the solver's process has used, so that other programs on the machine count for little."""
        if sys.platform == "linux":
            # The kernel's name for the clock of another process, as clock_getcpuclockid(3) makes it.
            return time.clock_gettime((~self.process.pid << 3) | 2)
        return time.perf_counter()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        self.process.stdout.close()
