-- name: costs
-- What was spent between each boundary and the next, and how many of the calls have no cost that is known.
select
    width_bucket(used.at, %(boundaries)s::timestamptz[]), sum(used.cost_pico),
    coalesce(sum(used.calls) filter (where kind.status in ('unpriced', 'invalid', 'partial')), 0)::bigint
from (
    select at, kind_id, sum(cost_pico) as cost_pico, sum(calls) as calls
    from costspan.usage(%(start)s, %(end)s, %(boundaries)s)
    group by at, kind_id
) as used
left join costspan.call_kind as kind on kind.kind_id = used.kind_id
where %(services)s::text[] is null or kind.service = any(%(services)s)
group by 1
