"""Reading a journal's bytes: every record as it was written, or its bytes reported."""

from __future__ import annotations

import errno
from collections.abc import Callable
from random import Random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.event import Record, encode
from costspan.journal.frame import CARRIED, HEADER, MAX_PAYLOAD, ROTATED, WITHDRAWN, file_header, frame, salt
from costspan.journal.reader import Reader
from costspan.journal.segment import Batch
from unit.journal.records import NOON, attempt, ending, event, intent

WRITER = UUID("01a1fff8-8656-791a-b94a-6742811f86dc")
SEED = salt(WRITER)


def journal(*items: Record | bytes) -> bytes:
    """A file's bytes with these records and control words."""
    payloads = [item if isinstance(item, bytes) else encode(item) for item in items]
    return file_header(WRITER) + b"".join(frame(payload, SEED) for payload in payloads)


def reader_of(data: bytes) -> Reader:
    """A reader of ``data`` as a file."""
    return Reader(lambda count, at: data[at : at + count], SEED)


def batch_of(data: bytes, position: int = 0, *, is_orphan: bool = False, limit: int = 1000) -> Batch:
    """One batch of a file that nobody writes any more."""
    return reader_of(data).batch(position, len(data), limit, is_finished=True, carried_later=set if is_orphan else None)


def test_events_and_endings_come_out_as_they_went_in() -> None:
    """A settled call is an event; one without usage comes with the intent that explains it."""
    data = journal(intent(1), intent(2), event(1), ending(2, "failed"))

    batch = batch_of(data)

    assert batch.events == [event(1)]
    assert [(found.intent, found.outcome, found.reason) for found in batch.endings] == [
        (intent(2), "failed", "timeout")
    ]
    assert (batch.start, batch.end, batch.intents, batch.is_last) == (0, len(data), 2, True)
    assert not batch.is_empty


def test_an_ending_without_intent_says_so() -> None:
    """An ending whose intent was lost is delivered all the same."""
    (found,) = batch_of(journal(ending(7))).endings

    assert (found.attempt, found.intent) == (attempt(7), None)


def test_reading_goes_on_from_any_position() -> None:
    """Batches of one record each, by one reader or by a new one each time, together hold everything once."""
    data = journal(intent(1), intent(2), event(1), intent(3), ending(3), ending(2))
    one = reader_of(data)

    for reader in (lambda: one, lambda: reader_of(data)):
        position, found = 0, []
        while not found or not found[-1].is_last:
            found.append(reader().batch(position, len(data), 1, is_finished=True))
            position = found[-1].end
        assert [len(batch.events) for batch in found] == [1, 0, 0]
        assert [ended.intent for batch in found for ended in batch.endings] == [intent(3), intent(2)]


def test_a_batch_can_be_read_again() -> None:
    """When its commit failed, the same position gives the same batch, intents included."""
    reader = reader_of(data := journal(intent(1), event(1), intent(2), ending(2), ending(3)))
    first = reader.batch(0, len(data), 1, is_finished=False)

    second = [reader.batch(first.end, len(data), 9, is_finished=False) for _ in range(3)]

    assert second[0].endings[0].intent == intent(2)
    assert second[0] == second[1] == second[2]


def test_an_orphans_last_batch_has_what_is_open() -> None:
    """At an orphan's end each intent that nobody ended is open, and the position behind the end says it was delivered."""
    data = journal(intent(1), intent(2), event(1), intent(3))

    batch = batch_of(data, is_orphan=True)
    again = batch_of(data, batch.end, is_orphan=True)

    assert [(found.intent, str(found.outcome)) for found in batch.endings] == [(intent(2), "open"), (intent(3), "open")]
    assert batch.is_last
    assert again == Batch(batch.end, batch.end, is_last=True)


def test_an_orphan_drained_while_its_writer_lived_still_tells_its_open_intents() -> None:
    """A position at the last byte means all records were committed, not that the open ones were."""
    data = journal(intent(1), event(1), intent(2))

    batch = batch_of(data, len(data), is_orphan=True)

    assert [found.intent for found in batch.endings] == [intent(2)]
    assert batch.end == len(data) + 1


def test_a_rotated_file_has_nothing_open() -> None:
    """Intents without an ending live on in the next file once the old one says so."""
    batch = batch_of(journal(intent(1), ROTATED), is_orphan=True)

    assert batch.endings == []
    assert batch.is_last


def test_carried_intents_explain_endings_but_are_not_announced_twice() -> None:
    """What an earlier file announced is known in the next one, and open at its end, but not counted as new."""
    data = journal(CARRIED + encode(intent(1)), CARRIED + encode(intent(2)), ending(1))

    batch = batch_of(data, is_orphan=True)

    assert [(found.intent, str(found.outcome)) for found in batch.endings] == [
        (intent(1), "unanswered"),
        (intent(2), "open"),
    ]
    assert batch.intents == 0


def test_a_withdrawn_intent_is_not_open() -> None:
    """What was carried over although it had ended is taken back."""
    data = journal(CARRIED + encode(intent(1)), WITHDRAWN + attempt(1))

    assert batch_of(data, is_orphan=True).endings == []


@pytest.mark.parametrize(
    "payload", [b"\xc1Z of a later version", CARRIED + b"rubbish", b"\x93rubbish", encode(event(1))[:-1]]
)
def test_payloads_of_nobody_are_quarantined(payload: bytes) -> None:
    """A whole frame with a payload that this version cannot read is kept aside, and what follows it is read."""
    batch = batch_of(journal(payload, event(2)))

    assert batch.quarantined == [payload]
    assert batch.events == [event(2)]


def test_reading_stops_at_the_known_end() -> None:
    """What lies behind the size that was asked for is left for the next time."""
    data = journal(intent(1), event(1))
    size = len(data)
    reader = reader_of(data + frame(encode(event(2)), SEED))

    batch = reader.batch(0, size, 100, is_finished=False)

    assert (batch.end, batch.is_last, batch.events) == (size, False, [event(1)])


def test_a_file_with_nothing_new_does_not_move_the_position() -> None:
    """Header and control words alone are no reason for a transaction."""
    data = journal(CARRIED + encode(intent(1)))
    reader = reader_of(data + frame(encode(ending(1)), SEED))

    empty = reader.batch(0, len(data), 100, is_finished=False)
    later = reader.batch(0, len(data) + 500, 100, is_finished=False)

    assert (empty.end, empty.is_empty) == (0, True)
    assert later.endings[0].intent == intent(1)


def test_a_position_behind_the_end_is_the_end() -> None:
    """A disk that lost what the ledger has already is no reason to fail or to read anything twice."""
    data = journal(intent(1), event(1), intent(2))

    batch = batch_of(data, len(data) + 999, is_orphan=True)

    assert batch == Batch(len(data) + 999, len(data) + 999, is_last=True)


def test_each_single_bit_flip_of_a_journal() -> None:
    """Whatever bit flips, no record changes, none appears twice, and at most the one it is in is missing."""
    numbers = range(6)
    data = journal(*(record for number in numbers for record in (intent(number), event(number))))

    for bit in range(len(data) * 8):
        bent = bytearray(data)
        bent[bit // 8] ^= 1 << bit % 8
        batch = batch_of(bytes(bent), is_orphan=True)
        lost = [number for number in numbers if event(number) not in batch.events]
        assert len(batch.events) + len(lost) == len(numbers)
        assert len(lost) <= 1
        assert [found.intent for found in batch.endings] == [intent(number) for number in lost]
        assert sum(map(len, batch.quarantined)) + batch.torn > 0
        assert batch.is_last


def test_journal_cut_at_every_byte() -> None:
    """Wherever a crash cut the file: whole records are read, calls without an ending are open, the rest is torn bytes."""
    data = journal(*(record for number in range(4) for record in (intent(number), event(number))))

    for cut in range(HEADER, len(data)):
        batch = batch_of(data[:cut], is_orphan=True)
        settled = len(batch.events)
        assert batch.events == [event(number) for number in range(settled)]
        assert [found.intent for found in batch.endings] == [intent(n) for n in range(settled, batch.intents)]
        assert batch.quarantined == []
        assert 0 <= batch.torn < len(encode(event(1))) + 20


@given(
    st.lists(st.sampled_from(["intent", "event", "ending"]), max_size=8),
    st.sampled_from([b"", bytes(5000), frame(b"x" * 90, SEED)[:-1] + bytes(300)]),
)
def test_a_torn_tail_is_counted_and_harmless(kinds: list[str], tail: bytes) -> None:
    """A cut frame and zeros behind the last record change nothing but the count of torn bytes."""
    makers: dict[str, Callable[[int], Record]] = {"intent": intent, "event": event, "ending": ending}
    data = journal(*(makers[kind](number) for number, kind in enumerate(kinds)))

    clean, torn = batch_of(data), batch_of(data + tail)

    assert (torn.events, torn.endings, torn.quarantined) == (clean.events, clean.endings, [])
    assert torn.torn == len(tail)


def test_damage_larger_than_any_buffer() -> None:
    """Megabytes of junk cost only themselves: they come out in pieces, and records behind them are read."""
    junk = Random(1).randbytes(5 * MAX_PAYLOAD)
    data = journal(event(1)) + junk + journal(event(2))[HEADER:]
    reader, position, batches = reader_of(data), 0, []

    while not batches or not batches[-1].is_last:
        batches.append(reader.batch(position, len(data), 10, is_finished=True))
        position = batches[-1].end

    pieces = [piece for batch in batches for piece in batch.quarantined]
    assert [found for batch in batches for found in batch.events] == [event(1), event(2)]
    assert b"".join(pieces) == junk
    assert max(map(len, pieces)) <= 1 << 16


def test_a_damaged_header_costs_no_record() -> None:
    """The header is damage then, and the frames are found behind it."""
    data = b"?" + journal(event(1))[1:]

    batch = batch_of(data)

    assert batch.events == [event(1)]
    assert batch.quarantined == [data[:HEADER].strip(b"\0")]


def test_a_bad_sector_costs_only_what_is_on_it() -> None:
    """Pages that the disk cannot read count as damage; what lies before and behind them is read."""
    data = journal(*(event(number) for number in range(100, 300)))
    bad = range(3 * 4096, 4 * 4096)

    def read(count: int, at: int) -> bytes:
        if at < bad.stop and at + count > bad.start:
            raise OSError(errno.EIO, "Input/output error")
        return data[at : at + count]

    batch = Reader(read, SEED).batch(0, len(data), 1000, is_finished=True)

    size = (len(data) - HEADER) // 200
    intact = [n for n in range(200) if HEADER + (n + 1) * size <= bad.start or HEADER + n * size >= bad.stop]
    assert batch.events == [event(100 + number) for number in intact]
    assert sum(map(len, batch.quarantined)) == (200 - len(intact)) * size
    assert batch.is_last


def test_a_closed_file_reads_as_nothing_new() -> None:
    """A file that was closed meanwhile gives an empty batch that ends where it started."""

    def read(count: int, at: int) -> bytes:
        raise OSError(errno.EBADF, "Bad file descriptor")

    batch = Reader(read, SEED).batch(100, 5000, 10, is_finished=True)

    assert batch == Batch(100, 100)


def test_a_file_that_shrank_ends_where_it_ends() -> None:
    """Asked for more than there is, a reader returns what there is."""
    data = journal(event(1))

    batch = reader_of(data).batch(0, len(data) + 100, 10, is_finished=False)

    assert batch.events == [event(1)]
    assert batch.end == len(data)


def test_the_oldest_record_tells_its_time() -> None:
    """From any position the next record's time is found, and 0 where there is none."""
    data = journal(ROTATED, ending(5), intent(3), event(9))
    reader = reader_of(data)

    assert reader.first_ns(0, len(data)) == NOON + 3
    assert reader.first_ns(len(data) - 20, len(data)) == 0
    assert reader.first_ns(len(data), len(data)) == 0
