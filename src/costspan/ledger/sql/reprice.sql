-- name: read
-- One snapshot for a day, so that a call that moves into a slice meanwhile is met once. The tables are held before it is
-- taken: a partition that was emptied after it must not go.
set transaction isolation level repeatable read, read only;
set local role costspan_admin;
set local statement_timeout = 0;
set local idle_in_transaction_session_timeout = 0;  -- it waits while corrections are written
set local cursor_tuple_fraction = 1;
set local jit = off;
lock table only costspan.call, only costspan.call_detail in access share mode

-- name: kept_since
select max(kept_since) from costspan.retention

-- name: days
-- That have calls in the range, and about how many: the sums know.
select day, sum(calls)::bigint
from (
    select (hour at time zone 'UTC')::date as day, calls from costspan.usage_hour
    where hour >= date_bin('1 hour', %(since)s, '2000-01-01 00:00+00') and hour < %(until)s
    union all
    select day, calls from costspan.usage_day
    where day >= (%(since)s::timestamptz at time zone 'UTC')::date
        and day::timestamp at time zone 'UTC' < %(until)s
) as kept
group by day
order by day

-- name: kinds
select
    kind.kind_id, tenant.tenant_id, kind.service, kind.provider, kind.operation, kind.model, kind.request_model, kind.terms,
    kind.price_version, kind.dimensions, kind.status
from costspan.call_kind as kind
join costspan.tenant on tenant.tenant_key = kind.tenant_key
where (%(tenant)s::text is null or tenant.tenant_id = %(tenant)s) and (%(model)s::text is null or kind.model = %(model)s)

-- name: rates
select rate.kind_id, rate.unit, rate.model, rate.rate_atto, rate.layer
from costspan.kind_rate as rate
where rate.kind_id = any(%(kinds)s)

-- name: steady
-- How many calls of which kinds cost what they cost, as is known without looking at each.
select kind_id, count(*), sum(cost_pico)
from costspan.stored_calls(%(day)s)
where at >= %(since)s and at < %(until)s
    and kind_id = any(%(steady)s) and kind_now = any(%(wanted)s) and lines is null and revision is null
group by kind_id

-- name: calls
select
    id, at, tenant_key, context_id, kind_id, kind_now, cost_now, revision, duration_ms,
    tokens_in, tokens_out, cache_read, cache_write_5m, cache_write_1h, cache_write_30m, cache_write_12h, reasoning,
    lines::text, quantities::text, problem, lines_now::text
from costspan.stored_calls(%(day)s)
where at >= %(since)s and at < %(until)s
    and kind_id = any(%(known)s) and kind_now = any(%(wanted)s)
    and not (kind_id = any(%(steady)s) and lines is null and revision is null)

-- name: become
set local role costspan_keeper;
set local statement_timeout = '60s';
set local lock_timeout = '30s';
set local idle_in_transaction_session_timeout = '60s';
set local client_min_messages = warning

-- name: begin_run
insert into costspan.reprice (since, until, price_version, reason)
values (%(since)s, %(until)s, %(price_version)s, %(reason)s)
returning reprice_id

-- name: hold_retention
-- Until this transaction ends no calls are dropped; who is dropping some is waited for.
select pg_catalog.pg_advisory_xact_lock_shared(pg_catalog.hashtextextended('costspan.retention', 0))

-- name: add_corrections
-- In the order of the keys, so that two that reprice at once never wait for each other in a circle. Who comes second with a
-- revision adds nothing: the first looked at the same call in the same state. Nor is a call corrected that was dropped since
-- it was looked at.
insert into costspan.correction (
    call_id, revision, reprice_id, at, tenant_key, context_id, kind_before, kind_after, cost_before, cost_after,
    tokens_in, tokens_out, cache_read, cache_write, reasoning, duration_ms, lines, problem
)
select
    call_id, revision, %(reprice_id)s, at, tenant_key, context_id, kind_before, kind_after, cost_before, cost_after,
    tokens_in, tokens_out, cache_read, cache_write, reasoning, duration_ms, lines, problem
from json_to_recordset(%(corrections)s::json) as given (
    call_id bigint, revision int, at timestamptz, tenant_key int, context_id int, kind_before int, kind_after int,
    cost_before bigint, cost_after bigint, tokens_in int, tokens_out int, cache_read bigint, cache_write bigint,
    reasoning bigint, duration_ms bigint, lines jsonb, problem text
)
where at >= coalesce((select max(kept_since)::timestamp at time zone 'UTC' from costspan.retention), '-infinity')
order by call_id, revision
on conflict (call_id, revision) do nothing
