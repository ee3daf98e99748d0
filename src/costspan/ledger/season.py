"""What the next days will cost, from the weeks before: a level, each weekday's share of it, and growth where it is no chance.

Medians throughout, so that one day on which everything was embedded anew changes nothing. How wrong it may be is measured in
two ways, and the wider one counts: by forecasting the past from what was known then, and by how much the same weekdays differ
from week to week.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from itertools import combinations
from statistics import median

__all__ = ["COVERAGE", "WEEK", "Band", "Season", "band", "fit", "t"]

WEEK = 7
#: Which part of the months should end inside of the interval.
COVERAGE = Decimal("0.8")
#: Weeks that a fit looks at. Growth needs some, and what was before them says little of today.
_WEEKS = 8
_LEVEL_WEEKS = 3
#: Mann-Kendall: how many more pairs of weeks must rise than fall (or fall than rise) for it to be chance in less than one of
#: twenty cases.
_NO_CHANCE = {5: 10, 6: 13, 7: 15, 8: 18}
#: More digits of a logarithm only take longer.
_ROUGH = Context(prec=12)
_LEAST_GROWTH, _MOST_GROWTH = Decimal("0.5"), Decimal(2)
#: Days that a forecast of the past must have known, and how many such forecasts are needed.
_KNOWN = 28
_ENOUGH = 10
_PAIRS, _FEW = 28, 3
#: A week may cost so much more or less than the one before, as far as too short a history can tell.
_DRIFT = Decimal("0.08")
#: Student's t: 80 % lie within it, by degrees of freedom.
_T = ("3.078", "1.886", "1.638", "1.533", "1.476", "1.440", "1.415", "1.397", "1.383", "1.372")
_T_MANY, _MANY, _NORMAL = Decimal("1.372"), 28, Decimal("1.313")
#: Variance of a median of three, as a part of that of one: 0.45 where they are normal.
_OF_LEVEL = {1: Decimal(1), 2: Decimal("0.5"), 3: Decimal("0.45")}


@dataclass(frozen=True, slots=True)
class Season:
    """How days go."""

    level: Decimal
    """Dollars of the last seven days, as they should have been."""
    shares: tuple[Decimal, ...]
    """Which part of a week the first of the last seven days has, the second, …; together 1."""
    growth: Decimal
    """What a week costs, as a multiple of the week before; 1 where growth may be chance."""
    weeks: int
    """Whole weeks that were looked at."""

    def day(self, ahead: int) -> Decimal:
        """Dollars of the day that is so many days after the last known one."""
        week, place = divmod(ahead - 1, WEEK)
        return self.level * self.shares[place] * self.growth ** (week + 1)


@dataclass(frozen=True, slots=True)
class Band:
    """Between which multiples of what was forecast the truth should lie."""

    low: Decimal
    high: Decimal
    backtests: int
    """Forecasts of the past that it was measured by; 0: by the spread of the days alone."""


def fit(days: Sequence[Decimal]) -> Season | None:
    """Return how ``days``, the last ones and the oldest first, go; None where it is not even a week."""
    weeks = min(_WEEKS, len(days) // WEEK)
    if not weeks:
        return None
    windows = [days[len(days) - WEEK * number :][:WEEK] for number in range(weeks, 0, -1)]
    totals = [sum(window, Decimal(0)) for window in windows]
    growth = _growth(totals)
    # With too few weeks to see growth, the older ones only hide it.
    recent = totals[-_LEVEL_WEEKS:] if weeks in _NO_CHANCE else totals[-2:]
    level = median(total * growth ** (len(recent) - 1 - place) for place, total in enumerate(recent))
    return Season(level, _shares(windows, totals), growth, weeks)


def band(days: Sequence[Decimal], horizon: int) -> Band | None:
    """Return how far a forecast of the ``horizon`` days after ``days`` may be off; None where nothing tells."""
    season = fit(days)
    if season is None or not season.level:
        return None
    ratios = sorted(_backtests(days, horizon))
    is_tested = len(ratios) >= _ENOUGH
    spread = _by_spread(days, season, horizon, Decimal(0) if is_tested else _DRIFT)
    if not is_tested:
        return None if spread is None else Band(max(1 - spread, Decimal(0)), 1 + spread, 0)
    outside = max(int((len(ratios) + 1) * (1 - COVERAGE) / 2), 1)  # of each side, one more than is in the sample
    low, high = ratios[outside - 1], ratios[-outside]
    wide = spread or Decimal(0)
    return Band(max(min(low, 1 - wide), Decimal(0)), max(high, 1 + wide), len(ratios))


def _growth(totals: Sequence[Decimal]) -> Decimal:
    """The median growth between all pairs of weeks (Theil-Sen)."""
    if len(totals) not in _NO_CHANCE or not all(totals):
        return Decimal(1)
    pairs = list(combinations(totals, 2))
    if abs(sum((after > before) - (after < before) for before, after in pairs)) < _NO_CHANCE[len(totals)]:
        return Decimal(1)
    logs = [total.ln(_ROUGH) for total in totals]
    slope = median((logs[j] - logs[i]) / (j - i) for i, j in combinations(range(len(logs)), 2))
    return min(max(slope.exp(), _LEAST_GROWTH), _MOST_GROWTH)


def _shares(windows: Sequence[Sequence[Decimal]], totals: Sequence[Decimal]) -> tuple[Decimal, ...]:
    parts = [[day / total for day in window] for window, total in zip(windows, totals, strict=True) if total]
    usual = [median(day) for day in zip(*parts, strict=True)]
    whole = sum(usual, Decimal(0))
    return tuple(share / whole for share in usual) if whole else (Decimal(1) / WEEK,) * WEEK


def _backtests(days: Sequence[Decimal], horizon: int) -> Iterator[Decimal]:
    """What days of the past cost, as multiples of what would have been forecast before them."""
    for origin in range(_KNOWN, len(days) - horizon + 1):
        season = fit(days[:origin])
        assert season is not None  # noqa: S101  # for the type: so many days are known
        forecast = sum((season.day(ahead) for ahead in range(1, horizon + 1)), Decimal(0))
        if forecast:
            yield sum(days[origin : origin + horizon], Decimal(0)) / forecast


def _by_spread(days: Sequence[Decimal], season: Season, horizon: int, drift: Decimal) -> Decimal | None:
    """Half the width of the interval, as a part of the forecast, if days differ from their weekday by chance alone."""
    relative, freedom = _variance(days)
    ahead = [season.day(number) for number in range(1, horizon + 1)]
    whole = sum(ahead, Decimal(0))
    if relative is None or not whole:
        return None
    of_days = relative * sum((day * day for day in ahead), Decimal(0)) / (whole * whole)
    of_week = relative * sum((share * share for share in season.shares), Decimal(0))
    of_level = of_week * _OF_LEVEL[_LEVEL_WEEKS if season.weeks in _NO_CHANCE else min(season.weeks, 2)]
    of_slope = drift * drift
    if season.growth != 1:
        of_slope += of_week * Decimal(12) / (season.weeks**3 - season.weeks)
    return t(freedom) * (of_days + of_level + of_slope * _reach(horizon) ** 2).sqrt()


def _variance(days: Sequence[Decimal]) -> tuple[Decimal | None, int]:
    """How much days differ from their weekday's week to week, as a part of what they cost; and by how many differences."""
    pairs = list(zip(days[WEEK:], days, strict=False))[-_PAIRS:]
    if len(pairs) < _FEW:  # weekdays differ too, so that this is too much rather than too little
        mean = sum(days, Decimal(0)) / len(days)
        squares = sum(((day - mean) ** 2 for day in days), Decimal(0)) / (len(days) - 1)
        return (squares / (mean * mean) if mean else None), len(days) - 1
    level = sum(((one + other) ** 2 for one, other in pairs), Decimal(0)) / 4
    squares = sum(((one - other) ** 2 for one, other in pairs), Decimal(0)) / 2
    return (squares / level if level else None), len(pairs)


def _reach(horizon: int) -> Decimal:
    """How many weeks the middle of the forecast is away from where the level is known."""
    return 1 + Decimal(horizon) / (2 * WEEK)


def t(freedom: int) -> Decimal:
    """Student's t that `COVERAGE` lies within."""
    if freedom >= _MANY:
        return _NORMAL
    return Decimal(_T[freedom - 1]) if freedom <= len(_T) else _T_MANY
