"""The bill of one call, for a program and for a person."""

from __future__ import annotations

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from costspan.event import Line
from costspan.pricing import Quote, money
from costspan.text import clean

__all__ = ["document", "show"]


def document(name: str, quote: Quote) -> dict[str, object]:
    """Return a quote for a program: amounts are texts, and null is unknown."""
    return {
        "name": name,
        "status": quote.status.value,
        "cost_usd": None if quote.cost_usd is None else money.plain(quote.cost_usd),
        "lines": [_line_document(line) for line in quote.lines],
        "price_version": quote.price_version,
    }


def _line_document(line: Line) -> dict[str, object]:
    return {
        "model": line.model,
        "unit": line.unit,
        "quantity": line.quantity,
        "rate_usd": None if line.rate_atto is None else _rate(line.rate_atto),
        "amount_usd": None if line.amount_pico is None else money.plain(money.usd(line.amount_pico)),
        "layer": line.layer,
    }


def _rate(rate_atto: int) -> str:
    return money.plain(money.usd(rate_atto).scaleb(-6))


def show(console: Console, name: str, quote: Quote) -> None:
    """Print a quote for a person: its total, its lines, and why it is not certain where it is not."""
    cost = "unknown" if quote.cost_usd is None else f"${money.plain(quote.cost_usd)}"
    if quote.is_cut and quote.known_pico:
        cost = f"about ${money.plain(quote.at_least_usd)} so far"
    console.print(Text(f"{clean(name)}: {cost} ({quote.status.value})", "bold"), soft_wrap=True)
    if quote.lines:
        table = Table(box=SIMPLE, pad_edge=False)
        for head in ("model", "unit", "quantity", "$ each", "$", "layer"):
            table.add_column(head, justify="right" if head in ("quantity", "$ each", "$") else "left", overflow="fold")
        for line in quote.lines:
            shown = _line_document(line)
            cells = (
                shown["model"],
                line.unit,
                f"{line.quantity:,}",
                shown["rate_usd"],
                shown["amount_usd"],
                line.layer,
            )
            table.add_row(*(Text("unknown" if cell is None else clean(cell)) for cell in cells))
        console.print(table)
    if quote.reason:
        console.print(Text(f"  {clean(quote.reason)}", "yellow"), soft_wrap=True)
