"""The journal of this process: an intent before each request leaves, an ending before its answer returns.

A record is one ``write`` of one frame, in the page cache when the call returns, so it outlives the process. Nothing else
happens on the caller's path; syncing is a thread's work. Where a file cannot be written, endings are kept in memory, and
the folder is tried again once a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec

from costspan.event import CacheUse, CallEvent, Ending, Intent, Outcome, encode
from costspan.journal.filesegment import OwnSegment
from costspan.journal.flusher import Flusher
from costspan.journal.forks import on_fork
from costspan.journal.frame import HEADER, MAX_PAYLOAD
from costspan.journal.segment import Segment
from costspan.journal.shelf import Limits, Shelf

__all__ = ["Journal", "JournalStats"]

#: Attempts in flight that are remembered; far above what a process can have, so more of them are leaked ones.
_MAX_OPEN = 1 << 16
_EVICTED = _MAX_OPEN // 8
_SYNC_SECONDS = 0.1
_STOP_SECONDS = 1.0
_UNENCODABLE = (msgspec.MsgspecError, TypeError, ValueError, OverflowError)


@dataclass(frozen=True, slots=True)
class JournalStats:
    """The journal of this process in numbers; a forked child begins at 0."""

    intents: int
    """Attempts announced."""
    appended: int
    """Records kept, in a file or in memory."""
    dropped: int
    """Endings that found no room anywhere."""
    in_memory: int
    """Endings kept in memory at the moment."""
    open_intents: int
    """Attempts in flight."""
    bytes: int
    """Of this process's files."""
    oldest_ns: int
    """When the call of the oldest record left that is not known to be in the ledger; 0 where there is none."""
    io_errors: int
    uses_dropped: int = 0
    """Look-ups in caches that found no room anywhere."""


class Journal:
    """Append-only files in ``directory``, written by this process alone. No method raises for what disks do.

    Args:
        directory: created when the first record is written.
        max_bytes: of all journals in the folder; beyond it, records go to memory. Other processes' open files may
            exceed it by what they grow.
        sync: ``group`` syncs every 100 ms in a thread; ``always`` syncs each record before the call returns.
        segment_bytes: a file that has grown to it is followed by a new one.
        memory_records: endings kept in memory while no file can be written; beyond it they are dropped and counted.
        retry_seconds: between two tries of a folder that cannot be written.
        handoff_seconds: let another process drain: a file with records is given up for adoption after this time.
    """

    def __init__(
        self,
        directory: Path,
        *,
        max_bytes: int = 1 << 30,
        sync: str = "group",
        segment_bytes: int = 8 << 20,
        memory_records: int = 10_000,
        retry_seconds: float = 1.0,
        handoff_seconds: float | None = None,
    ) -> None:
        self._directory = Path(directory)
        self._limits = Limits(
            max_bytes=max_bytes,
            segment_bytes=min(segment_bytes, max(max_bytes // 4, HEADER + 1)),
            memory_records=memory_records,
            retry_seconds=retry_seconds,
        )
        self._is_always = sync == "always"
        self._handoff_seconds = handoff_seconds
        self._foreign: frozenset[bytes] = frozenset()
        self._reset()
        on_fork(self)

    def _reset(self) -> None:
        self._open: dict[bytes, bytes] = {}
        self._shelf = Shelf(self._directory, self._limits, self._open, is_always=self._is_always)
        self._lock = self._shelf.lock
        self._outage = self._shelf.outage
        self._flusher = Flusher(self, _SYNC_SECONDS)
        #: Whether this thread is inside already: a signal handler or a finalizer may meter a call at any moment.
        self._is_inside = False
        self._intents = 0
        self._appended_at_tick = 0

    def after_fork(self) -> None:
        """Begin anew in a forked child: files, memory and attempts in flight are the parent's."""
        self._foreign = self._foreign.union(self._open)
        self._reset()

    def open(self, intent: Intent) -> None:
        """Record that a request is about to leave."""
        try:
            payload = encode(intent)
        except _UNENCODABLE as error:
            self._reject(intent.attempt, error)
            return
        with self._lock:
            is_nested, self._is_inside = self._is_inside, True
            try:
                self._intents += 1
                self._open[intent.attempt] = payload  # first: a file that begins from now on carries it
                self._shelf.write(payload, is_nested)
                if not is_nested and (self._shelf.is_full or self._flusher.is_asleep):
                    self._house_keep()
                if len(self._open) > _MAX_OPEN:
                    self._evict()
            finally:
                self._is_inside = is_nested
        if self._outage.notices:
            self._outage.speak()

    def close_attempt(self, record: CallEvent | Ending) -> None:
        """Record how an attempt ended. One that a parent process opened is the parent's to close."""
        attempt = record.attempt
        if self._foreign and attempt in self._foreign:
            return
        try:
            payload = encode(record)
        except _UNENCODABLE as error:
            payload = self._reject(attempt, error)
        if len(payload) > MAX_PAYLOAD:
            payload = self._reject(attempt, ValueError(f"it has {len(payload):,} bytes"))
        with self._lock:
            is_nested, self._is_inside = self._is_inside, True
            try:
                if not self._shelf.write(payload, is_nested):
                    self._shelf.keep((payload, self._open.get(attempt) if type(record) is Ending else None))
                self._open.pop(attempt, None)  # last: until its ending is kept, an attempt is open
                if not is_nested and (self._shelf.is_full or self._flusher.is_asleep):
                    self._house_keep()
            finally:
                self._is_inside = is_nested
        if self._outage.notices:
            self._outage.speak()

    def note(self, use: CacheUse) -> None:
        """Record a look-up in a cache. Its strings must be clean and its numbers counts."""
        payload = encode(use)
        with self._lock:
            is_nested, self._is_inside = self._is_inside, True
            try:
                if not self._shelf.write(payload, is_nested):
                    self._shelf.keep_use(payload)
                if not is_nested and (self._shelf.is_full or self._flusher.is_asleep):
                    self._house_keep()
            finally:
                self._is_inside = is_nested
        if self._outage.notices:
            self._outage.speak()

    def _reject(self, attempt: bytes, error: Exception) -> bytes:
        """Say that a record cannot be encoded, and return an ending that stands in for it."""
        self._outage.reject(error)
        self._outage.speak()
        return encode(Ending(attempt, Outcome.OPEN, f"its record cannot be encoded: {ascii(error)[:200]}"))

    def _house_keep(self) -> None:
        self._shelf.rotate_if_full()
        if self._flusher.is_asleep:
            self._flusher.wake()

    def _evict(self) -> None:
        for attempt in list(islice(self._open, _EVICTED)):
            ending = encode(Ending(attempt, Outcome.OPEN, f"not ended while {_MAX_OPEN:,} later ones began"))
            if not self._shelf.write(ending, True):
                self._shelf.keep((ending, self._open[attempt]))
            self._open.pop(attempt, None)

    def tick(self) -> bool:
        """Sync what was written since the last tick, put back what was deleted, hand over what is due."""
        shelf = self._shelf
        is_busy = shelf.appended != self._appended_at_tick
        self._appended_at_tick = shelf.appended
        if is_busy:
            for file in shelf.files():
                shelf.sync_file(file)
                shelf.restore_file(file)
        if self._handoff_seconds is not None:
            is_busy = self._hand_off(shelf, self._handoff_seconds) or is_busy
        self._outage.speak()
        return is_busy

    def _hand_off(self, shelf: Shelf, seconds: float) -> bool:
        has_records = False
        with shelf.lock:
            if not self._is_inside:
                self._is_inside = True
                try:
                    has_records = shelf.begin_if_older(seconds)
                finally:
                    self._is_inside = False
            finished = [item for item in shelf.segments if isinstance(item, OwnSegment) and item.is_finished]
        for segment in finished:
            shelf.forget(segment)
            shelf.sync_file(segment.file)
            segment.file.close()
        return has_records

    def segments(self) -> list[Segment]:
        """Return this process's segments, oldest first; the last file is being written."""
        with self._lock:
            if not self._is_inside:
                self._shelf.retry()
            found: list[Segment] = list(self._shelf.segments)
        self._outage.speak()
        return found

    def sync(self) -> None:
        """Make everything written so far survive a power loss; takes what the disk takes."""
        for file in self._shelf.files():
            self._shelf.sync_file(file)

    def shutdown(self) -> None:
        """Sync and give up the files, so that others may adopt them. A later record opens a new one."""
        self._flusher.stop(_STOP_SECONDS)
        with self._lock:
            if self._shelf.is_stranded() and not self._is_inside:
                self._shelf.begin()
            files = self._shelf.clear()
            is_settled = not self._open
            self._flusher = Flusher(self, _SYNC_SECONDS)
        for segment in files:
            self._shelf.sync_file(segment.file)
            segment.close(is_settled=is_settled)
        self._outage.speak()

    @property
    def stats(self) -> JournalStats:
        """Counters and gauges of this moment."""
        with self._lock:
            shelf, segments = self._shelf, list(self._shelf.segments)
            in_memory = shelf.in_memory()
        oldest = [ns for segment in segments if (ns := segment.oldest_ns())]  # reads files, so without the lock
        return JournalStats(
            intents=self._intents,
            appended=shelf.appended,
            dropped=shelf.dropped,
            in_memory=in_memory,
            open_intents=len(self._open),
            bytes=sum(segment.file.size for segment in segments if isinstance(segment, OwnSegment)),
            oldest_ns=min(oldest, default=0),
            io_errors=shelf.io_errors,
            uses_dropped=shelf.uses_dropped,
        )
