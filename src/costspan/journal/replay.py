"""What a journal file held up to where the ledger has read it, and what it holds behind: to compare the two."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar
from uuid import UUID

from costspan.journal.frame import salt
from costspan.journal.glance import is_locked, writer_of
from costspan.journal.reader import Gathered, Reader

__all__ = ["Replay", "replay"]

_Told = TypeVar("_Told")


@dataclass(frozen=True, slots=True)
class Replay(Generic[_Told]):
    """A file, read twice."""

    writer: UUID
    size: int
    is_live: bool
    told: _Told
    """What was told of its position."""
    read: Gathered
    """All up to there."""
    whole: Gathered


def replay(path: Path, ask: Callable[[UUID], tuple[int, _Told]]) -> Replay[_Told] | None:
    """Return what ``path`` holds, and held at the position that ``ask`` tells of its writer; None for no journal.

    Raises:
        OSError: when it cannot be opened or read.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        writer = writer_of(path, fd)
        if writer is None:
            return None
        is_live = is_locked(fd)
        position, told = ask(writer)  # before the size: who drains meanwhile does not get ahead of what is read here
        size = os.fstat(fd).st_size
        read, whole = (
            Reader(lambda count, at: os.pread(fd, count, at), salt(writer)).everything(end)
            for end in (min(position, size), size)
        )
        return Replay(writer, size, is_live, told, read, whole)
    finally:
        os.close(fd)
