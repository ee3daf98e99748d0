"""Signal handlers that meter calls: at any moment, also in the middle of the journal's own work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from costspan.journal import adopt, audit
from unit.journal.records import Drained, run_python

#: The handler may interrupt an append, a rotation, a move from memory, or a call of the drainer.
INTERRUPTED = """
import itertools, json, signal, sys
from pathlib import Path
from costspan.journal import Journal
from unit.journal.records import call, event, intent

folder, calls = Path(sys.argv[1]), int(sys.argv[2])
journal = Journal(folder, segment_bytes=int(sys.argv[3]), retry_seconds=0)
handled, begun, long_ones, running = [], [], [], []
numbers = itertools.count(1_000_000)

def arm():
    signal.setitimer(signal.ITIMER_REAL, 0.001)

def handler(number, frame):
    running.append(number)
    if len(running) < 3:  # interrupted itself, but where a handler takes longer than a millisecond, not for ever
        arm()
    metered()
    running.pop()
    arm()

def metered():
    mine = next(numbers)  # one step: the next signal may interrupt the handler itself
    handled.append(mine)
    if mine % 2:
        begun.append(2_000_000 + mine)
        journal.open(intent(2_000_000 + mine))
        long_ones.append(2_000_000 + mine)
    else:
        try:
            oldest = long_ones.pop(0)
        except IndexError:
            pass
        else:
            journal.close_attempt(event(oldest))
    call(journal, mine)

signal.signal(signal.SIGALRM, handler)
arm()
number = 0
while number < calls or len(handled) < 200:
    call(journal, number)
    number += 1
    if number % 500 == 0:
        journal.segments()[0].read(0, 3)
        journal.sync()
signal.signal(signal.SIGALRM, signal.SIG_IGN)
print(json.dumps([number, handled, begun, long_ones]))
"""


def interrupt(folder: Path, calls: int, segment_bytes: int) -> None:
    """Meter ``calls`` calls and those of a handler that runs a thousand times a second."""
    number, handled, begun, open_ones = json.loads(run_python(INTERRUPTED, folder, calls, segment_bytes))

    found = audit(folder)
    drained = Drained().drain(adopt(folder), limit=1000)

    closed = set(begun) - set(open_ones)
    assert sorted(drained.numbers) == sorted([*range(number), *handled, *closed])
    assert drained.outcomes() == dict.fromkeys(open_ones, "open")
    assert drained.quarantined == []
    assert (found.open, found.damaged, found.torn) == (len(open_ones), 0, 0)


def test_a_handler_that_meters_calls(folder: Path) -> None:
    """A thousand signals a second during appends and rotations: no deadlock, nothing lost, nothing doubled."""
    interrupt(folder, calls=3000, segment_bytes=1500)


@pytest.mark.reliability
@pytest.mark.parametrize(("calls", "segment_bytes"), [(700, 400), (50_000, 20_000), (200_000, 8 << 20)])
def test_a_handler_that_meters_calls_for_long(folder: Path, calls: int, segment_bytes: int) -> None:
    """The same for many more calls, with a rotation at each call and with hardly any."""
    interrupt(folder, calls, segment_bytes)
