#!/bin/sh
# Before `costspan serve` begins: the schema as this version needs it, and tokens for those who ask it.
#
#   sh setup.sh FOLDER      FOLDER/NAME/token for each of prometheus and collector
#
# Run again it changes nothing that works. COSTSPAN_DATABASE_URL is of a login that may migrate; PGPASSWORD_FILE has its password.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
entrypoint=$here/entrypoint.sh

sh "$entrypoint" migrate
known=$(sh "$entrypoint" token list --json)
for name in prometheus collector; do
    file=$1/$name/token
    # A token whose file was lost is of no use, nor a file whose token the ledger does not know.
    if printf '%s' "$known" | grep -q "\"name\": *\"$name\""; then
        if [ -s "$file" ]; then
            continue
        fi
        sh "$entrypoint" token revoke "$name"
    fi
    token=$(sh "$entrypoint" token create "$name" --admin)
    rm -f "$file.new"
    # Without a line break, which would be one of the header that it is sent in. Whoever has the volume may read it.
    (umask 0333 && printf '%s' "$token" >"$file.new")
    mv -f "$file.new" "$file"
done
