"""`costspan prices diff`: what past calls would cost at today's prices; and how such a difference is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from costspan.cli.amount import align, dollars
from costspan.cli.opened import opened, sensible
from costspan.cli.progress import progress
from costspan.cli.question import moment_of, tenant_of
from costspan.cli.screen import Json, console, print_json
from costspan.cli.table import say
from costspan.errors import InvalidQuestion
from costspan.ledger.difference import Difference, DifferenceRow, Remark, Scope
from costspan.pricing import PriceBook
from costspan.pricing.money import json_number
from costspan.settings import Settings
from costspan.text import clean
from costspan.usage import Status

__all__ = ["Model", "Since", "Tenant", "Until", "diff", "document", "scope_of", "show"]

_HEADS = ("provider", "model", "status", "calls", "changed", "cost now", "cost then", "difference")
_MOST_REMARKS = 20
#: In the last three columns: for what is not known, and before what is added.
_WORDS = (("unknown", ""), ("unknown", ""), ("", "+"))

Since = Annotated[
    str,
    typer.Option(metavar="DATE", help="From this day on, or this instant; days begin where COSTSPAN_TIMEZONE says."),
]
Until = Annotated[str | None, typer.Option(metavar="DATE", help="Before this day or instant; now when not given.")]
Tenant = Annotated[str | None, typer.Option(metavar="ID", help="One tenant only; all when not given.")]
Model = Annotated[str | None, typer.Option(metavar="NAME", help="One model only, by the name that served the call.")]


def diff(
    *,
    since: Since,
    until: Until = None,
    tenant: Tenant = None,
    model: Model = None,
    as_json: Json = False,
) -> None:
    """Say what past calls would cost at today's prices, each at its own date. Nothing is changed.

    Today's prices are those of the installed list and of the file of COSTSPAN_PRICES. What a call consumed is what was stored of
    it, whether its price was known or not.

    \b
    Try:
    costspan prices diff --since 2026-11-01
    costspan prices diff --since 2026-11-01 --until 2026-11-15 --tenant acme
    COSTSPAN_PRICES=new.toml costspan prices diff --since 2026-11-01 --json

    \b
    Exit codes:
    0  printed, whether anything differs or not
    1  the ledger cannot be read
    2  what is asked makes no sense, or the price file cannot be read
    """  # fmt: skip  # noqa: D301  # click's mark for text that stays as it is, not a backslash
    with sensible("prices diff"):
        settings = Settings.from_environment()
        scope = scope_of(since, until, tenant, model, zone=settings.timezone)
        book = PriceBook.load(settings.prices)
        _ = book.price_version  # reads the overlay
    with opened("prices diff", settings) as ledger, progress(console(is_error=True), "days compared") as advance:
        found = ledger.compare_prices(scope, book, progress=advance)
    if as_json:
        print_json(document(found))
    else:
        show(found, console(), settings.timezone)


def scope_of(
    since: str, until: str | None, tenant: str | None, model: str | None, *, zone: ZoneInfo, only_unpriced: bool = False
) -> Scope:
    """Return the calls that options name.

    Raises:
        InvalidQuestion: for a date that is none, an end before the beginning, and an empty tenant.
    """
    start = moment_of("--since", since, zone)
    end = datetime.now(UTC) if until is None else moment_of("--until", until, zone)
    if end <= start:
        raise InvalidQuestion(
            f"the range ends at {end.isoformat()}: it must end after it begins, at {start.isoformat()}"
        )
    return Scope(
        since=start,
        until=end,
        tenant=tenant_of(tenant),
        model=None if model is None else clean(model),
        only_unpriced=only_unpriced,
    )


def show(found: Difference, to: Console, zone: ZoneInfo, *, is_done: bool = False) -> None:
    """Print a difference for people."""
    scope = found.scope
    start, end = (moment.astimezone(zone) for moment in (scope.since, scope.until))
    whom = "all tenants" if scope.tenant is None else f"tenant {scope.tenant}"
    narrowed = (f", model {scope.model}" if scope.model is not None else "") + (
        ", unpriced" if scope.only_unpriced else ""
    )
    say(to, f"Calls from {start:%Y-%m-%d %H:%M} until {end:%Y-%m-%d %H:%M} ({zone.key}), {whom}{narrowed}", "bold")
    if found.rows:
        to.print(_table(found))
    for line in _sentences(found, is_done=is_done):
        say(to, line)
    say(to, f"prices: {found.price_version}", "dim")


def _table(found: Difference) -> Table:
    table = Table(box=SIMPLE, pad_edge=False)
    for head in _HEADS:
        is_number = head not in _HEADS[:3]
        table.add_column(head, justify="right" if is_number else "left", no_wrap=is_number, overflow="fold")
    rows = (*found.rows, found.total)
    costs = [_known(row) for row in rows]
    columns = (*zip(*costs, strict=True), [row.difference or None for row in rows])
    amounts = zip(
        *(align([_amount(cost, *words) for cost in column]) for column, words in zip(columns, _WORDS, strict=True)),
        strict=True,
    )
    for row, money in zip(rows, amounts, strict=True):
        is_total = row is found.total
        names = ("total", "", "") if is_total else (row.provider, row.model, row.status)
        cells = (*names, f"{row.calls:,}", f"{row.changed:,}" if row.changed else "", *money)
        if is_total:
            table.add_section()
        table.add_row(*map(Text, cells), style="bold" if is_total else None)
    return table


def _known(row: DifferenceRow) -> tuple[Decimal | None, Decimal | None]:
    """What the calls cost now and then; None where that is known of none of them, which is not 0."""
    is_unknown = row.status == Status.UNPRICED
    return None if is_unknown else row.cost_now, None if is_unknown and not row.changed else row.cost_then


def _amount(cost: Decimal | None, unknown: str, plus: str) -> str:
    return unknown if cost is None else f"{plus if cost > 0 else ''}{dollars(cost)}"


def _sentences(found: Difference, *, is_done: bool) -> Iterator[str]:
    if not found.total.calls:
        yield "No calls in this range that could be priced again."
    elif not found.total.changed:
        yield "Nothing differs." if not is_done else "Nothing differs, and nothing was corrected."
    if found.newly_priced:
        verb = "got" if is_done else "would get"
        yield f"{_calls(found.newly_priced)} without a cost {verb} one: {dollars(found.newly_priced_cost)}."
    yield from _told("stays without a cost", "stay without a cost", found.unpriced)
    yield from _told("would lose a price, and keeps it", "would lose a price, and keep it", found.kept)
    if found.kept_since is not None:
        yield f"Calls before {found.kept_since} (UTC) were dropped; their sums stay as they are."


def _told(verb: str, verbs: str, remarks: Sequence[Remark]) -> Iterator[str]:
    for remark in remarks[:_MOST_REMARKS]:
        does = verb if remark.calls == 1 else verbs
        yield f"{_calls(remark.calls)} of {remark.model} at {remark.provider} {does}: {remark.reason}"
    if len(remarks) > _MOST_REMARKS:
        rest = remarks[_MOST_REMARKS:]
        yield f"{_calls(sum(remark.calls for remark in rest))} of other models {verbs}; --json has all of them."


def _calls(count: int) -> str:
    return "1 call" if count == 1 else f"{count:,} calls"


def document(found: Difference) -> dict[str, Any]:
    """Return a difference for programs."""
    scope = found.scope
    return {
        "since": scope.since.isoformat(),
        "until": scope.until.isoformat(),
        "tenant": scope.tenant,
        "model": scope.model,
        "only_unpriced": scope.only_unpriced,
        "price_version": found.price_version,
        "kept_since": found.kept_since,
        "rows": [
            {"provider": row.provider, "model": row.model, "status": row.status, **_figures(row)} for row in found.rows
        ],
        "total": _figures(found.total),
        "newly_priced": {"calls": found.newly_priced, "cost_usd": json_number(found.newly_priced_cost)},
        "still_unpriced": [_remark(remark) for remark in found.unpriced],
        "kept": [_remark(remark) for remark in found.kept],
    }


def _figures(row: DifferenceRow) -> dict[str, object]:
    now, then = _known(row)
    return {
        "calls": row.calls,
        "changed": row.changed,
        "cost_now_usd": json_number(now),
        "cost_then_usd": json_number(then),
        "difference_usd": json_number(row.difference),
    }


def _remark(remark: Remark) -> dict[str, object]:
    return {"provider": remark.provider, "model": remark.model, "calls": remark.calls, "reason": remark.reason}
