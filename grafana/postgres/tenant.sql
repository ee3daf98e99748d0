-- A login for Grafana that reads one tenant, whatever SQL is sent with it, as a superuser:
--
--   COSTSPAN_GRAFANA_DATABASE_PASSWORD=… psql "$URL" -v login=grafana_acme -v tenant=acme -f grafana/postgres/tenant.sql
\set ON_ERROR_STOP on
\getenv password COSTSPAN_GRAFANA_DATABASE_PASSWORD
begin;
create role :"login" login password :'password' connection limit 10 in role costspan_tenant;
alter role :"login" set app.current_tenant = :'tenant';
alter role :"login" set default_transaction_read_only = on;
alter role :"login" set statement_timeout = '30s';
alter role :"login" set work_mem = '64MB';
alter role :"login" set jit = off;

-- Whoever may send any SQL may also set another tenant. To this login there is no other: every policy looks the tenant up here.
-- By session_user, which SET ROLE does not change.
set local role costspan_owner;
create policy :"login" on costspan.tenant as restrictive for select to costspan_tenant
using (session_user <> :'login' or tenant_id = :'tenant');
commit;
