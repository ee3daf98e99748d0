"""The ledger, once what is journalled on this host has landed in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from costspan.ledger import Drainer, Ledger, NoJournal
from costspan.settings import Settings

__all__ = ["landed"]

#: How long journalled calls may take to land before a command goes on without them, and says so.
_FLUSH_S = 5.0


@contextmanager
def landed(settings: Settings, drainer: Drainer | None) -> Iterator[tuple[Ledger, bool]]:
    """The ledger, once journalled calls have landed in it; and whether some are still on their way."""
    # Connected before anything is drained: a database that is away is told at once, and once.
    with closing(Ledger.connect(settings)) as ledger, _draining(settings, drainer) as is_behind:
        yield ledger, is_behind


@contextmanager
def _draining(settings: Settings, drainer: Drainer | None) -> Iterator[bool]:
    """Let journalled calls land; whether some are still on their way."""
    if drainer is not None:
        yield not drainer.flush(_FLUSH_S)
        return
    adopting = Drainer(NoJournal(), settings, keeps=False)
    try:
        yield not adopting.flush(_FLUSH_S)
    finally:
        adopting.stop(_FLUSH_S)
