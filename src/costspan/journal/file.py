"""A journal file that this process holds open and locked.

Whoever has the file's lock owns it: the process that writes it, then whoever adopts it. The kernel releases the lock
when the owner is gone, however it went, so neither a process id nor a clock is asked who is alive.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from threading import RLock
from typing import NoReturn
from uuid import UUID
from zlib import crc32

from costspan.journal.forks import on_fork
from costspan.journal.frame import HEADER, MAGIC, OVERHEAD, file_header, pack_frame, salt

__all__ = ["SUFFIX", "JournalFile", "later_files", "new_writers", "sync_directory"]

SUFFIX = ".journal"
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
_TRIES = 3
_COUNTED_BITS = 32
_COPY_BYTES = 1 << 20
_write = os.write
_fdatasync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


class JournalFile:
    """An open journal file; its lock is held until `close`.

    One thread at a time may `write`: the journal's lock sees to that. `read`, `sync` and `close` have a lock of their own,
    so that no caller ever waits for the disk.
    """

    __slots__ = (
        "__weakref__",
        "_fd",
        "_guard",
        "_is_deleted",
        "_is_listed",
        "is_dirty",
        "path",
        "seed",
        "size",
        "writer",
    )

    def __init__(self, path: Path, fd: int, writer: UUID, *, size: int, is_listed: bool) -> None:
        self.path = path
        self.writer = writer
        self.seed = salt(writer)
        #: Bytes written, for thresholds; `length` asks the file.
        self.size = size
        self.is_dirty = False
        self._fd = fd
        self._guard = RLock()
        self._is_listed = is_listed
        self._is_deleted = False
        on_fork(self)

    def __del__(self) -> None:
        if self._fd >= 0:
            self.close()

    @classmethod
    def create(cls, directory: Path, writers: Iterator[UUID]) -> JournalFile:
        """Return a new file in ``directory``, which is created if need be, for the next of ``writers``.

        Raises:
            OSError: when that cannot be; nothing is left behind.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for _ in range(_TRIES):
            writer = next(writers)
            path = directory / f"{writer}{SUFFIX}"
            with suppress(BlockingIOError):  # an adopter or an audit had the new file before it was locked
                return cls(path, _create(path, file_header(writer)), writer, size=HEADER, is_listed=False)
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    @classmethod
    def claim(cls, path: Path, writer: UUID, fd: int) -> JournalFile:
        """Return the file of a writer that is gone; ``fd`` is open and locked."""
        return cls(path, fd, writer, size=os.fstat(fd).st_size, is_listed=True)

    def append(self, payload: bytes) -> None:
        """Write one frame. Its parts reach the file together or not at all.

        Raises:
            OSError: when it was not written; a torn beginning was rolled back if nothing follows it.
        """
        length = len(payload)
        # `frame` and `write`, spelled out: this is the application's time.
        data = pack_frame(MAGIC, length, crc32(payload, self.seed ^ length)) + payload
        size = self.size
        written = _write(self._fd, data)
        if written != length + OVERHEAD:
            self._roll_back(written, size)
        self.size += written
        self.is_dirty = True

    def write(self, data: bytes) -> None:
        """Write frames, as `append` does."""
        size = self.size
        written = _write(self._fd, data)
        if written != len(data):
            self._roll_back(written, size)
        self.size += written
        self.is_dirty = True

    def _roll_back(self, written: int, size: int) -> NoReturn:
        # A signal handler may have appended since: then the torn bytes stay, and readers step over them.
        if size == self.size:
            with suppress(OSError):
                os.ftruncate(self._fd, self.length() - written)
        raise OSError(errno.ENOSPC, "write cut short: disk full, or the limit of a file's size reached")

    def length(self) -> int:
        """Return the file's size in bytes."""
        return os.fstat(self._fd).st_size

    def read(self, count: int, at: int) -> bytes:
        """Return up to ``count`` bytes from offset ``at`` on.

        Raises:
            OSError: when the disk fails, or after `close`.
        """
        with self._guard:
            return os.pread(self._fd, count, at)

    def sync(self) -> None:
        """Make what was written, and the file's name, survive a power loss.

        Raises:
            OSError: when the disk fails to keep the bytes. Those not synced before may be lost then.
        """
        with self._guard:
            if self._fd < 0:
                return
            if self.is_dirty:
                self.is_dirty = False  # before, so that what is written meanwhile is synced the next time
                _fdatasync(self._fd)
            if not self._is_listed:
                with suppress(OSError):  # tried again the next time; the bytes themselves are safe
                    sync_directory(self.path.parent)
                    self._is_listed = True

    def is_missing(self) -> bool:
        """Whether somebody else deleted it while it was open."""
        with self._guard:
            return self._fd >= 0 and not self._is_deleted and os.fstat(self._fd).st_nlink == 0

    def restore(self) -> None:
        """Put it back if it `is_missing`: the same name, the same bytes.

        Raises:
            OSError: when that cannot be; nothing is changed then.
        """
        with self._guard:
            if self.is_missing():
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._copy_to(_create(self.path, b""))
                self._is_listed = False
                self.is_dirty = True

    def _copy_to(self, fd: int) -> None:
        try:
            for at in range(0, self.length(), _COPY_BYTES):
                _write_all(fd, os.pread(self._fd, _COPY_BYTES, at))
            os.dup2(fd, self._fd, inheritable=False)
        except OSError:
            self.path.unlink(missing_ok=True)
            raise
        finally:
            os.close(fd)

    def delete(self) -> None:
        """Delete and close it. A power loss afterwards does not bring it back.

        Raises:
            OSError: when it cannot be deleted; it is closed all the same.
        """
        with self._guard:
            self._is_deleted = True
        try:
            self.path.unlink(missing_ok=True)
            sync_directory(self.path.parent)
        finally:
            self.close()

    def close(self) -> None:
        """Close it, which gives up the lock."""
        with self._guard:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                os.close(fd)

    def after_fork(self) -> None:
        """Let the parent have it: in the child nothing may keep the file locked once the parent is gone."""
        self._guard = RLock()  # the parent's may have been held by a thread that does not exist here
        self.close()


def sync_directory(directory: Path) -> None:
    """Make names that were created in or deleted from ``directory`` survive a power loss."""
    fd = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _create(path: Path, data: bytes) -> int:
    fd = os.open(path, _CREATE, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _demand_link(fd)
        _write_all(fd, data)
    except OSError:
        with suppress(OSError):
            path.unlink()
        os.close(fd)
        raise
    return fd


def _demand_link(fd: int) -> None:
    if not os.fstat(fd).st_nlink:  # an adopter found nothing in it and deleted it
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def _write_all(fd: int, data: bytes) -> None:
    if _write(fd, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def new_writers() -> Iterator[UUID]:
    """Identities for the files of one process: alike but for the last 8 digits, which count them.

    They are version 7 UUIDs with a part of the millisecond, so names sort by the time when their processes began.
    """
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    part = (rest << 12) // 1_000_000
    first = (
        milliseconds << 80 | 0x7 << 76 | part << 64 | 0b10 << 62 | secrets.randbits(62 - _COUNTED_BITS) << _COUNTED_BITS
    )
    # No generator: the collector would close it with a journal that it finds, and a stream found with that is yet to be
    # settled.
    return map(_identity, count(first + 1))


def _identity(number: int) -> UUID:
    return UUID(int=number)


def later_files(path: Path) -> list[Path]:
    """Return the files that the process of ``path`` began after it, as far as they are still there."""
    family = path.name[: -len(SUFFIX) - _COUNTED_BITS // 4]
    return sorted(other for other in path.parent.glob(f"{family}*{SUFFIX}") if other.name > path.name)
