"""Journals whose writers are gone, taken over by exactly one other process."""

from __future__ import annotations

import fcntl
import logging
import os
import stat
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from costspan.journal.file import SUFFIX, JournalFile
from costspan.journal.filesegment import OrphanSegment
from costspan.journal.frame import HEADER, VERSION, file_header, read_header, salt, scan
from costspan.journal.outage import is_spoken_for

__all__ = ["adopt"]

_log = logging.getLogger("costspan")
_OPEN = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_WINDOW = 1 << 21
_reported: set[Path] = set()


def adopt(directory: Path) -> list[OrphanSegment]:
    """Return the orphans of ``directory``, oldest first. Their files stay locked until `discard` or `release`.

    Files of living processes are not touched. What is no journal of a known version is left alone and logged once.
    """
    directory = Path(directory)
    found: list[OrphanSegment] = []
    try:
        paths = sorted(path for path in directory.iterdir() if path.suffix == SUFFIX)
    except FileNotFoundError:
        return []
    except OSError as error:
        if not is_spoken_for(directory):  # else one cause would give two warnings
            _report(directory, error.strerror or str(error))
        return []
    for path in paths:
        try:
            file = _claim(path)
        except OSError as error:
            _report(path, error.strerror or str(error))
        else:
            if file is not None:
                found.append(OrphanSegment(file))
    return found


def _claim(path: Path) -> JournalFile | None:
    fd = _lock(path)
    if fd is None:
        return None
    try:
        writer = _writer(path, fd)
    except OSError:
        os.close(fd)
        raise
    if writer is not None:
        return JournalFile.claim(path, writer, fd)
    os.close(fd)
    return None


def _lock(path: Path) -> int | None:
    """Return a locked descriptor, or None where another process holds the file or has just deleted it."""
    with suppress(FileNotFoundError, BlockingIOError):
        fd = os.open(path, _OPEN)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(fd).st_nlink:
                return fd
        except OSError:
            os.close(fd)
            raise
        os.close(fd)
    return None


def _writer(path: Path, fd: int) -> UUID | None:
    """Return who wrote the file, or None where there is nothing to adopt."""
    state, me = os.fstat(fd), os.geteuid()
    if not stat.S_ISREG(state.st_mode) or (me and state.st_uid != me):  # root drains for every user of the host
        _report(path, "it is no regular file of this user")
        return None
    data = os.pread(fd, _WINDOW, 0)
    header = read_header(data)
    if header is None:
        return _without_header(path, data)
    version, writer = header
    if version != VERSION:
        _report(path, f"it has format {version}, this version of costspan knows {VERSION}")
        return None
    if len(data) == HEADER:
        path.unlink()
        return None
    return writer


def _without_header(path: Path, data: bytes) -> UUID | None:
    """The file's name says whose frames to look for where its first bytes are damaged."""
    try:
        writer = UUID(path.stem)
    except ValueError:
        _report(path, "it is no journal")
        return None
    if file_header(writer).startswith(data):  # died while creating it
        path.unlink()
        return None
    is_ours = any(payload is not None for _, _, payload in scan(data, salt(writer), 0, at_end=True))
    if not is_ours and data.strip(b"\0"):
        _report(path, "it is no journal")
        return None
    return writer


def _report(path: Path, reason: str) -> None:
    if path not in _reported:
        _reported.add(path)
        _log.warning("costspan: %s is left alone: %s", path, reason)
