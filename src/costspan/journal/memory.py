"""Where endings stay while no file can be written: bounded, and gone with the process.

It holds no intents. They exist to outlive a kill, which memory does not, so the room is for what calls have cost.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable
from itertools import islice
from threading import RLock
from uuid import UUID

from costspan.event import CacheUse, CallEvent, Intent
from costspan.journal.reader import Gathered, record
from costspan.journal.segment import Batch

__all__ = ["Kept", "MemorySegment"]

#: An encoded event or ending, and for an ending its encoded intent.
Kept = tuple[bytes, bytes | None]


class MemorySegment:
    """Records in memory, at positions that count them. ``lock`` is the journal's, ``forget`` drops it from its list."""

    def __init__(self, lock: RLock, forget: Callable[[MemorySegment], None]) -> None:
        self.writer: UUID = uuid.uuid4()
        self.is_finished = False
        self._lock = lock
        self._forget = forget
        self._records: deque[Kept] = deque()
        self._first = 0
        #: Records before it were given to the drainer: they may be in the ledger, so they never move into a file.
        self._handed = 0
        self._is_exhausted = False

    def __len__(self) -> int:
        return len(self._records)

    def append(self, kept: Kept) -> None:
        """Keep one more."""
        self._records.append(kept)

    def take(self, count: int) -> list[Kept]:
        """Remove and return up to ``count`` of the newest that the drainer has not seen, oldest first."""
        unseen = self._first + len(self._records) - self._handed
        return [self._records.pop() for _ in range(min(count, unseen))][::-1]

    def give_back(self, kept: list[Kept]) -> None:
        """Undo a `take`."""
        self._records.extend(kept)

    @property
    def is_known(self) -> bool:
        """Whether the drainer has seen any of it."""
        return self._handed > 0

    def read(self, position: int, limit: int) -> Batch:
        """Return what follows ``position``; what lies before it is committed and forgotten."""
        with self._lock:
            while self._records and self._first < position:
                self._records.popleft()
                self._first += 1
            kept = list(islice(self._records, limit))
            end = max(position, self._first + len(kept))
            self._handed = max(self._handed, end)
            is_last = self._is_exhausted = self.is_finished and len(kept) == len(self._records)
        found = Gathered()
        for payload, intent in kept:
            if intent is not None and isinstance(known := record(intent), Intent):
                found.open[known.attempt] = known
            found.take(payload)
        return Batch(
            position, end, found.events, found.endings, found.damaged, is_last=is_last, cache_uses=found.cache_uses
        )

    def discard(self) -> None:
        """Drop it from the journal's list.

        Raises:
            ValueError: when its last batch was not read yet.
        """
        if not self._is_exhausted:
            raise ValueError(f"segment {self.writer} has unread records: read it to its last batch first")
        self._forget(self)

    def release(self) -> None:
        """Nothing: no other process can have it."""

    def oldest_ns(self) -> int:
        """Return when the call of its oldest record left, or 0."""
        with self._lock:
            payload, intent = self._records[0] if self._records else (b"", None)
        first = record(intent or payload)
        return first.at_ns if isinstance(first, CallEvent | Intent | CacheUse) else 0
