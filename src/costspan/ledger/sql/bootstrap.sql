-- The schema and the list of what was applied, readable by all our roles from the beginning: also after a first migration
-- that failed, a login must be able to see how far it came.
create schema if not exists costspan authorization costspan_owner;
grant usage on schema costspan to costspan_writer, costspan_tenant, costspan_admin;

create table costspan.migration (
    number int primary key,
    name text not null,
    checksum text not null,
    applied_at timestamptz not null default now()
);
alter table costspan.migration enable row level security, force row level security;
create policy owner_migrates on costspan.migration to costspan_owner using (true) with check (true);
create policy all_read on costspan.migration for select to costspan_writer, costspan_tenant, costspan_admin using (true);
grant select on costspan.migration to costspan_writer, costspan_tenant, costspan_admin;
