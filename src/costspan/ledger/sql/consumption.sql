-- name: of_kinds
-- What the calls of each kind consumed. Of kinds that cannot be summed the number of calls is still told.
select
    used.kind_id, null, null, null, sum(used.calls)::bigint, sum(used.tokens_in)::bigint, sum(used.tokens_out)::bigint,
    sum(used.cache_read)::bigint, sum(used.cache_write)::bigint, sum(used.reasoning)::bigint, sum(used.cost_pico)
from costspan.usage(%(start)s, %(end)s, array[%(start)s, %(end)s]::timestamptz[]) as used
group by used.kind_id
having sum(used.calls) <> 0  -- corrections may leave nothing
    and (not %(cached)s or sum(used.cache_read) <> 0 or sum(used.cache_write) <> 0)

-- name: of_contexts
-- Likewise, for whom. Few rows before they meet their contexts.
select
    used.kind_id,
    case when 'feature' = any(%(by)s) then context.feature end,
    case when 'session' = any(%(by)s) then context.session_id end,
    case when 'user' = any(%(by)s) then context.user_id end,
    sum(used.calls)::bigint, sum(used.tokens_in)::bigint, sum(used.tokens_out)::bigint, sum(used.cache_read)::bigint,
    sum(used.cache_write)::bigint, sum(used.reasoning)::bigint, sum(used.cost_pico)
from (
    select
        kind_id, context_id, sum(calls) as calls, sum(tokens_in) as tokens_in, sum(tokens_out) as tokens_out,
        sum(cache_read) as cache_read, sum(cache_write) as cache_write, sum(reasoning) as reasoning, sum(cost_pico) as cost_pico
    from costspan.usage_of_contexts(%(start)s, %(end)s, array[%(start)s, %(end)s]::timestamptz[])
    group by kind_id, context_id
) as used
left join costspan.call_context as context on context.context_id = used.context_id
group by 1, 2, 3, 4
having sum(used.calls) <> 0
    and (not %(cached)s or sum(used.cache_read) <> 0 or sum(used.cache_write) <> 0)

-- name: kinds
-- What was called, and at which rates: as many units as rates. Texts, as a rate has more digits than a float.
select
    kind.kind_id, tenant.tenant_id, kind.service, kind.provider, kind.model, kind.operation, kind.terms, kind.status,
    rate.units, rate.rates
from costspan.call_kind as kind
left join costspan.tenant on tenant.tenant_key = kind.tenant_key
left join lateral (
    select array_agg(unit) as units, array_agg(rate_atto::text) as rates
    from costspan.kind_rate
    where kind_rate.kind_id = kind.kind_id
) as rate on true
where kind.kind_id = any(%(kinds)s)

-- name: dropped
-- Whether calls were dropped whose bills a question from this instant on would need.
select coalesce(max(kept_since)::timestamp at time zone 'UTC' > %(start)s, false) from costspan.retention

-- name: odd_rates
-- At which rates the calls whose bill does not follow from the rates of their kind had something from a cache, and what the
-- same bill says of plain input: null where there is none, or more than one. Of a call that was priced again its last
-- correction counts.
with spelt_out as (
    select detail.tenant_key, detail.lines
    from costspan.call_detail as detail
    left join costspan.current_correction as correction on correction.call_id = detail.call_id
    where detail.at >= %(start)s and detail.at < %(end)s and detail.lines is not null and correction.call_id is null
    union all
    select tenant_key, lines
    from costspan.current_correction
    where at >= %(start)s and at < %(end)s and lines is not null
)
select distinct tenant.tenant_id, line ->> 'model', line ->> 'unit', line ->> 'rate_atto', plain.rate_atto
from spelt_out
left join costspan.tenant on tenant.tenant_key = spelt_out.tenant_key
cross join lateral jsonb_array_elements(spelt_out.lines) as line
cross join lateral (
    select case when count(distinct input ->> 'rate_atto') = 1 then min(input ->> 'rate_atto') end as rate_atto
    from jsonb_array_elements(spelt_out.lines) as input
    where input ->> 'unit' = 'input_tokens' and input ->> 'model' = line ->> 'model'
) as plain
where line ->> 'unit' = any(%(units)s)

-- name: spelt_out
-- These calls with their lines, and of which kind a corrected one is now: all, or those that have any of some lines (model,
-- unit, rate).
with spelt_out as (
    select detail.call_id, detail.at, detail.tenant_key, detail.lines, null::int as kind_id, null::bigint as cost_pico
    from costspan.call_detail as detail
    left join costspan.current_correction as correction on correction.call_id = detail.call_id
    where detail.at >= %(start)s and detail.at < %(end)s and detail.lines is not null and correction.call_id is null
    union all
    select call_id, at, tenant_key, lines, kind_after, cost_after
    from costspan.current_correction
    where at >= %(start)s and at < %(end)s and lines is not null
)
select call_id, at, tenant_key, lines::text, kind_id, cost_pico
from spelt_out
where %(strange)s::jsonb is null
    or exists (
        select from jsonb_array_elements(lines) as line
        where %(strange)s::jsonb
            @> jsonb_build_array(jsonb_build_array(line ->> 'model', line ->> 'unit', coalesce(line ->> 'rate_atto', '')))
    )
limit %(limit)s

-- name: calls
-- What these calls consumed, and for which feature where that is asked.
select
    call.id, call.kind_id, case when 'feature' = any(%(by)s) then coalesce(context.feature, '') end, call.tokens_in,
    call.tokens_out, coalesce(call.cache_read, 0),
    coalesce(call.cache_write_5m, 0)::bigint + coalesce(call.cache_write_1h, 0)
        + coalesce(call.cache_write_30m, 0) + coalesce(call.cache_write_12h, 0),
    coalesce(call.cost_pico, 0)
from unnest((select costspan.calls_of(%(ids)s::bigint[], %(ats)s::timestamptz[], %(tenant_keys)s::int[]))) as call
left join costspan.call_context as context on context.context_id = call.context_id
