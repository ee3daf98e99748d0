-- name: become_keeper
set local role costspan_keeper;
set local statement_timeout = '30s';
set local lock_timeout = '15s'

-- name: become_writer
set local role costspan_writer;
set local statement_timeout = '30s';
set local lock_timeout = '15s'

-- name: become_admin
set local role costspan_admin;
set transaction read only;
set local statement_timeout = '30s'

-- name: become_tenant
set local role costspan_tenant;
set transaction read only;
set local statement_timeout = '30s'

-- name: set_tenant
select pg_catalog.set_config('app.current_tenant', %(tenant)s, true)

-- name: change
-- Noted only where it is a change: a script that sets the same budget each day leaves no trail of nothing.
insert into costspan.budget_change (tenant_key, "window", amount_usd)
select %(key)s::int, %(window)s::text, %(amount)s::numeric
where %(amount)s::numeric is distinct from (
    select amount_usd
    from costspan.budget_change
    where tenant_key is not distinct from %(key)s::int and "window" = %(window)s::text
    order by id desc
    limit 1
)
returning id

-- name: current
select tenant_id, "window", amount_usd, changed_at, login
from costspan.budget
order by tenant_id nulls first, "window"

-- name: history
-- The newest first.
select tenant.tenant_id, change."window", change.amount_usd, change.changed_at, change.login
from costspan.budget_change as change
left join costspan.tenant on tenant.tenant_key = change.tenant_key
where %(tenant)s::text is null or tenant.tenant_id = %(tenant)s
order by change.id desc

-- name: effective
-- What each asked tenant may spend: its own budget, else everybody's, else for a day what the settings say.
select asked.tenant_id, span.name, coalesce(own.amount_usd, everybodys.amount_usd, span.amount_usd)
from unnest(%(tenants)s::text[]) as asked (tenant_id)
cross join (values ('day', %(daily)s::numeric), ('month', null)) as span (name, amount_usd)
left join costspan.budget as own on own.tenant_id = asked.tenant_id and own."window" = span.name
left join costspan.budget as everybodys on everybodys.tenant_id is null and everybodys."window" = span.name
where coalesce(own.amount_usd, everybodys.amount_usd, span.amount_usd) is not null
order by 1, 2

-- name: alert_once_an_hour
-- Returns a row to exactly one of all processes that ask within an hour. The database's clock decides.
insert into costspan.threshold_alert as known (tenant_key, "window", threshold_usd, alerted_at)
select tenant_key, %(window)s, %(threshold)s, clock_timestamp() from costspan.tenant where tenant_id = %(tenant)s
on conflict (tenant_key, "window", threshold_usd) do update set alerted_at = excluded.alerted_at
where known.alerted_at <= excluded.alerted_at - interval '1 hour'
returning tenant_key
