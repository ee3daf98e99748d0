-- The readable face over rows and slices, and ways into it that open no more slices than they must.

-- Which ids a slice may have. An id tells when its call was written and not when it was made, and late calls are written
-- days after; so that a call is found by its id alone.
create function costspan.ids_of(p_calls costspan.call_row[]) returns int8range
language sql immutable parallel safe
begin atomic
    select int8range(min((slice.call).id), max((slice.call).id), '[]') from (select unnest(p_calls) as call) as slice;
end;

grant execute on function costspan.ids_of(costspan.call_row[]) to costspan_keeper;
alter table costspan.call_slice add column ids int8range generated always as (costspan.ids_of(calls)) stored;

-- A slice's calls. Unnested in the select list, as the from clause would copy every column of every call: a quarter of the
-- time. The series is for the planner, to which an array has ten elements: with ten it expects few calls in all, and looks
-- them up in the dictionaries one by one.
create function costspan.opened(p_tenant_key int, p_size int, p_calls costspan.call_row[]) returns setof costspan.call
language sql immutable parallel safe rows 2000
begin atomic
    select
        (slice.call).id, (slice.call).at, (slice.call).cost_pico, (slice.call).span_id, (slice.call).trace_id,
        p_tenant_key, (slice.call).context_id, (slice.call).kind_id, (slice.call).tokens_in, (slice.call).tokens_out,
        (slice.call).duration_ms, (slice.call).cache_read, (slice.call).cache_write_5m, (slice.call).cache_write_1h,
        (slice.call).cache_write_30m, (slice.call).cache_write_12h, (slice.call).reasoning, (slice.call).retry
    from (select unnest(p_calls) as call, generate_series(1, p_size) as place) as slice;
end;

-- All calls in slices that the asking role may see. Opens every slice: who knows more about a call asks call_slice.
create function costspan.sliced_calls() returns setof costspan.call
language sql stable parallel safe rows 100000
begin atomic
    select call.*
    from costspan.call_slice as slice
    cross join lateral costspan.opened(slice.tenant_key, slice.size, slice.calls) as call;
end;

-- What repricing says of a call now. DISTINCT ON: a call's correction is found by its index, and whoever joins many calls
-- reads all corrections once, also where the planner expects few calls; it would look up each in an anti-join.
create view costspan.current_correction with (security_invoker = true) as
select distinct on (call_id) *
from costspan.correction
order by call_id, revision desc;

comment on view costspan.current_correction is 'The last correction of each call that was repriced.';

-- The names that users know, written once: for every call there is (the view), and for some calls (the function below).
do $$
declare
    face text := $face$
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
            costspan.usd(
                case when correction.call_id is null then call.cost_pico else correction.cost_after end
            ) as cost_usd,
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
        -- LEFT JOIN: with inner joins the planner counts the tenant's filter once for each and picks nested loops.
        from %1$s as call
        left join %2$s
        left join costspan.call_kind as kind on kind.kind_id = coalesce(correction.kind_after, call.kind_id)
        left join costspan.call_context as context on context.context_id = call.context_id
        left join costspan.tenant on tenant.tenant_key = call.tenant_key
    $face$;
begin
    execute 'create or replace view public.ai_usage_metrics with (security_invoker = true) as ' || format(
        face,
        '(select * from costspan.call union all select * from costspan.sliced_calls())',
        'costspan.current_correction as correction on correction.call_id = call.id'
    );
    execute 'create function costspan.readable(p_calls costspan.call[]) returns setof public.ai_usage_metrics
             language sql stable parallel safe set plan_cache_mode = force_custom_plan begin atomic ' || format(
        face,
        'unnest(p_calls)',
        -- One by one: a join that reads all corrections would take longer than all the rest.
        'lateral (
            select correction.* from costspan.correction where call_id = call.id order by revision desc limit 1
        ) as correction on true'
    ) || '; end';
end
$$;

-- The newest calls in [p_from, p_to) of some contexts, of a trace or of all, and before the call (p_before, p_before_id):
-- its instant and its id, which is how an answer goes on. Each null is no limit. Slices are opened from the newest on,
-- until no other can have a newer call than those that were found.
create function costspan.newest(
    p_contexts int[], p_trace uuid, p_from timestamptz, p_to timestamptz, p_before timestamptz, p_before_id bigint, p_limit int
)
returns costspan.call[]
language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan  -- one plan cannot serve all of these questions
set jit = off
as $$
declare
    since timestamptz := coalesce(p_from, '-infinity');
    until timestamptz := coalesce(least(p_to, p_before + interval '1 microsecond'), 'infinity');
    trace_hash smallint := ('x' || right(p_trace::text, 4))::bit(16)::int - 32768;
    hot_since timestamptz;
    oldest_kept timestamptz;  -- older calls are not among them; null until there are enough
    kept costspan.call[];
    more costspan.call[];
    piece record;
begin
    if p_limit is null or p_limit not between 1 and 10000 then
        raise invalid_parameter_value
            using message = format('p_limit is %s: allowed are 1 to 10000', coalesce(p_limit::text, 'null'));
    end if;

    -- Rows have no index by time that gives them in order, but sums say in which hours there are enough of them.
    if p_contexts is null and p_trace is null then
        select max(hour) into hot_since
        from (
            select hour, sum(sum(calls)) over (order by hour desc) as calls_since
            from costspan.usage_hour
            where hour >= since and hour <= until - interval '1 hour'
            group by hour
        ) as hours
        where calls_since >= p_limit;
    end if;

    kept := array(
        select hot::costspan.call
        from (
            select *
            from costspan.call
            where at >= greatest(since, hot_since) and at < until
                and (p_before is null or (at, id) < (p_before, p_before_id))
                and (p_contexts is null or context_id = any (p_contexts))
                and (p_trace is null or trace_id = p_trace)
            order by at desc, id desc
            limit p_limit
        ) as hot
    );
    oldest_kept := kept[p_limit].at;

    for piece in
        select slice.tenant_key, slice.day, slice.part, slice.at_max
        from costspan.call_slice as slice
        where slice.day between (since at time zone 'UTC')::date and (until at time zone 'UTC')::date
            and slice.at_max >= since and slice.at_min < until
            -- && compares each with each, which is best for a few. A session whose calls all have tags of their own has many.
            and (p_contexts is null or case
                when cardinality(p_contexts) <= 64 then slice.contexts && p_contexts
                else exists (select from unnest(slice.contexts) as held (id) where held.id = any (p_contexts))
            end)
            and (p_trace is null or trace_hash = any (slice.traces))
        order by slice.at_max desc
    loop
        exit when piece.at_max < oldest_kept;
        more := array(
            select call
            from costspan.call_slice as slice
            cross join lateral costspan.opened(slice.tenant_key, slice.size, slice.calls) as call
            where slice.tenant_key = piece.tenant_key and slice.day = piece.day and slice.part = piece.part
                and call.at >= greatest(since, oldest_kept) and call.at < until
                and (p_before is null or (call.at, call.id) < (p_before, p_before_id))
                and (p_contexts is null or call.context_id = any (p_contexts))
                and (p_trace is null or call.trace_id = p_trace)
            order by call.at desc, call.id desc
            limit p_limit
        );
        kept := array(select call from unnest(kept || more) as call order by call.at desc, call.id desc limit p_limit);
        oldest_kept := kept[p_limit].at;
    end loop;
    return kept;
end
$$;

-- The calls with these ids, which were made at these instants, by these tenants where that is known.
create function costspan.calls_of(p_ids bigint[], p_ats timestamptz[], p_tenant_keys int[] default null)
returns costspan.call[]
language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
    first timestamptz := (select min(at) from unnest(p_ats) as made (at));
    last timestamptz := (select max(at) from unnest(p_ats) as made (at));
begin
    return array(
        select call
        from costspan.call as call
        where call.at between first and last and call.id = any (p_ids)
        union all
        select call
        from costspan.call_slice as slice
        cross join lateral costspan.opened(slice.tenant_key, slice.size, slice.calls) as call
        where slice.day between (first at time zone 'UTC')::date and (last at time zone 'UTC')::date
            and exists (
                select from unnest(p_ats, p_tenant_keys) as made (at, tenant_key)
                where made.at between slice.at_min and slice.at_max
                    and (made.tenant_key is null or made.tenant_key = slice.tenant_key)
            )
            and call.id = any (p_ids)
    );
end
$$;

-- The call with this id; null where the asking role sees none. When it was made is known where its detail or a correction
-- says so. Else it is looked for among the rows that are as old as the id, then in the slices that may have the id, and
-- last, as it may have been written late, among all rows.
create function costspan.call_of(p_id bigint, p_at timestamptz) returns costspan.call
language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
    made timestamptz := coalesce(
        p_at,
        (select at from costspan.correction where call_id = p_id limit 1),
        (select at from costspan.call_detail where call_id = p_id limit 1)
    );
    written timestamptz := costspan.created_at(p_id);
    kept costspan.call;
begin
    if made is not null then
        return (costspan.calls_of(array[p_id], array[made]))[1];
    end if;
    select * into kept from costspan.call
    where id = p_id and at between written - interval '1 hour' and written + interval '1 hour';
    if not found then
        select call.* into kept
        from costspan.call_slice as slice
        cross join lateral costspan.opened(slice.tenant_key, slice.size, slice.calls) as call
        where slice.ids @> p_id and call.id = p_id
        limit 1;
    end if;
    if not found then
        select * into kept from costspan.call where id = p_id limit 1;
    end if;
    return kept;
end
$$;

-- From here on (select …) around a function that finds calls: else the planner runs it too, to learn how many there are.

-- A session's calls, the newest first. A name is a tenant's own: who sees several tenants gets the sessions of all.
create function costspan.session_calls(
    p_session text, p_limit int default 1000, p_before timestamptz default null, p_before_id bigint default null
)
returns setof public.ai_usage_metrics
language sql stable parallel safe
begin atomic
    select * from costspan.readable((select costspan.newest(
        array(
            select context.context_id
            from costspan.tenant
            join costspan.call_context as context on context.tenant_key = tenant.tenant_key
            where context.session_id = nullif(p_session, '')
        ),
        null, null, null, p_before, p_before_id, p_limit
    )))
    order by timestamp desc, id desc;
end;

-- A trace's calls, the newest first: 32 hexadecimal digits, or the same as a uuid. All of time: no date is needed.
create function costspan.trace_calls(
    p_trace text, p_limit int default 1000, p_before timestamptz default null, p_before_id bigint default null
)
returns setof public.ai_usage_metrics
language sql stable parallel safe
begin atomic
    select * from costspan.readable((select costspan.newest(null, p_trace::uuid, null, null, p_before, p_before_id, p_limit)))
    where p_trace is not null  -- no trace is not any trace
    order by timestamp desc, id desc;
end;

-- The newest calls in [p_from, p_to); a null is no limit. The next page: the same with timestamp and id of the last call.
create function costspan.newest_calls(
    p_from timestamptz default null, p_to timestamptz default null, p_limit int default 100,
    p_before timestamptz default null, p_before_id bigint default null
)
returns setof public.ai_usage_metrics
language sql stable parallel safe
begin atomic
    select * from costspan.readable((select costspan.newest(null, null, p_from, p_to, p_before, p_before_id, p_limit)))
    order by timestamp desc, id desc;
end;

-- The most expensive calls in [p_from, p_to) of those with a known cost. What rows and slices say of a corrected call is out of
-- date, so these come from the corrections. Slices are opened from the one with the dearest call on, until no other can
-- have one that is dearer than those that were found.
create function costspan.dearest_calls(
    p_from timestamptz default null, p_to timestamptz default null, p_limit int default 100
)
returns setof public.ai_usage_metrics
language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
    since timestamptz := coalesce(p_from, '-infinity');
    until timestamptz := coalesce(p_to, 'infinity');
    is_corrected boolean := exists (select from costspan.correction where at >= since and at < until);
    ids bigint[];  -- of the dearest corrected calls; when and by whom they were made and what they cost
    ats timestamptz[];
    tenant_keys int[];
    costs bigint[];
    kept costspan.call[] := '{}';  -- the others
    least_kept bigint;  -- what is cheaper is not among the dearest; null until there are enough
    piece record;
    more int;  -- corrected calls that may be among the dearest
begin
    if p_limit is null or p_limit not between 1 and 10000 then
        raise invalid_parameter_value
            using message = format('p_limit is %s: allowed are 1 to 10000', coalesce(p_limit::text, 'null'));
    end if;

    select array_agg(call_id), array_agg(at), array_agg(tenant_key), array_agg(cost_after) into ids, ats, tenant_keys, costs
    from (
        select correction.call_id, correction.at, correction.tenant_key, correction.cost_after
        from costspan.correction
        where correction.at >= since and correction.at < until and correction.cost_after is not null
            and not exists (
                select from costspan.correction as later
                where later.call_id = correction.call_id and later.revision > correction.revision
            )
        order by correction.cost_after desc
        limit p_limit
    ) as dearest;
    least_kept := costs[p_limit];

    for piece in
        select slice.tenant_key, slice.day, slice.part, slice.cost_max
        from costspan.call_slice as slice
        where slice.day between (since at time zone 'UTC')::date and (until at time zone 'UTC')::date
            and slice.at_max >= since and slice.at_min < until and slice.cost_max is not null
        order by slice.cost_max desc
    loop
        exit when piece.cost_max <= least_kept;
        kept := kept || array(
            select call
            from costspan.call_slice as slice
            cross join lateral costspan.opened(slice.tenant_key, slice.size, slice.calls) as call
            where slice.tenant_key = piece.tenant_key and slice.day = piece.day and slice.part = piece.part
                and call.at >= since and call.at < until and call.cost_pico > coalesce(least_kept, -1)
                -- Looked up one by one, as few are left here: a join would read all corrections for each slice.
                and (not is_corrected or (select true from costspan.correction where call_id = call.id limit 1) is null)
            order by call.cost_pico desc
            limit p_limit
        );
        kept := array(select call from unnest(kept) as call order by call.cost_pico desc limit p_limit);
        least_kept := (
            select cost
            from (select unnest(costs) union all select call.cost_pico from unnest(kept) as call) as known (cost)
            order by cost desc offset p_limit - 1 limit 1
        );
    end loop;

    -- Rows have no index by cost. They come last, when it is known what is too cheap to be looked at.
    kept := kept || array(
        select hot::costspan.call
        from (
            select *
            from costspan.call
            where at >= since and at < until and cost_pico > coalesce(least_kept, -1)
                and (not is_corrected or not exists (select from costspan.correction where call_id = id))
            order by cost_pico desc
            limit p_limit
        ) as hot
    );

    more := (select count(*) from unnest(costs) as cost where cost >= coalesce(least_kept, 0));
    return query
    select * from costspan.readable(kept || costspan.calls_of(ids[:more], ats[:more], tenant_keys[:more])) as call
    order by call.cost_usd desc, call.timestamp desc, call.id desc
    limit p_limit;
end
$$;

-- One call. Its timestamp, where it is known, spares looking for it.
create function costspan.call(p_id bigint, p_at timestamptz default null) returns setof public.ai_usage_metrics
language sql stable parallel safe
begin atomic
    select * from costspan.readable(array[(select costspan.call_of(p_id, p_at))]) where id is not null;
end;

-- Why a call costs what it costs: the lines of its last correction, else of its detail; where neither has any, they follow
-- from the rates of its kind. The amounts add up to its cost_usd; null is a quantity without a price.
create function costspan.call_lines(p_id bigint, p_at timestamptz default null)
returns table (model text, unit text, quantity bigint, rate_usd numeric, amount_usd numeric, layer text)
language sql stable parallel safe
begin atomic
    with known as materialized (
        select
            call.*,
            coalesce(correction.kind_after, call.kind_id) as kind_now,
            case when correction.call_id is null then call.cost_pico else correction.cost_after end as cost_now,
            case when correction.call_id is null then detail.lines else correction.lines end as lines,
            detail.quantities
        from unnest(array[(select costspan.call_of(p_id, p_at))]) as call
        left join costspan.current_correction as correction on correction.call_id = call.id
        left join costspan.call_detail as detail on detail.call_id = call.id and detail.at = call.at
        where call.id is not null
    ),
    quantities as (
        select place, unit, quantity
        from known
        cross join lateral (
            values
                (1, 'input_tokens', tokens_in::bigint - coalesce(cache_read, 0) - coalesce(cache_write_5m, 0)
                    - coalesce(cache_write_30m, 0) - coalesce(cache_write_1h, 0) - coalesce(cache_write_12h, 0)),
                (2, 'cache_read_tokens', cache_read),
                (3, 'cache_write_5m_tokens', cache_write_5m),
                (4, 'cache_write_30m_tokens', cache_write_30m),
                (5, 'cache_write_1h_tokens', cache_write_1h),
                (6, 'cache_write_12h_tokens', cache_write_12h),
                (7, 'output_tokens', tokens_out)
        ) as columns (place, unit, quantity)
        where known.quantities is null and quantity > 0
        union all
        select row_number() over (order by key), key, value::bigint
        from known
        cross join lateral jsonb_each_text(known.quantities)
    ),
    lines as (
        select
            place, line ->> 'model' as model, line ->> 'unit' as unit, (line ->> 'quantity')::bigint as quantity,
            (line ->> 'rate_atto')::numeric as rate_atto, (line ->> 'amount_pico')::numeric as amount_pico,
            line ->> 'layer' as layer
        from known
        cross join lateral jsonb_array_elements(known.lines) with ordinality as stored (line, place)
        union all
        select
            place, coalesce(rate.model, kind.model), quantities.unit, quantities.quantity,
            rate.rate_atto, quantities.quantity * rate.rate_atto * 0.000001, coalesce(rate.layer, 'none')
        from known
        cross join quantities
        join costspan.call_kind as kind on kind.kind_id = known.kind_now
        left join costspan.kind_rate as rate
            on rate.kind_id = known.kind_now and rate.unit = quantities.unit and known.cost_now is not null
        where known.lines is null
    )
    select model, unit, quantity, costspan.usd(rate_atto * 0.000001), costspan.usd(amount_pico), layer
    from lines
    order by place;
end;

revoke execute on all functions in schema costspan from public;
grant execute on function
    costspan.opened(int, int, costspan.call_row[]), costspan.sliced_calls()
to costspan_tenant, costspan_admin, costspan_keeper;
grant execute on function
    costspan.readable(costspan.call[]),
    costspan.newest(int[], uuid, timestamptz, timestamptz, timestamptz, bigint, int),
    costspan.calls_of(bigint[], timestamptz[], int[]), costspan.call_of(bigint, timestamptz),
    costspan.session_calls(text, int, timestamptz, bigint), costspan.trace_calls(text, int, timestamptz, bigint),
    costspan.newest_calls(timestamptz, timestamptz, int, timestamptz, bigint),
    costspan.dearest_calls(timestamptz, timestamptz, int),
    costspan.call(bigint, timestamptz), costspan.call_lines(bigint, timestamptz)
to costspan_tenant, costspan_admin;
grant select on costspan.current_correction to costspan_tenant, costspan_admin, costspan_keeper;
