"""Writes docs/benchmarks/quality.md and its plots from the recorded runs.

What a person wrote in the document stays: only what is between the markers is made anew.
"""

from pathlib import Path

import numpy as np
from matplotlib import pyplot, ticker

from document import INK, rewrite, save, table
from figures import ALL_DIGITS, BASELINE, BASELINE_AT, DIGITS, duel, mean_ranks, middle_ratio, quartiles, reached, regrets, versions
from problems import PROBLEMS
from run import RESULTS, recorded
from solvers import SOLVERS
from talking import ROOT

DOCUMENT = ROOT / "docs" / "benchmarks" / "quality.md"
AT = (25, 50, 100)
# Middling tones, which are told apart on white and on black.
COLOURS = {
    "auto": "#e5484d", "random": "#8b949e", "optuna-tpe": "#3b82f6", "hyperopt-tpe": "#0ea5a5", "optuna-gp": "#a855f7",
    "smac3": "#d97706", "botorch": "#22a55b", "hebo": "#e26ab0",
}
FLOOR = 1e-4
LEAST_SEEDS = 3
# The regrets that evaluations under way at the same time are compared by: those of so many one after the other.
BATCH_AT = (50, 100, 200)
MANY = 16


def collect() -> dict:
    """`{problem: {solver: {seed: run}}}` of those with LEAST_SEEDS, problems and solvers in the order of their tables."""
    found = {name: {} for name in PROBLEMS}
    for solver in SOLVERS:
        for (problem, seed), run in sorted(recorded(solver).items()):
            if problem in found:
                found[problem].setdefault(solver, {})[seed] = run
    enough = {name: {s: runs for s, runs in by_solver.items() if len(runs) >= LEAST_SEEDS} for name, by_solver in found.items()}
    return {name: by_solver for name, by_solver in enough.items() if BASELINE in by_solver}


def cell(three) -> str:
    if three is None:
        return "–"
    low, middle, high = (f"{number:.{DIGITS}f}" for number in three)
    return f"{middle} ({low}–{high})"


def medians(curves: dict, at: int) -> list:
    """`[{solver: median regret}]`, one for each problem."""
    return [{s: three[1] for s, c in by_solver.items() if (three := quartiles(c, at))} for by_solver in curves.values()]


def rank_table(curves: dict, solvers: list) -> list:
    """Mean ranks after each number of evaluations, for the solvers that ran everywhere so far."""
    shown = {name: {s: c for s, c in by_solver.items() if s in solvers} for name, by_solver in curves.items()}
    columns = [mean_ranks(medians(shown, at)) for at in AT]
    rows = [
        [f"`{solver}`", *(f"{column[solver]:.2f}" if solver in column else "–" for column in columns)]
        for solver in solvers
        if any(solver in column for column in columns)
    ]
    rows.sort(key=lambda row: next((float(text) for text in reversed(row[1:]) if text != "–"), np.inf))
    return table(["Solver", *(f"after {at}" for at in AT)], rows)


def duel_table(curves: dict, solvers: list) -> list:
    rows = []
    for other in solvers:
        counts = [duel(medians(curves, at), "auto", other) for at in AT]
        if other != "auto":
            rows.append([f"`{other}`", *(f"{a} / {b} / {c}" if a + b + c else "–" for a, b, c in counts)])
    return table(["`auto` beside", *(f"after {at}" for at in AT)], rows)


def regret_tables(curves: dict, solvers: list) -> list:
    lines = []
    for name, by_solver in curves.items():
        head = [f"`{name}`", *(f"after {at}" for at in AT)]
        rows = []
        best = {
            at: min((round(three[1], DIGITS) for s in solvers if (three := quartiles(by_solver.get(s, []), at))), default=None) for at in AT
        }
        for solver in solvers:
            cells = []
            for at in AT:
                three = quartiles(by_solver.get(solver, []), at)
                text = cell(three)
                cells.append(f"**{text}**" if three and round(three[1], DIGITS) == best[at] else text)
            if set(cells) != {"–"}:
                rows.append([f"`{solver}`", *cells])
        lines += [f"{PROBLEMS[name].about}.", "", *table(head, rows)]
    return lines


def parallel(curves: dict) -> list:
    """What the solvers that have several evaluations under way reach, and how many more they need."""
    solvers = [s.name for s in SOLVERS.values() if s.parallel == MANY and any(s.name in by_solver for by_solver in curves.values())]
    if not solvers:
        return []
    rows = []
    for problem, by_solver in curves.items():
        found = [[quartiles(by_solver.get(s, []), at) for s in solvers] for at in AT[1:]]
        row = [f"`{problem}`"]
        for three in found:
            middle = [f"{each[1]:.{DIGITS}f}" if each else "–" for each in three]
            least = min(middle)
            row += [f"**{text}**" if text == least else text for text in middle]
        rows.append(row)
    head = ["Problem", *(f"`{s}` after {at}" for at in AT[1:] for s in solvers)]
    return [
        "## Several at a time", "",
        "Of the evaluations that are under way the oldest ends, then the next is asked for.", "",
        *width_table(curves),
        f"With {MANY} evaluations under way, median regrets; the best of each number of evaluations is bold.", "",
        *table(head, rows),
        *batch_table(curves),
        *batch_medians(curves, solvers),
    ]


def width_table(curves: dict) -> list:
    """How many times the evaluations `auto` needs with so many under way."""
    rows = []
    for solver in (s for s in SOLVERS.values() if s.parallel > 1 and s.algorithm == "auto"):
        found = batch_ratios(curves, "auto", solver.name, AT)
        if any(found.values()):
            rows.append([str(solver.parallel), *counted(found)])
    if not rows:
        return []
    return [
        "How many times the evaluations `auto` needs with so many under way, for the median regret that it has one at a time after so many; medians over the problems.", "",
        *table(["Under way", "Problems", *(f"regret after {at}" for at in AT)], rows),
    ]


def batch_table(curves: dict) -> list:
    """How many evaluations `auto` needs with sixteen under way for what so many as BATCH_AT says reach one after the other."""
    rows, exact = [], {at: [] for at in BATCH_AT}
    for problem, by_solver in curves.items():
        if "auto-16" not in by_solver:
            continue
        row = [f"`{problem}`"]
        for at in BATCH_AT:
            one = quartiles(by_solver.get("auto", []), at)
            if not one:
                row += ["–"] * 3
                continue
            alone, many = by_solver["auto"], by_solver["auto-16"]
            exact[at].append(batch_ratio(alone, many, one[1], ALL_DIGITS))
            ratio = batch_ratio(alone, many, one[1])
            needed, length = (reached(alone, one[1]), reached(many, one[1])), min(map(len, many))
            row += [f"{one[1]:.{DIGITS}f}", f"{needed[0]} / {needed[1] or f'more than {length}'}", middle_ratio([ratio])]
        rows.append(row)
    head = ["Problem"]
    for at in BATCH_AT:
        head += [f"regret after {at}", "`auto` / `auto-16`", "ratio"]
    if not rows:
        return []
    exact_are = ", ".join(f"{middle_ratio(found)} for that after {at}" for at, found in exact.items() if found)
    return [
        "Evaluations after which `auto` first has the median regret that it has after so many, and after which `auto-16` has it. With regrets compared to"
        f" {ALL_DIGITS} digits the medians of the ratios are {exact_are}.", "",
        *table(head, rows),
    ]


def batch_medians(curves: dict, solvers: list) -> list:
    """How many times the evaluations solvers need with sixteen under way."""
    rows = []
    for name in [solver.removesuffix("-16") for solver in solvers]:
        found = batch_ratios(curves, name, f"{name}-16", BATCH_AT)
        if any(found.values()):
            rows.append([f"`{name}-16`", f"`{name}`", *counted(found)])
    others = [s.name for s in SOLVERS.values() if s.environment and s.parallel == 1]
    found = {at: [] for at in BATCH_AT}
    for by_solver in (each for each in curves.values() if "auto-16" in each):
        for at in BATCH_AT:
            ends = [(three[1], s) for s in others if (three := quartiles(by_solver.get(s, []), at))]
            if ends:
                regret, best = min(ends)
                found[at].append(batch_ratio(by_solver[best], by_solver["auto-16"], regret))
    if any(found.values()):
        rows.append(["`auto-16`", "best other library on each problem", *counted(found)])
    head = ["Sixteen at a time", "One at a time", "Problems", *(f"ratio at the regret after {at}" for at in BATCH_AT)]
    return [
        "The medians of such ratios over the problems: how many times the evaluations are needed with sixteen under way for the median regret that is reached one at a time.", "",
        *table(head, rows),
    ]


def batch_ratios(curves: dict, alone: str, many: str, after: tuple) -> dict:
    """The ratios for the regret that `alone` has after each of so many evaluations, of the problems on which both ran so far, `{evaluations: [ratio]}`."""
    found = {at: [] for at in after}
    for by_solver in (each for each in curves.values() if many in each):
        for at in after:
            if one := quartiles(by_solver.get(alone, []), at):
                found[at].append(batch_ratio(by_solver[alone], by_solver[many], one[1]))
    return found


def counted(found: dict) -> list:
    """Problems, and the median of their ratios at each number of evaluations; `–` where none ran so far."""
    return [str(max(map(len, found.values()))), *(middle_ratio(ratios) if ratios else "–" for ratios in found.values())]


def batch_ratio(one: list, many: list, regret: float, digits: int = DIGITS):
    """How many times the evaluations of one at a time are needed with many under way, and whether that was seen: if not, more."""
    needed = reached(many, regret, digits)
    return (needed or min(map(len, many))) / reached(one, regret, digits), bool(needed)


def seconds_table(runs: dict, solvers: list) -> list:
    """Milliseconds of processor time for a suggestion, by how many results there are already."""
    spans = ((10, 25), (40, 50), (90, 100))
    rows = []
    for solver in solvers:
        cells = []
        for low, high in spans:
            found = [s for p in runs.values() for run in p.get(solver, {}).values() for s in run["seconds"][low:high]]
            cells.append(f"{1000 * np.median(found):.3g} / {1000 * np.percentile(found, 95):.3g}" if found else "–")
        rows.append([f"`{solver}`", *cells])
    return table(["Solver", *(f"with {low} to {high} results" for low, high in spans)], rows)


def origin(runs: dict, solvers: list) -> list:
    rows = []
    for solver in solvers:
        own = [run for p in runs.values() for run in p.get(solver, {}).values()]
        counts = {len(p[solver]) for p in runs.values() if solver in p}
        seeds = f"{min(counts)}" if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
        dates = sorted({run["date"] for run in own})
        days = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
        lengths = sorted({len(run["values"]) for run in own})
        problems = sum(solver in p for p in runs.values())
        rows.append([f"`{solver}`", versions(own), str(problems), seeds, " or ".join(map(str, lengths)), days])
    return table(["Solver", "Version", "Problems", "Seeds of each", "Evaluations", "Run on"], rows)


def plot(curves: dict, path: Path) -> None:
    """Median regret of each problem with the band between the quartiles, one small plot each."""
    columns = 3
    figure, axes = pyplot.subplots(-(-len(curves) // columns), columns, figsize=(9.5, 2.35 * -(-len(curves) // columns)), squeeze=False)
    handles = {}
    for axis, (name, by_solver) in zip(axes.flat, curves.items()):
        for solver, colour in COLOURS.items():
            by_seed = by_solver.get(solver)
            if not by_seed:
                continue
            length = min(AT[-1], *map(len, by_seed))
            low, middle, high = np.maximum(np.percentile([c[:length] for c in by_seed], [25, 50, 75], axis=0), FLOOR)
            steps = np.arange(1, length + 1)
            [handles[solver]] = axis.plot(steps, middle, color=colour, linewidth=1.8 if solver == "auto" else 1.1, zorder=3)
            axis.fill_between(steps, low, high, color=colour, alpha=0.1, linewidth=0)
        axis.set(yscale="log", title=name)
        axis.grid(color=INK, alpha=0.2, linewidth=0.5)
        low, high = axis.get_ylim()
        # A single power of ten on an axis would leave its scale to guesses.
        axis.yaxis.set_major_locator(ticker.LogLocator(subs=(1,) if high / low > 300 else (1, 2, 5)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_locator(ticker.NullLocator())
    for axis in axes.flat[len(curves):]:
        axis.axis("off")
    for axis in axes[-1]:
        axis.set_xlabel("evaluations")
    for row in axes:
        row[0].set_ylabel("regret")
    figure.tight_layout(rect=(0, 0, 1, 0.965))
    legend = figure.legend(handles.values(), handles.keys(), loc="upper center", ncols=len(handles), frameon=False)
    for line in legend.get_lines():
        line.set_linewidth(2.5)
    save(figure, path)


def main() -> None:
    runs = collect()
    if not runs:
        raise SystemExit(f"there are not {LEAST_SEEDS} runs of {BASELINE} for any problem in {RESULTS.relative_to(ROOT)}; make bench-quality makes them")
    curves = {
        name: regrets({s: [run["values"] for run in seeds.values()] for s, seeds in by_solver.items()}, PROBLEMS[name].optimum)
        for name, by_solver in runs.items()
    }
    everyone = [s.name for s in SOLVERS.values() if any(s.name in by_solver for by_solver in curves.values())]
    solvers = [name for name in everyone if SOLVERS[name].parallel == 1]
    plot(curves, DOCUMENT.with_name("quality.svg"))
    lines = [
        "## Where the figures come from", "",
        f"What has fewer than {LEAST_SEEDS} seeds on a problem is left out there.", "", *origin(runs, everyone),
        "## Ranks", "",
        f"Mean place over {len(curves)} problems by median regret, of the solvers that ran on all of them; equal medians share a place.", "",
        *rank_table(curves, solvers),
        "Problems on which the median regret of `auto` is smaller / equal / larger, of those that both ran:", "",
        *duel_table(curves, solvers),
        "## Regret", "",
        f"Median (quartiles) over the seeds: 0 is the optimum, 1 is where random search is after {BASELINE_AT} evaluations. The best median is"
        " bold.", "",
        "![Regret over evaluations](quality.svg)", "",
        *regret_tables(curves, solvers),
        *parallel(curves),
        "## Time for a suggestion", "",
        "Milliseconds of processor time of the solver's process for one ask and tell: median / 95th percentile over the problems that it ran on.", "",
        *seconds_table(runs, solvers),
    ]
    rewrite(DOCUMENT, lines)


if __name__ == "__main__":
    main()
