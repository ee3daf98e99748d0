-- name: become
-- A hung database must not hold the drain for ever, nor a dead drain the database.
set local role costspan_writer;
set local statement_timeout = '30s';
set local lock_timeout = '15s';
set local idle_in_transaction_session_timeout = '60s';
set local client_min_messages = warning

-- name: position
select coalesce((select position from costspan.writer where writer_id = %(writer)s), 0)

-- name: lock_position
-- Where the writer is, held until the transaction ends; a number for this batch; and the ledger's clock.
select position, nextval('costspan.batch'), (extract(epoch from clock_timestamp()) * 1000)::bigint
from costspan.writer where writer_id = %(writer)s for update

-- name: add_writer
insert into costspan.writer (writer_id, position) values (%(writer)s, 0) on conflict do nothing

-- name: move_position
update costspan.writer set
    position = %(position)s,
    intents = intents + %(intents)s,
    calls = calls + %(calls)s,
    duplicates = duplicates + %(duplicates)s,
    failed = failed + %(failed)s,
    unsettled = unsettled + %(unsettled)s,
    quarantined = quarantined + %(quarantined)s,
    torn_bytes = torn_bytes + %(torn)s,
    updated_at = now()
where writer_id = %(writer)s

-- name: bypasses_rls
select rolbypassrls from pg_catalog.pg_roles where rolname = 'costspan_writer'

-- name: ensure_day
select costspan.ensure_day(%(table)s, %(day)s)

-- name: copy_calls
copy costspan.call (
    id, at, tenant_key, context_id, kind_id, tokens_in, tokens_out, duration_ms, cost_pico, span_id, trace_id,
    cache_read, cache_write_5m, cache_write_1h, cache_write_30m, cache_write_12h, reasoning, retry
) from stdin (format binary)

-- name: stage
-- Where COPY is refused (the writer is subject to row level security), rows wait here for an INSERT.
create temporary table if not exists costspan_stage (
    id bigint, at timestamptz, tenant_key int, context_id int, kind_id int, tokens_in int, tokens_out int,
    duration_ms int, cost_pico bigint, span_id bigint, trace_id uuid, cache_read int, cache_write_5m int,
    cache_write_1h int, cache_write_30m int, cache_write_12h int, reasoning int, retry smallint
) on commit delete rows

-- name: copy_stage
copy pg_temp.costspan_stage from stdin (format binary)

-- name: land_stage
with staged as (
    delete from pg_temp.costspan_stage returning *
)
insert into costspan.call (
    id, at, tenant_key, context_id, kind_id, tokens_in, tokens_out, duration_ms, cost_pico, span_id, trace_id,
    cache_read, cache_write_5m, cache_write_1h, cache_write_30m, cache_write_12h, reasoning, retry
)
select * from staged

-- name: add_details
insert into costspan.call_detail (call_id, at, tenant_key, lines, quantities, response_id, problem, evidence)
select call_id, at, tenant_key, lines, quantities, response_id, problem, evidence
from json_to_recordset(%(details)s::json) as given (
    call_id bigint, at timestamptz, tenant_key int, lines jsonb, quantities jsonb, response_id text, problem text, evidence text
)

-- name: find_tenants
select tenant_id, tenant_key from costspan.tenant where tenant_id = any(%(tenants)s)

-- name: add_tenants
-- Asked first and added after, here and below: ON CONFLICT alone burns a number at each try. Sorted, as in every other
-- statement that waits for another writer's keys.
insert into costspan.tenant (tenant_id) select unnest(%(tenants)s::text[]) on conflict do nothing

-- name: learn_kinds
with given as (
    select * from json_to_recordset(%(rows)s::json) as given (
        tenant_key int, key uuid, service text, provider text, operation text, model text, request_model text, terms text,
        price_version text, dimensions int, status text
    )
),
known as (
    select key, kind_id from costspan.call_kind where key in (select key from given)
),
added as (
    insert into costspan.call_kind (
        tenant_key, key, service, provider, operation, model, request_model, terms, price_version, dimensions, status
    )
    select * from given where key not in (select key from known) order by key
    on conflict do nothing
    returning key, kind_id
)
select * from known union all select * from added

-- name: find_rates
select kind_id, unit, model, rate_atto, layer from costspan.kind_rate where kind_id = any(%(kinds)s)

-- name: add_rates
insert into costspan.kind_rate (kind_id, unit, tenant_key, model, rate_atto, layer)
select kind_id, unit, tenant_key, model, rate_atto, layer
from json_to_recordset(%(rates)s::json) as given (
    kind_id int, unit text, tenant_key int, model text, rate_atto numeric, layer text
)
on conflict do nothing

-- name: learn_contexts
with given as (
    select * from json_to_recordset(%(rows)s::json) as given (
        tenant_key int, key uuid, session_id text, user_id text, feature text, tags jsonb
    )
),
known as (
    select key, context_id from costspan.call_context where key in (select key from given)
),
added as (
    insert into costspan.call_context (tenant_key, key, session_id, user_id, feature, tags)
    select * from given where key not in (select key from known) order by key
    on conflict do nothing
    returning key, context_id
)
select * from known union all select * from added

-- name: claim_natural_keys
-- Only who gets the key back may count the call. Waits for another transaction that is claiming the same key.
insert into costspan.natural_call (tenant_key, key, call_id, at)
select * from unnest(%(tenant_key)s::int[], %(key)s::uuid[], %(call_id)s::bigint[], %(at)s::timestamptz[])
on conflict do nothing
returning call_id

-- name: add_unsettled
insert into costspan.unsettled (
    at, tenant_key, attempt, outcome, reason, service, provider, operation, model, session_id, user_id, feature
)
select * from unnest(
    %(at)s::timestamptz[], %(tenant_key)s::int[], %(attempt)s::uuid[], %(outcome)s::text[], %(reason)s::text[],
    %(service)s::text[], %(provider)s::text[], %(operation)s::text[], %(model)s::text[], %(session_id)s::text[],
    %(user_id)s::text[], %(feature)s::text[]
)
on conflict do nothing

-- name: add_quarantined
insert into costspan.quarantine (writer_id, position, reason, record)
select %(writer)s, %(position)s, reason, record from unnest(%(reasons)s::text[], %(records)s::bytea[]) as given (reason, record)

-- name: add_cache_kinds
insert into costspan.cache_kind (tenant_key, key, cache, model, feature)
select tenant_key, key, cache, model, feature
from json_to_recordset(%(rows)s::json) as given (tenant_key int, key uuid, cache text, model text, feature text)
where not exists (select from costspan.cache_kind as known where known.key = given.key)
order by key
on conflict do nothing

-- name: add_cache_uses
-- LEFT JOIN: what the keeper has just forgotten must fail, and be added anew, rather than be left out. Sorted, as in every
-- other statement that waits for another writer's rows.
insert into costspan.cache_usage as sums (
    tenant_key, quarter, cache_id, hits, misses, hits_unpriced, tokens_avoided, avoided_pico
)
select
    given.tenant_key, given.quarter, kind.cache_id, given.hits, given.misses, given.hits_unpriced, given.tokens_avoided,
    given.avoided_pico
from json_to_recordset(%(rows)s::json) as given (
    tenant_key int, key uuid, quarter timestamptz, hits bigint, misses bigint, hits_unpriced bigint, tokens_avoided bigint,
    avoided_pico numeric
)
left join costspan.cache_kind as kind on kind.key = given.key
order by 1, 2, 3
on conflict (tenant_key, quarter, cache_id) do update set
    hits = sums.hits + excluded.hits,
    misses = sums.misses + excluded.misses,
    hits_unpriced = sums.hits_unpriced + excluded.hits_unpriced,
    tokens_avoided = sums.tokens_avoided + excluded.tokens_avoided,
    avoided_pico = sums.avoided_pico + excluded.avoided_pico
