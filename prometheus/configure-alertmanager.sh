#!/bin/sh
# Makes the configuration that Alertmanager runs with, from alertmanager.yml and the environment:
#
#   ALERT_WEBHOOK_URL=http://127.0.0.1:9099/ sh configure-alertmanager.sh FOLDER
#   alertmanager --config.file=FOLDER/alertmanager.yml --storage.path=DATA
#
#   webhook    ALERT_WEBHOOK_URL
#   Slack      ALERT_SLACK_URL, ALERT_SLACK_CHANNEL
#   e-mail     ALERT_EMAIL_TO, ALERT_EMAIL_FROM, ALERT_SMTP_HOST (host:port), ALERT_SMTP_TLS (true or false),
#              ALERT_SMTP_USER and ALERT_SMTP_PASSWORD where the server wants a login
#   heartbeat  ALERT_HEARTBEAT_URL: called each minute for as long as alerting works
#
# Each URL and the password can be in a file instead: ALERT_SLACK_URL_FILE=/run/secrets/slack_url. A channel that is not named is
# left out. Everything that is written can be read by this user only.
set -eu
umask 077

fail() {
    echo "configure-alertmanager: $1" >&2
    exit 1
}

# Of the variable $1, or of the file that $1_FILE names.
value() {
    eval "direct=\${$1:-} file=\${$1_FILE:-}"
    if [ -n "$direct" ] && [ -n "$file" ]; then
        fail "$1 and $1_FILE are both set: allowed is one of them"
    elif [ -n "$file" ]; then
        [ -r "$file" ] || fail "$1_FILE is $file, which cannot be read"
        direct=$(cat "$file")
        [ -n "$direct" ] || fail "$1_FILE is $file, which is empty"
    fi
    printf '%s' "$direct"
}

# That $2, of the variable $1, is an address. It is a secret, so it is not repeated.
address() {
    case $2 in
    http://?* | https://?*) ;;
    *) fail "$1 is no address: allowed is http://… or https://…" ;;
    esac
}

[ $# -eq 1 ] || fail "name the folder to write to"
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
mkdir -p "$1/secrets"
folder=$(CDPATH='' cd -- "$1" && pwd)

channels=
webhook=$(value ALERT_WEBHOOK_URL)
slack=$(value ALERT_SLACK_URL)
password=$(value ALERT_SMTP_PASSWORD)
heartbeat=$(value ALERT_HEARTBEAT_URL)
if [ -n "$webhook" ]; then
    address ALERT_WEBHOOK_URL "$webhook"
    channels="$channels webhook"
fi
if [ -n "${ALERT_SLACK_CHANNEL:-}" ]; then
    [ -n "$slack" ] || fail "ALERT_SLACK_CHANNEL is set: name ALERT_SLACK_URL, too"
    channels="$channels channel"
fi
if [ -n "$slack" ]; then
    address ALERT_SLACK_URL "$slack"
    channels="$channels slack"
    printf '%s' "$slack" >"$folder/secrets/slack_url"
fi
if [ -n "${ALERT_EMAIL_TO:-}" ]; then
    [ -n "${ALERT_EMAIL_FROM:-}" ] || fail "ALERT_EMAIL_TO is set: name ALERT_EMAIL_FROM, too"
    [ -n "${ALERT_SMTP_HOST:-}" ] || fail "ALERT_EMAIL_TO is set: name ALERT_SMTP_HOST (host:port), too"
    case $ALERT_SMTP_HOST in
    ?*:[0-9]*) ;;
    *) fail "ALERT_SMTP_HOST is $ALERT_SMTP_HOST: allowed is host:port, such as smtp.example.com:587" ;;
    esac
    case ${ALERT_SMTP_TLS:=true} in
    true | false) ;;
    *) fail "ALERT_SMTP_TLS is $ALERT_SMTP_TLS: allowed are true and false" ;;
    esac
    channels="$channels email"
    if [ -n "${ALERT_SMTP_USER:-}" ]; then
        [ -n "$password" ] || fail "ALERT_SMTP_USER is set: name ALERT_SMTP_PASSWORD, too"
        channels="$channels login"
        printf '%s' "$password" >"$folder/secrets/smtp_password"
    fi
fi
[ -n "$channels" ] || fail "nobody would be told: set ALERT_WEBHOOK_URL, ALERT_SLACK_URL or ALERT_EMAIL_TO"
if [ -n "$heartbeat" ]; then
    address ALERT_HEARTBEAT_URL "$heartbeat"
    channels="$channels heartbeat"
fi

export ALERT_WEBHOOK_URL="$webhook" ALERT_HEARTBEAT_URL="$heartbeat" ALERT_SMTP_TLS="${ALERT_SMTP_TLS:-true}"
export ALERT_SLACK_URL_FILE="$folder/secrets/slack_url" ALERT_SMTP_PASSWORD_FILE="$folder/secrets/smtp_password"
export ALERT_TEMPLATES="$here/templates/*.tmpl" CHANNELS="$channels "

awk '
    function refuse(why) { print "configure-alertmanager: " why > "/dev/stderr"; failed = 1; exit 1 }
    function shown(name,    text) {
        text = ENVIRON[name]
        if (text ~ /[[:cntrl:]]/) refuse(name " has a line break or another control character")
        if (name == "ALERT_SMTP_TLS") return text
        gsub(/\047/, "\047\047", text)
        return name == "ALERT_TEMPLATES" ? "[\047" text "\047]" : "\047" text "\047"
    }
    /^ *# begin / { if (skipped || !index(ENVIRON["CHANNELS"], " " $3 " ")) skipped++; next }
    /^ *# end / { if (skipped) skipped--; next }
    skipped { next }
    / # = [A-Z_]+$/ {
        name = $NF
        sub(/ # = [A-Z_]+$/, "")
        if (ENVIRON[name] != "") {
            match($0, /^[- ]*[a-z_]+: /)
            $0 = substr($0, 1, RLENGTH) shown(name)
        }
    }
    { print }
' "$here/alertmanager.yml" >"$folder/alertmanager.yml.new" || { rm -f "$folder/alertmanager.yml.new"; exit 1; }
mv "$folder/alertmanager.yml.new" "$folder/alertmanager.yml"
# What an earlier run wrote and nobody reads any more.
case "$channels " in *" slack "*) ;; *) rm -f "$folder/secrets/slack_url" ;; esac
case "$channels " in *" login "*) ;; *) rm -f "$folder/secrets/smtp_password" ;; esac
