-- name: state
-- Whether there is a schema at all, who asks, and as which of our roles it may read the list of migrations.
select
    exists (
        select from pg_catalog.pg_class
        where relname = 'migration' and relnamespace = (select oid from pg_catalog.pg_namespace where nspname = 'costspan')
    ),
    current_user,
    current_database(),
    array(
        select rolname::text from pg_catalog.pg_roles
        where rolname in ('costspan_writer', 'costspan_admin', 'costspan_tenant')
            and pg_catalog.pg_has_role(current_user, oid, 'MEMBER')
    )

-- name: missing_roles
select name from unnest(%(roles)s::text[]) with ordinality as role (name, place)
where not exists (select from pg_catalog.pg_roles where rolname = name)
order by place

-- name: become
select pg_catalog.set_config('role', %(role)s, true)

-- name: begin
-- One migration at a time in a database. Transaction-scoped, so a killed process leaves no lock and a pooler no surprise.
set local statement_timeout = 0;
set local lock_timeout = '60s';
set local client_min_messages = warning;
select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('costspan.migration', 0))

-- name: become_owner
set local role costspan_owner

-- name: applied
select number, name, checksum from costspan.migration order by number

-- name: note
insert into costspan.migration (number, name, checksum) values (%(number)s, %(name)s, %(checksum)s)
