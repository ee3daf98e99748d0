"""What each tenant may spend in the current day and month, and how much of it is spent: for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from costspan.attribution import NO_TENANT
from costspan.cli.amount import align, dollars, share
from costspan.cli.document import number
from costspan.ledger import Ledger, SummaryRow
from costspan.ledger.budget import Window
from costspan.ledger.period import named_period

__all__ = ["SETTINGS", "Allowance", "allowances", "as_document", "everybodys", "print_allowances", "used"]

OWN, EVERYBODYS, SETTINGS = "own", "everybody's", "settings"
_PICO = 10**12
_BAR = 20
#: From here on it is worth a look.
_NEAR = Fraction(8, 10)


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

    Raises:
        LedgerError: when the ledger cannot be read.
    """
    today = now.astimezone(zone).date()
    spent: dict[Window, Mapping[str, SummaryRow]] = {}
    for window in Window:
        period = named_period(window.value, today, zone)
        rows = ledger.summary(period.start, period.end, by=("tenant",), tenant=tenant).rows
        spent[window] = {str(*row.keys.values()): row for row in rows}
    own = {(change.tenant, change.window) for change in ledger.budgets()}
    named = {name for name, _ in own if name is not None} | set().union(*spent.values())
    asked = sorted(named) if tenant is None else [tenant]
    found = [
        _allowance(name, window, amount, own, spent[window].get(name, SummaryRow()))
        for name, window, amount in ledger.effective_budgets(asked, daily)
    ]
    return sorted(found, key=_rank)


def everybodys(ledger: Ledger, daily: Decimal) -> Mapping[Window, tuple[Decimal, str]]:
    """Return what counts for who has no budget of their own, and whether it was set or is the settings'."""
    found = {Window.DAY: (daily, SETTINGS)}
    for change in ledger.budgets():
        if change.tenant is None and change.amount is not None:
            found[change.window] = change.amount, EVERYBODYS
    return found


def used(allowance: Allowance) -> str:
    """Say what part of a budget is spent: ``12.8 %``."""
    if allowance.part is None:
        return "over" if allowance.is_over else ""
    return share(int(allowance.spent * _PICO), int(allowance.amount * _PICO))


def as_document(allowance: Allowance) -> Mapping[str, object]:
    """Return one entry of the JSON list."""
    return {
        "tenant": allowance.tenant,
        "window": allowance.window.value,
        "budget_usd": number(allowance.amount),
        "source": allowance.source,
        "spent_usd": number(allowance.spent),
        "share": number(allowance.part),
        "is_over": allowance.is_over,
        "not_priced": allowance.not_priced,
    }


def print_allowances(found: Sequence[Allowance], console: Console) -> None:
    """Print a line for each; on a terminal with a bar."""
    has_bar = console.is_terminal and not console.options.ascii_only
    has_unknown = any(item.not_priced for item in found)
    table = Table(box=SIMPLE, pad_edge=False)
    for head in ("tenant", "window"):
        table.add_column(head, overflow="fold")
    for head in ("budget", "spent", "used"):
        table.add_column(head, justify="right", overflow="fold")
    table.add_column("", no_wrap=True)
    table.add_column("whose", overflow="fold")
    if has_unknown:
        table.add_column("not priced", justify="right")
    budgets, spent = _column(item.amount for item in found), _column(item.spent for item in found)
    for item, budget, cost in zip(found, budgets, spent, strict=True):
        unknown = [str(item.not_priced or "")] if has_unknown else []
        cells = (
            _shown(item.tenant),
            item.window.value,
            budget,
            cost,
            used(item),
            _bar(item) if has_bar else "",
            item.source,
        )
        table.add_row(*(Text(cell) for cell in (*cells, *unknown)), style=_style(item))
    console.print(table)


def _allowance(
    tenant: str, window: Window, amount: Decimal, own: set[tuple[str | None, Window]], sums: SummaryRow
) -> Allowance:
    source = OWN if (tenant, window) in own else EVERYBODYS if (None, window) in own else SETTINGS
    return Allowance(tenant, window, amount, source, sums.cost, sums.not_priced)


def _rank(allowance: Allowance) -> tuple[bool, Fraction, str, Window]:
    part = allowance.part
    return not (part is None and allowance.is_over), -(part or Fraction(0)), allowance.tenant, allowance.window


def _column(amounts: Iterable[Decimal]) -> list[str]:
    return align([dollars(amount) for amount in amounts])


def _shown(tenant: str) -> str:
    return "(none)" if tenant == NO_TENANT else tenant


def _bar(allowance: Allowance) -> str:
    part = allowance.part
    filled = (_BAR if allowance.is_over else 0) if part is None else min(_BAR, int(part * _BAR))
    return "█" * filled + "░" * (_BAR - filled)


def _style(allowance: Allowance) -> str:
    part = allowance.part or Fraction(0)
    return "red" if allowance.is_over else "yellow" if part >= _NEAR else ""
