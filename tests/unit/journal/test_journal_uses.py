"""Look-ups in caches, in the journal: records among the others, and never in a call's way."""

from __future__ import annotations

import errno

from costspan.event import CacheUse, decode, encode
from costspan.journal import Journal, adopt, audit
from costspan.journal.frame import HEADER
from unit.journal.records import NOON, Drained, call, ending, files, intent, run_python, use


def read(segment, position=0, limit=100):
    """The tokens of the look-ups of the next batch, and the batch."""
    batch = segment.read(position, limit)
    return [found.tokens for found in batch.cache_uses], batch


def test_a_look_up_comes_back_as_it_was():
    """Every field, and as what it is."""
    miss = CacheUse(NOON, "answers", False, 0, None, "", "acme", "")

    assert [decode(encode(record)) for record in (use(7), miss)] == [use(7), miss]


def test_look_ups_lie_among_calls(folder):
    """Each comes once, in its order, beside the calls; no attempt is opened or ended by one."""
    journal = Journal(folder)
    journal.note(use(1))
    call(journal, 1)
    journal.open(intent(2))
    journal.note(use(2))
    (segment,) = journal.segments()

    numbers, batch = read(segment)

    assert (numbers, [found.attempt[-1] for found in batch.events], batch.intents) == ([1, 2], [1], 2)
    assert journal.stats.open_intents == 1
    journal.close_attempt(ending(2))
    numbers, later = read(segment, batch.end)
    assert (numbers, len(later.endings)) == ([], 1)
    journal.shutdown()


def test_look_ups_fill_a_batch(folder):
    """They count against its limit, so a flood of them is no batch without end."""
    journal = Journal(folder)
    for number in range(1, 26):
        journal.note(use(number))
    (segment,) = journal.segments()

    first, batch = read(segment, 0, 10)
    second, later = read(segment, batch.end, 10)
    third, last = read(segment, later.end, 10)

    assert [*first, *second, *third] == list(range(1, 26))
    assert (batch.weight, later.weight, last.weight) == (10, 10, 5)
    assert not batch.is_empty
    journal.shutdown()


def test_a_cut_file_loses_the_last_only(folder):
    """Wherever a crash cuts it, every look-up before the cut is there, and none that was not."""
    journal = Journal(folder)
    sizes = [HEADER]
    for number in range(1, 5):
        journal.note(use(number))
        sizes.append(journal.stats.bytes)
    journal.shutdown()
    (path,) = files(folder)
    whole = path.read_bytes()
    for length in range(HEADER, len(whole)):
        path.write_bytes(whole[:length])

        (orphan,) = adopt(folder) or [None]
        numbers = [] if orphan is None else read(orphan)[0]

        assert numbers == list(range(1, 1 + sum(size <= length for size in sizes[1:])))
        if orphan is not None:
            orphan.release()
        path.write_bytes(whole)


def test_without_a_disk_look_ups_leave_room_for_calls(folder):
    """They take half of the memory at the most; beyond it they are counted, and calls still find room."""
    folder.write_text("no folder")
    journal = Journal(folder, memory_records=10)

    for number in range(20):
        journal.note(use(number))
    for number in range(5):
        call(journal, number)

    stats = journal.stats
    assert (stats.uses_dropped, stats.dropped, stats.in_memory) == (15, 0, 10)
    (segment,) = journal.segments()
    numbers, batch = read(segment)
    assert (numbers, len(batch.events)) == ([0, 1, 2, 3, 4], 5)
    assert journal.stats.oldest_ns == NOON
    journal.shutdown()


def test_look_ups_move_from_memory_to_the_disk(folder):
    """When the folder can be written again they are in a file, each once."""
    folder.write_text("no folder")
    journal = Journal(folder, retry_seconds=0.0)
    journal.note(use(1))
    folder.unlink()

    journal.note(use(2))

    drained = Drained().drain(journal.segments())
    assert drained.quarantined == []
    assert sorted(use.tokens for use in drained.uses) == [1, 2]
    journal.shutdown()


def test_a_full_disk_is_no_error_of_the_application(folder, monkeypatch):
    """A look-up that cannot be written is kept, and nothing is raised."""
    journal = Journal(folder)
    journal.note(use(1))

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr("costspan.journal.file._write", full)
        journal.note(use(2))

    assert journal.stats.in_memory == 1
    journal.shutdown()


def test_an_audit_counts_attempts_only(folder):
    """A look-up announces nothing, so it is not in the equation of what was announced."""
    journal = Journal(folder)
    call(journal, 1)
    journal.note(use(1))

    counted = audit(folder)

    assert (counted.intents, counted.settled, counted.open, counted.damaged) == (1, 1, 0, 0)
    journal.shutdown()


def test_a_forked_child_has_its_own(folder):
    """What the parent noted is the parent's; what the child notes is in a file of its own, once."""
    run_python(
        """
import os, sys
from pathlib import Path
from costspan.journal import Journal
from unit.journal.records import use
journal = Journal(Path(sys.argv[1]))
journal.note(use(1))
child = os.fork()
journal.note(use(2 if child else 3))
if not child:
    os._exit(0)
os.waitpid(child, 0)
os._exit(0)
""",
        folder,
    )

    drained = Drained().drain(adopt(folder))

    assert sorted(use.tokens for use in drained.uses) == [1, 2, 3]
