"""Ledgers on a real Postgres, and a superuser who sees what is really stored."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from integration.ledger.calls import Rows


@pytest.fixture
def rows(ledger_url: str) -> Iterator[Rows]:
    """Asks the database as a superuser, to whom no policy applies."""
    with psycopg.connect(ledger_url, autocommit=True) as connection:
        yield Rows(connection)
