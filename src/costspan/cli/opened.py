"""A ledger for the time of a command, and what a user is told when it cannot be had."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import NoReturn

import typer

from costspan.errors import ConfigurationError, InvalidQuestion, LedgerError, LedgerUnavailable
from costspan.ledger import Ledger
from costspan.settings import Settings

__all__ = ["FAILED", "REFUSED", "opened", "refuse", "sensible", "told"]

FAILED, REFUSED = 1, 2


@contextmanager
def opened(command: str, settings: Settings) -> Iterator[Ledger]:
    """The ledger, closed at the end; what goes wrong with it is told, and ends the command with 1.

    What makes no sense, once it is known what there is, ends it with 2.
    """
    with told(command), closing(Ledger.connect(settings)) as ledger:
        yield ledger


@contextmanager
def told(command: str) -> Iterator[None]:
    """As `opened`, for a block that opens the ledger itself."""
    try:
        yield
    except InvalidQuestion as error:
        refuse(command, str(error), REFUSED)
    except LedgerUnavailable as error:
        refuse(
            command,
            f"the ledger cannot be reached: {error}. Is Postgres running, and COSTSPAN_DATABASE_URL right? "
            "Nothing is lost meanwhile: calls stay in the journal.",
            FAILED,
        )
    except (LedgerError, ConfigurationError) as error:
        refuse(command, str(error), FAILED)


@contextmanager
def sensible(command: str) -> Iterator[None]:
    """What makes no sense is told, and ends the command with 2."""
    try:
        yield
    except (InvalidQuestion, ConfigurationError) as error:
        refuse(command, str(error), REFUSED)


def refuse(command: str, message: str, code: int) -> NoReturn:
    """End the command.

    Raises:
        typer.Exit: always.
    """
    typer.echo(f"costspan {command}: {message}", err=True)
    raise typer.Exit(code)
