"""A drain that is killed: forks one process after another that drains the journals of a folder until SIGKILL ends it.

Run by `test_ledger_kills.py` as ``python killed_drain.py URL FOLDER KILLS SEED``. Each child says when it begins a batch; it is
killed at a random moment of about the time that one takes. After each kill the ledger is compared with itself; at the end
one child drains what is left. Writes a JSON object to standard output.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import psycopg

from costspan.journal import Journal
from costspan.ledger import Drainer, Ledger, drain
from costspan.settings import Settings
from reliability.ledger.truth import WRONG

#: Calls a batch: so few that a journal of moderate size has a batch for each kill.
BATCH = 300
_BEGUN, _DONE = b"b", b"d"


class Telling:
    """A ledger that says when a batch begins and when it is done."""

    def __init__(self, ledger: Ledger, pipe: int) -> None:
        self._ledger, self._pipe = ledger, pipe

    def write(self, batch, writer):
        """As the ledger's."""
        os.write(self._pipe, _BEGUN)
        written = self._ledger.write(batch, writer)
        os.write(self._pipe, _DONE)
        return written

    def __getattr__(self, name):
        """All else is the ledger's."""
        return getattr(self._ledger, name)


def drain_all(settings: Settings, pipe: int) -> None:
    """Adopt and drain what lies in the folder."""
    drain._LIMIT = BATCH
    journal = Journal(settings.journal_path)
    drainer = Drainer(journal, settings, connect=lambda given: Telling(Ledger.connect(given), pipe))
    is_drained = drainer.flush(300)
    drainer.stop(60)
    journal.shutdown()
    os._exit(0 if is_drained else 1)


def killed(settings: Settings, chance: random.Random, usual: float) -> tuple[bool, float]:
    """Kill a drain; return whether it was in the middle of a batch, and how long one of its batches took."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        signal.alarm(300)  # should nobody kill it
        drain_all(settings, writing)
    os.close(writing)
    said = os.read(reading, 1)
    begun = time.monotonic()
    if chance.random() < 0.5:  # else in the first batch, which has to learn everything
        said = os.read(reading, 1) or said
        usual = time.monotonic() - begun
    time.sleep(chance.random() * usual)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(reading, 1 << 16):
        said = more
    os.close(reading)
    return said.endswith(_BEGUN), usual


def main() -> None:
    """Kill as often as asked for, compare, drain the rest."""
    url, folder, kills, seed = sys.argv[1:]
    settings = Settings(database_url=url, state_dir=Path(folder))
    chance, usual, in_the_middle, sessions, wrong = random.Random(int(seed)), 0.05, 0, 0, []
    while in_the_middle < int(kills) and any(settings.journal_path.glob("*.journal")):
        was_writing, usual = killed(settings, chance, usual)
        in_the_middle += was_writing
        sessions += 1
        with psycopg.connect(url) as connection:
            wrong += [str(row) for row in connection.execute(WRONG).fetchall()]
    last = os.fork()
    if last == 0:
        drain_all(settings, os.open(os.devnull, os.O_WRONLY))
    status = os.waitstatus_to_exitcode(os.waitpid(last, 0)[1])
    told = {"in_the_middle": in_the_middle, "kills": sessions, "wrong": wrong, "last": status}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
