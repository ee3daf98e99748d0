"""A call as Postgres stores it: the bytes of a row for COPY, and the detail of a call that needs more than a row.

Packed here and not by the driver, because `struct` refuses a number that does not fit where the driver's own fast path
(psycopg 3.3) cuts it: 2**40 tokens became 0.
"""

from __future__ import annotations

import struct
from datetime import UTC, date, datetime, timedelta

import msgspec

from costspan.event import CallEvent, Line
from costspan.ledger.dictionary import Kind
from costspan.usage import Unit

__all__ = ["COPY_BEGIN", "COPY_END", "Detail", "day_of", "detail_of", "is_plain", "moment", "pack_row"]

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

# Each field is its length and its value, in the order of the COPY statement: what every call has, what nearly every call
# has, and what is rare. Nearly every row is one pack of the longer form and the NULLs of the rest.
_ALWAYS = "h iq iq ii ii ii ii ii ii".replace(" ", "")
_HEAD = struct.Struct(f"!{_ALWAYS}").pack
_HEAD_AND_IDENTITY = struct.Struct(f"!{_ALWAYS}iqi8si16s").pack
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
_NOTHING_RARE = _NO_CACHE + _NULL + _NULL
_PLAIN = frozenset({Unit.INPUT.value, Unit.OUTPUT.value})


class Detail(msgspec.Struct, frozen=True):
    """A row of call_detail."""

    call_id: int
    at: datetime
    tenant_key: int
    lines: list[dict[str, str | int | None]] | None
    quantities: dict[str, int] | None
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


def pack_row(call_id: int, event: CallEvent, kind: Kind, context_id: int) -> bytes:
    """Return the row of ``event`` for COPY BINARY.

    Raises:
        struct.error, ValueError: a number does not fit its column, or an id is not of its length.
    """
    span, trace, cost = event.span_id, event.trace_id, event.cost_pico
    always = (
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
    if cost is not None and len(span) == _SPAN and len(trace) == _TRACE:
        row = _HEAD_AND_IDENTITY(*always, 8, cost, _SPAN, span, _TRACE, trace)
    else:
        money = _NULL if cost is None else _INT8(8, cost)
        row = _HEAD(*always) + money + _identity(span, _SPAN) + _identity(trace, _TRACE)
    if event.retry or event.reasoning or not event.quantities.keys() <= _PLAIN:
        return row + _rare(event)
    return row + _NOTHING_RARE


def _identity(value: bytes, length: int) -> bytes:
    if not value:
        return _NULL
    if len(value) != length:
        raise ValueError(f"an id of {len(value)} bytes: {length} are needed")
    return _LENGTHS[length] + value


def _rare(event: CallEvent) -> bytes:
    get = event.quantities.get
    numbers = [_INT4(4, number) if number else _NULL for number in (*map(get, _CACHE_UNITS), event.reasoning)]
    numbers.append(_INT2(2, min(event.retry, _MAX_SMALLINT)) if event.retry else _NULL)
    return b"".join(numbers)


def is_plain(event: CallEvent, kind: Kind) -> bool:
    """Whether the row of ``event`` and the rates of its kind tell all of it."""
    return (
        not event.problem
        and not event.evidence
        and _bill_follows(event, kind)
        and event.quantities.keys() <= _COLUMN_UNITS
    )


def detail_of(call_id: int, event: CallEvent, kind: Kind) -> Detail:
    """What of ``event`` its row and its kind's rates do not tell.

    Raises:
        ValueError: as `day_of`.
    """
    has_columns = event.quantities.keys() <= _COLUMN_UNITS
    follows = has_columns and _bill_follows(event, kind)
    return Detail(
        call_id=call_id,
        at=moment(event.at_ns),
        tenant_key=kind.tenant_key,
        lines=None if follows else [_spelt_out(line) for line in event.lines],
        quantities=None if has_columns else event.quantities,
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
            if event.cost_pico is not None or line.rate_atto is not None or line.model != event.model:
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
