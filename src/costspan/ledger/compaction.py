"""Days that are over leave the rows for slices.

A heap row costs 28 bytes before it holds anything, and its indexes as much again; a tenant's calls of a day, one array to a
few thousand of them, compress to half. Each unit of work is one transaction that leaves every sum as it was: readers never
see a gap or a double, and whoever is killed leaves nothing half done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import psycopg

from costspan.errors import LedgerError
from costspan.ledger.database import Cursor, Database
from costspan.ledger.queries import queries
from costspan.ledger.turn import Busy, asking, midnight, span, turn

__all__ = ["UNIT", "Compacted", "compact"]

#: Calls moved in one transaction at the most, unless an hour of one tenant has more. It takes a few seconds, for which late
#: calls of the same hours wait.
UNIT = 250_000
#: Calls of a slice at the most.
_SLICE = 8192
_ATTEMPTS = 5
#: How long to wait for the transactions that may still look for calls where they were. Nobody waits for this in vain: what
#: is empty is dropped the next time.
_PATIENCE_S = 2.0
_LOOK_EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a compaction moved."""

    calls: int = 0
    days: int = 0
    slices: int = 0
    """Written. There may be fewer now: a day's small ones are taken in when more of its calls come."""
    dropped: int = 0
    """Partitions that were empty."""
    is_complete: bool = True
    """Whether nothing that is due is left."""
    is_busy: bool = False
    """Whether another process is at it, and this one left for that reason."""


@dataclass(frozen=True, slots=True)
class _Unit:
    """The calls of [start, end) of the tenants with the keys from first to last."""

    day: date
    first: int
    last: int
    start: datetime
    end: datetime


class _Uneven(Exception):
    """Sums that were moved are not those of the calls: an hour was begun and added to since its sums were held."""


def compact(
    database: Database, before: date, *, progress: Callable[[int, int], None] | None = None, limit: int | None = None
) -> Compacted:
    """Move the calls of days that are over into slices.

    Args:
        database: where to.
        before: the first day (UTC) that stays as it is.
        progress: told how many calls of how many are done.
        limit: stop when about so many calls are moved.

    Raises:
        LedgerError: as `Database.transaction`. What was moved before stays moved.
    """
    due = asking(database, "due_days", before=midnight(before))
    total, calls, slices, days = sum(count for _, count in due), 0, 0, set[date]()
    try:
        for unit in _units(database, [day for day, _ in due], min(UNIT, limit or UNIT)):
            if limit is not None and calls >= limit:
                return Compacted(calls, len(days), slices, is_complete=False)
            moved, written = _move(database, unit)
            calls, slices = calls + moved, slices + written
            days.add(unit.day)
            if progress is not None:
                progress(min(calls, total), total)
        dropped = _drop_empty(database, before)
    except Busy:
        return Compacted(calls, len(days), slices, is_complete=False, is_busy=True)
    return Compacted(calls, len(days), slices, dropped)


def _units(database: Database, days: Sequence[date], most: int) -> Iterator[_Unit]:
    """Tenants whose keys follow each other, of ``most`` calls together; of a larger tenant hours that do."""
    for day in days:
        start, end = midnight(day), midnight(day + timedelta(days=1))
        for tenants in _groups(asking(database, "due_tenants", start=start, end=end), most):
            first, last = tenants[0][0], tenants[-1][0]
            if len(tenants) > 1 or tenants[0][-1] <= most:
                yield _Unit(day, first, last, start, end)
                continue
            for hours in _groups(asking(database, "due_hours", start=start, end=end, tenant=first), most):
                yield _Unit(day, first, first, hours[0][0], hours[-1][0] + timedelta(hours=1))


def _groups(rows: Sequence[tuple[Any, ...]], most: int) -> Iterator[list[tuple[Any, ...]]]:
    """Rows that follow each other, until they have ``most`` calls together; their number is the last column."""
    group: list[tuple[Any, ...]] = []
    calls = 0
    for row in rows:
        if group and calls + row[-1] > most:
            yield group
            group, calls = [], 0
        group.append(row)
        calls += row[-1]
    if group:
        yield group


def _move(database: Database, unit: _Unit) -> tuple[int, int]:
    for _ in range(_ATTEMPTS):
        try:
            return _attempt(database, unit)
        except _Uneven:
            continue
    raise LedgerError(
        f"the sums of {unit.day} are not those of its calls, so nothing of it was moved: see `costspan ledger verify`"
    )


def _attempt(database: Database, unit: _Unit) -> tuple[int, int]:
    """Hold the sums, so that late calls wait; then move, in one statement that sees all that was committed before.

    Not under one snapshot for both: it would be older than the lock, and a writer that is never done with these hours would
    make each attempt fail.
    """
    sql = queries("keep")
    values: dict[str, object] = {
        "day": unit.day,
        "midnight": midnight(unit.day),
        "first": unit.first,
        "last": unit.last,
        "start": unit.start,
        "end": unit.end,
        "size": _SLICE,
    }
    with turn(database) as cursor:
        cursor.execute(sql["lock_sums"], values)
        calls, slices, is_even = cursor.execute(sql["compact"], values).fetchall()[0]
        if not is_even:
            raise _Uneven
    return calls, slices


def _drop_empty(database: Database, before: date) -> int:
    """Drop the partitions that nothing is in any more: 30 days of them cost as much as 50,000 calls."""
    found = asking(database, "old_partitions", before=before)
    return sum(_drop(database, table, day) for table, day in found)


def _drop(database: Database, table: str, day: date) -> bool:
    sql = queries("keep")
    try:
        with turn(database) as cursor:
            if not cursor.execute(sql[f"is_empty_{table}"], span(day)).fetchall()[0][0] or not _is_last_seen(cursor):
                return False
            return bool(cursor.execute(sql["drop_day"], {"table": table, "day": day}).fetchall()[0][0])
    except LedgerError as error:
        if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
            return False  # somebody reads or writes at length; another time
        raise


def _is_last_seen(cursor: Cursor) -> bool:
    """Whether every transaction that may have a snapshot with something in it is over; waits for them a little.

    This one keeps other keepers out, so what is empty now and filled by late calls meanwhile cannot be emptied again.
    """
    sql = queries("keep")
    older = set(cursor.execute(sql["transactions"]).fetchall()[0][0])
    until = time.monotonic() + _PATIENCE_S
    while older:
        if time.monotonic() > until:
            return False
        time.sleep(_LOOK_EVERY_S)
        older &= set(cursor.execute(sql["transactions"]).fetchall()[0][0])
    return True
