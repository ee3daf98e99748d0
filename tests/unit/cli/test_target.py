"""A session's cost against a target, and the month that it would make."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.cli.target import SessionCost, Target, compare, project
from costspan.errors import InvalidQuestion
from costspan.ledger.period import named_period

NOVEMBER = named_period("month", date(2026, 11, 1), ZoneInfo("UTC"))
costs = st.integers(0, 10**15).map(lambda pico: Decimal(f"{pico}e-12"))
targets = st.builds(Target, st.integers(1, 10**14).map(lambda pico: Decimal(f"{pico}e-12")), st.integers(1, 10_000))


def sessions(*amounts: str, **others: int) -> list[SessionCost]:
    """One session for each amount."""
    return [SessionCost(f"s-{n}", 1, others.get("unknown", 0), Decimal(amount)) for n, amount in enumerate(amounts)]


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("0.33/100sessions", Target(Decimal("0.33"), 100)),
        ("$0.33/100 sessions", Target(Decimal("0.33"), 100)),
        (" $ 0.33 / 100 Sessions / Month ", Target(Decimal("0.33"), 100, "month")),
        ("0.0033/session", Target(Decimal("0.0033"), 1)),
        ("2/1session/month", Target(Decimal(2), 1, "month")),
    ],
)
def test_a_target_is_written_in_several_ways(text, target):
    """Dollars, a number of sessions, and if wanted the period."""
    found = Target.parse(text, "month")

    assert found == target


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0.33",
        "0.33/100",
        "-1/session",
        "0/session",
        "1/0sessions",
        "nan/session",
        "1e3/session",
        "1/session/year",
        "٣/session",
    ],
)
def test_another_text_is_refused_with_what_is_allowed(text):
    """The error shows the value and an example."""
    with pytest.raises(InvalidQuestion) as error:
        Target.parse(text, "month")

    assert repr(text) in str(error.value)
    assert "0.33/100sessions" in str(error.value)


def test_a_months_target_is_not_for_a_week():
    """A session may go on for longer than the asked period, so its cost there says nothing of the month's."""
    with pytest.raises(InvalidQuestion, match="--period is week"):
        Target.parse("0.33/100sessions/month", "week")


def test_sessions_are_compared_to_the_digit():
    """A hundred sessions for $0.331874 are $0.001874 over $0.33."""
    rows = sessions(*["0.00331874"] * 100)

    found = compare(rows, Target(Decimal("0.33"), 100))

    assert found.sessions == 100
    assert found.cost == Decimal("0.331874")
    assert found.per_session == Fraction(331874, 10**8)
    assert found.difference == Fraction(1874, 10**8)
    assert found.is_over


def test_exactly_the_target_is_within_it():
    """Three sessions for a dollar, at a target of a dollar for three, though a third of a dollar has no decimals."""
    rows = sessions("0.2", "0.3", "0.5")

    found = compare(rows, Target(Decimal(1), 3))

    assert found.difference == 0
    assert not found.is_over


def test_calls_without_a_session_are_kept_apart():
    """They are counted and summed, but no session has to pay for them."""
    rows = [*sessions("0.01", unknown=1), SessionCost("", 12, 3, Decimal("0.4"))]

    found = compare(rows, Target(Decimal("0.33"), 100))

    assert (found.sessions, found.cost, found.unknown) == (1, Decimal("0.01"), 1)
    assert (found.other_calls, found.other_cost) == (12, Decimal("0.4"))


def test_without_sessions_there_is_nothing_to_compare():
    """No session is neither within a target nor over it."""
    found = compare([], Target(Decimal("0.33"), 100))

    assert found.per_session is None
    assert found.difference is None
    assert not found.is_over


@given(st.lists(costs, min_size=1), targets)
def test_the_verdict_is_that_of_whole_numbers(amounts, target):
    """No rounding decides: the verdict is the one of cross-multiplied pico-dollars."""
    rows = [SessionCost(f"s-{n}", 1, 0, cost) for n, cost in enumerate(amounts)]

    found = compare(rows, target)

    assert found.is_over == (sum(amounts) * target.sessions > target.usd * len(amounts))


def test_a_month_is_a_straight_line():
    """After ten of thirty days a third of the month was seen."""
    comparison = compare(sessions("0.10", "0.01"), Target(Decimal("0.33"), 100))

    found = project(comparison, NOVEMBER, NOVEMBER, NOVEMBER.start + timedelta(days=10))

    assert found is not None
    assert found.cost == Fraction(33, 100)
    assert found.sessions == 6
    assert (found.basis, found.month) == (timedelta(days=10), timedelta(days=30))


def test_a_week_projects_the_month_it_begins_in():
    """Seven of thirty days, all of them over, are a basis as well."""
    comparison = compare(sessions("0.07"), Target(Decimal("0.33"), 100))
    week = named_period("week", date(2026, 11, 5), ZoneInfo("UTC"))

    found = project(comparison, week, NOVEMBER, NOVEMBER.start + timedelta(days=20))

    assert found is not None
    assert found.cost == Fraction(3, 10)


@pytest.mark.parametrize("now", [NOVEMBER.start, NOVEMBER.start - timedelta(days=1), NOVEMBER.end])
def test_nothing_is_projected_from_nothing_nor_into_the_past(now):
    """Before the period began there is no basis, and after the month there is no future."""
    comparison = compare(sessions("0.07"), Target(Decimal("0.33"), 100))

    found = project(comparison, NOVEMBER, NOVEMBER, now)

    assert found is None


@given(costs, st.integers(1, 30 * 86_400_000_000 - 1))
def test_a_projection_is_never_below_what_was_spent(cost, elapsed):
    """The line goes up, by exactly the share of the month that has passed."""
    comparison = compare([SessionCost("s", 1, 0, cost)], Target(Decimal(1), 1))

    found = project(comparison, NOVEMBER, NOVEMBER, NOVEMBER.start + timedelta(microseconds=elapsed))

    assert found is not None
    assert found.cost >= cost
    assert found.cost * elapsed == Fraction(cost) * 30 * 86_400_000_000
