"""One simulated study: workers that train recorded curves, and a solver that is asked, told of every epoch, and may stop trials.

Time is simulated: an epoch takes as long as it took when it was recorded, a solver answers at once. Everything that happens at the same time happens in
the order of the trials' numbers, so that a seed gives the same run.
"""

import heapq
from dataclasses import dataclass, field

from curves import LAST, STEPS


@dataclass
class Run:
    """What came of it. `improved` has, for each improvement of the best value so far, epochs and seconds until then, and the value."""

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
    """Trains until the workers have trained so many epochs together. `solver` has `ask`, `report` and `tell`."""
    run, queue, best, had = Run(), [], float("inf"), set()

    def begin(now: float) -> None:
        asked = solver.ask()
        training = curves.find(asked["params"], had)
        run.trials += 1
        heapq.heappush(queue, (now + training.seconds, run.trials, 1, asked["id"], training))

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
        stop = solver.report(trial, step, training.errors[step - 1]) and step < STEPS
        if stop or step == STEPS:
            run.stopped += stop
            solver.tell(trial, value, step if stop else None)
            begin(now)
        else:
            heapq.heappush(queue, (now + training.seconds, number, step + 1, trial, training))
    return run
