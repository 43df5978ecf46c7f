#!/usr/bin/env bash
# Runs tests with a private Postgres, which is left running for the next time (scripts/postgres.sh stop ends it).
# Arguments are passed on to the test runner: cargo-nextest where there is one, else cargo itself.
set -euo pipefail
cd "$(dirname "$0")/.."

TUNESMITH_TEST_POSTGRES_URL=${TUNESMITH_TEST_POSTGRES_URL:-$(scripts/postgres.sh start)}
export TUNESMITH_TEST_POSTGRES_URL

if cargo nextest --version >/dev/null 2>&1; then
  cargo nextest run --no-fail-fast "$@"
else
  cargo test --no-fail-fast "$@"
fi
