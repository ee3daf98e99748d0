"""What sums must be, by plain loops over Decimals: nothing here is shared with the ledger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from costspan.event import CallEvent
from costspan.ledger import Summary, SummaryRow
from integration.ledger.calls import nanoseconds

__all__ = ["Sums", "instant_of", "said", "told", "within"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_QUARTER = timedelta(minutes=15)
_STATUSES = ("priced", "estimated", "partial", "unpriced", "invalid")
#: Sums by the values of what was asked by, as texts: hours that clocks show twice are equal to Python.
Sums = dict[frozenset[tuple[str, str]], dict[str, int | Decimal]]


def instant_of(event: CallEvent) -> datetime:
    """When the call was made, to the microsecond."""
    return _EPOCH + timedelta(microseconds=event.at_ns // 1000)


def within(events: Iterable[CallEvent], start: datetime, end: datetime) -> list[CallEvent]:
    """Those of [start, end)."""
    return [event for event in events if nanoseconds(start) <= event.at_ns < nanoseconds(end)]


def told(events: Iterable[CallEvent], by: Collection[str], zone: ZoneInfo, start: datetime) -> Sums:
    """The sums of ``events``, none of which is before ``start``."""
    found: Sums = defaultdict(lambda: defaultdict(int))
    for event in events:
        pico = Decimal(event.cost_pico or 0).scaleb(-12)
        is_valid = event.status != "invalid"
        sums = found[frozenset((name, _text(_value(event, name, zone, start))) for name in by)]
        sums["calls"] += 1
        sums[event.status] += 1
        sums["tokens_in"] += event.tokens_in if is_valid else 0
        sums["tokens_out"] += event.tokens_out if is_valid else 0
        sums["cache_read"] += event.quantities.get("cache_read_tokens", 0) if is_valid else 0
        written = sum(amount for unit, amount in event.quantities.items() if unit.startswith("cache_write"))
        sums["cache_write"] += written if is_valid else 0
        sums["reasoning"] += event.reasoning if is_valid else 0
        sums["cost"] += pico
        sums["cost_not_priced"] += pico if event.status != "priced" else 0
        sums["cost_estimated"] += pico if event.status == "estimated" else 0
    return {key: {name: sum_ for name, sum_ in sums.items() if sum_} for key, sums in found.items()}


def said(summary: Summary) -> Sums:
    """The rows of ``summary`` likewise; what is 0 is left out."""
    found = {
        frozenset((name.value, _text(value)) for name, value in row.keys.items()): _sums(row) for row in summary.rows
    }
    assert len(found) == len(summary.rows)
    return found


def _sums(row: SummaryRow) -> dict[str, int | Decimal]:
    names = (
        "calls", *_STATUSES, "tokens_in", "tokens_out", "cache_read", "cache_write", "reasoning", "cost", "cost_not_priced",
        "cost_estimated",
    )  # fmt: skip
    return {name: value for name in names if (value := getattr(row, name))}


def _value(event: CallEvent, name: str, zone: ZoneInfo, start: datetime) -> str | date | datetime:
    local = instant_of(event).astimezone(zone)
    times: Mapping[str, date | datetime] = {
        "hour": _clock_hour(instant_of(event), zone, start),
        "day": local.date(),
        "week": local.date() - timedelta(days=local.weekday()),
        "month": local.date().replace(day=1),
    }
    return times[name] if name in times else str(getattr(event, name))


def _clock_hour(at: datetime, zone: ZoneInfo, start: datetime) -> datetime:
    """When the zone's clocks came to the hour that they show ``at``; not before ``start``."""
    shown = _clock(at, zone)
    quarter = at - (at - _EPOCH) % _QUARTER
    while quarter > start and _clock(quarter - _QUARTER, zone) == shown:
        quarter -= _QUARTER
    return max(quarter, start).astimezone(zone)


def _clock(at: datetime, zone: ZoneInfo) -> tuple[date, int, timedelta | None]:
    local = at.astimezone(zone)
    return local.date(), local.hour, local.utcoffset()


def _text(value: str | date | datetime) -> str:
    return value if isinstance(value, str) else value.isoformat()
