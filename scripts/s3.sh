#!/usr/bin/env bash
# A private server that speaks S3, for tests: `start [DIR]` prints its address, `stop [DIR]` ends it, `url [DIR]` prints the address of one that
# runs, and `install` installs the program. It listens on the loopback address only, with a key of its own, and has a bucket named `tunesmith`.
#
# DIR defaults to $TUNESMITH_TEST_DIR/s3, and without that to a folder in /tmp. The program is s3s-fs, of the version below, compiled once into
# $TUNESMITH_TOOLS_DIR, by default ~/.cache/tunesmith/tools.
set -euo pipefail

VERSION=0.14.1

say() { printf '%s\n' "$*" >&2; }
fail() { say "s3.sh: $*"; exit 1; }

command=${1:-}
dir=${2:-${TUNESMITH_TEST_DIR:+$TUNESMITH_TEST_DIR/s3}}
dir=${dir:-/tmp/tunesmith-test-s3-$(id -u)}
tools=${TUNESMITH_TOOLS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/tunesmith/tools}/s3s-fs-$VERSION
program=$tools/bin/s3s-fs

# Runs a command alone, where that can be had.
alone() {
    local lock=$1
    shift
    mkdir -p "$(dirname "$lock")"
    (
        command -v flock >/dev/null && flock 9
        "$@" 9>&-
    ) 9>"$lock"
}

build() {
    [ ! -x "$program" ] || return 0
    say "installing s3s-fs $VERSION into $tools (some minutes, once)"
    # Not optimised, which would take longer than all tests with it.
    CARGO_TARGET_DIR=$tools/build CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=0 \
        cargo install s3s-fs --version "=$VERSION" --locked --features binary --debug --quiet --root "$tools" >&2 ||
        fail "s3s-fs cannot be installed"
    rm -rf "$tools/build"
}

running() { [ -f "$dir/pid" ] && [ "/proc/$(cat "$dir/pid")/exe" -ef "$program" ]; }

# Whether something listens at a port.
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

url() { printf 'http://tunesmith:%s@127.0.0.1:%s/tunesmith\n' "$(cat "$dir/key")" "$(cat "$dir/port")"; }

# A port is free only until somebody else takes it: try some.
start() {
    running && return
    # What tests left behind in a folder of ours.
    [ ! -f "$dir/key" ] || rm -rf "$dir/data"
    mkdir -p "$dir/data/tunesmith"
    chmod 0700 "$dir"
    (umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$dir/key")
    local port pid
    for _ in 1 2 3 4 5 6 7 8; do
        port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 12000))
        ! answers "$port" || continue
        setsid "$program" --host 127.0.0.1 --port "$port" --access-key tunesmith --secret-key "$(cat "$dir/key")" "$dir/data" \
            >"$dir/server.log" 2>&1 </dev/null &
        pid=$!
        for _ in $(seq 100); do
            if answers "$port" && kill -0 "$pid" 2>/dev/null; then
                printf '%s\n' "$port" >"$dir/port"
                printf '%s\n' "$pid" >"$dir/pid"
                return
            fi
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill "$pid" 2>/dev/null || true
    done
    tail -n 20 "$dir/server.log" >&2 || true
    fail "the server does not start; see $dir/server.log"
}

case $command in
install) alone "$tools.lock" build ;;
start)
    alone "$tools.lock" build
    alone "$dir.lock" start
    url
    ;;
stop)
    if running; then
        kill "$(cat "$dir/pid")"
        rm -f "$dir/pid"
    fi
    ;;
url)
    running || fail "no server runs in $dir; run: $0 start"
    url
    ;;
*)
    fail "usage: $0 install|start|stop|url [DIR]"
    ;;
esac
