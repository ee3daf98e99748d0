"""Comparisons, forecasts, savings and far sessions of what was priced again, and of what was dropped."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from costspan.errors import InvalidQuestion
from costspan.ledger.comparison import Effects
from costspan.ledger.period import Period
from integration.ledger.calls import batch, call
from integration.ledger.corrected import correct
from integration.ledger.test_ledger_savings import RATES, cached

UTC_ZONE = ZoneInfo("UTC")
OCTOBER = Period.of_days(date(2026, 10, 1), date(2026, 10, 31), UTC_ZONE)
NOVEMBER = Period.of_days(date(2026, 11, 1), date(2026, 11, 30), UTC_ZONE)
OLD, EARLY, LATE = (datetime(2026, *day, 9, tzinfo=UTC) for day in ((10, 7), (11, 3), (11, 20)))
_TWICE = {unit: 2 * rate for unit, rate in RATES.items()}


def ids(rows) -> list[int]:
    """The calls, as they were made."""
    return [row[0] for row in rows("select id from ai_usage_metrics order by timestamp, id")]


@pytest.fixture(params=["rows", "slices"])
def kept(request, ledger):
    """Writes calls, and leaves them in rows or moves them into slices."""

    def keep(*events):
        ledger.write(batch(events), uuid4())
        if request.param == "slices":
            ledger.compact(LATE.date() + timedelta(days=1))

    return keep


def test_a_call_that_was_priced_again_saves_what_it_saves_now(ledger, kept, rows):
    """Once at the rates of its new kind, and once at lines of its own."""
    plain, read = cached(EARLY), cached(LATE, read=10**6, feature="chat")
    kept(plain, read)
    _, second = ids(rows)
    correct(rows, second, 2 * read.cost_pico, rates=_TWICE)
    at_rates = ledger.savings(NOVEMBER, tenant="acme").total

    lines = [
        {**_line(line), "rate_atto": 3 * line.rate_atto, "amount_pico": 3 * line.amount_pico} for line in read.lines
    ]
    correct(rows, second, 3 * read.cost_pico, rates=_TWICE, lines=lines)
    at_lines = ledger.savings(NOVEMBER, tenant="acme").total

    assert (at_rates.saved, at_rates.unknown_tokens) == (Decimal("5.4"), 0)
    assert (at_lines.saved, at_lines.unknown_tokens) == (Decimal("8.1"), 0)


def test_a_call_that_was_priced_again_changed_by_its_price(ledger, kept, rows):
    """The one of November at twice the rates of October's."""
    before, after = call(OLD), call(LATE)
    kept(before, after)
    rates = {"input_tokens": 2 * 10**12, "output_tokens": 10**13}

    correct(rows, ids(rows)[1], 2 * after.cost_pico, rates=rates)

    assert ledger.comparison(OCTOBER, NOVEMBER, tenant="acme").total.effects == Effects(price=Decimal("0.00135"))


def test_what_was_dropped_is_told_as_far_as_its_sums_do(ledger):
    """Models, days and rates stay; features and sessions are refused with the day from which on they can be asked for."""
    ledger.write(batch([call(OLD), cached(EARLY, read=1000), cached(LATE, read=2000)]), uuid4())
    ledger.compact(LATE.date())
    now = LATE + timedelta(hours=3)

    def told():
        return (
            ledger.comparison(OCTOBER, NOVEMBER, by=["model"], tenant="acme"),
            ledger.savings(NOVEMBER, by=["model"], tenant="acme"),
            ledger.forecast("acme", now),
        )

    before = told()

    ledger.retain(date(2026, 11, 15))

    assert told() == before
    for refused in (
        lambda: ledger.comparison(OCTOBER, NOVEMBER, by=["feature"], tenant="acme"),
        lambda: ledger.savings(NOVEMBER, tenant="acme"),
        lambda: ledger.outliers(NOVEMBER, tenant="acme"),
    ):
        with pytest.raises(InvalidQuestion, match="from 2026-11-04 on"):
            refused()


def _line(line) -> dict[str, object]:
    return {"model": line.model, "unit": line.unit, "quantity": line.quantity, "layer": line.layer}
