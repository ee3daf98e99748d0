"""Forks: every process has its own file, and nobody's calls are lost or counted twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from costspan.journal import adopt, audit
from unit.journal.records import Drained, run_python

PRELUDE = """
import multiprocessing, os, sys, threading, time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from costspan.journal import Journal, adopt, audit
from unit.journal.records import Drained, call, ending, event, intent

folder = Path(sys.argv[1])
journal = Journal(folder, segment_bytes=2000, retry_seconds=0)

def calls(*numbers):
    for number in numbers:
        call(journal, number)

def in_child(work, *arguments):
    pid = os.fork()
    if pid == 0:
        work(*arguments)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
"""

SCRIPTS = {
    "child and parent": """
calls(0, 1)
in_child(calls, 2, 3)
calls(4, 5)
""",
    "never used before the fork": """
for first in (0, 2, 4):
    in_child(calls, first, first + 1)
""",
    "grandchild": """
calls(0)
def child():
    calls(1, 2)
    in_child(calls, 3, 4)
    calls(5)
in_child(child)
""",
    "multiprocessing": """
calls(0, 1)
processes = [multiprocessing.get_context("fork").Process(target=calls, args=(number, number + 1)) for number in (2, 4)]
for process in processes:
    process.start()
for process in processes:
    process.join()
    assert process.exitcode == 0
""",
    "process pool": """
calls(0)
with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
    list(pool.map(calls, range(1, 6)))
""",
    "many rotations": """
calls(0)
def child():
    for _ in range(20):
        in_child(lambda: None)
    calls(1, 2, 3)
in_child(child)
calls(4, 5)
""",
    "lock held by another thread": """
calls(0)
held, done = threading.Event(), threading.Event()
def hold():
    with journal._lock:
        held.set()
        done.wait()
thread = threading.Thread(target=hold)
thread.start()
held.wait()
in_child(calls, 1, 2)
done.set()
thread.join()
calls(3, 4, 5)
""",
    "disk lock held by another thread": """
calls(0)
held, done = threading.Event(), threading.Event()
def hold():
    with journal._shelf.files()[0]._guard:
        held.set()
        done.wait()
thread = threading.Thread(target=hold)
thread.start()
held.wait()
in_child(calls, 1, 2)
done.set()
thread.join()
calls(3, 4, 5)
""",
    "threads append meanwhile": """
def work(first):
    for number in range(first, 500, 2):
        call(journal, 1000 + number)
threads = [threading.Thread(target=work, args=(first,)) for first in (0, 1)]
for thread in threads:
    thread.start()
for number in range(6):
    in_child(calls, number)
for thread in threads:
    thread.join()
""",
    "in flight across the fork": """
journal.open(intent(0))
in_child(lambda: (journal.close_attempt(event(0)), calls(1, 2)))
journal.close_attempt(event(0))
calls(3, 4, 5)
""",
    "in flight across two forks": """
journal.open(intent(0))
in_child(lambda: in_child(lambda: (journal.close_attempt(event(0)), calls(1, 2))))
journal.close_attempt(event(0))
calls(3, 4, 5)
""",
    "memory is the parent's": """
folder.write_text("in the way")
calls(0, 1, 2)
def child():
    assert journal.stats.in_memory == 0
    assert journal.segments() == []
    folder.unlink()
    calls(3, 4)
in_child(child)
calls(5)
""",
    "child outlives the parent": """
calls(0, 1, 2)
pid = os.fork()
if pid == 0:
    time.sleep(0.2)
    calls(3, 4, 5)
    os._exit(0)
""",
    "stats begin anew": """
calls(0, 1, 2)
def child():
    assert journal.stats.intents == journal.stats.appended == journal.stats.bytes == 0
    calls(3, 4, 5)
    assert journal.stats.intents == 3
in_child(child)
assert journal.stats.intents == 3
""",
}


@pytest.mark.parametrize("mode", SCRIPTS)
def test_fork(folder: Path, mode: str) -> None:
    """Each settled call of each process is there once, and none is open."""
    run_python(PRELUDE + SCRIPTS[mode], folder)

    found = audit(folder)
    drained = Drained().drain(adopt(folder))
    expected = list(range(6)) + (list(range(1000, 1500)) if mode == "threads append meanwhile" else [])
    assert sorted(drained.numbers) == expected
    assert drained.endings == []
    assert (found.settled, found.open) == (len(expected), 0)


ORPHAN_OF_A_PARENT = """
calls(0, 1)
hold, let_go = os.pipe()
listen, tell = os.pipe()
middle = os.fork()
if middle == 0:
    journal_of_middle = Journal(folder, segment_bytes=2000)
    call(journal_of_middle, 2)
    if os.fork() == 0:
        os.write(tell, b"!")
        os.read(hold, 1)  # lives on, with whatever it inherited
    os._exit(0)
os.waitpid(middle, 0)
os.read(listen, 1)
found = adopt(folder)
print(Drained().drain(found).numbers)
os.write(let_go, b"!")
"""


def test_a_child_does_not_keep_its_parents_file_locked(folder: Path) -> None:
    """The file of a process that is gone can be adopted although its child lives on."""
    assert run_python(PRELUDE + ORPHAN_OF_A_PARENT, folder) == "[2]\n"


ADOPTED_BY_A_PARENT = """
calls(0)
journal.shutdown()
(orphan,) = adopt(folder)
def child():
    assert orphan.read(0, 10).events == []
    assert not orphan.read(0, 10).is_last
    assert adopt(folder) == []
in_child(child)
print(Drained().drain([orphan]).numbers)
"""


def test_an_adopted_orphan_stays_its_adopters(folder: Path) -> None:
    """A forked child can neither read nor free what its parent has adopted."""
    assert run_python(PRELUDE + ADOPTED_BY_A_PARENT, folder) == "[0]\n"
