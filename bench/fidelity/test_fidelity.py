"""Needs python3 and numpy alone: `cd bench/fidelity && python3 -m unittest`."""

import unittest

from curves import LAST, STEPS, Training, curves
from simulate import simulate


class Scripted:
    """Proposes nothing in particular; stops and pauses trials as a script says, `{trial: step}`, and goes on with one at the time of an ask:
    `{ask: (trial, step)}`."""

    def __init__(self, stops=None, pauses=None, promotions=None):
        self.stops, self.pauses, self.promotions = stops or {}, pauses or {}, promotions or {}
        self.reports, self.told, self.rested, self.asked, self.begun = [], [], [], 0, 0

    def ask(self):
        self.asked += 1
        if self.asked in self.promotions:
            trial, step = self.promotions[self.asked]
            return {"id": trial, "resume": step}
        self.begun += 1
        return {"id": self.begun, "params": {}}

    def report(self, trial, step, value):
        self.reports.append((trial, step, value))
        if self.stops.get(trial) == step:
            return "stop"
        return "pause" if self.pauses.get(trial) == step else "go on"

    def tell(self, trial, value, partial):
        self.told.append((trial, round(value, 6), partial))

    def rest(self, trial):
        self.rested.append(trial)


class Table:
    """Trainings in the order in which they are asked for."""

    def __init__(self, *trainings):
        self.trainings = list(trainings)

    def find(self, params, had):
        had.add(len(had))
        return self.trainings[(len(had) - 1) % len(self.trainings)]


def falling(start, seconds=1.0):
    return Training(tuple(start / step for step in range(1, STEPS + 1)), seconds)


class Simulation(unittest.TestCase):
    def test_each_epoch_is_told_once_in_the_order_of_time(self):
        solver = Scripted()
        run = simulate(solver, Table(falling(1.0), falling(0.5, 2.5)), 2, 7)
        self.assertEqual([report[:2] for report in solver.reports], [(1, 1), (1, 2), (2, 1), (1, 3), (1, 4), (1, 5), (2, 2)])
        self.assertEqual((run.epochs, run.seconds), (7, 5.0))

    def test_a_trial_that_is_stopped_makes_room_for_the_next(self):
        solver = Scripted({1: 2})
        run = simulate(solver, Table(falling(1.0), falling(0.5)), 1, 2 + STEPS)
        self.assertEqual(solver.told[0], (1, 0.75, 2))
        self.assertEqual((solver.told[1][0], solver.told[1][2]), (2, None))
        self.assertEqual((run.trials, run.stopped, run.epochs), (3, 1, 2 + STEPS))

    def test_a_pause_ends_a_training_at_its_rung_and_makes_room_for_the_next(self):
        solver = Scripted(pauses={1: 3, 2: 1})
        run = simulate(solver, Table(falling(1.0)), 1, 6)
        self.assertEqual([report[:2] for report in solver.reports], [(1, 1), (1, 2), (1, 3), (2, 1), (3, 1), (3, 2)])
        self.assertEqual((solver.rested, solver.told), ([1, 2], []))
        self.assertEqual((run.trials, run.stopped, run.epochs), (3, 2, 6))

    def test_a_trial_that_goes_on_is_trained_once_from_where_it_rested(self):
        solver = Scripted(pauses={1: 3, 2: 1}, promotions={3: (1, 3)})
        run = simulate(solver, Table(falling(1.0), falling(0.5, 2.0)), 1, STEPS + 1)
        steps = [step for trial, step, _ in solver.reports if trial == 1]
        self.assertEqual(steps, list(range(1, STEPS + 1)))
        self.assertEqual([report[0] for report in solver.reports[:5]], [1, 1, 1, 2, 1])
        self.assertEqual((run.trials, run.stopped, run.epochs, run.seconds), (3, 1, STEPS + 1, STEPS + 2.0))
        self.assertEqual((solver.told[0][0], solver.told[0][2]), (1, None))

    def test_a_trial_that_goes_on_keeps_its_own_curve(self):
        solver = Scripted(pauses={1: 1, 2: 1}, promotions={3: (1, 1), 4: (2, 1)}, stops={1: 2})
        simulate(solver, Table(falling(1.0), falling(0.5), falling(0.1)), 1, 4)
        self.assertEqual(solver.reports, [(1, 1, 1.0), (2, 1, 0.5), (1, 2, 0.5), (2, 2, 0.25)])

    def test_a_training_that_ends_by_itself_was_not_stopped(self):
        solver = Scripted({1: STEPS})
        self.assertEqual(simulate(solver, Table(falling(1.0)), 1, STEPS).stopped, 0)
        self.assertIsNone(solver.told[0][2])

    def test_improvements_are_those_of_whole_means_and_are_found_again(self):
        run = simulate(Scripted(), Table(falling(1.0)), 1, 8)
        self.assertEqual([at for at, _, _ in run.improved], [5, 6, 7, 8])
        mean = sum(1 / step for step in range(1, LAST + 1)) / LAST
        self.assertAlmostEqual(run.best_after(5), mean, places=5)
        self.assertEqual(run.best_after(4), float("inf"))


class Recorded(unittest.TestCase):
    def test_the_table_is_whole(self):
        table = curves()
        self.assertEqual(len(table.trainings), 600)
        for training in table.trainings:
            self.assertEqual(len(training.errors), STEPS)
            self.assertTrue(all(0 <= error <= 1 for error in training.errors) and 0 < training.seconds < 5)
        self.assertLess(table.best, 0.02)

    def test_a_configuration_finds_itself_and_then_its_neighbours_until_all_were_had(self):
        table, had = curves(), set()
        params = {
            "lr": 0.01, "batch": 32, "width": 64, "depth": 2, "dropout": 0.1, "weight_decay": 1e-4, "activation": "relu", "optimizer": "adam",
        }
        place = dict(zip(map(id, table.trainings), table.places))
        distance = lambda training: float(((place[id(training)] - table.place(params)) ** 2).sum())
        found = [table.find(params, had) for _ in table.trainings]
        distances = [distance(training) for training in found]
        self.assertEqual(distances, sorted(distances))
        self.assertEqual(len(set(map(id, found))), 600)
        self.assertIs(table.find(params, had), found[0])


if __name__ == "__main__":
    unittest.main()
