"""Needs python3 and numpy alone: `cd bench/quality && python3 -m unittest`."""

import dataclasses
import math
import random
import statistics
import sys
import unittest

import run
from figures import ALL_DIGITS, best_so_far, duel, mean_ranks, middle_ratio, quartiles, ranks, reached, regrets, versions
from problems import PROBLEMS, check, is_active
from solvers import HERE, SOLVERS, Solver
from talking import Conversation, Unavailable

PEER = [sys.executable, str(HERE / "peer.py")]


def anywhere(space, dice):
    params = {}
    for p in space:
        if is_active(p, params):
            if p["kind"] == "cat":
                params[p["name"]] = dice.choice(p["choices"])
            elif p["kind"] == "int":
                params[p["name"]] = dice.randint(p["lo"], p["hi"])
            else:
                params[p["name"]] = dice.uniform(p["lo"], p["hi"])
    return params


def moved(space, params, dice):
    """A point that differs in about one parameter; what applies only now is anywhere."""
    other, near = anywhere(space, dice), {}
    reach = 10 ** dice.uniform(-4, 0)
    for p in space:
        name = p["name"]
        if not is_active(p, near):
            continue
        near[name] = params.get(name, other.get(name))
        if near[name] is None:
            near[name] = p["choices"][0] if p["kind"] == "cat" else p["lo"]
        if dice.random() < 1 / len(space):
            if p["kind"] == "cat":
                near[name] = dice.choice(p["choices"])
            else:
                value = near[name] + dice.gauss(0, reach) * (p["hi"] - p["lo"])
                value = min(max(value, p["lo"]), p["hi"])
                near[name] = round(value) if p["kind"] == "int" else value
    return near


class Problems(unittest.TestCase):
    known = [problem for problem in PROBLEMS.values() if problem.optimum is not None]

    def test_the_known_optimum_has_its_value(self):
        self.assertGreaterEqual(len(self.known), 8)
        for problem in self.known:
            with self.subTest(problem.name):
                check(problem.space, problem.at)
                self.assertAlmostEqual(problem.evaluate(problem.at), problem.optimum, places=6)

    def test_no_search_gets_below_the_known_optimum(self):
        for problem in self.known:
            for seed in range(12):
                dice = random.Random(seed)
                # Every third one starts at the optimum, and looks whether there is something better near it.
                best = dict(problem.at) if seed % 3 == 0 else anywhere(problem.space, dice)
                lowest = problem.evaluate(best)
                for _ in range(300):
                    near = moved(problem.space, best, dice)
                    value = problem.evaluate(near)
                    if value <= lowest:
                        best, lowest = near, value
                self.assertGreater(lowest, problem.optimum - 1e-6, f"{problem.name}, {best}")

    def test_points_outside_the_space_are_refused(self):
        tree = PROBLEMS["tree12"]
        check(tree.space, tree.at)
        for wrong in ({"momentum": 1.5}, {"layers": 2.5}, {"layers": 9}, {"model": "forest"}, {"penalty": 1.0}):
            with self.subTest(wrong), self.assertRaises(ValueError):
                check(tree.space, tree.at | wrong)
        with self.assertRaises(ValueError):
            check(tree.space, {name: value for name, value in tree.at.items() if name != "momentum"})


class Protocol(unittest.TestCase):
    def points(self, space, seed):
        with Conversation([*PEER, "echo"], space=space, seed=seed, budget=5, algorithm="echo") as talk:
            points = []
            for number in range(1, 6):
                asked = talk.call(op="ask")
                self.assertEqual(asked["id"], number)
                check(space, asked["params"])
                points.append(asked["params"])
                self.assertEqual(talk.call(op="tell", id=number, value=1.0), {"ok": True})
            self.assertGreater(talk.seconds(), 0)
            return points

    def test_a_worker_answers_within_the_space_and_by_its_seed(self):
        for name in ("tree12", "mixed8"):
            space = PROBLEMS[name].space
            self.assertEqual(self.points(space, 7), self.points(space, 7))
            self.assertNotEqual(self.points(space, 7), self.points(space, 8))

    def test_a_worker_that_ends_is_named_with_what_it_was_sent(self):
        with self.assertRaisesRegex(Unavailable, "status .* 'init'"):
            Conversation([*PEER, "nobody"], space=[], seed=0, budget=1, algorithm="nobody")

    def test_the_oldest_of_several_evaluations_ends_before_the_next_is_asked_for(self):
        said = []

        class Recorded(Conversation):
            def call(self, **request):
                said.append(request.get("id", request["op"]) if request["op"] == "tell" else request["op"])
                return super().call(**request)

        before, run.Conversation, run.command = (run.Conversation, run.command), Recorded, lambda *_: [*PEER, "echo"]
        try:
            found = run.run(Solver("three", parallel=3), "", PROBLEMS["branin"], 1, 5)
        finally:
            run.Conversation, run.command = before
        self.assertEqual(said, ["init", "ask", "ask", "ask", 1, "ask", 2, "ask", 3, 4, 5])
        self.assertEqual((len(found["values"]), found["seconds"]), (5, []))

    def test_a_solver_is_told_noisy_values_and_recorded_are_those_without_noise(self):
        told, inits = [], []

        class Recorded(Conversation):
            def __init__(self, command, **init):
                inits.append(init["noisy"])
                super().__init__(command, **init)

            def call(self, **request):
                if request["op"] == "tell":
                    told.append(request["value"])
                return super().call(**request)

        plain = PROBLEMS["branin"]
        noisy = dataclasses.replace(plain, noise=2.0)
        before, run.Conversation, run.command = (run.Conversation, run.command), Recorded, lambda *_: [*PEER, "echo"]
        try:
            runs = [run.run(Solver("one"), "", problem, 1, 40) for problem in (noisy, noisy, plain)]
        finally:
            run.Conversation, run.command = before
        found = [each["values"] for each in runs]
        self.assertEqual((inits, len(runs[0]["seconds"])), ([True, True, False], 40))
        self.assertEqual((found[0], told[:40]), (found[1], told[40:80]))
        self.assertEqual(found[0], found[2])
        noise = [value - exact for value, exact in zip(told, found[0])]
        self.assertTrue(1.2 < statistics.stdev(noise) < 2.8, noise)
        # What is recorded is shortened, and nothing else.
        self.assertEqual([run.short(value, 7) for value in told[80:]], found[2])

    def test_every_peer_has_a_class(self):
        import peer

        for solver in SOLVERS.values():
            if solver.environment:
                self.assertIn(solver.name, peer.PEERS)


class Figures(unittest.TestCase):
    def test_best_so_far_never_rises(self):
        self.assertEqual(list(best_so_far([3, 4, 1, 2])), [3, 3, 1, 1])

    def test_regret_is_0_at_the_optimum_and_1_where_random_search_is_after_10_evaluations(self):
        found = regrets({"random": [[9.0] * 9 + [5.0], [9.0] * 9 + [7.0]], "auto": [[4.0, 2.0], [9.0, 1.9999]]}, 2.0)
        self.assertEqual([curve[-1] for curve in found["random"]], [0.75, 1.25])
        self.assertEqual([list(curve) for curve in found["auto"]], [[0.5, 0.0], [1.75, 0.0]])

    def test_an_unknown_optimum_is_the_best_value_of_any_run(self):
        found = regrets({"random": [[5.0] * 10], "auto": [[3.0]]}, None)
        self.assertEqual((found["random"][0][-1], found["auto"][0][-1]), (1.0, 0.0))

    def test_quartiles_want_every_seed(self):
        self.assertEqual(quartiles([[0, 1.0], [0, 2.0], [0, 3.0]], 2), (1.5, 2.0, 2.5))
        self.assertIsNone(quartiles([[0, 1.0], [0]], 2))
        self.assertIsNone(quartiles([], 1))

    def test_a_regret_is_reached_by_the_median_and_by_three_digits(self):
        curves = [[0.9, 0.5, 0.1], [0.8, 0.2, 0.1], [0.7, 0.2004, 0.0, 0.0]]
        self.assertEqual([reached(curves, regret) for regret in (0.8, 0.3, 0.2, 0.1, 0.01)], [1, 2, 2, 3, None])
        self.assertEqual(reached(curves, 0.2, ALL_DIGITS), 3)

    def test_a_median_of_ratios_says_so_where_it_was_not_seen(self):
        self.assertEqual(middle_ratio([(1.5, True), (1.25, True), (2.0, False)]), "1.50")
        self.assertEqual(middle_ratio([(1.5, True), (1.25, False), (2.0, False)]), "more than 1.50")

    def test_equal_scores_share_the_mean_of_their_places(self):
        self.assertEqual(ranks({"a": 0.5, "b": 0.1, "c": 0.5, "d": 0.9}), {"a": 2.5, "b": 1, "c": 2.5, "d": 4})
        self.assertEqual(ranks({"a": 1e-9, "b": 1e-5}), {"a": 1.5, "b": 1.5})

    def test_mean_ranks_compare_only_solvers_with_a_score_everywhere(self):
        table = [{"a": 1, "b": 2, "c": 0}, {"a": 3, "b": 1}]
        self.assertEqual(mean_ranks(table), {"a": 1.5, "b": 1.5})
        self.assertTrue(math.isclose(mean_ranks(table[:1])["c"], 1))

    def test_versions_stand_in_the_order_of_their_dates_and_each_once(self):
        runs = [("b 1 (f00)", 3), ("b 1 (c0d)", 2), ("b 1 (f00)", 4), ("a 2", 5)]
        self.assertEqual(versions([{"version": name, "date": f"2026-11-0{day}"} for name, day in runs]), "b 1 (c0d, f00), a 2")

    def test_versions_of_one_day_stand_in_the_order_they_come(self):
        self.assertEqual(versions([{"version": name, "date": "2026-11-01"} for name in ("s 2.1", "s 1.9", "s 2.1")]), "s 2.1, s 1.9")

    def test_a_duel_counts_the_problems_that_both_have(self):
        table = [{"a": 1, "b": 2}, {"a": 1, "b": 3}, {"a": 2, "b": 1}, {"a": 0.00001, "b": 0}, {"a": 1}]
        self.assertEqual(duel(table, "a", "b"), (2, 1, 1))


if __name__ == "__main__":
    unittest.main()
