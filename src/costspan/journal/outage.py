"""What the journal says about itself while it cannot write its folder: one warning, one word when it is over."""

from __future__ import annotations

import logging
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from weakref import WeakSet

__all__ = ["Outage", "is_spoken_for"]

_log = logging.getLogger("costspan")
#: A folder that fails and recovers in turns does not fill the application's log.
_QUIET_SECONDS = 60.0
_alive: WeakSet[Outage] = WeakSet()


def is_spoken_for(directory: Path) -> bool:
    """Whether a journal of this process writes to ``directory``, and says what is wrong with it when it fails to."""
    return any(outage.directory == directory for outage in list(_alive))


class Outage:
    """Whether the folder is out of order, when to try it again, and what is still to be logged."""

    def __init__(self, directory: Path, retry_seconds: float) -> None:
        self.is_on = False
        #: Messages that wait for `speak`: a log handler may be slow or meter a call itself, so never under the lock.
        self.notices: deque[tuple[int, str]] = deque()
        self.directory = directory
        self._retry_seconds = retry_seconds
        self._retry_at = 0.0
        self._quiet_until: dict[str, float] = {}
        _alive.add(self)

    def is_due(self) -> bool:
        """Whether to try the folder now; says so at most once in ``retry_seconds``."""
        now = time.monotonic()
        if now < self._retry_at:
            return False
        self._retry_at = now + self._retry_seconds
        return True

    def forgive(self) -> None:
        """Let the folder be tried at once where nothing was wrong with it: a record may come after a shutdown."""
        if not self.is_on:
            self._retry_at = 0.0

    def begin(self, error: OSError, room: int) -> None:
        """Calls are kept in memory from now on."""
        if self.is_on:
            return
        self.is_on = True
        self._notice(
            "begin",
            f"costspan: the journal in {self.directory} cannot be written ({error.strerror or error}). "
            f"Up to {room:,} calls are kept in memory, which the end of this process would lose. "
            "Make room there or make it writable; no restart is needed.",
        )

    def drop(self, room: int) -> None:
        """Memory is full, too."""
        self._notice(
            "drop",
            f"costspan: the journal in {self.directory} cannot be written and memory holds {room:,} calls: "
            "further calls are not recorded, only counted, until there is room.",
        )

    def end(self, moved: int, left: int) -> None:
        """The folder can be written again; the drainer has seen ``left`` records, so they stay in memory."""
        if self.is_on:
            self.is_on = False
            message = (
                f"costspan: the journal in {self.directory} is written again; {moved:,} calls moved from memory to it"
            )
            if left:
                message += f", {left:,} stay there until the ledger has them"
            self.notices.append((logging.INFO, message))

    def reject(self, problem: Exception) -> None:
        """A record could not be encoded."""
        self._notice("reject", f"costspan: a call's record cannot be encoded, so its cost is unknown: {problem}")

    def restored(self, path: Path) -> None:
        """A file was deleted while it was in use."""
        self._notice(
            "restored", f"costspan: somebody deleted {path} while it was in use; it was put back with all its records."
        )

    def _notice(self, kind: str, message: str) -> None:
        now = time.monotonic()
        if now >= self._quiet_until.get(kind, now):
            self._quiet_until[kind] = now + _QUIET_SECONDS
            self.notices.append((logging.WARNING, message))

    def speak(self) -> None:
        """Log what is waiting. Never raises: a log handler of the application may."""
        while self.notices:
            with suppress(Exception):  # an IndexError as well: another thread was faster
                level, message = self.notices.popleft()
                _log.log(level, "%s", message)
