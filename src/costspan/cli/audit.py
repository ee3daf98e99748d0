"""`costspan audit`: what became of every attempt, and whether anything is missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.console import Console

from costspan.cli.accounts import Accounts, Journals, account, compare_journals
from costspan.cli.opened import FAILED, opened, refuse, sensible
from costspan.cli.screen import Json, console, print_json
from costspan.cli.table import say
from costspan.event import Outcome
from costspan.settings import Settings

__all__ = ["audit"]

DIFFERS = 3
#: Files that differ; more are counted.
_MOST = 20


def audit(
    *,
    with_journal: Annotated[
        bool, typer.Option("--journal", help="Also read this host's journals again, and compare them with the ledger.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what became of every attempt that was announced: settled, failed, open, quarantined or still under way.

    Every request to a provider is announced in the journal before it leaves, and ends there once. With --journal each file of this
    host is read again as far as the ledger has read it, and the counts are compared: a call that was journalled and is not in
    the ledger shows. Nothing is changed, and processes may go on meanwhile.

    \b
    Try:
    costspan audit
    costspan audit --journal
    costspan audit --json | jq .under_way

    \b
    Exit codes:
    0  shown; with --journal: and both say the same
    1  the ledger or the journal cannot be read
    2  a setting makes no sense
    3  journal and ledger differ
    """  # fmt: skip  # noqa: D301  # click's mark for text that stays as it is, not a backslash
    with sensible("audit"):
        settings = Settings.from_environment()
    folder = settings.journal_path
    with opened("audit", settings) as ledger:
        try:
            journals = compare_journals(ledger, folder) if with_journal else None
            found = account(ledger, folder)
        except OSError as error:
            refuse("audit", f"{folder} cannot be read: {error.strerror or error}", FAILED)
    if as_json:
        print_json(_document(found, journals))
    else:
        _print(found, journals, console())
    if journals is not None and journals.problems:
        raise typer.Exit(DIFFERS)


def _print(found: Accounts, journals: Journals | None, to: Console) -> None:
    say(to, f"{found.ledger.intents:>14,}  attempts announced, in every journal that was drained", "bold")
    for number, about in _lines(found):
        say(to, f"{number:>14,}  {about}")
    for line in _sentences(found):
        say(to, line)
    if found.folder is not None:
        held = found.folder
        say(
            to,
            f"On this host: {held.files:,} journal {'file' if held.files == 1 else 'files'} ({held.live_files:,} of living "
            f"processes) with {held.settled:,} calls, {held.open:,} open, {held.in_flight:,} of these in flight.",
        )
    if journals is not None:
        _print_journals(journals, to)


def _lines(found: Accounts) -> Iterator[tuple[int, str]]:
    ledger = found.ledger
    yield ledger.calls, "settled: a call with its cost, or its status"
    if ledger.duplicates:
        yield ledger.duplicates, "settled, and counted before: a batch or an answer that was read again"
    yield ledger.failed, "failed: refused or never sent, and not billed"
    yield found.lost.get(Outcome.UNANSWERED, 0), "unanswered: sent, and perhaps billed"
    yield found.lost.get(Outcome.OPEN, 0), "open: their process ended before the answer"
    yield ledger.quarantined, "quarantined: could not be stored, kept as they came"
    if found.under_way:
        yield found.under_way, "under way: announced, and not ended yet"
    if found.unannounced:
        yield -found.unannounced, "calls that nobody announced: something else than costspan wrote them"


def _sentences(found: Accounts) -> Iterator[str]:
    if found.elsewhere:
        attempts = "1 attempt" if found.elsewhere == 1 else f"{found.elsewhere:,} attempts"
        yield (
            f"Of these, {attempts} that no journal of this host knows: under way on another host, or gone with its disk."
        )
    if found.ledger.quarantined:
        yield "What is in quarantine, and why: select * from costspan.quarantine."
    if found.ledger.torn_bytes:
        yield f"{found.ledger.torn_bytes:,} bytes were cut off by crashes in the middle of a write."
    yield (
        'Dropped records were never journalled: costspan_events_total{state="dropped"} of their process counts them.'
    )


def _print_journals(journals: Journals, to: Console) -> None:
    for problem in journals.problems[:_MOST]:
        say(to, problem, "bold red")
    rest = len(journals.problems) - _MOST
    if rest > 0:
        say(to, f"and {rest:,} more; --json has all of them", "bold red")
    files = f"{len(journals.files):,} {'file' if len(journals.files) == 1 else 'files'}"
    verdict = "they differ" if journals.problems else "they say the same"
    waiting = f", {journals.waiting:,} records wait to be drained" if journals.waiting else ""
    say(to, f"Journal against ledger: {files}, {journals.compared:,} calls in both{waiting}: {verdict}.", "bold")


def _document(found: Accounts, journals: Journals | None) -> dict[str, object]:
    ledger, held = found.ledger, found.folder
    document: dict[str, object] = {
        "intents": ledger.intents,
        "settled": ledger.calls,
        "duplicates": ledger.duplicates,
        "failed": ledger.failed,
        "unanswered": found.lost.get(Outcome.UNANSWERED, 0),
        "open": found.lost.get(Outcome.OPEN, 0),
        "quarantined": ledger.quarantined,
        "under_way": found.under_way,
        "elsewhere": found.elsewhere,
        "unannounced": found.unannounced,
        "torn_bytes": ledger.torn_bytes,
        "folder": None
        if held is None
        else {
            "files": held.files,
            "live_files": held.live_files,
            "foreign": held.foreign,
            "settled": held.settled,
            "open": held.open,
            "in_flight": held.in_flight,
            "damaged_bytes": held.damaged,
        },
    }
    if journals is not None:
        document["journal"] = {
            "is_equal": not journals.problems,
            "compared": journals.compared,
            "waiting": journals.waiting,
            "files": [
                {"name": file.name, "waiting": file.waiting, "problems": file.problems} for file in journals.files
            ],
        }
    return document
