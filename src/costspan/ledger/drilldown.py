"""The calls behind a sum: of a session, of a trace, the newest, the dearest, and why one of them cost what it did."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from costspan.errors import InvalidQuestion
from costspan.ledger.asking import asking
from costspan.ledger.database import Database
from costspan.ledger.queries import queries
from costspan.text import clean

__all__ = ["MAX_CALLS", "Call", "CallLine", "Drilldown", "Place", "call_of", "page_of", "range_of", "trace_of"]

#: Calls in an answer at the most; `Place` leads to the next ones.
MAX_CALLS = 10_000
_MAX_ID = 2**63 - 1
_TRACE = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)


class Place(NamedTuple):
    """Where a call stands among all, by time; an answer goes on before it."""

    timestamp: datetime
    id: int


@dataclass(frozen=True, slots=True)
class Call:
    """One billed attempt: a row of the view ``ai_usage_metrics``. Instants are UTC."""

    id: int
    timestamp: datetime
    """When the request left, and what the call is booked and priced at."""
    service: str
    provider: str
    model: str
    operation: str
    tokens_in: int
    """Every token read, caches included."""
    tokens_out: int
    """Every token written, reasoning included."""
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_usd: Decimal | None
    """Exact, as of its last correction. None where no price is known; a lower bound where ``status`` is partial."""
    status: str
    """A `costspan.usage.Status`."""
    session_id: str | None
    tenant_id: str
    user_id: str | None
    feature: str | None
    trace_id: str | None
    """32 hexadecimal digits."""
    span_id: str | None
    """16 hexadecimal digits."""
    duration_ms: int
    price_version: str
    created_at: datetime
    """When the row was written."""

    @property
    def place(self) -> Place:
        """Where the next page begins, when this call is the last of one."""
        return Place(self.timestamp, self.id)


@dataclass(frozen=True, slots=True)
class CallLine:
    """One line of a call's bill."""

    model: str
    unit: str
    """A `costspan.usage.Unit`."""
    quantity: int
    rate_usd: Decimal | None
    """Dollars for one unit; None where no price is known."""
    amount_usd: Decimal | None
    """Dollars, exact. The amounts of a call add up to its cost."""
    layer: str
    """Which layer of the price book said so: list, overlay or contract; none where none did."""


class Drilldown:
    """Finds calls, hot and cold, without reading more of the ledger than it must.

    ``tenant`` is whose calls are looked at; None is everybody's, as admin. ``limit`` is from 1 to `MAX_CALLS`. ``before``
    is the `Call.place` of the last call of the page before; pages hold every call once, whatever is compacted meanwhile.

    Every method raises `InvalidQuestion` for what cannot be asked, and `LedgerError` as `Database.transaction`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("drill")

    def session(
        self, session: str, *, tenant: str | None = None, limit: int = 1000, before: Place | None = None
    ) -> tuple[Call, ...]:
        """The calls of ``session``, the newest first."""
        return self._calls("session", tenant, {"session": clean(session), **page_of(limit, before)})

    def trace(
        self, trace: str, *, tenant: str | None = None, limit: int = 1000, before: Place | None = None
    ) -> tuple[Call, ...]:
        """The calls of ``trace`` (32 hexadecimal digits, with or without dashes), the newest first."""
        return self._calls("trace", tenant, {"trace": trace_of(trace), **page_of(limit, before)})

    def newest(
        self,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        tenant: str | None = None,
        limit: int = 100,
        before: Place | None = None,
    ) -> tuple[Call, ...]:
        """The newest calls in [start, end); None is no limit."""
        return self._calls("newest", tenant, {**range_of(start, end), **page_of(limit, before)})

    def dearest(
        self,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        tenant: str | None = None,
        limit: int = 100,
    ) -> tuple[Call, ...]:
        """The calls in [start, end) that cost most, the dearest first. Whose cost is not known is not among them."""
        return self._calls("dearest", tenant, {**range_of(start, end), **page_of(limit, None)})

    def call(self, call_id: int, at: datetime | None = None, *, tenant: str | None = None) -> Call | None:
        """The call with this id, or None. Its timestamp, where it is known, spares looking for it."""
        return next(iter(self._calls("call", tenant, _one(call_id, at))), None)

    def lines(self, call_id: int, at: datetime | None = None, *, tenant: str | None = None) -> tuple[CallLine, ...]:
        """The lines of this call's bill; none where there is no such call. ``at`` as in `call`."""
        values = _one(call_id, at)
        with asking(self._database, tenant) as cursor:
            return tuple(CallLine(*row) for row in cursor.execute(self._sql["lines"], values).fetchall())

    def _calls(self, question: str, tenant: str | None, values: dict[str, object]) -> tuple[Call, ...]:
        with asking(self._database, tenant) as cursor:
            return tuple(map(call_of, cursor.execute(self._sql[question], values).fetchall()))


def call_of(row: Sequence[Any]) -> Call:
    """Return the call of a row of ``ai_usage_metrics``."""
    call = Call(*row)
    return replace(call, timestamp=call.timestamp.astimezone(UTC), created_at=call.created_at.astimezone(UTC))


def trace_of(text: str) -> str:
    """Return the 32 digits of a trace's id; raises `InvalidQuestion`."""
    digits = text.replace("-", "")
    if not _TRACE.fullmatch(digits):
        raise InvalidQuestion(f"trace is {clean(text)[:40]!r}: allowed are 32 hexadecimal digits")
    return digits


def page_of(limit: int, before: Place | None) -> dict[str, object]:
    """Return ``limit`` and ``before`` as values of a query; raises `InvalidQuestion`."""
    if type(limit) is not int or not 1 <= limit <= MAX_CALLS:
        raise InvalidQuestion(f"limit is {str(limit)[:40]}: allowed are whole numbers from 1 to {MAX_CALLS:,}")
    if before is None:
        return {"limit": limit, "before": None, "before_id": None}
    timestamp, number = before
    return {"limit": limit, "before": _utc(timestamp), "before_id": _id(number)}


def range_of(start: datetime | None, end: datetime | None) -> dict[str, object]:
    """Return [start, end) as values of a query; raises `InvalidQuestion`."""
    first, last = None if start is None else _utc(start), None if end is None else _utc(end)
    if first is not None and last is not None and last < first:
        raise InvalidQuestion(f"the period ends at {end}, before it begins at {start}")
    return {"start": first, "end": last}


def _one(call_id: int, at: datetime | None) -> dict[str, object]:
    return {"id": _id(call_id), "at": None if at is None else _utc(at)}


def _id(number: int) -> int:
    if type(number) is not int or not 0 <= number <= _MAX_ID:
        raise InvalidQuestion(f"id is {str(number)[:40]}: allowed are whole numbers from 0 to {_MAX_ID}")
    return number


def _utc(instant: datetime) -> datetime:
    if instant.utcoffset() is None:
        raise InvalidQuestion(f"{instant} has no time zone: which instant it is cannot be known")
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise InvalidQuestion(f"no instant that can be asked for: {instant}") from error
