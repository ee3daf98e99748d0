"""Taking over the journals of processes that are gone."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from uuid import uuid4
from zlib import crc32

import pytest

from costspan.event import encode
from costspan.journal import Batch, Journal, Segment, adopt, file, orphans
from costspan.journal.frame import HEADER, OVERHEAD, ROTATED, file_header, frame, read_header, salt
from unit.journal.conftest import MakeJournal
from unit.journal.faults import Disk
from unit.journal.records import Drained, call, event, files, intent


@pytest.fixture(autouse=True)
def _nothing_reported_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphans, "_reported", set())


def leave(folder: Path, *numbers: int) -> Path:
    """A file whose writer is gone, with these calls."""
    before = set(files(folder)) if folder.exists() else set()
    journal = Journal(folder)
    for number in numbers:
        call(journal, number)
    journal.shutdown()
    (path,) = set(files(folder)) - before
    return path


def test_a_folder_that_does_not_exist_has_no_orphans(folder: Path) -> None:
    """Before the first journal there is nothing to adopt."""
    assert adopt(folder) == []


def test_a_path_that_is_no_folder_is_reported(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A folder that cannot be listed is no reason to raise."""
    folder.write_text("in the way")

    assert adopt(folder) == []
    assert adopt(folder) == []
    assert caplog.text.count("is left alone") == 1


def test_a_living_process_keeps_its_file(make_journal: MakeJournal, folder: Path) -> None:
    """A file whose owner holds the lock is not adopted, in this process neither."""
    call(make_journal(), 1)

    assert adopt(folder) == []
    assert len(files(folder)) == 1


def test_an_orphan_is_drained_and_deleted(folder: Path) -> None:
    """All that a gone process left is read, and its file goes with the last batch."""
    leave(folder, 1, 2, 3)

    drained = Drained().drain(adopt(folder), limit=2)

    assert drained.numbers == [1, 2, 3]
    assert files(folder) == []


def test_an_orphan_has_one_adopter(folder: Path) -> None:
    """While somebody holds an orphan nobody else gets it, and releasing it makes it available again."""
    leave(folder, 1)
    (held,) = adopt(folder)

    during = adopt(folder)
    held.release()
    (after,) = adopt(folder)

    assert during == []
    assert held.read(0, 10) == Batch(0, 0)
    assert held.is_finished
    assert after.writer == held.writer
    after.release()


def test_adopters_race(folder: Path) -> None:
    """Of several adopters at once each orphan goes to exactly one."""
    left = {leave(folder, number) for number in range(20)}
    found: list[Segment] = []
    start = threading.Barrier(4)

    def race() -> None:
        start.wait()
        found.extend(adopt(folder))

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(f"{segment.writer}.journal" for segment in found) == sorted(path.name for path in left)
    Drained().drain(found)


def test_an_orphan_is_discarded_only_after_its_last_batch(folder: Path) -> None:
    """Nothing deletes what was not read."""
    leave(folder, 1)
    (orphan,) = adopt(folder)

    with pytest.raises(ValueError, match="unread"):
        orphan.discard()
    orphan.release()


def test_a_crash_between_commit_and_deletion_changes_nothing(folder: Path) -> None:
    """An orphan whose last batch is committed already is only deleted."""
    leave(folder, 1)
    (first,) = adopt(folder)
    end = first.read(0, 10).end
    first.release()

    (second,) = adopt(folder)
    batch = second.read(end, 10)
    second.discard()

    assert batch == Batch(end, end, is_last=True)
    assert files(folder) == []


@pytest.mark.parametrize("size", [0, 1, HEADER - 1, HEADER])
def test_orphans_without_records_are_deleted(folder: Path, size: int) -> None:
    """A process that died while it created its file leaves nothing to look at."""
    folder.mkdir()
    writer = uuid4()
    (folder / f"{writer}.journal").write_bytes(file_header(writer)[:size])

    assert adopt(folder) == []
    assert files(folder) == []


def test_a_torn_orphan_is_counted(folder: Path) -> None:
    """The last record, cut by a crash, is torn bytes, and its call is open."""
    path = leave(folder, 1, 2)
    path.write_bytes(path.read_bytes()[:-1])

    drained = Drained().drain(adopt(folder))

    assert (drained.numbers, drained.outcomes()) == ([1], {2: "open"})
    assert drained.torn > 0
    assert files(folder) == []


def test_a_zero_filled_orphan_is_counted(folder: Path) -> None:
    """A file of which a power loss left only zeros is read to its end and deleted."""
    folder.mkdir()
    (folder / f"{uuid4()}.journal").write_bytes(bytes(5000))

    drained = Drained().drain(adopt(folder))

    assert (drained.numbers, drained.torn) == ([], 5000)
    assert files(folder) == []


def test_an_orphan_with_a_damaged_header_is_read(folder: Path) -> None:
    """The file's name tells whose frames to look for."""
    path = leave(folder, 1, 2)
    path.write_bytes(b"?" * HEADER + path.read_bytes()[HEADER:])

    drained = Drained().drain(adopt(folder))

    assert drained.numbers == [1, 2]
    assert drained.quarantined == [b"?" * HEADER]


def test_a_copied_journal_keeps_its_identity(folder: Path) -> None:
    """A copy under another name is the same writer, so the ledger takes nothing from it that it has already."""
    path = leave(folder, 1)
    copy = folder / f"{uuid4()}.journal"
    copy.write_bytes(path.read_bytes())

    drained = Drained().drain(adopt(folder))

    assert drained.numbers == [1]
    assert files(folder) == []


def foreign(folder: Path, kind: str) -> Path:
    """A file that is no journal of this version."""
    folder.mkdir()
    writer = uuid4()
    path = folder / ("notes.journal" if kind == "name" else f"{writer}.journal")
    newer = file_header(writer).replace(b"costspan\x01", b"costspan\x02")[:-4]
    if kind == "newer":
        newer += crc32(newer).to_bytes(4, "little")
        assert read_header(newer)
        path.write_bytes(newer + frame(encode(event(1)), salt(writer)))
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to("/etc/hostname")
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"dear diary" * 100)
    return path


@pytest.mark.parametrize("kind", ["name", "content", "newer", "fifo", "link", "folder"])
def test_what_is_no_journal_is_left_alone(folder: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """Files of others, later formats and things that are no files stay as they are, and are reported once."""
    path = foreign(folder, kind)

    assert adopt(folder) == []
    assert adopt(folder) == []

    assert os.path.lexists(path)
    assert caplog.text.count("is left alone") == 1
    assert path.name in caplog.text


def test_other_names_are_not_looked_at(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What does not end in .journal is none of the journal's business."""
    folder.mkdir()
    (folder / "README").write_text("hello")

    assert adopt(folder) == []
    assert caplog.text == ""


def test_a_file_of_another_user_is_left_alone(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user does not adopt what another one planted in a shared folder."""
    leave(folder, 1)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 12345)

    assert adopt(folder) == []
    assert "no regular file of this user" in caplog.text


def test_a_file_that_cannot_be_read_is_reported(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails on one orphan does not keep the others from being adopted."""
    bad, good = leave(folder, 1), leave(folder, 2)
    bad_inode, pread = bad.stat().st_ino, os.pread

    def fail_on_bad(fd: int, count: int, at: int) -> bytes:
        if os.fstat(fd).st_ino == bad_inode:
            raise OSError(errno.EIO, "Input/output error")
        return pread(fd, count, at)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", fail_on_bad)
        found = adopt(folder)

    assert [f"{segment.writer}.journal" for segment in found] == [good.name]
    assert f"{bad.name} is left alone: Input/output error" in caplog.text
    Drained().drain(found)
    assert Drained().drain(adopt(folder)).numbers == [1]


def test_an_orphan_that_another_adopter_has_just_deleted_is_skipped(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock of a deleted file is worth nothing."""
    path, opened = leave(folder, 1), os.open

    def open_and_delete(name: Path, flags: int) -> int:
        fd = opened(name, flags)
        if name == path:
            path.unlink()
        return fd

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", open_and_delete)
        found = adopt(folder)

    assert found == []


def test_an_orphan_that_vanishes_while_listing_is_skipped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another adopter may delete a file between the listing and the opening."""
    path, opened = leave(folder, 1), os.open

    def delete_and_open(name: Path, flags: int) -> int:
        path.unlink(missing_ok=True)
        return opened(name, flags)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", delete_and_open)
        found = adopt(folder)

    assert found == []


def test_a_new_file_that_an_adopter_took_is_replaced(
    make_journal: MakeJournal, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An adopter that finds a new file before its owner locked it costs the owner nothing but another name."""
    flock, adopted = file.fcntl.flock, []

    def lock_after_adopter(fd: int, operation: int) -> None:
        if not adopted:
            adopted.append(True)
            assert adopt(folder) == []
        flock(fd, operation)

    monkeypatch.setattr(file.fcntl, "flock", lock_after_adopter)
    journal = make_journal()
    call(journal, 1)
    in_memory = journal.stats.in_memory
    call(journal, 2)

    assert adopted
    assert in_memory == 0
    assert sorted(Drained().drain(journal.segments()).numbers) == [1, 2]
    assert len(files(folder)) == 1


def test_a_folder_whose_every_file_is_taken_is_an_outage(
    make_journal: MakeJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a few names the journal waits for its next try, with the call in memory."""

    def refuse(fd: int, operation: int) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    journal = make_journal()
    with monkeypatch.context() as patch:
        patch.setattr(file.fcntl, "flock", refuse)
        call(journal, 1)
    in_memory = journal.stats.in_memory

    assert in_memory == 1
    assert Drained().drain(journal.segments()).numbers == [1]


def test_an_orphan_on_a_failing_disk_is_read_later(folder: Path, disk: Disk) -> None:
    """Orphans are only read: a disk that cannot be written does not matter to them."""
    leave(folder, 1)
    disk.fails = lambda _: True

    assert Drained().drain(adopt(folder)).numbers == [1]


def test_open_intents_of_a_killed_process(folder: Path) -> None:
    """A process that ended with calls in flight leaves them as open, each with its intent."""
    journal = Journal(folder, segment_bytes=500)
    journal.open(intent(1))
    for number in range(2, 9):
        call(journal, number)
    journal.open(intent(9))
    journal.shutdown()

    drained = Drained().drain(adopt(folder))

    assert drained.numbers == [2, 3, 4, 5, 6, 7, 8]
    assert drained.outcomes() == {1: "open", 9: "open"}
    assert [ended.intent for ended in drained.endings] == [intent(1), intent(9)]


def killed_while_rotating(folder: Path, *, is_settled: bool) -> list[Path]:
    """Two files of a process that was killed when the second had taken over, and the first did not say so yet."""
    journal = Journal(folder, segment_bytes=500)
    journal.open(intent(1))
    journal.open(intent(2))
    call(journal, 3)
    if is_settled:
        journal.close_attempt(event(1))
    journal.shutdown()
    first, second = files(folder)
    word = OVERHEAD + len(ROTATED)
    assert first.read_bytes()[-len(ROTATED) :] == ROTATED
    os.truncate(first, first.stat().st_size - word)
    return [first, second]


@pytest.mark.parametrize("is_settled", [True, False])
def test_a_kill_while_rotating_counts_open_attempts_once(folder: Path, is_settled: bool) -> None:
    """What a later file took over is that file's to tell: settled or open, but not both and not twice."""
    killed_while_rotating(folder, is_settled=is_settled)

    drained = Drained().drain(adopt(folder))

    assert sorted(drained.numbers) == ([1, 3] if is_settled else [3])
    assert sorted(int.from_bytes(ended.attempt, "big") for ended in drained.endings) == ([2] if is_settled else [1, 2])


def test_a_kill_before_the_next_file_had_taken_over(folder: Path) -> None:
    """Attempts that no later file of the process knows are open in the file that announced them."""
    _, second = killed_while_rotating(folder, is_settled=False)
    header = second.read_bytes()[:HEADER]
    leave(folder, 7)
    second.write_bytes(header)

    drained = Drained().drain(adopt(folder))

    assert sorted(drained.numbers) == [3, 7]
    assert drained.outcomes() == {1: "open", 2: "open"}


def test_a_later_file_that_cannot_be_read_took_nothing_over(folder: Path) -> None:
    """An attempt is rather shown as open than not at all."""
    _, second = killed_while_rotating(folder, is_settled=False)
    second.unlink()
    second.symlink_to("/etc/hostname")

    drained = Drained().drain(adopt(folder))

    assert drained.outcomes() == {1: "open", 2: "open"}


def test_a_later_file_of_another_version_took_nothing_over(folder: Path) -> None:
    """What this version cannot read it cannot rely on."""
    first, second = killed_while_rotating(folder, is_settled=False)
    newer = second.read_bytes()[: HEADER - 4].replace(b"costspan\x01", b"costspan\x02")
    second.write_bytes(newer + crc32(newer).to_bytes(4, "little"))

    drained = Drained().drain(adopt(folder))

    assert drained.outcomes() == {1: "open", 2: "open"}
    assert not first.exists()
