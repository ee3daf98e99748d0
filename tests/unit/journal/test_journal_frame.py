"""Frames: what a file's bytes can and cannot be taken for."""

from __future__ import annotations

from collections import Counter
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.journal import frame as frames
from costspan.journal.frame import HEADER, OVERHEAD, file_header, frame, is_torn, read_header, salt, scan

WRITER = UUID("01a1fff8-8656-791a-b94a-6742811f86dc")
SEED = salt(WRITER)
PAYLOADS = [b"first", b"\0" * 40, b"x", b"the last one"]
JOURNAL = b"".join(frame(payload, SEED) for payload in PAYLOADS)


def payloads(data: bytes, *, at_end: bool = True, seed: int = SEED) -> list[bytes]:
    """The payloads that a reader of ``data`` accepts."""
    return [payload for _, _, payload in scan(data, seed, 0, at_end=at_end) if payload is not None]


@given(st.lists(st.binary(min_size=1, max_size=300)))
def test_round_trip(written: list[bytes]) -> None:
    """What was framed is read back, in order and without damage."""
    data = b"".join(frame(payload, SEED) for payload in written)

    found = [payload for _, _, payload in scan(data, SEED, 0, at_end=True)]

    assert found == written


@given(st.lists(st.binary(min_size=1, max_size=60)), st.binary(max_size=60), st.booleans())
def test_every_byte_is_accounted_for(written: list[bytes], junk: bytes, at_end: bool) -> None:
    """Pieces follow one another without a gap or an overlap, and at the end nothing is left over."""
    data = junk + b"".join(frame(payload, SEED) + junk for payload in written)

    pieces = list(scan(data, SEED, 0, at_end=at_end))

    bounds = [0] + [end for _, end, _ in pieces]
    assert [start for start, _, _ in pieces] == bounds[:-1]
    assert bounds[-1] == len(data) or not at_end


@pytest.mark.parametrize("at_end", [True, False])
def test_cut_at_every_byte(at_end: bool) -> None:
    """Wherever a journal is cut, exactly the frames that are whole are read."""
    ends = [0]
    for payload in PAYLOADS:
        ends.append(ends[-1] + OVERHEAD + len(payload))

    for cut in range(len(JOURNAL) + 1):
        whole = sum(end <= cut for end in ends[1:])
        assert payloads(JOURNAL[:cut], at_end=at_end) == PAYLOADS[:whole]


def test_every_single_bit_flip() -> None:
    """One flipped bit costs the one record it is in, and makes none."""
    for bit in range(len(JOURNAL) * 8):
        bent = bytearray(JOURNAL)
        bent[bit // 8] ^= 1 << bit % 8

        lost = Counter(PAYLOADS)
        lost.subtract(payloads(bytes(bent)))

        assert sorted(lost.values()) == [0, 0, 0, 1]


@given(st.binary(max_size=400))
def test_junk_is_no_record(junk: bytes) -> None:
    """Bytes that nobody framed are never a record."""
    assert payloads(junk) == []


def test_zeros_are_no_record() -> None:
    """A zero-filled tail, which a power loss leaves, is no record: a length of 0 is never written."""
    assert payloads(JOURNAL + bytes(4096)) == PAYLOADS
    assert payloads(frames._FRAME.pack(frames.MAGIC, 0, 0), seed=0) == []


def test_frames_of_another_writer_are_no_record() -> None:
    """Blocks of a deleted journal that show up in this one are not taken for records."""
    other = frame(b"of another file", salt(uuid4()))

    assert payloads(JOURNAL + other) == PAYLOADS


def test_checksum_covers_the_length() -> None:
    """A frame whose length was bent so that it still fits is not read as a shorter record."""
    magic, length, checksum = frames._FRAME.unpack_from(frame(b"12345678", SEED))
    for shorter in range(1, length):
        assert payloads(frames._FRAME.pack(magic, shorter, checksum) + b"12345678") == []


def test_a_frame_that_may_continue_is_waited_for() -> None:
    """Without the end of the file in sight, the scan stops before a frame that is not complete yet."""
    data = b"junk" + JOURNAL[:-3]

    found = list(scan(data, SEED, 0, at_end=False))

    assert found[0] == (0, 4, None)
    assert found[-1][1] == 4 + len(JOURNAL) - OVERHEAD - len(PAYLOADS[-1])


def test_a_magic_byte_at_the_edge_is_not_swallowed_by_damage() -> None:
    """Damage that ends in what may be the first half of the magic bytes leaves that byte for the next window."""
    assert list(scan(b"junk\xf5", SEED, 0, at_end=False)) == [(0, 4, None)]


def test_an_overlong_length_is_damage_at_once() -> None:
    """A length beyond any record is not waited for."""
    data = frames._FRAME.pack(frames.MAGIC, frames.MAX_PAYLOAD + 1, 0)

    assert next(iter(scan(data + JOURNAL, SEED, 0, at_end=False))) == (0, len(data), None)


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        (b"", True),
        (bytes(100), True),
        (frame(b"payload", SEED)[:1], True),
        (frame(b"payload", SEED)[:7], True),
        (frame(b"payload", SEED)[:-1], True),
        (frame(b"payload", SEED)[:-2] + bytes(50), True),
        (frame(b"payload" * 9, SEED)[:-9] + bytes(5), True),
        (frame(b"payload", SEED)[:-1] + b"!", False),
        (b"some words", False),
        (b"words", False),
    ],
)
def test_torn_tails(tail: bytes, expected: bool) -> None:
    """A frame's beginning and zeros are what a cut write leaves; anything else is damage."""
    assert is_torn(tail) is expected


def test_header_round_trip() -> None:
    """A file says its format and its writer."""
    header = file_header(WRITER)

    assert len(header) == HEADER
    assert read_header(header + JOURNAL) == (frames.VERSION, WRITER)


def test_header_with_any_bent_bit_is_none() -> None:
    """A header is believed only as it was written."""
    header = file_header(WRITER)
    for bit in range(HEADER * 8):
        bent = bytearray(header)
        bent[bit // 8] ^= 1 << bit % 8
        assert read_header(bytes(bent)) is None
    assert read_header(header[:-1]) is None


def test_header_of_another_program_is_none() -> None:
    """A checksum alone does not make a journal."""
    start = frames._HEADER.pack(b"somebody", 1, 0, WRITER.bytes)

    assert read_header(start + frames.crc32(start).to_bytes(4, "little")) is None
