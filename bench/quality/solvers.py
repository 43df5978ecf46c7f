"""The solvers that are compared.

Ours is the example program `tunesmith-optimizer-stdio`; each peer is `peer.py` in a virtual environment of its own.
"""

from dataclasses import dataclass
from pathlib import Path

from talking import environment

HERE = Path(__file__).resolve().parent


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
        *(Solver(f"auto-{n}", parallel=n, algorithm="auto") for n in (2, 4, 8, 16)),
        # On these problems `auto` chooses it, and its proposals are the same.
        Solver("gp", optional=True),
        Solver("tpe"),
        Solver("tpe-16", parallel=16, algorithm="tpe"),
        Solver("cmaes"),
        Solver("evolution"),
        Solver("random"),
        Solver("optuna-tpe", "optuna", ("optuna",)),
        Solver("optuna-tpe-16", "optuna", ("optuna",), parallel=16),
        Solver("hyperopt-tpe", "hyperopt", ("hyperopt", "setuptools")),
        Solver("optuna-gp", *TORCH),
        Solver("optuna-gp-16", *TORCH, optional=True, parallel=16),
        Solver("smac3", "smac3", ("smac",)),
        Solver("botorch", *TORCH),
        # An hour for a few runs.
        Solver("botorch-16", *TORCH, optional=True, parallel=16),
        # Hours for what others do in minutes. HEBO wants numpy below 1.25 and GPy's newer releases 2: left to find one between, pip did not end within nine minutes.
        Solver("hebo", "hebo", ("HEBO", "GPy==1.13.1"), optional=True),
    ]
}


def command(solver: Solver, program: str) -> list:
    """How to start a solver; installs it first if need be. `program` is ours."""
    if not solver.environment:
        return [program]
    return [environment(solver.name, solver.environment, solver.needs), str(HERE / "peer.py"), solver.name]
