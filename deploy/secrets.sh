#!/bin/sh
# Makes the passwords that docker-compose.yml uses, each in a file of deploy/secrets. Those that there are stay.
#
#   sh deploy/secrets.sh [FOLDER]
#
# Secrets of the channels (ALERT_SLACK_URL_FILE, …) go into its folder alerts/.
set -eu
umask 077
folder=${1:-$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)/secrets}

# Only its owner gets into the folder; the files can be read by whichever user a container has.
mkdir -p "$folder/alerts"
chmod 755 "$folder/alerts"
for name in postgres setup serve grafana_database grafana_admin; do
    file=$folder/${name}_password
    if [ ! -s "$file" ]; then
        head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$file"
        echo "made $file"
    fi
    chmod 644 "$file"
done
