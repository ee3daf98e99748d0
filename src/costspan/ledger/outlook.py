"""What a forecast is made from: a tenant's days of the last weeks and its day so far, read in one question."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

from costspan.errors import InvalidQuestion
from costspan.ledger.asking import summing
from costspan.ledger.database import Database
from costspan.ledger.forecast import MonthForecast, Projection, Today, project_month
from costspan.ledger.period import day_start, named_period
from costspan.ledger.queries import queries
from costspan.ledger.season import WEEK
from costspan.ledger.summary import usd

__all__ = ["HISTORY_DAYS", "forecast"]

#: Thirteen weeks: what forecasts of a whole month can be tried out on.
HISTORY_DAYS = 91
_WEEKS = 4
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_QUARTER = timedelta(minutes=15)
#: Places in the list of days: today begins where the history ends.
_TODAY, _TOMORROW = HISTORY_DAYS, HISTORY_DAYS + 1


def forecast(
    database: Database,
    now: datetime,
    zone: ZoneInfo,
    *,
    tenant: str | None = None,
    services: Collection[str] | None = None,
) -> MonthForecast:
    """Return where the month around ``now`` will end, by what was known at ``now``.

    ``tenant`` is whose; None is everybody's, as admin. ``services``: only these.

    Raises:
        InvalidQuestion: for an instant without a zone, or at the calendar's end.
        LedgerError: as `Database.transaction`.
    """
    if now.utcoffset() is None:
        raise InvalidQuestion(f"{now} has no time zone: which instant it is cannot be known")
    now, today = now.astimezone(UTC), now.astimezone(zone).date()
    month = named_period("month", today, zone)
    try:
        begins = [day_start(today - number * _DAY, zone) for number in range(HISTORY_DAYS, -2, -1)]
    except OverflowError as error:
        raise InvalidQuestion(f"no month that can be asked for: {today}") from error
    passed = (now - begins[_TODAY]) // _QUARTER * _QUARTER  # finer sums of past days would be read call by call
    instants = sorted({*begins[:_TOMORROW], *_same_time(begins, passed), begins[_TODAY] + passed, month.start, now})
    spent = _read(database, instants, month.start, tenant, services)
    days_left = (month.end.astimezone(zone).date() - today).days - 1
    days = [spent.between(begin, end) for begin, end in pairwise(begins[:_TOMORROW])]
    projection = project_month(spent.between(month.start, now), _today(spent, begins, passed, now), days, days_left)
    by_day = tuple(_by_day(today, days, spent.between(begins[_TODAY], now), projection, days_left))
    return MonthForecast(month, now, projection, by_day, spent.unknown)


@dataclass(frozen=True, slots=True)
class _Spent:
    """Dollars from the first instant until each."""

    until: Mapping[datetime, Decimal]
    unknown: int

    def between(self, start: datetime, end: datetime) -> Decimal:
        return self.until[end] - self.until[start]


def _read(
    database: Database,
    instants: Sequence[datetime],
    month_start: datetime,
    tenant: str | None,
    services: Collection[str] | None,
) -> _Spent:
    values = {
        "start": instants[0],
        "end": instants[-1],
        "boundaries": list(instants),
        "services": None if services is None else list(services),
    }
    with summing(database, tenant) as cursor:
        rows = {row[0]: row[1:] for row in cursor.execute(queries("forecast")["costs"], values).fetchall()}
    until, whole, unknown = {instants[0]: Decimal(0)}, 0, 0
    for bucket, (begin, end) in enumerate(pairwise(instants), 1):
        cost, calls = rows.get(bucket, (0, 0))
        whole += int(cost)
        unknown += calls if begin >= month_start else 0
        until[end] = usd(whole)
    return _Spent(until, unknown)


def _same_time(begins: Sequence[datetime], passed: timedelta) -> Iterator[datetime]:
    """The present time of the day on the same weekday of each of the last weeks, or where that day ends."""
    for number in range(_TODAY - WEEK, _TODAY - WEEK * _WEEKS - 1, -WEEK):
        yield min(begins[number] + passed, begins[number + 1])


def _today(spent: _Spent, begins: Sequence[datetime], passed: timedelta, now: datetime) -> Today:
    start, end = begins[_TODAY], begins[_TOMORROW]
    places = range(_TODAY - WEEK, _TODAY - WEEK * _WEEKS - 1, -WEEK)
    return Today(
        spent=spent.between(start, now),
        spent_then=spent.between(start, start + passed),
        before=[
            (spent.between(begins[place], until), spent.between(begins[place], begins[place + 1]))
            for place, until in zip(places, _same_time(begins, passed), strict=True)
        ],
        elapsed=Decimal((now - start) // _SECOND) / Decimal((end - start) // _SECOND),
    )


def _by_day(
    today: date, days: Sequence[Decimal], spent: Decimal, projection: Projection, days_left: int
) -> Iterator[tuple[date, Decimal]]:
    over = today.day - 1
    rest, *ahead = projection.to_come or [Decimal(0)] * (days_left + 1)
    costs = [*days[len(days) - over :], spent + rest, *ahead]
    for number, cost in enumerate(costs):
        yield today + (number - over) * _DAY, cost
