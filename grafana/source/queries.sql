-- What the panels ask the ledger. A name in braces is replaced by build.py, what begins with a dollar by Grafana.
--
-- Grafana looks for macros in the values of variables, too: who is named $__timeFrom() would be SQL. So no such name is offered
-- as a value, and where a cell can be clicked, which makes its text a value, the name is shown with a blank in it.

-- name: used
-- What was used by whom, of which kind, in each step of time. Sums by kind are kept for ever; a feature is known of calls only,
-- so it is asked for only where one is chosen.
select
    used.bucket, used.kind_id, kind.service, kind.provider, kind.model, kind.operation, kind.terms, kind.status, tenant.tenant_id,
    used.calls, used.tokens_in, used.tokens_out, used.cache_read, used.cache_write, used.reasoning, used.cost_pico
from (
    select
        tenant_key, kind_id, {bucket} as bucket, sum(calls) as calls, sum(tokens_in) as tokens_in,
        sum(tokens_out) as tokens_out, sum(cache_read) as cache_read, sum(cache_write) as cache_write,
        sum(reasoning) as reasoning, sum(cost_pico) as cost_pico
    from (
        select tenant_key, at, kind_id, calls, tokens_in, tokens_out, cache_read, cache_write, reasoning, cost_pico
        from costspan.usage({since}, {until}, {boundaries})
        where '*' in (${feature:sqlstring})
        union all
        select
            part.tenant_key, at, kind_id, calls, tokens_in, tokens_out, cache_read, cache_write, reasoning, cost_pico
        from costspan.usage_of_contexts({since}, {until}, {boundaries}) as part
        join costspan.call_context as context on context.context_id = part.context_id
        where '*' not in (${feature:sqlstring}) and context.feature in (${feature:sqlstring})
    ) as part
    group by 1, 2, 3
    having sum(calls) <> 0  -- corrections may leave nothing
) as used
join costspan.call_kind as kind on kind.kind_id = used.kind_id
join costspan.tenant on tenant.tenant_key = used.tenant_key
where {chosen}

-- name: used_for
-- Likewise, and for what: a session, a user, a feature.
select
    used.bucket, used.kind_id, kind.service, kind.provider, kind.model, kind.operation, kind.terms, kind.status, tenant.tenant_id,
    context.session_id, context.user_id, context.feature,
    used.calls, used.tokens_in, used.tokens_out, used.cache_read, used.cache_write, used.reasoning, used.cost_pico
from (
    select
        tenant_key, kind_id, context_id, {bucket} as bucket, sum(calls) as calls, sum(tokens_in) as tokens_in,
        sum(tokens_out) as tokens_out, sum(cache_read) as cache_read, sum(cache_write) as cache_write,
        sum(reasoning) as reasoning, sum(cost_pico) as cost_pico
    from costspan.usage_of_contexts({since}, {until}, {boundaries})
    group by 1, 2, 3, 4
    having sum(calls) <> 0
) as used
join costspan.call_kind as kind on kind.kind_id = used.kind_id
join costspan.call_context as context on context.context_id = used.context_id
join costspan.tenant on tenant.tenant_key = used.tenant_key
where {chosen}
    and ('*' in (${feature:sqlstring}) or context.feature in (${feature:sqlstring}))

-- name: unit
-- By hours for up to three days, by days beyond.
case when {until} - {since} <= interval '3 days' then 'hour' else 'day' end

-- name: bucket_over_time
date_trunc({unit}, at, ${zone:sqlstring})

-- name: bucket_at_once
null::timestamptz

-- name: boundaries_over_time
array(
                select step at time zone ${zone:sqlstring}
                from generate_series(
                    date_trunc({unit}, {since} at time zone ${zone:sqlstring}), {until} at time zone ${zone:sqlstring},
                    ('1 ' || {unit})::interval
                ) as step
            ) || array[{since}, {until}]

-- name: boundaries_at_once
array[{since}, {until}]

-- name: chosen
('*' in (${tenant:sqlstring}) or tenant.tenant_id in (${tenant:sqlstring}))
    and ('*' in (${service:sqlstring}) or kind.service in (${service:sqlstring}))
    and ('*' in (${model:sqlstring}) or kind.model in (${model:sqlstring}))

-- name: chosen_call
('*' in (${tenant:sqlstring}) or tenant_id in (${tenant:sqlstring}))
    and ('*' in (${service:sqlstring}) or service in (${service:sqlstring}))
    and ('*' in (${model:sqlstring}) or model in (${model:sqlstring}))
    and ('*' in (${feature:sqlstring}) or feature in (${feature:sqlstring}))

-- name: cost
-- Unknown is not nothing: where no call has a known cost there is none.
costspan.usd(sum(cost_pico) filter (where status not in ('unpriced', 'invalid')))

-- name: a_call
-- Of the calls whose cost is known.
{cost} / nullif(sum(calls) filter (where status not in ('unpriced', 'invalid')), 0) as "A call"

-- name: tenant
replace(tenant_id, '$' || '__', '$ __') as "Tenant"

-- name: session
replace(session_id, '$' || '__', '$ __') as "Session"

-- name: feature
replace(coalesce(nullif(feature, ''), 'not said'), '$' || '__', '$ __') as "Feature"

-- name: spent
with used as ({used})
select
    case when count(*) = 0 then 0 else {cost} end as "Spent",
    coalesce(sum(calls), 0) as "Calls",
    sum(calls) filter (where status = 'priced') / nullif(sum(calls), 0) as "Priced exactly"
from used

-- name: spent_alone
with used as ({used})
select case when count(*) = 0 then 0 else {cost} end as "Spent" from used

-- name: over_time_by_service
with used as ({used})
select bucket as time, service as metric, {cost} as value
from used
group by bucket, service
order by bucket, service

-- name: over_time_by_model
with used as ({used}),
dearest as (select model from used group by model order by sum(cost_pico) desc, model limit 8)
select bucket as time, case when model in (select model from dearest) then model else 'others' end as metric, {cost} as value
from used
group by 1, 2
order by 1, 2

-- name: by_model
with used as ({used})
select
    model as "Model", {cost} as "Cost", sum(calls) as "Calls", {a_call},
    sum(tokens_in) filter (where status <> 'invalid') as "Tokens in",
    sum(tokens_out) filter (where status <> 'invalid') as "Tokens out"
from used
group by model
order by 2 desc nulls last, 1
limit 50

-- name: by_tenant
with used as ({used})
select {tenant}, {cost} as "Cost", sum(calls) as "Calls", {a_call}
from used
group by tenant_id
order by 2 desc nulls last, 1
limit 100

-- name: by_feature
with used as ({used_for})
select
    {feature}, {cost} as "Cost", sum(calls) as "Calls", {a_call}
from used
group by 1
order by 2 desc nulls last, 1
limit 100

-- name: by_certainty
-- What is not priced comes first, so that a model without a price is named and not only counted.
with used as ({used})
select status as "Status", service as "Service", model as "Model", sum(calls) as "Calls", {cost} as "Cost"
from used
group by 1, 2, 3
order by status = 'priced', 4 desc, 3
limit 50

-- name: sessions
with used as ({used_for})
select
    {tenant}, {session}, {cost} as "Cost", sum(calls) as "Calls",
    string_agg(distinct nullif(user_id, ''), ', ') as "Users", string_agg(distinct nullif(feature, ''), ', ') as "Features"
from used
where session_id <> ''
group by 1, 2
order by 3 desc nulls last, 1, 2
limit 100

-- name: sessions_usual
-- A session without a known cost is in no median: unknown is not nothing.
with used as ({used_for}),
session as (select {cost} as cost_usd from used where session_id <> '' group by tenant_id, session_id)
select
    count(*) as "Sessions",
    percentile_disc(0.5) within group (order by cost_usd) as "Median",
    percentile_disc(0.95) within group (order by cost_usd) as "95 of 100 cost at most",
    max(cost_usd) as "Dearest"
from session

-- name: sessions_spread
with used as ({used_for})
select {cost} as "A session"
from used
where session_id <> ''
group by tenant_id, session_id
order by 1 desc nulls last
limit 5000

-- name: by_user
with used as ({used_for})
select
    {tenant}, coalesce(nullif(user_id, ''), 'not said') as "User", operation as "Operation",
    {cost} as "Cost", sum(calls) as "Calls", {a_call}
from used
group by 1, 2, 3
order by 4 desc nulls last, 1, 2, 3
limit 100

-- name: dearest_calls
select
    timestamp as "Time", {tenant}, {session}, model as "Model", operation as "Operation",
    {feature}, tokens_in as "Tokens in", tokens_out as "Tokens out", cost_usd as "Cost", status as "Status",
    trace_id as "Trace"
from costspan.dearest_calls({since}, {until}, 2000)
where {chosen_call}
order by cost_usd desc nulls last, timestamp desc
limit 50

-- name: calls
select
    timestamp as "Time", {tenant}, {session}, user_id as "User", model as "Model",
    operation as "Operation", {feature}, tokens_in as "Tokens in", tokens_out as "Tokens out",
    duration_ms as "Duration", cost_usd as "Cost", status as "Status", trace_id as "Trace"
from (
    select * from costspan.session_calls(${session:sqlstring}, 500)
    union all
    select * from costspan.newest_calls({since}, {until}, 500) where ${session:sqlstring} = ''
) as call
where {chosen_call}
order by timestamp desc, id desc
limit 200

-- name: tokens_over_time
with used as ({used})
select bucket as time, part.metric, sum(part.tokens) as value
from used
cross join lateral (
    values
        (1, 'input', tokens_in - cache_read - cache_write),
        (2, 'read from the prompt cache', cache_read),
        (3, 'written to the prompt cache', cache_write),
        (4, 'output', tokens_out)
) as part (place, metric, tokens)
where status <> 'invalid'
group by bucket, part.place, part.metric
order by bucket, part.place

-- name: prompt_cache
-- What reads saved, at the rates that calls of the same kind were billed at. Exact is `GET /api/savings`, which also looks at
-- the calls whose bill does not follow from these.
with used as ({used}),
rated as (
    select
        used.*,
        case when cache_read = 0 then 0 else cache_read * (
            select plain.rate_atto - cached.rate_atto
            from costspan.kind_rate as plain
            join costspan.kind_rate as cached on cached.kind_id = plain.kind_id
            where plain.kind_id = used.kind_id and plain.unit = 'input_tokens' and cached.unit = 'cache_read_tokens'
        ) * 0.000001 end as saved_pico
    from used
    where status <> 'invalid'
)
select
    model as "Model",
    sum(cache_read) / nullif(sum(tokens_in), 0) as "Share read",
    sum(tokens_in) as "Tokens in",
    sum(cache_read) as "Read",
    sum(cache_write) as "Written",
    sum(cache_read) / nullif(sum(cache_write), 0) as "Reads a write",
    costspan.usd(sum(saved_pico)) as "Reads saved"
from rated
where operation <> 'embeddings'
group by model
having sum(tokens_in) > 0
order by 3 desc, 1
limit 50

-- name: cache_rate
select date_trunc({unit}, quarter, ${zone:sqlstring}) as time, cache as metric, sum(hits)::float8 / sum(hits + misses) as value
from ai_cache_usage
where quarter >= {since} and quarter < {until} and {chosen_cache}
group by 1, 2
having sum(hits + misses) > 0
order by 1, 2

-- name: cache_use
select
    cache as "Cache", model as "Model", sum(hits)::float8 / nullif(sum(hits + misses), 0) as "Hit rate", sum(hits) as "Hits",
    sum(misses) as "Misses", sum(tokens_avoided) as "Tokens", sum(avoided_usd) as "Avoided"
from ai_cache_usage
where quarter >= {since} and quarter < {until} and {chosen_cache}
group by 1, 2
order by 4 desc, 1, 2
limit 50

-- name: chosen_cache
('*' in (${tenant:sqlstring}) or tenant_id in (${tenant:sqlstring}))
    and ('*' in (${model:sqlstring}) or model in (${model:sqlstring}))
    and ('*' in (${feature:sqlstring}) or feature in (${feature:sqlstring}))

-- name: output_length
with used as ({used_for})
select
    {feature}, model as "Model", sum(calls) as "Calls",
    sum(tokens_out) / sum(calls) as "Output a call", sum(reasoning) / nullif(sum(tokens_out), 0) as "Reasoning",
    {a_call}, {cost} as "Cost"
from used
where status <> 'invalid'
group by 1, 2
having sum(tokens_out) > 0
order by 7 desc nulls last, 1, 2
limit 50

-- name: by_terms
with used as ({used})
select
    service as "Service", model as "Model", terms as "Terms", sum(calls) as "Calls", {cost} as "Cost",
    {a_call}
from used
group by 1, 2, 3
order by 5 desc nulls last, 1, 2, 3
limit 50

-- name: audit
-- Every intent must have become a call, an ending or a record that was put aside.
select
    sum(intents) as "Attempts", sum(calls) as "Billed", sum(failed) as "Failed", sum(unsettled) as "Nobody knows",
    sum(duplicates) as "Read twice", sum(quarantined) as "Quarantined"
from costspan.writer

-- name: tenants
select tenant_id from costspan.tenant where tenant_id not like '%$\_\_%' order by 1

-- name: services
select distinct service from costspan.call_kind where service not like '%$\_\_%' order by 1

-- name: models
select distinct model
from costspan.call_kind
where ('*' in (${service:sqlstring}) or service in (${service:sqlstring})) and model not like '%$\_\_%'
order by 1

-- name: features
select distinct feature from costspan.call_context where feature <> '' and feature not like '%$\_\_%' order by 1 limit 1000
