"""`costspan ledger`: keep the ledger small, and say how large it is."""

from __future__ import annotations

import re
from typing import Annotated

import typer
from rich.console import Console

from costspan.cli.ledger_verify import verify
from costspan.cli.opened import REFUSED, opened, refuse, sensible
from costspan.cli.progress import progress
from costspan.cli.screen import print_json
from costspan.cli.table import say
from costspan.errors import InvalidQuestion
from costspan.ledger.keeper import Compacted, Retained, Size
from costspan.settings import Settings

__all__ = ["ledger_app"]

NOT_DONE = 3
_MEGABYTE = 1_000_000
_NAMES = {
    "rows": "calls as rows",
    "row_indexes": "their indexes",
    "slices": "calls in slices",
    "sums": "sums",
    "dictionaries": "names",
    "details": "details",
    "other": "everything else",
}
_SHOWN = 80
#: As many days as there may be a date before today for.
_NUMBER = re.compile(r"\d{1,6}", re.ASCII)
_FROM = ("from 0", "above 0")
_BUSY = "another process is at it: try again when it is done"

_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

ledger_app = typer.Typer(no_args_is_help=True, help="Keep the ledger small, and check it.")
ledger_app.command()(verify)


@ledger_app.command()
def compact(
    *,
    after: Annotated[
        str | None,
        typer.Option(
            metavar="DAYS",
            help="How long a day must have been over; COSTSPAN_COMPACT_AFTER_DAYS when not given.",
        ),
    ] = None,
    as_json: _Json = False,
) -> None:
    """Move the calls of days that are over into slices, which take half the room.

    Nothing changes for who reads: not a call, not a sum, at no moment. Calls that come late for such a day are rows again until
    the next time. A process that meters does this by itself about once an hour, for days (UTC) that are due.

    \b
    Try:
    costspan ledger compact
    costspan ledger compact --after 0      also yesterday

    \b
    Exit codes:
    0  done, also where nothing was due
    1  the ledger cannot be reached, or refuses
    2  what is asked makes no sense
    3  another process is at it
    """  # fmt: skip  # noqa: D301  # click's mark for text that stays as it is, not a backslash
    with sensible("ledger compact"):
        settings = Settings.from_environment()
        waits = settings.compact_after_days if after is None else _days("--after", after, least=0)
    with opened("ledger compact", settings) as ledger:
        before = ledger.keeper.due_before(waits)
        with progress(_errors(), "calls compacted") as advance:
            done = ledger.compact(before, progress=advance)
    if as_json:
        print_json(
            {"before": before, "calls": done.calls, "days": done.days, "slices": done.slices, "dropped": done.dropped}
        )
    elif done.calls or not done.is_busy:
        typer.echo(_told_compacted(done, str(before)))
    if done.is_busy:
        refuse("ledger compact", _BUSY, NOT_DONE)


@ledger_app.command()
def retain(
    *,
    days: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="How many days before today keep their calls; COSTSPAN_RETENTION_DAYS when not given.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be dropped.")] = False,
    is_sure: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: _Json = False,
) -> None:
    """Drop the calls of days (UTC) that are too old, for good, and keep their sums for ever.

    What a tenant's day, hour or month cost stays to be seen, by service, model and operation. Dropped are the calls one by one,
    their details and corrections, sums by session, user and feature, and the names that are in no other call.

    \b
    Try:
    costspan ledger retain --days 90 --dry-run
    costspan ledger retain --days 90
    costspan ledger retain --yes --json    by COSTSPAN_RETENTION_DAYS

    \b
    Exit codes:
    0  dropped, or nothing to drop
    1  the ledger cannot be reached, or refuses
    2  what is asked makes no sense
    3  not done: the answer was no, or another process is at it
    """  # fmt: skip  # noqa: D301  # click's mark for text that stays as it is, not a backslash
    with sensible("ledger retain"):
        settings = Settings.from_environment()
        kept = settings.retention_days if days is None else _days("--days", days, least=1)
    if kept is None:
        refuse(
            "ledger retain", "how many days are to keep their calls? Give --days or COSTSPAN_RETENTION_DAYS", REFUSED
        )
    with opened("ledger retain", settings) as ledger:
        since = ledger.keeper.kept_since(kept)
        found = ledger.keeper.droppable(since)
        if not dry_run:
            if not is_sure and not _is_confirmed(found):
                refuse("ledger retain", "nothing was dropped", NOT_DONE)
            with progress(_errors(), "calls dropped") as advance:
                found = ledger.retain(since, progress=advance) or found
    if as_json:
        print_json(
            {
                "kept_since": found.kept_since,
                "is_dry_run": dry_run,
                "calls": found.calls,
                "days": found.days,
                "contexts": found.contexts,
            }
        )
    else:
        typer.echo(_told_retained(found, is_dry_run=dry_run))
    if found.is_busy:
        refuse("ledger retain", _BUSY, NOT_DONE)


@ledger_app.command()
def size(*, as_json: _Json = False) -> None:
    """Print how large the ledger is, and what of it takes the room.

    \b
    Try:
    costspan ledger size
    costspan ledger size --json | jq .mb_per_million

    \b
    Exit codes:
    0  printed
    1  the ledger cannot be read
    2  a setting makes no sense
    """  # fmt: skip  # noqa: D301  # click's mark for text that stays as it is, not a backslash
    with sensible("ledger size"):
        settings = Settings.from_environment()
    with opened("ledger size", settings) as ledger:
        found = ledger.size()
    if as_json:
        print_json(_document(found))
    else:
        _print_size(found)


def _days(option: str, text: str, *, least: int) -> int:
    found = int(text) if _NUMBER.fullmatch(text) else -1
    if found < least:
        raise InvalidQuestion(f"{option} is {text[:_SHOWN]!r}: allowed are whole numbers {_FROM[least]}")
    return found


def _is_confirmed(found: Retained) -> bool:
    try:
        return typer.confirm(
            f"{_counted(found)} before {found.kept_since} (UTC): dropped for good, but for their sums. Go on?",
            err=True,
        )
    except typer.Abort:
        typer.echo(err=True)
        return False


def _counted(found: Retained) -> str:
    return f"{_many(found.calls, 'call')} of {_many(found.days, 'day')}"


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _told_compacted(done: Compacted, before: str) -> str:
    if not done.calls:
        return f"Nothing to compact: no call before {before} (UTC) is a row."
    slices = _many(done.slices, "slice")
    return f"{_many(done.calls, 'call')} of {_many(done.days, 'day')} before {before} (UTC): in {slices} now."


def _told_retained(found: Retained, *, is_dry_run: bool) -> str:
    if is_dry_run:
        return f"{_counted(found)} before {found.kept_since} (UTC): would be dropped. Their sums would stay."
    names = f", and {_many(found.contexts, 'name')} without a call" if found.contexts else ""
    return f"{_counted(found)} before {found.kept_since} (UTC): dropped{names}. Their sums stay."


def _print_size(found: Size) -> None:
    console = Console(highlight=False)
    rows = [(_NAMES[part], number) for part, number in found.parts.items()]
    rows.append(("all", found.total))
    for name, number in rows:
        share = f"{number / found.total:6.1%}" if found.total else ""
        say(console, f"{name:<16}{number / _MEGABYTE:>12,.1f} MB  {share}", "bold" if name == "all" else "")
    per_million = found.megabytes_per_million
    say(
        console, f"calls           {found.calls:>12,}" + (f"     {per_million:.1f} MB a million" if per_million else "")
    )
    say(console, f"  as rows       {found.calls_hot:>12,}     of {found.days_hot:,} days")
    say(console, f"  in slices     {found.calls_cold:>12,}     of {found.days_cold:,} days")
    if found.kept_since is not None:
        say(console, f"Before {found.kept_since} (UTC) there are only sums.")
    say(console, f"The whole database, whoever's: {found.database / _MEGABYTE:,.1f} MB.")


def _document(found: Size) -> dict[str, object]:
    per_million = found.megabytes_per_million
    return {
        "bytes": found.total,
        "parts": found.parts,
        "database_bytes": found.database,
        "calls": found.calls,
        "calls_hot": found.calls_hot,
        "calls_cold": found.calls_cold,
        "days_hot": found.days_hot,
        "days_cold": found.days_cold,
        "kept_since": found.kept_since,
        "mb_per_million": None if per_million is None else round(per_million, 2),
    }


def _errors() -> Console:
    """Where it is told how far something is: beside what is printed, and so never part of it."""
    return Console(stderr=True, highlight=False)
