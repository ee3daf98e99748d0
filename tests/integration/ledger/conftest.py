"""Ledgers on a real Postgres, and a superuser who sees what is really stored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from costspan.ledger import Ledger
from costspan.settings import Settings
from integration.ledger.calls import Rows
from integration.ledger.two_tenants import World, fill


@pytest.fixture
def rows(ledger_url: str) -> Iterator[Rows]:
    """Asks the database as a superuser, to whom no policy applies."""
    with psycopg.connect(ledger_url, autocommit=True) as connection:
        yield Rows(connection)


@pytest.fixture(scope="module")
def shared_ledger(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A ledger that the tests of a module share, each with tenants of its own."""
    settings = Settings(database_url=module_database_url, state_dir=Path(tmp_path_factory.mktemp("shared")))
    ledger = Ledger.connect(settings)
    yield ledger
    ledger.close()


@pytest.fixture(scope="module")
def world(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two tenants with something in every table. The tests of a module share it, and change nothing."""
    settings = Settings(database_url=module_database_url, state_dir=Path(tmp_path_factory.mktemp("world")))
    ledger = Ledger.connect(settings)
    with (
        psycopg.connect(module_database_url, autocommit=True) as superuser,
        psycopg.connect(module_database_url, autocommit=True) as another,
    ):
        superuser.execute("set search_path = public")  # one named costspan would find our schema without its name
        rows = Rows(superuser)
        fill(ledger, rows)
        yield World(module_database_url, ledger, rows, another)
    ledger.close()
