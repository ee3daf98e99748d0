"""Two tenants with something in every table, hot and cold, and statements run as whom one likes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import sql

from costspan.ledger import Ledger
from costspan.ledger.budget import Window
from integration.ledger.calls import NOON, Rows, batch, call, lost, unpriced, use

__all__ = ["Ask", "World", "a_login", "fill", "write"]

Ask = Callable[..., list[tuple[Any, ...]]]

#: Of the rival's, and so found in whatever shows a row of it: its trace and span ids are its name.
TRACE, SPAN = b"rivalrivalrival!", b"rivalspa"
_OF_EACH = {
    "acme": {"tokens": (450, 180)},
    "rival": {"tokens": (77_717, 77_719), "trace_id": TRACE, "span_id": SPAN},
}
#: One correction of a row and one of a call in a slice.
_CORRECT = """
    with run as (
        insert into costspan.reprice (since, until, price_version, reason)
        select '2026-11-01', '2026-12-01', 'test', 'of ' || %(tenant)s returning reprice_id
    ), chosen as (
        (select call.id, call.at, call.tenant_key, call.context_id, call.kind_id, call.cost_pico, call.tokens_in, call.tokens_out,
            call.duration_ms
         from costspan.call join costspan.tenant using (tenant_key)
         where tenant_id = %(tenant)s and cost_pico is not null order by id limit 1)
        union all
        (select cold.id, cold.at, tenant_key, cold.context_id, cold.kind_id, cold.cost_pico, cold.tokens_in, cold.tokens_out,
            cold.duration_ms
         from costspan.call_slice join costspan.tenant using (tenant_key) cross join lateral unnest(calls) as cold
         where tenant_id = %(tenant)s and cold.cost_pico is not null order by cold.id limit 1)
    )
    insert into costspan.correction (
        call_id, revision, reprice_id, at, tenant_key, context_id, kind_before, kind_after, cost_before, cost_after, tokens_in,
        tokens_out, cache_read, cache_write, reasoning, duration_ms, problem
    )
    select
        id, 1, reprice_id, at, tenant_key, context_id, kind_id, kind_id, cost_pico, cost_pico + 1, tokens_in, tokens_out, 0, 0, 0,
        duration_ms, 'of ' || %(tenant)s
    from chosen, run
"""


def write(ledger: Ledger, *names: str) -> None:
    """Write calls of yesterday and today for these tenants, and move yesterday into slices."""
    for name in names:
        own = _OF_EACH[name]
        who = {"tenant": name, "session": f"{name}-s", "user": f"{name}-u", "feature": f"{name}-f", **own}
        for at in (NOON - timedelta(days=1), NOON):
            events = [
                call(at, **who, natural_key=str(uuid4())),
                unpriced(at, **who, evidence=f'{{"of":"{name}"}}'),
                call(
                    at, **who | {"model": f"ft:{name}", "cost_pico": 77_717 * 10**9 if name == "rival" else 11 * 10**12}
                ),
                call(at, **who | {"cost_pico": -1, "session": f"{name}-poison"}),
            ]
            uses = [use(at, tenant=name, feature=f"{name}-f", tokens=own["tokens"][0])]
            lost_one = lost("open", at, tenant=name, session=f"{name}-s")
            ledger.write(batch(events, endings=[lost_one], cache_uses=uses), uuid4())
    ledger.compact(date(2026, 11, 21))


def fill(ledger: Ledger, rows: Rows) -> None:
    """Give both something in every table: calls, corrections, budgets, alerts."""
    write(ledger, *_OF_EACH)
    for name, amount in (("acme", "25"), ("rival", "7771.7")):
        ledger.set_budget(name, "day", Decimal(amount))
        ledger.tokens.create(f"of {name}", tenant=name)
        rows.connection.execute(_CORRECT, {"tenant": name})
        ledger._thresholds._may_alert(name, Window.DAY, Decimal(10))
    ledger.set_budget(None, "month", Decimal(1000))
    rows.connection.execute("insert into costspan.retention (kept_since, calls) values ('2026-01-01', 0)")
    rows.connection.execute("analyze")


@dataclass
class World:
    """A ledger of two tenants, acme and rival."""

    url: str
    ledger: Ledger
    rows: Rows
    """As a superuser, to whom no policy applies."""
    connection: psycopg.Connection[Any]
    """On which others act."""

    @cached_property
    def marks(self) -> frozenset[str]:
        """What is found in the text of any row, or part of a row, of the rival's."""
        ids = self.rows("""
            select call.id from costspan.call join costspan.tenant using (tenant_key) where tenant_id = 'rival'
            union all
            select cold.id from costspan.call_slice join costspan.tenant using (tenant_key) cross join unnest(calls) as cold
            where tenant_id = 'rival'
        """)
        assert len(ids) == 6
        span = int.from_bytes(SPAN, "big")
        texts = {"rival", "77717", "77.717", "7771.7", TRACE.hex(), str(UUID(bytes=TRACE)), SPAN.hex(), str(span)}
        return frozenset(texts | {str(number) for (number,) in ids})

    @contextmanager
    def acting(self, role: str, tenant: str | None = None) -> Iterator[Ask]:
        """Run statements as a role and, where it is said, for a tenant: each in a transaction that is rolled back."""
        connection = self.connection
        with connection.transaction(force_rollback=True):
            connection.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
            if tenant is not None:
                connection.execute("select set_config('app.current_tenant', %s, true)", [tenant])

            def ask(statement: Any, *values: object) -> list[tuple[Any, ...]]:
                with connection.transaction(force_rollback=True):
                    cursor = connection.execute(statement, values or None)
                    return cursor.fetchall() if cursor.description else []

            yield ask


@contextmanager
def a_login(url: str, roles: Sequence[str] = ()) -> Iterator[psycopg.Connection[Any]]:
    """A connection of a new login that is a member of ``roles``."""
    name = f"login_{uuid4().hex[:12]}"
    login = sql.Identifier(name)
    with psycopg.connect(url, autocommit=True) as superuser:
        superuser.execute(sql.SQL("create role {} login password 'p'").format(login))
        for role in roles:
            superuser.execute(sql.SQL("grant {} to {}").format(sql.Identifier(role), login))
        try:
            with psycopg.connect(url, user=name, password="p", autocommit=True) as connection:
                yield connection
        finally:
            superuser.execute(sql.SQL("drop role {}").format(login))
