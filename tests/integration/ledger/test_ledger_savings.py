"""What prompt caches saved and wasted: to the pico-dollar what the bills say, hot and cold, and unknown where they do not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
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
from costspan.ledger.period import Period
from costspan.pricing.money import half_even
from integration.ledger.calls import batch, call, unpriced

ZONE = ZoneInfo("UTC")
NOVEMBER = Period.of_days(date(2026, 11, 1), date(2026, 11, 30), ZONE)
COLD, HOT = datetime(2026, 11, 7, 9, tzinfo=UTC), datetime(2026, 11, 21, 12, tzinfo=UTC)
#: Dollars x 10^-18 a token, of a model at $3 a million: as Anthropic has it, with caches of five minutes and of an hour.
RATES = {
    "input_tokens": 3 * 10**12,
    "cache_read_tokens": 3 * 10**11,
    "cache_write_5m_tokens": 375 * 10**10,
    "cache_write_1h_tokens": 6 * 10**12,
    "output_tokens": 15 * 10**12,
}
SEARCH = Line("sonnet", "web_searches", 1, 10**16, 10**10, "overlay")
_tenants = count()


def cached(at=HOT, *, fresh=10, read=0, write=0, hour=0, out=100, factor=1, fee=False, **changes):
    """A call with a prompt cache; ``factor`` times dearer, as a long prompt is, and with a ``fee``."""
    numbers = dict(zip(RATES, (fresh, read, write, hour, out), strict=True))
    quantities = {unit: number for unit, number in numbers.items() if number}
    lines = [
        Line("sonnet", unit, number, RATES[unit] * factor, number * RATES[unit] * factor // 10**6, "list")
        for unit, number in quantities.items()
    ]
    if fee:
        quantities, lines = {**quantities, "web_searches": 1}, [*lines, SEARCH]
    event = call(at, model="sonnet", **changes)
    return msgspec.structs.replace(
        event,
        lines=lines,
        quantities=quantities,
        tokens_in=fresh + read + write + hour,
        tokens_out=out,
        cost_pico=sum(line.amount_pico for line in lines),
    )


@pytest.fixture
def saved(shared_ledger):
    """Writes calls of a tenant of its own, compacts what is over, and returns what caches did."""

    def ask(events, **question):
        tenant = f"t-{next(_tenants)}"
        shared_ledger.write(batch([msgspec.structs.replace(event, tenant=tenant) for event in events]), uuid4())
        return shared_ledger.savings(NOVEMBER, tenant=tenant, **question)

    return ask


def test_what_a_read_saves(saved):
    """A million tokens at $0.30 instead of $3."""
    total = saved([cached(read=1_000_000)]).total

    assert (total.saved, total.extra, total.net, total.unrecovered) == (Decimal("2.7"), 0, Decimal("2.7"), 0)
    assert (total.read_tokens, total.write_tokens, total.unknown_tokens) == (1_000_000, 0, 0)


def test_what_a_write_costs_more(saved):
    """A million tokens at $3.75 instead of $3, which nobody ever read."""
    total = saved([cached(write=1_000_000)]).total

    assert (total.saved, total.extra, total.net, total.unrecovered) == (
        0,
        Decimal("0.75"),
        Decimal("-0.75"),
        Decimal("0.75"),
    )


def test_a_write_that_is_read_once_pays_back(saved):
    """$0.75 more, then $2.70 less."""
    total = saved([cached(write=1_000_000), cached(read=1_000_000)]).total

    assert (total.net, total.unrecovered) == (Decimal("1.95"), 0)


def test_lifetimes_have_their_own_rates(saved):
    """A kind with caches of both lifetimes: $0.75 more for one, $3 more for the other."""
    total = saved([cached(write=1_000_000), cached(hour=1_000_000), cached(write=500_000, hour=500_000)]).total

    assert total.extra == Decimal("5.625")


def test_one_feature_does_not_pay_for_another(saved):
    """What search wasted is not hidden by what chat saved."""
    savings = saved([cached(write=1_000_000, feature="search"), cached(read=1_000_000, feature="chat")])

    assert savings.total.net == Decimal("1.95")
    assert savings.total.unrecovered == Decimal("0.75")
    assert [(row.keys[Dimension.FEATURE], row.net) for row in savings.rows] == [
        ("chat", Decimal("2.7")),
        ("search", Decimal("-0.75")),
    ]


def test_a_long_prompt_saves_at_its_own_rates(saved):
    """Beyond the bracket everything costs twice as much, and a read saves twice as much."""
    total = saved([cached(read=1_000_000), cached(read=1_000_000, factor=2)]).total

    assert (total.saved, total.unknown_tokens) == (Decimal("8.1"), 0)


def test_a_fee_is_nothing_of_a_cache(saved):
    """What a search costs is in the bill, and in no saving."""
    total = saved([cached(read=1_000_000, fee=True), cached(write=1_000_000), cached(hour=1000, fee=True)]).total

    assert (total.saved, total.extra) == (Decimal("2.7"), Decimal("0.753"))


def test_fees_of_very_many_calls_are_no_matter(saved, monkeypatch):
    """Where lines are at the rates of their kind, not one call is looked at: there may be as many as there are."""
    monkeypatch.setattr("costspan.ledger.savings._MOST_ODD", 1)

    total = saved([cached(read=1000, write=10, fee=True)] * 5).total

    assert (total.saved, total.extra, total.unknown_tokens) == (Decimal("0.0135"), Decimal("0.0000375"), 0)


def test_too_many_bills_to_be_looked_at_are_told_as_unknown(saved, monkeypatch):
    """Nothing is guessed of them."""
    monkeypatch.setattr("costspan.ledger.savings._MOST_ODD", 1)

    total = saved([cached(read=1000), cached(read=1000, factor=2), cached(read=1000, factor=2)]).total

    assert (total.saved, total.unknown_tokens) == (0, 3000)


def test_what_plain_input_costs_may_not_be_known(saved):
    """Where no call of the kind ever read a plain token, no rate is made up."""
    total = saved([cached(fresh=0, read=1000), cached(fresh=0, write=500)]).total

    assert (total.saved, total.extra, total.unknown_tokens) == (0, 0, 1500)


def test_a_model_without_a_price_has_no_savings(saved):
    """Its tokens are told, and that nothing else is known."""
    event = unpriced(HOT)
    event = msgspec.structs.replace(
        event, quantities={**event.quantities, "cache_read_tokens": 4000}, tokens_in=event.tokens_in + 4000
    )

    total = saved([event]).total

    assert (total.read_tokens, total.unknown_tokens, total.saved) == (4000, 4000, 0)


def test_calls_without_a_cache_are_not_told(saved):
    """No row for a model that has none."""
    assert saved([cached(), cached(feature="chat")]).rows == ()


def test_one_service(saved):
    """What another one's cache did is in no sum."""
    savings = saved([cached(read=1_000_000), cached(read=1_000_000, service="openai")], services=["openai"])

    assert savings.total.saved == Decimal("2.7")


@pytest.mark.parametrize("by", [["session"], ["day"], ["modl"]])
def test_what_savings_are_not_told_by_is_refused(shared_ledger, by):
    """A session that writes what the next one reads is not wasteful."""
    with pytest.raises(InvalidQuestion, match="allowed are service, provider, model, operation, tenant, feature"):
        shared_ledger.savings(NOVEMBER, by=by)


tokens = st.integers(0, 10**6)
events = st.lists(
    st.tuples(
        st.sampled_from([COLD, HOT]), st.integers(1, 1000), tokens, tokens, tokens,
        st.sampled_from([1, 1, 2]), st.booleans(), st.sampled_from(["", "chat", "search"]),
    ),
    max_size=12,
)  # fmt: skip
_days = count()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events, st.sampled_from([["feature"], ["model", "feature"], ["operation"], []]), st.booleans())
def test_savings_are_what_the_bills_say(shared_ledger, made, by, has_hours):
    """Whatever was cached, for whatever, in rows or in slices: as a loop over the lines adds up."""
    tenant = f"p-{next(_tenants)}"
    calls = [
        cached(
            at,
            fresh=fresh,
            read=read,
            write=write,
            hour=hour * has_hours,
            factor=factor,
            fee=fee,
            feature=feature,
            tenant=tenant,
        )
        for at, fresh, read, write, hour, factor, fee, feature in made
    ]
    shared_ledger.write(batch(calls), uuid4())
    shared_ledger.compact(COLD.date() + timedelta(days=1))

    savings = shared_ledger.savings(NOVEMBER, by=by, tenant=tenant)

    assert savings.total.unknown_tokens == 0
    assert (savings.total.saved, savings.total.extra) == _truth(calls)
    for row in savings.rows:
        feature = row.keys.get(Dimension.FEATURE)
        mine = [event for event in calls if feature in (None, event.feature)]
        assert (row.saved, row.extra) == _truth(mine)


def _truth(calls):
    saved = extra = 0
    for event in calls:
        rates = {line.unit: line.rate_atto for line in event.lines}
        for line in event.lines:
            if line.unit == "cache_read_tokens":
                saved += line.quantity * (rates["input_tokens"] - line.rate_atto)
            elif line.unit.startswith("cache_write"):
                extra += line.quantity * (line.rate_atto - rates["input_tokens"])
    return tuple(Decimal(half_even(atto, 10**6)).scaleb(-12).normalize() for atto in (saved, extra))
