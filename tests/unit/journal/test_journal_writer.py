"""The journal in good times: what is written, read, rotated and given up."""

from __future__ import annotations

import gc
import stat
import threading
import time
from pathlib import Path

import msgspec
import pytest

from costspan.event import Ending
from costspan.journal import Batch, Journal, adopt, audit
from costspan.journal import writer as writers
from unit.journal.conftest import MakeJournal
from unit.journal.faults import Disk
from unit.journal.records import NOON, Drained, attempt, call, ending, event, files, intent


def wait_until(condition: object, what: str) -> None:
    """Wait for what a thread is about to do."""
    deadline = time.monotonic() + 20
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def test_nothing_is_created_before_the_first_record(make_journal: MakeJournal, folder: Path) -> None:
    """A process that never meters a call leaves no trace."""
    journal = make_journal()

    assert journal.segments() == []
    assert not folder.exists()


def test_a_call_is_on_disk_when_the_method_returns(make_journal: MakeJournal, folder: Path) -> None:
    """Intent and event can be read from the file at once by anybody, without a sync or a flush."""
    journal = make_journal()

    journal.open(intent(1))
    journal.open(intent(2))
    journal.close_attempt(event(1))

    found = audit(folder)
    assert (found.intents, found.settled, found.open, found.in_flight, found.live_files) == (2, 1, 1, 1, 1)


def test_only_the_user_can_read_it(make_journal: MakeJournal, folder: Path) -> None:
    """The folder has mode 0700 and a file 0600."""
    call(make_journal(), 1)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in files(folder)] == [0o600]


def test_the_drainer_gets_every_record_once(make_journal: MakeJournal) -> None:
    """Batches that follow one another, while calls go on, have each event and each ending once."""
    journal, drained = make_journal(segment_bytes=1500), Drained()

    for number in range(60):
        journal.open(intent(number))
        journal.close_attempt(event(number) if number % 3 else ending(number))
        if number % 7 == 0:
            drained.drain(journal.segments(), limit=2)
    drained.drain(journal.segments(), limit=2)

    assert drained.numbers == [number for number in range(60) if number % 3]
    assert drained.outcomes() == dict.fromkeys(range(0, 60, 3), "unanswered")
    assert [ended.intent for ended in drained.endings] == [intent(number) for number in range(0, 60, 3)]
    assert drained.quarantined == []


def test_rotation_carries_open_attempts_over(make_journal: MakeJournal, folder: Path) -> None:
    """An attempt that outlives its file is known in the later ones, and counted once."""
    journal, drained = make_journal(segment_bytes=1000), Drained()
    journal.open(intent(900))
    journal.open(intent(901))

    for number in range(20):
        call(journal, number)
    before = audit(folder)
    drained.drain(journal.segments())
    journal.close_attempt(ending(901))
    drained.drain(journal.segments())

    assert before.files > 3
    assert (before.intents, before.settled, before.open) == (22, 20, 2)
    assert [ended.intent for ended in drained.endings] == [intent(901)]
    assert len(files(folder)) == 1


def test_a_finished_segment_is_deleted_only_after_its_last_batch(make_journal: MakeJournal, folder: Path) -> None:
    """Discarding what was not read to its end is refused; after the last batch it deletes the file."""
    journal = make_journal(segment_bytes=400)
    call(journal, 1)
    call(journal, 2)
    first = journal.segments()[0]

    assert first.is_finished
    with pytest.raises(ValueError, match="unread"):
        first.discard()
    batch = first.read(0, 100)
    first.discard()

    assert batch.is_last
    assert first not in journal.segments()
    assert len(files(folder)) == len(journal.segments())


def test_a_segment_being_written_has_no_last_batch(make_journal: MakeJournal) -> None:
    """As long as more can come no batch is the last, and releasing an own segment changes nothing."""
    journal = make_journal()
    call(journal, 1)
    (segment,) = journal.segments()

    batch = segment.read(0, 100)
    segment.release()

    assert not segment.is_finished
    assert not batch.is_last
    assert segment.read(batch.end, 100) == Batch(batch.end, batch.end)


def test_shutdown_leaves_what_is_not_drained_to_others(make_journal: MakeJournal, folder: Path) -> None:
    """After shutdown the files can be adopted, and open attempts are open."""
    journal = make_journal()
    call(journal, 1)
    journal.open(intent(2))

    journal.shutdown()

    drained = Drained().drain(adopt(folder))
    assert (drained.numbers, drained.outcomes()) == ([1], {2: "open"})
    assert files(folder) == []


def test_shutdown_deletes_what_is_drained(make_journal: MakeJournal, folder: Path) -> None:
    """A process that ends with everything in the ledger leaves no file behind."""
    journal = make_journal()
    call(journal, 1)
    (segment,) = journal.segments()

    segment.read(segment.read(0, 100).end, 100)
    journal.shutdown()

    assert files(folder) == []
    assert segment.read(0, 100) == Batch(0, 0)


def test_a_journal_that_was_shut_down_starts_again(make_journal: MakeJournal, folder: Path) -> None:
    """A record after shutdown, as from a finalizer at exit, opens a new file."""
    journal = make_journal()
    call(journal, 1)
    journal.shutdown()

    call(journal, 2)

    assert audit(folder).settled == 2
    assert len(files(folder)) == 2


def test_a_call_without_an_intent_is_recorded(make_journal: MakeJournal) -> None:
    """A call that was tracked by hand has an event only."""
    journal = make_journal()

    journal.close_attempt(event(1))

    assert Drained().drain(journal.segments()).numbers == [1]


def test_group_sync_is_a_threads_work(make_journal: MakeJournal, disk: Disk) -> None:
    """In group mode the caller never syncs; the thread does, and not again while nothing is written."""
    journal = make_journal()

    for number in range(5):
        call(journal, number)
    wait_until(lambda: disk.syncs, "nothing was synced")
    wait_until(lambda: not journal._shelf.files()[0].is_dirty, "not everything was synced")
    synced = disk.syncs
    journal.sync()

    assert disk.syncs == synced


def test_always_syncs_each_record(make_journal: MakeJournal, disk: Disk) -> None:
    """In mode always each record is synced before the method returns."""
    journal = make_journal(sync="always")

    journal.open(intent(1))
    after_intent = disk.syncs
    journal.close_attempt(event(1))

    assert (after_intent, disk.syncs) == (1, 2)


def test_sync_makes_the_last_record_durable(make_journal: MakeJournal, disk: Disk) -> None:
    """An explicit sync leaves nothing that a power loss could take."""
    journal = make_journal()
    call(journal, 1)

    journal.sync()

    assert disk.syncs >= 1
    assert not journal._shelf.files()[0].is_dirty


def test_what_the_drainer_reads_is_on_disk_first(make_journal: MakeJournal, disk: Disk) -> None:
    """The ledger never knows a call that a power loss could take from the journal."""
    journal = make_journal()
    call(journal, 1)
    file = journal._shelf.files()[0]
    file.is_dirty = True

    journal.segments()[0].read(0, 100)

    assert not file.is_dirty


def test_stats_tell_the_state(make_journal: MakeJournal, folder: Path) -> None:
    """Counters and gauges agree with what was done."""
    journal = make_journal()
    call(journal, 1)
    journal.open(intent(2))

    before = journal.stats
    drained = Drained().drain(journal.segments()).drain(journal.segments())
    after = journal.stats

    assert (before.intents, before.appended, before.open_intents) == (2, 3, 1)
    assert (before.dropped, before.in_memory, before.io_errors) == (0, 0, 0)
    assert before.bytes == sum(path.stat().st_size for path in files(folder))
    assert (before.oldest_ns, after.oldest_ns) == (NOON + 1, 0)
    assert drained.numbers == [1]


def test_threads_share_a_journal(make_journal: MakeJournal) -> None:
    """Eight threads at once, with rotations and a drainer between them: every call once."""
    journal, drained = make_journal(segment_bytes=20_000), Drained()

    def work(first: int) -> None:
        for number in range(first, first + 250):
            call(journal, number)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(0, 2000, 250)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        drained.drain(journal.segments())
    for thread in threads:
        thread.join()
    drained.drain(journal.segments())

    assert sorted(drained.numbers) == list(range(2000))
    assert drained.outcomes() == {}


def test_leaked_attempts_are_given_up(make_journal: MakeJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts that nobody ends do not fill memory: the oldest are written off as open, with their intents."""
    monkeypatch.setattr(writers, "_MAX_OPEN", 20)
    monkeypatch.setattr(writers, "_EVICTED", 5)
    journal = make_journal(segment_bytes=2000)

    for number in range(43):
        journal.open(intent(number))

    drained = Drained().drain(journal.segments())
    assert journal.stats.open_intents == 18
    assert drained.outcomes() == dict.fromkeys(range(25), "open")
    assert [ended.intent for ended in drained.endings] == [intent(number) for number in range(25)]


@pytest.mark.parametrize(
    "broken",
    [
        {"tenant": "\ud800"},
        {"tokens_in": 2**70},
        {"evidence": "x" * (1 << 20)},
        {"quantities": {"input_tokens": object()}},
    ],
)
def test_an_event_that_cannot_be_encoded(
    make_journal: MakeJournal, broken: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    """It never raises: the attempt ends as open with the reason, and a warning says so."""
    journal = make_journal()
    journal.open(intent(1))

    journal.close_attempt(msgspec.structs.replace(event(1), **broken))

    (found,) = Drained().drain(journal.segments()).endings
    assert (found.intent, found.outcome) == (intent(1), "open")
    assert "cannot be encoded" in found.reason
    assert "cannot be encoded" in caplog.text


def test_an_intent_that_cannot_be_encoded(make_journal: MakeJournal, caplog: pytest.LogCaptureFixture) -> None:
    """It never raises: the attempt is not announced, a warning says so, and its event is recorded all the same."""
    journal = make_journal()

    journal.open(msgspec.structs.replace(intent(1), model="\udfff"))
    journal.close_attempt(event(1))

    assert Drained().drain(journal.segments()).numbers == [1]
    assert "cannot be encoded" in caplog.text


def test_a_file_is_handed_off_in_time(make_journal: MakeJournal, folder: Path) -> None:
    """Where another process drains, it gets the records of a living one, and attempts in flight stay with their owner."""
    journal, drained = make_journal(handoff_seconds=0), Drained()
    journal.open(intent(99))

    for number in range(10):
        call(journal, number)
        wait_until(lambda: drained.drain(adopt(folder)).numbers[-1:] == [number], "not handed off")  # noqa: B023
    journal.close_attempt(ending(99))
    wait_until(lambda: drained.drain(adopt(folder)).endings, "not handed off")

    assert drained.numbers == list(range(10))
    assert [(ended.intent, ended.outcome) for ended in drained.endings] == [(intent(99), "unanswered")]


def test_a_handoff_does_not_interrupt_its_own_thread(make_journal: MakeJournal) -> None:
    """A finalizer that meters a call inside the journal, in the very thread that ticks, begins no file."""
    journal = make_journal(handoff_seconds=0)
    call(journal, 1)
    journal._flusher.stop(10)

    with journal._lock:
        journal._is_inside = True
        before = journal.segments()
        journal.tick()
        after = list(journal._shelf.segments)
        journal._is_inside = False

    assert [segment.writer for segment in before][-1] == after[-1].writer


def test_a_journal_that_nobody_holds_gives_up_its_file(folder: Path) -> None:
    """A journal that is dropped without shutdown can be adopted, and its thread ends."""
    journal = Journal(folder)
    call(journal, 1)
    thread = journal._flusher._thread
    assert thread is not None

    del journal
    thread.join(20)
    gc.collect()

    assert not thread.is_alive()
    assert Drained().drain(adopt(folder)).numbers == [1]


def test_the_unsettled_name_their_attempt(make_journal: MakeJournal) -> None:
    """An ending carries attempt, outcome and reason as they were given."""
    journal = make_journal()
    journal.open(intent(5))

    journal.close_attempt(Ending(attempt(5), "failed", "HTTP 429"))

    (found,) = Drained().drain(journal.segments()).endings
    assert (found.attempt, found.outcome, found.reason) == (attempt(5), "failed", "HTTP 429")


def test_files_are_listed_oldest_first(make_journal: MakeJournal, folder: Path) -> None:
    """Segments come in the order in which they began, and so do their names."""
    journal = make_journal(segment_bytes=400)

    for number in range(5):
        call(journal, number)

    assert [f"{segment.writer}.journal" for segment in journal.segments()] == sorted(
        path.name for path in files(folder)
    )


def test_a_record_right_after_a_shutdown_begins_a_file(make_journal: MakeJournal, folder: Path) -> None:
    """A stream may outlive its journal by less than the pause between two tries of a broken folder."""
    journal = make_journal(retry_seconds=3600)
    journal.open(intent(1))
    journal.shutdown()

    journal.close_attempt(event(1))
    journal.shutdown()

    assert journal.stats.in_memory == 0
    assert Drained().drain(adopt(folder), limit=10).numbers == [1]


def test_a_journal_that_was_collected_with_its_last_call_takes_its_record(folder: Path) -> None:
    """A stream that the collector found together with its journal is settled after that.

    Its record found the journal's next file name gone, as a generator gave it that the collector had closed.
    """

    class Stream:
        def __init__(self) -> None:
            self.me = self
            self.journal = Journal(folder)
            self.journal.open(intent(1))
            self.journal.shutdown()

        def __del__(self) -> None:
            dropped.append(self)

    dropped: list[Stream] = []
    Stream()
    gc.collect()

    (stream,) = dropped
    stream.journal.close_attempt(event(1))
    stream.journal.shutdown()

    assert Drained().drain(adopt(folder), limit=10).numbers == [1]
