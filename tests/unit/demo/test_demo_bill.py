"""The providers' own book."""

from __future__ import annotations

from decimal import Decimal

import pytest

from costspan.demo.bill import Bill, Charge


def charge(model, **tokens):
    """A charge for these tokens."""
    return Charge(0, "anthropic", "chat", model, "req_1", tokens)


@pytest.mark.parametrize(
    ("made", "dollars"),
    [
        (charge("claude-3-5-haiku-latest", input=450, output=180), "0.00135"),
        (charge("claude-3-5-haiku-latest", cache_write_5m=2138, input=460, output=1), "0.0031375"),
        (charge("claude-3-5-haiku-latest", cache_read=2138, cache_write_1h=1), "0.0002158"),
        (charge("text-embedding-3-large", input=1000), "0.00013"),
        (charge("text-embedding-3-large", input=10), "0.0000013"),
    ],
)
def test_a_charge_is_exact(made, dollars):
    """A charge is the sum of its tokens at the tariff, to the last digit."""
    assert made.usd == Decimal(dollars)


def test_a_charge_knows_what_was_read_and_written():
    """Tokens read include caches; tokens written are the output."""
    made = charge("claude-3-5-haiku-latest", input=1, cache_read=20, cache_write_5m=300, cache_write_1h=4000, output=5)

    assert (made.tokens_in, made.tokens_out) == (4321, 5)


def test_a_bill_adds_up_and_counts_what_was_refused():
    """Charges carry the moment of the simulation; refusals cost nothing."""
    bill = Bill(lambda: 7)
    bill.charge(
        service="openai", operation="embeddings", model="text-embedding-3-large", request_id="a", tokens={"input": 10}
    )
    bill.charge(
        service="openai", operation="embeddings", model="text-embedding-3-large", request_id="b", tokens={"input": 20}
    )
    bill.refuse(429)
    bill.refuse(429)

    assert bill.total_usd == Decimal("0.0000039")
    assert [made.at_ns for made in bill.charges] == [7, 7]
    assert bill.refused == {429: 2}
