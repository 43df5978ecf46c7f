#!/usr/bin/env bash
# Makes the secrets that docker-compose.yml mounts, once: a random password for Postgres, and the database's address with it.
# The folder is for its owner alone; the files in it must be readable to the users inside the containers, whose ids differ.
set -euo pipefail
cd "$(dirname "$0")/secrets"
chmod 0700 .
if [ -e postgres-password ] || [ -e store-url ]; then
  echo "The secrets exist already: $PWD" >&2
  exit 0
fi
umask 022
password=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
printf '%s\n' "$password" >postgres-password
printf 'postgres://tunesmith:%s@postgres:5432/tunesmith\n' "$password" >store-url
echo "Made $PWD/postgres-password and store-url." >&2
