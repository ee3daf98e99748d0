#!/bin/sh
# What a new Postgres needs for costspan, as its superuser: roles, and a login for each who comes to it.
#
# The official image runs it once, when its volume is new. Elsewhere, with psql's own variables:
#   PGHOST=… POSTGRES_USER=postgres POSTGRES_DB=costspan SECRETS=deploy/secrets OPERATOR_SQL=grafana/postgres/operator.sql sh deploy/postgres.sh
#
#   costspan_setup     migrates the schema and makes tokens; used before a new version starts
#   costspan_serve     writes, reads and keeps; cannot change the schema
#   costspan_grafana   reads every tenant, and changes nothing
# Not -u: where it is not executable, the image's own script takes it in.
set -e
: "${SECRETS:=/run/secrets}" "${OPERATOR_SQL:=/etc/costspan/operator.sql}"

SETUP_PASSWORD=$(cat "$SECRETS/setup_password")
SERVE_PASSWORD=$(cat "$SECRETS/serve_password")
COSTSPAN_GRAFANA_DATABASE_PASSWORD=$(cat "$SECRETS/grafana_database_password")
export SETUP_PASSWORD SERVE_PASSWORD COSTSPAN_GRAFANA_DATABASE_PASSWORD

psql --no-psqlrc -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" <<'SQL'
\getenv setup SETUP_PASSWORD
\getenv serve SERVE_PASSWORD
begin;
create role costspan_owner nologin;
create role costspan_writer nologin bypassrls;  -- it can read nothing, and writes faster so
create role costspan_keeper nologin;
create role costspan_tenant nologin;
create role costspan_admin nologin;
create role costspan_setup login password :'setup'
    in role costspan_owner, costspan_writer, costspan_keeper, costspan_tenant, costspan_admin;
create role costspan_serve login password :'serve'
    in role costspan_writer, costspan_keeper, costspan_tenant, costspan_admin;
select format('grant create on database %I to costspan_owner', current_database()) \gexec
grant create, usage on schema public to costspan_owner;
commit;
SQL
psql --no-psqlrc -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" -v login=costspan_grafana -f "$OPERATOR_SQL"
