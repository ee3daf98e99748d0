"""Segments that are files: the ones this process writes, and the ones whose writers are gone."""

from __future__ import annotations

import logging
from contextlib import suppress
from threading import RLock
from typing import Protocol
from uuid import UUID

from costspan.journal.file import JournalFile, later_files
from costspan.journal.frame import HEADER, ROTATED
from costspan.journal.glance import glance
from costspan.journal.reader import Reader
from costspan.journal.segment import Batch

__all__ = ["OrphanSegment", "OwnSegment", "Owner"]

_log = logging.getLogger("costspan")


class Owner(Protocol):
    """What an own segment needs of its journal."""

    lock: RLock

    def sync_file(self, file: JournalFile) -> None:
        """Sync ``file``; a failure is the journal's to deal with."""

    def forget(self, segment: OwnSegment) -> None:
        """Drop ``segment`` from the list of segments."""


class _FileSegment:
    def __init__(self, file: JournalFile) -> None:
        self.file = file
        self.is_finished = False
        self._reader = Reader(file.read, file.seed)
        self._is_exhausted = False

    @property
    def writer(self) -> UUID:
        return self.file.writer

    def _demand_exhausted(self) -> None:
        if not self._is_exhausted:
            raise ValueError(f"{self.file.path} has unread records: read it to its last batch first")

    def _delete(self) -> None:
        try:
            self.file.delete()
        except OSError as error:
            # Read to its end and committed, so it counts nothing twice; it only takes room.
            _log.warning(
                "costspan: %s is in the ledger and can be deleted, but not by this process: %s", self.file.path, error
            )


class OwnSegment(_FileSegment):
    """A file of this process. The last in the journal's list is being written."""

    def __init__(self, file: JournalFile, owner: Owner) -> None:
        super().__init__(file)
        self._owner = owner
        self._position = 0

    def finish(self) -> None:
        """Say in the file that its open intents live on in a later one, and take no more records."""
        with suppress(OSError):  # the disk is full or broken; in this process it is finished all the same
            self.file.append(ROTATED)
        self.is_finished = True

    def read(self, position: int, limit: int) -> Batch:
        """Return what follows ``position``. It is on the disk by then, so the ledger never knows more than the disk."""
        size, is_finished = self._extent()
        self._position = position
        self._owner.sync_file(self.file)
        batch = self._reader.batch(position, size, limit, is_finished=is_finished)
        self._is_exhausted = batch.is_last
        return batch

    def _extent(self) -> tuple[int, bool]:
        with self._owner.lock:  # no write is half done now, and none follows once it is finished
            try:
                return self.file.length(), self.is_finished
            except OSError:  # closed by `shutdown`
                return 0, False

    def discard(self) -> None:
        """Delete the file.

        Raises:
            ValueError: when its last batch was not read yet.
        """
        self._demand_exhausted()
        self._owner.forget(self)
        self._delete()

    def release(self) -> None:
        """Nothing: this process goes on writing."""

    def close(self, *, is_settled: bool) -> None:
        """Write no more; delete the file if all of it is committed and, as ``is_settled`` says, no attempt is open."""
        size, _ = self._extent()
        if is_settled and size in {HEADER, self._position}:
            self._delete()
        else:
            self.file.close()

    def oldest_ns(self) -> int:
        """Return the time of the oldest record that is not known to be committed, or 0."""
        return self._reader.first_ns(self._position, self._extent()[0])


class OrphanSegment(_FileSegment):
    """A file whose writer is gone; nobody else can adopt it while this object holds it."""

    def __init__(self, file: JournalFile) -> None:
        super().__init__(file)
        self.is_finished = True

    def read(self, position: int, limit: int) -> Batch:
        """Return what follows ``position``; the last batch has the intents that nobody ended."""
        try:
            size = self.file.length()
        except OSError:  # released, or inherited by a forked child
            return Batch(position, position)
        batch = self._reader.batch(position, size, limit, is_finished=True, carried_later=self._carried_later)
        self._is_exhausted = batch.is_last
        return batch

    def _carried_later(self) -> set[bytes]:
        """What later files of the same process took over; it may have died before it could say so in this one."""
        carried: set[bytes] = set()
        for path in later_files(self.file.path):
            with suppress(OSError):  # drained meanwhile
                other = glance(path)
                carried |= other.found.carried if other is not None else set()
        return carried

    def discard(self) -> None:
        """Delete the file.

        Raises:
            ValueError: when its last batch was not read yet.
        """
        self._demand_exhausted()
        self._delete()

    def release(self) -> None:
        """Close the file, so that another process, or a later scan, may adopt it."""
        self.file.close()

    def oldest_ns(self) -> int:
        """Return when the call of its first record left, or 0 where none is near its beginning."""
        try:
            return self._reader.first_ns(0, self.file.length())
        except OSError:  # released
            return 0
