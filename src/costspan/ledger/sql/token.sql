-- name: become_keeper
set local role costspan_keeper;
set local statement_timeout = '30s';
set local lock_timeout = '15s';
-- One at a time, so that two do not make a token of the same name.
select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('costspan.api_token', 0))

-- name: become_admin
set local role costspan_admin;
set transaction read only;
set local statement_timeout = '5s'

-- name: counting
-- How many count now, and how many of these have the name. A revoked or expired one leaves its name to another.
select count(*), count(*) filter (where name = %(name)s)
from costspan.api_token
where (expires_at is null or expires_at > now())
    and not exists (select from costspan.revoked_token where revoked_token.token_id = api_token.token_id)

-- name: create
insert into costspan.api_token (name, is_admin, tenant_key, digest, expires_at)
values (%(name)s, %(is_admin)s, %(tenant_key)s::int, %(digest)s, now() + make_interval(secs => %(seconds)s::double precision))
returning expires_at

-- name: revoke
insert into costspan.revoked_token (token_id)
select token_id
from costspan.api_token
where (name = %(name)s or token_id = %(number)s::int)
    and not exists (select from costspan.revoked_token where revoked_token.token_id = api_token.token_id)
returning token_id

-- name: all
-- The newest first. The database's clock decides what is over.
select
    token_id, name, tenant_id, api_token.login, created_at, expires_at, revoked_at, revoked_token.login,
    case when revoked_at is not null then 'revoked' when expires_at <= now() then 'expired' else 'live' end
from costspan.api_token
left join costspan.tenant using (tenant_key)
left join costspan.revoked_token using (token_id)
order by token_id desc

-- name: live
-- Digests of what counts now, and for how many seconds more: no clock but the database's is asked.
select digest, name, is_admin, tenant_id, extract(epoch from expires_at - now())::double precision
from costspan.api_token
left join costspan.tenant using (tenant_key)
where (expires_at is null or expires_at > now())
    and not exists (select from costspan.revoked_token where revoked_token.token_id = api_token.token_id)
