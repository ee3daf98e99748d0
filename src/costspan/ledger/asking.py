"""A question's transaction: read-only, and as the role that may see no more than the answer.

A tenant's question runs as ``costspan_tenant``, where the database itself hides every other tenant's rows; a question
about all tenants runs as ``costspan_admin``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from costspan.errors import InvalidQuestion
from costspan.ledger.database import Cursor, Database, RefusedRows
from costspan.ledger.queries import queries
from costspan.ledger.tenant import tenant_named

__all__ = ["asking", "summing"]


@contextmanager
def asking(database: Database, tenant: str | None) -> Iterator[Cursor]:
    """A transaction that sees what is ``tenant``'s; everybody's for None.

    Raises:
        LedgerError: as `Database.transaction`.
    """
    sql = queries("ask")
    with database.transaction() as cursor:
        cursor.execute(sql["become_admin" if tenant is None else "become_tenant"])
        if tenant is not None:
            cursor.execute(sql["set_tenant"], {"tenant": tenant_named(tenant)})
        yield cursor


@contextmanager
def summing(database: Database, tenant: str | None) -> Iterator[Cursor]:
    """As `asking`; an answer that would lack what was dropped is refused by what sums, and here that gets its name.

    Raises:
        InvalidQuestion: as said; the message says from which day on it can be asked.
    """
    try:
        with asking(database, tenant) as cursor:
            yield cursor
    except RefusedRows as error:
        if isinstance(error.__cause__, psycopg.Error) and error.__cause__.diag.table_name == "retention":
            raise InvalidQuestion(str(error)) from error
        raise
