#!/usr/bin/env bash
# Prints the Python that the comparisons in bench/ run with; makes its environment first if need be.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=target/bench-quality/main
[ -e $venv/ready ] || {
  python3 -m venv $venv
  $venv/bin/python -m pip install --quiet numpy scikit-learn matplotlib
  touch $venv/ready
} >&2
echo "$PWD/$venv/bin/python"
