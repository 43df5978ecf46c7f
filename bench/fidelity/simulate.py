"""One simulated study: workers that train recorded curves, and a solver that is asked, told of every epoch, and may stop trials or let them rest.

Time is simulated: an epoch takes as long as it took when it was recorded, a solver answers at once. A trial that rests and goes on later does so from the
epoch at which it paused, and saving and loading take no time. Everything that happens at the same time happens in the order of the trials' numbers, so
that a seed gives the same run.
"""

import heapq
from dataclasses import dataclass, field

from curves import LAST, STEPS


@dataclass
class Run:
    """What came of it. `improved` has, for each improvement of the best value so far, epochs and seconds until then, and the value. Trials that rest at
    the end are among those that were stopped."""

    epochs: int = 0
    seconds: float = 0.0
    trials: int = 0
    stopped: int = 0
    improved: list = field(default_factory=list)

    def best_after(self, epochs: int) -> float:
        """The best value after so many epochs of all workers together; infinite before the first."""
        values = [value for at, _, value in self.improved if at <= epochs]
        return values[-1] if values else float("inf")

    def best_at(self, seconds: float) -> float:
        values = [value for _, at, value in self.improved if at <= seconds]
        return values[-1] if values else float("inf")


def simulate(solver, curves, workers: int, epochs: int) -> Run:
    """Trains until the workers have trained so many epochs together. `solver` has `ask`, `report`, `tell` and `rest`."""
    run, queue, best, had, resting = Run(), [], float("inf"), set(), {}

    def begin(now: float) -> None:
        asked = solver.ask()
        if "resume" in asked:
            number, training = resting.pop(asked["id"])
            step = asked["resume"] + 1
        else:
            training = curves.find(asked["params"], had)
            run.trials += 1
            number, step = run.trials, 1
        heapq.heappush(queue, (now + training.seconds, number, step, asked["id"], training))

    for _ in range(workers):
        begin(0.0)
    while queue and run.epochs < epochs:
        now, number, step, trial, training = heapq.heappop(queue)
        run.epochs += 1
        run.seconds = now
        value = training.value(step)
        # Fewer epochs would make a value a matter of luck.
        if step >= LAST and value < best:
            best = value
            run.improved.append((run.epochs, round(now, 3), round(value, 6)))
        verdict = solver.report(trial, step, training.errors[step - 1])
        if step == STEPS:
            solver.tell(trial, value, None)
        elif verdict == "stop":
            run.stopped += 1
            solver.tell(trial, value, step)
        elif verdict == "pause":
            resting[trial] = (number, training)
            solver.rest(trial)
        else:
            heapq.heappush(queue, (now + training.seconds, number, step + 1, trial, training))
            continue
        begin(now)
    run.stopped += len(resting)
    return run
