"""The problems that solvers are compared on, each with its space in the words of the protocol. All are minimised.

A problem must not depend on anything but its parameters: shifts and rotations come from the seeds written here.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Optional

import numpy as np


@dataclass
class Problem:
    """`optimum` is None where nobody knows it; `at` is where the optimum lies.

    Solvers are told values with normal noise of the standard deviation `noise`; what they found is measured without it.
    """

    name: str
    about: str
    space: list
    evaluate: Callable[[dict], float]
    optimum: Optional[float] = None
    at: dict = field(default_factory=dict)
    noise: float = 0.0


def number(name, low, high, log=False, cond=None):
    return {"name": name, "kind": "float", "lo": low, "hi": high, "log": log, "choices": None, "cond": cond}


def whole(name, low, high, log=False, cond=None):
    return {"name": name, "kind": "int", "lo": low, "hi": high, "log": log, "choices": None, "cond": cond}


def choice(name, choices, cond=None):
    return {"name": name, "kind": "cat", "lo": None, "hi": None, "log": False, "choices": choices, "cond": cond}


def is_active(parameter: dict, params: dict) -> bool:
    """Whether a parameter applies, given the values of those that come before it in the space."""
    if parameter["cond"] is None:
        return True
    parent, values = parameter["cond"]
    return params.get(parent) in values


def check(space: list, params: dict) -> None:
    """Refuses a point that is not of the space: a solver that left it would otherwise be praised for it."""
    active = {p["name"]: p for p in space if is_active(p, params)}
    if active.keys() != params.keys():
        raise ValueError(f"parameters {sorted(params)}, but those that apply are {sorted(active)}")
    for name, value in params.items():
        p = active[name]
        if p["kind"] == "cat":
            good = value in p["choices"]
        else:
            good = p["lo"] <= value <= p["hi"] and (p["kind"] == "float" or isinstance(value, int))
        if not good:
            raise ValueError(f"{name} is {value!r}, which is outside its domain {p}")


def on_box(name: str, about: str, function: Callable, bounds: list, best: Any, optimum: float) -> Problem:
    """A function of a vector, as a problem with the parameters x0, x1 and so on."""
    names = [f"x{i}" for i in range(len(bounds))]
    return Problem(
        name,
        about,
        [number(n, low, high) for n, (low, high) in zip(names, bounds)],
        lambda params: float(function(np.array([params[n] for n in names]))),
        optimum,
        dict(zip(names, map(float, best))),
    )


def branin(x):
    bend = x[1] - 5.1 * x[0] ** 2 / (4 * math.pi**2) + 5 * x[0] / math.pi - 6
    return bend**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x[0]) + 10


HARTMANN_HEIGHT = np.array([1.0, 1.2, 3.0, 3.2])
HARTMANN_WIDTH = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
HARTMANN_PLACE = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)
HARTMANN_BEST = [0.20168952, 0.15001069, 0.47687398, 0.27533243, 0.31165162, 0.65730054]
HARTMANN_OPTIMUM = -3.32236801


def hartmann6(x):
    return -HARTMANN_HEIGHT @ np.exp(-np.sum(HARTMANN_WIDTH * (x - HARTMANN_PLACE) ** 2, axis=1))


def ackley(x):
    dip = -20 * math.exp(-0.2 * math.sqrt(np.mean(x**2)))
    return dip - math.exp(np.mean(np.cos(2 * math.pi * x))) + 20 + math.e


def rosenbrock(x):
    return np.sum(100 * (x[:-1] ** 2 - x[1:]) ** 2 + (x[:-1] - 1) ** 2)


def rastrigin(x):
    return 10 * (len(x) - np.sum(np.cos(2 * math.pi * x))) + x @ x


def shift(seed: int, size: int, reach: float):
    """Where an optimum goes, so that it is neither in the middle nor in a corner."""
    return np.random.default_rng(seed).uniform(-reach, reach, size)


def rotation(seed: int, size: int):
    q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((size, size)))
    return q * np.sign(np.diag(r))


def shifted_ackley() -> Problem:
    best = shift(101, 10, 20)
    about = "Ackley in 10 dimensions, shifted (seed 101): many small dips in a funnel"
    return on_box("ackley10", about, lambda x: ackley(x - best), [(-32.768, 32.768)] * 10, best, 0.0)


def f8() -> Problem:
    best = shift(108, 5, 3)
    about = "Rosenbrock in 5 dimensions as BBOB's f8, shifted (seed 108): a long bent valley"
    return on_box("rosenbrock5", about, lambda x: rosenbrock(x - best + 1), [(-5, 5)] * 5, best, 0.0)


def f15() -> Problem:
    best = shift(115, 5, 4)
    stretch = np.diag(10 ** (0.5 * np.linspace(0, 1, 5)))
    turn = rotation(116, 5) @ stretch @ rotation(117, 5)
    about = (
        "Rastrigin in 5 dimensions after BBOB's f15, shifted, rotated and stretched (seeds 115, 116, 117) but without"
        " its asymmetry: a grid of dips askew to the axes"
    )
    return on_box("rastrigin5", about, lambda x: rastrigin(turn @ (x - best)), [(-5, 5)] * 5, best, 0.0)


EMBEDDED = [3, 11, 19, 26, 34, 47]


def embedded() -> Problem:
    best = np.full(50, 0.5)
    best[EMBEDDED] = HARTMANN_BEST
    about = "Hartmann-6 on 6 of 50 dimensions: the others do nothing"
    return on_box("embedded50", about, lambda x: hartmann6(x[EMBEDDED]), [(0, 1)] * 50, best, HARTMANN_OPTIMUM)


def mixed() -> Problem:
    """Where the basin lies depends on one choice, how deep and how stiff it is on the other."""
    centre = {"ash": (0.6, -0.4), "beech": (-0.7, 0.3), "cedar": (0.1, 0.8), "fir": (-0.3, -0.6)}
    floor = {"ash": 0.3, "beech": 0.0, "cedar": 0.15, "fir": 0.5}
    modes = {"slow": (0.2, 0.5, 9), "plain": (0.0, 1.0, 5), "fast": (0.1, 2.0, 3)}

    def evaluate(p):
        a, b = p["a"] - centre[p["kind"]][0], p["b"] - centre[p["kind"]][1]
        extra, stiff, layers = modes[p["mode"]]
        ripple = 0.05 * (2 - math.cos(5 * math.pi * a) - math.cos(5 * math.pi * b))
        numbers = stiff * ((math.log10(p["rate"]) + 2) / 2) ** 2 + ((math.log2(p["units"]) - 7) / 3) ** 2
        return (
            floor[p["kind"]] + extra + a * a + b * b + a * b + ripple + numbers
            + ((p["layers"] - layers) / 6) ** 2 + 0.5 * abs(p["share"] - 0.35)
        )

    space = [
        number("a", -1, 1), number("b", -1, 1), number("share", 0, 1), number("rate", 1e-5, 1, log=True),
        whole("layers", 1, 12), whole("units", 16, 1024, log=True),
        choice("kind", list(centre)), choice("mode", list(modes)),
    ]
    at = {"a": -0.7, "b": 0.3, "share": 0.35, "rate": 1e-2, "layers": 5, "units": 128, "kind": "beech", "mode": "plain"}
    return Problem("mixed8", "4 floats, 2 ints and 2 categories that move the basin", space, evaluate, 0.0, at)


def tree() -> Problem:
    """A choice among three models with parameters of their own; the best branch is not the one that is best on average."""

    def evaluate(p):
        loss = 0.5 * (p["scale"] - 0.6) ** 2
        if p["model"] == "linear":
            return loss + 0.3 + 0.05 * (math.log10(p["penalty"]) + 1) ** 2 + 0.2 * (p["l1"] - 0.25) ** 2
        if p["model"] == "trees":
            loss += 0.12 + ((math.log2(p["count"]) - 7) / 6) ** 2 + ((p["depth"] - 6) / 8) ** 2
            return loss + (0.08 if p["boost"] == "no" else 0.1 * (math.log10(p["shrink"]) + 1) ** 2)
        loss += 0.3 * (math.log10(p["rate"]) + 2.5) ** 2 + ((p["layers"] - 3) / 4) ** 2
        return loss + (0.1 if p["optimizer"] == "adam" else 2 * abs(p["momentum"] - 0.9))

    space = [
        number("scale", 0, 1),
        choice("model", ["linear", "trees", "network"]),
        number("penalty", 1e-4, 1e2, log=True, cond=["model", ["linear"]]),
        number("l1", 0, 1, cond=["model", ["linear"]]),
        whole("count", 8, 1024, log=True, cond=["model", ["trees"]]),
        whole("depth", 1, 16, cond=["model", ["trees"]]),
        choice("boost", ["yes", "no"], cond=["model", ["trees"]]),
        number("shrink", 1e-3, 1, log=True, cond=["boost", ["yes"]]),
        whole("layers", 1, 8, cond=["model", ["network"]]),
        number("rate", 1e-5, 1, log=True, cond=["model", ["network"]]),
        choice("optimizer", ["sgd", "adam"], cond=["model", ["network"]]),
        number("momentum", 0, 0.99, cond=["optimizer", ["sgd"]]),
    ]
    at = {"scale": 0.6, "model": "network", "layers": 3, "rate": 10**-2.5, "optimizer": "sgd", "momentum": 0.9}
    return Problem("tree12", "12 parameters on the branches of a tree, two levels deep", space, evaluate, 0.0, at)


def noisy_hartmann() -> Problem:
    plain = on_box("hartmann6-noisy", "", hartmann6, [(0, 1)] * 6, HARTMANN_BEST, HARTMANN_OPTIMUM)
    about = "Hartmann-6 of which solvers are told values with noise, standard deviation 0.25; regrets are those of the values without it"
    return replace(plain, about=about, noise=0.25)


WORST_LOSS = 3.0
WORST_ERROR = 5.0


def digits() -> Problem:
    """A real training: its loss on the digits that it has not seen. The same parameters give the same loss."""
    data = []

    def evaluate(p):
        import warnings

        from sklearn.datasets import load_digits
        from sklearn.metrics import log_loss
        from sklearn.neural_network import MLPClassifier

        if not data:
            x, y = load_digits(return_X_y=True)
            data.extend((x[:700] / 16, y[:700], x[700:] / 16, y[700:]))
        x, y, unseen, truth = data
        model = MLPClassifier(
            (p["units"],), activation=p["activation"], alpha=p["decay"], batch_size=p["batch"],
            learning_rate_init=p["rate"], beta_1=p["momentum"], max_iter=8, random_state=0,
        )
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                guess = model.fit(x, y).predict_proba(unseen)
                return min(float(log_loss(truth, np.clip(np.nan_to_num(guess, nan=0.1), 1e-7, 1))), WORST_LOSS)
        except ValueError:  # The weights have run away, which scikit-learn refuses to go on with.
            return WORST_LOSS

    space = [
        number("rate", 1e-4, 1, log=True), whole("units", 8, 128, log=True), number("decay", 1e-7, 1e-1, log=True),
        whole("batch", 32, 256, log=True), number("momentum", 0, 0.99), choice("activation", ["relu", "tanh", "logistic"]),
    ]
    about = "scikit-learn's MLP on its digits, 8 epochs, log loss on unseen digits: 6 parameters; its optimum is the best value that any run found"
    return Problem("digits", about, space, evaluate)


def diabetes() -> tuple:
    """442 patients by 10 measurements, and how far the disease has gone a year later."""
    from sklearn.datasets import load_diabetes

    return load_diabetes(return_X_y=True)


def error_on_unseen(model, x, y, parts: int) -> float:
    """The root of the mean squared error in a cross-validation whose parts are always the same."""
    from sklearn.model_selection import KFold, cross_val_predict

    guess = cross_val_predict(model, x, y, cv=KFold(parts, shuffle=True, random_state=0))
    return float(np.sqrt(np.mean((guess - y) ** 2)))


def support_vectors() -> Problem:
    """A real training with numbers alone. Both sides of the data are scaled to a standard deviation of 1."""
    data = []

    def evaluate(p):
        import warnings

        from sklearn.svm import SVR

        if not data:
            x, y = diabetes()
            data.extend((x / np.std(x, axis=0), (y - np.mean(y)) / np.std(y)))
        model = SVR(C=p["penalty"], gamma=p["gamma"], epsilon=p["tube"], max_iter=5000)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # That it stops at max_iter is meant: bad parameters would take minutes.
            return min(error_on_unseen(model, *data, parts=5), WORST_ERROR)

    space = [number("penalty", 1e-3, 1e4, log=True), number("gamma", 1e-6, 10, log=True), number("tube", 1e-3, 3, log=True)]
    about = (
        "scikit-learn's support vector regression on its diabetes data, error in a cross-validation of 5 parts, in standard deviations: "
        "3 parameters; its optimum is the best value that any run found"
    )
    return Problem("diabetes-svr", about, space, evaluate)


def boosting() -> Problem:
    """A real training by chance, which is drawn by the same seed each time: the same parameters give the same error."""
    data = []

    def evaluate(p):
        from sklearn.ensemble import GradientBoostingRegressor

        if not data:
            data.extend(diabetes())
        model = GradientBoostingRegressor(
            n_estimators=p["trees"], learning_rate=p["rate"], max_depth=p["depth"], subsample=p["share"],
            min_samples_leaf=p["leaf"], max_features=None if p["features"] == "all" else p["features"], random_state=0,
        )
        return error_on_unseen(model, *data, parts=3)

    space = [
        whole("trees", 4, 64, log=True), number("rate", 0.01, 1, log=True), whole("depth", 1, 7), number("share", 0.2, 1),
        whole("leaf", 1, 60, log=True), choice("features", ["sqrt", "log2", "all"]),
    ]
    about = (
        "scikit-learn's gradient boosting on its diabetes data, error in a cross-validation of 3 parts: 6 parameters; "
        "its optimum is the best value that any run found"
    )
    return Problem("diabetes-boosting", about, space, evaluate)


PROBLEMS = {
    problem.name: problem
    for problem in [
        on_box("branin", "Branin, 2 dimensions", branin, [(-5, 10), (0, 15)], (math.pi, 2.275), 0.39788736),
        on_box("hartmann6", "Hartmann, 6 dimensions", hartmann6, [(0, 1)] * 6, HARTMANN_BEST, HARTMANN_OPTIMUM),
        noisy_hartmann(), shifted_ackley(), f8(), f15(), embedded(), mixed(), tree(), digits(), support_vectors(),
        boosting(),
    ]
}
