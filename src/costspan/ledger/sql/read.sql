-- name: summary_of_kinds
-- By what the sums per hour and day know. A dimension that was not asked for is null, and so one group. In two steps: what has
-- one status is added up, and only then are the statuses told apart, as that takes twice as many sums.
select
    bucket, service, provider, model, operation, case when 'status' = any(%(by)s) then status end, tenant_id, feature, session_id,
    user_id,
    sum(calls)::bigint,
    coalesce(sum(calls) filter (where status = 'priced'), 0)::bigint,
    coalesce(sum(calls) filter (where status = 'estimated'), 0)::bigint,
    coalesce(sum(calls) filter (where status = 'partial'), 0)::bigint,
    coalesce(sum(calls) filter (where status = 'unpriced'), 0)::bigint,
    coalesce(sum(calls) filter (where status = 'invalid'), 0)::bigint,
    coalesce(sum(tokens_in) filter (where status <> 'invalid'), 0)::bigint,
    coalesce(sum(tokens_out) filter (where status <> 'invalid'), 0)::bigint,
    coalesce(sum(cache_read) filter (where status <> 'invalid'), 0)::bigint,
    coalesce(sum(cache_write) filter (where status <> 'invalid'), 0)::bigint,
    coalesce(sum(reasoning) filter (where status <> 'invalid'), 0)::bigint,
    sum(cost_pico),
    coalesce(sum(cost_pico) filter (where status <> 'priced'), 0),
    coalesce(sum(cost_pico) filter (where status = 'estimated'), 0)
from (
    select
        case when %(in_time)s then width_bucket(used.at, %(boundaries)s::timestamptz[]) end as bucket,
        case when 'service' = any(%(by)s) then kind.service end as service,
        case when 'provider' = any(%(by)s) then kind.provider end as provider,
        case when 'model' = any(%(by)s) then kind.model end as model,
        case when 'operation' = any(%(by)s) then kind.operation end as operation,
        kind.status,
        case when 'tenant' = any(%(by)s) then tenant.tenant_id end as tenant_id,
        null as feature,
        null as session_id,
        null as user_id,
        sum(used.calls) as calls, sum(used.tokens_in) as tokens_in, sum(used.tokens_out) as tokens_out,
        sum(used.cache_read) as cache_read, sum(used.cache_write) as cache_write, sum(used.reasoning) as reasoning,
        sum(used.cost_pico) as cost_pico
    from costspan.usage(%(start)s, %(end)s, %(boundaries)s) as used
    left join costspan.call_kind as kind on kind.kind_id = used.kind_id
    left join costspan.tenant on tenant.tenant_key = used.tenant_key
    where %(services)s::text[] is null or kind.service = any(%(services)s)
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
) as sums
group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
having sum(calls) <> 0  -- corrections may leave nothing
order by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10

-- name: summary_of_contexts
-- Likewise, by what only calls and the sums per context know: feature, session, user.
select
    bucket, service, provider, model, operation, case when 'status' = any(%(by)s) then status end, tenant_id, feature, session_id,
    user_id,
    sum(calls)::bigint,
    coalesce(sum(calls) filter (where status = 'priced'), 0)::bigint,
    coalesce(sum(calls) filter (where status = 'estimated'), 0)::bigint,
    coalesce(sum(calls) filter (where status = 'partial'), 0)::bigint,
    coalesce(sum(calls) filter (where status = 'unpriced'), 0)::bigint,
    coalesce(sum(calls) filter (where status = 'invalid'), 0)::bigint,
    coalesce(sum(tokens_in) filter (where status <> 'invalid'), 0)::bigint,
    coalesce(sum(tokens_out) filter (where status <> 'invalid'), 0)::bigint,
    coalesce(sum(cache_read) filter (where status <> 'invalid'), 0)::bigint,
    coalesce(sum(cache_write) filter (where status <> 'invalid'), 0)::bigint,
    coalesce(sum(reasoning) filter (where status <> 'invalid'), 0)::bigint,
    sum(cost_pico),
    coalesce(sum(cost_pico) filter (where status <> 'priced'), 0),
    coalesce(sum(cost_pico) filter (where status = 'estimated'), 0)
from (
    select
        case when %(in_time)s then width_bucket(used.at, %(boundaries)s::timestamptz[]) end as bucket,
        case when 'service' = any(%(by)s) then kind.service end as service,
        case when 'provider' = any(%(by)s) then kind.provider end as provider,
        case when 'model' = any(%(by)s) then kind.model end as model,
        case when 'operation' = any(%(by)s) then kind.operation end as operation,
        kind.status,
        case when 'tenant' = any(%(by)s) then tenant.tenant_id end as tenant_id,
        case when 'feature' = any(%(by)s) then context.feature end as feature,
        case when 'session' = any(%(by)s) then context.session_id end as session_id,
        case when 'user' = any(%(by)s) then context.user_id end as user_id,
        sum(used.calls) as calls, sum(used.tokens_in) as tokens_in, sum(used.tokens_out) as tokens_out,
        sum(used.cache_read) as cache_read, sum(used.cache_write) as cache_write, sum(used.reasoning) as reasoning,
        sum(used.cost_pico) as cost_pico
    from costspan.usage_of_contexts(%(start)s, %(end)s, %(boundaries)s) as used
    left join costspan.call_kind as kind on kind.kind_id = used.kind_id
    left join costspan.call_context as context on context.context_id = used.context_id
    left join costspan.tenant on tenant.tenant_key = used.tenant_key
    where %(services)s::text[] is null or kind.service = any(%(services)s)
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
) as sums
group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
having sum(calls) <> 0  -- corrections may leave nothing
order by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10

-- name: unsettled
select outcome, count(*)
from costspan.unsettled
where at >= %(start)s and at < %(end)s
    and (%(services)s::text[] is null or service = any(%(services)s))
group by outcome

-- name: sessions
-- A session belongs to its tenant: the same name at two tenants is two sessions. A slice is opened only where the period
-- begins or ends inside of it.
select count(*)
from (
    select distinct context.tenant_key, context.session_id
    from (
        select call.context_id from costspan.call where call.at >= %(start)s and call.at < %(end)s
        union
        select cold.context_id
        from costspan.kept_from(%(start)s) as kept (since)
        cross join lateral (
            select context_id
            from costspan.call_slice as slice
            cross join lateral unnest(slice.contexts) as context_id
            where slice.day >= (kept.since at time zone 'UTC')::date and slice.day < costspan.first_day(%(end)s)
                and slice.at_min >= kept.since and slice.at_max < %(end)s
            union all
            select call.context_id
            from costspan.call_slice as slice
            cross join lateral unnest(slice.calls) as call
            where slice.day in ((kept.since at time zone 'UTC')::date, (%(end)s::timestamptz at time zone 'UTC')::date)
                and slice.at_max >= kept.since and slice.at_min < %(end)s
                and (slice.at_min < kept.since or slice.at_max >= %(end)s)
                and call.at >= kept.since and call.at < %(end)s
        ) as cold
    ) as made
    join costspan.call_context as context on context.context_id = made.context_id
    where context.session_id <> ''
) as seen

-- name: audit_writer
-- The same of one journal, and how far it was read.
select position, intents, calls, duplicates, failed, unsettled, quarantined, torn_bytes
from costspan.writer where writer_id = %(writer)s

-- name: lost
select outcome, count(*) from costspan.unsettled group by outcome

-- name: kept_since
select max(kept_since) from costspan.retention

-- name: audit
select
    coalesce(sum(intents), 0)::bigint, coalesce(sum(calls), 0)::bigint, coalesce(sum(duplicates), 0)::bigint,
    coalesce(sum(failed), 0)::bigint, coalesce(sum(unsettled), 0)::bigint, coalesce(sum(quarantined), 0)::bigint,
    coalesce(sum(torn_bytes), 0)::bigint
from costspan.writer

-- name: summary_of_session
-- As summary_of_contexts, of one session over all of its life, by service, model and tenant: hot call by call, cold from the
-- sums per context of the days whose slices have it.
with asked as materialized (
    select array_agg(context.context_id) as contexts, array_agg(distinct context.tenant_key) as tenants
    from costspan.tenant
    join costspan.call_context as context on context.tenant_key = tenant.tenant_key
    where context.session_id = nullif(%(session)s, '')
),
used as (
    select
        call.tenant_key, call.kind_id, 1 as calls, call.tokens_in, call.tokens_out, coalesce(call.cache_read, 0) as cache_read,
        coalesce(call.cache_write_5m, 0)::bigint + coalesce(call.cache_write_1h, 0)
            + coalesce(call.cache_write_30m, 0) + coalesce(call.cache_write_12h, 0) as cache_write,
        coalesce(call.reasoning, 0) as reasoning, coalesce(call.cost_pico, 0) as cost_pico
    from costspan.call
    where call.context_id = any ((select contexts from asked)::int[])
    union all
    select
        detail.tenant_key, part.kind_id, part.calls, part.tokens_in, part.tokens_out, part.cache_read, part.cache_write,
        part.reasoning, part.cost_pico
    from (
        select distinct slice.tenant_key, slice.day
        from costspan.call_slice as slice
        where slice.contexts && (select contexts from asked)
    ) as held
    join costspan.usage_day_detail as detail using (tenant_key, day)
    cross join lateral unnest(detail.contexts) as part
    where part.context_id = any ((select contexts from asked)::int[])
    union all
    select
        correction.tenant_key, side.kind_id, side.sign, side.sign * correction.tokens_in, side.sign * correction.tokens_out,
        side.sign * correction.cache_read, side.sign * correction.cache_write, side.sign * correction.reasoning, side.cost_pico
    from costspan.correction
    cross join lateral (
        values (-1, correction.kind_before, -coalesce(correction.cost_before, 0)),
            (1, correction.kind_after, coalesce(correction.cost_after, 0))
    ) as side (sign, kind_id, cost_pico)
    where correction.tenant_key = any ((select tenants from asked)::int[])
        and correction.context_id = any ((select contexts from asked)::int[])
)
select
    null, kind.service, null, kind.model, null, null, tenant.tenant_id, null, null, null,
    sum(calls)::bigint,
    coalesce(sum(calls) filter (where status = 'priced'), 0)::bigint,
    coalesce(sum(calls) filter (where status = 'estimated'), 0)::bigint,
    coalesce(sum(calls) filter (where status = 'partial'), 0)::bigint,
    coalesce(sum(calls) filter (where status = 'unpriced'), 0)::bigint,
    coalesce(sum(calls) filter (where status = 'invalid'), 0)::bigint,
    coalesce(sum(tokens_in) filter (where status <> 'invalid'), 0)::bigint,
    coalesce(sum(tokens_out) filter (where status <> 'invalid'), 0)::bigint,
    coalesce(sum(cache_read) filter (where status <> 'invalid'), 0)::bigint,
    coalesce(sum(cache_write) filter (where status <> 'invalid'), 0)::bigint,
    coalesce(sum(reasoning) filter (where status <> 'invalid'), 0)::bigint,
    sum(cost_pico),
    coalesce(sum(cost_pico) filter (where status <> 'priced'), 0),
    coalesce(sum(cost_pico) filter (where status = 'estimated'), 0)
from used
left join costspan.call_kind as kind on kind.kind_id = used.kind_id
left join costspan.tenant on tenant.tenant_key = used.tenant_key
group by kind.service, kind.model, tenant.tenant_id
having sum(calls) <> 0
order by sum(cost_pico) desc, 2, 4, 7
