"""Disks that fail when told to. The journal's own code runs; only what it asks of the system is answered differently."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest

from costspan.journal import file

FAULTS = ("full", "short", "broken")


class Disk:
    """Counts the journal's writes and syncs, and fails those that ``fails`` chooses by their number."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.writes = 0
        self.syncs = 0
        self.fails: Callable[[int], bool] = lambda _: False
        self.sync_fails: Callable[[int], bool] = lambda _: False
        self.fault = "full"
        #: Called with the number of a write, before and after it: what a signal handler does just then.
        self.interrupt: Callable[[int, str], None] = lambda _, __: None
        monkeypatch.setattr(file, "_write", self._write)
        monkeypatch.setattr(file, "_fdatasync", self._fdatasync)

    def heal(self) -> None:
        """Work again."""
        self.fails = self.sync_fails = lambda _: False

    def _write(self, fd: int, data: bytes) -> int:
        self.writes += 1
        number = self.writes
        self.interrupt(number, "before")
        try:
            return self._attempt(fd, data, number)
        finally:
            self.interrupt(number, "after")

    def _attempt(self, fd: int, data: bytes, number: int) -> int:
        if not self.fails(number):
            return os.write(fd, data)
        if self.fault == "full":
            raise OSError(errno.ENOSPC, "No space left on device")
        if self.fault == "short":
            return os.write(fd, data[: len(data) // 2])
        if self.fault == "interrupted before":
            raise KeyboardInterrupt
        if self.fault == "interrupted after":
            os.write(fd, data)
            raise KeyboardInterrupt
        os.write(fd, data[: len(data) // 2])
        raise OSError(errno.EIO, "Input/output error")

    def _fdatasync(self, fd: int) -> None:
        self.syncs += 1
        if self.sync_fails(self.syncs):
            raise OSError(errno.EIO, "Input/output error")
        os.fdatasync(fd)
