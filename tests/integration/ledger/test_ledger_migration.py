"""The schema arrives whole or not at all, whoever brings it and however often."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4
from zoneinfo import ZoneInfo

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

import costspan.ledger
from costspan.errors import LedgerError, LedgerUnavailable, MigrationError
from costspan.ledger import Ledger, embedded
from costspan.ledger.database import Database
from costspan.ledger.migration import Migration, migrate, shipped
from costspan.ledger.queries import queries
from costspan.settings import Settings
from integration.ledger.calls import batch, call
from integration.ledger.catalogue import schema


@contextmanager
def database(url: str) -> Iterator[Database]:
    """A connection that is closed at the end."""
    opened = Database(lambda: url)
    try:
        yield opened
    finally:
        opened.close()


def ask(url: str, query: str) -> list[tuple[object, ...]]:
    """What a superuser sees."""
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(query).fetchall()


def test_an_empty_database_gets_everything_and_a_second_time_nothing(database_url):
    """Migrating is safe to repeat."""
    with database(database_url) as opened:
        first = migrate(opened)
        before = schema(database_url)
        second = migrate(opened)

    assert first == tuple(step.name for step in shipped())
    assert second == ()
    assert schema(database_url) == before
    assert ask(database_url, "select count(*) from costspan.migration") == [(len(shipped()),)]


def test_numbers_have_no_gap_and_files_say_what_they_do():
    """0001_what.sql, 0002_what.sql, …: the order is in the name."""
    assert [step.number for step in shipped()] == list(range(1, len(shipped()) + 1))
    assert all(step.name[:4].isdigit() and step.name[4] == "_" for step in shipped())
    assert all(step.sql.startswith("-- ") for step in shipped())


def test_every_query_has_a_name_of_its_own():
    """A name that is there twice would silently be the last one."""
    folder = Path(costspan.ledger.__file__).parent / "sql"
    for file in ("read", "write", "migrate"):
        assert (folder / f"{file}.sql").read_text().count("-- name: ") == len(queries(file))


def test_many_processes_migrate_at_once(database_url, second_database_url):
    """Eight connections, two databases of one cluster: each migration is applied once in each."""
    applied: dict[str, list[str]] = {database_url: [], second_database_url: []}

    def run(url: str) -> None:
        with database(url) as opened:
            applied[url] += migrate(opened)

    threads = [threading.Thread(target=run, args=(url,)) for url in [*applied] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for names in applied.values():
        assert sorted(names) == [step.name for step in shipped()]
    assert schema(database_url) == schema(second_database_url)


def test_databases_of_a_new_cluster_make_its_roles_at_once(tmp_path):
    """The roles are made by whoever is first; the others take them."""
    server = embedded.ensure(tmp_path / "state").conninfo
    urls = [make_conninfo(server, dbname=name) for name in ("one", "two")]
    with psycopg.connect(server, autocommit=True) as superuser:
        superuser.execute("create database one")
        superuser.execute("create database two")

    test_many_processes_migrate_at_once(*urls)

    embedded.release(tmp_path / "state")


def test_a_failed_migration_leaves_no_half(database_url):
    """What ran before the error is undone, and the version before still works."""
    broken = Migration(
        99, "0099_broken", "create table costspan.half (a int); select 1 / 0; create table costspan.rest (a int)"
    )
    with database(database_url) as opened:
        migrate(opened)
        before = schema(database_url)

        with pytest.raises(MigrationError, match="0099_broken and was rolled back: division by zero"):
            migrate(opened, [*shipped(), broken])

        assert schema(database_url) == before
        assert migrate(opened) == ()


def test_a_failure_on_the_way_keeps_what_was_whole(database_url):
    """Each migration is a transaction of its own; the next attempt goes on after the last that succeeded."""
    first, *rest = shipped()
    broken = Migration(2, "0002_broken", "select nonsense")
    with database(database_url) as opened:
        with pytest.raises(MigrationError, match="0002_broken"):
            migrate(opened, [first, broken])

        assert migrate(opened) == tuple(step.name for step in rest)


def test_a_newer_schema_is_refused(ledger_url, tmp_path):
    """An old costspan does not write into what it does not know."""
    with psycopg.connect(ledger_url) as connection:
        connection.execute("insert into costspan.migration (number, name, checksum) values (9999, '9999_future', '')")

    with pytest.raises(MigrationError, match=r"9999_future.*upgrade costspan"):
        Ledger.connect(Settings(database_url=ledger_url, state_dir=tmp_path))


def test_a_changed_migration_is_noticed(ledger_url, tmp_path):
    """What was applied must be what is shipped."""
    with psycopg.connect(ledger_url) as connection:
        connection.execute("update costspan.migration set checksum = 'other' where number = 1")

    with pytest.raises(MigrationError, match="0001_tables"):
        Ledger.connect(Settings(database_url=ledger_url, state_dir=tmp_path))


@contextmanager
def login(url: str, *options: str, member_of: tuple[str, ...] = ()) -> Iterator[str]:
    """The connection string of a new login to the database of ``url``."""
    name = f"login_{uuid4().hex[:12]}"
    with psycopg.connect(url, autocommit=True) as superuser:
        superuser.execute(
            sql.SQL("create role {} login password 'p' " + " ".join(options)).format(sql.Identifier(name))
        )
        for role in member_of:
            superuser.execute(sql.SQL("grant {} to {}").format(sql.Identifier(role), sql.Identifier(name)))
        try:
            yield make_conninfo(url, user=name, password="p")
        finally:
            superuser.execute(sql.SQL("drop owned by {0} cascade; drop role {0}").format(sql.Identifier(name)))


def test_a_login_that_may_not_migrate_is_told_what_a_superuser_must_run(database_url):
    """And when that was run, it may."""
    with login(database_url) as url, database(url) as opened:
        with pytest.raises(MigrationError, match="may not prepare the ledger") as error:
            migrate(opened)
        asked_for = str(error.value).split("\n", 1)[1]
        with psycopg.connect(database_url, autocommit=True) as superuser:
            for statement in asked_for.splitlines():
                superuser.execute(statement)

        assert migrate(opened) == tuple(step.name for step in shipped())


def test_a_login_that_only_uses_the_ledger_needs_no_right_to_migrate(ledger_url, tmp_path):
    """Membership in three roles is enough to write and to ask; the owner's and the keeper's are not needed."""
    roles = ("costspan_writer", "costspan_tenant", "costspan_admin")
    with login(ledger_url, "noinherit", member_of=roles) as url:
        ledger = Ledger.connect(Settings(database_url=url, state_dir=tmp_path))
        written = ledger.write(batch([call()]), uuid4())
        spent = ledger.daily_costs("acme", "2026-11-21").total
        ledger.close()

    assert (written.calls, spent.calls) == (1, 1)


def test_a_login_without_any_role_is_told_which(ledger_url, tmp_path):
    """The error has the very statement."""
    with (
        login(ledger_url) as url,
        pytest.raises(MigrationError, match="GRANT costspan_writer, costspan_keeper, costspan_admin"),
    ):
        Ledger.connect(Settings(database_url=url, state_dir=tmp_path))


def test_a_login_that_may_only_read_is_told_when_it_writes(ledger_url, tmp_path):
    """A missing role is an error of its own, not an outage."""
    with login(ledger_url, member_of=("costspan_admin", "costspan_tenant")) as url:
        ledger = Ledger.connect(Settings(database_url=url, state_dir=tmp_path))
        assert ledger.daily_costs("acme").total.calls == 0

        with pytest.raises(LedgerError, match="the login needs") as error:
            ledger.write(batch([call()]), uuid4())
        ledger.close()

    assert not isinstance(error.value, LedgerUnavailable)


def test_a_login_that_may_make_roles_needs_no_superuser(server_url, database_url):
    """With CREATEROLE and a database of its own; the writer is then subject to row level security, and writes all the same."""
    name = conninfo_to_dict(database_url)["dbname"]
    with (
        login(database_url, "createrole", "createdb") as url,
        psycopg.connect(database_url, autocommit=True) as superuser,
    ):
        who = conninfo_to_dict(url)["user"]
        superuser.execute(sql.SQL("alter database {} owner to {}").format(sql.Identifier(name), sql.Identifier(who)))
        for role in ("owner", "writer", "keeper", "tenant", "admin"):  # as if this login had made them
            option = sql.SQL("with admin option")
            superuser.execute(
                sql.SQL("grant {} to {} {}").format(sql.Identifier(f"costspan_{role}"), sql.Identifier(who), option)
            )
        with database(url) as opened:
            assert migrate(opened) == tuple(step.name for step in shipped())
            ledger = Ledger(opened, ZoneInfo("UTC"))
            assert ledger.write(batch([call()]), uuid4()).calls == 1
        superuser.execute(sql.SQL("alter database {} owner to current_user").format(sql.Identifier(name)))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:s3cret@127.0.0.1:1/x",
        "host=127.0.0.1 port=1 password=s3cret",
        "postgresql://u:s3cret@nowhere.invalid/x",
    ],
)
def test_a_server_that_is_not_there_is_an_outage(url, tmp_path):
    """Nobody answers: the error says so, without the password."""
    with pytest.raises(LedgerUnavailable) as error:
        Ledger.connect(Settings(database_url=url, state_dir=tmp_path))

    assert "s3cret" not in str(error.value)


def test_a_url_that_cannot_be_read_does_not_show_its_password(tmp_path):
    """The driver's message repeats the string; ours does not."""
    with pytest.raises(LedgerUnavailable, match="allowed is postgresql://") as error:
        Ledger.connect(Settings(database_url="postgres//u:s3cret@host/x", state_dir=tmp_path))

    assert "s3cret" not in str(error.value)
    assert error.value.__cause__ is None


def test_a_read_only_database_is_an_outage(ledger, ledger_url, rows):
    """It can be asked and not written; the journal keeps what comes."""
    ledger.write(batch([call()]), uuid4())
    rows.connection.execute(
        sql.SQL("alter database {} set default_transaction_read_only = on").format(
            sql.Identifier(conninfo_to_dict(ledger_url)["dbname"])
        )
    )
    ledger.close()

    with pytest.raises(LedgerUnavailable, match="read-only"):
        ledger.write(batch([call()]), uuid4())

    assert ledger.daily_costs("acme", "2026-11-21").total.calls == 1


def test_who_only_meters_does_not_import_the_driver():
    """The names of the ledger are there before psycopg is."""
    code = "import costspan.ledger, sys; from costspan.ledger import Drainer; sys.exit('psycopg' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_package_names_what_it_offers():
    """Every name of the table of contents can be imported; any other is an AttributeError."""
    for name in costspan.ledger.__all__:
        assert getattr(costspan.ledger, name).__name__ == name
    assert costspan.ledger.__all__ == sorted(costspan.ledger.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        costspan.ledger.nothing  # noqa: B018
