"""`costspan doctor`: whether everything that costspan needs is there and well, and what to do where it is not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from textwrap import wrap

import typer
from rich.console import Console

from costspan._version import __version__
from costspan.cli import doctor_host, doctor_ledger
from costspan.cli.finding import Finding, Verdict
from costspan.cli.opened import FAILED
from costspan.cli.screen import Json, console, print_json
from costspan.cli.table import say

__all__ = ["doctor"]

_STYLES = {Verdict.OK: "green", Verdict.NOTICE: "yellow", Verdict.WRONG: "bold red"}
_INDENT = 20


def doctor(*, as_json: Json = False) -> None:
    """Check settings, SDKs and hooks, journal, database, clock and prices, and say what to do about what is wrong.

    It leaves everything as it is, but for an embedded Postgres, which it starts as every command does. The SDKs are tried with
    calls that never leave this process.

    \b
    Try:
    costspan doctor
    costspan doctor --json | jq '.findings[] | select(.verdict != "ok")'

    \b
    Exit codes:
    0  all is well, or there are only notices
    1  something is wrong
    """  # fmt: skip  # noqa: D301  # click's mark for text that stays as it is, not a backslash
    settings, found = doctor_host.settings_of()
    found += doctor_host.sdks()
    found += doctor_host.journal(settings)
    found += doctor_ledger.ledger(settings)
    found += doctor_host.prices(settings, datetime.now(UTC).date())
    if as_json:
        print_json(_document(found))
    else:
        _print(found, console())
    if any(finding.verdict is Verdict.WRONG for finding in found):
        raise typer.Exit(FAILED)


def _print(found: Sequence[Finding], to: Console) -> None:
    say(to, f"costspan {__version__}", "bold")
    for finding in found:
        lines = [*_lines(finding.said, to), *_lines(finding.todo, to)]
        head = f"{finding.verdict.value:<8}{finding.about:<{_INDENT - 8}}"
        say(to, head + lines[0], _STYLES[finding.verdict])
        for line in lines[1:]:
            say(to, " " * _INDENT + line)
    wrong, notices = (
        sum(finding.verdict is verdict for finding in found) for verdict in (Verdict.WRONG, Verdict.NOTICE)
    )
    say(to, _sum(wrong, notices), "bold")


def _lines(text: str, to: Console) -> list[str]:
    """Break ``text`` where a terminal ends; elsewhere a line is a line."""
    return (
        wrap(text, max(20, to.width - _INDENT), break_on_hyphens=False)
        if to.is_terminal
        else list(filter(None, [text]))
    )


def _sum(wrong: int, notices: int) -> str:
    told = f"{notices} {'notice' if notices == 1 else 'notices'}"
    if wrong:
        return f"{wrong} {'thing is' if wrong == 1 else 'things are'} wrong{f', and {told}' if notices else ''}."
    return f"All is well{f'; {told}' if notices else ''}."


def _document(found: Sequence[Finding]) -> dict[str, object]:
    return {
        "version": __version__,
        "is_well": all(finding.verdict is not Verdict.WRONG for finding in found),
        "findings": [
            {"about": item.about, "verdict": item.verdict.value, "said": item.said, "todo": item.todo or None}
            for item in found
        ],
    }
