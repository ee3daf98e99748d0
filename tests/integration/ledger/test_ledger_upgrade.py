"""A ledger of any earlier version comes to this one with all that is in it: alone, two at once, killed, or failing on the way."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

import costspan
from costspan.errors import MigrationError
from costspan.ledger import Ledger, embedded
from costspan.ledger.database import Database
from costspan.ledger.migration import Migration, migrate, shipped
from integration.ledger.calls import Rows
from integration.ledger.catalogue import schema
from integration.ledger.cold import differences
from integration.ledger.earlier import Totals, contents, fill, totals

TESTS = Path(__file__).resolve().parents[2]
SOURCE = Path(costspan.__file__).resolve().parents[1]
#: How many migrations an earlier version had: every number but all of them.
EARLIER = range(1, len(shipped()))
START, END = datetime(2026, 11, 18, tzinfo=UTC), datetime(2026, 11, 22, tzinfo=UTC)


@contextmanager
def database(url: str) -> Iterator[Database]:
    """A connection that is closed at the end."""
    opened = Database(lambda: url)
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture
def earlier(database_url):
    """Makes this test's database one of the version with so many migrations, with data."""

    def make(number: int) -> str:
        with database(database_url) as opened:
            migrate(opened, shipped()[:number])
        fill(database_url)
        return database_url

    return make


@pytest.fixture(scope="module")
def head(server_url, module_database_url):
    """The schema of a database that was never another."""
    with database(module_database_url) as opened:
        migrate(opened)
    return schema(module_database_url)


def as_read(ledger: Ledger) -> Totals:
    """What the reader of this version says, as `totals` does."""
    rows = ledger.summary(START, END, by=("tenant", "day", "service", "status")).rows
    return {
        (str(row.keys["tenant"]), row.keys["day"], str(row.keys["service"]), str(row.keys["status"])): (
            row.calls, row.tokens_in, row.tokens_out, row.cost,
        )
        for row in rows
    }  # fmt: skip


def check(url: str, before: Totals) -> None:
    """Every reader of this version says what was true before, also after it has moved all of it into slices."""
    with database(url) as opened, psycopg.connect(url, autocommit=True) as connection:
        ledger = Ledger(opened, ZoneInfo("UTC"))
        for _ in ("as it came", "compacted"):
            assert as_read(ledger) == before == totals(url)
            sessions = ledger.summary(START, END, by=("session",)).total
            assert (sessions.calls, sessions.cost) == (900, sum((row[3] for row in before.values()), Decimal()))
            (seen,) = connection.execute(
                "select count(*), count(distinct id), sum(cost_usd) from ai_usage_metrics"
            ).fetchall()
            assert seen == (900, 900, sessions.cost)
            assert (differences(Rows(connection)), Rows(connection).rollup_differs) == ([], [])
            assert [check for check in ledger.verify(is_whole=True).checks if check.wrong] == []
            ledger.compact(date(2026, 11, 23))
        assert Rows(connection).calls == 0
        assert (ledger.audit().intents, ledger.audit().calls) == (904, 900)


@pytest.mark.parametrize("number", EARLIER)
def test_every_earlier_version_comes_with_its_data(earlier, head, number):
    """The schema is that of a new database, not a value is changed, and what was true before is what is read."""
    url = earlier(number)
    before, (columns, was) = totals(url), contents(url)
    assert sum(row[0] for row in before.values()) == 900

    with database(url) as opened:
        applied = migrate(opened)

    assert applied == tuple(step.name for step in shipped()[number:])
    assert schema(url) == head
    assert contents(url, columns)[1] == was
    check(url, before)


@contextmanager
def migrating(url: str) -> Iterator[subprocess.Popen[str]]:
    """A process that is ready to migrate."""
    process = subprocess.Popen(
        [sys.executable, "-m", "integration.ledger.migrating_process", url],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCE), str(TESTS)])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def go(process: subprocess.Popen[str]) -> None:
    """Let it begin."""
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.parametrize("number", [0, *EARLIER])
def test_two_processes_migrate_at_once(database_url, earlier, head, number):
    """Each migration is applied by one of them, and both end well."""
    if number:
        earlier(number)
        before, (columns, was) = totals(database_url), contents(database_url)
    with migrating(database_url) as one, migrating(database_url) as other:
        go(one)
        go(other)
        applied = [name for process in (one, other) for name in process.stdout.readline().strip().split(",") if name]
        assert (one.wait(60), other.wait(60)) == (0, 0)

    assert sorted(applied) == [step.name for step in shipped()[number:]]
    assert schema(database_url) == head
    if number:
        assert (contents(database_url, columns)[1], totals(database_url)) == (was, before)


@pytest.mark.parametrize("number", EARLIER)
def test_a_process_that_is_killed_in_the_middle_leaves_no_half(earlier, head, number):
    """Killed with some statements of a migration done and the next one waiting: nothing of it stays, and another begins anew."""
    url = earlier(number)
    before, was_schema, (columns, was) = totals(url), schema(url), contents(url)
    with psycopg.connect(url) as holder, migrating(url) as process:
        for table in columns:
            holder.execute(sql.SQL("lock table {} in access exclusive mode").format(sql.Identifier("costspan", table)))
        go(process)
        waiting = wait_for_one_that_waits(url)
        process.kill()
        process.wait(60)
        holder.rollback()
        wait_until_gone(url, waiting)

    with psycopg.connect(url) as connection:
        done = connection.execute("select count(*) from costspan.migration").fetchall()[0][0]
    assert done < len(shipped())
    if done == number:
        assert schema(url) == was_schema
    with database(url) as opened:
        assert migrate(opened) == tuple(step.name for step in shipped()[done:])
    assert schema(url) == head
    assert (contents(url, columns)[1], totals(url)) == (was, before)


def wait_for_one_that_waits(url: str) -> int:
    """The backend that waits for a table's lock, once there is one."""
    query = """
        select pid from pg_stat_activity
        where datname = current_database() and application_name = 'costspan' and wait_event_type = 'Lock'
            and wait_event = 'relation'
    """
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(600):
            if found := connection.execute(query).fetchall():
                return int(found[0][0])
            time.sleep(0.05)
    raise AssertionError("nobody waits")


def wait_until_gone(url: str, backend: int) -> None:
    """Until the server has noticed that a client is no more, and rolled back."""
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(600):
            if not connection.execute("select from pg_stat_activity where pid = %s", [backend]).fetchall():
                return
            time.sleep(0.05)
    raise AssertionError("the backend is still there")


@pytest.mark.parametrize("number", EARLIER)
def test_a_step_that_fails_half_way_leaves_no_half(earlier, head, number):
    """What it made and changed before it failed is undone, and the steps that are shipped go on from there."""
    url = earlier(number)
    broken = Migration(
        number + 1,
        f"{number + 1:04}_broken",
        "-- fails\n"
        "create table costspan.half (a int); insert into costspan.half values (1);\n"
        "alter table costspan.call_context add column half int not null default 7;\n"
        "update costspan.writer set position = 0; drop table costspan.quarantine;\n"
        "grant usage on schema costspan to public; select 1 / 0; create table costspan.rest (a int)",
    )
    before, was_schema, (columns, was) = totals(url), schema(url), contents(url)
    with database(url) as opened:
        with pytest.raises(MigrationError, match=rf"{broken.name} and was rolled back: division by zero"):
            migrate(opened, [*shipped()[:number], broken])

        assert (schema(url), contents(url)) == (was_schema, (columns, was))
        assert migrate(opened) == tuple(step.name for step in shipped()[number:])

    assert schema(url) == head
    assert (contents(url, columns)[1], totals(url)) == (was, before)


def test_a_ledger_of_before_the_keeper_says_what_to_run(tmp_path):
    """A login that may not make roles is told the missing ones; the statements run as they stand, and then it migrates."""
    server = embedded.ensure(tmp_path / "state").conninfo
    with psycopg.connect(server, autocommit=True) as superuser:
        superuser.execute("create database old")
        url = make_conninfo(server, dbname="old")
        with database(url) as opened:
            migrate(opened, shipped()[:3])
        fill(url)
        before = totals(url)
        superuser.execute("drop role costspan_keeper")
        superuser.execute("create role app login password 'p'")
        superuser.execute("grant costspan_owner, costspan_writer, costspan_tenant, costspan_admin to app")

    with database(make_conninfo(url, user="app", password="p")) as opened:
        with pytest.raises(MigrationError, match="login 'app' may not prepare the ledger") as error:
            migrate(opened)
        statements = [line.strip() for line in str(error.value).splitlines()[1:]]
        assert [line for line in statements if "CREATE ROLE" in line] == ["CREATE ROLE costspan_keeper NOLOGIN;"]
        with psycopg.connect(url, autocommit=True) as superuser:
            for statement in statements:
                superuser.execute(statement)
        assert migrate(opened) == tuple(step.name for step in shipped()[3:])

        ledger = Ledger(opened, ZoneInfo("UTC"))
        assert as_read(ledger) == before
        assert ledger.compact(date(2026, 11, 23)).calls == 900
        assert ledger.set_budget("acme", "day", Decimal(25)) is True
        assert as_read(ledger) == before

    embedded.release(tmp_path / "state")
