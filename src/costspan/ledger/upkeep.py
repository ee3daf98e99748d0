"""When the ledger is kept small: about once an hour by a drain that has nothing else to do, more often by `costspan serve`."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from costspan.errors import LedgerError, LedgerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from costspan.ledger.ledger import Ledger

__all__ = ["Upkeep"]

logger = logging.getLogger("costspan")

#: A process that is gone sooner has better things to do.
_FIRST_AFTER_S = 300.0
_EVERY_S = 3600.0
#: Calls moved or dropped at a time: well under a second, for which journalled calls wait.
_CALLS = 50_000


class Upkeep:
    """Compacts what is due and drops what is too old, as the settings say.

    Args:
        clock: seconds that only go forward.
        first_after: seconds until it is due for the first time; five minutes when not given.
        every: seconds between two times.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        first_after: float | None = None,
        every: float = _EVERY_S,
    ) -> None:
        self._clock = clock
        self._every = every
        self._due = clock() + (_FIRST_AFTER_S if first_after is None else first_after)
        self._is_allowed = True

    def work(self, ledger: Ledger) -> bool:
        """Do a piece of what is due; True when there is more. Never raises what a ledger raises."""
        if not self._is_allowed or self._clock() < self._due:
            return False
        try:
            if self._has_more(ledger):
                return True
        except LedgerUnavailable as error:
            logger.debug("costspan: the ledger is away, so it is not compacted now (%s)", error)
        except LedgerError as error:
            self._is_allowed = not _is_refused(error)
            level = logging.WARNING if self._is_allowed else logging.DEBUG
            logger.log(level, "costspan: the ledger is not compacted by this process: %s", error)
        self._due = self._clock() + self._every
        return False

    def _has_more(self, ledger: Ledger) -> bool:
        compacted = ledger.compact(limit=_CALLS)
        if not compacted.is_complete:
            return not compacted.is_busy
        retained = ledger.retain(limit=_CALLS)
        return retained is not None and not retained.is_complete and not retained.is_busy


def _is_refused(error: LedgerError) -> bool:
    """Whether the login may not do it, now or later."""
    from psycopg.errors import InsufficientPrivilege  # noqa: PLC0415  # the driver is loaded by who has connected

    return isinstance(error.__cause__, InsufficientPrivilege)
