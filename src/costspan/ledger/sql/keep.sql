-- name: become
-- A hung keeper must not hold late writers for ever.
set transaction isolation level read committed;
set local role costspan_keeper;
set local statement_timeout = '5min';
set local lock_timeout = '10s';
set local idle_in_transaction_session_timeout = '60s';
set local work_mem = '64MB';
set local jit = off

-- name: take_turn
-- One keeper at a time in a database, until its transaction ends; another one finds it taken and leaves.
select pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended('costspan.keeper', 0))

-- name: due_days
-- The sums know which days have rows, and are far fewer than these.
select (hour at time zone 'UTC')::date, sum(calls)::bigint
from costspan.usage_hour
where hour < %(before)s
group by 1
order by 1

-- name: due_tenants
select tenant_key, sum(calls)::bigint
from costspan.usage_hour
where hour >= %(start)s and hour < %(end)s
group by tenant_key
order by tenant_key

-- name: due_hours
select hour, sum(calls)::bigint
from costspan.usage_hour
where hour >= %(start)s and hour < %(end)s and tenant_key = %(tenant)s
group by hour
order by hour

-- name: lock_sums
-- Late calls of these hours wait here until the unit is done. In the order of their writers, who never meet us in a circle.
select count(*)
from (
    select from costspan.usage_hour
    where hour >= %(start)s and hour < %(end)s and tenant_key between %(first)s and %(last)s
    order by tenant_key, hour, kind_id
    for update
) as locked

-- name: compact
-- Moves the calls of [start, end) of the tenants from first to last. All of it in one statement, so that what is summed and
-- sliced is what is deleted, whatever else comes meanwhile. The last column says whether the sums that are deleted are these:
-- sums that were begun since lock_sums() may have been added to since this statement began.
with taken as materialized (
    delete from costspan.call
    where at >= %(start)s and at < %(end)s and tenant_key between %(first)s and %(last)s
    returning
        tenant_key, at, cost_pico, span_id, id, trace_id, context_id, kind_id, tokens_in, tokens_out, duration_ms, cache_read,
        cache_write_5m, cache_write_1h, cache_write_30m, cache_write_12h, reasoning, retry
),
hours as (
    delete from costspan.usage_hour
    where hour >= %(start)s and hour < %(end)s and tenant_key between %(first)s and %(last)s
    returning calls, tokens_in, tokens_out, cache_read, cache_write, reasoning, duration_ms, cost_pico
),
fine as materialized (
    select
        tenant_key, kind_id, date_bin('15 minutes', at, '2000-01-01 00:00+00') as quarter, context_id,
        grouping(context_id) = 1 as is_quarter,
        count(*) as calls, sum(tokens_in) as tokens_in, sum(tokens_out) as tokens_out,
        coalesce(sum(cache_read), 0) as cache_read,
        coalesce(sum(cache_write_5m), 0) + coalesce(sum(cache_write_1h), 0)
            + coalesce(sum(cache_write_30m), 0) + coalesce(sum(cache_write_12h), 0) as cache_write,
        coalesce(sum(reasoning), 0) as reasoning, sum(duration_ms) as duration_ms,
        coalesce(sum(cost_pico), 0) as cost_pico
    from taken
    group by grouping sets (
        (tenant_key, kind_id, date_bin('15 minutes', at, '2000-01-01 00:00+00')), (tenant_key, kind_id, context_id)
    )
),
days as (
    insert into costspan.usage_day as sums (
        tenant_key, day, kind_id,
        calls, tokens_in, tokens_out, cache_read, cache_write, reasoning, duration_ms, cost_pico
    )
    select
        tenant_key, %(day)s, kind_id, sum(calls), sum(tokens_in), sum(tokens_out), sum(cache_read), sum(cache_write),
        sum(reasoning), sum(duration_ms), sum(cost_pico)
    from fine
    where is_quarter
    group by tenant_key, kind_id
    on conflict (tenant_key, day, kind_id) do update set
        calls = sums.calls + excluded.calls,
        tokens_in = sums.tokens_in + excluded.tokens_in,
        tokens_out = sums.tokens_out + excluded.tokens_out,
        cache_read = sums.cache_read + excluded.cache_read,
        cache_write = sums.cache_write + excluded.cache_write,
        reasoning = sums.reasoning + excluded.reasoning,
        duration_ms = sums.duration_ms + excluded.duration_ms,
        cost_pico = sums.cost_pico + excluded.cost_pico
),
known as materialized (
    select tenant_key, quarters, contexts
    from costspan.usage_day_detail
    where day = %(day)s and tenant_key between %(first)s and %(last)s and tenant_key in (select tenant_key from fine)
),
quarters as (
    select tenant_key, array_agg(
        row(quarter, kind_id, calls, tokens_in, tokens_out, cache_read, cache_write, reasoning, duration_ms, cost_pico)
            ::costspan.quarter_usage
        order by kind_id, quarter
    ) as sums
    from (
        select
            tenant_key, quarter, kind_id, sum(calls) as calls, sum(tokens_in) as tokens_in, sum(tokens_out) as tokens_out,
            sum(cache_read) as cache_read, sum(cache_write) as cache_write, sum(reasoning) as reasoning,
            sum(duration_ms) as duration_ms, sum(cost_pico) as cost_pico
        from (
            select
                tenant_key, (extract(epoch from quarter - %(midnight)s) / 900)::smallint as quarter, kind_id, calls, tokens_in,
                tokens_out, cache_read, cache_write, reasoning, duration_ms, cost_pico
            from fine
            where is_quarter
            union all
            select known.tenant_key, before.* from known cross join unnest(known.quarters) as before
        ) as parts
        group by tenant_key, quarter, kind_id
    ) as whole
    group by tenant_key
),
contexts as (
    select tenant_key, array_agg(
        row(context_id, kind_id, calls, tokens_in, tokens_out, cache_read, cache_write, reasoning, duration_ms, cost_pico)
            ::costspan.context_usage
        order by context_id, kind_id
    ) as sums
    from (
        select
            tenant_key, context_id, kind_id, sum(calls) as calls, sum(tokens_in) as tokens_in, sum(tokens_out) as tokens_out,
            sum(cache_read) as cache_read, sum(cache_write) as cache_write, sum(reasoning) as reasoning,
            sum(duration_ms) as duration_ms, sum(cost_pico) as cost_pico
        from (
            select
                tenant_key, context_id, kind_id, calls, tokens_in, tokens_out, cache_read, cache_write, reasoning, duration_ms,
                cost_pico
            from fine
            where not is_quarter
            union all
            select known.tenant_key, before.* from known cross join unnest(known.contexts) as before
        ) as parts
        group by tenant_key, context_id, kind_id
    ) as whole
    group by tenant_key
),
details as (
    insert into costspan.usage_day_detail (tenant_key, day, quarters, contexts)
    select tenant_key, %(day)s, quarters.sums, contexts.sums
    from quarters
    join contexts using (tenant_key)
    left join known using (tenant_key)
    -- Null once the day's calls were dropped: sums of the late ones alone would pass for all of them.
    on conflict (tenant_key, day) do update set
        quarters = excluded.quarters,
        contexts = case when usage_day_detail.contexts is not null then excluded.contexts end
),
small as (
    -- Late calls would pile up tiny slices: those of the tenant's day that are not half full are taken in and cut anew.
    delete from costspan.call_slice
    where day = %(day)s and tenant_key between %(first)s and %(last)s and tenant_key in (select tenant_key from fine)
        and size < %(size)s / 2
    returning tenant_key, calls
),
cut as (
    -- By time: at_min and at_max tell which of them a question must open.
    select *, (row_number() over (partition by tenant_key order by at, id) - 1) / %(size)s as piece
    from (
        select * from taken
        union all
        select small.tenant_key, before.* from small cross join unnest(small.calls) as before
    ) as calls
),
written as (
    insert into costspan.call_slice (tenant_key, day, part, at_min, at_max, cost_max, contexts, traces, size, calls)
    select
        tenant_key, %(day)s,
        piece + coalesce((
            select max(part) + 1 from costspan.call_slice as other where other.tenant_key = cut.tenant_key and day = %(day)s
        ), 0),
        min(at), max(at), max(cost_pico),
        array_agg(distinct context_id),
        coalesce(array_agg(distinct (
            ((get_byte(uuid_send(trace_id), 14) << 8 | get_byte(uuid_send(trace_id), 15)) - 32768)::smallint
        )) filter (where trace_id is not null), '{}'),
        count(*),
        array_agg(
            row(at, cost_pico, span_id, id, trace_id, context_id, kind_id, tokens_in, tokens_out, duration_ms, cache_read,
                cache_write_5m, cache_write_1h, cache_write_30m, cache_write_12h, reasoning, retry)::costspan.call_row
            order by begun, trace_id, at, id  -- calls of a trace repeat much of each other, which pglz sees 4 kB back
        )
    from (select *, min(at) over (partition by tenant_key, piece, trace_id) as begun from cut) as cut
    group by tenant_key, piece
    returning size
)
select
    (select coalesce(sum(calls), 0)::bigint from fine where is_quarter),
    (select count(*) from written),
    (select row(sum(calls), sum(tokens_in), sum(tokens_out), sum(cache_read), sum(cache_write), sum(reasoning),
                sum(duration_ms), sum(cost_pico)) from fine where is_quarter)
    is not distinct from
    (select row(sum(calls), sum(tokens_in), sum(tokens_out), sum(cache_read), sum(cache_write), sum(reasoning),
                sum(duration_ms), sum(cost_pico)) from hours)

-- name: old_partitions
select parent.relname::text, to_date(right(part.relname::text, 8), 'YYYYMMDD') as day
from pg_catalog.pg_class as parent
join pg_catalog.pg_inherits on inhparent = parent.oid
join pg_catalog.pg_class as part on part.oid = inhrelid
where parent.relnamespace = 'costspan'::regnamespace and parent.relname in ('call', 'call_detail', 'usage_hour')
    and to_date(right(part.relname::text, 8), 'YYYYMMDD') < least(%(before)s, (now() at time zone 'UTC')::date)
order by day, parent.relname

-- name: is_empty_call
select not exists (select from costspan.call where at >= %(start)s and at < %(end)s)

-- name: is_empty_call_detail
select not exists (select from costspan.call_detail where at >= %(start)s and at < %(end)s)

-- name: is_empty_usage_hour
select not exists (select from costspan.usage_hour where hour >= %(start)s and hour < %(end)s)

-- name: transactions
-- Those that run now in this database, but for this one. Every transaction holds a lock on its own number, and everybody may
-- see that.
select coalesce(array_agg(locks.virtualxid), '{}')
from pg_catalog.pg_locks as locks
join pg_catalog.pg_stat_activity as session on session.pid = locks.pid
join pg_catalog.pg_database as database on database.oid = session.datid and database.datname = current_database()
where locks.locktype = 'virtualxid' and locks.granted and locks.pid <> pg_backend_pid()

-- name: drop_day
select costspan.drop_day(%(table)s, %(day)s)

-- name: old_days
select day, sum(size)::bigint from costspan.call_slice where day < %(kept_since)s group by day order by day

-- name: note_retention
-- Before anything is dropped: what was not noted as dropped, the keeper may not drop. Waits for corrections under way.
with held as materialized (
    select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('costspan.retention', 0))
),
calls as (
    select coalesce(sum(size), 0) as number from costspan.call_slice where day = %(day)s
)
insert into costspan.retention (kept_since, calls)
select %(day)s + 1, number from held cross join calls
returning calls

-- name: drop_calls
-- All that tells the calls of one day apart. What they sum up to stays, and their corrections' sums.
with calls as (
    delete from costspan.call_slice where day = %(day)s
),
corrections as (
    delete from costspan.correction where at >= %(start)s and at < %(end)s
),
details as (
    delete from costspan.call_detail where at >= %(start)s and at < %(end)s
)
update costspan.usage_day_detail set contexts = null where day = %(day)s and contexts is not null

-- name: drop_names
-- Lost attempts stay counted, without whose they were. Natural keys stay as long as a provider keeps what may be read again.
with lost as (
    update costspan.unsettled set session_id = '', user_id = '', feature = ''
    where at < %(start)s and (session_id, user_id, feature) <> ('', '', '')
),
refused as (
    delete from costspan.quarantine where created_at < %(start)s
)
delete from costspan.natural_call where at < least(%(start)s, now() - interval '60 days')

-- name: unused_contexts
with used as materialized (
    select unnest(contexts) as context_id from costspan.call_slice
    union
    select context_id from costspan.correction
)
select coalesce(array_agg(context_id), '{}')
from (
    select context_id
    from costspan.call_context as context
    where not exists (select from used where used.context_id = context.context_id)
        and not exists (select from costspan.call where call.context_id = context.context_id)
    order by context_id
    limit %(limit)s
) as unused

-- name: stop_writers
-- Waits for the batches that are under way, and lets the next begin when this transaction is over.
set local lock_timeout = '2s';
lock table only costspan.call in share row exclusive mode

-- name: forget_contexts
with gone as (
    delete from costspan.call_context as context
    where context_id = any(%(contexts)s)
        and not exists (select from costspan.call where call.context_id = context.context_id)
    returning context_id
),
noted as (
    insert into costspan.forgotten (context_id) select max(context_id) from gone having count(*) > 0
    on conflict do nothing
)
select count(*) from gone

-- name: sizes
-- Bytes of each table of ours, all of its partitions, indexes and long values included.
select
    top.relname::text,
    sum(pg_catalog.pg_table_size(part.oid))::bigint,
    sum(pg_catalog.pg_indexes_size(part.oid))::bigint
from pg_catalog.pg_class as top
cross join lateral (
    select oid from pg_catalog.pg_class as whole where whole.oid = top.oid
    union all
    select inhrelid from pg_catalog.pg_inherits where inhparent = top.oid
) as part
where top.relnamespace = 'costspan'::regnamespace and top.relkind in ('r', 'p') and not top.relispartition
group by top.relname

-- name: counts
select
    (select coalesce(sum(calls), 0)::bigint from costspan.usage_hour),
    (select coalesce(sum(size), 0)::bigint from costspan.call_slice),
    (select count(distinct (hour at time zone 'UTC')::date) from costspan.usage_hour),
    (select count(distinct day) from costspan.call_slice),
    (select max(kept_since) from costspan.retention),
    pg_catalog.pg_database_size(current_database())
