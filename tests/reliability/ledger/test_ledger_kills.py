"""`kill -9` in the middle of batches: of the process that writes, and of the whole server. The ledger equals the journal."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest

import costspan
from costspan.journal import Journal
from costspan.ledger import Drainer, Ledger, drain, embedded
from costspan.settings import Settings
from reliability.ledger.killed_drain import BATCH
from reliability.ledger.truth import WRONG, journalled, missing_and_more

TESTS = Path(__file__).resolve().parents[2]
SOURCE = Path(costspan.__file__).resolve().parents[1]
KILLED_DRAIN = Path(__file__).with_name("killed_drain.py")


def kill_the_writer(kills: int, url: str, folder: Path) -> None:
    """Drain a journal by processes that are killed, and compare what is there after each, and at the end."""
    settings = Settings(database_url=url, state_dir=folder)
    events = journalled(settings.journal_path, BATCH * (kills * 3 + 10))

    run = subprocess.run(
        [sys.executable, str(KILLED_DRAIN), url, str(folder), str(kills), "11"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCE), str(TESTS)])},
        stdout=subprocess.PIPE,
        check=True,
        timeout=120 + kills * 10,
    )

    told = json.loads(run.stdout)
    assert told["wrong"] == []
    assert told["in_the_middle"] == kills, told
    assert told["last"] == 0
    assert missing_and_more(url, events) == ({}, {})
    assert not any(settings.journal_path.glob("*.journal"))


@pytest.mark.xdist_group("kill")
def test_eight_kills_of_the_writer_in_the_middle_of_a_batch(ledger_url, tmp_path):
    """After each the rows are those that were committed and the sums are theirs; in the end each call is there once."""
    kill_the_writer(8, ledger_url, tmp_path)


@pytest.mark.reliability
def test_a_hundred_kills_of_the_writer_in_the_middle_of_a_batch(ledger_url, tmp_path):
    """The same, a hundred times."""
    kill_the_writer(100, ledger_url, tmp_path)


class Watched:
    """A ledger that says when it is in the middle of a batch."""

    def __init__(self, ledger: Ledger, is_writing: threading.Event) -> None:
        self._ledger, self._is_writing = ledger, is_writing

    def write(self, batch, writer):
        """As the ledger's."""
        self._is_writing.set()
        try:
            return self._ledger.write(batch, writer)
        finally:
            self._is_writing.clear()

    def __getattr__(self, name):
        """All else is the ledger's."""
        return getattr(self._ledger, name)


def kill_server(folder: Path, url: str, is_writing: threading.Event, chance: random.Random) -> bool:
    """Kill the postmaster and every process of it, and say whether a batch was being written."""
    with psycopg.connect(url, autocommit=True):
        postmaster = embedded.status(folder).pid
        assert postmaster is not None
        assert is_writing.wait(60)
        time.sleep(chance.random() * 0.02)
        was_writing = is_writing.is_set()
        # Stopped first, so that it starts none meanwhile: one that is left alone may wait for ever for a lock of the dead.
        os.kill(postmaster, signal.SIGSTOP)
        processes = map(int, Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split())
        for process in (postmaster, *processes):
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
    while embedded.status(folder).is_running:
        time.sleep(0.02)
    return was_writing


def kill_the_server(kills: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drain a journal into a server that is killed; the drain itself starts it again."""
    monkeypatch.setattr(drain, "_LIMIT", BATCH)
    settings = Settings(state_dir=folder)
    events = journalled(settings.journal_path, BATCH * (kills * 30 + 30))
    chance, is_writing, in_the_middle, wrong = random.Random(5), threading.Event(), 0, []
    url = embedded.ensure(folder).conninfo
    Ledger.connect(settings).close()
    journal = Journal(settings.journal_path)
    drainer = Drainer(journal, settings, connect=lambda given: Watched(Ledger.connect(given), is_writing), keeps=False)
    drainer.start()

    while in_the_middle < kills and drainer.stats.calls < len(events):
        in_the_middle += kill_server(folder, url, is_writing, chance)
        url = embedded.ensure(folder).conninfo
        with psycopg.connect(url) as connection:
            wrong += connection.execute(WRONG).fetchall()
    is_drained = drainer.flush(300)
    drainer.stop(60)
    journal.shutdown()

    assert wrong == []
    assert in_the_middle == kills
    assert is_drained
    assert missing_and_more(url, events) == ({}, {})
    embedded.release(folder)


@pytest.mark.xdist_group("kill")
def test_two_kills_of_the_server_in_the_middle_of_a_batch(tmp_path, monkeypatch):
    """After each, recovery gives back what was committed and nothing else; in the end each call is there once."""
    kill_the_server(2, tmp_path, monkeypatch)


@pytest.mark.reliability
def test_ten_kills_of_the_server_in_the_middle_of_a_batch(tmp_path, monkeypatch):
    """The same, ten times."""
    kill_the_server(10, tmp_path, monkeypatch)
