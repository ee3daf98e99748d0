"""A batch of the journal into Postgres, in one transaction and once.

The journal's position moves in the transaction of the rows. Whoever comes with a batch that is already there, because a
commit's answer was lost or a process was killed, is told where the ledger is and writes nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date

from costspan.event import CallEvent, Outcome
from costspan.journal.segment import Batch
from costspan.ledger.database import Cursor, Database
from costspan.ledger.landing import REFUSED, Landing, Memory
from costspan.ledger.queries import queries
from costspan.ledger.row import day_of

__all__ = ["MAX_BATCH", "Writer", "Written"]

# An id: 41 bits of milliseconds since 2020, 9 bits of the batch's number, 13 bits of the place in the batch.
_ID_EPOCH_MS = 1_577_836_800_000
_BATCHES = 1 << 9
MAX_BATCH = 1 << 13
"""Events in a batch at the most."""


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a batch."""

    position: int
    """Where the ledger is now: the batch's end. Any other: the ledger was not at the batch's start, and wrote nothing."""
    calls: int = 0
    duplicates: int = 0
    """Calls whose natural key was there before."""
    failed: int = 0
    """Attempts that were not billed; counted, not stored."""
    unsettled: int = 0
    quarantined: int = 0
    tenants: frozenset[str] = frozenset()
    """Who got new calls."""
    cache_uses: int = 0


class Writer:
    """Writes batches. Not for two threads at once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._memory = Memory()
        self._sql = queries("write")

    def position(self, writer: uuid.UUID) -> int:
        """Return how far the journal of ``writer`` is in the ledger; 0 when nothing is.

        Raises:
            LedgerError: as `Database.transaction`.
        """
        with self._database.transaction() as cursor:
            cursor.execute(self._sql["become"])
            return int(cursor.execute(self._sql["position"], {"writer": writer}).fetchall()[0][0])

    def write(self, batch: Batch, writer: uuid.UUID) -> Written:
        """Write ``batch`` in one transaction. What Postgres refuses is quarantined; all else lands.

        Raises:
            ValueError: more than `MAX_BATCH` events.
            LedgerError: as `Database.transaction`. Ask again for the position before the next attempt.
        """
        if len(batch.events) > MAX_BATCH:
            raise ValueError(f"a batch of {len(batch.events)} events: allowed are {MAX_BATCH}")
        try:
            return self._attempt(batch, writer, is_careful=False)
        except REFUSED:
            # What was remembered may be gone from the database (a compacted day's partition, above all), or one record is
            # poison: once more, with care.
            self._memory.clear()
        except BaseException:
            self._memory.clear()
            raise
        try:
            return self._attempt(batch, writer, is_careful=True)
        except BaseException:
            self._memory.clear()
            raise

    def _attempt(self, batch: Batch, writer: uuid.UUID, *, is_careful: bool) -> Written:
        days = _days(batch.events)
        if not is_careful:
            self._ensure_days(days)
        with self._database.transaction() as cursor:
            cursor.execute(self._sql["become"])
            if is_careful:
                # Held until the end: a day that was taken away since it was remembered is no fault of a record's. Before
                # anything else is locked, or two writers could wait for each other in a circle.
                self._memory.ensure_days(cursor, days)
            position, number, now_ms = self._lock(cursor, writer)
            if position != batch.start:
                return Written(position)
            base = (now_ms - _ID_EPOCH_MS) << 22 | number % _BATCHES << 13
            landing = Landing(cursor, self._memory, base=base, is_careful=is_careful)
            landing.store(batch, writer)
            written = _written(batch, landing)
            cursor.execute(self._sql["move_position"], _counts(batch, writer, written))
        return written

    def _ensure_days(self, days: set[date]) -> None:
        """Make the days' partitions in a transaction of their own: the locks of making one must not be held by a batch."""
        if not days <= self._memory.days:
            with self._database.transaction() as cursor:
                cursor.execute(self._sql["become"])
                self._memory.ensure_days(cursor, days)

    def _lock(self, cursor: Cursor, writer: uuid.UUID) -> tuple[int, int, int]:
        """Hold the writer's position; return it, the batch's number and the ledger's clock."""
        values = {"writer": writer}
        row = cursor.execute(self._sql["lock_position"], values).fetchone()
        if row is None:
            cursor.execute(self._sql["add_writer"], values)
            row = cursor.execute(self._sql["lock_position"], values).fetchall()[0]
        return (row[0], row[1], row[2])


_HOUR_NS = 3_600_000_000_000


def _days(events: Sequence[CallEvent]) -> set[date]:
    """The days of ``events`` that can have a partition; an event of any other is refused when its row is made."""
    days = set()
    for at_ns in {event.at_ns // _HOUR_NS * _HOUR_NS for event in events}:
        with suppress(ValueError):
            days.add(day_of(at_ns))
    return days


def _written(batch: Batch, landing: Landing) -> Written:
    return Written(
        position=batch.end,
        calls=landing.calls,
        duplicates=landing.duplicates,
        failed=sum(ending.outcome == Outcome.FAILED for ending in batch.endings),
        unsettled=landing.unsettled,
        quarantined=len(landing.refused),
        tenants=frozenset(landing.tenants),
        cache_uses=landing.cache_uses,
    )


def _counts(batch: Batch, writer: uuid.UUID, written: Written) -> dict[str, object]:
    return {
        "writer": writer,
        "position": written.position,
        "intents": batch.intents,
        "calls": written.calls,
        "duplicates": written.duplicates,
        "failed": written.failed,
        "unsettled": written.unsettled,
        "quarantined": written.quarantined,
        "torn": batch.torn,
    }
