#!/usr/bin/env bash
# Compares rules of early stopping on recorded learning curves: runs what bench/fidelity/results lacks, then writes docs/benchmarks/fidelity.md.
# Each library is installed into an environment of its own under target/bench-quality/, where those of bench/quality are.
set -euo pipefail
cd "$(dirname "$0")/.."
program=${1:?usage: scripts/bench-fidelity.sh TUNESMITH-OPTIMIZER-STDIO}

python=$(scripts/bench-python.sh)
"$python" bench/fidelity/run.py --program "$program" --seeds "${FIDELITY_SEEDS:-10}" --only "${FIDELITY_ONLY:-}"
"$python" bench/fidelity/report.py
