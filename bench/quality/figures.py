"""What is computed from recorded runs: best so far, regret, ranks. Knows nothing of files, documents or plots."""

import numpy as np

BASELINE, BASELINE_AT = "random", 10
# Regrets are compared to so many digits after the point: what is solved by two solvers is a tie, not a race for the last digit.
DIGITS = 3
# Of values so many are recorded.
ALL_DIGITS = 7


def best_so_far(values: list):
    return np.minimum.accumulate(np.array(values, dtype=float))


def regrets(runs: dict, optimum) -> dict:
    """Normalised regrets of one problem by solver, `{solver: [regret after each evaluation for each seed]}`.

    0 is the optimum (the best value of any run, if `optimum` is None), 1 the median of random search after its first 10 evaluations.
    `runs` has the values of each run by solver.
    """
    curves = {solver: [best_so_far(values) for values in by_seed] for solver, by_seed in runs.items()}
    if optimum is None:
        optimum = min(curve[-1] for by_seed in curves.values() for curve in by_seed)
    unit = np.median([curve[BASELINE_AT - 1] for curve in curves[BASELINE]]) - optimum
    # Published optima are rounded: what is better by that is not better than the best.
    return {solver: [np.maximum(curve - optimum, 0) / unit for curve in by_seed] for solver, by_seed in curves.items()}


def quartiles(curves: list, evaluations: int):
    """Lower quartile, median and upper quartile of the regret after so many evaluations; None unless every seed got so far."""
    if not curves or any(len(curve) < evaluations for curve in curves):
        return None
    return tuple(np.percentile([curve[evaluations - 1] for curve in curves], [25, 50, 75]))


def ranks(scores: dict) -> dict:
    """Places by score, the smallest first. Those that are equal to DIGITS digits share the mean of their places."""
    rounded = {name: round(float(score), DIGITS) for name, score in scores.items()}
    return {
        name: sum(other < own for other in rounded.values()) + (sum(other == own for other in rounded.values()) + 1) / 2
        for name, own in rounded.items()
    }


def mean_ranks(table: list) -> dict:
    """Mean places over problems, for `[{solver: score}]`, of the solvers that have a score on each of them."""
    complete = set.intersection(*(set(scores) for scores in table)) if table else set()
    places = [ranks({name: score for name, score in scores.items() if name in complete}) for scores in table]
    return {name: float(np.mean([place[name] for place in places])) for name in complete}


def reached(curves: list, regret: float, digits: int = DIGITS):
    """After how many evaluations the median regret is no larger than `regret` to so many digits; None if that was not seen."""
    length = min(map(len, curves))
    medians = np.median([curve[:length] for curve in curves], axis=0).round(digits)
    found = np.nonzero(medians <= round(float(regret), digits))[0]
    return int(found[0]) + 1 if len(found) else None


def middle_ratio(ratios: list) -> str:
    """The median of ratios of evaluations, each with whether it was seen; of one that was not it is known that it is larger."""
    bound = np.median([ratio for ratio, _ in ratios])
    is_seen = np.isfinite(np.median([ratio if seen else np.inf for ratio, seen in ratios]))
    return f"{bound:.2f}" if is_seen else f"more than {bound:.2f}"


def versions(runs: list) -> str:
    """The versions of a solver's runs, the one that ran first at the front, with each version's builds in one pair of brackets."""
    builds = {}
    for run in sorted(runs, key=lambda run: run["date"]):
        name, _, build = run["version"].partition(" (")
        # A dict keeps the order in which its keys came.
        builds.setdefault(name, {})[build.removesuffix(")")] = True
    return ", ".join(f"{name} ({', '.join(found)})" if any(found) else name for name, found in builds.items())


def duel(table: list, own: str, other: str):
    """On how many problems the score of `own` is smaller, equal and larger; of `[{solver: score}]` where both have one."""
    pairs = [(round(float(t[own]), DIGITS), round(float(t[other]), DIGITS)) for t in table if own in t and other in t]
    return sum(a < b for a, b in pairs), sum(a == b for a, b in pairs), sum(a > b for a, b in pairs)
