"""Which tenants are to be compared with their budgets: those that just spent, but none more often than it helps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Protocol

__all__ = ["BudgetWatch"]

#: A question a tenant each ten seconds is far within the minute in which an alert is promised.
_EVERY_S = 10.0
_REMEMBERED = 10_000


class _Asks(Protocol):
    def check_budgets(self, tenant: str, daily: Decimal) -> bool: ...


class BudgetWatch:
    """Remembers who spent, and asks in time.

    Args:
        daily: dollars a day for whom no budget is set.
        clock: seconds.
    """

    def __init__(self, daily: Decimal, clock: Callable[[], float] = time.monotonic) -> None:
        self._daily = daily
        self._clock = clock
        self._due: set[str] = set()
        self._asked: dict[str, float] = {}

    def spent(self, tenants: Iterable[str]) -> None:
        """Note who has new calls in the ledger."""
        self._due.update(tenants)

    def ask(self, ledger: _Asks, *, at_once: bool = False) -> None:
        """Compare those that are due; with ``at_once`` also those that were asked for a moment ago."""
        now = self._clock()
        if len(self._asked) > _REMEMBERED:
            self._asked.clear()
        for tenant in sorted(self._due):
            if at_once or now - self._asked.get(tenant, -_EVERY_S) >= _EVERY_S:
                ledger.check_budgets(tenant, self._daily)
                self._asked[tenant] = now
                self._due.discard(tenant)
