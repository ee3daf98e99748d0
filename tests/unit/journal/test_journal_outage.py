"""The journal in bad times: full, broken, deleted and unwritable disks."""

from __future__ import annotations

import logging
import shutil
import threading
from pathlib import Path

import pytest

from costspan.journal import Batch, Journal, adopt, audit, file
from costspan.journal import outage as outages
from unit.journal.conftest import MakeJournal
from unit.journal.faults import FAULTS, Disk
from unit.journal.records import NOON, Drained, call, ending, event, files, intent
from unit.journal.test_journal_writer import wait_until

CALLS = 8


def play(journal: Journal) -> None:
    """Calls of each kind, over several files."""
    journal.open(intent(900))
    for number in range(CALLS):
        journal.open(intent(number))
        journal.close_attempt(event(number) if number % 4 else ending(number))
    journal.close_attempt(event(900))


def assert_complete(drained: Drained) -> None:
    """Each call of `play` came out once."""
    assert sorted(drained.numbers) == [number for number in range(CALLS) if number % 4] + [900]
    assert drained.outcomes() == dict.fromkeys(range(0, CALLS, 4), "unanswered")
    assert all(ended.intent for ended in drained.endings)
    assert len(drained.endings) == CALLS / 4


def warnings(caplog: pytest.LogCaptureFixture, count: int = 1) -> list[str]:
    """What was said at level warning, by this thread or the journal's: at least ``count`` messages."""

    def said() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]

    wait_until(lambda: len(said()) >= count, f"fewer than {count} warnings: {caplog.text}")
    return said()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("sync", ["group", "always"])
def test_any_one_write_may_fail(folder: Path, disk: Disk, fault: str, sync: str) -> None:
    """Whichever write fails, once: nothing is raised, nothing is lost, nothing comes twice."""
    disk.fault = fault
    number, has_failed = 0, True
    while has_failed:
        number, disk.writes, has_failed = number + 1, 0, False
        disk.fails = lambda nth, n=number: nth == n  # type: ignore[misc]
        journal = Journal(folder, segment_bytes=1000, retry_seconds=0, sync=sync)

        play(journal)

        has_failed = disk.writes >= number
        drained = Drained().drain(journal.segments(), limit=3)
        assert journal.stats.dropped == 0
        journal.shutdown()
        assert_complete(drained.drain(adopt(folder)))
        shutil.rmtree(folder)
    assert number > 3 * CALLS


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("is_drained_meanwhile", [False, True])
def test_the_disk_may_fail_from_any_write_on(folder: Path, disk: Disk, fault: str, is_drained_meanwhile: bool) -> None:
    """Whenever the disk fails for good: memory takes over, and when it heals all is written or drained, once."""
    disk.fault = fault
    number, has_failed = 0, True
    while has_failed:
        number, disk.writes = number + 1, 0
        disk.fails = lambda nth, n=number: nth >= n  # type: ignore[misc]
        journal, drained = Journal(folder, segment_bytes=1000, retry_seconds=0), Drained()

        play(journal)
        has_failed = disk.writes >= number
        if is_drained_meanwhile:
            for segment in journal.segments():
                drained.positions[segment.writer] = segment.read(0, 2).end
                drained.positions[segment.writer] = 0  # its commit failed, so it is read again
            drained.drain(journal.segments()[-1:], limit=2)
        disk.heal()
        play_on = journal.segments()
        drained.drain(play_on).drain(journal.segments())

        assert journal.stats.in_memory == journal.stats.dropped == 0
        journal.shutdown()
        assert_complete(drained.drain(adopt(folder)))
        shutil.rmtree(folder, ignore_errors=True)
    assert number > 3 * CALLS


@pytest.mark.parametrize("fault", ["interrupted before", "interrupted after"])
def test_any_write_may_be_interrupted(folder: Path, disk: Disk, fault: str) -> None:
    """Ctrl-C at any write reaches the application, and costs or doubles no other call."""
    disk.fault = fault
    number, has_failed = 0, True
    while has_failed:
        number, disk.writes, has_failed = number + 1, 0, False
        disk.fails = lambda nth, n=number: nth == n  # type: ignore[misc]
        journal, finished = Journal(folder, segment_bytes=1000, retry_seconds=0), []

        for call_number in range(CALLS):
            try:
                call(journal, call_number)
                finished.append(call_number)
            except KeyboardInterrupt:
                has_failed = True

        drained = Drained().drain(journal.segments())
        journal.shutdown()
        drained.drain(adopt(folder))
        assert len(set(drained.numbers)) == len(drained.numbers)
        assert set(finished) <= set(drained.numbers) <= set(range(CALLS))
        assert not set(finished) & drained.outcomes().keys()
        shutil.rmtree(folder)
    assert number > 2 * CALLS


@pytest.mark.parametrize("fault", ["interrupted before", "interrupted after"])
def test_an_interrupted_move_from_memory_loses_and_doubles_nothing(
    make_journal: MakeJournal, disk: Disk, fault: str
) -> None:
    """Ctrl-C while memory moves into a file leaves each record in one of the two."""
    journal = make_journal()
    disk.fails = lambda _: True
    for number in range(5):
        call(journal, number)
    disk.fault = fault
    disk.writes = 0
    disk.fails = lambda nth: nth == 2  # after the header of the new file

    with pytest.raises(KeyboardInterrupt):
        journal.segments()
    call(journal, 5)
    drained = Drained().drain(journal.segments())

    assert sorted(drained.numbers) == list(range(6))


def test_the_drainer_never_sees_a_write_that_is_being_rolled_back(make_journal: MakeJournal, disk: Disk) -> None:
    """Between a cut write and its roll-back the file has half a frame; a batch read just then waits until it has none."""
    journal = make_journal()
    call(journal, 1)
    (segment,) = journal.segments()
    batches: list[Batch] = []
    drainer = threading.Thread(target=lambda: batches.append(segment.read(0, 100)))

    def drain(number: int, moment: str) -> None:
        if (number, moment) == (1, "after"):
            drainer.start()
            drainer.join(0.2)  # long enough to read, were it not for the lock

    disk.fault = "short"
    disk.writes = 0
    disk.fails = lambda nth: nth == 1
    disk.interrupt = drain
    call(journal, 2)
    drainer.join()

    assert (batches[0].torn, batches[0].quarantined) == (0, [])
    assert batches[0].events == [event(1)]


def test_a_move_from_memory_that_fails_is_tried_again(make_journal: MakeJournal, disk: Disk) -> None:
    """When the disk fills up again while memory moves into a file, what did not fit stays in memory."""
    journal = make_journal()
    disk.fails = lambda _: True
    for number in range(600):
        call(journal, number)
    disk.writes = 0
    disk.fails = lambda nth: nth > 2  # after the header of the new file and some records

    journal.segments()
    during = journal.stats.in_memory
    disk.heal()
    drained = Drained().drain(journal.segments()).drain(journal.segments())

    assert 300 < during < 400
    assert sorted(drained.numbers) == list(range(600))


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("fault", [None, *FAULTS])
def test_a_handler_may_interrupt_any_write(folder: Path, disk: Disk, moment: str, fault: str | None) -> None:
    """A handler that meters calls just before or after any write, a failing one included, loses and doubles nothing."""
    disk.fault = fault or ""
    number, was_interrupted = 0, True
    while was_interrupted:
        number, was_interrupted = number + 1, False
        journal = Journal(folder, segment_bytes=700, retry_seconds=0)

        def handler(nth: int, when: str, journal: Journal = journal, mine: int = number) -> None:
            nonlocal was_interrupted
            if (nth, when) == (mine, moment):
                was_interrupted = True
                journal.close_attempt(event(500))
                journal.open(intent(501))
                call(journal, 502)

        journal.open(intent(500))
        disk.writes = 0
        disk.interrupt = handler
        disk.fails = lambda nth, n=number: fault is not None and nth == n  # type: ignore[misc]
        for call_number in range(6):
            call(journal, call_number)
        disk.interrupt = lambda _, __: None

        drained = Drained().drain(journal.segments(), limit=2)
        found = audit(folder)
        journal.shutdown()
        drained.drain(adopt(folder))
        assert sorted(drained.numbers) == [*range(6), *([500, 502] if was_interrupted else [])]
        assert drained.outcomes() == {501 if was_interrupted else 500: "open"}
        assert found.open == 1
        shutil.rmtree(folder)
    assert number > 12


@pytest.mark.parametrize("sync", ["group", "always"])
def test_a_failing_sync_abandons_the_file(make_journal: MakeJournal, disk: Disk, folder: Path, sync: str) -> None:
    """What follows goes to a new file, since after a failed sync nobody knows what the old one keeps."""
    journal = make_journal(sync=sync)
    disk.sync_fails = lambda nth: nth == 1
    journal.open(intent(1))
    journal.sync()

    journal.close_attempt(event(1))

    assert len(files(folder)) == 2
    assert journal.stats.io_errors == 1
    assert Drained().drain(journal.segments()).numbers == [1]


def test_a_file_in_place_of_the_folder(
    make_journal: MakeJournal, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Calls stay in memory, one warning names path, reason and remedy, and the folder is used once it can be."""
    caplog.set_level(logging.INFO, "costspan")
    folder.write_text("in the way")
    journal = make_journal()

    for number in range(3):
        call(journal, number)
    journal.open(intent(3))
    during = journal.stats
    folder.unlink()
    journal.close_attempt(event(3))

    assert (during.in_memory, during.appended, during.open_intents, during.oldest_ns) == (3, 3, 1, NOON)
    assert journal.stats.in_memory == 0
    found = audit(folder)
    assert (found.settled, found.open) == (4, 0)
    assert Drained().drain(journal.segments()).numbers == [0, 1, 2, 3]
    (warning,) = warnings(caplog)
    assert str(folder) in warning
    assert "Not a directory" in warning or "exists" in warning
    assert "make it writable" in warning
    wait_until(lambda: "3 calls moved" in caplog.text, "the end is not told")


def test_a_folder_that_is_none_is_one_warning(
    make_journal: MakeJournal, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Who writes to a path that is no folder, and adopts from it too, hears of it once: from the journal, with a remedy."""
    folder.write_text("in the way")
    journal = make_journal()

    assert adopt(folder) == []
    call(journal, 1)
    assert adopt(folder) == []

    (warning,) = warnings(caplog)
    assert f"{folder} cannot be written" in warning
    assert "make it writable" in warning


def test_what_the_drainer_has_seen_does_not_move(
    make_journal: MakeJournal, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Records that may be in the ledger already stay in memory until they are, or until they are read again."""
    caplog.set_level(logging.INFO, "costspan")
    folder.write_text("in the way")
    journal, drained = make_journal(), Drained()
    for number in range(4):
        call(journal, number)
    (memory,) = journal.segments()

    first = memory.read(0, 2)
    folder.unlink()
    call(journal, 4)
    wait_until(lambda: "2 calls moved from memory to it, 2 stay there" in caplog.text, "what stays is not told")

    assert [found.session for found in first.events] == ["session-0", "session-1"]
    assert audit(folder).settled == 3
    assert sorted(drained.drain(journal.segments()).numbers) == [0, 1, 2, 3, 4]
    assert memory not in journal.segments()
    assert journal.stats.in_memory == 0


def test_memory_knows_the_intents_of_its_endings(make_journal: MakeJournal, folder: Path) -> None:
    """An attempt that left before or during an outage is explained, from memory and from the file it moves to."""
    journal = make_journal()
    journal.open(intent(1))
    journal.open(intent(2))
    shutil.rmtree(folder)
    folder.write_text("in the way")
    wait_until(lambda: journal._shelf._file is None, "the deletion went unnoticed")
    journal.open(intent(3))
    for number in (1, 2, 3):
        journal.close_attempt(ending(number))

    memory = journal.segments()[-1]
    batch = memory.read(0, 1)
    memory.read(batch.end, 0)
    folder.unlink()
    later = Drained().drain(journal.segments())

    assert [ended.intent for ended in batch.endings] == [intent(1)]
    assert {ended.intent for ended in later.endings} - {intent(1)} == {intent(2), intent(3)}


def test_a_full_memory_drops_and_counts(
    make_journal: MakeJournal, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Beyond its limit memory takes no more; each dropped call is counted, and that is said once."""
    folder.write_text("in the way")
    journal = make_journal(memory_records=5)

    for number in range(9):
        call(journal, number)

    stats = journal.stats
    assert (stats.intents, stats.in_memory, stats.dropped) == (9, 5, 4)
    assert Drained().drain(journal.segments()).numbers == [0, 1, 2, 3, 4]
    assert len(warnings(caplog, 2)) == 2
    assert "only counted" in warnings(caplog)[1]


def test_a_memory_segment_is_discarded_only_after_its_last_batch(make_journal: MakeJournal, folder: Path) -> None:
    """Discarding unread memory is refused, and releasing it changes nothing."""
    folder.write_text("in the way")
    journal = make_journal()
    call(journal, 1)
    (memory,) = journal.segments()

    memory.release()

    with pytest.raises(ValueError, match="unread"):
        memory.discard()
    assert journal.stats.in_memory == 1


def test_the_folder_is_tried_once_a_while(make_journal: MakeJournal, folder: Path) -> None:
    """During an outage a call does not pay for a try of the folder each time."""
    folder.write_text("in the way")
    journal = make_journal(retry_seconds=3600)

    for number in range(50):
        call(journal, number)
    journal.segments()

    assert journal.stats.io_errors == 1
    assert journal.stats.in_memory == 50


def test_a_flapping_folder_is_not_noisy(
    make_journal: MakeJournal, disk: Disk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outages in quick succession give one warning; later ones are told again."""
    journal = make_journal()
    for number in range(6):
        disk.fails = lambda _, bad=number % 2 == 0: bad  # type: ignore[misc]
        call(journal, number)
    flapping = len(warnings(caplog))
    monkeypatch.setattr(outages, "_QUIET_SECONDS", -1.0)
    journal._outage._quiet_until.clear()
    for number in range(6, 10):
        disk.fails = lambda _, bad=number % 2 == 0: bad  # type: ignore[misc]
        call(journal, number)

    assert flapping == 1
    assert len(warnings(caplog, 3)) == 3
    assert sorted(Drained().drain(journal.segments()).numbers) == list(range(10))


def test_a_log_handler_that_raises_is_kept_from_the_application(make_journal: MakeJournal, folder: Path) -> None:
    """Not even the application's own log handler makes a record raise."""

    class Rude(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError(record.getMessage())

    folder.write_text("in the way")
    handler = Rude()
    logging.getLogger("costspan").addHandler(handler)
    try:
        journal = make_journal()
        call(journal, 1)
    finally:
        logging.getLogger("costspan").removeHandler(handler)

    assert journal.stats.in_memory == 1


def test_a_full_journal_goes_to_memory_until_it_is_drained(
    make_journal: MakeJournal, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The limit on bytes holds, the warning names it, and draining makes room without a restart."""
    journal, drained = make_journal(max_bytes=8000, segment_bytes=2000), Drained()
    journal.open(intent(900))

    for number in range(60):
        call(journal, number)
    full, used = journal.stats, sum(path.stat().st_size for path in files(folder))
    drained.drain(journal.segments())
    call(journal, 60)
    journal.close_attempt(ending(900))
    drained.drain(journal.segments())

    assert 4000 < used < 8000
    assert full.in_memory > 20
    assert full.io_errors == 0
    assert "full: it has" in warnings(caplog)[0]
    assert sorted(drained.numbers) == list(range(61))
    assert [ended.intent for ended in drained.endings] == [intent(900)]
    assert journal.stats.in_memory == 0


def test_a_rotation_that_fails_goes_on_in_the_old_file(
    make_journal: MakeJournal, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process without free descriptors keeps writing to the file that it has, and rotates later."""

    def refuse(path: Path, data: bytes) -> int:
        raise OSError(24, "Too many open files")

    journal = make_journal(segment_bytes=1000)
    call(journal, 0)
    with monkeypatch.context() as patch:
        patch.setattr(file, "_create", refuse)
        for number in range(1, 10):
            call(journal, number)
    during = journal.stats, len(files(folder))
    call(journal, 10)

    assert during[0].in_memory == 0
    assert during[1] == 1
    assert len(files(folder)) == 2
    assert Drained().drain(journal.segments()).numbers == list(range(11))


def test_a_failed_rotation_is_not_tried_at_each_call(
    make_journal: MakeJournal, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two tries the old file is written without a further attempt."""
    tries = []

    def refuse(path: Path, data: bytes) -> int:
        tries.append(path)
        raise OSError(24, "Too many open files")

    journal = make_journal(segment_bytes=400, retry_seconds=3600)
    journal.open(intent(0))
    monkeypatch.setattr(file, "_create", refuse)
    for number in range(1, 10):
        call(journal, number)

    assert len(tries) == 1


@pytest.mark.parametrize("what", ["file", "folder"])
def test_deleted_files_are_put_back(
    make_journal: MakeJournal, folder: Path, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    """Files that somebody deleted while they were in use are restored with all their records, loudly."""
    journal = make_journal(segment_bytes=1000)
    for number in range(6):
        call(journal, number)
    positions = Drained().drain(journal.segments()[:0]).positions
    names = [path.name for path in files(folder)]
    if what == "folder":
        shutil.rmtree(folder)
    else:
        files(folder)[0].unlink()

    call(journal, 6)
    wait_until(lambda: {*names} <= {path.name for path in files(folder)}, "nothing was put back")

    assert audit(folder).settled == 7
    assert audit(folder).live_files == len(files(folder))
    drained = Drained()
    drained.positions = positions
    assert drained.drain(journal.segments()).numbers == list(range(7))
    assert "somebody deleted" in warnings(caplog)[0]


def test_a_file_that_the_drainer_deletes_is_not_put_back(
    make_journal: MakeJournal, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A discarded file is gone for good, also when the journal's thread looks after it in just that moment."""
    journal = make_journal(segment_bytes=400)
    call(journal, 1)
    call(journal, 2)
    opened, looked_after = journal._shelf.files()[0], []

    def look_after(directory: Path) -> None:
        if not opened.path.exists():
            journal._shelf.restore_file(opened)
            looked_after.append(opened)

    monkeypatch.setattr(file, "sync_directory", look_after)
    Drained().drain(journal.segments()[:1])

    assert opened in looked_after
    assert not opened.path.exists()


def test_a_restore_that_fails_leaves_records_readable(make_journal: MakeJournal, folder: Path, disk: Disk) -> None:
    """Where a deleted file cannot be put back, the drainer still gets its records, and later ones go elsewhere."""
    journal = make_journal()
    call(journal, 1)
    (path,) = files(folder)
    disk.fails = lambda _: True
    path.unlink()

    opened = journal._shelf.files()[0]
    journal._shelf.restore_file(opened)
    call(journal, 2)
    disk.heal()
    call(journal, 3)

    assert sorted(Drained().drain(journal.segments()).numbers) == [1, 2, 3]


def test_shutdown_saves_what_is_in_memory_if_it_can(make_journal: MakeJournal, folder: Path) -> None:
    """A last try of the folder at shutdown, without waiting for its turn."""
    folder.write_text("in the way")
    journal = make_journal(retry_seconds=3600)
    call(journal, 1)
    folder.unlink()

    journal.shutdown()

    assert Drained().drain(adopt(folder)).numbers == [1]


def test_shutdown_during_an_outage_keeps_memory_for_the_drainer(make_journal: MakeJournal, folder: Path) -> None:
    """What cannot be written at shutdown can still be drained."""
    folder.write_text("in the way")
    journal = make_journal()
    call(journal, 1)

    journal.shutdown()

    assert Drained().drain(journal.segments()).numbers == [1]


def test_a_discarded_file_that_cannot_be_deleted_is_reported(
    make_journal: MakeJournal, folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleting is not the drainer's worry: a failure is logged, and the file counts nothing twice."""
    journal = make_journal(segment_bytes=400)
    call(journal, 1)
    call(journal, 2)

    def refuse(directory: Path) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(file, "sync_directory", refuse)
    drained = Drained().drain(journal.segments())

    assert drained.numbers == [1, 2]
    assert "not by this process" in caplog.text
