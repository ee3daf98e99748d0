"""What a forecast is made from is what the calls cost: of any zone's days, hot and cold."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from costspan.errors import InvalidQuestion
from costspan.ledger.forecast import Method
from costspan.ledger.period import day_start
from integration.ledger.calls import batch, call, unpriced

BERLIN = ZoneInfo("Europe/Berlin")
KOLKATA = ZoneInfo("Asia/Kolkata")
UTC_ZONE = ZoneInfo("UTC")
NOW = datetime(2026, 11, 21, 12, 40, tzinfo=UTC)
_HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def spent(shared_ledger):
    """Calls of acme every five hours and some minutes for fourteen weeks, of rival now and then; most of it compacted."""
    events = []
    at, number = NOW - timedelta(days=98), 0
    while at < NOW:
        events.append(
            call(
                at,
                tokens=(1000 + 37 * (number % 11), 100),
                tenant="acme",
                service="openai" if number % 3 else "anthropic",
            )
        )
        number += 1
        at += timedelta(hours=5, minutes=7, seconds=13)
    events += [
        call(NOW - timedelta(days=2), tenant="rival"),
        unpriced(NOW - timedelta(days=3)),
        unpriced(NOW - timedelta(days=40)),
    ]
    shared_ledger.write(batch(events), uuid4())
    shared_ledger.compact(date(2026, 11, 15))
    return [
        (event.at_ns, event.service, Decimal(event.cost_pico).scaleb(-12))
        for event in events
        if event.tenant == "acme" and event.cost_pico
    ]


def cost(spent, start, end, service=None):
    """What acme spent from one instant until another."""
    first, last = (int(instant.timestamp()) * 10**9 for instant in (start, end))
    return sum((cost for at, name, cost in spent if first <= at < last and service in (None, name)), Decimal(0))


@pytest.mark.parametrize("zone", [UTC_ZONE, BERLIN, KOLKATA])
def test_days_are_those_of_the_zone(shared_ledger, spent, zone):
    """Each day of the month that is over, to the pico-dollar, and what is spent so far."""
    outlook = shared_ledger.forecast("acme", NOW, zone=zone)

    today = NOW.astimezone(zone).date()
    assert [day for day, _ in outlook.days] == [date(2026, 11, number) for number in range(1, 31)]
    for day, dollars in outlook.days:
        if day < today:
            assert dollars == cost(spent, day_start(day, zone), day_start(day + timedelta(days=1), zone))
    assert outlook.projection.spent == cost(spent, outlook.month.start, NOW)


def test_a_steady_tenant_goes_on(shared_ledger, spent):
    """Fourteen weeks of the same: the month ends where its pace says, surely within the interval."""
    outlook = shared_ledger.forecast("acme", NOW)
    projection = outlook.projection

    assert (projection.method, projection.known_days) == (Method.SEASONAL, 91)
    assert projection.backtests > 10
    pace = projection.spent / Decimal((NOW - outlook.month.start) / timedelta(days=30))
    assert projection.low < pace < projection.high
    assert abs(projection.expected / pace - 1) < Decimal("0.02")
    whole = sum((dollars for _, dollars in outlook.days), Decimal(0))
    assert abs(whole - projection.expected) < Decimal("1e-9")


def test_calls_without_a_cost_are_told(shared_ledger, spent):
    """Of this month only; they are in no sum."""
    assert shared_ledger.forecast("acme", NOW).unknown_calls == 1


def test_one_service(shared_ledger, spent):
    """What the other one costs is in no sum."""
    outlook = shared_ledger.forecast("acme", NOW, services=["anthropic"])

    assert outlook.projection.spent == cost(spent, outlook.month.start, NOW, "anthropic")


def test_everybody_is_the_sum_of_all(shared_ledger, spent):
    """As admin, and rival just began."""
    both, acme, rival = (shared_ledger.forecast(tenant, NOW).projection for tenant in (None, "acme", "rival"))

    assert both.spent == acme.spent + rival.spent
    assert (rival.known_days, rival.method) == (2, Method.STRAIGHT_LINE)


def test_a_tenant_that_nobody_knows(shared_ledger):
    """Nothing was spent, and nothing is to come."""
    outlook = shared_ledger.forecast("nobody", NOW)

    assert (outlook.projection.expected, outlook.projection.method) == (0, Method.NOTHING)
    assert {dollars for _, dollars in outlook.days} == {Decimal(0)}


@pytest.mark.parametrize(("share", "is_passed"), [("0.5", True), ("0.99", True), ("1.5", False)])
def test_the_day_on_which_a_budget_is_passed(shared_ledger, spent, share, is_passed):
    """The first day up to which more than that is spent or expected."""
    outlook = shared_ledger.forecast("acme", NOW)
    budget = outlook.projection.expected * Decimal(share)

    day = outlook.exhausted_on(budget)

    assert (day is not None) is is_passed
    if day is not None:
        until = [dollars for one, dollars in outlook.days if one <= day]
        assert sum(until[:-1], Decimal(0)) <= budget < sum(until, Decimal(0))


@pytest.mark.parametrize(
    "now",
    [
        datetime(2026, 11, 1, tzinfo=UTC),  # nothing of the month is over
        datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC),
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),  # clocks change in Berlin
        datetime(2026, 2, 28, 12, tzinfo=UTC),
    ],
)
@pytest.mark.parametrize("zone", [UTC_ZONE, BERLIN])
def test_any_instant_can_be_asked_for(shared_ledger, spent, now, zone):
    """The days are those of the month, and what was spent is what the calls say."""
    outlook = shared_ledger.forecast("acme", now, zone=zone)

    assert outlook.days[0][0].day == 1
    assert (outlook.days[-1][0] + timedelta(days=1)).day == 1
    assert outlook.projection.spent == cost(spent, outlook.month.start, now)


def test_an_instant_without_a_zone_is_refused(shared_ledger):
    """Which one it is cannot be known."""
    with pytest.raises(InvalidQuestion, match="no time zone"):
        shared_ledger.forecast("acme", datetime(2026, 11, 21))  # noqa: DTZ001
