"""Entries, totals and trust, from the ledger's sums."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from costspan.cli.question import ask, dimensions
from costspan.cli.statement import known_cost
from costspan.usage import Status

BERLIN = ZoneInfo("Europe/Berlin")
costs = st.integers(0, 10**15).map(lambda pico: f"{pico}e-12")


def test_statuses_of_an_entry_are_one_line(november, row, stated):
    """The ledger was asked by status as well; the reader of the report was not."""
    day = {"day": date(2026, 11, 3), "service": "openai"}

    found = stated(november, row(cost="0.1", calls=2, **day), row("unpriced", calls=3, **day))

    (entry,) = found.entries
    assert entry.key == ("2026-11-03", "openai")
    assert (entry.sums.calls, entry.sums.not_priced, entry.sums.cost) == (5, 3, Decimal("0.1"))
    assert list(found.standings) == ["priced", "unpriced"]
    assert found.standings["unpriced"].calls == 3


def test_days_come_in_their_order(november, row, stated):
    """Whatever they cost."""
    rows = [
        row(cost=cost, day=date(2026, 11, day), service=service)
        for day, service, cost in ((10, "openai", "9"), (9, "openai", "1"), (9, "anthropic", "2"))
    ]

    found = stated(november, *rows)

    assert [entry.key for entry in found.entries] == [
        ("2026-11-09", "anthropic"),
        ("2026-11-09", "openai"),
        ("2026-11-10", "openai"),
    ]


@pytest.mark.parametrize("unit", ["day", "week", "month"])
def test_every_unit_of_time_is_in_its_order(november, row, stated, unit):
    """A week that cost less is not further down."""
    rows = [row(cost=cost, **{unit: date(2026, 11, day)}) for day, cost in ((16, "9"), (2, "1"), (9, "2"))]

    found = stated(replace(november, by=dimensions(unit)), *rows)

    assert [entry.key for entry in found.entries] == [("2026-11-02",), ("2026-11-09",), ("2026-11-16",)]


def test_the_most_expensive_comes_first_where_there_is_no_time(row, stated):
    """Equal ones are in the order of their names."""
    question = ask("month", date(2026, 11, 1), BERLIN, by=("model",))

    found = stated(question, row(cost="1", model="b"), row(cost="1", model="a"), row(cost="2", model="c"))

    assert [entry.key for entry in found.entries] == [("c",), ("a",), ("b",)]


def test_an_hour_that_comes_twice_is_two_hours(row, stated):
    """Two o'clock of 2026-10-25 in Berlin, before and after the clocks went back: equal to Python, not to an invoice."""
    question = ask("day", date(2026, 10, 25), BERLIN, by=("hour",))
    summer = datetime(2026, 10, 25, 2, tzinfo=BERLIN)

    found = stated(question, row(cost="2", hour=summer.replace(fold=1)), row(cost="1", hour=summer))

    assert [(entry.key, entry.sums.cost) for entry in found.entries] == [
        (("2026-10-25T02:00:00+02:00",), Decimal(1)),
        (("2026-10-25T02:00:00+01:00",), Decimal(2)),
    ]


def test_what_nobody_knows_costs_nothing_known_and_not_nothing(november, row, stated):
    """A cost is unknown when no call of it has one, and 0 when there is no call or a free one."""
    day = {"day": date(2026, 11, 3), "service": "openai"}

    assert known_cost(stated(november, row("unpriced", **day), row("invalid", **day)).total) is None
    assert known_cost(stated(november, row("unpriced", **day), row(cost="0", **day)).total) == 0
    assert known_cost(stated(november).total) == 0


@given(
    st.lists(
        st.tuples(st.integers(0, 29), st.sampled_from(["anthropic", "openai"]), st.sampled_from(list(Status)), costs)
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # its fixtures keep nothing
def test_entries_and_statuses_both_add_up_to_the_total(november, row, stated, drawn):
    """To the digit, whatever was called when."""
    rows = [
        row(status.value, cost, day=date(2026, 11, 1) + timedelta(days=day), service=service)
        for day, service, status, cost in drawn
    ]

    found = stated(november, *rows)

    for parts in ([entry.sums for entry in found.entries], list(found.standings.values())):
        assert sum((part.cost for part in parts), Decimal()) == found.total.cost
        assert sum(part.calls for part in parts) == found.total.calls == len(drawn)
        assert sum(part.not_priced for part in parts) == found.total.not_priced
