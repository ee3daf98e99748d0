"""What slices hold, and whether the cold sums are theirs: asked by a superuser, as plainly as can be."""

from __future__ import annotations

from typing import Any

from integration.ledger.calls import Rows

COLUMNS = (
    "at, cost_pico, span_id, id, trace_id, context_id, kind_id, tokens_in, tokens_out, duration_ms, cache_read, "
    "cache_write_5m, cache_write_1h, cache_write_30m, cache_write_12h, reasoning, retry"
)
#: Where the id is in a row of `stored`.
ID = 1 + COLUMNS.split(", ").index("id")
COLD = f"(select slice.tenant_key, call.* from costspan.call_slice as slice cross join unnest(slice.calls) as call ({COLUMNS}))"
_MEASURES = "calls, tokens_in, tokens_out, cache_read, cache_write, reasoning, duration_ms, cost_pico"
_SUMS = """
    count(*) as calls, sum(tokens_in) as tokens_in, sum(tokens_out) as tokens_out, sum(coalesce(cache_read, 0)) as cache_read,
    sum(coalesce(cache_write_5m, 0)::bigint + coalesce(cache_write_1h, 0) + coalesce(cache_write_30m, 0)
        + coalesce(cache_write_12h, 0)) as cache_write,
    sum(coalesce(reasoning, 0)) as reasoning, sum(duration_ms) as duration_ms, coalesce(sum(cost_pico), 0) as cost_pico
"""
_DAY = "(at at time zone 'UTC')::date"


def stored(rows: Rows) -> list[tuple[Any, ...]]:
    """Every call with every column, wherever it is, by its id."""
    return rows(
        f"select tenant_key, {COLUMNS} from costspan.call union all select * from {COLD} as cold order by id, tenant_key"
    )


def differences(rows: Rows) -> list[tuple[Any, ...]]:
    """Sums and descriptions that are not those of the calls; empty unless something is wrong."""
    found = [("hour", *row) for row in rows.rollup_differs]
    found += _differing(
        rows,
        f"select tenant_key, {_DAY} as day, kind_id, {_SUMS} from {COLD} as cold group by 1, 2, 3",
        f"select tenant_key, day, kind_id, {_MEASURES} from costspan.usage_day",
    )
    found += _differing(
        rows,
        f"""select tenant_key, {_DAY} as day, floor(extract(epoch from at - date_trunc('day', at, 'UTC')) / 900)::int, kind_id,
            {_SUMS} from {COLD} as cold group by 1, 2, 3, 4""",
        f"""select tenant_key, day, quarter::int, kind_id, {_MEASURES}
            from costspan.usage_day_detail cross join unnest(quarters)""",
    )
    found += _differing(
        rows,
        f"""select tenant_key, {_DAY} as day, context_id, kind_id, {_SUMS} from {COLD} as cold
            join costspan.usage_day_detail as detail using (tenant_key)
            where detail.day = {_DAY} and detail.contexts is not null group by 1, 2, 3, 4""",
        f"""select tenant_key, day, context_id, kind_id, {_MEASURES}
            from costspan.usage_day_detail cross join unnest(contexts)""",
    )
    return found + rows("""
        select 'slice', tenant_key, day, part
        from costspan.call_slice cross join lateral (
            select min(at) as first, max(at) as last, max(cost_pico) as dearest, count(*) as number,
                array_agg(distinct context_id) as contexts,
                count(*) filter (where (at at time zone 'UTC')::date <> day) as strangers,
                coalesce(array_agg(distinct (('x' || right(trace_id::text, 4))::bit(16)::int - 32768)::smallint)
                         filter (where trace_id is not null), '{}') as traces
            from unnest(calls)
        ) as truth
        where (at_min, at_max, size, call_slice.contexts, call_slice.traces)
            is distinct from (first, last, number, truth.contexts, truth.traces)
            or cost_max is distinct from dearest or strangers > 0
    """)


def _differing(rows: Rows, truth: str, kept: str) -> list[tuple[Any, ...]]:
    # All of both, duplicates too: a key that is there twice is as wrong as a sum. Only of days that have their calls.
    since = "where day >= coalesce((select max(kept_since) from costspan.retention), '-infinity')"
    return rows(
        f"with truth as (select * from ({truth}) as one {since}), kept as (select * from ({kept}) as one {since}) "
        "(select 'missing', * from truth except all select 'missing', * from kept) "
        "union all (select 'wrong', * from kept except all select 'wrong', * from truth)"
    )
