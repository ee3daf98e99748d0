"""Counting what a folder holds, without touching it."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.event import Record, encode
from costspan.journal import Audit, Journal, audit
from costspan.journal.frame import CARRIED, ROTATED, VERSION, WITHDRAWN, file_header, frame, salt
from unit.journal.conftest import MakeJournal
from unit.journal.records import call, ending, event, files, intent


def write(folder: Path, *items: Record | bytes) -> Path:
    """A file with these records and control words, of a writer that is gone."""
    folder.mkdir(exist_ok=True)
    writer = uuid4()
    path = folder / f"{writer}.journal"
    payloads = [item if isinstance(item, bytes) else encode(item) for item in items]
    path.write_bytes(file_header(writer) + b"".join(frame(payload, salt(writer)) for payload in payloads))
    return path


def test_each_attempt_is_counted_where_it_belongs(folder: Path) -> None:
    """Settled, failed, unanswered and open together are the intents."""
    write(folder, *map(intent, range(6)), event(0), event(1), ending(2, "failed"), ending(3), ending(4, "open"))

    found = audit(folder)

    assert found == Audit(files=1, intents=6, settled=2, failed=1, unanswered=1, open=2)


def test_an_attempt_in_several_files_is_one(folder: Path) -> None:
    """Carried from file to file an attempt is announced once and ends once, whichever files are still there."""
    carried = [CARRIED + encode(intent(number)) for number in (1, 2)]
    first = write(folder, intent(1), intent(2), intent(3), event(3), ROTATED)
    write(folder, *carried, ROTATED)
    write(folder, *carried, event(1))

    whole = audit(folder)
    first.unlink()
    rest = audit(folder)

    assert (whole.intents, whole.settled, whole.open) == (3, 2, 1)
    assert (rest.intents, rest.settled, rest.open) == (2, 1, 1)


def test_a_crash_while_rotating_counts_an_open_attempt_once(folder: Path) -> None:
    """Carried over, but not yet said so in the old file: still one open attempt."""
    write(folder, intent(1))
    write(folder, CARRIED + encode(intent(1)))

    found = audit(folder)

    assert (found.intents, found.open) == (1, 1)


@pytest.mark.parametrize("is_before", [True, False])
def test_an_attempt_that_a_signal_handler_ended_during_a_rotation(folder: Path, is_before: bool) -> None:
    """Carried over, ended by a handler in between, and withdrawn: settled, not open."""
    carried = CARRIED + encode(intent(1))
    write(folder, intent(1), ROTATED)
    write(folder, *((event(1), carried) if is_before else (carried, event(1))), WITHDRAWN + event(1).attempt)

    found = audit(folder)

    assert (found.intents, found.settled, found.open) == (1, 1, 0)


def test_an_attempt_announced_again_in_its_file_is_one(folder: Path) -> None:
    """A record that was carried over and then written again, as after a failed write, is one intent."""
    write(folder, CARRIED + encode(intent(1)), intent(1), event(1))
    write(folder, intent(2), CARRIED + encode(intent(2)), event(2))

    found = audit(folder)

    assert (found.intents, found.settled, found.open) == (2, 2, 0)


def test_an_ending_in_another_file_ends_an_attempt(folder: Path) -> None:
    """A call whose event went to a later file, which did not carry its intent, is not open."""
    write(folder, intent(1))
    write(folder, event(1))

    found = audit(folder)

    assert (found.intents, found.settled, found.open) == (1, 1, 0)


def test_living_writers_are_told_from_gone_ones(make_journal: MakeJournal, folder: Path) -> None:
    """Open attempts of living processes are in flight, and nobody's files are touched."""
    write(folder, intent(1))
    journal = make_journal()
    journal.open(intent(2))
    before = {path: path.read_bytes() for path in files(folder)}

    found = audit(folder)
    call(journal, 3)

    assert (found.files, found.live_files, found.open, found.in_flight) == (2, 1, 2, 1)
    assert len(files(folder)) == len(before)


def test_damage_is_counted_in_bytes(folder: Path) -> None:
    """Bytes that are no record, and bytes of a cut write, are told apart."""
    path = write(folder, intent(1), event(1))
    whole = path.read_bytes()
    path.write_bytes(whole + b"rubbish" + frame(encode(event(2)), 0)[:-5])

    found = audit(folder)

    assert (found.settled, found.damaged + found.torn) == (1, len(path.read_bytes()) - len(whole))


def test_what_cannot_be_read_is_foreign(folder: Path) -> None:
    """Files of others and of later versions are counted, not read."""
    folder.mkdir()
    writer = uuid4()
    (folder / "notes.journal").write_text("dear diary")
    (folder / "link.journal").symlink_to("/etc/hostname")
    header = file_header(writer)
    assert header[8] == VERSION
    later = header[:8] + bytes([VERSION + 1]) + header[9:-4]
    (folder / f"{writer}.journal").write_bytes(later + crc32(later).to_bytes(4, "little"))

    assert audit(folder) == Audit(foreign=3)


def test_a_damaged_header_does_not_hide_records(folder: Path) -> None:
    """The file's name says whose frames they are."""
    path = write(folder, intent(1), event(1))
    path.write_bytes(b"?" + path.read_bytes()[1:])

    assert audit(folder).settled == 1


def test_a_file_that_vanishes_is_skipped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The drainer may delete a file while the folder is counted."""
    path, opened = write(folder, intent(1)), os.open

    def delete_and_open(name: Path, flags: int) -> int:
        path.unlink(missing_ok=True)
        return opened(name, flags)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", delete_and_open)
        found = audit(folder)

    assert found == Audit()


def test_a_folder_that_cannot_be_listed_raises(folder: Path) -> None:
    """Who asks to audit a folder that is not there is told so."""
    with pytest.raises(FileNotFoundError):
        audit(folder)


@given(
    steps=st.lists(st.sampled_from(["open", "settle", "fail", "unanswered"]), max_size=60),
    segment_bytes=st.integers(200, 2000),
)
def test_the_equation_holds(tmp_path_factory: pytest.TempPathFactory, steps: list[str], segment_bytes: int) -> None:
    """Whatever calls do and however often files rotate: settled + failed + unanswered + open is intents."""
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal(folder, segment_bytes=segment_bytes)
    in_flight, counts = [], dict.fromkeys(["open", "settle", "fail", "unanswered"], 0)

    for number, step in enumerate(steps):
        if step == "open":
            journal.open(intent(number))
            in_flight.append(number)
        elif in_flight:
            closed = in_flight.pop(number % len(in_flight))
            journal.close_attempt(
                event(closed) if step == "settle" else ending(closed, "failed" if step == "fail" else "unanswered")
            )
        else:
            continue
        counts[step] += 1
    journal.shutdown()

    found = audit(folder)
    assert (found.intents, found.settled, found.failed, found.unanswered) == tuple(counts.values())
    assert found.open == len(in_flight) == found.intents - found.settled - found.failed - found.unanswered
