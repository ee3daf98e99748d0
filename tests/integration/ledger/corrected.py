"""Corrections as repricing appends them, without any prices."""

from __future__ import annotations

import json
from collections.abc import Sequence

from integration.ledger.calls import Rows

_SUMS = "tokens_in, tokens_out, cache_read, cache_write, reasoning, duration_ms"


def correct(
    rows: Rows,
    call_id: int,
    cost_pico: int | None,
    *,
    status: str = "priced",
    rates: dict[str, int] | None = None,
    lines: Sequence[dict[str, object]] | None = None,
) -> None:
    """Append the next correction of a call, hot or cold: of a kind that is as before, but of ``status`` and ``v2``.

    ``rates`` are dollars x 10^-18 a unit of the new kind, when no call had it before.
    """
    (kind_after,) = rows(
        """
        with stored as (
            select id, tenant_key, kind_id from costspan.call union all select id, tenant_key, kind_id from costspan.sliced_calls()
        ), added as (
            insert into costspan.call_kind (
                tenant_key, key, service, provider, operation, model, request_model, terms, price_version, dimensions, status
            )
            select tenant_key, md5(kind_id::text || %s || %s::text)::uuid, service, provider, operation, model, request_model, terms,
                'v2', dimensions, %s
            from stored join costspan.call_kind using (tenant_key, kind_id) where id = %s
            on conflict (key) do update set status = excluded.status
            returning kind_id
        )
        select kind_id from added
        """,
        status,
        json.dumps(rates, sort_keys=True),
        status,
        call_id,
    )[0]
    for unit, rate in (rates or {}).items():
        rows.connection.execute(
            """insert into costspan.kind_rate (kind_id, unit, tenant_key, model, rate_atto, layer)
            select kind_id, %s, tenant_key, model, %s, 'contract' from costspan.call_kind where kind_id = %s
            on conflict do nothing""",
            [unit, rate, kind_after],
        )
    rows.connection.execute(
        f"""
        with run as (
            insert into costspan.reprice (since, until, price_version, reason) values (now(), now(), 'v2', 'a test')
            returning reprice_id
        ), stored as (
            select * from costspan.call union all select * from costspan.sliced_calls()
        )
        insert into costspan.correction (
            call_id, revision, reprice_id, at, tenant_key, context_id, kind_before, kind_after, cost_before, cost_after,
            {_SUMS}, lines
        )
        select
            stored.id, coalesce(last.revision, 0) + 1, run.reprice_id, stored.at, stored.tenant_key, stored.context_id,
            coalesce(last.kind_after, stored.kind_id), %s,
            case when last.revision is null then stored.cost_pico else last.cost_after end, %s,
            stored.tokens_in, stored.tokens_out, coalesce(stored.cache_read, 0),
            coalesce(stored.cache_write_5m, 0)::bigint + coalesce(stored.cache_write_1h, 0)
                + coalesce(stored.cache_write_30m, 0) + coalesce(stored.cache_write_12h, 0),
            coalesce(stored.reasoning, 0), stored.duration_ms, %s::jsonb
        from stored cross join run left join costspan.current_correction as last on last.call_id = stored.id
        where stored.id = %s
        """,
        [kind_after, cost_pico, None if lines is None else json.dumps(list(lines)), call_id],
    )
