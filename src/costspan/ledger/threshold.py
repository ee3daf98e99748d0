"""A tenant's day against a threshold: true as often as one asks, told once an hour."""

from __future__ import annotations

import logging
from decimal import Decimal

from costspan.attribution import NO_TENANT
from costspan.errors import InvalidQuestion
from costspan.ledger.database import Database
from costspan.ledger.queries import queries
from costspan.ledger.reader import Reader
from costspan.text import clean

__all__ = ["Thresholds"]

logger = logging.getLogger("costspan")
_PLACES = range(2, 13)


class Thresholds:
    """Compares and alerts."""

    def __init__(self, database: Database, reader: Reader) -> None:
        self._database = database
        self._reader = reader
        self._sql = queries("write")

    def check_daily(self, tenant: str, threshold: Decimal) -> bool:
        """Whether ``tenant`` has spent more than ``threshold`` dollars today, as the reader's zone has it.

        When it has, one warning is logged, at most once an hour per tenant and threshold, whichever process asks.

        Raises:
            InvalidQuestion: a threshold that is no amount.
            LedgerError: as `costspan.ledger.database.Database.transaction`.
        """
        if not isinstance(threshold, Decimal) or not threshold.is_finite() or threshold < 0:
            raise InvalidQuestion(f"threshold is {threshold!r}: allowed is a Decimal of dollars, 0 or more")
        spent = self._reader.daily_costs(tenant).total.cost
        if spent <= threshold:
            return False
        if self._may_alert(clean(tenant) or NO_TENANT, threshold):
            logger.warning(
                "Daily cost threshold exceeded: $%s > $%s", *_told(spent, threshold), extra={"tenant": tenant}
            )
        return True

    def _may_alert(self, tenant: str, threshold: Decimal) -> bool:
        with self._database.transaction() as cursor:
            cursor.execute(self._sql["become"])
            values = {"tenant": tenant, "threshold": threshold}
            return cursor.execute(self._sql["alert_once_an_hour"], values).fetchone() is not None


def _told(spent: Decimal, threshold: Decimal) -> tuple[str, str]:
    """Both amounts to the cent, or as finely as it takes to tell them apart."""
    texts = [(f"{spent:.{places}f}", f"{threshold:.{places}f}") for places in _PLACES]
    return next((pair for pair in texts if pair[0] != pair[1]), texts[-1])
