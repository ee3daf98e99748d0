"""A drain keeps the ledger small by itself: about hourly, a little at a time, and only where it may."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from costspan.ledger import Drainer, Ledger, drain, upkeep
from costspan.ledger.upkeep import Upkeep
from costspan.settings import Settings
from integration.ledger.calls import NOON, MemorySegment, call
from integration.ledger.race import Journals

TODAY = NOON.date()


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Seconds since the start."""
        return self.now


@pytest.fixture
def keeping(ledger_url: str, tmp_path: Path):
    """A ledger of that day at noon, which keeps ten days."""
    ledger = Ledger.connect(Settings(database_url=ledger_url, state_dir=tmp_path, retention_days=10), now=lambda: NOON)
    yield ledger
    ledger.close()


def test_what_is_due_is_done_about_hourly(monkeypatch, rows, keeping):
    """First some minutes after the start, in small pieces; then not before the next hour."""
    monkeypatch.setattr(upkeep, "_CALLS", 1)
    journals, clock = Journals(keeping), Clock()
    journals.write(*(call(NOON - timedelta(days=n)) for n in (0, 3, 4, 20)))
    work = Upkeep(clock)

    early = work.work(keeping)
    clock.now = 300
    pieces = 1
    while work.work(keeping):
        pieces += 1
    done = rows("select at::date from costspan.call"), rows("select day from costspan.call_slice order by 1")
    journals.write(call(NOON - timedelta(days=5)))
    clock.now = 3899
    too_soon = work.work(keeping), rows.calls
    clock.now = 3900
    work.work(keeping)

    assert not early
    assert pieces == 3
    assert done == ([(TODAY,)], [(TODAY - timedelta(days=4),), (TODAY - timedelta(days=3),)])
    assert rows("select kept_since from costspan.retention") == [(TODAY - timedelta(days=19),)]
    assert too_soon == (False, 2)
    assert rows.calls == 1


def test_a_turn_that_is_taken_is_left_to_the_other(rows, keeping, ledger_url):
    """It does not wait for the other one, and comes back in an hour."""
    Journals(keeping).write(call(NOON - timedelta(days=3)))
    clock = Clock()
    work = Upkeep(clock)
    clock.now = 300

    with psycopg.connect(ledger_url) as other:
        other.execute("select pg_advisory_xact_lock(hashtextextended('costspan.keeper', 0))")
        found = work.work(keeping)
    again = work.work(keeping)

    assert not found
    assert not again
    assert rows.calls == 1


def test_a_login_that_may_only_write_says_so_once_and_quietly(caplog, rows, ledger, ledger_url, tmp_path):
    """No warning: somebody else keeps that ledger."""
    Journals(ledger).write(call(NOON - timedelta(days=300)))
    name = f"writer_{uuid4().hex[:12]}"
    rows.connection.execute(sql.SQL("create role {} login password 'x'").format(sql.Identifier(name)))
    rows.connection.execute(sql.SQL("grant costspan_writer to {}").format(sql.Identifier(name)))
    only_writing = Ledger.connect(
        Settings(database_url=make_conninfo(ledger_url, user=name, password="x"), state_dir=tmp_path)
    )
    clock = Clock()
    work = Upkeep(clock)

    with caplog.at_level(logging.DEBUG, "costspan"):
        for hour in range(3):
            clock.now = 300 + 3600 * hour
            assert not work.work(only_writing)
    only_writing.close()
    rows.connection.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))

    assert [record.levelno for record in caplog.records] == [logging.DEBUG]
    assert "is not compacted by this process" in caplog.text
    assert rows.calls == 1


def test_a_ledger_that_is_away_is_no_news(caplog, rows, keeping):
    """The drain itself tells when Postgres is away; this comes back in an hour."""
    clock = Clock()
    work = Upkeep(clock)
    clock.now = 300
    rows(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    )

    with caplog.at_level(logging.INFO, "costspan"):
        assert not work.work(keeping)

    assert caplog.records == []


def test_sums_that_are_wrong_are_told(caplog, rows, keeping):
    """A ledger that was tampered with is worth a warning, each hour."""
    Journals(keeping).write(call(NOON - timedelta(days=3)))
    rows.connection.execute("update costspan.usage_hour set calls = calls + 1")
    clock = Clock()
    work = Upkeep(clock)
    clock.now = 300

    work.work(keeping)

    assert "the sums of 2026-11-18 are not those of its calls" in caplog.text


class Segments:
    """A journal with one segment."""

    def __init__(self, *events) -> None:
        self.segment = MemorySegment(list(events))

    def segments(self):
        """The one."""
        return [self.segment]


@pytest.mark.parametrize("keeps", [True, False])
def test_a_drain_keeps_the_ledger_small_if_it_is_there_to_stay(monkeypatch, rows, ledger_url, tmp_path, keeps):
    """Calls that were written days late are compacted by the drain that wrote them, unless it is a short one."""
    monkeypatch.setattr(upkeep, "_FIRST_AFTER_S", 0.0)
    monkeypatch.setattr(drain, "_INTERVAL_S", 0.01)
    config = Settings(database_url=ledger_url, state_dir=tmp_path)
    drainer = Drainer(Segments(call(NOON - timedelta(days=300))), config, keeps=keeps)

    is_flushed = drainer.flush(60)
    is_flushed = drainer.flush(60) and is_flushed  # the round after: the ledger was kept between the two
    drainer.stop(60)

    assert is_flushed
    assert (rows.calls, rows.one("select count(*) from costspan.call_slice")) == ((0, 1) if keeps else (1, 0))
