"""Calls, batches and segments for the ledger's tests, and what the database really holds."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg

from costspan.event import CacheUse, CallEvent, Intent, Line
from costspan.journal import Batch, Unsettled

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
#: Dollars x 10^-18 a token of claude-3-5-haiku: $1 and $5 a million.
_RATES = {"input_tokens": 10**12, "output_tokens": 5 * 10**12, "cache_read_tokens": 10**11}
_numbers = itertools.count(1)


def nanoseconds(instant: datetime) -> int:
    """An instant as events carry it, exactly."""
    since = instant - datetime(1970, 1, 1, tzinfo=UTC)
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000


def call(at: datetime = NOON, tokens: tuple[int, int] = (450, 180), cached: int = 0, **changes: Any) -> CallEvent:
    """A priced call of claude-3-5-haiku: input (without ``cached``) and output tokens."""
    quantities = {
        unit: quantity for unit, quantity in zip(_RATES, (tokens[0], tokens[1], cached), strict=True) if quantity
    }
    model = changes.get("model", "claude-3-5-haiku-latest")
    lines = [
        Line(model, unit, quantity, _RATES[unit], quantity * _RATES[unit] // 10**6, "list")
        for unit, quantity in quantities.items()
    ]
    number = next(_numbers)
    event = CallEvent(
        attempt=number.to_bytes(16, "big"),
        at_ns=nanoseconds(at),
        duration_ms=700,
        service="anthropic",
        provider="anthropic",
        operation="chat",
        model=model,
        request_model=model,
        status="priced",
        cost_pico=sum(line.amount_pico or 0 for line in lines),
        tokens_in=tokens[0] + cached,
        tokens_out=tokens[1],
        quantities=quantities,
        reasoning=0,
        terms="standard",
        price_version="genai-prices 0.2.3",
        lines=lines,
        tenant="acme",
        session="s-1",
        user="u-1",
        feature="compression",
        trace_id=number.to_bytes(16, "big"),
        span_id=number.to_bytes(8, "big"),
    )
    return msgspec.structs.replace(event, **changes)


def unpriced(at: datetime = NOON, **changes: Any) -> CallEvent:
    """A call of a model that nobody has a price for."""
    lines = [
        Line("llama-9", "input_tokens", 450, None, None, "none"),
        Line("llama-9", "output_tokens", 180, None, None, "none"),
    ]
    return call(
        at,
        **{
            "model": "llama-9",
            "status": "unpriced",
            "cost_pico": None,
            "lines": lines,
            "problem": "no price is known for llama-9",
            "evidence": '{"prompt_tokens":450,"completion_tokens":180}',
            **changes,
        },
    )


def batch(events: Sequence[CallEvent], start: int = 0, **others: Any) -> Batch:
    """Events as a journal hands them on; each takes one place."""
    return Batch(start, start + max(1, len(events)), list(events), **others)


def lost(outcome: str, at: datetime = NOON, **changes: Any) -> Unsettled:
    """An attempt that ended without usage."""
    intent = Intent(
        uuid4().bytes, nanoseconds(at), "openai", "openai", "chat", "gpt-4o-mini", "acme", "s-1", "u-1", "compression"
    )
    intent = msgspec.structs.replace(intent, **changes)
    return Unsettled(intent.attempt, intent, outcome, "connection reset")


def use(at: datetime = NOON, tokens: int = 1000, **changes: Any) -> CacheUse:
    """A hit of a cache of embeddings, of which a thousand tokens cost $0.00013."""
    hit = CacheUse(
        at_ns=nanoseconds(at),
        cache="embeddings",
        is_hit=True,
        tokens=tokens,
        avoided_pico=tokens * 130_000,
        model="text-embedding-3-large",
        tenant="acme",
        feature="search",
    )
    return msgspec.structs.replace(hit, **changes)


def miss(at: datetime = NOON, **changes: Any) -> CacheUse:
    """A miss of the same cache."""
    return use(at, 0, **{"is_hit": False, "avoided_pico": None, **changes})


@dataclass
class MemorySegment:
    """A journal's segment in memory, with a position for each event."""

    events: list[CallEvent] = field(default_factory=list)
    is_finished: bool = False
    writer: UUID = field(default_factory=uuid4)

    def read(self, position: int, limit: int) -> Batch:
        """What follows ``position``."""
        events = self.events[position : position + limit]
        end = position + len(events)
        return Batch(position, end, events, is_last=self.is_finished and end == len(self.events))

    def discard(self) -> None:
        """Nothing is kept outside of memory."""

    def release(self) -> None:
        """As `discard`."""


class Rows:
    """What the database really holds, asked by a superuser."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self.connection = connection

    def __call__(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """All rows of ``query``."""
        return self.connection.execute(query, values or None).fetchall()  # type: ignore[arg-type]

    def one(self, query: str, *values: object) -> Any:
        """The only value of the only row."""
        ((value,),) = self(query, *values)
        return value

    @property
    def calls(self) -> int:
        """Stored calls."""
        return int(self.one("select count(*) from costspan.call"))

    @property
    def cost(self) -> Decimal:
        """Dollars of all stored calls."""
        return Decimal(self.one("select coalesce(sum(cost_usd), 0) from ai_usage_metrics"))

    @property
    def rollup_differs(self) -> list[tuple[Any, ...]]:
        """Hours whose sums are not those of their calls; empty unless something is wrong."""
        return self("""
            with truth as (
                select tenant_key, date_bin('1 hour', at, '2000-01-01 00:00+00') as hour, kind_id, count(*) as calls,
                    sum(tokens_in) as tokens_in, sum(tokens_out) as tokens_out, sum(coalesce(cache_read, 0)) as cache_read,
                    coalesce(sum(cost_pico), 0) as cost_pico
                from costspan.call group by 1, 2, 3
            ), kept as (
                select tenant_key, hour, kind_id, calls, tokens_in, tokens_out, cache_read, cost_pico from costspan.usage_hour
            )
            (select * from truth except select * from kept) union all (select * from kept except select * from truth)
        """)
