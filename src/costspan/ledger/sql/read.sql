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

-- name: audit
select
    coalesce(sum(intents), 0)::bigint, coalesce(sum(calls), 0)::bigint, coalesce(sum(duplicates), 0)::bigint,
    coalesce(sum(failed), 0)::bigint, coalesce(sum(unsettled), 0)::bigint, coalesce(sum(quarantined), 0)::bigint,
    coalesce(sum(torn_bytes), 0)::bigint
from costspan.writer
