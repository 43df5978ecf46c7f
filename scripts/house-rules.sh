#!/usr/bin/env bash
# Rules of this repository that no lint knows: files stay small and say what they are for; dependencies keep to their layers.
set -euo pipefail
cd "$(dirname "$0")/.."
failed=0
fail() { echo "house rules: $*" >&2; failed=1; }

MAX_LINES=600
while IFS= read -r file; do
  lines=$(wc -l <"$file")
  [ "$lines" -le $MAX_LINES ] || fail "$file has $lines lines, at most $MAX_LINES are allowed"
  case $file in */tests.rs | */tests/*) ;; *)
    head -n 1 "$file" | grep -q '^//!' || fail "$file does not begin by saying what it is for (//!)" ;;
  esac
done < <(git ls-files '*.rs')

# depends CRATE... : crates of the workspace that a crate may use (normal dependencies), and crates only some may use.
graph=$(cargo metadata --format-version 1 --no-deps)
check_layers() {
  python3 - "$graph" <<'PY'
import json, sys
allowed = {
    "tunesmith-common": set(),
    "tunesmith-optimizer": {"tunesmith-common"},
    "tunesmith-proto": {"tunesmith-common"},
    "tunesmith-coordinator": {"tunesmith-common", "tunesmith-optimizer", "tunesmith-proto"},
    "tunesmith-worker": {"tunesmith-common", "tunesmith-proto"},
    "tunesmith-cli": {"tunesmith-common", "tunesmith-proto"},
}
only = {"sqlx": {"tunesmith-coordinator", "tunesmith-bench", "tunesmith-e2e"}, "axum": {"tunesmith-coordinator"}, "ndarray": {"tunesmith-optimizer", "digits"}, "ndarray-linalg": {"tunesmith-optimizer"},
        "tonic": {"tunesmith-proto", "tunesmith-coordinator", "tunesmith-worker", "tunesmith-cli", "tunesmith-bench", "tunesmith-e2e"}}
bad = []
for package in json.loads(sys.argv[1])["packages"]:
    name = package["name"]
    uses = {d["name"] for d in package["dependencies"] if d["kind"] is None}
    if name in allowed:
        bad += [f"{name} must not depend on {d}" for d in sorted(uses) if d.startswith("tunesmith-") and d not in allowed[name]]
    bad += [f"{name} must not depend on {d}" for d in sorted(uses) if d in only and name not in only[d]]
for line in bad:
    print("house rules:", line, file=sys.stderr)
sys.exit(bool(bad))
PY
}
check_layers || failed=1

if cargo deny --version >/dev/null 2>&1; then
  # Advisories need the network; the public pipeline runs them.
  cargo deny --offline --log-level error check bans licenses sources || failed=1
fi

# Either of the programs that read docker-compose.yml; the older one knows less of the format.
if docker compose version >/dev/null 2>&1; then
  docker compose config --quiet || failed=1
elif docker-compose version >/dev/null 2>&1; then
  docker-compose config --quiet || failed=1
else
  echo "house rules: docker-compose.yml is not checked: there is no docker compose here"
fi
exit $failed
