"""Days that are too old lose their calls, and keep their sums for ever.

Dropped are the calls one by one, their details and corrections, sums by session, user and feature, and the names that
nothing else refers to. Kept are the sums per quarter of an hour, model, operation and tenant; those of caches without
the feature.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date

import psycopg

from costspan.errors import LedgerError
from costspan.ledger.caches import drop_features
from costspan.ledger.compaction import compact
from costspan.ledger.database import Database
from costspan.ledger.queries import queries
from costspan.ledger.turn import Busy, asking, midnight, span, turn

__all__ = ["Retained", "droppable", "retain"]

#: Contexts dropped in one transaction, for which writers wait.
_CONTEXTS = 50_000


@dataclass(frozen=True, slots=True)
class Retained:
    """What was dropped, or would be."""

    kept_since: date
    """The first day (UTC) that keeps its calls."""
    calls: int = 0
    days: int = 0
    contexts: int = 0
    """Combinations of session, user, feature and tags that no call has any more."""
    is_complete: bool = True
    """Whether nothing that is too old is left."""
    is_busy: bool = False
    """Whether another process is at it, and this one left for that reason."""


def droppable(database: Database, kept_since: date) -> Retained:
    """What `retain` would drop; without the contexts, which nobody knows before."""
    hot = asking(database, "due_days", before=midnight(kept_since))
    cold = asking(database, "old_days", kept_since=kept_since)
    days = {day for day, _ in hot} | {day for day, _ in cold}
    return Retained(kept_since, sum(calls for _, calls in (*hot, *cold)), len(days))


def retain(
    database: Database,
    kept_since: date,
    *,
    progress: Callable[[int, int], None] | None = None,
    limit: int | None = None,
) -> Retained:
    """Drop the calls of days that are too old. Those that are still rows are summed up first.

    Args:
        database: where from.
        kept_since: the first day (UTC) that keeps its calls.
        progress: told how many calls of how many are dropped.
        limit: stop when about so many calls are moved or dropped; and look for names only where a day was dropped.

    Raises:
        LedgerError: as `Database.transaction`. What was dropped before stays dropped.
    """
    done = Retained(kept_since)
    moved = compact(database, kept_since, limit=limit)
    if not moved.is_complete:
        return replace(done, is_complete=False, is_busy=moved.is_busy)
    old = asking(database, "old_days", kept_since=kept_since)
    total = sum(calls for _, calls in old)
    try:
        for day, _ in old:
            if limit is not None and done.calls >= limit:
                return replace(done, is_complete=False)
            done = replace(done, calls=done.calls + _drop_calls(database, day), days=done.days + 1)
            if progress is not None:
                progress(min(done.calls, total), total)
        if done.days or limit is None:  # hourly, mostly no day became too old, and to look for names takes long
            with turn(database) as cursor:
                cursor.execute(queries("keep")["drop_names"], {"start": midnight(kept_since)})
                drop_features(cursor, midnight(kept_since))
            done = replace(done, contexts=_forget_contexts(database))
    except Busy:
        return replace(done, is_complete=False, is_busy=True)
    return done


def _drop_calls(database: Database, day: date) -> int:
    sql = queries("keep")
    with turn(database) as cursor:
        calls = cursor.execute(sql["note_retention"], span(day)).fetchall()[0][0]
        cursor.execute(sql["drop_calls"], span(day))
    return int(calls)


def _forget_contexts(database: Database) -> int:
    """Drop the contexts that nothing refers to. A writer that remembers one is refused by the database, and asks again."""
    sql, forgotten = queries("keep"), 0
    while True:
        try:
            with turn(database) as cursor:
                unused = cursor.execute(sql["unused_contexts"], {"limit": _CONTEXTS}).fetchall()[0][0]
                if unused:
                    cursor.execute(sql["stop_writers"])
                    forgotten += cursor.execute(sql["forget_contexts"], {"contexts": unused}).fetchall()[0][0]
        except LedgerError as error:
            if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                return forgotten  # a batch takes long; another time
            raise
        if len(unused) < _CONTEXTS:
            return forgotten
