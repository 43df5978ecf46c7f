#!/usr/bin/env bash
# Tests the comparisons in bench/, with the first Python here that has numpy: its own package manager's may be another than the first.
set -euo pipefail
cd "$(dirname "$0")/../bench"
for python in python3 /usr/bin/python3; do
  if "$python" -c 'import numpy' 2>/dev/null; then
    for part in quality fidelity; do (cd $part && "$python" -m unittest --quiet); done
    exit
  fi
done
echo "bench: no Python with numpy was found; scripts/setup.sh installs one" >&2
exit 1
