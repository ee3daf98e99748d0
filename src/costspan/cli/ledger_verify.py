"""`costspan ledger verify`: whether the ledger holds together."""

from __future__ import annotations

from typing import Annotated

import typer

from costspan.cli.opened import FAILED, opened, sensible
from costspan.cli.progress import progress
from costspan.cli.screen import Json, console, print_json
from costspan.cli.table import say
from costspan.ledger.verification import Verification
from costspan.settings import Settings

__all__ = ["verify"]


def verify(
    *,
    is_whole: Annotated[
        bool, typer.Option("--all", help="Derive the bill of every call again, and not of a sample.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check that every sum is that of its calls, that every bill follows from what is stored, and that nothing is missing.

    It reads one state of the ledger, so calls may land and days may be compacted meanwhile. Nothing is changed.

    \b
    Try:
    costspan ledger verify
    costspan ledger verify --all --json | jq '.checks[] | select(.wrong > 0)'

    \b
    Exit codes:
    0  everything holds together
    1  something does not, or the ledger cannot be read
    2  a setting makes no sense
    """  # fmt: skip  # noqa: D301  # click's mark for text that stays as it is, not a backslash
    with sensible("ledger verify"):
        settings = Settings.from_environment()
    with opened("ledger verify", settings) as ledger, progress(console(is_error=True), "days checked") as advance:
        found = ledger.verify(is_whole=is_whole, progress=advance)
    if as_json:
        print_json(_document(found))
    else:
        _print(found)
    if found.wrong:
        raise typer.Exit(FAILED)


def _print(found: Verification) -> None:
    to = console()
    for check in found.checks:
        verdict = f"{check.wrong:,} wrong" if check.wrong else "ok"
        say(to, f"{check.compared:>12,}  {verdict:<12} {check.about}", "bold red" if check.wrong else "")
        for offender in check.offenders:
            say(to, f"{'':>14}{offender}", "red")
    if found.kept_since is not None:
        say(to, f"Before {found.kept_since} (UTC) there are only sums, compared with each other.")
    verdict = f"{found.wrong:,} things are wrong." if found.wrong else "Everything holds together."
    say(to, f"{found.calls:,} calls. {verdict}", "bold")


def _document(found: Verification) -> dict[str, object]:
    return {
        "calls": found.calls,
        "kept_since": found.kept_since,
        "wrong": found.wrong,
        "checks": [
            {
                "name": check.name,
                "about": check.about,
                "compared": check.compared,
                "wrong": check.wrong,
                "offenders": check.offenders,
            }
            for check in found.checks
        ],
    }
