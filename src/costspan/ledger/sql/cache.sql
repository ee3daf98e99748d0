-- name: summary
-- A dimension that was not asked for is null, and so one group. Summed up before it is known what for: there are many
-- quarters and few kinds.
select
    used.bucket,
    case when 'tenant' = any(%(by)s) then tenant.tenant_id end,
    case when 'cache' = any(%(by)s) then kind.cache end,
    case when 'model' = any(%(by)s) then kind.model end,
    case when 'feature' = any(%(by)s) then kind.feature end,
    sum(used.hits)::bigint, sum(used.misses)::bigint, sum(used.hits_unpriced)::bigint, sum(used.tokens_avoided)::bigint,
    sum(used.avoided_pico)
from (
    select
        tenant_key, cache_id,
        case when %(in_time)s then width_bucket(quarter, %(boundaries)s::timestamptz[]) end as bucket,
        sum(hits) as hits, sum(misses) as misses, sum(hits_unpriced) as hits_unpriced,
        sum(tokens_avoided) as tokens_avoided, sum(avoided_pico) as avoided_pico
    from costspan.cache_usage
    where quarter >= %(start)s and quarter < %(end)s
    group by 1, 2, 3
) as used
join costspan.cache_kind as kind on kind.cache_id = used.cache_id
join costspan.tenant on tenant.tenant_key = used.tenant_key
group by 1, 2, 3, 4, 5
order by 1, 2, 3, 4, 5

-- name: named
-- Kinds with a feature that have sums before an instant.
select kind.tenant_key, tenant.tenant_id, kind.cache_id, kind.cache, kind.model
from costspan.cache_kind as kind
join costspan.tenant on tenant.tenant_key = kind.tenant_key
where kind.feature <> ''
    and exists (select from costspan.cache_usage as used where used.cache_id = kind.cache_id and used.quarter < %(before)s)

-- name: add_nameless
insert into costspan.cache_kind (tenant_key, key, cache, model, feature)
select tenant_key, key, cache, model, ''
from json_to_recordset(%(rows)s::json) as given (tenant_key int, key uuid, cache text, model text)
where not exists (select from costspan.cache_kind as known where known.key = given.key)
order by key
on conflict do nothing

-- name: fold
-- The sums before an instant move from the kinds with a feature to those without.
with moved as (
    delete from costspan.cache_usage as used
    using json_to_recordset(%(rows)s::json) as given (cache_id int, key uuid)
    where used.cache_id = given.cache_id and used.quarter < %(before)s
    returning used.*, given.key
)
insert into costspan.cache_usage as sums (
    tenant_key, quarter, cache_id, hits, misses, hits_unpriced, tokens_avoided, avoided_pico
)
select
    moved.tenant_key, moved.quarter, kind.cache_id, sum(moved.hits), sum(moved.misses), sum(moved.hits_unpriced),
    sum(moved.tokens_avoided), sum(moved.avoided_pico)
from moved
left join costspan.cache_kind as kind on kind.key = moved.key
group by 1, 2, 3
order by 1, 2, 3
on conflict (tenant_key, quarter, cache_id) do update set
    hits = sums.hits + excluded.hits,
    misses = sums.misses + excluded.misses,
    hits_unpriced = sums.hits_unpriced + excluded.hits_unpriced,
    tokens_avoided = sums.tokens_avoided + excluded.tokens_avoided,
    avoided_pico = sums.avoided_pico + excluded.avoided_pico

-- name: forget
-- What nothing refers to any more. A writer that has just looked one up is refused by the reference, and asks again.
delete from costspan.cache_kind as kind
using json_to_recordset(%(rows)s::json) as given (cache_id int)
where kind.cache_id = given.cache_id
    and not exists (select from costspan.cache_usage as used where used.cache_id = kind.cache_id)
