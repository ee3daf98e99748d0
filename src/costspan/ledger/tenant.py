"""A tenant by its name and by its key, for who sets something for one: budgets, tokens."""

from __future__ import annotations

from costspan.attribution import NO_TENANT
from costspan.ledger.database import Cursor
from costspan.ledger.queries import queries
from costspan.text import clean

__all__ = ["find_key", "key_of", "tenant_named"]


def tenant_named(tenant: str) -> str:
    """Return ``tenant`` as the ledger has it."""
    return clean(tenant) or NO_TENANT


def find_key(cursor: Cursor, tenant: str) -> int | None:
    """Return the key of ``tenant``; None where nobody heard of it."""
    row = cursor.execute(queries("tenant")["find"], {"tenant": tenant}).fetchone()
    return None if row is None else int(row[0])


def key_of(cursor: Cursor, tenant: str) -> int:
    """Return the key of ``tenant``; one that nobody heard of gets one. As keeper."""
    key = find_key(cursor, tenant)
    if key is None:
        cursor.execute(queries("tenant")["add"], {"tenant": tenant})
        key = find_key(cursor, tenant)
    assert key is not None  # noqa: S101  # for the type: what was added, here or by another, is found
    return key
