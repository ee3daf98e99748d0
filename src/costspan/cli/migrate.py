"""`costspan migrate`: bring the ledger's schema to what this version needs."""

from __future__ import annotations

from contextlib import closing

import typer

from costspan.cli.opened import sensible, told
from costspan.cli.screen import Json, print_json
from costspan.ledger import Ledger
from costspan.settings import Settings

__all__ = ["migrate"]


def migrate(*, as_json: Json = False) -> None:
    """Bring the ledger's schema to what this version needs, and say what was applied.

    Whatever writes to a ledger or asks it does the same, where its login may. Here it is done on its own, before a new version is
    rolled out, by a login that may create.

    \b
    Try:
    costspan migrate
    COSTSPAN_DATABASE_URL=postgresql://owner@db/costs costspan migrate

    \b
    Exit codes:
    0  the schema is as this version needs it
    1  it is not: the database cannot be reached, or the login may not
    2  a setting makes no sense
    """  # fmt: skip  # noqa: D301  # click's mark for text that stays as it is, not a backslash
    with sensible("migrate"):
        settings = Settings.from_environment()
    with told("migrate"), closing(Ledger.unmigrated(settings)) as ledger:
        applied = ledger.migrate()
    if as_json:
        print_json({"applied": applied})
    elif applied:
        typer.echo("Applied: " + ", ".join(applied) + ".")
    else:
        typer.echo("Nothing to apply: the schema is as this version needs it.")
