"""Compares schedules found by populations with the best constant learning rate, on real trainings of the digits example.

For each seed a population is trained (pbt, pb2), and as many epochs are spent on trainings with a constant rate that random search draws: the best
final value of each is compared. Everything runs on this machine, through a coordinator and a worker of its own.
"""

import argparse
import json
import math
import os
import pathlib
import socket
import statistics
import subprocess
import tempfile
import time

EPOCHS = 40
SIZE = 12
STUDY = """name: {name}
objective: {{metric: val_loss, goal: minimize, from: last}}
space: {{lr: {{type: float, low: 1e-3, high: 0.5, scale: log}}}}
strategy: {strategy}
budget: {budget}
trial:
  command: [digits, --epochs={epochs}, --checkpoint-every=4, --copies=3, --batch=32, --width=32, "{{args}}"]
  steps: {{name: epoch, max: {epochs}}}
"""
SETTINGS = "population: {size}, interval: 4, vary: [lr]"


class Service:
    """A coordinator with a worker, in a folder of its own."""

    def __init__(self, programs: pathlib.Path, folder: str, slots: int) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.env = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "OPENBLAS_NUM_THREADS": "1"}
        self.tunesmith = programs / "tunesmith"
        command = [self.tunesmith, "up", "--data", folder, "--slots", str(slots), "--listen", f"127.0.0.1:{port}"]
        self.process = subprocess.Popen(command, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.env["TUNESMITH_COORDINATOR"] = f"http://127.0.0.1:{port}"
        self.env["TUNESMITH_TOKEN_FILE"] = f"{folder}/admin.token"
        for _ in range(300):
            listed = subprocess.run([self.tunesmith, "worker", "list", "--output", "json"], env=self.env, capture_output=True)
            if listed.returncode == 0 and json.loads(listed.stdout).get("workers"):
                return
            time.sleep(0.1)
        raise SystemExit("the service did not come up")

    def run(self, text: str, name: str) -> list:
        """Trains a study to its end and returns its trials."""
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(text)
            file.flush()
            subprocess.run([self.tunesmith, "run", file.name], env=self.env, check=True, capture_output=True)
        command = [self.tunesmith, "trial", "list", name, "--limit", "0", "--output", "json"]
        listed = subprocess.run(command, env=self.env, check=True, capture_output=True, text=True)
        return json.loads(listed.stdout)["trials"]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def best(trials: list) -> float:
    """The best final value of those trained to the end."""
    values = [trial["value"] for trial in trials if int(trial.get("lastStep", 0)) == EPOCHS]
    return min(value for value in values if isinstance(value, float) and math.isfinite(value))


def epochs(trials: list) -> int:
    """Epochs trained by all trials together."""
    begun = [int(trial.get("parent", {}).get("step", 0)) for trial in trials]
    return sum(int(trial.get("lastStep", start)) - start for trial, start in zip(trials, begun))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=pathlib.Path, required=True, help="folder of tunesmith, its daemons and digits")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--slots", type=int, default=2, help="trainings side by side")
    options = parser.parse_args()
    won = {"pbt": [], "pb2": []}
    print(f"{'seed':>4} {'pbt':>8} {'epochs':>7} {'pb2':>8} {'epochs':>7} {'constant':>9} {'epochs':>7}")
    with tempfile.TemporaryDirectory() as folder:
        service = Service(options.programs.resolve(), folder, options.slots)
        try:
            for seed in range(1, options.seeds + 1):
                row, spent = [], 0
                for strategy in won:
                    name = f"{strategy}-{seed}"
                    settings = SETTINGS.format(size=SIZE)
                    text = STUDY.format(
                        name=name, strategy=f"{{name: {strategy}, seed: {seed}, {settings}}}", budget="{}", epochs=EPOCHS
                    )
                    trials = service.run(text, name)
                    row += [best(trials), epochs(trials)]
                    spent = max(spent, epochs(trials))
                # Rounded up, and as much as the more expensive of the two.
                count = math.ceil(spent / EPOCHS)
                text = STUDY.format(
                    name=f"constant-{seed}",
                    strategy=f"{{name: random, seed: {seed}}}",
                    budget=f"{{trials: {count}}}",
                    epochs=EPOCHS,
                )
                trials = service.run(text, f"constant-{seed}")
                constant = best(trials)
                won["pbt"].append(row[0] / constant)
                won["pb2"].append(row[2] / constant)
                print(f"{seed:4} {row[0]:8.4f} {row[1]:7} {row[2]:8.4f} {row[3]:7} {constant:9.4f} {epochs(trials):7}", flush=True)
        finally:
            service.stop()
    for strategy, ratios in won.items():
        better = sum(ratio < 1 for ratio in ratios)
        print(f"{strategy}: better in {better} of {len(ratios)}, median ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
