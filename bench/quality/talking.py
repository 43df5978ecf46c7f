"""The conversation with a solver's process, and the environments that other libraries are installed into."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
WORK = ROOT / "target" / "bench-quality"

ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")}


class Unavailable(Exception):
    """A solver cannot be run here; the message says why."""


def own_version() -> str:
    """Tunesmith's version, and the last commit that touched what a strategy is made of."""
    last = ["git", "log", "-1", "--format=%h", "--", "optimizer", "common", "Cargo.lock"]
    commit = subprocess.run(last, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    version = (ROOT / "Cargo.toml").read_text().split('\nversion = "', 1)[1].split('"', 1)[0]
    return f"tunesmith {version} ({commit or 'no commit'})"


def environment(solver: str, name: str, needs: tuple) -> str:
    """The Python of a virtual environment with what a solver needs; makes it first if need be."""
    place = WORK / name
    python, ready = place / "bin" / "python", place / "ready"
    if not ready.exists():
        print(f"installing {solver} into {place.relative_to(ROOT)}", file=sys.stderr)
        for step in ([sys.executable, "-m", "venv", place], [python, "-m", "pip", "install", "--quiet", *needs]):
            if subprocess.run(step, stdout=sys.stderr, check=False).returncode != 0:
                raise Unavailable(f"{solver} does not install into {place.relative_to(ROOT)}; what pip says stands above")
        ready.touch()
    return str(python)


class Conversation:
    """One run of a solver: a process that is asked and told, one JSON object a line."""

    def __init__(self, command: list, **init):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | ONE_THREAD
        )
        self.version = self.call(op="init", **init).get("version")

    def call(self, **request) -> dict:
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise Unavailable(f"the solver ended with status {self.process.wait(10)} when it was sent {request['op']!r}")
        return json.loads(answer)

    def seconds(self) -> float:
        """Processor time that the solver's process has used, so that other programs on the machine count for little."""
        if sys.platform == "linux":
            # The kernel's name for the clock of another process, as clock_getcpuclockid(3) makes it.
            return time.clock_gettime((~self.process.pid << 3) | 2)
        return time.perf_counter()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        self.process.stdout.close()
