"""A real Postgres: one server for the whole run, a fresh database for each test that asks.

The server is the embedded one; ``COSTSPAN_TEST_DATABASE_URL`` (a superuser's login) names another, such as one of an older
version.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from costspan.ledger import Ledger, embedded
from costspan.settings import Settings

__all__ = [
    "database_url",
    "ledger",
    "ledger_template",
    "ledger_url",
    "new_database",
    "second_database_url",
    "server_url",
]


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A superuser's connection string to a running server."""
    given = os.environ.get("COSTSPAN_TEST_DATABASE_URL")
    if given:
        yield given
        return
    state = tmp_path_factory.mktemp("postgres")
    url = embedded.ensure(state).conninfo
    with psycopg.connect(url, autocommit=True) as connection:
        # A test's rows need not survive a power loss, and a database a test is made ten times as fast.
        connection.execute("alter system set fsync = off")
        connection.execute("select pg_reload_conf()")
    yield url
    embedded.release(state)


@pytest.fixture
def database_url(server_url: str) -> Iterator[str]:
    """A database of this test's own, empty."""
    with new_database(server_url) as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(server_url: str) -> Iterator[str]:
    """A database that the tests of one module share, empty at first."""
    with new_database(server_url) as url:
        yield url


@pytest.fixture
def second_database_url(server_url: str) -> Iterator[str]:
    """Another one on the same server: roles are shared with it."""
    with new_database(server_url) as url:
        yield url


@pytest.fixture(scope="session")
def ledger_template(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a migrated database, to be copied."""
    with new_database(server_url) as url:
        Ledger.connect(_settings(url, tmp_path_factory.mktemp("template"))).close()
        yield psycopg.conninfo.conninfo_to_dict(url)["dbname"]


@pytest.fixture
def ledger_url(server_url: str, ledger_template: str) -> Iterator[str]:
    """A database of this test's own, migrated."""
    with new_database(server_url, template=ledger_template) as url:
        yield url


@pytest.fixture
def ledger(ledger_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """A ledger of this test's own."""
    ledger = Ledger.connect(_settings(ledger_url, tmp_path))
    yield ledger
    ledger.close()


def _settings(url: str, state: Path) -> Settings:
    return Settings(database_url=url, state_dir=state)


@contextmanager
def new_database(server: str, template: str = "template1") -> Iterator[str]:
    """A database on ``server``, a copy of ``template``, dropped at the end."""
    name = f"test_{uuid4().hex[:16]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template))
        )
    yield make_conninfo(server, dbname=name)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
