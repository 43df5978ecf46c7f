"""Optuna's RDB storage doing the same work as the coordinator in bench/: ask and tell, and reports with the median rule.

Prints one JSON line for each figure. Run by scripts/bench.sh with PEERS=1, in a virtual environment of its own.
"""

import argparse
import json
import multiprocessing
import time

import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)


def figure(name: str, **fields: object) -> None:
    """Prints one figure."""
    print(json.dumps({**fields, "figure": name, "store": "postgres", "peer": f"optuna {optuna.__version__}"}), flush=True)


def suggest(trial: optuna.Trial) -> None:
    """The two parameters of the benchmark's study."""
    trial.suggest_float("lr", 1e-5, 1e-1, log=True)
    trial.suggest_categorical("width", [8, 16, 32, 64, 128, 256, 512])


def pairs(url: str, study: str, seconds: float, results: "multiprocessing.Queue[int]") -> None:
    """Asks and tells for a time; puts the number of pairs."""
    loaded = optuna.load_study(study_name=study, storage=url, sampler=optuna.samplers.RandomSampler())
    count, start = 0, time.monotonic()
    while time.monotonic() - start < seconds:
        trial = loaded.ask()
        suggest(trial)
        loaded.tell(trial, 0.5)
        count += 1
    results.put(count)


def main() -> None:
    """Measures with 1 and 8 clients, each a process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--postgres", required=True, help="address of a database, as SQLAlchemy takes it")
    parser.add_argument("--seconds", type=float, default=5)
    arguments = parser.parse_args()
    storage = optuna.storages.RDBStorage(arguments.postgres)
    for clients in (1, 8):
        name = f"pairs-{clients}-{time.time()}"
        optuna.create_study(study_name=name, storage=storage, direction="maximize")
        results: "multiprocessing.Queue[int]" = multiprocessing.Queue()
        processes = [
            multiprocessing.Process(target=pairs, args=(arguments.postgres, name, arguments.seconds, results))
            for _ in range(clients)
        ]
        for process in processes:
            process.start()
        total = sum(results.get() for _ in processes)
        for process in processes:
            process.join()
        figure("ask_tell", clients=clients, pairs_per_s=round(total / arguments.seconds, 1))

    pruner = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=3)
    study = optuna.create_study(
        storage=storage, direction="maximize", pruner=pruner, sampler=optuna.samplers.RandomSampler()
    )
    reports, start = 0, time.monotonic()
    while time.monotonic() - start < arguments.seconds:
        trial = study.ask()
        suggest(trial)
        for step in range(1, 21):
            trial.report(1.0 - 1.0 / (2.0 + step), step)
            trial.should_prune()
            reports += 1
        study.tell(trial, 0.5)
    figure("points", clients=1, points_per_s=round(reports / (time.monotonic() - start), 1))


if __name__ == "__main__":
    main()
