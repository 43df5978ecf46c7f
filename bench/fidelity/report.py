"""Writes docs/benchmarks/fidelity.md and its plot from the recorded runs.

What a person wrote in the document stays: only what is between the markers is made anew.
"""

import numpy as np
from curves import STEPS, curves
from run import EPOCHS, recorded
from solvers import ROOT, SOLVERS

from document import INK, rewrite, save, table  # Of bench/quality.
from figures import versions
from matplotlib import pyplot

DOCUMENT = ROOT / "docs" / "benchmarks" / "fidelity.md"
AT = (200, 300, 500, 1000)
# What the others are to reach with fewer epochs: trainings that are never stopped, with the same strategy and with the best without a rule.
WHOLE = "gp"
LEAST_SEEDS = 5
COLOURS = {
    "random": "#8b949e", "gp": "#b45309", "random + asha": "#22a55b", "gp + asha": "#e5484d", "asha": "#84a10f", "asha gp": "#f97316",
    "bohb": "#e26ab0", "optuna-tpe + halving": "#3b82f6", "optuna-tpe + hyperband": "#a855f7", "syne-tune asha": "#0ea5a5",
}


def collect() -> dict:
    """`{workers: {solver: [run]}}` of those with LEAST_SEEDS."""
    found = {workers: {} for workers in EPOCHS}
    for solver in SOLVERS:
        for (workers, _), run in sorted(recorded(solver).items()):
            found.get(workers, {}).setdefault(solver, []).append(run)
    return {workers: {s: runs for s, runs in by.items() if len(runs) >= LEAST_SEEDS} for workers, by in found.items()}


def best_by(run: dict, measure: int, points) -> np.ndarray:
    """The best value of a run at each of some epochs (`measure` 0) or seconds (1); 1, which is no worse than any, before the first."""
    at = [0.0] + [improved[measure] for improved in run["improved"]]
    values = [1.0] + [improved[2] for improved in run["improved"]]
    return np.array(values)[np.searchsorted(at, points, side="right") - 1]


def quartiles(runs: list, measure: int, points) -> np.ndarray:
    """Shape `(3, points)`."""
    return np.percentile([best_by(run, measure, points) for run in runs], [25, 50, 75], axis=0)


def percent(number: float) -> str:
    return f"{100 * number:.2f}"


def error_table(by_solver: dict, at: tuple) -> list:
    three = {solver: quartiles(runs, 0, at) for solver, runs in by_solver.items()}
    least = {k: min(round(float(q[1, k]), 6) for q in three.values()) for k in range(len(at))}
    rows = []
    for solver, q in three.items():
        cells = [f"{percent(q[1, k])} ({percent(q[0, k])}–{percent(q[2, k])})" for k in range(len(at))]
        cells = [f"**{cell}**" if round(float(q[1, k]), 6) == least[k] else cell for k, cell in enumerate(cells)]
        trials = int(np.median([run["trials"] for run in by_solver[solver]]))
        rows.append([f"`{solver}`", *cells, str(trials)])
    return table(["Solver", *(f"after {epochs} epochs" for epochs in at), "trials"], rows)


def needed_table(by_solver: dict) -> list:
    """Epochs after which the median error is what trainings without a rule come to in the end."""
    epochs = np.arange(1, EPOCHS[1] + 1)
    medians = {solver: quartiles(runs, 0, epochs)[1] for solver, runs in by_solver.items()}
    rows = []
    for solver, median in medians.items():
        cells = []
        for whole in ("random", WHOLE):
            reached = np.nonzero(median <= medians[whole][-1] + 1e-9)[0]
            cells.append(f"{epochs[reached[0]]} ({epochs[reached[0]] / EPOCHS[1]:.2f})" if len(reached) else f"more than {EPOCHS[1]}")
        rows.append([f"`{solver}`", *cells])
    return table(["Solver", f"the error of `random` after {EPOCHS[1]}", f"the error of `{WHOLE}` after {EPOCHS[1]}"], rows)


def origin(found: dict) -> list:
    rows = []
    for solver in SOLVERS:
        runs = [run for by in found.values() for run in by.get(solver, [])]
        if not runs:
            continue
        seeds = sorted({len(by[solver]) for by in found.values() if solver in by})
        workers = ", ".join(str(workers) for workers, by in found.items() if solver in by)
        rows.append([f"`{solver}`", versions(runs), workers, " or ".join(map(str, seeds))])
    return table(["Solver", "Version", "Workers", "Seeds"], rows)


def plot(found: dict, path) -> None:
    """Median error with the band between the quartiles: by epochs above, by simulated time below, a column for each number of workers."""
    figure, axes = pyplot.subplots(2, len(found), figsize=(9.5, 5), squeeze=False, sharey=True)
    unit = STEPS * np.mean([training.seconds for training in curves().trainings])
    handles = {}
    for column, (workers, by_solver) in enumerate(found.items()):
        for row, scale in ((0, 1.0), (1, unit)):
            axis = axes[row, column]
            ends = [run["improved"][-1][row] for runs in by_solver.values() for run in runs]
            most = EPOCHS[workers] if row == 0 else np.median([run["seconds"] for runs in by_solver.values() for run in runs])
            points = np.linspace(0, max(most, 1e-9), 150)
            for solver, colour in COLOURS.items():
                if solver not in by_solver or not ends:
                    continue
                low, middle, high = 100 * quartiles(by_solver[solver], row, points)
                width = 1.8 if solver == "gp + asha" else 1.1
                [handles[solver]] = axis.plot(points / scale, middle, color=colour, linewidth=width, zorder=3)
                axis.fill_between(points / scale, low, high, color=colour, alpha=0.1, linewidth=0)
            axis.set(yscale="log", ylim=(0.7, 15))
            axis.set_yticks([1, 2, 5, 10], ["1", "2", "5", "10"])
            axis.minorticks_off()
            axis.grid(color=INK, alpha=0.2, linewidth=0.5)
            axis.set_xlabel("epochs" if row == 0 else "time, in whole trainings")
        axes[0, column].set_title(f"{workers} worker{'s' * (workers > 1)}")
    for row in axes:
        row[0].set_ylabel("validation error, percent")
    figure.tight_layout(rect=(0, 0, 1, 0.93))
    legend = figure.legend(handles.values(), handles.keys(), loc="upper center", ncols=5, frameon=False)
    for line in legend.get_lines():
        line.set_linewidth(2.5)
    save(figure, path)


def main() -> None:
    found = {workers: by_solver for workers, by_solver in collect().items() if by_solver}
    if 1 not in found or not {"random", WHOLE} <= set(found[1]):
        raise SystemExit(f"there are not {LEAST_SEEDS} runs of random and {WHOLE} with 1 worker; make bench-fidelity makes them")
    plot(found, DOCUMENT.with_name("fidelity.svg"))
    lines = [
        "## Where the figures come from", "", *origin(found),
        "## Epochs needed", "",
        f"With 1 worker: epochs after which the median error is that of whole trainings after {EPOCHS[1]} epochs, and their share of these.", "",
        *needed_table(found[1]),
        "## Error", "",
        f"Median (quartiles) of the best validation error so far, in percent; the best of all recorded trainings has {percent(curves().best)}. The best"
        " median is bold.", "",
        "![Error over epochs and over time](fidelity.svg)", "",
    ]
    for workers, by_solver in found.items():
        at = AT if EPOCHS[workers] == AT[-1] else tuple(EPOCHS[workers] // part for part in (8, 4, 2, 1))
        lines += [f"### {workers} worker{'s' * (workers > 1)}", "", *error_table(by_solver, at)]
    rewrite(DOCUMENT, lines[:-1])


if __name__ == "__main__":
    main()
