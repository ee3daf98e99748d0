"""The wall between costspan and the application: nothing that fails here reaches a caller.

Every entry from an application's call into costspan runs inside `guard`. A failure is counted per place, logged once a
minute with its traceback, and swallowed; with ``COSTSPAN_RAISE=1`` (our own tests) it is raised instead.
"""

from __future__ import annotations

import logging
import os
import time
from types import TracebackType

__all__ = ["failures", "guard"]

logger = logging.getLogger("costspan")
#: Internal errors per place since the process started; `costspan_internal_errors_total` shows them.
failures: dict[str, int] = {}
_LOG_EVERY_S = 60.0
_logged: dict[str, float] = {}


class guard:  # noqa: N801  # used like a keyword: `with guard("settle"):`
    """Context manager that swallows, counts and logs any ``Exception`` raised inside it.

    ``KeyboardInterrupt``, ``SystemExit`` and cancellation are the application's and pass through.
    """

    __slots__ = ("where",)

    def __init__(self, where: str) -> None:
        self.where = where

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if error is None or not isinstance(error, Exception):
            return False
        _note(self.where, error)
        return os.environ.get("COSTSPAN_RAISE") != "1"


def _note(where: str, error: Exception) -> None:
    failures[where] = failures.get(where, 0) + 1
    now = time.monotonic()
    if now - _logged.get(where, -_LOG_EVERY_S) >= _LOG_EVERY_S:
        _logged[where] = now
        logger.error(
            "costspan failed in %s (%d times so far); your call was not affected",
            where,
            failures[where],
            exc_info=error,
        )
