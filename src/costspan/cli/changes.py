"""`costspan report --compare`: what changed from one period to another, and what made it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from rich.console import Console

from costspan.attribution import NO_TENANT
from costspan.cli.amount import align, change, dollars
from costspan.cli.document import cell
from costspan.cli.question import RANGE, Question, day_of, range_of
from costspan.cli.screen import as_document
from costspan.cli.statement import known_cost
from costspan.cli.table import Column, print_columns, say, width
from costspan.errors import InvalidQuestion
from costspan.ledger import Ledger, SummaryRow
from costspan.ledger.comparison import COMPARABLE, Change, Comparison, with_previous
from costspan.ledger.period import Period, named_period
from costspan.ledger.summary import Dimension
from costspan.pricing.money import json_number, plain

__all__ = ["DEFAULT_BY", "against", "as_csv", "as_json", "look_up_changes", "print_changes"]

DEFAULT_BY = (Dimension.MODEL,)
_PREVIOUS = "previous"
_MINUTE = "%Y-%m-%d %H:%M"
#: What is said of each effect, in the order in which it is said.
_EFFECTS = {
    "volume": "more or fewer calls",
    "mix": "other models, operations or terms",
    "usage": "longer or shorter calls",
    "price": "other prices",
    "usage_or_price": "longer calls or other prices, which cannot be told apart",
}


def against(question: Question, text: str, now: datetime) -> tuple[Period, Period]:
    """Return what ``--compare`` names, and the question's period: only as much of the one before as the other has come.

    Raises:
        InvalidQuestion: for what is neither ``previous`` nor a day nor a range, and where it is asked by a time.
    """
    for name in question.by:
        if name not in COMPARABLE:
            raise InvalidQuestion(f"--by is {name.value!r}: allowed with --compare are {', '.join(COMPARABLE)}")
    period, zone = question.period, question.zone
    if text == _PREVIOUS:
        if question.name != RANGE:
            return with_previous(question.name, question.first, zone, now)
        return _before(period), period
    first, dots, last = text.partition("..")
    try:
        if dots:
            return range_of(first, last, zone, now), period
        if question.name != RANGE:
            return named_period(question.name, day_of(text, zone, now), zone), period
    except InvalidQuestion:
        pass  # which names another option
    day = "" if question.name == RANGE else f", a day of another {question.name} such as 2026-10-01"
    raise InvalidQuestion(
        f"--compare is {text[:80]!r}: allowed are {_PREVIOUS}{day}, and a range such as 2026-10-01..2026-10-14"
    )


def _before(period: Period) -> Period:
    """As long as ``period``, and ending where it begins; whole days of its zone where it has whole days."""
    start, end = (moment.astimezone(period.zone) for moment in (period.start, period.end))
    if start.time() == end.time() == datetime.min.time():
        first = start.date() - (end.date() - start.date())
        return Period.of_days(first, start.date() - timedelta(days=1), period.zone)
    return Period(period.start - (period.end - period.start), period.start, period.zone)


def look_up_changes(question: Question, ledger: Ledger, periods: tuple[Period, Period]) -> Comparison:
    """Ask ``ledger``.

    Raises:
        InvalidQuestion: for a dimension of time, and for calls that were dropped.
        LedgerError: when it cannot be read.
    """
    services = None if question.service is None else (question.service,)
    return ledger.comparison(*periods, by=question.by, tenant=question.tenant, services=services)


def print_changes(found: Comparison, console: Console, *, whom: str, now: datetime) -> None:
    """Print both ranges, a table, and what made the difference."""
    say(console, f"{_told(found.second)}, {whom}", "bold")
    say(console, f"compared with {_told(found.first)} ({found.first.zone.key})")
    if not found.total.before.calls and not found.total.after.calls:
        say(console, "No calls in either.")
        return
    columns = _columns(found, is_grouped=console.is_terminal)
    if console.is_terminal and width(columns) - len(columns) > console.width:
        # What it cost is what was asked; how many calls is in the JSON.
        columns = [column for column in columns if not column.cells[0].startswith("calls ")]
    print_columns(columns, console)
    for line in _sentences(found):
        say(console, line)
    if found.second.end > now:
        say(
            console,
            "The first of these periods is not over: what it has brought by now is compared with all of the other.",
        )


def _told(period: Period) -> str:
    start, end = (moment.astimezone(period.zone) for moment in (period.start, period.end))
    return f"{start:{_MINUTE}} until {end:{_MINUTE}}"


def _columns(found: Comparison, *, is_grouped: bool) -> list[Column]:
    rows = (*found.rows, found.total)
    form = "{:,}" if is_grouped else "{}"
    names = zip(*(_named(found, row) for row in rows), strict=True)
    columns = [Column((head, *cells), is_text=True) for head, cells in zip(found.by, names, strict=True)]
    for head, sides in zip(("before", "now"), zip(*map(_sides, rows), strict=True), strict=True):
        columns.append(Column((f"calls {head}", *(form.format(side.calls) for side in sides)), is_text=False))
    for head, sides in zip(("before", "now"), zip(*map(_sides, rows), strict=True), strict=True):
        costs = align([_amount(known_cost(side)) for side in sides])
        columns.append(Column((f"cost {head}", *costs), is_text=False))
    differences = align([f"{'+' if row.difference > 0 else ''}{dollars(row.difference)}" for row in rows])
    relatives = ["" if row.relative is None else change(_tenth(row.relative)) for row in rows]
    return [
        *columns,
        Column(("difference", *differences), is_text=False),
        Column(("change", *relatives), is_text=False),
    ]


def _sides(row: Change) -> tuple[SummaryRow, SummaryRow]:
    return row.before, row.after


def _amount(cost: Decimal | None) -> str:
    return "unknown" if cost is None else dollars(cost)


def _tenth(relative: Fraction) -> Fraction:
    """A tenth of a per cent is enough of a change; less stays as it is, so that it is not nothing."""
    return Fraction(round(relative * 1000), 1000) or relative


def _named(found: Comparison, row: Change) -> Sequence[str]:
    if row is found.total:
        return ("total", *("" for _ in found.by[1:]))
    return [
        "(none)" if row.keys[name] in ("", NO_TENANT if name is Dimension.TENANT else "") else row.keys[name]
        for name in found.by
    ]


def _sentences(found: Comparison) -> Iterator[str]:
    effects = [(getattr(found.total.effects, name), said) for name, said in _EFFECTS.items()]
    made = [f"{'+' if amount > 0 else ''}{dollars(amount)} {said}" for amount, said in effects if amount]
    if made:
        yield f"What made the difference: {'; '.join(made)}."
    for when, side in (("before", found.total.before), ("now", found.total.after)):
        unknown = side.unpriced + side.invalid
        if unknown:
            calls = "1 call" if unknown == 1 else f"{unknown:,} calls"
            yield f"Of {calls} {when} no cost is known: they are in no amount."


def as_json(found: Comparison, question: Question) -> bytes:
    """Return ``found`` as indented JSON in UTF-8; amounts are exact numbers."""
    return as_document(
        {
            "before": _span(found.first),
            "now": _span(found.second),
            "timezone": found.first.zone.key,
            "tenant": question.tenant,
            "service": question.service,
            "by": found.by,
            "rows": [
                {**{name: value or None for name, value in row.keys.items()}, **_figures(row)} for row in found.rows
            ],
            "total": _figures(found.total),
        }
    )


def as_csv(found: Comparison) -> bytes:
    """Return the rows of ``found`` as RFC 4180 has it, in UTF-8, without a total."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    columns = ("calls_before", "calls", "cost_before_usd", "cost_usd", "difference_usd")
    writer.writerow((*found.by, *columns))
    for row in found.rows:
        costs = ("" if cost is None else plain(cost) for cost in map(known_cost, _sides(row)))
        figures = (row.before.calls, row.after.calls, *costs, plain(row.difference))
        writer.writerow((*(cell(row.keys[name]) for name in found.by), *figures))
    return text.getvalue().encode()


def _span(period: Period) -> dict[str, str]:
    start, end = (moment.astimezone(period.zone) for moment in (period.start, period.end))
    return {"start": start.isoformat(), "end": end.isoformat()}


def _figures(row: Change) -> dict[str, object]:
    return {
        "calls_before": row.before.calls,
        "calls": row.after.calls,
        "cost_before_usd": json_number(known_cost(row.before)),
        "cost_usd": json_number(known_cost(row.after)),
        "difference_usd": json_number(row.difference),
        "relative": json_number(row.relative),
        "not_priced_before": row.before.not_priced,
        "not_priced": row.after.not_priced,
        "effects_usd": {name: json_number(getattr(row.effects, name)) for name in _EFFECTS},
    }
