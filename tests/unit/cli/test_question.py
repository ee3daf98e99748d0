"""A period in a zone, from what a user typed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.cli.question import Question, ask, day_of, dimensions, service_of, tenant_of, zone_of
from costspan.errors import InvalidQuestion

ZONES = (
    "UTC",
    "Asia/Kolkata",
    "America/New_York",
    "America/Havana",
    "America/Sao_Paulo",
    "Pacific/Apia",
    "Asia/Beirut",
)


def question(period: str, day: date, zone: str) -> Question:
    """A question for the period of a day."""
    return ask(period, day, ZoneInfo(zone), by=("day",))


@pytest.mark.parametrize(
    ("period", "first", "end"),
    [
        ("day", date(2026, 11, 18), datetime(2026, 11, 19, tzinfo=UTC)),
        ("week", date(2026, 11, 16), datetime(2026, 11, 23, tzinfo=UTC)),
        ("month", date(2026, 11, 1), datetime(2026, 12, 1, tzinfo=UTC)),
    ],
)
def test_a_period_has_whole_days(period, first, end):
    """A week begins on Monday, a month on its first, and both end before another begins."""
    asked = question(period, date(2026, 11, 18), "UTC")

    assert asked.first == first
    assert asked.period.end == end
    assert asked.month.start == datetime(2026, 11, 1, tzinfo=UTC)


@given(st.dates(date(2015, 1, 1), date(2099, 12, 30)), st.sampled_from(ZONES))
def test_days_of_a_zone_join(day, zone):
    """Whatever clocks do at midnight, a day ends where the next begins, and no moment before it is on it."""
    today, tomorrow = question("day", day, zone), question("day", day + timedelta(days=1), zone)

    assert today.period.end == tomorrow.period.start
    assert today.first == day
    assert (today.period.start - timedelta(microseconds=1)).astimezone(ZoneInfo(zone)).date() < day


def test_a_week_of_daylight_saving_is_an_hour_off():
    """Clocks go back on 2026-10-25 in Berlin: that week has 169 hours."""
    asked = question("week", date(2026, 10, 25), "Europe/Berlin")

    assert asked.period.start == datetime(2026, 10, 18, 22, tzinfo=UTC)
    assert asked.period.end - asked.period.start == timedelta(hours=169)


def test_a_zone_may_be_half_an_hour_off():
    """In Kolkata a day begins at half past six in the evening before, in UTC."""
    asked = question("day", date(2026, 11, 20), "Asia/Kolkata")

    assert asked.period.start == datetime(2026, 11, 19, 18, 30, tzinfo=UTC)


def test_today_is_the_zones_own():
    """At eight in the evening UTC it is tomorrow in Kolkata."""
    now = datetime(2026, 11, 30, 20, tzinfo=UTC)

    assert day_of(None, ZoneInfo("Asia/Kolkata"), now) == date(2026, 12, 1)
    assert day_of(None, ZoneInfo("UTC"), now) == date(2026, 11, 30)
    assert day_of("2026-02-28", ZoneInfo("UTC"), now) == date(2026, 2, 28)


@pytest.mark.parametrize(
    "text", ["", "2026-02-29", "20260228", "2026-W01-1", "yesterday", "9999-12-31", "0001-01-01", "\uff12026-01-01"]
)
def test_another_date_is_refused_with_what_is_allowed(text):
    """The error shows the value and how a day is written."""
    with pytest.raises(InvalidQuestion) as error:
        day_of(text, ZoneInfo("UTC"), datetime.now(UTC))

    assert repr(text) in str(error.value)
    assert "YYYY-MM-DD" in str(error.value)


@pytest.mark.parametrize("text", ["", "Mars/Olympus", "../etc/passwd", "/etc/localtime", "Europe", "a\0b", "x" * 5000])
def test_another_zone_is_refused_with_what_is_allowed(text):
    """The error shows the value, not all of a long one, and an example."""
    with pytest.raises(InvalidQuestion) as error:
        zone_of(text)

    assert repr(text[:80]) in str(error.value)
    assert len(str(error.value)) < 200
    assert "Asia/Kolkata" in str(error.value)


def test_dimensions_keep_their_order_and_come_once():
    """Spaces and capitals do not matter."""
    found = dimensions("Model, day,model")

    assert found == ("model", "day")


@pytest.mark.parametrize("text", ["", "day,", "colour", "day;service"])
def test_another_dimension_is_refused_with_what_is_allowed(text):
    """The error lists every dimension there is."""
    with pytest.raises(InvalidQuestion, match="allowed are day, hour, service, provider"):
        dimensions(text)


def test_another_period_is_refused_with_what_is_allowed():
    """The error lists the three."""
    with pytest.raises(InvalidQuestion, match="--period is 'fortnight': allowed are day, week, month"):
        question("fortnight", date(2026, 11, 1), "UTC")


def test_a_service_is_one_of_two_or_all():
    """`all` is what it is without the option."""
    assert service_of("openai") == "openai"
    assert service_of("all") is None
    assert service_of(None) is None
    with pytest.raises(InvalidQuestion, match="--service is 'google': allowed are anthropic, openai, all"):
        service_of("google")


def test_a_tenant_is_asked_for_as_it_is_stored():
    """The ledger has cleaned and shortened names; an empty one is a mistake, not everyone."""
    assert tenant_of(None) is None
    assert tenant_of("ac\nme") == "ac\ufffdme"
    assert len(tenant_of("x" * 1000) or "") == 256
    with pytest.raises(InvalidQuestion, match="--tenant is ''"):
        tenant_of("")
