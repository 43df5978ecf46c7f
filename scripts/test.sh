#!/usr/bin/env bash
# Runs tests with a private Postgres and a private S3 server, which are left running for the next time (scripts/postgres.sh stop and scripts/s3.sh stop
# end them).
# Arguments are passed on to the test runner: cargo-nextest where there is one, else cargo itself.
set -euo pipefail
cd "$(dirname "$0")/.."

TUNESMITH_TEST_POSTGRES_URL=${TUNESMITH_TEST_POSTGRES_URL:-$(scripts/postgres.sh start)}
TUNESMITH_TEST_S3_URL=${TUNESMITH_TEST_S3_URL:-$(scripts/s3.sh start)}
export TUNESMITH_TEST_POSTGRES_URL TUNESMITH_TEST_S3_URL

if cargo nextest --version >/dev/null 2>&1; then
  cargo nextest run --no-fail-fast "$@"
else
  cargo test --no-fail-fast "$@"
fi
