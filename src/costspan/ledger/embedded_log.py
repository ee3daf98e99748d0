"""The log of the embedded Postgres, bounded: two files of at most half a megabyte.

The server writes into a pipe and the supervisor into the file, because Postgres's own collector is another process and
bounds the age of a log but not its size.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["Log"]


class Log:
    """Writes to descriptor 2, which is the log file; a traceback of the supervisor lands there too."""

    def __init__(self, path: Path, *, max_bytes: int = 1 << 19) -> None:
        self._path = path
        self._max_bytes = max_bytes

    def write(self, chunk: bytes) -> None:
        """Append; a log that cannot be written must not stop a server."""
        with suppress(OSError):
            if os.fstat(2).st_size + len(chunk) > self._max_bytes:
                self._turn()
            os.write(2, chunk)

    def say(self, text: str) -> None:
        """Append a line of the supervisor's own."""
        self.write(f"costspan: {text}\n".encode())

    def follow(self, pipe: int) -> None:
        """Copy a pipe until each of its writers is gone."""
        while chunk := os.read(pipe, 1 << 16):
            self.write(chunk)
        os.close(pipe)

    def _turn(self) -> None:
        self._path.replace(self._path.with_name(self._path.name + ".1"))
        fresh = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        os.dup2(fresh, 2)
        os.close(fresh)
