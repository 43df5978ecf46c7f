"""Another library's strategy and stopping rule behind the protocol of `tunesmith-optimizer-stdio`: one JSON object a line in, one out.

Runs in the virtual environment of that library, so it imports nothing else but the standard library: `python peer.py "optuna-tpe + median"`.
"""

import json
import logging
import random
import sys
from importlib.metadata import version

SOLVER = sys.argv[1] if len(sys.argv) > 1 else ""


def applies(parameter, params):
    return parameter["cond"] is None or params.get(parameter["cond"][0]) in parameter["cond"][1]


class Optuna:
    """The documentation's loop, asked and told: a pruned trial is told so and keeps what it reported."""

    library = "optuna"

    def __init__(self, space, seed, steps):
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        pruners = {
            "": optuna.pruners.NopPruner(),
            "median": optuna.pruners.MedianPruner(n_warmup_steps=4),
            "halving": optuna.pruners.SuccessiveHalvingPruner(),
            "hyperband": optuna.pruners.HyperbandPruner(min_resource=1, max_resource=steps),
        }
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)
        self.optuna, self.space, self.trials = optuna, space, {}
        # Hyperband divides trials by the study's name, which is drawn at random if none is given.
        self.study = optuna.create_study(study_name=f"fidelity-{seed}", sampler=sampler, pruner=pruners[SOLVER.partition(" + ")[2]])

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
        self.trials[trial.number] = trial
        return trial.number, params

    def report(self, number, step, value):
        self.trials[number].report(value, step)
        return self.trials[number].should_prune()

    def tell(self, number, value, partial):
        trial = self.trials.pop(number)
        if partial is None:
            self.study.tell(trial, value)
        else:
            self.study.tell(trial, state=self.optuna.trial.TrialState.PRUNED)


class SyneTune:
    """A scheduler by hand, as its tuner calls it. It has no conditions: what does not apply is left out of the trial."""

    library = "syne-tune"

    def __init__(self, space, seed, steps):
        import numpy
        from syne_tune.backend.trial_status import Trial
        from syne_tune.config_space import choice, lograndint, loguniform, randint, uniform
        from syne_tune.optimizer import baselines

        logging.disable(logging.WARNING)
        # Brackets are drawn from the global generator.
        random.seed(seed)
        numpy.random.seed(seed)
        kinds = {("float", True): loguniform, ("float", False): uniform, ("int", True): lograndint, ("int", False): randint}
        config = {
            p["name"]: choice(p["choices"]) if p["kind"] == "cat" else kinds[p["kind"], p["log"]](p["lo"], p["hi"]) for p in space
        }
        kind = {"syne-tune asha": baselines.ASHA, "syne-tune bohb": baselines.BOHB, "syne-tune cqr": baselines.ASHACQR}[SOLVER]
        self.scheduler = kind(config, metric="error", do_minimize=True, time_attr="epoch", max_t=steps, random_seed=seed)
        self.make, self.space, self.trials, self.steps = Trial, space, {}, steps

    def ask(self):
        import datetime

        number = len(self.trials)
        config = self.scheduler.suggest().config
        self.trials[number] = self.make(number, config, datetime.datetime.now())
        self.scheduler.on_trial_add(self.trials[number])
        params = {}
        for p in self.space:
            if applies(p, params):
                value = config[p["name"]]
                params[p["name"]] = str(value) if p["kind"] == "cat" else (int(value) if p["kind"] == "int" else float(value))
        return number, params

    def report(self, number, step, value):
        result = {"error": value, "epoch": step}
        if step == self.steps:
            self.scheduler.on_trial_complete(self.trials[number], result)
            return False
        if self.scheduler.on_trial_result(self.trials[number], result) == "STOP":
            self.scheduler.on_trial_remove(self.trials[number])
            return True
        return False

    def tell(self, number, value, partial):
        pass


def main():
    peer = None
    for line in sys.stdin:
        request = json.loads(line)
        op = request["op"]
        if op == "init":
            kind = Optuna if SOLVER.startswith("optuna") else SyneTune
            peer = kind(request["space"], request["seed"], request["steps"])
            answer = {"ok": True, "version": f"{kind.library} {version(kind.library)}"}
        elif op == "ask":
            number, params = peer.ask()
            answer = {"id": number, "params": params}
        elif op == "report":
            answer = {"stop": bool(peer.report(request["id"], request["step"], request["value"]))}
        else:
            peer.tell(request["id"], request["value"], request["partial"])
            answer = {"ok": True}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
