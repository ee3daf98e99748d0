-- What was stored of a call, wherever it lies now, and corrections whose sums can never differ from them.

-- Corrections are read by the day of their calls. They come in that order, so a few bytes say where a day's are.
create index on costspan.correction using brin (at);

-- The calls of a day (UTC), rows and slices alike, each with what else is stored of it and with its last correction:
-- what was written, and what counts now. One SELECT and no SET, so that the planner sees through it.
create function costspan.stored_calls(p_day date)
returns table (
    id bigint, at timestamptz, tenant_key int, context_id int, kind_id int, cost_pico bigint, tokens_in int, tokens_out int,
    duration_ms int, cache_read int, cache_write_5m int, cache_write_1h int, cache_write_30m int, cache_write_12h int,
    reasoning int, lines jsonb, quantities jsonb, problem text,
    revision int, kind_now int, cost_now bigint, lines_now jsonb
)
language sql stable parallel safe
begin atomic
    select
        call.id, call.at, call.tenant_key, call.context_id, call.kind_id, call.cost_pico, call.tokens_in, call.tokens_out,
        call.duration_ms, call.cache_read, call.cache_write_5m, call.cache_write_1h, call.cache_write_30m,
        call.cache_write_12h, call.reasoning, detail.lines, detail.quantities, detail.problem,
        last.revision,
        coalesce(last.kind_after, call.kind_id),
        case when last.revision is null then call.cost_pico else last.cost_after end,
        case when last.revision is null then detail.lines else last.lines end
    from (
        select
            hot.id, hot.at, hot.tenant_key, hot.context_id, hot.kind_id, hot.cost_pico, hot.tokens_in, hot.tokens_out,
            hot.duration_ms, hot.cache_read, hot.cache_write_5m, hot.cache_write_1h, hot.cache_write_30m,
            hot.cache_write_12h, hot.reasoning
        from costspan.call as hot
        where hot.at >= p_day::timestamp at time zone 'UTC' and hot.at < (p_day + 1)::timestamp at time zone 'UTC'
        union all
        select
            (cold.call).id, (cold.call).at, cold.tenant_key, (cold.call).context_id, (cold.call).kind_id,
            (cold.call).cost_pico, (cold.call).tokens_in, (cold.call).tokens_out, (cold.call).duration_ms,
            (cold.call).cache_read, (cold.call).cache_write_5m, (cold.call).cache_write_1h, (cold.call).cache_write_30m,
            (cold.call).cache_write_12h, (cold.call).reasoning
        from (
            -- Not in FROM, which copies every column. The series tells the planner that a slice has many calls.
            select slice.tenant_key, unnest(slice.calls) as call, generate_series(1, slice.size) as place
            from costspan.call_slice as slice
            where slice.day = p_day
        ) as cold
    ) as call
    left join costspan.call_detail as detail
        on detail.call_id = call.id
        and detail.at >= p_day::timestamp at time zone 'UTC' and detail.at < (p_day + 1)::timestamp at time zone 'UTC'
    left join (
        select distinct on (correction.call_id)
            correction.call_id, correction.revision, correction.kind_after, correction.cost_after, correction.lines
        from costspan.correction
        where correction.at >= p_day::timestamp at time zone 'UTC'
            and correction.at < (p_day + 1)::timestamp at time zone 'UTC'
        order by correction.call_id, correction.revision desc
    ) as last on last.call_id = call.id;
end;

-- Keeps usage_correction equal to the corrections: what each takes from one kind and gives to another. The keys are
-- sorted, so that two that reprice at once never wait for each other in a circle.
create function costspan.add_to_usage_correction() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into costspan.usage_correction as sums (
        tenant_key, quarter, kind_id,
        calls, tokens_in, tokens_out, cache_read, cache_write, reasoning, duration_ms, cost_pico
    )
    select
        added.tenant_key, date_bin('15 minutes', added.at, '2000-01-01 00:00+00'), side.kind_id,
        sum(side.sign), sum(side.sign * added.tokens_in), sum(side.sign * added.tokens_out),
        sum(side.sign * added.cache_read), sum(side.sign * added.cache_write), sum(side.sign * added.reasoning),
        sum(side.sign * added.duration_ms), sum(side.sign * coalesce(side.cost_pico, 0))
    from added
    cross join lateral (
        values (-1::bigint, added.kind_before, added.cost_before), (1::bigint, added.kind_after, added.cost_after)
    ) as side (sign, kind_id, cost_pico)
    group by 1, 2, 3
    order by 1, 2, 3
    on conflict (tenant_key, quarter, kind_id) do update set
        calls = sums.calls + excluded.calls,
        tokens_in = sums.tokens_in + excluded.tokens_in,
        tokens_out = sums.tokens_out + excluded.tokens_out,
        cache_read = sums.cache_read + excluded.cache_read,
        cache_write = sums.cache_write + excluded.cache_write,
        reasoning = sums.reasoning + excluded.reasoning,
        duration_ms = sums.duration_ms + excluded.duration_ms,
        cost_pico = sums.cost_pico + excluded.cost_pico;
    return null;
end
$$;

create trigger add_to_usage_correction after insert on costspan.correction
referencing new table as added
for each statement execute function costspan.add_to_usage_correction();

revoke execute on function costspan.stored_calls(date), costspan.add_to_usage_correction() from public;
grant execute on function costspan.stored_calls(date) to costspan_admin;
