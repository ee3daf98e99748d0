"""Where hours, days, weeks and months of a zone begin."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.errors import InvalidQuestion
from costspan.ledger.period import Period, day_start

#: With their changes of clocks: half an hour, at midnight, over midnight, for good, none.
ZONES = [
    "UTC", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Havana", "America/Santiago",
    "Asia/Beirut", "Asia/Pyongyang", "Africa/Cairo", "America/Asuncion", "Pacific/Chatham", "America/Caracas",
]  # fmt: skip
zones = st.sampled_from(ZONES).map(ZoneInfo)
instants = st.datetimes(datetime(2015, 1, 1), datetime(2026, 12, 1), timezones=st.just(UTC))  # noqa: DTZ001  # strategies want it so
QUARTER = timedelta(minutes=15)


def period(start: datetime, length: timedelta, zone: ZoneInfo) -> Period:
    """That long."""
    return Period(start, start + length, zone)


@given(instants, st.integers(1, 200), zones)
def test_an_hour_lasts_as_long_as_the_clocks_show_it(start, hours, zone):
    """Within a part the clocks show one hour, and at its end another one, or the same anew."""
    asked = period(start, timedelta(hours=hours), zone)

    found = asked.hours()

    assert found[0][0] == start
    for begin, end in pairwise([*(begin for begin, _ in found), asked.end]):
        shown = {_clock(moment, zone) for moment in (begin, end - timedelta(microseconds=1))}
        assert len(shown) == 1
        assert end == asked.end or _clock(end, zone) not in shown


def _clock(moment: datetime, zone: ZoneInfo) -> tuple[date, int, timedelta | None]:
    local = moment.astimezone(zone)
    return local.date(), local.hour, local.utcoffset()


@given(instants, st.integers(1, 200), zones, st.sets(st.sampled_from(["hour", "day", "week", "month", "model"])))
def test_parts_are_told_with_all_that_they_are_a_part_of(start, days, zone, units):
    """They begin with the period, follow each other, and each first instant has the names that its part is given."""
    found = period(start, timedelta(days=days), zone).buckets(units)

    begins = [begin for begin, _ in found]
    assert begins[0] == start
    assert begins == sorted(set(begins))
    for begin, names in found:
        local = begin.astimezone(zone)
        expected = {
            "hour": local,
            "day": local.date(),
            "week": local.date() - timedelta(days=local.weekday()),
            "month": local.date().replace(day=1),
        }
        assert names == {unit: value for unit, value in expected.items() if unit in units}


@given(st.dates(date(2015, 1, 1), date(2037, 12, 31)), zones)
def test_every_zones_day_begins_at_a_quarter_of_an_hour(day, zone):
    """Which is the grain of what the ledger keeps for ever."""
    assert (day_start(day, zone) - datetime(2015, 1, 1, tzinfo=UTC)) % QUARTER == timedelta(0)


def test_half_an_hour_to_midnight_became_midnight():
    """Pyongyang on 2018-05-04: an hour of thirty minutes, and the next one is of the next day."""
    zone = ZoneInfo("Asia/Pyongyang")
    start = datetime(2018, 5, 4, 14, 30, tzinfo=UTC)

    found = period(start, timedelta(hours=2), zone).buckets(["hour", "day"])

    assert [(begin, names["hour"].isoformat(), names["day"]) for begin, names in found] == [
        (start, "2018-05-04T23:00:00+08:30", date(2018, 5, 4)),
        (start + timedelta(minutes=30), "2018-05-05T00:00:00+09:00", date(2018, 5, 5)),
        (start + timedelta(minutes=90), "2018-05-05T01:00:00+09:00", date(2018, 5, 5)),
    ]


def test_a_week_that_is_cut_by_a_month_is_two_parts():
    """By week and month, the same week is told for both months; by week alone it is one."""
    asked = Period.of_days(date(2026, 9, 28), date(2026, 10, 11), ZoneInfo("UTC"))

    both, weeks = asked.buckets(["week", "month"]), asked.weeks()

    assert [(names["week"], names["month"]) for _, names in both] == [
        (date(2026, 9, 28), date(2026, 9, 1)),
        (date(2026, 9, 28), date(2026, 10, 1)),
        (date(2026, 10, 5), date(2026, 10, 1)),
    ]
    assert [name for _, name in weeks] == [date(2026, 9, 28), date(2026, 10, 5)]


def test_an_empty_period_has_one_part_without_an_hour():
    """It can be asked for, and nothing is in it."""
    asked = period(datetime(2026, 11, 21, tzinfo=UTC), timedelta(0), ZoneInfo("UTC"))

    assert asked.buckets(["hour"]) == [(asked.start, {})]


@pytest.mark.parametrize("unit", ["hour", "day", "week", "month"])
def test_more_parts_than_anybody_reads_are_refused(unit):
    """Rather than reckoned for minutes."""
    asked = period(datetime(1800, 1, 1, tzinfo=UTC), timedelta(days=50_000), ZoneInfo("UTC"))

    with pytest.raises(InvalidQuestion, match="shorter period"):
        asked.buckets([unit])
