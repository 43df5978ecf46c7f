"""Needs python3 and numpy alone: `cd bench/fidelity && python3 -m unittest`."""

import unittest

from curves import LAST, STEPS, Training, curves
from simulate import simulate


class Scripted:
    """Proposes nothing in particular; stops trials as a script says: `{trial: step}`."""

    def __init__(self, stops=None):
        self.stops, self.reports, self.told, self.asked = stops or {}, [], [], 0

    def ask(self):
        self.asked += 1
        return {"id": self.asked, "params": {}}

    def report(self, trial, step, value):
        self.reports.append((trial, step, value))
        return self.stops.get(trial) == step

    def tell(self, trial, value, partial):
        self.told.append((trial, round(value, 6), partial))


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
