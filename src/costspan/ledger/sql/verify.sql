-- name: read
-- One snapshot for all checks, so that neither a writer nor a compaction looks like an error. The tables are held before it
-- is taken: a partition that was emptied after it must not go.
set transaction isolation level repeatable read, read only;
set local role costspan_admin;
set local statement_timeout = 0;
set local idle_in_transaction_session_timeout = 0;
set local cursor_tuple_fraction = 1;
set local jit = off;
set local work_mem = '64MB';
lock table only costspan.call, only costspan.call_detail, only costspan.usage_hour in access share mode

-- name: kept_since
select max(kept_since) from costspan.retention

-- name: days
-- Every day of which anything is stored, and how many calls it has by its sums.
select day, sum(calls)::bigint
from (
    select (hour at time zone 'UTC')::date as day, calls from costspan.usage_hour
    union all
    select day, calls from costspan.usage_day
    union all
    select day, 0 from costspan.usage_day_detail
    union all
    select day, 0 from costspan.call_slice
    union all
    select distinct (at at time zone 'UTC')::date, 0 from costspan.call
    union all
    select distinct (at at time zone 'UTC')::date, 0 from costspan.call_detail
    union all
    select distinct (at at time zone 'UTC')::date, 0 from costspan.correction
    union all
    select distinct (quarter at time zone 'UTC')::date, 0 from costspan.usage_correction
) as stored
group by day
order by day

-- Each of the following answers: how many things were compared, how many differ, and the first few of these.

-- name: hours
-- Of a day: sums per hour, and the calls that are rows.
with truth as (
    select
        tenant_key, date_bin('1 hour', at, '2000-01-01 00:00+00') as hour, kind_id,
        array[
            count(*), sum(tokens_in), sum(tokens_out), coalesce(sum(cache_read), 0),
            coalesce(sum(cache_write_5m), 0) + coalesce(sum(cache_write_1h), 0)
                + coalesce(sum(cache_write_30m), 0) + coalesce(sum(cache_write_12h), 0),
            coalesce(sum(reasoning), 0), sum(duration_ms), coalesce(sum(cost_pico), 0)
        ]::numeric[] as sums
    from costspan.call
    where at >= %(start)s and at < %(end)s
    group by 1, 2, 3
),
kept as (
    select
        tenant_key, hour, kind_id,
        array[calls, tokens_in, tokens_out, cache_read, cache_write, reasoning, duration_ms, cost_pico]::numeric[] as sums
    from costspan.usage_hour
    where hour >= %(start)s and hour < %(end)s
)
select
    count(*), count(*) filter (where kept.sums is distinct from truth.sums),
    (array_agg(
        format('tenant %%s, %%s, kind %%s: kept %%s, calls %%s', tenant_key, hour at time zone 'UTC', kind_id,
               coalesce(kept.sums::text, 'none'), coalesce(truth.sums::text, 'none'))
        order by tenant_key, hour, kind_id
    ) filter (where kept.sums is distinct from truth.sums))[1:5]
from kept full join truth using (tenant_key, hour, kind_id)

-- name: fine_sums
-- Of a day whose calls are kept: sums per quarter of an hour and per context, and the calls in slices.
with cold as (
    select tenant_key, unnest(calls) as call from costspan.call_slice where day = %(day)s
),
added as (
    select
        tenant_key,
        case when grouping((cold.call).context_id) = 1 then 'quarter' else 'context' end as of,
        case
            when grouping((cold.call).context_id) = 0 then (cold.call).context_id
            else (extract(epoch from date_bin('15 minutes', (cold.call).at, '2000-01-01 00:00+00') - %(start)s) / 900)::int
        end as place,
        (cold.call).kind_id as kind_id,
        array[
            count(*), sum((cold.call).tokens_in), sum((cold.call).tokens_out), coalesce(sum((cold.call).cache_read), 0),
            coalesce(sum((cold.call).cache_write_5m), 0) + coalesce(sum((cold.call).cache_write_1h), 0)
                + coalesce(sum((cold.call).cache_write_30m), 0) + coalesce(sum((cold.call).cache_write_12h), 0),
            coalesce(sum((cold.call).reasoning), 0), sum((cold.call).duration_ms), coalesce(sum((cold.call).cost_pico), 0)
        ]::numeric[] as sums
    from cold
    group by grouping sets (
        (tenant_key, (cold.call).kind_id, date_bin('15 minutes', (cold.call).at, '2000-01-01 00:00+00')),
        (tenant_key, (cold.call).kind_id, (cold.call).context_id)
    )
),
kept as (
    select detail.tenant_key, 'quarter' as of, fine.quarter::int as place, fine.kind_id,
        array[
            sum(fine.calls), sum(fine.tokens_in), sum(fine.tokens_out), sum(fine.cache_read), sum(fine.cache_write),
            sum(fine.reasoning), sum(fine.duration_ms), sum(fine.cost_pico)
        ]::numeric[] as sums
    from costspan.usage_day_detail as detail, unnest(detail.quarters) as fine
    where detail.day = %(day)s
    group by 1, 3, 4
    union all
    select detail.tenant_key, 'context', fine.context_id, fine.kind_id,
        array[
            sum(fine.calls), sum(fine.tokens_in), sum(fine.tokens_out), sum(fine.cache_read), sum(fine.cache_write),
            sum(fine.reasoning), sum(fine.duration_ms), sum(fine.cost_pico)
        ]::numeric[]
    from costspan.usage_day_detail as detail, unnest(detail.contexts) as fine
    where detail.day = %(day)s
    group by 1, 3, 4
)
select
    count(*), count(*) filter (where kept.sums is distinct from added.sums),
    (array_agg(
        format('tenant %%s, %%s, %%s %%s, kind %%s: kept %%s, calls %%s',
               tenant_key, %(day)s::date, of, place, kind_id,
               coalesce(kept.sums::text, 'none'), coalesce(added.sums::text, 'none'))
        order by tenant_key, of desc, place, kind_id
    ) filter (where kept.sums is distinct from added.sums))[1:5]
from kept full join added using (tenant_key, of, place, kind_id)

-- name: days_sums
-- Of a day: sums per day, and those per quarter of an hour. Both are kept for ever.
with fine as (
    select detail.tenant_key, quarter.kind_id,
        array[
            sum(quarter.calls), sum(quarter.tokens_in), sum(quarter.tokens_out), sum(quarter.cache_read),
            sum(quarter.cache_write), sum(quarter.reasoning), sum(quarter.duration_ms), sum(quarter.cost_pico)
        ]::numeric[] as sums
    from costspan.usage_day_detail as detail, unnest(detail.quarters) as quarter
    where detail.day = %(day)s
    group by 1, 2
),
kept as (
    select tenant_key, kind_id,
        array[calls, tokens_in, tokens_out, cache_read, cache_write, reasoning, duration_ms, cost_pico]::numeric[] as sums
    from costspan.usage_day
    where day = %(day)s
)
select
    count(*), count(*) filter (where kept.sums is distinct from fine.sums),
    (array_agg(
        format('tenant %%s, %%s, kind %%s: day %%s, quarters %%s', tenant_key, %(day)s::date, kind_id,
               coalesce(kept.sums::text, 'none'), coalesce(fine.sums::text, 'none'))
        order by tenant_key, kind_id
    ) filter (where kept.sums is distinct from fine.sums))[1:5]
from kept full join fine using (tenant_key, kind_id)

-- name: corrected_sums
-- Of a day whose calls are kept: sums of corrections, and the corrections.
with truth as (
    select
        made.tenant_key, date_bin('15 minutes', made.at, '2000-01-01 00:00+00') as quarter, side.kind_id,
        array[
            sum(side.sign), sum(side.sign * made.tokens_in), sum(side.sign * made.tokens_out), sum(side.sign * made.cache_read),
            sum(side.sign * made.cache_write), sum(side.sign * made.reasoning), sum(side.sign * made.duration_ms),
            sum(side.sign * coalesce(side.cost_pico, 0))
        ]::numeric[] as sums
    from costspan.correction as made
    cross join lateral (
        values (-1::bigint, made.kind_before, made.cost_before), (1, made.kind_after, made.cost_after)
    ) as side (sign, kind_id, cost_pico)
    where made.at >= %(start)s and made.at < %(end)s
    group by 1, 2, 3
),
kept as (
    select
        tenant_key, quarter, kind_id,
        array[calls, tokens_in, tokens_out, cache_read, cache_write, reasoning, duration_ms, cost_pico]::numeric[] as sums
    from costspan.usage_correction
    where quarter >= %(start)s and quarter < %(end)s
)
select
    count(*), count(*) filter (where kept.sums is distinct from truth.sums),
    (array_agg(
        format('tenant %%s, %%s, kind %%s: kept %%s, corrections %%s',
               tenant_key, quarter at time zone 'UTC', kind_id,
               coalesce(kept.sums::text, 'none'), coalesce(truth.sums::text, 'none'))
        order by tenant_key, quarter, kind_id
    ) filter (where kept.sums is distinct from truth.sums))[1:5]
from kept full join truth using (tenant_key, quarter, kind_id)

-- name: chains
-- Of a day whose calls are kept: each correction begins with what counted before it, and is of a call.
with made as (
    select *, lag(kind_after) over by_call as kind_due, lag(cost_after) over by_call as cost_due, lag(revision) over by_call as last
    from costspan.correction
    where at >= %(start)s and at < %(end)s
    window by_call as (partition by call_id order by revision)
),
judged as (
    select
        made.call_id, made.revision,
        case
            when call.id is null then 'there is no such call'
            when made.revision <> coalesce(made.last, 0) + 1 then format('it follows revision %%s', coalesce(made.last, 0))
            when made.kind_before <> coalesce(made.kind_due, call.kind_id)
                or made.cost_before is distinct from case when made.revision = 1 then call.cost_pico else made.cost_due end
                then 'it begins with another kind or cost than counted before'
            when (made.at, made.tenant_key, made.context_id, made.tokens_in, made.tokens_out, made.duration_ms)
                <> (call.at, call.tenant_key, call.context_id, call.tokens_in, call.tokens_out, call.duration_ms)
                then 'its call has other numbers'
        end as wrong
    from made
    left join (
        select * from costspan.stored_calls(%(day)s) where id = any(array(select call_id from made))
    ) as call on call.id = made.call_id
)
select
    count(*), count(wrong),
    (array_agg(format('call %%s, revision %%s: %%s', call_id, revision, wrong) order by call_id, revision)
        filter (where wrong is not null))[1:5]
from judged

-- name: slices
-- Of a day: what a slice says of its calls without being opened.
with opened as (
    select tenant_key, part, unnest(calls) as call from costspan.call_slice where day = %(day)s
),
truth as (
    select
        tenant_key, part, count(*) as size, min((opened.call).at) as at_min, max((opened.call).at) as at_max,
        max((opened.call).cost_pico) as cost_max,
        array_agg(distinct (opened.call).context_id order by (opened.call).context_id) as contexts,
        coalesce(
            array_agg(distinct (('x' || right((opened.call).trace_id::text, 4))::bit(16)::int - 32768)::smallint)
                filter (where (opened.call).trace_id is not null),
            '{}'
        ) as traces
    from opened
    group by tenant_key, part
),
judged as (
    select
        slice.tenant_key, slice.part,
        case
            when truth.at_min < %(start)s or truth.at_max >= %(end)s then 'a call is of another day'
            when slice.size <> truth.size then format('size is %%s, and there are %%s calls', slice.size, truth.size)
            when slice.at_min <> truth.at_min or slice.at_max <> truth.at_max then 'at_min or at_max is of no call'
            when slice.cost_max is distinct from truth.cost_max then 'cost_max is of no call'
            when array(select unnest(slice.contexts) order by 1) <> truth.contexts then 'contexts are not those of its calls'
            when array(select unnest(slice.traces) order by 1) <> truth.traces then 'traces are not those of its calls'
        end as wrong
    from costspan.call_slice as slice
    left join truth using (tenant_key, part)
    where slice.day = %(day)s
)
select
    count(*), count(wrong),
    (array_agg(format('tenant %%s, %%s, slice %%s: %%s', tenant_key, %(day)s::date, part, wrong) order by tenant_key, part)
        filter (where wrong is not null))[1:5]
from judged

-- name: places
-- Of a day: each call is in one place. And what is stored beside a call has its call.
with places as (
    select id from costspan.call where at >= %(start)s and at < %(end)s
    union all
    select (cold.call).id from (select unnest(calls) as call from costspan.call_slice where day = %(day)s) as cold
),
stored as (
    select id, count(*) as times from places group by id
),
judged as (
    select
        coalesce(stored.id, detail.call_id) as id,
        case
            when stored.times > 1 then format('it is stored %%s times', stored.times)
            when stored.id is null then 'its detail is stored, and it is not'
            when detail.times > 1 then format('it has %%s details', detail.times)
        end as wrong
    from stored
    full join (
        select call_id, count(*) as times from costspan.call_detail where at >= %(start)s and at < %(end)s group by call_id
    ) as detail on detail.call_id = stored.id
)
select
    count(*), count(wrong),
    (array_agg(format('call %%s: %%s', id, wrong) order by id) filter (where wrong is not null))[1:5]
from judged

-- name: references
-- Every number of a tenant, a kind or a context that is stored is one of the dictionary, and of the same tenant.
with named as (
    select 'usage_hour' as relation, tenant_key, kind_id, null::int as context_id from costspan.usage_hour
    union select 'usage_day', tenant_key, kind_id, null from costspan.usage_day
    union select 'usage_correction', tenant_key, kind_id, null from costspan.usage_correction
    union select 'call', tenant_key, kind_id, context_id from costspan.call
    union select 'call_slice', tenant_key, null, unnest(contexts) from costspan.call_slice
    union select 'correction', tenant_key, kind_before, context_id from costspan.correction
    union select 'correction', tenant_key, kind_after, context_id from costspan.correction
    union select 'call_detail', tenant_key, null, null from costspan.call_detail
    union select 'kind_rate', tenant_key, kind_id, null from costspan.kind_rate
    union select 'call_kind', tenant_key, null, null from costspan.call_kind
    union select 'call_context', tenant_key, null, null from costspan.call_context
    union select 'usage_day_detail', tenant_key, null, null from costspan.usage_day_detail
),
judged as (
    select
        named.*,
        case
            when tenant.tenant_key is null then 'there is no such tenant'
            when named.kind_id is not null and kind.kind_id is null then 'there is no such kind'
            when named.context_id is not null and context.context_id is null then 'there is no such context'
            when kind.tenant_key <> named.tenant_key then 'the kind is of another tenant'
            when context.tenant_key <> named.tenant_key then 'the context is of another tenant'
        end as wrong
    from named
    left join costspan.tenant as tenant on tenant.tenant_key = named.tenant_key
    left join costspan.call_kind as kind on kind.kind_id = named.kind_id
    left join costspan.call_context as context on context.context_id = named.context_id
)
select
    count(*), count(wrong),
    (array_agg(
        format('%%s, tenant %%s, kind %%s, context %%s: %%s', relation, tenant_key, kind_id, context_id, wrong)
        order by relation, tenant_key, kind_id, context_id
    ) filter (where wrong is not null))[1:5]
from judged

-- name: writers
-- What the writers counted, and what is stored. Sums are kept for ever, so they have every call that was ever written;
-- what could not be read goes when old calls do.
with counted as (
    select
        coalesce(sum(calls), 0) as calls, coalesce(sum(unsettled), 0) as unsettled, coalesce(sum(quarantined), 0) as quarantined
    from costspan.writer
),
compared as (
    select 'calls' as what, calls as counted,
        coalesce((select sum(calls) from costspan.usage_hour), 0) + coalesce((select sum(calls) from costspan.usage_day), 0) as stored
    from counted
    union all
    select 'unsettled attempts', unsettled, (select count(*) from costspan.unsettled) from counted
    union all
    select 'quarantined records',
        case when exists (select from costspan.retention) then least(quarantined, stored) else quarantined end, stored
    from counted, (select count(*) as stored from costspan.quarantine) as kept
)
select
    count(*), count(*) filter (where counted <> stored),
    (array_agg(format('%%s: writers counted %%s, stored are %%s', what, counted, stored) order by what)
        filter (where counted <> stored))[1:5]
from compared

-- name: calls
-- Of a day: what a bill follows from. A sample takes each call with the same chance, wherever it lies.
select
    id, kind_id, kind_now, cost_pico, cost_now, revision,
    tokens_in, tokens_out, cache_read, cache_write_5m, cache_write_1h, cache_write_30m, cache_write_12h, reasoning,
    lines::text, quantities::text, problem, lines_now::text
from costspan.stored_calls(%(day)s)
where (hashint8extended(id, %(seed)s) & 9223372036854775807) %% %(one_of)s = 0
