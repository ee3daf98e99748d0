-- A login for Grafana that reads every tenant and changes nothing, for the people who run all of it:
--
--   COSTSPAN_GRAFANA_DATABASE_PASSWORD=… psql "$COSTSPAN_DATABASE_URL" -v login=costspan_grafana -f grafana/postgres/operator.sql
\set ON_ERROR_STOP on
\getenv password COSTSPAN_GRAFANA_DATABASE_PASSWORD
begin;
create role :"login" login password :'password' connection limit 20 in role costspan_admin;
alter role :"login" set default_transaction_read_only = on;
alter role :"login" set statement_timeout = '30s';
alter role :"login" set work_mem = '64MB';  -- sums of a month by session or by hour are not to be spilled
alter role :"login" set jit = off;  -- compiling a plan over many days takes longer than running it
commit;
