"""A tenant that passes its day's threshold is told of once an hour, by one of all processes."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest

from costspan.errors import InvalidQuestion
from costspan.ledger import Ledger
from costspan.ledger.watch import BudgetWatch
from costspan.settings import Settings
from integration.ledger.calls import batch, call


def spend(ledger: Ledger, dollars: str, tenant: str = "acme") -> None:
    """One call of that price, now."""
    ledger.write(batch([call(datetime.now(UTC), cost_pico=int(Decimal(dollars) * 10**12), tenant=tenant)]), uuid4())


@pytest.fixture
def alerts(caplog):
    """The alerts logged so far."""
    caplog.set_level(logging.WARNING, "costspan")
    return lambda: [record.getMessage() for record in caplog.records]


def test_more_than_the_threshold_is_told_once(ledger, alerts):
    """Asked again it is still true, and not told again."""
    spend(ledger, "12.50")

    answers = [ledger.check_daily_threshold("acme") for _ in range(3)]

    assert answers == [True, True, True]
    assert alerts() == ["Daily cost threshold exceeded: $12.50 > $10.00"]


@pytest.mark.parametrize("dollars", ["0", "9.99", "10", "10.000000000000"])
def test_up_to_the_threshold_is_fine(ledger, alerts, dollars):
    """Exactly ten dollars is not more than ten dollars."""
    spend(ledger, dollars)

    assert ledger.check_daily_threshold("acme") is False
    assert alerts() == []


def test_a_pico_dollar_more_is_more(ledger, alerts):
    """And the line shows as many places as it takes to see it."""
    spend(ledger, "10.000000000001")

    assert ledger.check_daily_threshold("acme") is True
    assert alerts() == ["Daily cost threshold exceeded: $10.000000000001 > $10.000000000000"]


def test_each_tenant_and_each_threshold_has_its_own_hour(ledger, alerts):
    """One alert never hides another."""
    for tenant in ("acme", "rival"):
        spend(ledger, "12.50", tenant)
        for threshold in ("10", "10.00", "12", "13"):
            ledger.check_daily_threshold(tenant, Decimal(threshold))

    expected = ["$12.50 > $10.00", "$12.50 > $12.00"] * 2
    assert alerts() == [f"Daily cost threshold exceeded: {amounts}" for amounts in expected]


def test_after_an_hour_it_is_told_again(ledger, rows, alerts):
    """The database's clock decides when."""
    spend(ledger, "12.50")
    for minutes in (0, 59, 2):
        rows.connection.execute(
            "update costspan.threshold_alert set alerted_at = alerted_at - make_interval(mins => %s)", [minutes]
        )
        ledger.check_daily_threshold("acme")

    assert len(alerts()) == 2


def test_of_many_processes_one_tells(ledger_url, ledger, tmp_path, alerts):
    """Eight connections ask at once; one line is logged."""
    spend(ledger, "12.50")

    def ask() -> None:
        mine = Ledger.connect(Settings(database_url=ledger_url, state_dir=tmp_path))
        assert mine.check_daily_threshold("acme") is True
        mine.close()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(alerts()) == 1


def test_yesterday_does_not_count(ledger, alerts):
    """A day is the day of the configured zone."""
    ledger.write(batch([call(datetime(2026, 1, 1, tzinfo=UTC), cost_pico=50 * 10**12)]), uuid4())

    assert ledger.check_daily_threshold("acme") is False
    assert ledger.check_daily_threshold("nobody") is False


@pytest.mark.parametrize("threshold", [Decimal("NaN"), Decimal("Infinity"), Decimal(-1), 10.0, "10", None])
def test_a_threshold_must_be_an_amount(ledger, threshold):
    """Anything else is an error, not a comparison that is never true."""
    with pytest.raises(InvalidQuestion, match="threshold"):
        ledger.check_daily_threshold("acme", threshold)


class Asked:
    """Notes who was asked for."""

    def __init__(self) -> None:
        self.tenants: list[str] = []

    def check_budgets(self, tenant: str, daily: Decimal) -> bool:
        """Never more."""
        self.tenants.append(tenant)
        return False


def test_a_busy_tenant_is_asked_for_now_and_then_and_never_forgotten():
    """At once, then every ten seconds while it spends, and once more after its last call."""
    now, asked = [0.0], Asked()
    watch = BudgetWatch(Decimal(10), clock=lambda: now[0])

    for second in range(26):
        now[0] = float(second)
        if second <= 20:
            watch.spent({"acme"})
        watch.ask(asked)

    assert asked.tenants == ["acme"] * 3
    watch.ask(asked, at_once=True)
    assert asked.tenants == ["acme"] * 3


def test_a_flush_asks_for_all_that_is_due():
    """Who was asked for a moment ago is asked for again when it spent since."""
    asked = Asked()
    watch = BudgetWatch(Decimal(10), clock=lambda: 0.0)
    watch.spent({"acme"})
    watch.ask(asked)
    watch.spent({"acme", "rival"})

    watch.ask(asked, at_once=True)

    assert asked.tenants == ["acme", "acme", "rival"]
