"""A question's transaction: read-only, and as the role that may see no more than the answer.

A tenant's question runs as ``costspan_tenant``, where the database itself hides every other tenant's rows; a question
about all tenants runs as ``costspan_admin``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from costspan.attribution import NO_TENANT
from costspan.ledger.database import Cursor, Database
from costspan.ledger.queries import queries
from costspan.text import clean

__all__ = ["asking"]


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
            cursor.execute(sql["set_tenant"], {"tenant": clean(tenant) or NO_TENANT})
        yield cursor
