"""Ranges that a user names: from a day or an instant on, to the end of a day, or to an instant."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from costspan.cli.changes import against
from costspan.cli.question import ask, ask_range, range_of
from costspan.errors import InvalidQuestion
from costspan.ledger.period import Period

KOLKATA, BERLIN = ZoneInfo("Asia/Kolkata"), ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 21, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("first", "last", "start", "end"),
    [
        ("2026-11-03", "2026-11-03", "2026-11-02T18:30Z", "2026-11-03T18:30Z"),
        ("2026-11-03", None, "2026-11-02T18:30Z", "2026-11-21T18:30Z"),
        ("2026-11-03T00:00+00:00", "2026-11-03", "2026-11-03T00:00Z", "2026-11-03T18:30Z"),
        ("2026-11-03T06:00", "2026-11-03T06:30:00Z", "2026-11-03T00:30Z", "2026-11-03T06:30Z"),
    ],
)
def test_a_day_counts_whole_and_an_instant_to_itself(first, last, start, end):
    """Days are those of the zone; so are instants that do not say where they are."""
    found = range_of(first, last, KOLKATA, NOW)

    assert (found.start, found.end) == (datetime.fromisoformat(start), datetime.fromisoformat(end))


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        ("yesterday", None, "--from is 'yesterday'"),
        ("2026-11-03", "2026-02-30", "--to is '2026-02-30'"),
        ("2026-11-03", "2026-11-02", "must end after it begins"),
        ("2027-01-01", None, "must end after it begins"),
        ("1066-10-14", None, "of the years 2015 to 2099"),
    ],
)
def test_what_is_no_range_is_named(first, last, said):
    """With the option that is wrong."""
    with pytest.raises(InvalidQuestion, match=said):
        range_of(first, last, KOLKATA, NOW)


def test_the_range_before_has_as_many_days():
    """Whole days of the zone, also where one of them has 25 hours; else as many seconds."""
    days = ask_range(Period.of_days(date(2026, 10, 26), date(2026, 11, 1), BERLIN), by=("model",))
    hours = ask_range(
        Period(datetime(2026, 11, 3, 6, tzinfo=UTC), datetime(2026, 11, 3, 9, tzinfo=UTC), BERLIN), by=("model",)
    )

    week, _ = against(days, "previous", NOW)
    early, _ = against(hours, "previous", NOW)

    assert week == Period.of_days(date(2026, 10, 19), date(2026, 10, 25), BERLIN)
    assert (early.start, early.end) == (datetime(2026, 11, 3, 3, tzinfo=UTC), datetime(2026, 11, 3, 6, tzinfo=UTC))


def test_another_day_names_its_own_period():
    """The day, week or month that it is in, of the same kind as what is asked; a range is what it says."""
    november = ask("month", date(2026, 11, 5), BERLIN, by=("model",))

    month, second = against(november, "2025-11-30", NOW)
    days, _ = against(november, "2026-10-01..2026-10-14", NOW)

    assert month == Period.of_days(date(2025, 11, 1), date(2025, 11, 30), BERLIN)
    assert second == november.period
    assert days == Period.of_days(date(2026, 10, 1), date(2026, 10, 14), BERLIN)


@pytest.mark.parametrize("text", ["last", "", "2026-13-01", "2026-10-14..2026-10-01", ".."])
def test_what_cannot_be_compared_is_named(text):
    """With what is allowed."""
    with pytest.raises(InvalidQuestion, match=r"--compare is .*: allowed are previous, a day of another month"):
        against(ask("month", date(2026, 11, 5), BERLIN, by=("model",)), text, NOW)
