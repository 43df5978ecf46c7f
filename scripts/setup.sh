#!/usr/bin/env bash
# Installs what building (`setup.sh build`) or also testing (`setup.sh`) needs and this machine lacks. Says what it does; does nothing when all
# is there.
set -euo pipefail

have() { command -v "$1" >/dev/null 2>&1; }
find_postgres() { have initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }
# Linear algebra: the plain, single-threaded OpenBLAS, since the coordinator has threads of its own for computing.
find_openblas() { compgen -G '/usr/lib*/libopenblas.so' >/dev/null || compgen -G '/usr/lib/*/libopenblas.so' >/dev/null || compgen -G '/usr/local/lib/libopenblas.so' >/dev/null; }

# Checks and tests of the dashboard.
find_chromium() { [ -n "${CHROMIUM:-}" ] || have chromium-headless-shell || have chromium || have chromium-browser || have google-chrome; }
have_node() { have npm && [ "$(node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/')" -ge 18 ] 2>/dev/null; }

have_numpy() { python3 -c 'import numpy' 2>/dev/null || /usr/bin/python3 -c 'import numpy' 2>/dev/null; }

missing=()
have cc || missing+=(gcc)
find_openblas || missing+=(libopenblas-serial-dev)
have pkg-config || missing+=(pkg-config)
if [ "${1:-}" != build ]; then
  find_postgres || missing+=(postgresql)
  have python3 || missing+=(python3)
  have_numpy || missing+=(python3-numpy)
  have_node || missing+=(nodejs npm)
  # Where there is a Chromium without windows, that is enough.
  browser=chromium
  if apt-cache show chromium-headless-shell >/dev/null 2>&1; then browser=chromium-headless-shell; fi
  find_chromium || missing+=("$browser" fonts-dejavu-core)
fi
have cargo || { echo "setup: Rust is missing; install it from https://rustup.rs and run this again" >&2; exit 1; }

if [ ${#missing[@]} -gt 0 ]; then
  if have apt-get && [ "$(id -u)" = 0 ]; then
    echo "setup: installing ${missing[*]} with apt-get"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  elif have apt-get && have sudo && sudo -n true 2>/dev/null; then
    echo "setup: installing ${missing[*]} with sudo apt-get"
    sudo apt-get update -qq
    sudo DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  else
    echo "setup: please install: ${missing[*]}" >&2
    exit 1
  fi
fi

if [ "${1:-}" != build ]; then
  "$(dirname "$0")/s3.sh" install
fi
