"""A ledger as an earlier version left it: filled by plain SQL that was valid then, and what it holds, asked by plain SQL too."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import sql

__all__ = ["Totals", "contents", "fill", "totals"]

#: By tenant, day (UTC), service and status: calls, tokens in and out, dollars.
Totals = dict[tuple[str, date, str, str], tuple[int, int, int, Decimal]]

#: Three tenants, four days, every status; optional columns are there, 0 and missing. As of 0001.
_CALLS = """
    insert into costspan.tenant (tenant_id) values ('acme'), ('rival'), ('00000000-0000-0000-0000-000000000000');

    insert into costspan.call_kind (
        tenant_key, key, service, provider, operation, model, request_model, terms, price_version, dimensions, status
    )
    select
        tenant_key, md5(tenant_id || service || status)::uuid, service, service, 'chat', 'model of ' || tenant_id, '', 'standard',
        'test', 0, status
    from costspan.tenant
    cross join unnest(array['anthropic', 'openai']) as service
    cross join unnest(array['priced', 'estimated', 'partial', 'unpriced', 'invalid']) as status;

    insert into costspan.kind_rate (kind_id, unit, tenant_key, model, rate_atto, layer)
    select kind_id, unit, tenant_key, model, 1000000000000, 'list'
    from costspan.call_kind
    cross join unnest(array['input_tokens', 'output_tokens', 'cache_read_tokens', 'cache_write_5m_tokens', 'cache_write_1h_tokens'])
        as unit
    where status in ('priced', 'estimated', 'partial');

    insert into costspan.call_context (tenant_key, key, session_id, user_id, feature, tags)
    select
        tenant_key, md5(tenant_id || number)::uuid, case when number = 0 then '' else 's-' || number end, 'u', 'f',
        case when number = 1 then '{"a": "b"}'::jsonb end
    from costspan.tenant cross join generate_series(0, 3) as number;

    select costspan.ensure_day(name, date '2026-11-18' + day)
    from unnest(array['call', 'call_detail', 'usage_hour']) as name cross join generate_series(0, 3) as day;

    insert into costspan.call (
        id, at, cost_pico, span_id, trace_id, tenant_key, context_id, kind_id, tokens_in, tokens_out, duration_ms, cache_read,
        cache_write_5m, cache_write_1h, cache_write_30m, cache_write_12h, reasoning, retry
    )
    select
        n, timestamptz '2026-11-18 00:00+00' + n * interval '383.123457 seconds',
        case when status not in ('unpriced', 'invalid') then (n % 1000 + 20 + n % 77) * 1000000 end,
        case when n % 7 > 0 then n end, case when n % 7 > 0 then md5(n::text)::uuid end,
        tenant_key, context_id, kind_id, n % 1000 + 20, n % 77, n % 5000,
        case when n % 3 = 0 then n % 11 end, case when n % 5 = 0 then 1 end, nullif(n % 2, 0), null, null,
        case when n % 4 = 0 then 3 end, case when n % 90 = 0 then 1 end
    from generate_series(1, 900) as n
    cross join lateral (
        select tenant_key, kind_id, status from costspan.call_kind order by (kind_id * 7919 + n * 31) % 101, kind_id limit 1
    ) as kind
    cross join lateral (
        select context_id from costspan.call_context as context
        where context.tenant_key = kind.tenant_key order by (context_id + n) % 4, context_id limit 1
    ) as context;

    insert into costspan.call_detail (call_id, at, tenant_key, lines, quantities, response_id, problem, evidence)
    select id, at, tenant_key, null, null, 'r-' || id, 'a problem', '{}' from costspan.call where id % 50 = 0;

    insert into costspan.unsettled (
        at, tenant_key, attempt, outcome, reason, service, provider, operation, model, session_id, user_id, feature
    )
    select timestamptz '2026-11-19 10:00+00', tenant_key, md5(tenant_id)::uuid, 'open', '', 'openai', 'openai', 'chat', 'm', 's', 'u', 'f'
    from costspan.tenant;

    insert into costspan.quarantine (writer_id, position, reason, record) values (md5('w')::uuid, 1, 'odd', '\\x00ff');
    insert into costspan.writer (writer_id, position, intents, calls, unsettled, quarantined)
    values (md5('w')::uuid, 4096, 904, 900, 3, 1);
    insert into costspan.natural_call (tenant_key, key, call_id, at)
    select tenant_key, md5(id::text)::uuid, id, at from costspan.call where id % 100 = 0;
    insert into costspan.threshold_alert (tenant_key, threshold_usd, alerted_at)
    select tenant_key, 10, timestamptz '2026-11-21 00:00+00' from costspan.tenant;
"""

#: One day in slices, one whose late calls are rows beside them, corrections and budgets. As of 0004.
_OVER = """
    create temporary table over as
    select call.*, (at at time zone 'UTC')::date as day from costspan.call
    where at < timestamptz '2026-11-19 00:00+00' or (at < timestamptz '2026-11-20 00:00+00' and id % 3 > 0);

    create temporary view over_sums as
    select
        tenant_key, day, kind_id, context_id, (extract(epoch from at - day::timestamp at time zone 'UTC')::int / 900)::smallint as quarter,
        1 as calls, tokens_in, tokens_out, coalesce(cache_read, 0) as cache_read,
        coalesce(cache_write_5m, 0) + coalesce(cache_write_1h, 0) as cache_write, coalesce(reasoning, 0) as reasoning,
        duration_ms, coalesce(cost_pico, 0) as cost_pico
    from over;

    insert into costspan.call_slice (tenant_key, day, part, at_min, at_max, cost_max, contexts, traces, size, calls)
    select
        tenant_key, day, 0, min(at), max(at), max(cost_pico), array_agg(distinct context_id order by context_id),
        coalesce(array_agg(distinct (('x' || right(trace_id::text, 4))::bit(16)::int - 32768)::smallint)
                 filter (where trace_id is not null), '{}'),
        count(*),
        array_agg(row(
            at, cost_pico, span_id, id, trace_id, context_id, kind_id, tokens_in, tokens_out, duration_ms, cache_read,
            cache_write_5m, cache_write_1h, cache_write_30m, cache_write_12h, reasoning, retry
        )::costspan.call_row order by at, id)
    from over group by tenant_key, day;

    insert into costspan.usage_day
    select
        tenant_key, day, kind_id, sum(calls), sum(tokens_in), sum(tokens_out), sum(cache_read), sum(cache_write), sum(reasoning),
        sum(duration_ms), sum(cost_pico)
    from over_sums group by 1, 2, 3;

    insert into costspan.usage_day_detail (tenant_key, day, quarters, contexts)
    select tenant_key, day, quarters, contexts
    from (
        select tenant_key, day, array_agg(row(quarter, kind_id, calls, i, o, r, w, re, d, cost)::costspan.quarter_usage
                                          order by kind_id, quarter) as quarters
        from (select tenant_key, day, quarter, kind_id, sum(calls)::int as calls, sum(tokens_in) as i, sum(tokens_out) as o,
                sum(cache_read) as r, sum(cache_write) as w, sum(reasoning) as re, sum(duration_ms) as d, sum(cost_pico) as cost
              from over_sums group by 1, 2, 3, 4) as fine
        group by 1, 2
    ) as by_quarter
    join (
        select tenant_key, day, array_agg(row(context_id, kind_id, calls, i, o, r, w, re, d, cost)::costspan.context_usage
                                          order by context_id, kind_id) as contexts
        from (select tenant_key, day, context_id, kind_id, sum(calls)::int as calls, sum(tokens_in) as i, sum(tokens_out) as o,
                sum(cache_read) as r, sum(cache_write) as w, sum(reasoning) as re, sum(duration_ms) as d, sum(cost_pico) as cost
              from over_sums group by 1, 2, 3, 4) as fine
        group by 1, 2
    ) as by_context using (tenant_key, day);

    delete from costspan.call using over where over.id = call.id;
    delete from costspan.usage_hour where hour < timestamptz '2026-11-20 00:00+00';
    insert into costspan.usage_hour
    select
        tenant_key, date_bin('1 hour', at, '2000-01-01 00:00+00'), kind_id, count(*), sum(tokens_in), sum(tokens_out),
        sum(coalesce(cache_read, 0)), sum(coalesce(cache_write_5m, 0) + coalesce(cache_write_1h, 0)), sum(coalesce(reasoning, 0)),
        sum(duration_ms), sum(coalesce(cost_pico, 0))
    from costspan.call where at < timestamptz '2026-11-20 00:00+00' group by 1, 2, 3;

    insert into costspan.retention (kept_since, calls) values ('2026-01-01', 0);
    insert into costspan.budget_change (tenant_key, "window", amount_usd)
    select tenant_key, 'day', 25 from costspan.tenant where tenant_id = 'acme' union all select null, 'month', 1000;

    insert into costspan.reprice (since, until, price_version, reason) values ('2026-11-18', '2026-11-22', 'test', 'a test');
    insert into costspan.correction (
        call_id, revision, reprice_id, at, tenant_key, context_id, kind_before, kind_after, cost_before, cost_after, tokens_in,
        tokens_out, cache_read, cache_write, reasoning, duration_ms
    )
    select
        call.id, revision, 1, call.at, call.tenant_key, call.context_id,
        case revision when 1 then call.kind_id else better.kind_id end, better.kind_id,
        case revision when 1 then call.cost_pico else cost end, cost,
        call.tokens_in, call.tokens_out, coalesce(call.cache_read, 0),
        coalesce(call.cache_write_5m, 0) + coalesce(call.cache_write_1h, 0), coalesce(call.reasoning, 0), call.duration_ms
    from (select * from pg_temp.over union all select call.*, null from costspan.call) as call
    join costspan.call_kind as kind on kind.kind_id = call.kind_id and kind.status = 'unpriced'
    join costspan.call_kind as better
        on better.tenant_key = kind.tenant_key and better.service = kind.service and better.status = 'priced'
    cross join generate_series(1, 2) as revision
    cross join lateral (select (call.tokens_in + call.tokens_out) * 1000000) as bill (cost)
    where call.id % 2 = 0;
"""
#: What a trigger does as of 0008.
_SUM_CORRECTIONS = """
    insert into costspan.usage_correction
    select
        tenant_key, date_bin('15 minutes', at, '2000-01-01 00:00+00'), side.kind_id, sum(sign), sum(sign * tokens_in),
        sum(sign * tokens_out), sum(sign * cache_read), sum(sign * cache_write), sum(sign * reasoning), sum(sign * duration_ms),
        sum(sign * coalesce(cost, 0))
    from costspan.correction
    cross join lateral (values (-1, kind_before, cost_before), (1, kind_after, cost_after)) as side (sign, kind_id, cost)
    group by 1, 2, 3;
"""
_TOTALS = """
    select
        tenant_id, (at at time zone 'UTC')::date, service, status, count(*),
        coalesce(sum(tokens_in) filter (where status <> 'invalid'), 0)::bigint,
        coalesce(sum(tokens_out) filter (where status <> 'invalid'), 0)::bigint, coalesce(sum(cost_pico), 0) * 0.000000000001
    from ({calls}) as call
    join costspan.call_kind as kind using (kind_id)
    join costspan.tenant on tenant.tenant_key = call.tenant_key
    group by 1, 2, 3, 4
"""
_HOT = "select id, at, tenant_key, kind_id, tokens_in, tokens_out, cost_pico from costspan.call"
_ALL = f"""
    select
        stored.id, stored.at, stored.tenant_key, coalesce(last.kind_after, stored.kind_id) as kind_id, stored.tokens_in,
        stored.tokens_out, case when last.call_id is null then stored.cost_pico else last.cost_after end as cost_pico
    from (
        {_HOT}
        union all
        select cold.id, cold.at, tenant_key, cold.kind_id, cold.tokens_in, cold.tokens_out, cold.cost_pico
        from costspan.call_slice cross join unnest(calls) as cold
    ) as stored
    left join (
        select distinct on (call_id) call_id, kind_after, cost_after from costspan.correction order by call_id, revision desc
    ) as last on last.call_id = stored.id
"""


def fill(url: str) -> None:
    """Put rows into every table that there is, as a superuser."""
    with psycopg.connect(url) as connection:
        connection.execute(_CALLS)
        if _has(connection, "call_slice"):
            connection.execute(_OVER)
            if not _has(connection, "add_to_usage_correction", "pg_proc", "proname"):
                connection.execute(_SUM_CORRECTIONS)


def totals(url: str) -> Totals:
    """Sum what is stored, call by call."""
    with psycopg.connect(url) as connection:
        calls = _ALL if _has(connection, "call_slice") else _HOT
        rows = connection.execute(_TOTALS.replace("{calls}", calls)).fetchall()
    return {tuple(row[:4]): tuple(row[4:]) for row in rows}


def contents(url: str, known: dict[str, list[str]] | None = None) -> tuple[dict[str, list[str]], dict[str, Any]]:
    """Return the columns of every table (or those ``known``), and a digest of all that is in them."""
    with psycopg.connect(url) as connection:
        if known is None:
            rows = connection.execute("""
                select relname, array_agg(attname::text order by attnum)
                from pg_class join pg_attribute on attrelid = pg_class.oid and attnum > 0 and not attisdropped
                where relnamespace = 'costspan'::regnamespace and relkind in ('r', 'p') and not relispartition
                    and relname <> 'migration'
                group by 1
            """).fetchall()
            known = dict(rows)
        digests = {}
        for table, columns in known.items():
            query = sql.SQL(
                "select count(*), md5(string_agg(one::text, '|' order by one::text)) from (select {} from {}) as one"
            )
            names = sql.SQL(", ").join(map(sql.Identifier, columns))
            digests[table] = connection.execute(query.format(names, sql.Identifier("costspan", table))).fetchone()
    return known, digests


def _has(connection: psycopg.Connection[Any], name: str, catalog: str = "pg_class", column: str = "relname") -> bool:
    query = sql.SQL("select exists (select from {} where {} = %s)").format(
        sql.Identifier(catalog), sql.Identifier(column)
    )
    return bool(connection.execute(query, [name]).fetchone()[0])
