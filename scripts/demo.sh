#!/usr/bin/env bash
# The demo: everything on this machine, on SQLite; a study of real training with early stopping, followed to its result.
#
# usage: demo.sh BINDIR      the folder with tunesmith, tunesmith-coordinator, tunesmith-worker and digits
#
# Each demo has a new data folder, which is kept: under demo/ beside BINDIR, or in $TUNESMITH_DEMO_DIR.
set -euo pipefail

say() { printf '%s\n' "$*"; }
fail() { printf 'demo: %s\n' "$*" >&2; exit 1; }

[ $# -eq 1 ] || fail "usage: $0 BINDIR"
bin=$(cd "$1" 2>/dev/null && pwd) || fail "there is no folder $1; run: make demo"
for program in tunesmith tunesmith-coordinator tunesmith-worker digits; do
  [ -x "$bin/$program" ] || fail "$bin/$program is missing; run: make demo"
done
demos=${TUNESMITH_DEMO_DIR:-$(dirname "$bin")/demo}
cd "$(dirname "$0")/.."
# The demo is about what stands here, not about a coordinator that this shell may be set up for.
unset "${!TUNESMITH_@}"
# The worker finds the trainer there.
export PATH="$bin:$PATH"

mkdir -p "$demos"
demos=$(cd "$demos" && pwd)
number=1
until mkdir -m 0700 "$demos/$number" 2>/dev/null; do
  number=$((number + 1))
  [ $number -lt 10000 ] || fail "cannot create a folder in $demos"
done
data=$demos/$number
log=$data/up.log

is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
port=7700
while is_taken $port; do
  port=$((port + 1))
  [ $port -lt 7800 ] || fail "no port from 7700 to 7799 is free"
done
url=http://127.0.0.1:$port

up=
stop() {
  trap - EXIT
  [ -n "$up" ] || return 0
  # A first signal stops trainings in good order, a second one at once.
  trap 'kill -TERM "$up" 2>/dev/null || true' INT TERM
  kill -TERM "$up" 2>/dev/null || true
  while kill -0 "$up" 2>/dev/null; do wait "$up" 2>/dev/null || true; done
  up=
}
interrupted() {
  say "Stopping everything. The study goes on where it was with: $bin/tunesmith up --data \"$data\""
  exit 130
}
trap stop EXIT
trap interrupted INT
trap 'exit 143' TERM

say "Starting a coordinator and a worker with 2 slots. Data: $data"
# In a process group of its own: Ctrl-C is for this script, which then stops it in order.
set -m
tunesmith up --data "$data" --listen "127.0.0.1:$port" --slots 2 >"$log" 2>&1 </dev/null &
up=$!
set +m
for ((waited = 0; waited < 600; waited++)); do
  if grep -q '^Tunesmith is up' "$log"; then break; fi
  if ! kill -0 "$up" 2>/dev/null; then
    up=
    cat "$log" >&2
    fail "tunesmith up has ended; its messages are above, and in $log"
  fi
  sleep 0.1
done
grep -q '^Tunesmith is up' "$log" || { cat "$log" >&2; fail "tunesmith up is not ready after a minute; see $log"; }

export TUNESMITH_COORDINATOR=$url TUNESMITH_TOKEN_FILE=$data/admin.token
if [ -t 1 ]; then say "To watch it in a browser: $url/#token=$(cat "$data/admin.token")"; fi
say "Running examples/digits/study.yaml: 48 trials of up to 30 epochs, 2 at a time. About a minute."
say
status=0
tunesmith run examples/digits/study.yaml || status=$?
if [ $status -eq 130 ]; then interrupted; fi

stop
say
say "Everything is stopped, and kept in $data. To look around, serve it again:"
say
say "  export PATH=\"$bin:\$PATH\""
say "  tunesmith up --data \"$data\"                # prints the address of the dashboard"
say
say "and in another terminal:"
say
say "  export PATH=\"$bin:\$PATH\" TUNESMITH_TOKEN_FILE=\"$data/admin.token\""
say "  tunesmith trial list digits --best        # all trials"
say "  tunesmith study show digits               # the study"
say "  tunesmith trial list digits --state early-stopped   # which were stopped, and why"
say
say "Next: README.md, \"From train.py to the best trial\", does this for a program of yours."
exit $status
