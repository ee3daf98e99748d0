"""Every sum is exact: to the pico-dollar, in any zone's days, from rollups or from rows."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from costspan.errors import InvalidQuestion
from costspan.ledger import Dimension, Ledger
from costspan.ledger.database import Database
from costspan.settings import Settings
from integration.ledger.calls import NOON, batch, call, lost, nanoseconds, unpriced
from integration.ledger.truth import said, told, within

ZONES = [
    "UTC",
    "Europe/Berlin",  # an hour of DST
    "America/New_York",
    "Asia/Kolkata",  # +5:30
    "Asia/Kathmandu",  # +5:45
    "Australia/Lord_Howe",  # half an hour of DST
    "America/Havana",  # DST begins and ends at midnight
    "Pacific/Chatham",  # +12:45, DST
    "Pacific/Kiritimati",  # +14
]
#: Around the days on which clocks change, in all of these zones.
INSTANTS = st.one_of(
    *[
        st.datetimes(moment - timedelta(days=2), moment + timedelta(days=2), timezones=st.just(UTC))
        for moment in (datetime(2026, 3, 8), datetime(2026, 3, 29), datetime(2026, 4, 5), datetime(2026, 10, 25), datetime(2026, 11, 1))  # noqa: DTZ001
    ]
)  # fmt: skip
CALLS = st.lists(
    st.tuples(
        INSTANTS,
        st.sampled_from(["acme", "rival"]),
        st.sampled_from(["priced", "estimated", "partial", "unpriced", "invalid"]),
        st.integers(0, 10**15),
        st.sampled_from(["chat", "embeddings"]),
        st.sampled_from(["", "search", "compression"]),
    ),
    max_size=40,
)
_tenants = count()
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FEW
@given(
    calls=CALLS,
    ends=st.tuples(INSTANTS, INSTANTS),
    zone=st.sampled_from(ZONES),
    by=st.sets(st.sampled_from(list(Dimension))),
)
def test_any_breakdown_equals_what_the_calls_say(ledger, calls, ends, zone, by):
    """Sums per zone's day, hour and whatever else are those of a plain loop over Decimals."""
    example = f"-{next(_tenants)}"  # an example's own tenants, as all share a database
    start, end = sorted(ends)
    events = []
    for at, tenant, status, pico, operation, feature in calls:
        known = status not in ("unpriced", "invalid")
        events.append(
            call(at, tenant=tenant + example, status=status, cost_pico=pico if known else None, operation=operation, feature=feature)
        )  # fmt: skip
    ledger.write(batch(events), uuid4())
    tenant = f"acme{example}"

    summary = ledger.summary(start, end, by=by, tenant=tenant, zone=ZoneInfo(zone))

    mine = within([event for event in events if event.tenant == tenant], start, end)
    truth = told(mine, by, ZoneInfo(zone), start)
    assert said(summary) == truth
    assert summary.total.cost == sum((sums.get("cost", Decimal(0)) for sums in truth.values()), Decimal(0))
    assert summary.total.calls == len(mine)


@FEW
@given(calls=CALLS, ends=st.tuples(INSTANTS, INSTANTS))
def test_get_cost_summary_equals_what_the_calls_say(ledger, rows, calls, ends):
    """The SQL function is as exact as the Python one, whatever the range's ends cut."""
    example = f"sql-{next(_tenants)}"
    start, end = sorted(ends)
    events = [call(at, tenant=example, cost_pico=pico, service=service) for at, _, _, pico, service, _ in calls]
    ledger.write(batch(events), uuid4())

    found = {
        service: (cost, number)
        for service, cost, number in rows(
            "select service, cost_usd, calls from get_cost_summary(%s, %s, %s, %s)", example, start, end, "all"
        )
    }

    truth: dict[str, tuple[Decimal, int]] = {"total": (Decimal(0), 0)}
    for event in events:
        if nanoseconds(start) <= event.at_ns < nanoseconds(end):
            for key in (event.service, "total"):
                cost, number = truth.get(key, (Decimal(0), 0))
                truth[key] = (cost + Decimal(event.cost_pico).scaleb(-12), number + 1)
    assert found == truth


def test_get_cost_summary_answers_per_service_and_in_all(ledger, rows):
    """One row a service, then the total; a service can be asked for alone."""
    ledger.write(
        batch([call(), call(), call(service="openai", cost_pico=130_000_000), unpriced(service="openai")]), uuid4()
    )
    ask = "select * from get_cost_summary('acme', '2026-11-01 00:00+00', '2026-12-01 00:00+00', %s)"

    assert rows(ask, None) == [
        ("anthropic", Decimal("0.0027"), 2, 900, 360, 0),
        ("openai", Decimal("0.00013"), 2, 900, 360, 1),
        ("total", Decimal("0.00283"), 4, 1800, 720, 1),
    ]
    assert [service for service, *_ in rows(ask, "openai")] == ["openai", "total"]
    assert rows("select * from get_cost_summary('nobody', '2026-11-01', '2026-12-01')") == [("total", 0, 0, 0, 0, 0)]


def test_invalid_calls_are_counted_and_never_summed(ledger):
    """Impossible numbers add to no total."""
    ledger.write(batch([call(), call(status="invalid", cost_pico=None, tokens_in=10**9, tokens_out=10**9)]), uuid4())

    total = ledger.summary(NOON, NOON + timedelta(hours=1)).total

    assert (total.calls, total.invalid, total.tokens_in, total.tokens_out, total.cost) == (
        2,
        1,
        450,
        180,
        Decimal("0.00135"),
    )


def test_what_is_not_priced_is_said(ledger):
    """An estimate is in the sum, and the sum says how much of it is one."""
    ledger.write(batch([call(), call(status="estimated"), call(status="partial"), unpriced()]), uuid4())

    total = ledger.summary(NOON, NOON + timedelta(hours=1)).total

    assert (total.calls, total.priced, total.estimated, total.partial, total.unpriced) == (4, 1, 1, 1, 1)
    assert (total.cost, total.cost_not_priced, total.not_priced) == (Decimal("0.00405"), Decimal("0.0027"), 3)


def test_sums_beyond_a_64_bit_number_are_exact(ledger, rows):
    """Twenty calls of nine million dollars: more pico-dollars than a bigint holds, and nothing overflows."""
    ledger.write(batch([call(cost_pico=9 * 10**18 + 1) for _ in range(20)]), uuid4())

    assert ledger.summary(NOON, NOON + timedelta(hours=1)).total.cost == Decimal("180000000.00000000002")
    assert rows.one("select sum(cost_usd) from ai_usage_metrics") == Decimal("180000000.00000000002")


def test_caches_beyond_a_32_bit_number_can_be_read(ledger, rows):
    """Four classes of cache writes that are fine each may be too much together for a smaller type."""
    most = {f"cache_write_{age}_tokens": 10**9 for age in ("5m", "30m", "1h", "12h")}
    ledger.write(batch([call(quantities=most)]), uuid4())

    half_past = NOON + timedelta(minutes=30)
    assert ledger.summary(NOON - timedelta(minutes=30), half_past).total.cache_write == 4 * 10**9
    assert ledger.summary(NOON, half_past, by=["session"]).total.cache_write == 4 * 10**9
    assert rows.one("select cache_write_tokens from ai_usage_metrics") == 4 * 10**9


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [("UTC", date(2026, 11, 21), 2), ("Asia/Kolkata", date(2026, 11, 21), 1), ("Asia/Kolkata", date(2026, 11, 22), 1)],
)
def test_a_day_is_the_day_of_the_configured_zone(ledger_url, tmp_path, zone, day, expected):
    """18:29 and 18:31 UTC are one day in London and two in Kolkata."""
    ledger = Ledger.connect(Settings(database_url=ledger_url, state_dir=tmp_path, timezone=ZoneInfo(zone)))
    ledger.write(batch([call(datetime(2026, 11, 21, 18, minute, tzinfo=UTC)) for minute in (29, 31)]), uuid4())

    summary = ledger.daily_costs("acme", day)
    ledger.close()

    assert summary.total.calls == expected
    assert [row.keys for row in summary.rows] == [{Dimension.SERVICE: "anthropic"}]


def test_days_weeks_and_months_end_where_they_should(ledger_url):
    """A month has its last second and not the next one; a week begins on Monday."""
    now = datetime(2026, 2, 18, 12, tzinfo=UTC)
    ledger = Ledger(Database(lambda: ledger_url), ZoneInfo("UTC"), now=lambda: now)
    days = [(1, 31), (2, 1), (2, 15), (2, 16), (2, 18), (2, 22), (2, 23), (2, 28), (3, 1)]
    ledger.write(batch([call(datetime(2026, month, day, 23, 59, 59, tzinfo=UTC)) for month, day in days]), uuid4())

    calls = {
        "today": ledger.daily_costs("acme").total.calls,
        "week": ledger.service_breakdown("acme", "week").total.calls,
        "month": ledger.service_breakdown("acme").total.calls,
        "february": ledger.monthly_costs("acme", 2026, 2).total.calls,
        "december": ledger.monthly_costs("acme", 2025, 12).total.calls,
        "everybody": ledger.monthly_costs(None, 2026, 2).total.calls,
    }
    ledger.close()

    assert calls == {"today": 1, "week": 3, "month": 7, "february": 7, "december": 0, "everybody": 7}


def test_a_tenants_question_sees_only_that_tenant(ledger):
    """Calls, sessions and unsettled attempts of others do not exist; an admin sees all."""
    ledger.write(
        batch([call(), call(), call(tenant="rival", session="s-2")], endings=[lost("open", tenant="rival")]), uuid4()
    )
    hour = (NOON, NOON + timedelta(hours=1))

    assert ledger.summary(*hour, by=["tenant"], tenant="acme").total.calls == 2
    assert ledger.summary(*hour, tenant="acme").unsettled == {}
    assert ledger.sessions(*hour, tenant="acme") == 1
    assert ledger.summary(*hour, tenant="nobody").rows == ()
    assert ledger.summary(*hour).total.calls == 3
    assert ledger.summary(*hour).unsettled == {"open": 1}
    assert ledger.sessions(*hour) == 2


def test_services_can_be_picked(ledger):
    """Only the asked ones are summed."""
    ledger.write(batch([call(), call(service="openai")]), uuid4())
    hour = (NOON, NOON + timedelta(hours=1))

    assert ledger.summary(*hour, services=["openai"]).total.calls == 1
    assert ledger.summary(*hour, services=["openai"], by=["feature"]).total.calls == 1
    assert ledger.summary(*hour, services=[]).total.calls == 0


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda ledger: ledger.summary(NOON, NOON, by=["color"]), "allowed are day, hour, service"),
        (lambda ledger: ledger.summary(NOON, NOON, by=["day; drop table costspan.call"]), "allowed are day"),
        (lambda ledger: ledger.summary(NOON, NOON - timedelta(1)), "before it begins"),
        (lambda ledger: ledger.summary(NOON.replace(tzinfo=None), NOON), "no time zone"),
        (lambda ledger: ledger.summary(NOON - timedelta(30000), NOON, by=["hour"]), "shorter period"),
        (lambda ledger: ledger.daily_costs("acme", "21.11.2026"), "allowed is a date"),
        (lambda ledger: ledger.daily_costs("acme", NOON), "allowed is a date"),
        (lambda ledger: ledger.daily_costs("acme", date.max), "no day"),
        (lambda ledger: ledger.monthly_costs("acme", 2026, 13), "no month"),
        (lambda ledger: ledger.monthly_costs("acme", 9999, 12), "no "),
        (lambda ledger: ledger.service_breakdown("acme", "year"), "allowed are day, week, month"),
        (lambda ledger: ledger.service_breakdown("acme", "week", date.max), "no "),
    ],
)
def test_a_question_that_makes_no_sense_says_what_does(ledger, ask, says):
    """The error names what was asked and what is allowed."""
    with pytest.raises(InvalidQuestion, match=says):
        ask(ledger)
