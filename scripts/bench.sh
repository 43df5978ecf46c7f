#!/usr/bin/env bash
# Measures the service; figures are JSON lines on standard output. PEERS=1 measures Optuna's RDB storage, too, in a virtual
# environment under target/. Further arguments are those of the benchmark: see `tunesmith-bench --help`.
set -euo pipefail
cd "$(dirname "$0")/.."
programs=${1:?usage: scripts/bench.sh FOLDER-OF-PROGRAMS [ARGUMENT...]}
shift

TUNESMITH_TEST_POSTGRES_URL=${TUNESMITH_TEST_POSTGRES_URL:-$(scripts/postgres.sh start)}
export TUNESMITH_TEST_POSTGRES_URL
"$programs/tunesmith-bench" --programs "$programs" "$@"

if [ "${PEERS:-}" = 1 ]; then
  venv=target/bench-peers
  [ -x $venv/bin/python ] || { python3 -m venv $venv && $venv/bin/pip install --quiet optuna psycopg2-binary; } >&2
  $venv/bin/python bench/peers/optuna_rdb.py --postgres "${TUNESMITH_TEST_POSTGRES_URL/postgres:/postgresql+psycopg2:}"
fi
