"""`costspan reprice`: let past calls cost what they cost at today's prices, by corrections that overwrite nothing."""

from __future__ import annotations

from typing import Annotated

import typer

from costspan.cli.opened import opened, refuse, sensible
from costspan.cli.prices_diff import Model, Since, Tenant, Until, document, scope_of, show
from costspan.cli.progress import progress
from costspan.cli.screen import Json, console, print_json
from costspan.errors import InvalidQuestion
from costspan.ledger.difference import Difference
from costspan.pricing import PriceBook
from costspan.settings import Settings
from costspan.text import clean

__all__ = ["reprice"]

NOT_DONE = 3
_ONLY = ("unpriced",)


def reprice(
    *,
    since: Since,
    until: Until = None,
    tenant: Tenant = None,
    model: Model = None,
    only: Annotated[str | None, typer.Option(metavar="|".join(_ONLY), help="Only calls that have no cost now.")] = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for the audit trail.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    is_sure: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Correct what past calls cost: by today's prices, each at its own date.

    Nothing is overwritten. Each call that would have another cost or status gets a correction, and from then on every sum and
    every report has it; the call stays as it was written, and costspan.reprice says who did it, when, why and by which prices. A
    price that today's prices do not know is kept. It can be stopped at any moment and run again: what is right already is left alone.

    \b
    Try:
    costspan reprice --since 2026-11-01 --dry-run
    costspan reprice --since 2026-11-01 --only unpriced --reason "llama-9 has a price now"
    costspan reprice --since 2026-11-01 --until 2026-12-01 --tenant acme --yes

    \b
    Exit codes:
    0  corrected, or nothing to correct
    1  the ledger cannot be read or written
    2  what is asked makes no sense, or the price file cannot be read
    3  not done: the answer was no
    """  # fmt: skip  # noqa: D301  # click's mark for text that stays as it is, not a backslash
    with sensible("reprice"):
        if only is not None and only not in _ONLY:
            raise InvalidQuestion(f"--only is {only[:80]!r}: allowed is {', '.join(_ONLY)}")
        settings = Settings.from_environment()
        scope = scope_of(since, until, tenant, model, zone=settings.timezone, only_unpriced=only is not None)
        book = PriceBook.load(settings.prices)
        _ = book.price_version  # reads the overlay
    with opened("reprice", settings) as ledger:
        if dry_run or not is_sure:
            with progress(console(is_error=True), "days compared") as advance:
                found = ledger.compare_prices(scope, book, progress=advance)
            if not dry_run and found.total.changed:
                show(found, console(is_error=as_json), settings.timezone)
                if not _is_confirmed(found):
                    refuse("reprice", "nothing was corrected", NOT_DONE)
                is_sure = True
        if is_sure and not dry_run:
            with progress(console(is_error=True), "days corrected") as advance:
                found = ledger.reprice(scope, book, reason=clean(reason), progress=advance)
    _print(found, settings, as_json=as_json, dry_run=dry_run)


def _is_confirmed(found: Difference) -> bool:
    calls = "1 call" if found.total.changed == 1 else f"{found.total.changed:,} calls"
    try:
        return typer.confirm(f"{calls} will be corrected, and stay as they are beneath. Go on?", err=True)
    except typer.Abort:
        typer.echo(err=True)
        return False


def _print(found: Difference, settings: Settings, *, as_json: bool, dry_run: bool) -> None:
    if as_json:
        done = {
            "is_dry_run": dry_run,
            "corrections": found.corrections,
            "overtaken": found.overtaken,
            "reprice_id": found.reprice_id,
        }
        print_json({**document(found), **done})
        return
    show(found, console(), settings.timezone, is_done=not dry_run)
    if found.corrections:
        typer.echo(f"{found.corrections:,} corrections were appended, as run {found.reprice_id} of costspan.reprice.")
    if found.overtaken:
        typer.echo(f"{found.overtaken:,} calls were corrected by somebody else, or dropped, meanwhile: run it again.")
