"""Days and instants that a question names, from words a user typed."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import Depends, Query

from costspan.exporter.api.parameters import Now, Zone
from costspan.exporter.problem import Problem, shown
from costspan.ledger.period import day_start

__all__ = ["Day", "Range", "day_of", "instant_of"]

#: The days that the ledger has partitions for.
_FIRST, _LAST = date(2015, 1, 1), date(2099, 12, 31)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
#: Of an instant. In an address, `+` that was not escaped arrives as a blank.
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+ -]\d\d:\d\d)", re.ASCII)
_ALLOWED = f"allowed are days as YYYY-MM-DD from {_FIRST} to {_LAST}"


def day_of(name: str, text: str) -> date:
    """Return the day that ``text``, the parameter ``name``, writes as YYYY-MM-DD.

    Raises:
        Problem: 422 for another text, and for a day that the ledger cannot hold.
    """
    try:
        day = date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None or not _FIRST <= day <= _LAST:
        raise Problem(422, f"{name} is {shown(text)}: {_ALLOWED}", parameter=name)
    return day


def instant_of(name: str, text: str, zone: ZoneInfo, *, is_end: bool = False) -> datetime:
    """Return the instant that ``text`` writes; of a day its beginning in ``zone``, or its end.

    Raises:
        Problem: 422, as `day_of`.
    """
    if _DATE.fullmatch(text):
        day = day_of(name, text)
        return day_start(day + timedelta(days=1) if is_end else day, zone)
    try:
        found = datetime.fromisoformat(text.replace(" ", "+")) if _INSTANT.fullmatch(text) else None
        if found is not None and _FIRST <= found.astimezone(UTC).date() <= _LAST:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    allowed = f"{_ALLOWED}, and instants such as 2026-11-21T14:30:00Z or 2026-11-21T14:30:00+05:30"
    raise Problem(422, f"{name} is {shown(text)}: {allowed}", parameter=name)


async def _day(
    zone: Zone,
    now: Now,
    day: Annotated[
        str | None,
        Query(
            alias="date",
            description="Any day of the period, as YYYY-MM-DD; today when not given.",
            json_schema_extra={"format": "date"},
            examples=["2026-11-21"],
        ),
    ] = None,
) -> date:
    return now.astimezone(zone).date() if day is None else day_of("date", day)


#: The day that is asked about.
Day = Annotated[date, Depends(_day)]


async def _range(
    zone: Zone,
    since: Annotated[
        str | None,
        Query(alias="from", description="Day, or instant with its offset, of the first call.", examples=["2026-11-01"]),
    ] = None,
    until: Annotated[
        str | None,
        Query(
            alias="to",
            description="Last day, or the instant (with its offset) before which the last call was made.",
            examples=["2026-11-21T14:30:00Z"],
        ),
    ] = None,
) -> tuple[datetime | None, datetime | None]:
    start = None if since is None else instant_of("from", since, zone)
    end = None if until is None else instant_of("to", until, zone, is_end=True)
    if start is not None and end is not None and end <= start:
        raise Problem(422, f"to is {shown(until)}: allowed is what comes after from, {shown(since)}", parameter="to")
    return start, end


#: [from, to); None is no limit.
Range = Annotated[tuple[datetime | None, datetime | None], Depends(_range)]
