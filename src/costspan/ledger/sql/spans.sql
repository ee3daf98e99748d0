-- name: find_places
-- Rows only: a call is one for a day at least, and an export that comes later is told from earlier ones by its natural key.
select call.trace_id, call.span_id
from costspan.call
where call.trace_id = any(%(traces)s::uuid[]) and call.span_id = any(%(spans)s::bigint[])

-- name: mark
-- Of a call that has a row, which nobody knows from here: the hooks', or that of a span inside.
insert into costspan.natural_call (tenant_key, key, call_id, at)
select tenant_key, key, 0, at
from unnest(%(tenant_key)s::int[], %(key)s::uuid[], %(at)s::timestamptz[]) as given (tenant_key, key, at)
on conflict do nothing

-- name: find_marks
select key
from costspan.natural_call
where tenant_key = (select tenant_key from costspan.tenant where tenant_id = %(tenant)s) and key = any(%(keys)s::uuid[])
