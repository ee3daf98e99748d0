"""Every call once, whatever is killed, cut or repeated on the way."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from uuid import uuid4

import pytest

import costspan
from costspan.errors import LedgerUnavailable
from costspan.ledger import Ledger
from costspan.settings import Settings
from integration.ledger.calls import batch, call
from integration.ledger.proxy import Proxy
from integration.ledger.writing_process import calls_of

TESTS = Path(__file__).resolve().parents[2]
SOURCE = Path(costspan.__file__).resolve().parents[1]
CALLS = 4000
KILLS = 8


def start_writing(url: str, writer: object) -> subprocess.Popen[str]:
    """A process that writes, and has just begun to."""
    path = os.pathsep.join([str(SOURCE), str(TESTS)])
    process = subprocess.Popen(
        [sys.executable, "-m", "integration.ledger.writing_process", url, str(writer), str(CALLS)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "writing\n"
    return process


def test_a_writer_that_is_killed_again_and_again_loses_and_doubles_nothing(ledger_url, ledger, rows):
    """After kill -9 in the middle of batches the next process goes on where the last commit was."""
    writer, chance = uuid4(), random.Random(20261121)

    for _ in range(KILLS):
        with start_writing(ledger_url, writer) as process:
            time.sleep(chance.random() * 0.08)
            process.send_signal(signal.SIGKILL)
    with start_writing(ledger_url, writer) as process:
        assert process.wait() == 0

    truth = calls_of(CALLS).events
    assert rows("select count(*), sum(tokens_in), sum(cost_pico) from costspan.call") == [
        (CALLS, sum(event.tokens_in for event in truth), sum(event.cost_pico for event in truth))
    ]
    assert rows.rollup_differs == []


def test_a_commit_whose_answer_is_lost_counts_once(ledger_url, rows, tmp_path):
    """Whether it took place is read from the ledger, never guessed."""
    writer, events = uuid4(), [call() for _ in range(10)]
    with Proxy(ledger_url) as proxy:
        ledger = Ledger.connect(Settings(database_url=proxy.url, state_dir=tmp_path))
        ledger.write(batch(events), writer)
        for start in range(10, 60, 10):
            proxy.loses_next_commit = True
            with pytest.raises(LedgerUnavailable):
                ledger.write(batch(events, start=start), writer)

            position = ledger.position(writer)
            if position == start:
                ledger.write(batch(events, start=start), writer)
        ledger.close()

    assert rows.calls == 60
    assert rows.rollup_differs == []


def test_one_journal_at_two_drains_is_written_once(ledger_url, rows, tmp_path):
    """Two processes that drain the same journal by mistake take turns and write nothing twice."""
    writer, segment = uuid4(), calls_of(1000)

    def drain() -> None:
        ledger = Ledger.connect(Settings(database_url=ledger_url, state_dir=tmp_path))
        position = 0
        while (found := segment.read(position, 50)).end > position:
            position = ledger.write(found, writer).position
        ledger.close()

    in_threads(drain, drain, drain)

    assert rows.calls == 1000
    assert rows.rollup_differs == []


def test_writers_of_the_same_hours_do_not_deadlock(ledger_url, rows, tmp_path):
    """Tenants, models and sessions that are new to everybody, in every order and number, from four writers."""
    written = []

    def write(seed: int) -> None:
        chance = random.Random(seed)
        ledger = Ledger.connect(Settings(database_url=ledger_url, state_dir=tmp_path))
        writer, start = uuid4(), 0
        for _ in range(12):
            names = chance.sample(range(400), chance.randrange(20, 350))
            events = [call(tenant=f"t{name}", model=f"m{name % 10}", session=f"s{name}") for name in names]
            start = ledger.write(batch(events, start=start), writer).position
        ledger.close()
        written.append(start)

    in_threads(*[lambda seed=seed: write(seed) for seed in range(4)])

    assert rows.calls == sum(written)
    assert rows.one("select count(*) from costspan.tenant") == 400
    assert rows.one("select count(*) from costspan.call_context") == 400
    assert rows.rollup_differs == []


def in_threads(*tasks) -> None:
    """Run all at once; an exception of one fails the test."""
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
