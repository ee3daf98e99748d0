"""The files and the memory that this process writes to: which one is current, when the next begins, what moves over."""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import RLock

from costspan.journal.file import SUFFIX, JournalFile, new_writers
from costspan.journal.filesegment import OwnSegment
from costspan.journal.frame import CARRIED, HEADER, WITHDRAWN, frame
from costspan.journal.memory import Kept, MemorySegment
from costspan.journal.outage import Outage

__all__ = ["Limits", "Shelf"]

_MOVED_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a journal may take."""

    max_bytes: int
    segment_bytes: int
    memory_records: int
    retry_seconds: float


class Shelf:
    """Takes encoded records; ``open_intents`` is the journal's, by attempt.

    Its methods are called with ``lock`` held, except those of the last section. ``is_nested`` means that this thread
    was interrupted in here (by a signal handler or a finalizer that meters a call): then no file is begun.
    """

    def __init__(self, directory: Path, limits: Limits, open_intents: dict[bytes, bytes], *, is_always: bool) -> None:
        self.lock = RLock()
        self.outage = Outage(directory, limits.retry_seconds)
        self.segments: list[OwnSegment | MemorySegment] = []
        self.appended = self.dropped = self.uses_dropped = self.io_errors = 0
        #: Whether `rotate_if_full` has something to do.
        self.is_full = False
        self._directory = directory
        self._segment_bytes = limits.segment_bytes
        self._limits = limits
        self._open = open_intents
        self._is_always = is_always
        self._writers = new_writers()
        self._file: JournalFile | None = None
        self._memory: MemorySegment | None = None
        self._error: OSError | None = None
        self._rotate_at = self._begun_at = 0.0
        self._appended_at_begin = 0

    def write(self, payload: bytes, is_nested: bool) -> bool:  # noqa: FBT001  # the hot path: a keyword costs 5 %
        """Append to the current file, or to a new one; return whether that was possible."""
        file = self._file
        if file is not None:
            try:
                file.append(payload)
            except OSError as error:
                self._give_up(error)
            else:
                self.appended += 1
                if file.size >= self._segment_bytes:
                    self.is_full = True
                if self._is_always:
                    self.sync_file(file)
                return True
        if is_nested or not self.outage.is_due() or not self.begin():
            self._complain()
            return False
        return self.write(payload, True)

    def keep(self, kept: Kept) -> None:
        """Keep in memory what could not be written; beyond the limit, count it as dropped."""
        if self.in_memory() >= self._limits.memory_records:
            self.dropped += 1
            self.outage.drop(self._limits.memory_records)
            return
        self._remember(kept)

    def keep_use(self, payload: bytes) -> None:
        """As `keep`, for what cost nothing: half of the memory is for calls alone."""
        if self.in_memory() >= self._limits.memory_records // 2:
            self.uses_dropped += 1
            return
        self._remember((payload, None))

    def _remember(self, kept: Kept) -> None:
        if self._memory is None:
            self._memory = MemorySegment(self.lock, self.forget)
            self.segments.append(self._memory)
        self._memory.append(kept)
        self.appended += 1

    def in_memory(self) -> int:
        """Return how many records are in memory."""
        return sum(len(segment) for segment in self.segments if isinstance(segment, MemorySegment))

    def rotate_if_full(self) -> None:
        """Begin a new file where the current one has grown to its limit."""
        if not self.is_full:
            return
        now = time.monotonic()
        if now < self._rotate_at or self.begin():
            return
        self._rotate_at = now + self._limits.retry_seconds
        if self._error is not None and self._error.errno == errno.EDQUOT:
            self._file = None  # the limit holds; anything else is a reason to go on in the old file

    def begin(self) -> bool:
        """Start a new file with all that is still open. On success the older ones are finished and memory moves in."""
        try:
            self._demand_room()
            fresh = JournalFile.create(self._directory, self._writers)
        except OSError as error:
            self._note(error)
            return False
        segment = OwnSegment(fresh, self)
        self.segments.append(segment)
        self.is_full = False
        self._file = fresh  # before the rest: what a signal handler opens from now on must not stay behind
        try:
            self._carry_over(fresh)
        except OSError as error:
            self._give_up(error)
            self._remove_if_empty(segment)
            return False
        for older in self.segments:
            if isinstance(older, OwnSegment) and older is not segment and not older.is_finished:
                older.finish()
        self._begun_at, self._appended_at_begin = time.monotonic(), self.appended
        moved = self._move_memory(fresh)
        if self._file is fresh:
            self._error = None
            self.outage.end(moved, self.in_memory())
        return True

    def _demand_room(self) -> None:
        used = 0
        with suppress(FileNotFoundError), os.scandir(self._directory) as entries:
            for entry in entries:
                if entry.name.endswith(SUFFIX):
                    with suppress(FileNotFoundError):  # drained meanwhile
                        used += entry.stat(follow_symlinks=False).st_size
        if used + self._limits.segment_bytes > self._limits.max_bytes:
            raise OSError(errno.EDQUOT, f"full: it has {used:,} of at most {self._limits.max_bytes:,} bytes")

    def _carry_over(self, fresh: JournalFile) -> None:
        carried = dict(self._open)
        if carried:
            fresh.write(b"".join(frame(CARRIED + payload, fresh.seed) for payload in carried.values()))
        for attempt in carried.keys() - self._open.keys():  # a signal handler closed it meanwhile
            fresh.append(WITHDRAWN + attempt)

    def _remove_if_empty(self, segment: OwnSegment) -> None:
        if segment.file.size == HEADER:
            self.forget(segment)
            with suppress(OSError):
                segment.file.delete()

    def _move_memory(self, fresh: JournalFile) -> int:
        memory, moved = self._memory, 0
        if memory is None:
            return 0
        while kept := memory.take(_MOVED_AT_ONCE):
            before = fresh.length()
            try:
                fresh.write(_frames(kept, fresh.seed))
            except OSError as error:
                memory.give_back(kept)
                self._give_up(error)
                return moved
            except BaseException:  # Ctrl-C, mostly just after the write
                if fresh.length() == before:
                    memory.give_back(kept)
                raise
            moved += len(kept)
        memory.is_finished = True
        self._memory = None
        if not memory.is_known:
            self.forget(memory)
        return moved

    def _give_up(self, error: OSError) -> None:
        """Write no more to the current file. It is finished when a later one has its open intents."""
        self._note(error)
        self._file = None

    def _note(self, error: OSError) -> None:
        self._error = error
        self.io_errors += error.errno != errno.EDQUOT

    def _complain(self) -> None:
        if self._error is not None:
            self.outage.begin(self._error, self._limits.memory_records)

    def retry(self) -> None:
        """Try the folder again if it was out of order, at most once in ``retry_seconds``."""
        if (self.outage.is_on or self.is_stranded()) and self.outage.is_due():
            self.begin()

    def is_stranded(self) -> bool:
        """Whether records wait in memory, or open intents in a file that was given up, for the next file to take over."""
        return self._file is None and any(not segment.is_finished for segment in self.segments)

    def begin_if_older(self, seconds: float) -> bool:
        """Begin a new file where the current one has records and is older; return whether it has records."""
        has_records = self._file is not None and self.appended != self._appended_at_begin
        if has_records and time.monotonic() - self._begun_at >= seconds:
            self.begin()
        return has_records

    def clear(self) -> list[OwnSegment]:
        """Give up all files and return them; memory stays."""
        files = [segment for segment in self.segments if isinstance(segment, OwnSegment)]
        self.segments = [segment for segment in self.segments if isinstance(segment, MemorySegment)]
        self._file = None
        self.outage.forgive()
        return files

    # Without the lock: what takes as long as the disk takes.

    def files(self) -> list[JournalFile]:
        """Return the files, oldest first."""
        with self.lock:
            return [segment.file for segment in self.segments if isinstance(segment, OwnSegment)]

    def forget(self, segment: OwnSegment | MemorySegment) -> None:
        """Drop ``segment`` from the list."""
        with self.lock:
            if segment in self.segments:
                self.segments.remove(segment)

    def sync_file(self, file: JournalFile) -> None:
        """Sync ``file``. When that fails it is not trusted with further records."""
        try:
            file.sync()
        except OSError as error:
            self._distrust(file, error)

    def restore_file(self, file: JournalFile) -> None:
        """Put ``file`` back where somebody deleted it. When that fails, records go elsewhere."""
        if not file.is_missing():
            return
        try:
            with self.lock:
                file.restore()
                self.outage.restored(file.path)
        except OSError as error:
            self._distrust(file, error)

    def _distrust(self, file: JournalFile, error: OSError) -> None:
        with self.lock:
            self._note(error)
            if self._file is file:
                self._file = None


def _frames(kept: list[Kept], seed: int) -> bytes:
    parts = []
    for payload, intent in kept:
        if intent is not None:
            parts.append(frame(CARRIED + intent, seed))
        parts.append(frame(payload, seed))
    return b"".join(parts)
