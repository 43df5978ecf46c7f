#!/usr/bin/env bash
# A private Postgres server for tests: `start [DIR]` prints its address, `stop [DIR]` ends it, `url [DIR]` prints the address of
# one that runs, and `crash [DIR]` ends one as a crash does and starts it again at the same address. It listens on the loopback
# address only, with a password of its own, and is durable as a real one is.
#
# DIR defaults to $TUNESMITH_TEST_DIR/postgres, and without that to a folder in /tmp that the server's user can reach. Run by
# root, the server runs as the user `postgres`, because Postgres refuses root; root may also have the Debian package installed.
set -euo pipefail

say() { printf '%s\n' "$*" >&2; }
fail() { say "postgres.sh: $*"; exit 1; }

command=${1:-}
dir=${2:-${TUNESMITH_TEST_DIR:+$TUNESMITH_TEST_DIR/postgres}}
dir=${dir:-/tmp/tunesmith-test-postgres-$(id -u)}
data=$dir/data

# Folder of initdb and pg_ctl: that of the newest installed version.
binaries() {
    local found
    found=$(find /usr/lib/postgresql /usr/pgsql-* /opt/homebrew/opt /usr/local/opt -path '*/bin/initdb' 2>/dev/null | sort -V | tail -n 1)
    [ -n "$found" ] || found=$(command -v initdb || true)
    [ -n "$found" ] && dirname "$found"
}

# Runs a command as whoever the server runs as.
as_server() {
    if [ "$(id -u)" -ne 0 ]; then
        "$@"
    elif command -v setpriv >/dev/null; then
        setpriv --reuid=postgres --regid=postgres --clear-groups env HOME="$dir" "$@"
    else
        su -s /bin/sh postgres -c 'exec "$@"' -- sh "$@"
    fi
}

running() { [ -f "$data/postmaster.pid" ] && (cd "$dir" && as_server "$bin/pg_ctl" -D "$data" status >/dev/null 2>&1); }

url() { printf 'postgres://tunesmith:%s@127.0.0.1:%s/postgres\n' "$(cat "$dir/password")" "$(cat "$dir/port")"; }

install_postgres() {
    bin=$(binaries || true)
    [ -n "$bin" ] && return
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        fail "no initdb found; install the server of Postgres 13 or newer (Debian: apt-get install postgresql)"
    fi
    say "installing the Debian package postgresql (without creating a cluster of its own)"
    mkdir -p /etc/postgresql-common
    [ -e /etc/postgresql-common/createcluster.conf ] || echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
    (apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends postgresql) >&2
    bin=$(binaries) || fail "the package postgresql has no initdb"
}

create() {
    mkdir -p "$dir"
    [ "$(id -u)" -ne 0 ] || chown postgres "$dir"
    chmod 0755 "$dir"
    as_server test -w "$dir" || fail "the user postgres cannot reach $dir; give another folder, or set TUNESMITH_TEST_DIR"
    [ -f "$data/PG_VERSION" ] && return
    say "creating a Postgres server in $dir"
    (umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$dir/password")
    [ "$(id -u)" -ne 0 ] || chown postgres "$dir/password"
    (cd "$dir" && as_server "$bin/initdb" -D "$data" -U tunesmith --pwfile="$dir/password" -A password -E UTF8 \
        --locale=C.UTF-8 >"$dir/initdb.log" 2>&1) || { cat "$dir/initdb.log" >&2; rm -rf "$data"; fail "initdb failed"; }
}

# A port is free only until somebody else takes it: try some.
start() {
    local port
    for _ in 1 2 3 4 5 6 7 8; do
        port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 12000))
        printf '%s\n' "$port" >"$dir/port"
        if (cd "$dir" && as_server "$bin/pg_ctl" -D "$data" -w -t 60 -l "$data/server.log" -o "-c listen_addresses=127.0.0.1 \
            -c port=$port -c unix_socket_directories=$dir -c fsync=on -c max_connections=200 -c shared_buffers=256MB \
            -c max_wal_size=2GB -c logging_collector=off" start >/dev/null 2>&1 </dev/null); then
            return
        fi
    done
    tail -n 20 "$data/server.log" >&2 || true
    fail "the server does not start; see $data/server.log"
}

case $command in
start)
    install_postgres
    create
    (
        command -v flock >/dev/null && flock 9
        running || start 9>&-
    ) 9>"$dir/start.lock"
    url
    ;;
stop)
    bin=$(binaries) || exit 0
    if running; then
        (cd "$dir" && as_server "$bin/pg_ctl" -D "$data" -m fast -w -t 60 stop >/dev/null)
    fi
    ;;
crash)
    bin=$(binaries) || fail "Postgres is not installed; run: $0 start"
    running || fail "no server runs in $dir; run: $0 start"
    (cd "$dir" && as_server "$bin/pg_ctl" -D "$data" -m immediate -w -t 60 -l "$data/server.log" restart >/dev/null 2>&1 </dev/null) ||
        { tail -n 20 "$data/server.log" >&2; fail "the server does not start again"; }
    ;;
url)
    bin=$(binaries) || fail "Postgres is not installed; run: $0 start"
    running || fail "no server runs in $dir; run: $0 start"
    url
    ;;
*)
    fail "usage: $0 start|stop|crash|url [DIR]"
    ;;
esac
