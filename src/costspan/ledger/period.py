"""Where days, weeks, months and hours of a time zone begin, as instants.

Computed here and given to Postgres as instants, so that no two time zone databases have to agree.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from costspan.errors import InvalidQuestion

__all__ = ["PERIODS", "Period", "as_date", "day_start", "named_period"]

PERIODS = ("day", "week", "month")
_HOUR = timedelta(hours=1)
_QUARTER = timedelta(minutes=15)
#: Five years of hours; more is a mistake, and a list that nobody reads.
_MAX_BUCKETS = 44_000


@dataclass(frozen=True, slots=True)
class Period:
    """[start, end) in UTC, with the zone whose days and hours it is told in."""

    start: datetime
    end: datetime
    zone: ZoneInfo

    @classmethod
    def of_days(cls, first: date, last: date, zone: ZoneInfo) -> Period:
        """From the beginning of ``first`` to the end of ``last``.

        Raises:
            InvalidQuestion: when ``last`` is before ``first``, or a day is at the calendar's end.
        """
        if last < first:
            raise InvalidQuestion(f"the period ends on {last}, before it begins on {first}")
        return cls(day_start(first, zone), day_start(_next(last), zone), zone)

    @classmethod
    def between(cls, start: datetime, end: datetime, zone: ZoneInfo) -> Period:
        """From one instant to another.

        Raises:
            InvalidQuestion: when one of them is naive or at the calendar's end, or the end is before the start.
        """
        for instant in (start, end):
            if instant.utcoffset() is None:
                raise InvalidQuestion(f"{instant} has no time zone: which instant it is cannot be known")
        if end < start:
            raise InvalidQuestion(f"the period ends at {end}, before it begins at {start}")
        try:
            return cls(start.astimezone(UTC), end.astimezone(UTC), zone)
        except OverflowError as error:
            raise InvalidQuestion(f"no period that can be asked for: {start} to {end}") from error

    def days(self) -> list[tuple[datetime, date]]:
        """Each day's part of the period: its beginning and its date."""
        day = self.start.astimezone(self.zone).date()
        found = [(self.start, day)]
        while True:
            day = _next(day)
            begin = day_start(day, self.zone)
            if begin >= self.end:
                return found
            if begin > found[-1][0]:
                found.append((begin, day))
            else:
                found[-1] = (begin, day)  # a day that a zone skipped has no length
            if len(found) > _MAX_BUCKETS:
                raise InvalidQuestion(f"more than {_MAX_BUCKETS:,} days: ask for a shorter period")

    def weeks(self) -> list[tuple[datetime, date]]:
        """Each week's part of the period: its beginning and its Monday, which may lie before the period."""
        return _firsts(self.days(), lambda day: day - timedelta(days=day.weekday()))

    def months(self) -> list[tuple[datetime, date]]:
        """Each calendar month's part of the period: its beginning and its first day, which may lie before the period."""
        return _firsts(self.days(), lambda day: day.replace(day=1))

    def hours(self) -> list[tuple[datetime, datetime]]:
        """Each local hour's part of the period: its beginning, and the same as the zone's clocks show it."""
        found = list(self._hours())
        if len(found) > _MAX_BUCKETS:
            raise InvalidQuestion(f"more than {_MAX_BUCKETS:,} hours: ask for a shorter period")
        return found

    def buckets(self, units: Collection[str]) -> list[tuple[datetime, Mapping[str, date | datetime]]]:
        """Each part of the period that no beginning of any of ``units`` (hour, day, week, month) cuts.

        Its beginning, and of each unit what it is a part of. Other units are none of time and are passed over.

        Raises:
            InvalidQuestion: for more parts than anybody reads.
        """
        series = {name: parts(self) for name, parts in _PARTS.items() if name in units}
        begins = {name: [begin for begin, _ in parts] for name, parts in series.items()}
        found: list[tuple[datetime, Mapping[str, date | datetime]]] = []
        for begin in sorted({self.start}.union(*begins.values())):
            last = {name: bisect_right(begins[name], begin) - 1 for name in series}
            found.append((begin, {name: series[name][place][1] for name, place in last.items() if place >= 0}))
        return found

    def _hours(self) -> Iterator[tuple[datetime, datetime]]:
        begin = self.start
        for _ in range(_MAX_BUCKETS + 1):
            if begin >= self.end:
                return
            local = begin.astimezone(self.zone)
            yield begin, local
            begin = _hour_end(begin, local)


_PARTS: Mapping[str, Callable[[Period], list[tuple[datetime, Any]]]] = {
    "hour": Period.hours,
    "day": Period.days,
    "week": Period.weeks,
    "month": Period.months,
}


def _firsts(days: list[tuple[datetime, date]], name: Callable[[date], date]) -> list[tuple[datetime, date]]:
    """The first of all days that have one name, each."""
    found: list[tuple[datetime, date]] = []
    for begin, day in days:
        if not found or name(day) != found[-1][1]:
            found.append((begin, name(day)))
    return found


def _hour_end(begin: datetime, local: datetime) -> datetime:
    """When the clocks, which show ``local`` at ``begin``, come to another hour, or to the same one anew."""
    into = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    end = begin + (_HOUR - into)
    if end.astimezone(local.tzinfo).utcoffset() == local.utcoffset():
        return end
    # They are changed before that, on a quarter: half an hour to midnight became midnight in Pyongyang on 2018-05-04.
    change = end
    while change - _QUARTER > begin and (change - _QUARTER).astimezone(local.tzinfo).utcoffset() != local.utcoffset():
        change -= _QUARTER
    return change


def day_start(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of ``day`` in ``zone``, in UTC.

    Where clocks jump over midnight the day begins with the jump, and where midnight comes twice with the first: that is
    what ``fold=0`` says for both.

    Raises:
        InvalidQuestion: at the calendar's end.
    """
    try:
        return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
    except (OverflowError, ValueError) as error:
        raise InvalidQuestion(f"no day that can be asked for: {day}") from error


def named_period(period: str, day: date, zone: ZoneInfo) -> Period:
    """The day, week (from Monday) or month around ``day``.

    Raises:
        InvalidQuestion: for another word, or at the calendar's end.
    """
    if period not in PERIODS:
        raise InvalidQuestion(f"period is {period!r}: allowed are {', '.join(PERIODS)}")
    if period == "day":
        return Period.of_days(day, day, zone)
    try:
        if period == "week":
            first = day - timedelta(days=day.weekday())
            return Period.of_days(first, first + timedelta(days=6), zone)
        first = day.replace(day=1)
        return Period.of_days(first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1), zone)
    except OverflowError as error:
        raise InvalidQuestion(f"no {period} that can be asked for: {day}") from error


def as_date(value: object) -> date:
    """Return ``value`` as a date: a date itself, or ``YYYY-MM-DD``.

    Raises:
        InvalidQuestion: for anything else; an instant too, as its date depends on a zone.
    """
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise InvalidQuestion(f"date is {str(value)[:40]!r}: allowed is a date such as 2026-11-21")


def _next(day: date) -> date:
    try:
        return day + timedelta(days=1)
    except OverflowError as error:
        raise InvalidQuestion(f"no day that can be asked for: {day}") from error
