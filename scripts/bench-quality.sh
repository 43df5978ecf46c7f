#!/usr/bin/env bash
# Compares the strategies with random search and with other libraries: runs what bench/quality/results lacks, then writes
# docs/benchmarks/quality.md. Each library is installed into an environment of its own under target/bench-quality/.
set -euo pipefail
cd "$(dirname "$0")/.."
program=${1:?usage: scripts/bench-quality.sh TUNESMITH-OPTIMIZER-STDIO}

venv=target/bench-quality/main
[ -e $venv/ready ] || {
  python3 -m venv $venv
  $venv/bin/pip install --quiet numpy scikit-learn matplotlib
  touch $venv/ready
} >&2
$venv/bin/python bench/quality/run.py --program "$program" --seeds "${QUALITY_SEEDS:-10}" --budget "${QUALITY_BUDGET:-100}" --only "${QUALITY_ONLY:-}"
$venv/bin/python bench/quality/report.py
