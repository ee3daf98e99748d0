"""The table that comes to mind first, as what the ledger is compared with: uuids, texts, decimal(10,6), two b-trees."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg

from costspan.event import CallEvent

__all__ = ["Naive"]

_TABLE = """
create table public.naive (
    id uuid primary key,
    timestamp timestamptz not null,
    service text not null,
    model text not null,
    operation text not null,
    tokens_in int not null,
    tokens_out int not null,
    cost_usd decimal(10, 6),
    session_id uuid,
    tenant_id uuid not null,
    created_at timestamptz not null default now()
);
create index on public.naive (timestamp, tenant_id);
create index on public.naive (session_id);
"""
_INSERT = "insert into public.naive values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
_COLUMNS = "id, timestamp, service, model, operation, tokens_in, tokens_out, cost_usd, session_id, tenant_id"
_OF_MONTH = "from public.naive where tenant_id = %s and timestamp >= %s and timestamp < %s"
_SUMS = "sum(cost_usd), count(*), sum(tokens_in), sum(tokens_out)"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Whose calls, from when to when.
Span = tuple[str, datetime, datetime]


class Naive:
    """The naive table in the database of ``url``, without row level security: what it answers is faster so."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self._connection.execute(_TABLE)
        self._chance = random.Random(1)  # noqa: S311  # the same in every run

    @property
    def pid(self) -> int:
        """Of its server process."""
        return self._connection.info.backend_pid

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def insert(self, events: Sequence[CallEvent]) -> tuple[float, float]:
        """Insert with executemany in one transaction; return seconds of wall and of CPU of this thread."""
        rows = self._rows(events)
        begin, cpu = time.perf_counter(), time.thread_time()
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.executemany(_INSERT, rows)
        return time.perf_counter() - begin, time.thread_time() - cpu

    def copy(self, events: Sequence[CallEvent]) -> None:
        """Insert without being measured."""
        with self._connection.cursor() as cursor, cursor.copy(f"copy public.naive ({_COLUMNS}) from stdin") as copy:
            for row in self._rows(events):
                copy.write_row(row)

    def _rows(self, events: Sequence[CallEvent]) -> list[tuple[object, ...]]:
        return [
            (
                uuid.UUID(int=self._chance.getrandbits(128), version=4),
                _EPOCH + timedelta(microseconds=event.at_ns // 1000),
                event.service,
                event.model,
                event.operation,
                event.tokens_in,
                event.tokens_out,
                None if event.cost_pico is None else Decimal(event.cost_pico).scaleb(-12),
                uuid.UUID(event.session),
                uuid.UUID(event.tenant),
            )
            for event in events
        ]

    def analyze(self) -> None:
        """What autovacuum would have done by then."""
        self._connection.execute("vacuum analyze public.naive")

    def size(self) -> int:
        """Bytes, indexes included."""
        return int(self._ask("select pg_total_relation_size('public.naive')")[0][0])

    def by_service(self, month: Span) -> list[tuple[Any, ...]]:
        """A month's sums by service."""
        return self._ask(f"select service, {_SUMS} {_OF_MONTH} group by 1", *month)

    def by_day(self, month: Span, zone: str) -> list[tuple[Any, ...]]:
        """A month's sums by the days of a zone."""
        return self._ask(f"select (timestamp at time zone %s)::date, {_SUMS} {_OF_MONTH} group by 1", zone, *month)

    def session(self, tenant: str, session: str) -> list[tuple[Any, ...]]:
        """A session's calls."""
        query = "select * from public.naive where session_id = %s and tenant_id = %s order by timestamp limit 1000"
        return self._ask(query, session, tenant)

    def newest(self, month: Span) -> list[tuple[Any, ...]]:
        """A tenant's hundred newest calls."""
        return self._ask(f"select * {_OF_MONTH} order by timestamp desc limit 100", *month)

    def dearest(self, month: Span) -> list[tuple[Any, ...]]:
        """A tenant's hundred most expensive calls."""
        return self._ask(f"select * {_OF_MONTH} order by cost_usd desc nulls last limit 100", *month)

    def _ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return self._connection.execute(query, values).fetchall()
