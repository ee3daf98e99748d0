"""A statement for people: aligned text, and where there is a terminal rules, separators and bars besides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import pairwise

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from costspan.attribution import NO_TENANT
from costspan.cli.amount import align, dollars
from costspan.cli.question import RANGE, Question
from costspan.cli.statement import Statement, known_cost
from costspan.cli.trend import Trends, bars
from costspan.ledger import SummaryRow
from costspan.ledger.summary import Dimension

__all__ = ["Column", "print_columns", "print_days", "print_table", "say", "title", "whose", "width"]

_HEADS = ("calls", "tokens in", "tokens out", "cached", "cost", "not priced")
#: Fewer cells than this are no room for a trend.
_LEAST_ROOM = 7


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it is shown: its head, the cells of the entries, and the total's last."""

    cells: tuple[str, ...]
    is_text: bool

    def padded(self) -> list[str]:
        """Every cell at the width of the widest, whatever alphabet it is in."""
        widths = [cell_len(cell) for cell in self.cells]
        widest = max(widths)
        blanks = [" " * (widest - width) for width in widths]
        pairs = zip(self.cells, blanks, strict=True)
        return [cell + blank if self.is_text else blank + cell for cell, blank in pairs]


def say(console: Console, line: str, style: str = "") -> None:
    """Print ``line`` as it is: nothing in it is markup, and only a terminal's edge breaks it."""
    console.print(Text(line, style=style), soft_wrap=True)


def title(question: Question) -> str:
    """Name the exact range, its zone and for whom: ``November 2026: 2026-11-01 00:00 until … (UTC), all tenants``."""
    first = question.first
    name = {
        "day": f"{first:%A}: ",
        "week": f"Week {first.isocalendar().week} of {first.isocalendar().year}: ",
        "month": f"{first:%B %Y}: ",
        RANGE: "",
    }[question.name]
    start, end = (moment.astimezone(question.zone) for moment in (question.period.start, question.period.end))
    return f"{name}{start:%Y-%m-%d %H:%M} until {end:%Y-%m-%d %H:%M} ({question.zone.key}), {whose(question)}"


def whose(question: Question) -> str:
    """Name whose calls are asked for: ``tenant acme, service openai``."""
    whom = "all tenants" if question.tenant is None else f"tenant {question.tenant}"
    return f"{whom}, service {question.service}" if question.service else whom


def print_table(statement: Statement, console: Console, trends: Trends | None = None) -> None:
    """Print the entries and their total; on a terminal with thousands separated, each day named once, and trends.

    Nothing is ever cut to fit, an amount without its last digits is another amount: a narrow terminal breaks the lines.
    """
    columns = list(_columns(statement, is_styled=console.is_terminal))
    room = console.width - width(columns) - 2
    if trends is not None and console.is_terminal and not console.options.ascii_only and room >= _LEAST_ROOM:
        columns.append(_trend(statement, trends, room))
    print_columns(columns, console)


def print_columns(columns: Sequence[Column], console: Console) -> None:
    """Print columns: their heads, the entries, and last the total; on a terminal with rules between."""
    gap = "  " if not console.is_terminal or width(columns) <= console.width else " "
    head, *entries, total = (
        gap.join(cells).rstrip() for cells in zip(*(column.padded() for column in columns), strict=True)
    )
    if not console.is_terminal:
        say(console, "\n".join((head, *entries, total)))
        return
    rule = ("-" if console.options.ascii_only else "─") * min(width(columns), console.width)
    say(console, head, "bold")
    say(console, "\n".join((rule, *entries, rule)))
    say(console, total, "bold")


def print_days(statement: Statement, console: Console) -> None:
    """Print a bar for each day of the period, where the statement is by day and there is a terminal to draw on."""
    question = statement.question
    if (
        not console.is_terminal
        or console.options.ascii_only
        or Dimension.DAY not in question.by
        or len(question.period.days()) == 1
    ):
        return
    costs = {day.isoformat(): Decimal() for _, day in question.period.days()}
    for entry in statement.entries:
        costs[entry.key[question.by.index(Dimension.DAY)]] += entry.sums.cost
    busiest = max(costs, key=lambda day: costs[day])
    if not costs[busiest]:
        return
    first, last = (f"{date.fromisoformat(day):%b %d}" for day in (min(costs), max(costs)))
    say(console, f"{first} {bars(list(costs.values()))} {last}, most on {busiest}: {dollars(costs[busiest])}", "cyan")


def width(columns: Sequence[Column]) -> int:
    """Return how many cells ``columns`` take beside each other."""
    return sum(max(map(cell_len, column.cells)) + 2 for column in columns) - 2


def _trend(statement: Statement, trends: Trends, room: int) -> Column:
    drawn = [trends.drawn(entry.key, room) for entry in statement.entries]
    return Column((f"by {trends.unit}"[:room], *drawn, ""), is_text=True)


def _columns(statement: Statement, *, is_styled: bool) -> Iterator[Column]:
    by = statement.question.by
    for index, name in enumerate(by):
        keys = [_shown(name, entry.key[index]) for entry in statement.entries]
        if is_styled and index == 0 and len(by) > 1:
            keys = ["" if key == before else key for before, key in pairwise(["", *keys])]
        yield Column((name, *keys, "" if index else "total"), is_text=True)
    everything = [*(entry.sums for entry in statement.entries), statement.total]
    rows = (_cells(sums, is_grouped=is_styled) for sums in everything)
    for head, cells in zip(_HEADS, zip(*rows, strict=True), strict=True):
        if head != "not priced" or statement.total.not_priced:
            yield Column((head, *align(cells)), is_text=False)


def _cells(sums: SummaryRow, *, is_grouped: bool) -> tuple[str, ...]:
    form = "{:,}" if is_grouped else "{}"
    counts = (sums.calls, sums.tokens_in, sums.tokens_out, sums.cache_read)
    cost = known_cost(sums)
    not_priced = form.format(sums.not_priced) if sums.not_priced else ""
    return (*map(form.format, counts), "unknown" if cost is None else dollars(cost), not_priced)


def _shown(dimension: Dimension, value: str) -> str:
    return "(none)" if not value or (dimension is Dimension.TENANT and value == NO_TENANT) else value
