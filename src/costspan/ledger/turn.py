"""Whose turn it is to keep the ledger: one transaction at a time in a database, whichever process it is of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

from costspan.ledger.database import Cursor, Database
from costspan.ledger.queries import queries

__all__ = ["Busy", "asking", "midnight", "span", "turn"]


class Busy(Exception):
    """Another keeper is at it."""


@contextmanager
def turn(database: Database) -> Iterator[Cursor]:
    """A transaction as keeper, the only such one in this database. Each statement sees what was committed before it.

    Raises:
        Busy: another one is under way.
        LedgerError: as `Database.transaction`.
    """
    sql = queries("keep")
    with database.transaction() as cursor:
        cursor.execute(sql["become"])
        if not cursor.execute(sql["take_turn"]).fetchall()[0][0]:
            raise Busy
        yield cursor


def asking(database: Database, name: str, **values: object) -> list[tuple[Any, ...]]:
    """The rows of a question, asked as keeper in a transaction of its own."""
    sql = queries("keep")
    with database.transaction() as cursor:
        cursor.execute(sql["become"])
        return cursor.execute(sql[name], values).fetchall()


def midnight(day: date) -> datetime:
    """The first instant of a day (UTC)."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def span(day: date) -> dict[str, object]:
    """A day (UTC) as the statements want it: with its first instant and that of the next."""
    return {"day": day, "start": midnight(day), "end": midnight(day + timedelta(days=1))}
