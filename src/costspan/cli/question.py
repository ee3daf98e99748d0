"""What is asked of the ledger: a period in a zone, for whom, by what. Made from words a user typed."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from costspan.errors import InvalidQuestion
from costspan.ledger.period import PERIODS, Period, day_start, named_period
from costspan.ledger.summary import Dimension
from costspan.text import clean
from costspan.zone import zone_named

__all__ = [
    "RANGE",
    "SERVICES",
    "Question",
    "ask",
    "ask_range",
    "day_of",
    "dimensions",
    "moment_of",
    "range_of",
    "service_of",
    "tenant_of",
    "zone_of",
]

SERVICES = ("anthropic", "openai")
#: The name of a period that is no day, week or month.
RANGE = "range"
#: The days that the ledger has partitions for.
_FIRST, _LAST = date(2015, 1, 1), date(2099, 12, 31)
#: Of a value that is refused, what is repeated.
_SHOWN = 80
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Usage of a whole day, week or month of a zone, or between two instants."""

    name: str
    """day, week, month, or range."""
    period: Period
    by: tuple[Dimension, ...]
    tenant: str | None = None
    """None: every tenant."""
    service: str | None = None

    @property
    def zone(self) -> ZoneInfo:
        """Where its days begin."""
        return self.period.zone

    @property
    def first(self) -> date:
        """Its first day."""
        return self.period.start.astimezone(self.zone).date()

    @property
    def month(self) -> Period:
        """The month in which it begins."""
        return named_period("month", self.first, self.zone)


def ask(
    period: str,
    day: date,
    zone: ZoneInfo,
    *,
    by: Collection[str],
    tenant: str | None = None,
    service: str | None = None,
) -> Question:
    """Return the question for the day, week or month that ``day`` is in.

    Raises:
        InvalidQuestion: for a period, a dimension, a tenant or a service that there is not.
    """
    _check("--period", period, PERIODS)
    return Question(
        name=period,
        period=named_period(period, day, zone),
        by=dimensions(",".join(by)),
        tenant=tenant_of(tenant),
        service=service_of(service),
    )


def ask_range(
    period: Period, *, by: Collection[str], tenant: str | None = None, service: str | None = None
) -> Question:
    """Return the question for any period. Errors as `ask`."""
    return Question(
        name=RANGE,
        period=period,
        by=dimensions(",".join(by)),
        tenant=tenant_of(tenant),
        service=service_of(service),
    )


def range_of(first: str, last: str | None, zone: ZoneInfo, now: datetime) -> Period:
    """Return the period from ``first`` on: a day, or an instant, to the end of the day ``last``, or to that instant.

    Without ``last`` it is today.

    Raises:
        InvalidQuestion: for what is neither, and for an end that does not come after the beginning.
    """
    start = moment_of("--from", first, zone)
    if last is None or _DAY.fullmatch(last):
        day = now.astimezone(zone).date() if last is None else day_of(last, zone, now, option="--to")
        end = day_start(day + timedelta(days=1), zone)
    else:
        end = moment_of("--to", last, zone)
    if end <= start:
        raise InvalidQuestion(
            f"the range ends at {end.isoformat()}: it must end after it begins, at {start.isoformat()}"
        )
    return Period(start, end, zone)


def moment_of(option: str, text: str, zone: ZoneInfo) -> datetime:
    """Return the beginning of the day that ``text`` writes, or the instant; without an offset it is one of ``zone``.

    Raises:
        InvalidQuestion: for another text; it names ``option``.
    """
    try:
        moment = datetime.fromisoformat(text) if re.match(r"\d{4}-\d\d-\d\d", text, re.ASCII) else None
        if moment is not None and _FIRST.year <= moment.year <= _LAST.year:
            return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise InvalidQuestion(
        f"{option} is {text[:_SHOWN]!r}: allowed are days such as 2026-11-20, and instants such as 2026-11-20T12:00+00:00, "
        f"of the years {_FIRST.year} to {_LAST.year}"
    )


def day_of(text: str | None, zone: ZoneInfo, now: datetime, *, option: str = "--date") -> date:
    """Return the day that ``text`` writes as YYYY-MM-DD; today in ``zone`` where it is not given.

    Raises:
        InvalidQuestion: for another text, and for a day that the ledger cannot hold.
    """
    if text is None:
        return now.astimezone(zone).date()
    try:
        day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None or not _FIRST <= day <= _LAST:
        raise InvalidQuestion(f"{option} is {text[:_SHOWN]!r}: allowed are days as YYYY-MM-DD from {_FIRST} to {_LAST}")
    return day


def zone_of(text: str) -> ZoneInfo:
    """Return the IANA time zone of that name.

    Raises:
        InvalidQuestion: where there is none.
    """
    try:
        return zone_named(text)
    except ValueError as error:
        allowed = "allowed are IANA time zones such as UTC or Asia/Kolkata"
        raise InvalidQuestion(f"--tz is {text[:_SHOWN]!r}: {allowed}") from error


def dimensions(text: str) -> tuple[Dimension, ...]:
    """Return the dimensions of a comma-separated list, each once, in its order.

    Raises:
        InvalidQuestion: for an empty list and for a name that is no dimension.
    """
    names = tuple(dict.fromkeys(name.strip().lower() for name in text.split(",")))
    for name in names:
        _check("--by", name, tuple(Dimension))
    return tuple(map(Dimension, names))


def service_of(text: str | None) -> str | None:
    """Return the service of that name; None, which is every one, for ``all`` and where it is not given.

    Raises:
        InvalidQuestion: for another name.
    """
    if text is None or text == "all":
        return None
    _check("--service", text, (*SERVICES, "all"))
    return text


def tenant_of(text: str | None) -> str | None:
    """Return the tenant's id as the ledger has it; None, which is all of them, where it is not given.

    Raises:
        InvalidQuestion: for an empty id, which is more often a mistake in a script than a wish to see everyone.
    """
    if text is not None and not text.strip():
        raise InvalidQuestion(f"--tenant is {text!r}: allowed is the id of a tenant; leave it out to see all")
    return None if text is None else clean(text)


def _check(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InvalidQuestion(f"{option} is {value[:_SHOWN]!r}: allowed are {', '.join(allowed)}")
