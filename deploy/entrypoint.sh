#!/bin/sh
# Runs costspan, with the password of its database out of the file that PGPASSWORD_FILE names, where that is set.
set -eu
if [ -n "${PGPASSWORD_FILE:-}" ]; then
    [ -r "$PGPASSWORD_FILE" ] || { echo "PGPASSWORD_FILE is $PGPASSWORD_FILE, which cannot be read" >&2; exit 2; }
    PGPASSWORD=$(cat "$PGPASSWORD_FILE")
    export PGPASSWORD
fi
exec costspan "$@"
