"""kill -9 at random moments: what the journal said it has, it has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from costspan.journal import adopt, audit
from unit.journal.records import Drained, run_python

THREADS = 4

#: Forks a loaded process per round, since an interpreter's start would be most of the time. Each thread tells through a
#: pipe what it is about to open and what it has settled; the pipe outlives the kill.
KILLER = """
import json, os, random, signal, struct, sys, threading, time
from pathlib import Path
from costspan.journal import Journal
from unit.journal.records import event, intent

folder, rounds, seed, sync = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
random.seed(seed)

def work(journal, thread, tell):
    number = thread << 32
    while True:
        number += 1
        os.write(tell, struct.pack("<cQ", b"o", number))
        journal.open(intent(number))
        if number % 3 == 0:
            time.sleep(0)
        journal.close_attempt(event(number))
        os.write(tell, struct.pack("<cQ", b"s", number))

def child(directory, tell):
    journal = Journal(directory, segment_bytes=50_000, sync=sync)
    for thread in range(1, 4):
        threading.Thread(target=work, args=(journal, thread, tell), daemon=True).start()
    work(journal, 0, tell)

for turn in range(rounds):
    directory = folder / str(turn)
    directory.mkdir(mode=0o700)
    listen, tell = os.pipe()
    delay = random.uniform(0.0, 0.06)
    pid = os.fork()
    if pid == 0:
        os.close(listen)
        child(directory, tell)
    os.close(tell)
    told, deadline = b"", None
    while True:
        if deadline is None and told:
            deadline = time.monotonic() + delay
        if deadline is not None and time.monotonic() >= deadline:
            os.kill(pid, signal.SIGKILL)
            deadline = float("inf")
        data = os.read(listen, 1 << 16)
        if not data:
            break
        told += data
    os.waitpid(pid, 0)
    os.close(listen)
    opened, settled = [], []
    for kind, number in struct.iter_unpack("<cQ", told[: len(told) // 9 * 9]):
        (opened if kind == b"o" else settled).append(number)
    print(json.dumps([opened, settled]))
"""


def assert_nothing_lost(folder: Path, opened: list[int], settled: list[int]) -> None:
    """Each call that its thread saw settled is there once; the others are in flight, at most one a thread."""
    found = audit(folder)
    drained = Drained().drain(adopt(folder), limit=500)

    assert len(set(drained.numbers)) == len(drained.numbers)
    assert set(settled) <= set(drained.numbers) <= set(opened)
    assert len(set(drained.numbers) - set(settled)) <= THREADS
    assert set(drained.outcomes().values()) <= {"open"}
    assert len(drained.endings) == len(drained.outcomes()) <= THREADS
    assert not set(drained.outcomes()) & set(settled)
    assert drained.quarantined == []
    assert drained.torn < 1000  # a kill can cut the one write that is under way, at the edge of a page
    assert (found.settled, found.open) == (len(drained.numbers), len(drained.endings))
    assert found.intents == found.settled + found.open
    assert len(opened) - found.intents <= THREADS


def kill(folder: Path, rounds: int, seed: int, sync: str) -> int:
    """Kill ``rounds`` times; return how many calls were settled."""
    total = 0
    for turn, line in enumerate(run_python(KILLER, folder, rounds, seed, sync).splitlines()):
        opened, settled = json.loads(line)
        assert_nothing_lost(folder / str(turn), opened, settled)
        total += len(settled)
    return total


def test_50_kills(tmp_path: Path) -> None:
    """No call that was settled before the kill is missing, none is doubled, open ones are those in flight."""
    settled = kill(tmp_path, rounds=50, seed=1, sync="group")

    assert settled > 50


@pytest.mark.reliability
@pytest.mark.parametrize("sync", ["group", "always"])
@pytest.mark.parametrize("seed", range(5))
def test_1000_kills(tmp_path: Path, seed: int, sync: str) -> None:
    """The same, a thousand times, in both modes."""
    assert kill(tmp_path, rounds=100, seed=seed, sync=sync) > 100
