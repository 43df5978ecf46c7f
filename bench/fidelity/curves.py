"""The recorded learning curves, as a training that takes no time."""

import functools
import gzip
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

TABLE = Path(__file__).resolve().parent / "curves" / "digits.json.gz"
STEPS = 50
# A trial's value is the mean of its last epochs, which is less a matter of luck than its best.
LAST = 5


@dataclass(frozen=True)
class Training:
    """One recorded training: validation error after each epoch, and seconds for each epoch."""

    errors: tuple
    seconds: float

    def value(self, steps: int) -> float:
        """What a trial is worth that was trained for so many steps."""
        last = self.errors[max(0, steps - LAST):steps]
        return sum(last) / len(last)


class Curves:
    """All trainings. One that was not recorded is taken for the recorded one whose parameters are the most alike, and that the study has not had yet:
    real trainings differ, however close their parameters are."""

    def __init__(self, path: Path = TABLE):
        table = json.loads(gzip.decompress(path.read_bytes()))
        self.space = [self.parameter(raw) for raw in table["space"]]
        self.trainings = [
            Training(tuple(round(1 - right / table["images"], 6) for right in row["right"]), row["seconds"]) for row in table["trials"]
        ]
        self.places = np.array([self.place(row["params"]) for row in table["trials"]])
        self.best = min(training.value(step) for training in self.trainings for step in range(LAST, STEPS + 1))

    @staticmethod
    def parameter(raw: dict) -> dict:
        """As the solvers' protocol has parameters."""
        cond = [raw["when"][0]["parent"], raw["when"][0]["values"]] if raw.get("when") else None
        base = {"name": raw["name"], "lo": raw.get("low"), "hi": raw.get("high"), "log": raw.get("scale", "").startswith("log"), "cond": cond}
        if raw["type"] == "categorical":
            return base | {"kind": "cat", "choices": raw["choices"]}
        if raw["type"] == "ordinal":  # Powers of two.
            return base | {"kind": "int", "lo": raw["choices"][0], "hi": raw["choices"][-1], "log": True}
        return base | {"kind": raw["type"]}

    def place(self, params: dict) -> list:
        """Where a configuration lies: numbers from 0 to 1, categories as corners, what does not apply in the middle."""
        place = []
        for p in self.space:
            value = params.get(p["name"])
            if p["kind"] == "cat":
                place += [0.7 * (str(value) == choice) for choice in p["choices"]]
            elif value is None:
                place.append(0.5)
            else:
                turned = math.log if p["log"] else float
                place.append((turned(float(value)) - turned(p["lo"])) / (turned(p["hi"]) - turned(p["lo"])))
        return place

    def find(self, params: dict, had: set) -> Training:
        """Adds to `had` which one it is; a study that has had all of them begins again."""
        if len(had) == len(self.trainings):
            had.clear()
        distances = ((self.places - np.array(self.place(params))) ** 2).sum(axis=1)
        distances[list(had)] = np.inf
        found = int(distances.argmin())
        had.add(found)
        return self.trainings[found]


@functools.cache
def curves() -> Curves:
    return Curves()
