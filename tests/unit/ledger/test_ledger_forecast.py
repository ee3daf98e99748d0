"""Where a day and a month end, tried out on made-up tenants whose end is known."""

from __future__ import annotations

from decimal import Decimal
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.ledger.forecast import Basis, Method, Today, project_month
from costspan.ledger.season import fit
from unit.ledger.spenders import PROFILES, Spender

HOURS = (4, 8, 11, 14, 18)
_MONTH = 30
amounts = st.decimals(0, 10_000, places=6)


def quiet(spent: str = "0", elapsed: str = "0.5") -> Today:
    """A day with no earlier weeks to compare it with."""
    return Today(Decimal(spent), Decimal(spent), [], Decimal(elapsed))


def forecasts(profile: str, history: int, seeds: int):
    """Forecasts of tenants with so many days behind them, each with the truth, at several points of a month."""
    for seed in range(seeds):
        spender = Spender.make(profile, seed, history + _MONTH)
        days = [spender.day(number) for number in range(history)]
        for left in (29, 20, 10, 3):
            today = spender.today(history, (4, 9, 15, 23)[(seed + left) % 4])
            spent = sum(days[max(0, history + left + 1 - _MONTH) :], Decimal(0))
            to_come = sum((spender.day(number) for number in range(history, history + left + 1)), Decimal(0))
            yield project_month(spent + today.spent, today, days, left), spent + to_come


def off(projection, truth) -> Decimal:
    """How far a forecast is off, as a part of the truth."""
    return abs(projection.expected / truth - 1)


@pytest.mark.parametrize(
    ("profile", "measured"),
    [
        # The mean absolute error in per cent of the seasonal ratio at these hours, measured over 56 noisy days.
        ("flat", (19, 11, 8, 7, 4)),
        ("office", (15, 13, 19, 8, 1)),
        ("nightly", (4, 3, 3, 2, 1)),
    ],
)
def test_a_day_is_forecast_as_well_as_was_measured(profile, measured):
    """At every hour, to two points of a per cent: the weekday's share, drawn towards the weekday's usual day."""
    spender = Spender.make(profile, 1, 35 + 56)

    for hour, error in zip(HOURS, measured, strict=True):
        wrong = []
        for day in range(35, 35 + 56):
            season = fit([spender.day(number) for number in range(day)])
            today = spender.today(day, hour)
            wrong.append(abs((today.spent + today.rest(season.day(1))) / spender.day(day) - 1))
        assert mean(wrong) * 100 <= error + 2, f"at {hour} h"


@pytest.mark.parametrize(
    ("profile", "history", "error", "method", "basis"),
    [
        ("flat", 91, "0.02", Method.SEASONAL, Basis.BACKTEST),
        ("office", 91, "0.03", Method.SEASONAL, Basis.BACKTEST),
        ("nightly", 91, "0.05", Method.SEASONAL, Basis.BACKTEST),
        ("growing", 91, "0.05", Method.SEASONAL, Basis.BACKTEST),
        ("office", 21, "0.04", Method.SEASONAL, Basis.SPREAD),
        ("growing", 21, "0.12", Method.SEASONAL, Basis.SPREAD),
        ("office", 7, "0.06", Method.SEASONAL, Basis.SPREAD),
        ("flat", 4, "0.04", Method.STRAIGHT_LINE, Basis.SPREAD),
        ("office", 4, "0.35", Method.STRAIGHT_LINE, Basis.SPREAD),
    ],
)
def test_months_end_where_they_are_forecast_to(profile, history, error, method, basis):
    """The mean error is small for each kind of tenant, and three of four months end inside of the interval at least."""
    found = list(forecasts(profile, history, 12))

    assert mean(off(*one) for one in found) <= Decimal(error)
    assert mean(projection.low <= truth <= projection.high for projection, truth in found) >= 0.75
    assert {projection.method for projection, _ in found} == {method}
    if history != 91 or profile != "flat":  # a day's horizon leaves more to be tried out on
        assert {projection.basis for projection, _ in found} <= {basis, Basis.BACKTEST}


def test_a_straight_line_is_worse_for_who_works_office_hours():
    """What the weekdays are good for: the month so far, drawn out, is off by three times as much."""
    season, line = [], []
    for projection, truth in forecasts("office", 60, 12):
        left = len(projection.to_come) - 1
        if left < 25:
            season.append(off(projection, truth))
            line.append(abs(projection.spent / (_MONTH - left - Decimal("0.5")) * _MONTH / truth - 1))

    assert mean(line) > 3 * mean(season)


def test_growth_that_is_no_chance_goes_on():
    """Eight weeks of 10 % more each."""
    days = [Decimal("1.1") ** (number // 7) for number in range(56)]

    projection = project_month(Decimal(0), quiet(elapsed="0"), days, 27)

    assert round(projection.weekly_growth, 6) == Decimal("0.1")
    weeks = sum((Decimal("1.1") ** week for week in range(8, 12)), Decimal(0))
    assert round(projection.expected, 6) == round(7 * weeks, 6)


@pytest.mark.parametrize("profile", ["flat", "office", "nightly"])
def test_chance_is_not_taken_for_growth(profile):
    """Of twenty steady tenants, hardly one is said to grow."""
    spenders = [Spender.make(profile, seed, 91) for seed in range(20)]

    said = [fit([spender.day(day) for day in range(91)]).growth != 1 for spender in spenders]

    assert sum(said) <= 3


def test_one_day_of_embedding_everything_anew_changes_nothing():
    """A day of a thousand times the usual one was the past, not the future."""
    days = [Decimal(10)] * 91
    days[80] = Decimal(10_000)

    projection = project_month(Decimal(0), quiet(elapsed="0"), days, 9)

    assert projection.expected == 100


def test_who_just_began_is_told_no_interval():
    """Half a day of $3 is all there is: a straight line, and nothing to say how straight."""
    projection = project_month(Decimal(3), quiet("3"), [Decimal(0)] * 91, 10)

    assert (projection.method, projection.known_days) == (Method.STRAIGHT_LINE, 0)
    assert projection.expected == 3 + 3 + 60
    assert (projection.low, projection.high, projection.basis) == (None, None, None)


def test_days_before_the_first_call_are_no_history():
    """Three days of $6 among ninety empty ones: $6 a day."""
    days = [Decimal(0)] * 88 + [Decimal(6)] * 3

    projection = project_month(Decimal(18), quiet(elapsed="0"), days, 9)

    assert (projection.expected, projection.known_days) == (18 + 60, 3)


def test_two_days_off_are_possible_where_no_week_is_known():
    """Days without any spread may still be followed by a weekend."""
    projection = project_month(Decimal(40), quiet(elapsed="0"), [Decimal(10)] * 4, 6)

    assert (projection.low, projection.high) == (Decimal(90), Decimal(110))


def test_who_left_is_not_expected_back():
    """Three weeks without a call."""
    projection = project_month(Decimal(5), quiet(), [Decimal(10)] * 60 + [Decimal(0)] * 21, 9)

    assert (projection.expected, projection.method, projection.to_come) == (5, Method.NOTHING, ())


def test_who_came_back_is_projected_by_the_new_days():
    """Weeks of nothing are no level, and the days since are few."""
    projection = project_month(Decimal(2), quiet("2"), [Decimal(10)] * 14 + [Decimal(0)] * 40, 0)

    assert projection.method is Method.STRAIGHT_LINE
    assert projection.expected > 2


histories = st.lists(amounts, max_size=91)


@given(
    histories,
    amounts,
    st.lists(st.tuples(amounts, amounts), max_size=4),
    st.decimals(0, 1, places=4),
    st.integers(0, 30),
)
def test_a_forecast_is_never_less_than_what_is_spent(days, spent, before, elapsed, left):
    """Whatever the days were like, the interval is around the forecast and the days to come add up to it."""
    today = Today(spent, spent, [(min(until, whole), whole) for until, whole in before], elapsed)

    projection = project_month(spent + 5, today, days, left)

    assert projection.spent <= projection.expected
    assert abs(projection.spent + sum(projection.to_come) - projection.expected) < Decimal("1e-10")
    if projection.low is not None:
        assert projection.spent <= projection.low <= projection.expected + Decimal("1e-10")
        assert projection.expected <= projection.high + Decimal("1e-10")


def test_every_profile_is_tried():
    """A profile that is added is a month that is forecast."""
    assert set(PROFILES) == {"flat", "office", "nightly", "growing"}
