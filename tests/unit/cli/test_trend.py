"""Bars beside a table: the shape of a cost, in the room that is left."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.cli.trend import Trends, bars
from costspan.ledger import Dimension


@pytest.mark.parametrize(
    ("costs", "drawn"),
    [((), ""), ((0, 0), "  "), ((1, 0, 8), "▂ █"), ((1, 10_000), "▁█"), ((1, 2, 3, 4, 5, 6, 7, 8), "▂▃▄▅▆▇██")],
)
def test_the_highest_is_full_and_nothing_is_blank(costs, drawn):
    """What cost little still has a bar."""
    assert bars([Decimal(cost) for cost in costs]) == drawn


def test_neighbours_share_a_bar_where_there_is_no_room():
    """Each bar stands for as many days."""
    trends = Trends(Dimension.DAY, {("a",): tuple(map(Decimal, (1, 1, 0, 0, 4, 4, 8)))})

    assert trends.drawn(("a",), 7) == "▂▂  ▅▅█"
    assert trends.drawn(("a",), 4) == "▃ ██"
    assert trends.drawn(("nobody",), 4) == ""


@given(st.lists(st.integers(0, 10**9), max_size=800), st.integers(1, 100))
def test_it_never_takes_more_room(costs, room):
    """However many days there are."""
    trends = Trends(Dimension.DAY, {("a",): tuple(map(Decimal, costs))})

    assert len(trends.drawn(("a",), room)) <= room
