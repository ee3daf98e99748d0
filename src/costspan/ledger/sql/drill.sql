-- name: session
select * from costspan.session_calls(%(session)s, %(limit)s, %(before)s, %(before_id)s)

-- name: trace
select * from costspan.trace_calls(%(trace)s, %(limit)s, %(before)s, %(before_id)s)

-- name: newest
select * from costspan.newest_calls(%(start)s, %(end)s, %(limit)s, %(before)s, %(before_id)s)

-- name: dearest
select * from costspan.dearest_calls(%(start)s, %(end)s, %(limit)s)

-- name: call
select * from costspan.call(%(id)s::bigint, %(at)s::timestamptz)

-- name: lines
select * from costspan.call_lines(%(id)s::bigint, %(at)s::timestamptz)

-- name: wanted
-- Of the next so many calls (of a session, of a trace or of all) those that are wanted, and how far this looked: the place of
-- the last call, and whether there were as many as it may look at.
with page as materialized (
    select * from costspan.readable((select costspan.newest(
        case when %(session)s::text is not null then array(
            select context.context_id
            from costspan.tenant
            join costspan.call_context as context on context.tenant_key = tenant.tenant_key
            where context.session_id = nullif(%(session)s, '')
        ) end,
        %(trace)s::uuid, %(start)s::timestamptz, %(end)s::timestamptz, %(before)s::timestamptz, %(before_id)s::bigint,
        %(looked_at)s::int
    )))
)
select reached.timestamp, reached.id, (select count(*) from page) = %(looked_at)s::int, found.*
from (select timestamp, id from page order by timestamp, id limit 1) as reached
left join lateral (
    select *
    from page
    where (%(service)s::text is null or service = %(service)s)
        and (%(model)s::text is null or model = %(model)s)
        and (%(operation)s::text is null or operation = %(operation)s)
        and (%(status)s::text is null or status = %(status)s)
        and (%(feature)s::text is null or coalesce(feature, '') = %(feature)s)
        and (%(user)s::text is null or coalesce(user_id, '') = %(user)s)
    order by timestamp desc, id desc
    limit %(limit)s::int
) as found on true
order by found.timestamp desc, found.id desc

-- name: session_life
-- When a session's first and last call were made, of those that are kept. Slices are opened of its first and last day only.
with asked as materialized (
    select array_agg(context.context_id) as contexts
    from costspan.tenant
    join costspan.call_context as context on context.tenant_key = tenant.tenant_key
    where context.session_id = nullif(%(session)s, '')
),
held as materialized (
    select slice.tenant_key, slice.day, slice.part
    from costspan.call_slice as slice
    where slice.contexts && (select contexts from asked)
)
select min(at), max(at), (select max(kept_since) from costspan.retention)
from (
    select call.at
    from costspan.call
    where call.context_id = any ((select contexts from asked)::int[])
    union all
    select call.at
    from held
    join costspan.call_slice as slice using (tenant_key, day, part)
    cross join lateral costspan.opened(slice.tenant_key, slice.size, slice.calls) as call
    where held.day in ((select min(day) from held), (select max(day) from held))
        and call.context_id = any ((select contexts from asked)::int[])
) as made
