"""One batch on its way into the tables, inside a transaction that somebody else began and will end.

Carelessly a batch is stored as a whole, and one bad record fails it. Carefully it is halved until the bad record stands
alone; that one goes to quarantine and all else lands.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import starmap
from typing import TypeVar

import msgspec
import psycopg
from msgspec.structs import replace

from costspan.attribution import NO_TENANT
from costspan.event import CacheUse, CallEvent, Outcome
from costspan.journal.segment import Batch, Unsettled
from costspan.ledger.cacheuse import store_uses
from costspan.ledger.database import Cursor, RefusedRows
from costspan.ledger.dictionary import Dictionary, Kind, as_json, digest
from costspan.ledger.queries import queries
from costspan.ledger.row import COPY_BEGIN, COPY_END, detail_of, is_plain, moment, pack_row
from costspan.text import clean

__all__ = ["REFUSED", "Landing", "Memory"]

#: What a record raises that no ledger can hold, from our own packing or from Postgres.
REFUSED = (RefusedRows, psycopg.DataError, psycopg.IntegrityError, struct.error, ValueError, TypeError, OverflowError)
_UNREADABLE = "not a readable record of the journal"
#: The provider may have billed these; a failed attempt it has not.
_PERHAPS_BILLED = frozenset({Outcome.OPEN.value, Outcome.UNANSWERED.value})
_TABLES = ("call", "usage_hour", "call_detail")
#: Rows that are sent at a time: Postgres stores them while the next are packed.
_PIECE = 128
_Item = TypeVar("_Item")
#: An event and its place in the batch, which its id has.
_Placed = tuple[int, CallEvent]


@dataclass(slots=True)
class Memory:
    """What a client remembers of the database, so as not to ask for each batch."""

    dictionary: Dictionary = field(default_factory=Dictionary)
    days: set[date] = field(default_factory=set)
    """Days that have their partitions."""
    is_exempt: bool | None = None
    """Whether the writer is exempt from row level security, and so may COPY."""

    def clear(self) -> None:
        """Forget everything, after a rollback or when the database says otherwise."""
        self.dictionary.clear()
        self.days.clear()
        self.is_exempt = None

    def ensure_days(self, cursor: Cursor, days: set[date]) -> None:
        """Make the partitions of ``days`` that are not known to be there."""
        for day in sorted(days - self.days):
            for table in _TABLES:
                cursor.execute(queries("write")["ensure_day"], {"table": table, "day": day})
            self.days.add(day)


#: A call with its numbers: its id, the event, its kind and its context.
_Call = tuple[int, CallEvent, Kind, int]


class Landing:
    """Stores a batch and counts what became of it.

    Args:
        base: the id of the batch's first call.
        is_careful: isolate what is refused, instead of failing with it.
    """

    def __init__(self, cursor: Cursor, memory: Memory, *, base: int, is_careful: bool) -> None:
        self.calls = self.duplicates = self.unsettled = self.cache_uses = 0
        self.tenants: set[str] = set()
        self.refused: list[tuple[str, bytes]] = []
        self._cursor = cursor
        self._memory = memory
        self._base = base
        self._is_careful = is_careful
        self._sql = queries("write")

    def store(self, batch: Batch, writer: uuid.UUID) -> None:
        """Store ``batch``."""
        self.refused = [(_UNREADABLE, record) for record in batch.quarantined]
        self._each(list(enumerate(batch.events)), self._store_calls)
        lost = [ending for ending in batch.endings if ending.outcome in _PERHAPS_BILLED]
        self._each(lost, self._store_unsettled)
        self._each(batch.cache_uses, self._store_cache_uses)
        if self.refused:
            values = {
                "writer": writer,
                "position": batch.start,
                "reasons": [reason for reason, _ in self.refused],
                "records": [record for _, record in self.refused],
            }
            self._cursor.execute(self._sql["add_quarantined"], values)

    def _each(self, items: Sequence[_Item], store: Callable[[Sequence[_Item]], Callable[[], None]]) -> None:
        """Store ``items``; what ``store`` returns does the counting, once they are there."""
        if not items:
            return
        if not self._is_careful:
            store(items)()
            return
        try:
            with self._cursor.connection.transaction():  # a savepoint
                count = store(items)
        except REFUSED as error:
            self._memory.clear()  # some of it may have been rolled back
            if len(items) == 1:
                self.refused.append((_reason(error), _raw(items[0])))
                return
            middle = len(items) // 2
            self._each(items[:middle], store)
            self._each(items[middle:], store)
        else:
            count()

    def _store_calls(self, events: Sequence[_Placed]) -> Callable[[], None]:
        named = [event if event.tenant else replace(event, tenant=NO_TENANT) for _, event in events]
        kinds, contexts = self._memory.dictionary.learn(self._cursor, named)
        calls = list(zip([self._base + place for place, _ in events], named, kinds, contexts, strict=True))
        new = self._claim(calls)
        self._store_details(self._copy(new))

        def count() -> None:
            self.calls += len(new)
            self.duplicates += len(calls) - len(new)
            self.tenants.update([kind.tenant for kind in {kind for _, _, kind, _ in new}])

        return count

    def _claim(self, calls: list[_Call]) -> list[_Call]:
        """Return the calls less those that were counted before, by their natural keys."""
        if not any(event.natural_key for _, event, _, _ in calls):
            return calls
        first: dict[tuple[int, uuid.UUID], _Call] = {}
        for call in calls:
            _, event, kind, _ = call
            if event.natural_key:
                first.setdefault((kind.tenant_key, digest(event.service, event.natural_key)), call)
        keys = sorted(first)
        columns: dict[str, list[object]] = {
            "tenant_key": [tenant_key for tenant_key, _ in keys],
            "key": [key for _, key in keys],
            "call_id": [first[key][0] for key in keys],
            "at": [moment(first[key][1].at_ns) for key in keys],
        }
        claimed = {call_id for (call_id,) in self._cursor.execute(self._sql["claim_natural_keys"], columns).fetchall()}
        return [call for call in calls if not call[1].natural_key or call[0] in claimed]

    def _copy(self, calls: Sequence[_Call]) -> list[_Call]:
        """Store the rows of ``calls``; return the calls that may need more than a row."""
        if not calls:
            return []
        if self._memory.is_exempt is None:
            self._memory.is_exempt = bool(self._cursor.execute(self._sql["bypasses_rls"]).fetchall()[0][0])
        if not self._memory.is_exempt:
            self._cursor.execute(self._sql["stage"])
        unusual: list[_Call] = []
        with self._cursor.copy(self._sql["copy_calls" if self._memory.is_exempt else "copy_stage"]) as copy:
            copy.write(COPY_BEGIN)
            for first in range(0, len(calls), _PIECE):
                piece = calls[first : first + _PIECE]
                copy.write(b"".join(starmap(pack_row, piece)))
                unusual += [call for call in piece if not is_plain(call[1], call[2])]
            copy.write(COPY_END)
        if not self._memory.is_exempt:
            self._cursor.execute(self._sql["land_stage"])
        return unusual

    def _store_details(self, calls: Sequence[_Call]) -> None:
        """Store what of ``calls`` their rows and their kinds' rates do not tell."""
        if not calls:
            return
        self._memory.dictionary.learn_rates(self._cursor, [(event, kind) for _, event, kind, _ in calls])
        details = [detail_of(call_id, event, kind) for call_id, event, kind, _ in calls if not is_plain(event, kind)]
        if details:
            self._cursor.execute(self._sql["add_details"], {"details": as_json(details)})

    def _store_unsettled(self, endings: Sequence[Unsettled]) -> Callable[[], None]:
        tenants = [(ending.intent.tenant if ending.intent else "") or NO_TENANT for ending in endings]
        self._memory.dictionary.learn_tenants(self._cursor, tenants)
        columns: dict[str, list[object]] = {
            "tenant_key": [self._memory.dictionary.tenants[tenant] for tenant in tenants],
            "at": [moment(ending.intent.at_ns) if ending.intent else datetime.now(UTC) for ending in endings],
            "attempt": [uuid.UUID(bytes=ending.attempt) for ending in endings],
            "outcome": [ending.outcome for ending in endings],
            "reason": [ending.reason for ending in endings],
        }
        for column, name in _OF_INTENT.items():
            columns[column] = [getattr(ending.intent, name, "") for ending in endings]
        added = self._cursor.execute(self._sql["add_unsettled"], columns).rowcount

        def count() -> None:
            self.unsettled += added

        return count

    def _store_cache_uses(self, uses: Sequence[CacheUse]) -> Callable[[], None]:
        store_uses(self._cursor, self._memory.dictionary, uses)

        def count() -> None:
            self.cache_uses += len(uses)

        return count


_OF_INTENT = {
    "service": "service",
    "provider": "provider",
    "operation": "operation",
    "model": "model",
    "session_id": "session",
    "user_id": "user",
    "feature": "feature",
}


def _reason(error: BaseException) -> str:
    """Why a record was refused, in one line that quotes no value of it."""
    said = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return clean(f"{type(error).__name__}: {said or error}".partition("\n")[0])


def _raw(item: object) -> bytes:
    """The record as it came; an event without its place."""
    record = item[1] if isinstance(item, tuple) else item
    try:
        return msgspec.msgpack.encode(record)
    except (UnicodeEncodeError, OverflowError, TypeError):
        return repr(record).encode("utf-8", "backslashreplace")
