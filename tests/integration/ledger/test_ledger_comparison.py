"""Two periods against each other: the differences are exact, and so is what made them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import count
from uuid import uuid4
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from costspan.errors import InvalidQuestion
from costspan.event import Line
from costspan.ledger import Dimension
from costspan.ledger.comparison import COMPARABLE, Effects, with_previous
from costspan.ledger.period import Period
from integration.ledger.calls import batch, call, unpriced

UTC_ZONE = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")
_tenants = count()


def october(tenant: str = "acme", **changes):
    """A call in the period before."""
    return call(datetime(2026, 10, 7, 9, tzinfo=UTC), tenant=tenant, **changes)


def november(tenant: str = "acme", **changes):
    """A call in the period after."""
    return call(datetime(2026, 11, 7, 9, tzinfo=UTC), tenant=tenant, **changes)


def dearer(event, factor: int = 2):
    """The same call by a price list with other rates."""
    lines = [
        msgspec.structs.replace(line, rate_atto=line.rate_atto * factor, amount_pico=line.amount_pico * factor)
        for line in event.lines
    ]
    return msgspec.structs.replace(
        event, lines=lines, cost_pico=event.cost_pico * factor, price_version="genai-prices 0.3.0"
    )


@pytest.fixture(scope="module")
def months() -> tuple[Period, Period]:
    """October and November."""
    return (
        Period.of_days(date(2026, 10, 1), date(2026, 10, 31), UTC_ZONE),
        Period.of_days(date(2026, 11, 1), date(2026, 11, 30), UTC_ZONE),
    )


@pytest.fixture
def changed(shared_ledger, months):
    """Writes calls of a tenant of its own, and returns what changed."""

    def compare(events, **question):
        tenant = f"t-{next(_tenants)}"
        shared_ledger.write(batch([msgspec.structs.replace(event, tenant=tenant) for event in events]), uuid4())
        return shared_ledger.comparison(*months, tenant=tenant, **question)

    return compare


def test_twice_the_calls_are_volume(changed):
    """The same calls, more of them: nothing else changed."""
    comparison = changed([october(), november(), november()])

    assert comparison.total.difference == Decimal("0.00135")
    assert comparison.total.effects == Effects(volume=Decimal("0.00135"))
    assert comparison.total.relative == 1


def test_longer_prompts_are_usage(changed):
    """As many calls that read more tokens, at the same rates."""
    comparison = changed([october(tokens=(1000, 100)), november(tokens=(3000, 100))])

    assert comparison.total.effects == Effects(usage=Decimal("0.002"))


def test_a_cache_that_is_hit_is_usage(changed):
    """Ten thousand tokens that come from the cache instead: the rates are the same, and the bill is not."""
    comparison = changed([october(tokens=(20_000, 100), cached=10_000), november(tokens=(10_000, 100), cached=20_000)])

    assert comparison.total.effects == Effects(usage=Decimal("-0.009"))


def test_other_rates_are_price(changed):
    """The same consumption by a newer price list."""
    comparison = changed([october(), dearer(november())])

    assert comparison.total.effects == Effects(price=Decimal("0.00135"))


def test_another_model_is_mix(changed):
    """The calls went to a model that was not there before."""
    opus = dearer(november(model="claude-opus-5"), 5)

    comparison = changed([october(), opus])

    assert comparison.total.effects == Effects(mix=Decimal("0.0054"))
    assert [(change.keys[Dimension.MODEL], change.difference) for change in comparison.rows] == [
        ("claude-opus-5", Decimal("0.00675")),
        ("claude-3-5-haiku-latest", Decimal("-0.00135")),
    ]


def test_all_at_once(changed):
    """More calls, longer ones, at other rates: each effect has its part."""
    before = [october(tokens=(1000, 0))] * 2
    after = [dearer(november(tokens=(1500, 0)), 3)] * 4

    comparison = changed([*before, *after])

    # 2 calls more at 0.001; 4 x 500 tokens more at the rate before; 6000 tokens at twice that rate more
    assert comparison.total.effects == Effects(volume=Decimal("0.002"), usage=Decimal("0.002"), price=Decimal("0.012"))


def test_a_fee_is_not_taken_for_a_price(changed):
    """Where a bill does not follow from the rates, usage and price are not told apart."""
    search = Line("claude-3-5-haiku-latest", "web_searches", 1, 10**16, 10**10, "overlay")
    searched = november()
    searched = msgspec.structs.replace(
        searched,
        lines=[*searched.lines, search],
        quantities={**searched.quantities, "web_searches": 1},
        cost_pico=searched.cost_pico + 10**10,
    )
    earlier = msgspec.structs.replace(searched, at_ns=october().at_ns)

    comparison = changed([earlier, november()])

    assert comparison.total.effects == Effects(usage_or_price=Decimal("-0.01"))


def test_a_small_fee_does_not_hide_a_price(changed):
    """What the rates leave is told as what it is, and the rest is told apart."""
    search = Line("claude-3-5-haiku-latest", "web_searches", 1, 10**16, 10**10, "overlay")
    before, after = october(tokens=(10**6, 0)), dearer(november(tokens=(2 * 10**6, 0)))
    after = msgspec.structs.replace(
        after,
        lines=[*after.lines, search],
        quantities={**after.quantities, "web_searches": 1},
        cost_pico=after.cost_pico + 10**10,
    )

    comparison = changed([before, after])

    assert comparison.total.effects == Effects(usage=Decimal(1), price=Decimal(2), usage_or_price=Decimal("0.01"))


def test_a_price_that_changed_within_the_later_period(changed):
    """Each call at its own rates: one of two was dearer."""
    comparison = changed([october(), october(), november(), dearer(november())])

    assert comparison.total.effects == Effects(price=Decimal("0.00135"))


def test_a_price_that_changed_within_the_earlier_period(changed):
    """There is no one rate of before, so that what it made cannot be told from what usage made."""
    comparison = changed([october(), dearer(october()), november(), november()])

    assert comparison.total.effects == Effects(usage_or_price=Decimal("-0.00135"))


def test_a_model_that_gets_a_price_is_no_growth(changed):
    """Calls without a known cost are counted, and have no effect."""
    comparison = changed([unpriced(datetime(2026, 10, 7, tzinfo=UTC)), october(), november()])

    assert comparison.total.before.unpriced == 1
    assert comparison.total.effects == Effects()
    assert comparison.total.difference == 0


def test_the_last_call_of_a_feature(changed):
    """What is new or gone is volume, whole; relative to nothing there is no figure."""
    comparison = changed([october(feature="old"), november(feature="new")], by=["feature"])

    assert {change.keys[Dimension.FEATURE]: (change.effects, change.relative) for change in comparison.rows} == {
        "old": (Effects(volume=Decimal("-0.00135")), Fraction(-1)),
        "new": (Effects(volume=Decimal("0.00135")), None),
    }


def test_a_service_only(changed):
    """What another service cost is in no sum."""
    comparison = changed([october(), november(service="openai")], services=["openai"])

    assert comparison.total.difference == Decimal("0.00135")


@pytest.mark.parametrize("by", [["day"], ["modl"], ["model", "hour"]])
def test_what_no_two_periods_share_is_refused(shared_ledger, months, by):
    """A day of October is none of November's."""
    with pytest.raises(InvalidQuestion, match="allowed are service"):
        shared_ledger.comparison(*months, by=by)


calls = st.tuples(
    st.sampled_from([october, november]),
    st.tuples(st.integers(0, 5000), st.integers(0, 5000)),
    st.integers(0, 5000),
    st.integers(1, 3),
    st.sampled_from(["a", "b"]),
    st.sampled_from(["", "search"]),
    st.sampled_from(["priced", "estimated", "partial", "invalid"]),
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(calls, max_size=12), st.sets(st.sampled_from(COMPARABLE), max_size=3))
def test_effects_add_up_and_rows_are_those_of_a_summary(shared_ledger, months, made, by):
    """Whatever was called: to the pico-dollar, and by whatever it is broken down."""
    tenant = f"t-{next(_tenants)}"
    events = [
        _as(status, dearer(at(tenant, tokens=tokens, cached=cached, model=model, feature=feature), factor))
        for at, tokens, cached, factor, model, feature, status in made
    ]
    shared_ledger.write(batch(events), uuid4())

    comparison = shared_ledger.comparison(*months, by=by, tenant=tenant)

    for change in (*comparison.rows, comparison.total):
        effects = change.effects
        parts = (effects.volume, effects.mix, effects.usage, effects.price, effects.usage_or_price)
        assert sum(parts, Decimal(0)) == change.difference
    for period, side in zip(months, ("before", "after"), strict=True):
        summary = shared_ledger.summary(period.start, period.end, by=by, tenant=tenant)
        told = {
            frozenset(change.keys.items()): _figures(getattr(change, side))
            for change in comparison.rows
            if getattr(change, side).calls
        }
        assert told == {frozenset(row.keys.items()): _figures(row) for row in summary.rows}


def _as(status, event):
    return msgspec.structs.replace(event, status=status, cost_pico=None if status == "invalid" else event.cost_pico)


def _figures(row):
    return (row.calls_by_status, row.cost_by_status, row.tokens_by_class)


@pytest.mark.parametrize(
    ("period", "now", "first", "second"),
    [
        # over: whole against whole
        ("month", (2026, 12, 3, 9), ((2026, 10, 1), (2026, 11, 1)), ((2026, 11, 1), (2026, 12, 1))),
        ("month", (2026, 11, 21, 10, 7), ((2026, 10, 1), (2026, 10, 21, 10)), ((2026, 11, 1), (2026, 11, 21, 10))),
        ("week", (2026, 11, 21, 10, 7), ((2026, 11, 9), (2026, 11, 14, 10)), ((2026, 11, 16), (2026, 11, 21, 10))),
        ("day", (2026, 11, 21, 10, 7), ((2026, 11, 20), (2026, 11, 20, 10)), ((2026, 11, 21), (2026, 11, 21, 10))),
        # the first minutes are all there is
        ("day", (2026, 11, 21, 0, 7), ((2026, 11, 20), (2026, 11, 20, 0, 7)), ((2026, 11, 21), (2026, 11, 21, 0, 7))),
    ],
)  # fmt: skip
def test_a_running_period_is_compared_with_as_much_of_the_one_before(period, now, first, second):
    """Three weeks of November against three weeks of October."""
    day = date(2026, 11, 21)

    assert with_previous(period, day, UTC_ZONE, datetime(*now, tzinfo=UTC)) == tuple(
        Period(datetime(*start, tzinfo=UTC), datetime(*end, tzinfo=UTC), UTC_ZONE) for start, end in (first, second)
    )


def test_a_longer_month_is_compared_with_all_of_a_shorter_one():
    """On 31 March there is no 31 February."""
    first, second = with_previous("month", date(2026, 3, 31), UTC_ZONE, datetime(2026, 3, 31, 12, tzinfo=UTC))

    assert (first.end, second.end) == (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 31, 12, tzinfo=UTC))


def test_the_same_time_of_the_day_where_clocks_changed():
    """Noon in Berlin is an hour later in UTC after the end of summer time."""
    first, second = with_previous("day", date(2026, 10, 25), BERLIN, datetime(2026, 10, 25, 11, tzinfo=UTC))

    assert first.end.astimezone(BERLIN).hour == second.end.astimezone(BERLIN).hour == 12
    assert second.end - first.end == timedelta(hours=25)
