"""`costspan drain`: bring what processes left in their journals into the ledger, once."""

from __future__ import annotations

from typing import Annotated

import typer

from costspan.cli.opened import FAILED, opened, refuse, sensible
from costspan.cli.screen import Json, print_json
from costspan.errors import InvalidQuestion
from costspan.ledger import Drainer, NoJournal
from costspan.ledger.drain import DrainStats
from costspan.settings import Settings

__all__ = ["drain"]

_LONGEST_S = 86_400


def drain(
    *,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="How long it may take.")] = 60.0,
    as_json: Json = False,
) -> None:
    """Bring into the ledger what processes that are gone left in their journals, and what is left to others to drain.

    Processes that are alive and drain for themselves are not disturbed. `costspan serve` does the same all the time.

    \b
    Try:
    costspan drain
    costspan drain --timeout 600 --json

    \b
    Exit codes:
    0  all of it is in the ledger
    1  not all of it: the ledger cannot be written, or it took too long. What is left stays in the journal
    2  what is asked makes no sense
    """  # fmt: skip  # noqa: D301  # click's mark for text that stays as it is, not a backslash
    with sensible("drain"):
        if not 0 < timeout <= _LONGEST_S:
            raise InvalidQuestion(f"--timeout is {timeout:g}: allowed are seconds above 0, to {_LONGEST_S:,}")
        settings = Settings.from_environment()
    with opened("drain", settings):  # a database that is away is told at once, and once
        drainer = Drainer(NoJournal(), settings, keeps=False)
        try:
            is_done = drainer.flush(timeout)
        finally:
            drainer.stop(timeout)
    done = drainer.stats
    if as_json:
        print_json(
            {
                "is_done": is_done,
                "calls": done.calls,
                "duplicates": done.duplicates,
                "unsettled": done.unsettled,
                "quarantined": done.quarantined,
            }
        )
    else:
        typer.echo(_told(done))
    if not is_done:
        refuse("drain", "not all of it is in the ledger; what is left stays in the journal", FAILED)


def _told(done: DrainStats) -> str:
    if not (done.calls or done.duplicates or done.unsettled or done.quarantined):
        return "Nothing was waiting."
    parts = [f"{done.calls:,} {'call' if done.calls == 1 else 'calls'}"]
    parts += [f"{done.duplicates:,} counted before"] if done.duplicates else []
    parts += [f"{done.unsettled:,} never answered or left open"] if done.unsettled else []
    parts += [f"{done.quarantined:,} records set aside in quarantine"] if done.quarantined else []
    return f"Into the ledger: {', '.join(parts)}."
