"""Calls that somebody's spans told of: written like those of a journal, and never a second time.

A journal has a position, so that its records land once. An export has none: it is sent again when its answer was lost. So
each of its calls has a natural key, claimed in the transaction of its row.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from costspan.event import CallEvent
from costspan.journal.segment import Batch
from costspan.ledger.asking import asking
from costspan.ledger.database import Database
from costspan.ledger.dictionary import Dictionary, digest
from costspan.ledger.queries import queries
from costspan.ledger.row import moment
from costspan.ledger.tenant import tenant_named
from costspan.ledger.writer import MAX_BATCH, Writer

__all__ = ["FAMILIES", "Mark", "Place", "SpanWriter", "SpansWritten", "around"]

#: Where a span is: trace id and span id.
Place = tuple[bytes, bytes]

#: Whose calls a mark is for: it does not know of which family its call was.
FAMILIES = ("anthropic", "openai")
#: No family: what is around a call, kept apart from the natural keys of calls.
_AROUND = "around"


@dataclass(frozen=True, slots=True)
class Mark:
    """A call that was counted by another than a span of this key, so that no such span counts."""

    tenant: str
    natural_key: str
    at_ns: int
    services: tuple[str, ...] = FAMILIES


def around(place: Place, tenant: str, at_ns: int) -> Mark:
    """Return the mark of a span that is around a counted call, and is perhaps still to come."""
    return Mark(tenant_named(tenant), _named(place), at_ns, (_AROUND,))


@dataclass(frozen=True, slots=True)
class SpansWritten:
    """What became of the calls of an export."""

    calls: int = 0
    duplicates: int = 0
    quarantined: int = 0

    def __add__(self, other: SpansWritten) -> SpansWritten:
        """Both together."""
        return SpansWritten(
            self.calls + other.calls, self.duplicates + other.duplicates, self.quarantined + other.quarantined
        )


class SpanWriter:
    """Writes calls of spans. Not for two threads at once."""

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database = database
        self._writer = writer
        self._sql = queries("spans")
        self._id = uuid.uuid4()
        self._position: int | None = 0

    def write(self, calls: Sequence[CallEvent], marks: Sequence[Mark], *, tenant: str | None) -> SpansWritten:
        """Write the ``calls`` that are not there yet, each with trace id, span id and natural key.

        Args:
            calls: to write.
            marks: calls that the hooks counted, and what is around a call: their other spans are not to count.
            tenant: whose rows may say that a call is there already; None for everybody's.

        Raises:
            LedgerError: as `Writer.write`. To write the same once more is safe.
        """
        if marks:
            self._mark(marks)
        total = SpansWritten()
        for first in range(0, len(calls), MAX_BATCH):
            piece = calls[first : first + MAX_BATCH]
            there = self._there(piece, tenant)
            new = [call for call in piece if _place(call) not in there]
            total += SpansWritten(duplicates=len(piece) - len(new))
            if new:
                total += self._write(new)
        return total

    def around(self, places: Collection[Place], tenant: str) -> set[Place]:
        """Return which of ``places`` were marked, for ``tenant``, as being `around` a counted call.

        Raises:
            LedgerError: as `Database.transaction`.
        """
        if not places:
            return set()
        keys = {digest(_AROUND, _named(place)): place for place in places}
        with self._database.transaction() as cursor:
            cursor.execute(queries("write")["become"])
            values = {"tenant": tenant_named(tenant), "keys": list(keys)}
            return {keys[key] for (key,) in cursor.execute(self._sql["find_marks"], values).fetchall()}

    def _there(self, calls: Sequence[CallEvent], tenant: str | None) -> set[Place]:
        """Which of the calls' places have a row: the hooks write the ids of the span that carries their cost."""
        values = {
            "traces": [uuid.UUID(bytes=call.trace_id) for call in calls],
            "spans": [int.from_bytes(call.span_id, "big", signed=True) for call in calls],
        }
        with asking(self._database, tenant) as cursor:
            rows = cursor.execute(self._sql["find_places"], values).fetchall()
        return {(trace.bytes, span.to_bytes(8, "big", signed=True)) for trace, span in rows}

    def _mark(self, marks: Sequence[Mark]) -> None:
        with self._database.transaction() as cursor:
            cursor.execute(queries("write")["become"])
            dictionary = Dictionary()
            dictionary.learn_tenants(cursor, [mark.tenant for mark in marks])
            keys = {
                (dictionary.tenants[mark.tenant], digest(service, mark.natural_key)): mark
                for mark in marks
                for service in mark.services
            }
            ordered = sorted(keys)
            columns: dict[str, list[object]] = {
                "tenant_key": [tenant_key for tenant_key, _ in ordered],
                "key": [key for _, key in ordered],
                "at": [moment(keys[place].at_ns) for place in ordered],
            }
            cursor.execute(self._sql["mark"], columns)

    def _write(self, calls: Sequence[CallEvent]) -> SpansWritten:
        position = self._writer.position(self._id) if self._position is None else self._position
        self._position = None  # nobody knows it, should this fail
        batch = Batch(position, position + len(calls), list(calls), intents=len(calls))
        written = self._writer.write(batch, self._id)
        self._position = written.position
        return SpansWritten(written.calls, written.duplicates, written.quarantined)


def _place(call: CallEvent) -> Place:
    return call.trace_id, call.span_id


def _named(place: Place) -> str:
    trace_id, span_id = place
    return f"{trace_id.hex()}:{span_id.hex()}"
