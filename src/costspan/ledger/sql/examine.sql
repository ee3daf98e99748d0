-- name: server
-- Who asks whom: the version, the login, whether it can be written, and what time it is there.
select
    current_setting('server_version'),
    current_setting('server_version_num')::int,
    current_user::text,
    pg_catalog.pg_is_in_recovery() or current_setting('default_transaction_read_only')::boolean,
    clock_timestamp()

-- name: roles
-- Which of our roles there are not, or are not the login's.
select name
from unnest(%(roles)s::text[]) with ordinality as role (name, place)
left join pg_catalog.pg_roles on rolname = name
where rolname is null or not pg_catalog.pg_has_role(current_user, rolname, 'MEMBER')
order by place

-- name: written
-- When a journal was last written from, and what was set aside, as far as it is kept.
select max(updated_at), coalesce(sum(quarantined), 0)::bigint from costspan.writer
