"""How records lie in a file, so that what a crash, a full disk or a bad sector left is never taken for a record.

A file begins with a header of `HEADER` bytes: ``costspan``, format version, writer, CRC-32. After it come frames of
two magic bytes, the payload's length (never 0), a CRC-32 and the payload, little-endian. The checksum is seeded with the
length and with the file's writer: neither zeros, nor a frame with a bent length, nor blocks of a deleted journal that a
power loss left in this one can pass for a record. The magic bytes cannot occur in UTF-8, so no name that an application
chooses looks like a frame.

A payload is an encoded record of `costspan.event`, or a control word. Those begin with 0xC1, which MessagePack never uses.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from uuid import UUID
from zlib import crc32

__all__ = [
    "CARRIED",
    "HEADER",
    "MAGIC",
    "MAX_PAYLOAD",
    "OVERHEAD",
    "ROTATED",
    "VERSION",
    "WITHDRAWN",
    "file_header",
    "frame",
    "is_torn",
    "pack_frame",
    "read_header",
    "salt",
    "scan",
]

VERSION = 1
#: Control: every intent without an ending lives on in a later file of the same process.
ROTATED = b"\xc1R"
#: Control, followed by an encoded intent: it was written to an earlier file and is still open.
CARRIED = b"\xc1C"
#: Control, followed by an attempt: it was carried over by mistake, its ending is in the earlier file.
WITHDRAWN = b"\xc1W"

#: Far above any record (identifiers are cut to 256 characters, evidence to 4 KB); a longer length is damage.
MAX_PAYLOAD = 1 << 20
MAGIC = b"\xf5\xc1"
_FRAME = struct.Struct("<2sII")
OVERHEAD = _FRAME.size
pack_frame = _FRAME.pack
_NAME = b"costspan"
_HEADER = struct.Struct("<8sHH16s")
HEADER = _HEADER.size + 4
_INCOMPLETE = -1
_NO_FRAME = 0


def salt(writer: UUID) -> int:
    """Return what seeds the checksums of ``writer``'s frames."""
    return crc32(writer.bytes)


def frame(payload: bytes, seed: int) -> bytes:
    """Return ``payload`` framed for the file whose `salt` is ``seed``."""
    length = len(payload)
    return pack_frame(MAGIC, length, crc32(payload, seed ^ length)) + payload


def file_header(writer: UUID) -> bytes:
    """Return the first bytes of ``writer``'s file."""
    start = _HEADER.pack(_NAME, VERSION, 0, writer.bytes)
    return start + crc32(start).to_bytes(4, "little")


def read_header(data: bytes) -> tuple[int, UUID] | None:
    """Return format version and writer, or None where ``data`` does not begin with an intact header."""
    if len(data) < HEADER or crc32(data[: _HEADER.size]) != int.from_bytes(data[_HEADER.size : HEADER], "little"):
        return None
    name, version, _, writer = _HEADER.unpack_from(data)
    return (version, UUID(bytes=writer)) if name == _NAME else None


def scan(data: bytes, seed: int, at: int, *, at_end: bool) -> Iterator[tuple[int, int, bytes | None]]:
    """Yield start, end and payload of each frame in ``data`` from ``at`` on; the payload is None for bytes that are none.

    With ``at_end`` nothing follows ``data``, so an incomplete frame is damage. Without, the scan stops before a frame
    that may continue behind ``data``.
    """
    while at < len(data):
        end = _frame_end(data, at, seed)
        if end > 0:
            yield at, end, data[at + OVERHEAD : end]
        elif end == _INCOMPLETE and not at_end:
            return
        else:
            end = _next_frame(data, at + 1, seed, at_end=at_end)
            yield at, end, None
        at = end


def is_torn(tail: bytes) -> bool:
    """Whether the last bytes of a file are what a cut write leaves: a frame's beginning, zeros, or one and then the other."""
    rest = tail.rstrip(b"\0")
    if len(rest) < OVERHEAD:
        return rest == MAGIC[: len(rest)] or rest[:2] == MAGIC
    magic, length, _ = _FRAME.unpack_from(rest)
    return bool(magic == MAGIC and 0 < length <= MAX_PAYLOAD and len(rest) < OVERHEAD + length)


def _frame_end(data: bytes, at: int, seed: int) -> int:
    if len(data) - at < OVERHEAD:
        start = data[at : at + 2]
        return _INCOMPLETE if start == MAGIC[: len(start)] else _NO_FRAME
    magic, length, checksum = _FRAME.unpack_from(data, at)
    if magic != MAGIC or not 0 < length <= MAX_PAYLOAD:
        return _NO_FRAME
    end = at + OVERHEAD + int(length)
    if end > len(data):
        return _INCOMPLETE
    return end if crc32(data[at + OVERHEAD : end], seed ^ length) == checksum else _NO_FRAME


def _next_frame(data: bytes, at: int, seed: int, *, at_end: bool) -> int:
    """Where the next whole frame begins, or one that may be whole with what follows ``data``; else the end of ``data``."""
    while (at := data.find(MAGIC, at)) >= 0:
        end = _frame_end(data, at, seed)
        if end > 0 or (end == _INCOMPLETE and not at_end):
            return at
        at += 1
    return len(data) - 1 if not at_end and data.endswith(MAGIC[:1]) else len(data)
