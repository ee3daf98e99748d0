"""What each tenant may spend in the current day and month, and how much of it is spent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from costspan.ledger.budget import Window
from costspan.ledger.period import named_period
from costspan.ledger.summary import SummaryRow

if TYPE_CHECKING:
    from costspan.ledger.ledger import Ledger

__all__ = ["EVERYBODYS", "OWN", "SETTINGS", "Allowance", "allowances", "everybodys"]

OWN, EVERYBODYS, SETTINGS = "own", "everybody's", "settings"


@dataclass(frozen=True, slots=True)
class Allowance:
    """A budget that counts for somebody, and what is spent of it."""

    tenant: str
    window: Window
    amount: Decimal
    """Dollars."""
    source: str
    """Whose it is: the tenant's own, everybody's, or the settings'."""
    spent: Decimal
    """Dollars since the day or month began, as far as known."""
    not_priced: int
    """Calls whose cost is not certain, or not known at all."""

    @property
    def part(self) -> Fraction | None:
        """The part of the budget that is spent; None of a budget of nothing."""
        return Fraction(self.spent) / Fraction(self.amount) if self.amount else None

    @property
    def is_over(self) -> bool:
        """Whether more than the budget is spent."""
        return self.spent > self.amount


def allowances(
    ledger: Ledger, *, daily: Decimal, zone: ZoneInfo, now: datetime, tenant: str | None = None
) -> list[Allowance]:
    """Return what counts for ``tenant``, or for each that has a budget of its own or spent this month; the fullest first.

    Of one tenant the ledger is asked as that tenant.

    Raises:
        LedgerError: when the ledger cannot be read.
    """
    today = now.astimezone(zone).date()
    spent: dict[Window, Mapping[str, SummaryRow]] = {}
    for window in Window:
        period = named_period(window.value, today, zone)
        rows = ledger.summary(period.start, period.end, by=("tenant",), tenant=tenant).rows
        spent[window] = {str(*row.keys.values()): row for row in rows}
    own = {(change.tenant, change.window) for change in ledger.budgets(tenant)}
    named = {name for name, _ in own if name is not None} | set().union(*spent.values())
    budgets = ledger.effective_budgets(sorted(named), daily) if tenant is None else ledger.tenant_budgets(tenant, daily)
    found = [
        _allowance(name, window, amount, own, spent[window].get(name, SummaryRow())) for name, window, amount in budgets
    ]
    return sorted(found, key=_rank)


def everybodys(ledger: Ledger, daily: Decimal, tenant: str | None = None) -> Mapping[Window, tuple[Decimal, str]]:
    """Return what counts for who has no budget of their own, and whether it was set or is the settings'.

    Raises:
        LedgerError: when the ledger cannot be read; it is asked as ``tenant`` where that is given.
    """
    found = {Window.DAY: (daily, SETTINGS)}
    for change in ledger.budgets(tenant):
        if change.tenant is None and change.amount is not None:
            found[change.window] = change.amount, EVERYBODYS
    return found


def _allowance(
    tenant: str, window: Window, amount: Decimal, own: set[tuple[str | None, Window]], sums: SummaryRow
) -> Allowance:
    source = OWN if (tenant, window) in own else EVERYBODYS if (None, window) in own else SETTINGS
    return Allowance(tenant, window, amount, source, sums.cost, sums.not_priced)


def _rank(allowance: Allowance) -> tuple[bool, Fraction, str, Window]:
    part = allowance.part
    return not (part is None and allowance.is_over), -(part or Fraction(0)), allowance.tenant, allowance.window
