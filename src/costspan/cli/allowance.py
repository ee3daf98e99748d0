"""What each tenant may spend in the current day and month, and how much of it is spent: for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

from rich.box import SIMPLE
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from costspan.attribution import NO_TENANT
from costspan.cli.amount import align, dollars, share
from costspan.ledger.allowance import Allowance
from costspan.pricing.money import json_number

__all__ = ["as_document", "print_allowances", "used"]

_PICO = 10**12
_BAR = 20
_ENDLESS = 10_000
#: From here on it is worth a look.
_NEAR = Fraction(8, 10)


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
        "budget_usd": json_number(allowance.amount),
        "source": allowance.source,
        "spent_usd": json_number(allowance.spent),
        "share": json_number(allowance.part),
        "is_over": allowance.is_over,
        "not_priced": allowance.not_priced,
    }


def print_allowances(found: Sequence[Allowance], console: Console) -> None:
    """Print a line for each; on a terminal that has room for it with a bar. Amounts are never broken."""
    table = _table(found, has_bar=console.is_terminal and not console.options.ascii_only)
    if Measurement.get(console, console.options.update(max_width=_ENDLESS), table).maximum > console.width:
        table = _table(found, has_bar=False)
    console.print(table)


def _table(found: Sequence[Allowance], *, has_bar: bool) -> Table:
    has_unknown = any(item.not_priced for item in found)
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("tenant", overflow="fold")
    table.add_column("window", no_wrap=True)
    for head in ("budget", "spent", "used"):
        table.add_column(head, justify="right", no_wrap=True)
    if has_bar:
        table.add_column("", no_wrap=True)
    table.add_column("whose", no_wrap=True)
    if has_unknown:
        table.add_column("not priced", justify="right")
    budgets, spent = _column(item.amount for item in found), _column(item.spent for item in found)
    for item, budget, cost in zip(found, budgets, spent, strict=True):
        bar = [_bar(item)] if has_bar else []
        unknown = [str(item.not_priced or "")] if has_unknown else []
        cells = (_shown(item.tenant), item.window.value, budget, cost, used(item), *bar, item.source, *unknown)
        table.add_row(*map(Text, cells), style=_style(item))
    return table


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
