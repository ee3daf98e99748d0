-- Every sum is what is hot, what is cold and what corrections changed, added up; none of the three has to know of the others.

-- The first day (UTC) that begins at an instant or after it. A day is compared with days only: another comparison is not
-- leakproof, and so no condition of an index below a policy.
create function costspan.first_day(p_at timestamptz) returns date
language sql immutable parallel safe
return (p_at at time zone 'UTC' + interval '1 day' - interval '1 microsecond')::date;

-- The days (UTC) inside which one of the boundaries falls.
create function costspan.cut_days(p_boundaries timestamptz[]) returns date[]
language sql immutable parallel safe
return (
    select coalesce(array_agg(distinct (boundary at time zone 'UTC')::date), '{}')
    from unnest(p_boundaries) as boundary
    where date_bin('1 day', boundary, '2000-01-01 00:00+00') <> boundary
);

-- The quarters of an hour inside which one of the boundaries falls.
create function costspan.cut_quarters(p_boundaries timestamptz[]) returns timestamptz[]
language sql immutable parallel safe
return (
    select coalesce(array_agg(distinct date_bin('15 minutes', boundary, '2000-01-01 00:00+00')), '{}')
    from unnest(p_boundaries) as boundary
    where date_bin('15 minutes', boundary, '2000-01-01 00:00+00') <> boundary
);

-- Returns p_from. What retention dropped is refused and not left out of a sum; asked in the statement that sums, so that
-- both see the same. `table` tells this refusal from any other.
create function costspan.kept_from(p_from timestamptz) returns timestamptz
language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
    since date := (select max(kept_since) from costspan.retention);
begin
    if p_from < since::timestamp at time zone 'UTC' then
        raise invalid_parameter_value using
            message = format('calls before %s (UTC) were dropped, and with them whose they were: '
                             'a session, a user or a feature can be asked for from %1$s on', since),
            schema = 'costspan', table = 'retention';
    end if;
    return p_from;
end
$$;

-- Returns p_quarter, inside which a boundary falls, likewise.
create function costspan.kept_quarter(p_quarter timestamptz) returns timestamptz
language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
    since date := (select max(kept_since) from costspan.retention);
begin
    if p_quarter < since::timestamp at time zone 'UTC' then
        raise invalid_parameter_value using
            message = format('calls before %s (UTC) were dropped but for their sums per quarter of an hour, which %s cuts: '
                             'a period may begin and end at any instant from %1$s on',
                             since, to_char(p_quarter at time zone 'UTC', 'YYYY-MM-DD HH24:MI')),
            schema = 'costspan', table = 'retention';
    end if;
    return p_quarter;
end
$$;

-- Usage in [p_from, p_to), exact. Hot from sums per hour, cold from sums per day; the hours and days that a boundary cuts are
-- read call by call and by quarters of an hour, and a quarter that one cuts is taken from the slices that have it. Whoever
-- groups the answer by a day of some zone names the beginnings of those days as boundaries, and p_from and p_to besides.
-- What a correction takes away is negative: only the sum of a kind is true, and may be nothing.
create or replace function costspan.usage(p_from timestamptz, p_to timestamptz, p_boundaries timestamptz[])
returns table (
    tenant_key int, at timestamptz, kind_id int, calls bigint, tokens_in bigint, tokens_out bigint,
    cache_read bigint, cache_write bigint, reasoning bigint, duration_ms bigint, cost_pico numeric
)
language sql stable parallel safe
begin atomic
    select tenant_key, hour, kind_id, calls, tokens_in, tokens_out, cache_read, cache_write, reasoning, duration_ms, cost_pico
    from costspan.usage_hour
    where hour >= p_from and hour < p_to
        -- (select …), here and below: once a question, also where the boundaries are no constants.
        and hour <> all ((select costspan.cut_hours(p_boundaries))::timestamptz[])
    union all
    select rows.*
    from (
        select distinct hour  -- of all that are cut, those that have calls: in some zones every hour of a month is cut
        from costspan.usage_hour
        where hour >= date_bin('1 hour', p_from, '2000-01-01 00:00+00') and hour < p_to
            and hour = any ((select costspan.cut_hours(p_boundaries))::timestamptz[])
    ) as cut
    cross join lateral (
        select
            call.tenant_key, call.at, call.kind_id, 1, call.tokens_in, call.tokens_out, coalesce(call.cache_read, 0),
            coalesce(call.cache_write_5m, 0)::bigint + coalesce(call.cache_write_1h, 0)
                + coalesce(call.cache_write_30m, 0) + coalesce(call.cache_write_12h, 0),
            coalesce(call.reasoning, 0), call.duration_ms, coalesce(call.cost_pico, 0)
        from costspan.call
        where call.at >= greatest(cut.hour, p_from) and call.at < least(cut.hour + interval '1 hour', p_to)
        offset 0  -- else the planner reads the calls of the whole period once and walks through them for each hour
    ) as rows
    union all
    select
        tenant_key, day::timestamp at time zone 'UTC', kind_id, calls, tokens_in, tokens_out, cache_read, cache_write, reasoning,
        duration_ms, cost_pico
    from costspan.usage_day
    where day >= costspan.first_day(p_from) and day < costspan.first_day(p_to)
        and day <> all ((select costspan.cut_days(p_boundaries))::date[])
    union all
    select
        detail.tenant_key, span.midnight + part.quarter * interval '15 minutes', part.kind_id, part.calls, part.tokens_in,
        part.tokens_out, part.cache_read, part.cache_write, part.reasoning, part.duration_ms, part.cost_pico
    from costspan.usage_day_detail as detail
    cross join lateral (
        select
            midnight,
            ceil(extract(epoch from greatest(p_from, midnight) - midnight))::int as first_second,
            ceil(extract(epoch from least(p_to, midnight + interval '24 hours') - midnight))::int as end_second,
            array(
                select (extract(epoch from cut - midnight) / 900)::int
                from unnest((select costspan.cut_quarters(p_boundaries))::timestamptz[]) as cut
            ) as cut
        from (select detail.day::timestamp at time zone 'UTC' as midnight) as begin
        offset 0  -- else all of this is reckoned for each quarter
    ) as span
    cross join lateral unnest(detail.quarters) as part
    where detail.day = any ((select costspan.cut_days(p_boundaries))::date[])
        and part.quarter * 900 >= span.first_second and part.quarter * 900 < span.end_second
        and part.quarter <> all (span.cut)
    union all
    select rows.*
    from unnest(costspan.cut_quarters(p_boundaries)) as found (quarter)
    cross join lateral costspan.kept_quarter(found.quarter) as cut (quarter)
    cross join lateral (
        select
            slice.tenant_key, call.at, call.kind_id, 1, call.tokens_in, call.tokens_out, coalesce(call.cache_read, 0),
            coalesce(call.cache_write_5m, 0)::bigint + coalesce(call.cache_write_1h, 0)
                + coalesce(call.cache_write_30m, 0) + coalesce(call.cache_write_12h, 0),
            coalesce(call.reasoning, 0), call.duration_ms, coalesce(call.cost_pico, 0)
        from costspan.call_slice as slice
        cross join lateral unnest(slice.calls) as call
        where slice.day = (cut.quarter at time zone 'UTC')::date
            and slice.at_max >= greatest(cut.quarter, p_from)
            and slice.at_min < least(cut.quarter + interval '15 minutes', p_to)
            and call.at >= greatest(cut.quarter, p_from) and call.at < least(cut.quarter + interval '15 minutes', p_to)
        offset 0
    ) as rows
    union all
    select
        tenant_key, quarter, kind_id, calls, tokens_in, tokens_out, cache_read, cache_write, reasoning, duration_ms, cost_pico
    from costspan.usage_correction
    where quarter >= p_from and quarter < p_to
        and quarter <> all ((select costspan.cut_quarters(p_boundaries))::timestamptz[])
    union all
    select rows.*
    from unnest(costspan.cut_quarters(p_boundaries)) as cut (quarter)
    cross join lateral (
        select
            correction.tenant_key, correction.at, side.kind_id, side.sign, side.sign * correction.tokens_in,
            side.sign * correction.tokens_out, side.sign * correction.cache_read, side.sign * correction.cache_write,
            side.sign * correction.reasoning, side.sign * correction.duration_ms, side.cost_pico
        from costspan.correction
        cross join lateral (
            values (-1, correction.kind_before, -coalesce(correction.cost_before, 0)),
                (1, correction.kind_after, coalesce(correction.cost_after, 0))
        ) as side (sign, kind_id, cost_pico)
        where correction.at >= greatest(cut.quarter, p_from)
            and correction.at < least(cut.quarter + interval '15 minutes', p_to)
        offset 0
    ) as rows;
end;

-- As usage, and for whom. Hot call by call; cold from the sums per context, and the days that a boundary cuts from slices.
create function costspan.usage_of_contexts(p_from timestamptz, p_to timestamptz, p_boundaries timestamptz[])
returns table (
    tenant_key int, at timestamptz, kind_id int, calls bigint, tokens_in bigint, tokens_out bigint,
    cache_read bigint, cache_write bigint, reasoning bigint, duration_ms bigint, cost_pico numeric, context_id int
)
language sql stable parallel safe
begin atomic
    select
        call.tenant_key, call.at, call.kind_id, 1, call.tokens_in, call.tokens_out, coalesce(call.cache_read, 0),
        coalesce(call.cache_write_5m, 0)::bigint + coalesce(call.cache_write_1h, 0)
            + coalesce(call.cache_write_30m, 0) + coalesce(call.cache_write_12h, 0),
        coalesce(call.reasoning, 0), call.duration_ms, coalesce(call.cost_pico, 0), call.context_id
    from costspan.call
    where call.at >= p_from and call.at < p_to
    union all
    select rows.*
    from costspan.kept_from(p_from) as kept (since)
    cross join lateral (
        select
            detail.tenant_key, detail.day::timestamp at time zone 'UTC', part.kind_id, part.calls, part.tokens_in,
            part.tokens_out, part.cache_read, part.cache_write, part.reasoning, part.duration_ms, part.cost_pico,
            part.context_id
        from costspan.usage_day_detail as detail
        cross join lateral unnest(detail.contexts) as part
        where detail.day >= costspan.first_day(kept.since) and detail.day < costspan.first_day(p_to)
            and detail.day <> all ((select costspan.cut_days(p_boundaries))::date[])
    ) as rows
    union all
    select
        slice.tenant_key, call.at, call.kind_id, 1, call.tokens_in, call.tokens_out, coalesce(call.cache_read, 0),
        coalesce(call.cache_write_5m, 0)::bigint + coalesce(call.cache_write_1h, 0)
            + coalesce(call.cache_write_30m, 0) + coalesce(call.cache_write_12h, 0),
        coalesce(call.reasoning, 0), call.duration_ms, coalesce(call.cost_pico, 0), call.context_id
    from costspan.call_slice as slice
    cross join lateral unnest(slice.calls) as call
    where slice.day = any ((select costspan.cut_days(p_boundaries))::date[])
        and slice.at_max >= p_from and slice.at_min < p_to
        and call.at >= p_from and call.at < p_to
    union all
    select
        correction.tenant_key, correction.at, side.kind_id, side.sign, side.sign * correction.tokens_in,
        side.sign * correction.tokens_out, side.sign * correction.cache_read, side.sign * correction.cache_write,
        side.sign * correction.reasoning, side.sign * correction.duration_ms, side.cost_pico, correction.context_id
    from costspan.correction
    cross join lateral (
        values (-1, correction.kind_before, -coalesce(correction.cost_before, 0)),
            (1, correction.kind_after, coalesce(correction.cost_after, 0))
    ) as side (sign, kind_id, cost_pico)
    where correction.at >= p_from and correction.at < p_to;
end;

-- As before, over all of it; a service that corrections left nothing of is not named.
create or replace function public.get_cost_summary(
    p_tenant_id text, p_start_date timestamptz, p_end_date timestamptz, p_service text default null
)
returns table (
    service text, cost_usd numeric, calls bigint, tokens_in bigint, tokens_out bigint, calls_not_priced bigint
)
language sql stable
begin atomic
    select
        coalesce(kind.service, 'total'), costspan.usd(coalesce(sum(used.cost_pico), 0)), coalesce(sum(used.calls), 0)::bigint,
        coalesce(sum(used.tokens_in) filter (where kind.status <> 'invalid'), 0)::bigint,
        coalesce(sum(used.tokens_out) filter (where kind.status <> 'invalid'), 0)::bigint,
        coalesce(sum(used.calls) filter (where kind.status <> 'priced'), 0)::bigint
    from (
        -- Few rows before they meet their kinds: how many quarters a day has is more than the planner knows.
        select
            kind_id, sum(calls) as calls, sum(tokens_in) as tokens_in, sum(tokens_out) as tokens_out, sum(cost_pico) as cost_pico
        from costspan.usage(p_start_date, p_end_date, array[p_start_date, p_end_date])
        where p_tenant_id is null or tenant_key = (select tenant_key from costspan.tenant where tenant_id = p_tenant_id)
        group by kind_id
    ) as used
    join costspan.call_kind as kind on kind.kind_id = used.kind_id
    where p_service is null or p_service = 'all' or kind.service = p_service
    group by grouping sets ((kind.service), ())
    having grouping(kind.service) = 1 or sum(used.calls) <> 0
    order by grouping(kind.service), 1;
end;

create view public.ai_usage_daily with (security_invoker = true) as
select
    used.day,
    tenant.tenant_id,
    kind.service,
    kind.provider,
    kind.model,
    kind.operation,
    kind.status,
    sum(used.calls)::bigint as calls,
    coalesce(sum(used.tokens_in) filter (where kind.status <> 'invalid'), 0)::bigint as tokens_in,
    coalesce(sum(used.tokens_out) filter (where kind.status <> 'invalid'), 0)::bigint as tokens_out,
    coalesce(sum(used.cache_read) filter (where kind.status <> 'invalid'), 0)::bigint as cache_read_tokens,
    coalesce(sum(used.cache_write) filter (where kind.status <> 'invalid'), 0)::bigint as cache_write_tokens,
    coalesce(sum(used.reasoning) filter (where kind.status <> 'invalid'), 0)::bigint as reasoning_tokens,
    sum(used.duration_ms)::bigint as duration_ms,
    costspan.usd(sum(used.cost_pico) filter (where kind.status not in ('unpriced', 'invalid'))) as cost_usd
from (
    select
        tenant_key, (hour at time zone 'UTC')::date as day, kind_id, calls, tokens_in, tokens_out, cache_read, cache_write,
        reasoning, duration_ms, cost_pico
    from costspan.usage_hour
    union all
    select
        tenant_key, day, kind_id, calls, tokens_in, tokens_out, cache_read, cache_write, reasoning, duration_ms, cost_pico
    from costspan.usage_day
    union all
    select
        tenant_key, (quarter at time zone 'UTC')::date, kind_id, calls, tokens_in, tokens_out, cache_read, cache_write,
        reasoning, duration_ms, cost_pico
    from costspan.usage_correction
) as used
left join costspan.call_kind as kind on kind.kind_id = used.kind_id
left join costspan.tenant on tenant.tenant_key = used.tenant_key
group by 1, 2, 3, 4, 5, 6, 7
having sum(used.calls) <> 0;

comment on view public.ai_usage_daily is
'Sums per day (UTC), corrected. cost_usd is exact; it is null where no price is known, and a lower bound where status is partial.';

create view public.ai_usage_hourly with (security_invoker = true) as
select
    used.hour,
    tenant.tenant_id,
    kind.service,
    kind.provider,
    kind.model,
    kind.operation,
    kind.status,
    sum(used.calls)::bigint as calls,
    coalesce(sum(used.tokens_in) filter (where kind.status <> 'invalid'), 0)::bigint as tokens_in,
    coalesce(sum(used.tokens_out) filter (where kind.status <> 'invalid'), 0)::bigint as tokens_out,
    coalesce(sum(used.cache_read) filter (where kind.status <> 'invalid'), 0)::bigint as cache_read_tokens,
    coalesce(sum(used.cache_write) filter (where kind.status <> 'invalid'), 0)::bigint as cache_write_tokens,
    coalesce(sum(used.reasoning) filter (where kind.status <> 'invalid'), 0)::bigint as reasoning_tokens,
    sum(used.duration_ms)::bigint as duration_ms,
    costspan.usd(sum(used.cost_pico) filter (where kind.status not in ('unpriced', 'invalid'))) as cost_usd,
    used.day
from (
    select
        tenant_key, (hour at time zone 'UTC')::date as day, hour, kind_id, calls, tokens_in, tokens_out, cache_read,
        cache_write, reasoning, duration_ms, cost_pico
    from costspan.usage_hour
    union all
    select
        detail.tenant_key, detail.day, (detail.day + part.quarter / 4 * interval '1 hour') at time zone 'UTC', part.kind_id,
        part.calls, part.tokens_in, part.tokens_out, part.cache_read, part.cache_write, part.reasoning, part.duration_ms,
        part.cost_pico
    from costspan.usage_day_detail as detail
    cross join lateral unnest(detail.quarters) as part
    union all
    select
        tenant_key, (quarter at time zone 'UTC')::date, date_bin('1 hour', quarter, '2000-01-01 00:00+00'), kind_id, calls,
        tokens_in, tokens_out, cache_read, cache_write, reasoning, duration_ms, cost_pico
    from costspan.usage_correction
) as used
left join costspan.call_kind as kind on kind.kind_id = used.kind_id
left join costspan.tenant on tenant.tenant_key = used.tenant_key
group by 1, 2, 3, 4, 5, 6, 7, 16
having sum(used.calls) <> 0;

comment on view public.ai_usage_hourly is
'Sums per hour (UTC), corrected, as ai_usage_daily. A condition on day (UTC) leaves the sums of all other days unread.';

-- Added in the order of the days, so that a few pages tell where a month of everybody is.
create index on costspan.usage_day using brin (day) with (pages_per_range = 8);

revoke execute on all functions in schema costspan from public;
grant execute on function
    costspan.first_day(timestamptz), costspan.cut_days(timestamptz[]), costspan.cut_quarters(timestamptz[]),
    costspan.kept_from(timestamptz), costspan.kept_quarter(timestamptz),
    costspan.usage_of_contexts(timestamptz, timestamptz, timestamptz[])
to costspan_tenant, costspan_admin;
grant select on public.ai_usage_daily, public.ai_usage_hourly to costspan_tenant, costspan_admin;
