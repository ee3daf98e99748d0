-- name: become_tenant
set local role costspan_tenant;
set transaction read only;
set local statement_timeout = '30s';
set local jit = off  -- compiling a plan over many days takes longer than running it

-- name: become_admin
set local role costspan_admin;
set transaction read only;
set local statement_timeout = '30s';
set local jit = off  -- compiling a plan over many days takes longer than running it

-- name: set_tenant
select pg_catalog.set_config('app.current_tenant', %(tenant)s, true)

-- name: summary_of_hours
-- By what the sums per hour know. A dimension that was not asked for is null, and so one group.
select
    case when %(by)s::text[] && '{day,hour}' then width_bucket(used.at, %(boundaries)s::timestamptz[]) end,
    case when 'service' = any(%(by)s) then kind.service end,
    case when 'provider' = any(%(by)s) then kind.provider end,
    case when 'model' = any(%(by)s) then kind.model end,
    case when 'operation' = any(%(by)s) then kind.operation end,
    case when 'status' = any(%(by)s) then kind.status end,
    case when 'tenant' = any(%(by)s) then tenant.tenant_id end,
    null,
    null,
    null,
    sum(used.calls)::bigint,
    coalesce(sum(used.calls) filter (where kind.status = 'priced'), 0)::bigint,
    coalesce(sum(used.calls) filter (where kind.status = 'estimated'), 0)::bigint,
    coalesce(sum(used.calls) filter (where kind.status = 'partial'), 0)::bigint,
    coalesce(sum(used.calls) filter (where kind.status = 'unpriced'), 0)::bigint,
    coalesce(sum(used.calls) filter (where kind.status = 'invalid'), 0)::bigint,
    coalesce(sum(used.tokens_in) filter (where kind.status <> 'invalid'), 0)::bigint,
    coalesce(sum(used.tokens_out) filter (where kind.status <> 'invalid'), 0)::bigint,
    coalesce(sum(used.cache_read) filter (where kind.status <> 'invalid'), 0)::bigint,
    coalesce(sum(used.cache_write) filter (where kind.status <> 'invalid'), 0)::bigint,
    coalesce(sum(used.reasoning) filter (where kind.status <> 'invalid'), 0)::bigint,
    sum(used.cost_pico),
    coalesce(sum(used.cost_pico) filter (where kind.status <> 'priced'), 0)
from costspan.usage(%(start)s, %(end)s, %(boundaries)s) as used
left join costspan.call_kind as kind on kind.kind_id = used.kind_id
left join costspan.tenant on tenant.tenant_key = used.tenant_key
where %(services)s::text[] is null or kind.service = any(%(services)s)
group by 1, 2, 3, 4, 5, 6, 7
order by 1, 2, 3, 4, 5, 6, 7

-- name: summary_of_calls
-- By what only the calls themselves know: feature, session, user.
select
    case when %(by)s::text[] && '{day,hour}' then width_bucket(call.at, %(boundaries)s::timestamptz[]) end,
    case when 'service' = any(%(by)s) then kind.service end,
    case when 'provider' = any(%(by)s) then kind.provider end,
    case when 'model' = any(%(by)s) then kind.model end,
    case when 'operation' = any(%(by)s) then kind.operation end,
    case when 'status' = any(%(by)s) then kind.status end,
    case when 'tenant' = any(%(by)s) then tenant.tenant_id end,
    case when 'feature' = any(%(by)s) then context.feature end,
    case when 'session' = any(%(by)s) then context.session_id end,
    case when 'user' = any(%(by)s) then context.user_id end,
    count(*),
    count(*) filter (where kind.status = 'priced'),
    count(*) filter (where kind.status = 'estimated'),
    count(*) filter (where kind.status = 'partial'),
    count(*) filter (where kind.status = 'unpriced'),
    count(*) filter (where kind.status = 'invalid'),
    coalesce(sum(call.tokens_in) filter (where kind.status <> 'invalid'), 0)::bigint,
    coalesce(sum(call.tokens_out) filter (where kind.status <> 'invalid'), 0)::bigint,
    coalesce(sum(call.cache_read) filter (where kind.status <> 'invalid'), 0)::bigint,
    coalesce(sum(
        coalesce(call.cache_write_5m, 0)::bigint + coalesce(call.cache_write_1h, 0)
        + coalesce(call.cache_write_30m, 0) + coalesce(call.cache_write_12h, 0)
    ) filter (where kind.status <> 'invalid'), 0)::bigint,
    coalesce(sum(call.reasoning) filter (where kind.status <> 'invalid'), 0)::bigint,
    coalesce(sum(call.cost_pico), 0),
    coalesce(sum(call.cost_pico) filter (where kind.status <> 'priced'), 0)
from costspan.call
left join costspan.call_kind as kind on kind.kind_id = call.kind_id
left join costspan.call_context as context on context.context_id = call.context_id
left join costspan.tenant on tenant.tenant_key = call.tenant_key
where call.at >= %(start)s and call.at < %(end)s
    and (%(services)s::text[] is null or kind.service = any(%(services)s))
group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
order by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10

-- name: unsettled
select outcome, count(*)
from costspan.unsettled
where at >= %(start)s and at < %(end)s
    and (%(services)s::text[] is null or service = any(%(services)s))
group by outcome

-- name: sessions
-- A session belongs to its tenant: the same name at two tenants is two sessions.
select count(*)
from (
    select distinct context.tenant_key, context.session_id
    from costspan.call
    join costspan.call_context as context on context.context_id = call.context_id
    where call.at >= %(start)s and call.at < %(end)s and context.session_id <> ''
) as seen

-- name: audit
select
    coalesce(sum(intents), 0)::bigint, coalesce(sum(calls), 0)::bigint, coalesce(sum(duplicates), 0)::bigint,
    coalesce(sum(failed), 0)::bigint, coalesce(sum(unsettled), 0)::bigint, coalesce(sum(quarantined), 0)::bigint,
    coalesce(sum(torn_bytes), 0)::bigint
from costspan.writer
