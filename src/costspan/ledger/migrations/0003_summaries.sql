-- The readable face: the names that users know, over the narrow tables.

create function costspan.usd(pico numeric) returns numeric
language sql immutable parallel safe
return trim_scale(pico * 0.000000000001);  -- a product of decimals is exact, a quotient is rounded

create function costspan.created_at(id bigint) returns timestamptz
language sql immutable parallel safe
return to_timestamp(1577836800 + (id >> 22) / 1000.0);

-- The hours (UTC) inside which one of the boundaries falls: no sum per hour can be taken for them.
create function costspan.cut_hours(boundaries timestamptz[]) returns timestamptz[]
language sql immutable parallel safe
return (
    select coalesce(array_agg(distinct date_bin('1 hour', boundary, '2000-01-01 00:00+00')), '{}')
    from unnest(boundaries) as boundary
    where date_bin('1 hour', boundary, '2000-01-01 00:00+00') <> boundary
);

-- Usage in [p_from, p_to), exact, from sums per hour; the hours that a boundary cuts are read call by call. Whoever groups
-- the answer by a day of some zone names the beginnings of those days as boundaries, and p_from and p_to besides.
create function costspan.usage(p_from timestamptz, p_to timestamptz, p_boundaries timestamptz[])
returns table (
    tenant_key int, at timestamptz, kind_id int, calls bigint, tokens_in bigint, tokens_out bigint,
    cache_read bigint, cache_write bigint, reasoning bigint, duration_ms bigint, cost_pico numeric
)
language sql stable parallel safe
begin atomic
    select tenant_key, hour, kind_id, calls, tokens_in, tokens_out, cache_read, cache_write, reasoning, duration_ms, cost_pico
    from costspan.usage_hour
    where hour >= p_from and hour < p_to and hour <> all (costspan.cut_hours(p_boundaries))
    union all
    select rows.*
    from unnest(costspan.cut_hours(p_boundaries)) as cut (hour)
    cross join lateral (
        select
            call.tenant_key, call.at, call.kind_id, 1, call.tokens_in, call.tokens_out, coalesce(call.cache_read, 0),
            coalesce(call.cache_write_5m, 0)::bigint + coalesce(call.cache_write_1h, 0)
                + coalesce(call.cache_write_30m, 0) + coalesce(call.cache_write_12h, 0),
            coalesce(call.reasoning, 0), call.duration_ms, coalesce(call.cost_pico, 0)
        from costspan.call
        where call.at >= greatest(cut.hour, p_from) and call.at < least(cut.hour + interval '1 hour', p_to)
        offset 0  -- else the planner reads the calls of the whole period once and walks through them for each hour
    ) as rows;
end;

-- LEFT JOIN: with inner joins the planner counts the tenant's filter once for each dictionary and picks nested loops.
create view public.ai_usage_metrics with (security_invoker = true) as
select
    call.id,
    call.at as timestamp,
    kind.service,
    kind.provider,
    kind.model,
    kind.operation,
    call.tokens_in,
    call.tokens_out,
    coalesce(call.cache_read, 0) as cache_read_tokens,
    coalesce(call.cache_write_5m, 0)::bigint + coalesce(call.cache_write_1h, 0)
        + coalesce(call.cache_write_30m, 0) + coalesce(call.cache_write_12h, 0) as cache_write_tokens,
    coalesce(call.reasoning, 0) as reasoning_tokens,
    costspan.usd(call.cost_pico) as cost_usd,
    kind.status,
    nullif(context.session_id, '') as session_id,
    tenant.tenant_id,
    nullif(context.user_id, '') as user_id,
    nullif(context.feature, '') as feature,
    replace(call.trace_id::text, '-', '') as trace_id,
    lpad(to_hex(call.span_id), 16, '0') as span_id,
    call.duration_ms,
    kind.price_version,
    costspan.created_at(call.id) as created_at
from costspan.call
left join costspan.call_kind as kind on kind.kind_id = call.kind_id
left join costspan.call_context as context on context.context_id = call.context_id
left join costspan.tenant on tenant.tenant_key = call.tenant_key;

comment on view public.ai_usage_metrics is
'One row a billed attempt. cost_usd is exact; it is null where no price is known, and a lower bound where status is partial.';

-- What a tenant's calls in [p_start_date, p_end_date) cost, per service, and a last row ''total''. A date is midnight in the
-- session's time zone. No tenant means all that the asking role may see.
create function public.get_cost_summary(
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
    from costspan.usage(p_start_date, p_end_date, array[p_start_date, p_end_date]) as used
    join costspan.call_kind as kind on kind.kind_id = used.kind_id
    where (p_tenant_id is null
           or used.tenant_key = (select tenant_key from costspan.tenant where tenant_id = p_tenant_id))
        and (p_service is null or p_service = 'all' or kind.service = p_service)
    group by grouping sets ((kind.service), ())
    order by grouping(kind.service), 1;
end;

revoke execute on all functions in schema costspan from public;
revoke execute on function public.get_cost_summary(text, timestamptz, timestamptz, text) from public;
grant execute on function
    costspan.usd(numeric), costspan.created_at(bigint), costspan.cut_hours(timestamptz[]),
    costspan.usage(timestamptz, timestamptz, timestamptz[]),
    public.get_cost_summary(text, timestamptz, timestamptz, text)
to costspan_tenant, costspan_admin;
grant select on public.ai_usage_metrics to costspan_tenant, costspan_admin;
