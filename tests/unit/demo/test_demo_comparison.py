"""Bill and ledger, held against each other."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from costspan.demo.comparison import Comparison, Tally

KEY = ("2026-10-01", "anthropic", "claude-3-5-haiku-latest")
OTHER = ("2026-10-02", "openai", "text-embedding-3-large")
TALLY = Tally(2, 900, 360, Decimal("0.0027"))
SAME = Comparison(bill={KEY: TALLY}, ledger={KEY: TALLY}, rows=2, refused=3, failed=3, unsettled=0)


def test_two_equal_accounts_are_exact():
    """No difference in any figure."""
    assert SAME.is_exact
    assert SAME.difference_usd == 0
    assert SAME.differences == []


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"ledger": {KEY: replace(TALLY, usd=Decimal("0.002700000001"))}}, id="a pico-dollar"),
        pytest.param({"ledger": {KEY: replace(TALLY, tokens_in=901)}}, id="a token"),
        pytest.param({"ledger": {}, "rows": 0}, id="rows that are missing"),
        pytest.param({"ledger": {KEY: TALLY, OTHER: Tally(1)}, "rows": 3}, id="a row too many"),
        pytest.param({"ledger": {OTHER: TALLY}}, id="another day"),
        pytest.param({"rows": 3}, id="a row of another month"),
        pytest.param({"failed": 2}, id="a refusal that was not booked"),
        pytest.param({"unsettled": 1}, id="an attempt that never ended"),
    ],
)
def test_any_difference_is_found(change):
    """Equal sums are not enough: every figure of both accounts counts."""
    assert not replace(SAME, **change).is_exact


def test_differences_say_where_and_what():
    """The day, service and model, with both accounts."""
    dearer = replace(TALLY, usd=Decimal("0.003"))

    made = replace(SAME, ledger={KEY: dearer})

    assert made.differences == [(KEY, TALLY, dearer)]
    assert made.difference_usd == Decimal("0.0003")
