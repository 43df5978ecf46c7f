"""Trains a softmax regression on the UCI handwritten digits, with the standard library alone.

Usage: python3 train.py ../digits/data/digits.csv --learning-rate 0.1
"""

import argparse
import math
import random
from collections.abc import Iterator
from operator import mul

CLASSES = 10
TRAIN_SIZE = 1200

Example = tuple[list[float], int]


def load(path: str) -> tuple[list[Example], list[Example]]:
    """Reads lines of 64 pixels (0 to 16) and a digit; returns training and validation examples."""
    with open(path, encoding="ascii") as file:
        rows = [[int(field) for field in line.split(",")] for line in file]
    # A constant 1 beside the pixels, scaled to 0..1, serves as the bias.
    examples = [([pixel / 16 for pixel in pixels] + [1.0], digit) for *pixels, digit in rows]
    random.Random(0).shuffle(examples)
    return examples[:TRAIN_SIZE], examples[TRAIN_SIZE:]


def probabilities(weights: list[list[float]], inputs: list[float]) -> list[float]:
    """The softmax of each class's score."""
    scores = [sum(map(mul, row, inputs)) for row in weights]
    largest = max(scores)
    exponentials = [math.exp(score - largest) for score in scores]
    total = sum(exponentials)
    return [value / total for value in exponentials]


def batches(examples: list[Example], size: int, rng: random.Random) -> Iterator[list[Example]]:
    """All examples once, in random order, `size` at a time."""
    order = rng.sample(examples, len(examples))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def train_epoch(
    weights: list[list[float]],
    velocity: list[list[float]],
    examples: list[Example],
    options: argparse.Namespace,
    rng: random.Random,
) -> float:
    """Goes once through the examples; returns the mean cross-entropy in nats."""
    loss = 0.0
    for batch in batches(examples, options.batch_size, rng):
        errors = []
        for inputs, digit in batch:
            error = probabilities(weights, inputs)
            loss -= math.log(max(error[digit], 1e-300))
            error[digit] -= 1.0
            errors.append(error)
        columns = list(zip(*(inputs for inputs, _ in batch), strict=True))
        for row, speed, class_errors in zip(weights, velocity, zip(*errors, strict=True), strict=True):
            for index, column in enumerate(columns):
                gradient = sum(map(mul, class_errors, column)) / len(batch) + options.l2 * row[index]
                speed[index] = options.momentum * speed[index] + gradient
                row[index] -= options.learning_rate * speed[index]
    return loss / len(examples)


def accuracy(weights: list[list[float]], examples: list[Example]) -> float:
    """Share of examples whose most probable class is the right one."""
    right = 0
    for inputs, digit in examples:
        scores = [sum(map(mul, row, inputs)) for row in weights]
        right += scores.index(max(scores)) == digit
    return right / len(examples)


def main() -> None:
    parser = argparse.ArgumentParser(description="Softmax regression on handwritten digits.")
    parser.add_argument("data", help="CSV file: 64 pixels and a digit per line")
    parser.add_argument("--learning-rate", type=float, default=0.1)
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--l2", type=float, default=0.0, help="pull of the weights towards 0")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    train, validation = load(options.data)
    print(f"{len(train)} training images, {len(validation)} validation images", flush=True)
    rng = random.Random(options.seed)
    inputs = len(train[0][0])
    weights = [[0.0] * inputs for _ in range(CLASSES)]
    velocity = [[0.0] * inputs for _ in range(CLASSES)]
    for epoch in range(1, options.epochs + 1):
        loss = train_epoch(weights, velocity, train, options, rng)
        share = accuracy(weights, validation)
        print(f"epoch {epoch}/{options.epochs} - loss: {loss:.4f} - accuracy: {share:.1%}", flush=True)
    print("done")


if __name__ == "__main__":
    main()
