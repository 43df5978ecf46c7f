"""The solvers that are compared: a strategy with or without a rule that stops trials or lets them rest, ours or another library's."""

import sys
from dataclasses import dataclass
from pathlib import Path

from curves import LAST, STEPS

# The conversation with a solver's process is that of bench/quality.
sys.path.append(str(Path(__file__).resolve().parent.parent / "quality"))
from talking import ONE_THREAD, ROOT, Conversation, Unavailable, environment, own_version  # noqa: E402

__all__ = ["ONE_THREAD", "ROOT", "SOLVERS", "Solver", "Unavailable", "own_version"]

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Solver:
    """Ours has a strategy and rules, or a strategy that lets trials rest and its sampler, as in a study file; a peer has an environment with what is
    installed there."""

    name: str
    strategy: str = ""
    rules: tuple = ()
    sampler: str = ""
    environment: str = ""
    needs: tuple = ()

    def talk(self, program: str, space: list, seed: int) -> "Talk":
        """Begins a run; `program` is ours."""
        if self.strategy:
            strategy = {"strategy": {"name": self.strategy, "sampler": self.sampler}} if self.sampler else {"algorithm": self.strategy}
            init = strategy | {"early_stopping": list(self.rules), "steps": STEPS, "from": f"mean of last {LAST}"}
            return Talk([program], space=space, seed=seed, **init)
        python = environment(self.name, self.environment, self.needs)
        return Talk([python, str(HERE / "peer.py"), self.name], space=space, seed=seed, steps=STEPS)


class Talk(Conversation):
    """A conversation in words of the simulation."""

    def ask(self) -> dict:
        return self.call(op="ask")

    def report(self, trial: int, step: int, value: float) -> str:
        """What the trial should do: `stop`, `pause` or `go on`."""
        answer = self.call(op="report", id=trial, step=step, value=value)
        return next((verdict for verdict in ("stop", "pause") if answer.get(verdict)), "go on")

    def tell(self, trial: int, value: float, partial) -> None:
        self.call(op="tell", id=trial, value=value, partial=partial)

    def rest(self, trial: int) -> None:
        self.call(op="rest", id=trial)


OPTUNA = {"environment": "optuna", "needs": ("optuna",)}
SYNE = {"environment": "syne-tune", "needs": ("syne-tune",)}
ASHA, MEDIAN, CURVE = ({"rule": "asha"},), ({"rule": "median", "warmup_steps": 4},), ({"rule": "curve"},)

SOLVERS = {
    solver.name: solver
    for solver in [
        Solver("random", "random"),
        Solver("gp", "gp"),
        Solver("tpe", "tpe"),
        Solver("random + asha", "random", ASHA),
        Solver("gp + asha", "gp", ASHA),
        Solver("gp + median", "gp", MEDIAN),
        Solver("gp + curve", "gp", CURVE),
        Solver("tpe + asha", "tpe", ASHA),
        Solver("asha", "asha", sampler="random"),
        Solver("asha gp", "asha", sampler="gp"),
        Solver("hyperband", "hyperband", sampler="random"),
        Solver("bohb", "bohb", sampler="tpe"),
        Solver("optuna-tpe", **OPTUNA),
        Solver("optuna-tpe + median", **OPTUNA),
        Solver("optuna-tpe + halving", **OPTUNA),
        Solver("optuna-tpe + hyperband", **OPTUNA),
        Solver("syne-tune asha", **SYNE),
        Solver("syne-tune bohb", **SYNE),
        Solver("syne-tune cqr", **SYNE),
    ]
}
