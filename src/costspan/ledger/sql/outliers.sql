-- name: sessions
-- The sessions of each tenant that cost more than so many times its median session, the dearest first; and before them, without
-- a session, what each tenant's sessions are like. A session without a known cost is in no median: unknown is not zero. The
-- median of an even number is the lower one of the two in the middle, which is what a session did cost.
with sessions as materialized (
    select
        context.tenant_key, context.session_id, sum(used.calls)::bigint as calls, sum(used.cost_pico) as cost_pico,
        coalesce(sum(used.calls) filter (where kind.status not in ('priced', 'estimated')), 0)::bigint as unknown
    from (
        select kind_id, context_id, sum(calls) as calls, sum(cost_pico) as cost_pico
        from costspan.usage_of_contexts(%(start)s, %(end)s, array[%(start)s, %(end)s]::timestamptz[])
        group by kind_id, context_id
    ) as used
    join costspan.call_context as context on context.context_id = used.context_id
    left join costspan.call_kind as kind on kind.kind_id = used.kind_id
    where context.session_id <> ''
    group by 1, 2
    having sum(used.calls) <> 0 and sum(used.cost_pico) > 0
),
usual as materialized (
    select
        tenant_key, count(*) as sessions, sum(cost_pico) as cost_pico,
        percentile_disc(0.5) within group (order by cost_pico) as median_pico
    from sessions
    group by tenant_key
),
dear as (
    select sessions.*
    from sessions
    join usual on usual.tenant_key = sessions.tenant_key
    where usual.sessions >= %(enough)s and sessions.cost_pico > %(factor)s * usual.median_pico
)
(
    select tenant.tenant_id, null as session_id, usual.sessions, usual.cost_pico, 0::bigint, usual.median_pico
    from usual
    left join costspan.tenant on tenant.tenant_key = usual.tenant_key
    order by 1
)
union all
(
    select tenant.tenant_id, dear.session_id, dear.calls, dear.cost_pico, dear.unknown, count(*) over ()
    from dear
    left join costspan.tenant on tenant.tenant_key = dear.tenant_key
    order by dear.cost_pico desc, 1, 2
    limit %(limit)s
)
