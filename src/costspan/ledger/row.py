"""A call as Postgres stores it: the bytes of a row for COPY, and the detail of a call that needs more than a row.

Packed here and not by the driver, because `struct` refuses a number that does not fit where the driver's own fast path
(psycopg 3.3) cuts it: 2**40 tokens became 0.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import msgspec

from costspan.event import CallEvent, Line
from costspan.ledger.dictionary import Kind
from costspan.usage import Unit

__all__ = ["COPY_BEGIN", "COPY_END", "Detail", "day_of", "detail_of", "moment", "pack_row"]

COPY_BEGIN = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_END = b"\xff\xff"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Postgres counts microseconds from the year 2000.
_PG_EPOCH_US = 946_684_800_000_000
_DAY_NS = 86_400_000_000_000
_FIRST_DAY = (date(2015, 1, 1) - _EPOCH.date()).days
_LAST_DAY = (date(2099, 12, 31) - _EPOCH.date()).days
_MAX_SMALLINT = 2**15 - 1
_MAX_INT = 2**31 - 1

# Each field is its length and its value, in the order of the COPY statement; all that every call has comes first.
_HEAD = struct.Struct("!h iq iq ii ii ii ii ii ii".replace(" ", ""))
_COLUMNS = 18
_NULL = b"\xff\xff\xff\xff"
_INT8 = struct.Struct("!iq").pack
_INT4 = struct.Struct("!ii").pack
_INT2 = struct.Struct("!ih").pack
_SPAN, _TRACE = 8, 16
_LENGTHS = {length: struct.pack("!i", length) for length in (_SPAN, _TRACE)}

#: The units that have a column, besides input and output tokens, which follow from the totals.
_CACHE_UNITS = (
    Unit.CACHE_READ.value,
    Unit.CACHE_WRITE_5M.value,
    Unit.CACHE_WRITE_1H.value,
    Unit.CACHE_WRITE_30M.value,
    Unit.CACHE_WRITE_12H.value,
)
_COLUMN_UNITS = frozenset({Unit.INPUT.value, Unit.OUTPUT.value, *_CACHE_UNITS})
_NO_CACHE = _NULL * len(_CACHE_UNITS)
_PLAIN = frozenset({Unit.INPUT.value, Unit.OUTPUT.value})


@dataclass(frozen=True, slots=True)
class Detail:
    """A row of call_detail, less its keys."""

    lines: str | None
    quantities: str | None
    response_id: str | None
    problem: str | None
    evidence: str | None


def day_of(at_ns: int) -> date:
    """The day (UTC) of an instant.

    Raises:
        ValueError: for a day on which no call was made; a partition for it would only hide a broken clock.
    """
    day = at_ns // _DAY_NS
    if not _FIRST_DAY <= day <= _LAST_DAY:
        raise ValueError(f"{at_ns} ns after 1970 is before 2015 or after 2099")
    return _EPOCH.date() + timedelta(days=day)


def moment(at_ns: int) -> datetime:
    """An instant as Postgres keeps it, cut to microseconds.

    Raises:
        ValueError: as `day_of`.
    """
    day_of(at_ns)
    return _EPOCH + timedelta(microseconds=at_ns // 1000)


def pack_row(event: CallEvent, call_id: int, kind: Kind, context_id: int) -> bytes:
    """Return the row of ``event`` for COPY BINARY.

    Raises:
        struct.error, ValueError: a number does not fit its column, or an id is not of its length.
    """
    head = _HEAD.pack(
        _COLUMNS,
        8,
        call_id,
        8,
        event.at_ns // 1000 - _PG_EPOCH_US,
        4,
        kind.tenant_key,
        4,
        context_id,
        4,
        kind.kind_id,
        4,
        event.tokens_in,
        4,
        event.tokens_out,
        4,
        min(event.duration_ms, _MAX_INT),
    )
    cost = _NULL if event.cost_pico is None else _INT8(8, event.cost_pico)
    reasoning = _INT4(4, event.reasoning) if event.reasoning else _NULL
    retry = _INT2(2, min(event.retry, _MAX_SMALLINT)) if event.retry else _NULL
    span, trace = _identity(event.span_id, _SPAN), _identity(event.trace_id, _TRACE)
    return b"".join((head, cost, span, trace, _caches(event), reasoning, retry))


def _identity(value: bytes, length: int) -> bytes:
    if not value:
        return _NULL
    if len(value) != length:
        raise ValueError(f"an id of {len(value)} bytes: {length} are needed")
    return _LENGTHS[length] + value


def _caches(event: CallEvent) -> bytes:
    quantities = event.quantities
    if quantities.keys() <= _PLAIN:
        return _NO_CACHE
    amounts = [quantities.get(unit) for unit in _CACHE_UNITS]
    return b"".join([_INT4(4, amount) if amount else _NULL for amount in amounts])


def detail_of(event: CallEvent, kind: Kind) -> Detail | None:
    """What of ``event`` its row and its kind's rates do not tell; usually nothing."""
    has_columns = event.quantities.keys() <= _COLUMN_UNITS
    follows = has_columns and _bill_follows(event, kind)
    if follows and not event.problem and not event.evidence:
        return None
    return Detail(
        lines=None if follows else msgspec.json.encode([_spelt_out(line) for line in event.lines]).decode(),
        quantities=None if has_columns else msgspec.json.encode(event.quantities).decode(),
        response_id=event.response_id or None,
        problem=event.problem or None,
        evidence=event.evidence or None,
    )


def _bill_follows(event: CallEvent, kind: Kind) -> bool:
    """Whether the lines are just this: each unit of the call, at its kind's rate."""
    quantities, rates, total = event.quantities, kind.rates, 0
    if len(event.lines) != len(quantities):
        return False
    for line in event.lines:
        if line.amount_pico is None:
            if event.cost_pico is not None or line.rate_atto is not None:
                return False
        elif (
            rates.get(line.unit) != (line.model, line.rate_atto, line.layer)
            or line.amount_pico * 1_000_000 != line.quantity * line.rate_atto  # type: ignore[operator]  # in rates: an int
        ):
            return False
        else:
            total += line.amount_pico
        if quantities.get(line.unit) != line.quantity:
            return False
    return event.cost_pico is None or event.cost_pico == total


def _spelt_out(line: Line) -> dict[str, str | int | None]:
    return {
        "model": line.model,
        "unit": line.unit,
        "quantity": line.quantity,
        "rate_atto": line.rate_atto,
        "amount_pico": line.amount_pico,
        "layer": line.layer,
    }
