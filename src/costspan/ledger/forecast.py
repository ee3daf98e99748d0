"""Where a day and a month will end, from what they cost so far and how the same weekdays of the weeks before went.

A straight line from the last hour is off by 74 % for a tenant that works office hours and by 800 % for a nightly batch;
the share of the day that is usually spent by now is off by 4 to 20 %. Where there are no two such days yet, the line is all
there is. A month is the rest of today and the days to come as `season` sees them, with an interval around what is to come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Context, Decimal, localcontext
from enum import StrEnum
from statistics import median

from costspan.ledger.period import Period
from costspan.ledger.season import WEEK, Band, Season, band, fit, t
from costspan.ledger.summary import usd
from costspan.pricing.money import PICO

__all__ = ["Basis", "Method", "MonthForecast", "Projection", "Today", "project_day", "project_month"]

#: Days of the same weekday that are needed before their share is believed.
_ENOUGH = 2
#: A share below it says nothing: a cent at midnight would be multiplied by hundreds.
_LEAST_SHARE = Decimal("0.02")
_PRECISE = Context(prec=28)
_HOUR_S = Decimal(3600)
#: Whole days that the spread of a straight line needs.
_FEW = 3
#: Who spent nothing for so many days is gone.
_IDLE = 3 * WEEK
#: Days of a week that may be off, where not even a week is known.
_DAYS_OFF = 2


def project_day(
    spent: Decimal, trailing_hour: Decimal, seconds_left: int, before: Sequence[tuple[Decimal, Decimal]]
) -> Decimal:
    """Return what the whole day will cost, in dollars; never less than what is spent.

    Args:
        spent: dollars since the day began.
        trailing_hour: dollars of the last 60 minutes.
        seconds_left: until the day ends.
        before: of the same weekday in earlier weeks, dollars up to this time of the day and of the whole day.
    """
    shares = [_PRECISE.divide(until, whole) for until, whole in before if whole > 0]
    if len(shares) >= _ENOUGH and median(shares) >= _LEAST_SHARE:
        return max(spent, _PRECISE.divide(spent, median(shares)))
    return spent + _PRECISE.multiply(trailing_hour, _PRECISE.divide(Decimal(seconds_left), _HOUR_S))


class Method(StrEnum):
    """How the rest of a month is forecast."""

    SEASONAL = "seasonal"
    """Each day by its weekday's usual share of a week, the level of the last weeks, and growth that is no chance."""
    STRAIGHT_LINE = "straight line"
    """Every day as the days since the first call: not even a week is known."""
    NOTHING = "nothing to come"
    """Nothing was spent in the last weeks."""


class Basis(StrEnum):
    """How the interval was got."""

    BACKTEST = "backtest"
    """How wrong the same forecast would have been in the past; and no narrower than by the spread of the days."""
    SPREAD = "spread"
    """How much days differ from their weekday's week to week, and a drift that so few weeks cannot rule out."""


@dataclass(frozen=True, slots=True)
class Today:
    """The day that is under way. All in dollars."""

    spent: Decimal
    spent_then: Decimal
    """Up to the last quarter of an hour, which is what the days before are looked at by."""
    before: Sequence[tuple[Decimal, Decimal]]
    """Of the same weekday in earlier weeks, up to that time of the day and of the whole day."""
    elapsed: Decimal
    """Which part of it is over, from 0 to 1."""

    def rest(self, usual: Decimal) -> Decimal:
        """Return what is to come, where such a day usually costs ``usual``.

        The share of the day that is usually spent by now tells how much of ``usual`` is left; and the more of the day is
        over, the more counts what today's own pace says of it: spent / share.
        """
        shares = [until / whole for until, whole in self.before if whole > 0]
        if len(shares) < _ENOUGH:
            return usual * (1 - self.elapsed)
        share = median(shares)
        return (1 - share) * (self.spent_then + (1 - share) * usual)


@dataclass(frozen=True, slots=True)
class Projection:
    """Where a month will end, in dollars to the pico-dollar. An estimate: only what is spent is exact."""

    spent: Decimal
    expected: Decimal
    """Never less than what is spent."""
    low: Decimal | None
    """`season.COVERAGE` of such months should end between ``low`` and ``high``; None where nothing tells how far."""
    high: Decimal | None
    method: Method
    basis: Basis | None
    known_days: int
    """Whole days since the first call, of the last thirteen weeks at the most."""
    backtests: int
    """Forecasts of the past that the interval was measured by."""
    weekly_growth: Decimal
    """How much more a week costs than the one before, as a part of it; 0 where that may be chance."""
    to_come: tuple[Decimal, ...]
    """The rest of today, and each day after it until the month ends."""


@dataclass(frozen=True, slots=True)
class MonthForecast:
    """Where the month around an instant will end for a tenant."""

    month: Period
    at: datetime
    """Calls up to it were known."""
    projection: Projection
    days: tuple[tuple[date, Decimal], ...]
    """Each day of the month and its dollars: what it cost, until today; today with what is to come; then what it may cost."""
    unknown_calls: int
    """Calls of the month whose cost is not known: if any, the truth is higher."""

    def exhausted_on(self, budget: Decimal) -> date | None:
        """Return the day on which more than ``budget`` dollars will be spent; None where that is not expected."""
        whole = Decimal(0)
        for day, cost in self.days:
            whole += cost
            if whole > budget:
                return day
        return None


def project_month(spent: Decimal, today: Today, days: Sequence[Decimal], days_left: int) -> Projection:
    """Return where a month will end.

    Args:
        spent: dollars since the month began, today's included.
        today: the day that is under way.
        days: dollars of the whole days before today, the oldest first, whichever month they were in.
        days_left: days of the month after today.
    """
    first = next((place for place, day in enumerate(days) if day), len(days))
    days = days[first:]  # before its first call a tenant was not thrifty: it was not there
    with localcontext(_PRECISE):
        if not any((*days[-_IDLE:], today.spent)):
            return _projection(spent, (), Method.NOTHING, days=days)
        season = fit(days)
        if season is None or not season.level:  # begun, or begun anew, less than a week ago
            return _straight_line(spent, today, days[-WEEK:], days_left)
        to_come = [today.rest(season.day(1)), *(season.day(number + 2) for number in range(days_left))]
        return _projection(spent, to_come, Method.SEASONAL, around=band(days, days_left + 1), days=days, season=season)


def _straight_line(spent: Decimal, today: Today, days: Sequence[Decimal], days_left: int) -> Projection:
    length = len(days) + today.elapsed
    pace = (sum(days, Decimal(0)) + today.spent) / length if length else Decimal(0)
    to_come = [pace * (1 - today.elapsed), *([pace] * days_left)]
    return _projection(
        spent, to_come, Method.STRAIGHT_LINE, around=_around_a_line(days, pace, days_left + 1), days=days
    )


def _around_a_line(days: Sequence[Decimal], pace: Decimal, horizon: int) -> Band | None:
    if len(days) < _FEW or not pace:
        return None
    mean = sum(days, Decimal(0)) / len(days)
    squares = sum(((day - mean) ** 2 for day in days), Decimal(0)) / (len(days) - 1)
    width = t(len(days) - 1) * (squares * (Decimal(1) / horizon + Decimal(1) / len(days))).sqrt() / pace
    days_off = _DAYS_OFF * (horizon // WEEK) + min(_DAYS_OFF, horizon % WEEK)
    return Band(max(1 - Decimal(days_off) / horizon - width, Decimal(0)), 1 + width, 0)


def _projection(
    spent: Decimal,
    to_come: Sequence[Decimal],
    method: Method,
    *,
    days: Sequence[Decimal],
    around: Band | None = None,
    season: Season | None = None,
) -> Projection:
    rest = sum(to_come, Decimal(0))
    basis = None if around is None else Basis.BACKTEST if around.backtests else Basis.SPREAD
    return Projection(
        spent,
        _dollars(spent + rest),
        None if around is None else _dollars(spent + rest * around.low),
        None if around is None else _dollars(spent + rest * around.high),
        method,
        basis,
        len(days),
        0 if around is None else around.backtests,
        Decimal(0) if season is None else season.growth - 1,
        tuple(map(_dollars, to_come)),
    )


def _dollars(amount: Decimal) -> Decimal:
    """To the pico-dollar: more of an estimate would be noise."""
    return usd(int((amount * PICO).to_integral_value()))
