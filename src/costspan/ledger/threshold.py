"""A tenant's day or month against a threshold: true as often as one asks, told once an hour."""

from __future__ import annotations

import logging
from decimal import Decimal

from costspan.errors import InvalidQuestion
from costspan.ledger.budget import Budgets, Window
from costspan.ledger.database import Database
from costspan.ledger.queries import queries
from costspan.ledger.reader import Reader
from costspan.ledger.tenant import tenant_named

__all__ = ["Thresholds"]

logger = logging.getLogger("costspan")
_PLACES = range(2, 13)
_TOLD = {Window.DAY: "Daily", Window.MONTH: "Monthly"}


class Thresholds:
    """Compares and alerts."""

    def __init__(self, database: Database, reader: Reader, budgets: Budgets) -> None:
        self._database = database
        self._reader = reader
        self._budgets = budgets
        self._sql = queries("budget")

    def check_daily(self, tenant: str, threshold: Decimal) -> bool:
        """Whether ``tenant`` has spent more than ``threshold`` dollars today, as the reader's zone has it.

        When it has, one warning is logged, at most once an hour per tenant and threshold, whichever process asks.

        Raises:
            InvalidQuestion: a threshold that is no amount.
            LedgerError: as `costspan.ledger.database.Database.transaction`.
        """
        if not isinstance(threshold, Decimal) or not threshold.is_finite() or threshold < 0:
            raise InvalidQuestion(f"threshold is {threshold!r}: allowed is a Decimal of dollars, 0 or more")
        return self._is_over(tenant, Window.DAY, threshold)

    def check_budgets(self, tenant: str, daily: Decimal) -> bool:
        """Whether ``tenant`` has spent more than its budget of today or of this month; told as `check_daily` does.

        Args:
            tenant: whose budgets, see `Budgets.current`.
            daily: dollars a day where nothing is set.

        Raises:
            LedgerError: as `costspan.ledger.database.Database.transaction`.
        """
        passed = [
            budget.window
            for budget in self._budgets.current(tenant, daily)
            if self._is_over(tenant, budget.window, budget.amount)
        ]
        return bool(passed)

    def _is_over(self, tenant: str, window: Window, threshold: Decimal) -> bool:
        spent = self._reader.service_breakdown(tenant, window.value).total.cost
        if spent <= threshold:
            return False
        if self._may_alert(tenant_named(tenant), window, threshold):
            amounts = _told(spent, threshold)
            logger.warning("%s cost threshold exceeded: $%s > $%s", _TOLD[window], *amounts, extra={"tenant": tenant})
        return True

    def _may_alert(self, tenant: str, window: Window, threshold: Decimal) -> bool:
        with self._database.transaction() as cursor:
            cursor.execute(self._sql["become_writer"])
            values = {"tenant": tenant, "window": window.value, "threshold": threshold}
            return cursor.execute(self._sql["alert_once_an_hour"], values).fetchone() is not None


def _told(spent: Decimal, threshold: Decimal) -> tuple[str, str]:
    """Both amounts to the cent, or as finely as it takes to tell them apart."""
    texts = [(f"{spent:.{places}f}", f"{threshold:.{places}f}") for places in _PLACES]
    return next((pair for pair in texts if pair[0] != pair[1]), texts[-1])
