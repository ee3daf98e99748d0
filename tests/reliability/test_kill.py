"""`kill -9` at a random moment of a running load: nothing that returned is missing, nothing is doubled."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psycopg
import pytest

from costspan.demo.providers import providers
from costspan.journal import Journal
from costspan.ledger import Drainer
from costspan.settings import Settings
from reliability.load import TASKS, THREADS

LOAD = Path(__file__).parent / "load.py"


def rows_of(url: str, query: str) -> list[tuple]:
    """Ask as the killed load's tenant."""
    with psycopg.connect(url) as connection:
        connection.execute("select set_config('app.current_tenant', 'killed', false)")
        return connection.execute(query).fetchall()


def drain_what_is_left(settings: Settings) -> None:
    """Adopt the journals of the dead, as the next process that starts here does."""
    journal = Journal(settings.journal_path)
    drainer = Drainer(journal, settings)
    drainer.start()
    assert drainer.flush(120)
    drainer.stop(5)
    journal.shutdown()


def kill_loop(kills: int, url: str, folder: Path) -> tuple[Counter[str], list[tuple], list[tuple], int]:
    """Return what was told to have returned, the rows, the unsettled attempts, and what the providers billed."""
    settings = Settings(database_url=url, state_dir=folder)
    environment = {**os.environ, "COSTSPAN_DATABASE_URL": url, "COSTSPAN_STATE_DIR": str(folder)}
    with providers(time.time_ns) as both:
        command = [sys.executable, str(LOAD), both.openai_url, both.anthropic_url, str(kills), "7"]
        load = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, timeout=60 + kills * 10)
        billed = len(both.bill.charges)
    drain_what_is_left(settings)
    rows = rows_of(url, "select session_id, status, cost_usd from ai_usage_metrics")
    unsettled = rows_of(url, "select session_id, outcome from costspan.unsettled")
    return Counter(load.stdout.decode().split()), rows, unsettled, billed


def check(kills: int, url: str, folder: Path) -> None:
    """Kill, drain what is left, and compare what returned, what is a row and what was billed."""
    told, rows, unsettled, billed = kill_loop(kills, url, folder)
    sessions = Counter(session for session, *_ in rows)

    assert len(told) > kills
    assert max(told.values()) == 1
    assert set(told) <= set(sessions), "a call that returned to the application is missing"
    assert max(sessions.values()) == 1, "a call is there twice"
    assert len(rows) <= billed
    assert billed <= len(rows) + len(unsettled), "a billed call is neither a row nor an open attempt"
    assert len(unsettled) <= kills * (THREADS + TASKS)
    assert not set(told) & {session for session, _ in unsettled}
    assert {status for _, status, _ in rows} <= {"priced", "partial"}
    assert not any(folder.glob("journal/*.journal")), "a drained journal was left behind"


@pytest.mark.xdist_group("kill")
def test_twenty_kills_lose_and_double_nothing(database_url, tmp_path):
    """Twenty kills of a load of threads and tasks on both SDKs."""
    check(20, database_url, tmp_path)


@pytest.mark.reliability
def test_five_hundred_kills_lose_and_double_nothing(database_url, tmp_path):
    """The same, twenty-five times as long."""
    check(500, database_url, tmp_path)
