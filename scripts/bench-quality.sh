#!/usr/bin/env bash
# Compares the strategies with random search and with other libraries: runs what bench/quality/results lacks, then writes
# docs/benchmarks/quality.md. Each library is installed into an environment of its own under target/bench-quality/.
set -euo pipefail
cd "$(dirname "$0")/.."
program=${1:?usage: scripts/bench-quality.sh TUNESMITH-OPTIMIZER-STDIO}

python=$(scripts/bench-python.sh)
"$python" bench/quality/run.py --program "$program" --seeds "${QUALITY_SEEDS:-10}" --budget "${QUALITY_BUDGET:-100}" --only "${QUALITY_ONLY:-}"
"$python" bench/quality/report.py
