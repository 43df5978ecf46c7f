#!/usr/bin/env bash
# Tests the comparison of search quality, with the first Python here that has numpy: its own package manager's may be another than the first.
set -euo pipefail
cd "$(dirname "$0")/../bench/quality"
for python in python3 /usr/bin/python3; do
  if "$python" -c 'import numpy' 2>/dev/null; then exec "$python" -m unittest --quiet; fi
done
echo "bench/quality: no Python with numpy was found; scripts/setup.sh installs one" >&2
exit 1
