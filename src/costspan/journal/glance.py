"""Reading a journal file that belongs to somebody else, without touching it."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from costspan.journal.frame import HEADER, VERSION, read_header, salt
from costspan.journal.reader import Gathered, Reader

__all__ = ["Glance", "glance", "is_locked", "writer_of"]


@dataclass(frozen=True, slots=True)
class Glance:
    """All that a file held at one moment."""

    found: Gathered
    is_live: bool
    """Whether its writer, or whoever adopted it, is alive."""


def glance(path: Path) -> Glance | None:
    """Return what ``path`` holds, or None for what is no journal of this version. Its writer may go on meanwhile.

    Raises:
        OSError: when it cannot be opened or read.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        writer = writer_of(path, fd)
        if writer is None:
            return None
        is_live = is_locked(fd)  # before reading: a writer that dies meanwhile had written all of it
        reader = Reader(lambda count, at: os.pread(fd, count, at), salt(writer))
        return Glance(reader.everything(os.fstat(fd).st_size), is_live=is_live)
    finally:
        os.close(fd)


def writer_of(path: Path, fd: int) -> UUID | None:
    """Return who wrote the open file, or None for what is no journal of this version."""
    header = read_header(os.pread(fd, HEADER, 0))
    if header is None:
        return _named(path)
    return header[1] if header[0] == VERSION else None


def _named(path: Path) -> UUID | None:
    try:
        return UUID(path.stem)
    except ValueError:
        return None


def is_locked(fd: int) -> bool:
    """Return whether the open file's writer, or whoever adopted it, is alive."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False
