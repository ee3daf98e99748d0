"""The folder of an embedded Postgres and the locks in it, as its users and its supervisor both know them.

::

    <state_dir>/postgres/     ours: 0700; for root 0711, because root's server runs as another user
      start.lock              held while somebody starts, joins or stops the server
      users.lock              held (shared) by every process that uses the server, for as long as it does
      supervisor.lock         held by the supervisor for its life
      server.lock             held by the supervisor and by every process of the server
      running.json            where the server listens; there from ready until stopping
      password                of the database user; 0600
      scratch                 folders to be removed when the server is gone
      log/                    server.log and server.log.1, bounded
      server/                 0700, of the OS user that runs the server: data/ and its socket's folder

Locks are flocks: the kernel drops them when a process ends, however it ends, so no pid needs to be trusted.
The supervisor imports this too, so it stays light: standard library only.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from costspan.errors import ConfigurationError

__all__ = [
    "DATABASE",
    "PORT",
    "USER",
    "Home",
    "Lock",
    "Running",
    "is_held",
    "read_private",
    "socket_file",
    "write_private",
]

USER = DATABASE = "costspan"
PORT = 5432  # names the socket's file and nothing else: no TCP port is opened


@dataclass(frozen=True, slots=True)
class Running:
    """A server that accepts connections, as its supervisor wrote it down."""

    socket_folder: str
    postmaster: int
    supervisor: int
    version: str

    def accepts(self) -> bool:
        """Whether a connection can be made now; a bare one, which Postgres neither logs nor minds."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(str(socket_file(Path(self.socket_folder))))
            except OSError:
                return False
        return True


@dataclass(frozen=True, slots=True)
class Home:
    """The paths of one embedded server."""

    folder: Path

    @classmethod
    def of(cls, state_dir: Path) -> Home:
        """The home inside a state directory; nothing is touched."""
        return cls(state_dir.absolute() / "postgres")

    @property
    def start_lock(self) -> Path:
        """Held while somebody starts, joins or stops the server."""
        return self.folder / "start.lock"

    @property
    def users_lock(self) -> Path:
        """Held, shared, by every user."""
        return self.folder / "users.lock"

    @property
    def supervisor_lock(self) -> Path:
        """Held by the supervisor."""
        return self.folder / "supervisor.lock"

    @property
    def server_lock(self) -> Path:
        """Held by each process of the server, so that it says more than a pid file can."""
        return self.folder / "server.lock"

    @property
    def running_file(self) -> Path:
        """Where the server listens."""
        return self.folder / "running.json"

    @property
    def password_file(self) -> Path:
        """The database user's password."""
        return self.folder / "password"

    @property
    def scratch_file(self) -> Path:
        """The paths of the folders that go with the server, one a line."""
        return self.folder / "scratch"

    @property
    def log_file(self) -> Path:
        """The newest part of the server's log."""
        return self.folder / "log" / "server.log"

    @property
    def server(self) -> Path:
        """What belongs to the server's OS user."""
        return self.folder / "server"

    @property
    def data(self) -> Path:
        """The data directory; it is there only when it is complete."""
        return self.server / "data"

    def prepare(self) -> None:
        """Create the folder, private; nothing outside of it is changed, and no existing state directory either.

        Raises:
            ConfigurationError: when it cannot be written, or belongs to somebody else.
        """
        is_root = os.geteuid() == 0
        mode = 0o711 if is_root else 0o700
        state_dir = self.folder.parent
        try:
            state_dir.mkdir(mode=mode, parents=True, exist_ok=True)
            self.folder.mkdir(mode=mode, exist_ok=True)
            owner = self.folder.stat().st_uid
            if owner != os.geteuid():
                raise ConfigurationError(
                    f"COSTSPAN_STATE_DIR {state_dir}: its embedded Postgres belongs to user id {owner} and this process "
                    f"runs as {os.geteuid()}; run as that user, choose another folder, or set COSTSPAN_DATABASE_URL"
                )
            self.folder.chmod(mode)  # the umask may have taken bits that root's server needs
            self.log_file.parent.mkdir(mode=0o700, exist_ok=True)
            Lock(self.start_lock).close()  # a read-only file system says so here
        except OSError as error:
            raise ConfigurationError(
                f"COSTSPAN_STATE_DIR {state_dir} cannot hold the embedded Postgres ({error.strerror}: {error.filename}); "
                "choose a folder that this user can write, or set COSTSPAN_DATABASE_URL"
            ) from error

    def running(self) -> Running | None:
        """What the supervisor wrote when the server became ready; None before and after."""
        try:
            return Running(**json.loads(self.running_file.read_text()))
        except FileNotFoundError:
            return None

    def write_running(self, running: Running) -> None:
        """Say that the server is ready."""
        write_private(self.running_file, json.dumps(asdict(running)))

    def log_tail(self, lines: int = 5) -> str:
        """The end of the server's log, for messages about a server that did not start."""
        with suppress(OSError):
            return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-lines:])
        return ""


class Lock:
    """An open lock file; the lock lasts until `close`, or until the process is gone."""

    open_locks: set[Lock]  # so that a forked child can let go of what its parent holds

    def __init__(self, path: Path) -> None:
        self._path = path
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        Lock.open_locks.add(self)

    def acquire(self, *, shared: bool = False) -> None:
        """Wait for the lock without end."""
        fcntl.flock(self.descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)

    def acquire_until(self, deadline: float, *, shared: bool = False) -> bool:
        """Try until a moment of the monotonic clock, once at least; whether it was acquired."""
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(self.descriptor, kind | fcntl.LOCK_NB)
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)

    def release(self) -> None:
        """Unlock for every holder of this open file, forked copies included."""
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Unlock and close."""
        self.release()
        self.abandon()

    def abandon(self) -> None:
        """Close without unlocking: in a forked child, whose parent goes on holding the lock."""
        Lock.open_locks.discard(self)
        os.close(self.descriptor)

    @property
    def is_on_disk(self) -> bool:
        """Whether the file still is what its path names; not after somebody removed the folder."""
        try:
            return os.path.samestat(os.fstat(self.descriptor), self._path.stat())
        except FileNotFoundError:
            return False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


Lock.open_locks = set()


def is_held(path: Path) -> bool:
    """Whether somebody holds a lock exclusively; asking takes a shared lock for a moment, so askers see no one else."""
    with Lock(path) as lock:
        return not lock.acquire_until(0, shared=True)


def socket_file(folder: Path) -> Path:
    """Where Postgres puts its socket in a folder."""
    return folder / f".s.PGSQL.{PORT}"


def write_private(path: Path, text: str) -> None:
    """Replace a file of ours whole: readers and crashes see the old text or the new one; mode 0600."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)


def read_private(path: Path) -> str:
    """The text of such a file; a path in it may have any bytes."""
    return path.read_text(encoding="utf-8", errors="surrogateescape")
