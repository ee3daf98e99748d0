"""Where a day will end."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.ledger.forecast import project_day

HOUR = 3600
amounts = st.decimals(0, 10_000, places=6)


def test_a_straight_line_where_there_is_no_history():
    """The last hour goes on until midnight."""
    assert project_day(Decimal(6), Decimal("0.5"), 8 * HOUR, []) == Decimal(10)


def test_one_earlier_day_is_not_believed():
    """It takes two of the same weekday."""
    assert project_day(Decimal(6), Decimal("0.5"), 8 * HOUR, [(Decimal(1), Decimal(10))]) == Decimal(10)


def test_the_usual_share_of_the_day_counts():
    """Who has usually spent half by now will spend as much again, however quiet the last hour was."""
    before = [(Decimal(4), Decimal(8)), (Decimal(5), Decimal(10)), (Decimal(1), Decimal(100))]

    assert project_day(Decimal(6), Decimal(0), 8 * HOUR, before) == Decimal(12)


def test_a_tiny_share_says_nothing():
    """A cent after midnight is not multiplied by hundreds."""
    before = [(Decimal("0.01"), Decimal(10))] * 4

    assert project_day(Decimal("0.02"), Decimal("0.02"), 10 * HOUR, before) == Decimal("0.22")


@pytest.mark.parametrize("before", [[], [(Decimal(0), Decimal(0))] * 4])
def test_days_without_spend_are_no_history(before):
    """A new tenant is projected by its last hour."""
    assert project_day(Decimal(1), Decimal(1), HOUR, before) == Decimal(2)


@given(amounts, amounts, st.integers(0, 24 * HOUR), st.lists(st.tuples(amounts, amounts), max_size=4))
def test_never_less_than_what_is_spent(spent, trailing, left, before):
    """Whatever the days before were like."""
    history = [(min(until, whole), whole) for until, whole in before]

    assert project_day(spent, trailing, left, history) >= spent
