"""A bill for FinOps tools keeps the rules of FOCUS 1.2, and its sums are the ledger's."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costspan.attribution import NO_TENANT
from costspan.cli.focus import COLUMNS, as_csv, charges_of
from costspan.cli.question import ask, ask_range
from costspan.ledger import Dimension, SummaryRow
from costspan.ledger.period import Period
from costspan.usage import Status
from focus_rules import broken, read

UTC_ZONE = ZoneInfo("UTC")
NOVEMBER = ask("month", date(2026, 11, 18), UTC_ZONE, by=("day",))
names = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1).filter(str.strip)


def row(status: str = "priced", cost: str = "0.00135", **changes) -> SummaryRow:
    """Sums of a day's calls of one model."""
    keys = {
        "day": date(2026, 11, 3),
        "month": date(2026, 11, 1),
        "service": "anthropic",
        "provider": "anthropic",
        "model": "claude-3-5-haiku-latest",
        "operation": "chat",
        "tenant": "acme",
        "status": status,
    }
    keys.update((name, changes.pop(name)) for name in tuple(changes) if name in tuple(Dimension))
    counts = {"calls": 2, status: 2, "tokens_in": 900, "tokens_out": 360, "cost": Decimal(cost), **changes}
    return SummaryRow({Dimension(name): value for name, value in keys.items() if value is not None}, **counts)


def written(*rows: SummaryRow, question=NOVEMBER, account: str | None = None) -> bytes:
    """The rows as a document."""
    return as_csv(charges_of(question, rows), account=account)


def test_a_day_of_a_model_is_a_charge():
    """Costs, tokens and both periods, each in its column."""
    document = written(row(cost="0.0027", cache_read=100, reasoning=60))

    (found,) = read(document)

    assert broken(document) == []
    assert tuple(found) == COLUMNS
    assert {found[name] for name in ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")} == {"0.0027"}
    assert (found["ConsumedQuantity"], found["ConsumedUnit"]) == ("1260.0", "Tokens")
    assert (found["PricingQuantity"], found["PricingUnit"]) == ("0.00126", "1000000 Tokens")
    assert (found["ChargePeriodStart"], found["ChargePeriodEnd"]) == ("2026-11-03T00:00:00Z", "2026-11-04T00:00:00Z")
    assert (found["BillingPeriodStart"], found["BillingPeriodEnd"]) == ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z")
    assert (found["ProviderName"], found["PublisherName"], found["ServiceName"]) == (
        "Anthropic",
        "Anthropic",
        "Claude API",
    )
    assert (found["SubAccountId"], found["SubAccountName"], found["Tags"]) == ("acme", "acme", "")
    assert (found["x_CallCount"], found["x_TokensIn"], found["x_CacheReadTokens"]) == ("2", "900", "100")
    assert found["x_CostStatus"] == "priced"


@pytest.mark.parametrize(
    ("provider", "service", "seller", "publisher", "product"),
    [
        ("openai", "openai", "OpenAI", "OpenAI", "OpenAI API"),
        ("eu.api.openai.com", "openai", "OpenAI", "OpenAI", "OpenAI API"),
        ("aws.bedrock", "anthropic", "AWS", "Anthropic", "Amazon Bedrock"),
        ("azure.ai.openai", "openai", "Microsoft", "Microsoft", "Azure OpenAI"),
        ("groq", "openai", "groq", "groq", "groq"),
    ],
)
def test_who_sells_is_not_always_who_made_it(provider, service, seller, publisher, product):
    """A cloud that sells Claude is the provider, and Anthropic the publisher; who is not known stands for itself."""
    (found,) = read(written(row(provider=provider, service=service)))

    assert (found["ProviderName"], found["InvoiceIssuerName"]) == (seller, seller)
    assert (found["PublisherName"], found["ServiceName"]) == (publisher, product)


def test_what_costs_nobody_knows_is_in_no_row():
    """FOCUS has no null for a cost, and 0 is another one: these calls are counted beside it."""
    found = charges_of(NOVEMBER, (row(), row("unpriced", model="llama-9"), row("invalid", model="x"), row("partial")))

    assert (found.without_cost, found.models) == (4, ("llama-9", "x"))
    assert {line["x_CostStatus"] for line in read(as_csv(found))} == {"priced", "partial"}


def test_no_tenant_is_no_sub_account():
    """Null, and not the id that stands for nobody."""
    document = written(row(tenant=NO_TENANT))

    assert read(document)[0]["SubAccountId"] == ""
    assert broken(document) == []


def test_tags_have_what_was_asked_for():
    """Feature, session and user as JSON, where a call names one."""
    question = ask("month", date(2026, 11, 18), UTC_ZONE, by=("day", "feature", "session"))

    untagged, tagged = read(
        written(row(feature='a "b"', session=""), row(feature="", session="", cost="1"), question=question)
    )

    assert json.loads(tagged["Tags"]) == {"feature": 'a "b"'}
    assert untagged["Tags"] == ""


def test_an_account_is_named_by_who_knows_it():
    """Else the provider stands for the account at it."""
    assert read(written(row(), account="org-42"))[0]["BillingAccountId"] == "org-42"
    assert read(written(row()))[0]["BillingAccountId"] == "Anthropic"


def test_a_charge_ends_where_the_question_does():
    """A day, a week and a month of UTC are cut by a period of another zone; an hour is an hour."""
    kolkata = Period.of_days(date(2026, 11, 3), date(2026, 11, 3), ZoneInfo("Asia/Kolkata"))
    by = {
        "day": row(day=date(2026, 11, 2)),
        "week": row(day=None, week=date(2026, 11, 2)),
        "month": row(day=None),
        "hour": row(day=None, hour=datetime(2026, 11, 2, 18, tzinfo=UTC)),
    }

    for unit, sums in by.items():
        (found,) = read(written(sums, question=ask_range(kolkata, by=(unit,))))
        ends = {"day": "2026-11-03T00:00:00Z", "hour": "2026-11-02T19:00:00Z"}.get(unit, "2026-11-03T18:30:00Z")
        assert (found["ChargePeriodStart"], found["ChargePeriodEnd"]) == ("2026-11-02T18:30:00Z", ends), unit


@given(
    st.lists(
        st.tuples(
            names,
            names,
            names,
            st.sampled_from(list(Status)),
            st.integers(0, 10**15),
            st.integers(0, 10**12),
            st.integers(1, 30),
        )
    )
)
@settings(max_examples=40)  # each writes and reads a document
def test_whatever_calls_are_called_the_rules_hold_and_no_digit_is_lost(drawn):
    """Names of any alphabet, costs of a pico-dollar: the rows add up to what is known."""
    rows = [
        row(
            status.value,
            f"{pico}e-12" if status not in (Status.UNPRICED, Status.INVALID) else "0",
            day=date(2026, 11, day),
            model=model,
            tenant=tenant,
            provider=provider,
            tokens_in=tokens,
        )
        for model, tenant, provider, status, pico, tokens, day in drawn
    ]

    document = written(*rows)

    assert broken(document) == []
    assert sum(Decimal(line["BilledCost"]) for line in read(document)) == sum(found.cost for found in rows)
