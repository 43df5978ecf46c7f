"""Another library's optimiser behind the protocol of `tunesmith-optimizer-stdio`: one JSON object a line in, one out.

Runs in the virtual environment of that library, so it must import nothing else but the standard library and numpy:
`python peer.py optuna-tpe`. One class for each solver: `ask` gives (what its `tell` needs, parameters that apply).
"""

import contextlib
import json
import logging
import math
import random
import sys
import tempfile
import warnings
from importlib.metadata import version

PEERS = {}


def peer(*names):
    """Registers a class under the names of its solvers."""
    return lambda cls: PEERS.update({name: cls for name in names}) or cls


def applies(parameter, params):
    return parameter["cond"] is None or params.get(parameter["cond"][0]) in parameter["cond"][1]


def only_active(space, params):
    """For libraries without conditions, which set every parameter: those that apply, as plain values inside their bounds."""
    kept = {}
    for p in space:
        if applies(p, kept):
            value = params[p["name"]]
            if p["kind"] == "int":
                value = min(max(round(float(value)), p["lo"]), p["hi"])
            elif p["kind"] == "float":
                value = min(max(float(value), p["lo"]), p["hi"])
            else:
                value = str(value)
            kept[p["name"]] = value
    return kept


@peer("optuna-tpe", "optuna-tpe-16", "optuna-gp", "optuna-gp-16")
class Optuna:
    library = "optuna"

    def __init__(self, solver, space, seed, budget, noisy):
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        if solver.startswith("optuna-tpe"):
            # What its documentation advises where several run: trials under way count as bad ones.
            lies = solver.endswith("-16")
            sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=lies)
        else:
            import torch

            torch.set_num_threads(1)
            sampler = optuna.samplers.GPSampler(seed=seed, deterministic_objective=not noisy)
        self.space, self.study = space, optuna.create_study(sampler=sampler)

    def ask(self):
        trial, params = self.study.ask(), {}
        for p in self.space:
            if applies(p, params):
                name = p["name"]
                if p["kind"] == "cat":
                    params[name] = trial.suggest_categorical(name, p["choices"])
                else:
                    suggest = trial.suggest_int if p["kind"] == "int" else trial.suggest_float
                    params[name] = suggest(name, p["lo"], p["hi"], log=p["log"])
        return trial, params

    def tell(self, trial, value):
        self.study.tell(trial, value)


@peer("hyperopt-tpe")
class Hyperopt:
    """Conditions become nested choices; a parameter that several branches share gets a label for each of them."""

    library = "hyperopt"

    def __init__(self, solver, space, seed, budget, noisy):
        import hyperopt
        import numpy

        self.hyperopt, self.space = hyperopt, space
        self.random = numpy.random.default_rng(seed)
        self.tree = {p["name"]: self.node(p, "") for p in space if p["cond"] is None}
        self.domain = hyperopt.base.Domain(lambda _: 0.0, self.tree)
        self.trials = hyperopt.Trials()

    def node(self, p, path):
        from hyperopt import hp
        from hyperopt.pyll import scope

        label = path + p["name"]
        if p["kind"] == "cat":
            branches = []
            for value in p["choices"]:
                below = [c for c in self.space if c["cond"] and c["cond"][0] == p["name"] and value in c["cond"][1]]
                branches.append((value, {c["name"]: self.node(c, f"{label}={value}/") for c in below}))
            return hp.choice(label, branches)
        low, high = (math.log(p["lo"]), math.log(p["hi"])) if p["log"] else (p["lo"], p["hi"])
        if p["kind"] == "int":
            return scope.int(hp.qloguniform(label, low, high, 1) if p["log"] else hp.quniform(label, low, high, 1))
        return hp.loguniform(label, low, high) if p["log"] else hp.uniform(label, low, high)

    def ask(self):
        ids = self.trials.new_trial_ids(1)
        self.trials.refresh()
        seed = int(self.random.integers(2**31 - 1))
        [document] = self.hyperopt.tpe.suggest(ids, self.domain, self.trials, seed)
        self.trials.insert_trial_doc(document)
        self.trials.refresh()
        values = {label: found[0] for label, found in document["misc"]["vals"].items() if found}
        flat = {}

        def flatten(level):
            for name, value in level.items():
                if isinstance(value, tuple):
                    flat[name] = value[0]
                    flatten(value[1])
                else:
                    flat[name] = value

        flatten(self.hyperopt.space_eval(self.tree, values))
        return ids[0], only_active(self.space, flat)

    def tell(self, trial, value):
        document = next(d for d in self.trials._dynamic_trials if d["tid"] == trial)
        document["state"] = self.hyperopt.JOB_STATE_DONE
        document["result"] = {"loss": value, "status": self.hyperopt.STATUS_OK}
        self.trials.refresh()


@peer("smac3")
class Smac:
    """SMAC3's facade for hyperparameters: random forest, log expected improvement."""

    library = "smac"

    def __init__(self, solver, space, seed, budget, noisy):
        from pathlib import Path

        import ConfigSpace as cs
        from smac import HyperparameterOptimizationFacade, Scenario

        logging.disable(logging.WARNING)
        self.space = space
        whole = cs.ConfigurationSpace(seed=seed)
        made = {}
        for p in space:
            if p["kind"] == "cat":
                made[p["name"]] = cs.Categorical(p["name"], p["choices"])
            else:
                kind = cs.Integer if p["kind"] == "int" else cs.Float
                made[p["name"]] = kind(p["name"], (p["lo"], p["hi"]), log=p["log"])
        whole.add(list(made.values()))
        for p in space:
            if p["cond"]:
                whole.add(cs.InCondition(made[p["name"]], made[p["cond"][0]], p["cond"][1]))
        scenario = Scenario(
            whole, deterministic=not noisy, n_trials=budget, seed=seed, output_directory=Path(tempfile.mkdtemp(prefix="smac-"))
        )
        self.facade = HyperparameterOptimizationFacade(scenario, lambda _, seed=0: 0.0, overwrite=True, logging_level=False)

    def ask(self):
        trial = self.facade.ask()
        return trial, only_active(self.space, dict(trial.config))

    def tell(self, trial, value):
        from smac.runhistory.dataclasses import TrialValue

        self.facade.tell(trial, TrialValue(cost=value))


@peer("botorch", "botorch-16")
class Botorch:
    """BoTorch's defaults: a `SingleTaskGP` and log expected improvement, after as many Sobol points as `2 d`, 5 to 20.

    Numbers lie on [0, 1], categories are one-hot, and a parameter that does not apply lies in the middle. With sixteen at a time it is `qLogEI`, which is told what is
    under way.
    """

    library = "botorch"

    def __init__(self, solver, space, seed, budget, noisy):
        import torch

        torch.set_num_threads(1)
        torch.manual_seed(seed)
        self.torch, self.space, self.noisy = torch, space, noisy
        self.at_once, self.pending = solver.endswith("-16"), []
        self.widths = [len(p["choices"]) if p["kind"] == "cat" else 1 for p in space]
        self.sobol = torch.quasirandom.SobolEngine(sum(self.widths), scramble=True, seed=seed)
        self.first = min(max(2 * len(space), 5), 20)
        self.points, self.values = [], []

    def decode(self, row):
        params, start = {}, 0
        for p, width in zip(self.space, self.widths):
            part = row[start : start + width]
            start += width
            if p["kind"] == "cat":
                params[p["name"]] = p["choices"][max(range(width), key=lambda k: part[k])]
            elif p["log"]:
                params[p["name"]] = p["lo"] * (p["hi"] / p["lo"]) ** part[0]
            else:
                params[p["name"]] = p["lo"] + part[0] * (p["hi"] - p["lo"])
        return only_active(self.space, params)

    def encode(self, params):
        row = []
        for p, width in zip(self.space, self.widths):
            value = params.get(p["name"])
            if p["kind"] == "cat":
                row += [0.5 if value is None else float(value == c) for c in p["choices"]]
            elif value is None:
                row.append(0.5)
            elif p["log"]:
                row.append(math.log(value / p["lo"]) / math.log(p["hi"] / p["lo"]))
            else:
                row.append((value - p["lo"]) / (p["hi"] - p["lo"]))
        return row

    def ask(self):
        if len(self.values) < self.first:
            row = self.sobol.draw(1)[0]
        else:
            row = self.model_based()
        params = self.decode(row.tolist())
        point = self.encode(params)
        self.pending.append(point)
        return point, params

    def model_based(self):
        from botorch.acquisition import LogExpectedImprovement, qLogExpectedImprovement
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import SingleTaskGP
        from botorch.models.transforms import Standardize
        from botorch.optim import optimize_acqf
        from gpytorch.mlls import ExactMarginalLogLikelihood

        torch = self.torch
        x = torch.tensor(self.points, dtype=torch.double)
        y = -torch.tensor(self.values, dtype=torch.double).unsqueeze(-1)
        model = SingleTaskGP(x, y, outcome_transform=Standardize(1))
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        box = torch.tensor([[0.0] * x.shape[1], [1.0] * x.shape[1]], dtype=torch.double)
        # The best of noisy values is a lucky one.
        best = model.posterior(x).mean.max().detach() if self.noisy else y.max()
        if self.at_once:
            pending = torch.tensor(self.pending, dtype=torch.double) if self.pending else None
            criterion = qLogExpectedImprovement(model, best_f=best, X_pending=pending)
        else:
            criterion = LogExpectedImprovement(model, best_f=best)
        found, _ = optimize_acqf(criterion, bounds=box, q=1, num_restarts=4, raw_samples=256)
        return found[0].detach()

    def tell(self, point, value):
        self.pending.remove(point)
        self.points.append(point)
        self.values.append(value)


@peer("hebo")
class Hebo:
    """HEBO's defaults: a GP on warped inputs and transformed values, the best of several acquisitions by NSGA-II.

    It knows no conditions: a parameter that does not apply is told as the middle of its range, or as its first category.
    """

    library = "HEBO"

    def __init__(self, solver, space, seed, budget, noisy):
        import numpy
        import torch
        from hebo.design_space.design_space import DesignSpace
        from hebo.optimizers.hebo import HEBO

        # Its evolution draws from the generators that the process shares.
        torch.set_num_threads(1)
        torch.manual_seed(seed)
        numpy.random.seed(seed)
        self.numpy, self.space = numpy, space
        self.session = HEBO(DesignSpace().parse([self.named(p) for p in space]), scramble_seed=seed)

    def named(self, p):
        if p["kind"] == "cat":
            return {"name": p["name"], "type": "cat", "categories": p["choices"]}
        kind = {("float", False): "num", ("float", True): "pow", ("int", False): "int", ("int", True): "pow_int"}[p["kind"], p["log"]]
        return {"name": p["name"], "type": kind, "lb": p["lo"], "ub": p["hi"]}

    def middle(self, p):
        if p["kind"] == "cat":
            return p["choices"][0]
        middle = math.sqrt(p["lo"] * p["hi"]) if p["log"] else (p["lo"] + p["hi"]) / 2
        return round(middle) if p["kind"] == "int" else middle

    def ask(self):
        # It prints each retry of a factorisation, of which there are hundreds.
        with contextlib.redirect_stdout(None):
            row = self.session.suggest()
        params = only_active(self.space, row.iloc[0].to_dict())
        for p in self.space:
            row[p["name"]] = params.get(p["name"], self.middle(p))
        return row, params

    def tell(self, row, value):
        self.session.observe(row, self.numpy.array([[value]]))


@peer("echo")
class Echo:
    """Uniform points by the standard library alone: for the tests of the protocol."""

    library = None

    def __init__(self, solver, space, seed, budget, noisy):
        self.space, self.random = space, random.Random(seed)

    def ask(self):
        params = {}
        for p in self.space:
            kind = p["kind"]
            if kind == "cat":
                params[p["name"]] = self.random.choice(p["choices"])
            else:
                params[p["name"]] = self.random.uniform(p["lo"], p["hi"])
        return None, only_active(self.space, params)

    def tell(self, trial, value):
        pass


def main(solver):
    warnings.filterwarnings("ignore")
    # Libraries that print would break the protocol.
    answers, sys.stdout = sys.stdout, sys.stderr
    session, open_trials, count = None, {}, 0
    for line in sys.stdin:
        request = json.loads(line)
        if request["op"] == "init":
            if solver not in PEERS:
                raise SystemExit(f"there is no peer {solver!r}; there are {', '.join(PEERS)}")
            kind = PEERS[solver]
            session = kind(solver, request["space"], request["seed"], request["budget"], request.get("noisy", False))
            answer = {"ok": True, "version": f"{kind.library} {version(kind.library)}" if kind.library else "none"}
        elif request["op"] == "ask":
            count += 1
            open_trials[count], params = session.ask()
            answer = {"id": count, "params": params}
        elif request["op"] == "tell":
            session.tell(open_trials.pop(request["id"]), request["value"])
            answer = {"ok": True}
        else:
            raise SystemExit(f"unknown op {request['op']!r}")
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
