"""A Postgres for those who have none: started by the first process that needs it, stopped when the last one is gone.

`COSTSPAN_DATABASE_URL` unset means this. It needs no root and no configuration, listens on a socket in a private folder
and asks for a password, and changes nothing outside ``<state_dir>/postgres``. `embedded_home` shows what lies there.

A process becomes a user with `ensure` and stays one until it ends or calls `release`: the kernel keeps count (a shared
flock), so that `kill -9` is no exception. A forked child is not a user through its parent; it becomes one when it calls
`ensure` itself. Nobody needs to stop the server; ``kill`` (SIGTERM) of its supervisor does, and then the next `ensure` starts
it again. A server whose supervisor is killed is stopped by the kernel on Linux, and by the next `ensure` elsewhere.

Run by root the server runs as `nobody`, because Postgres refuses root. What `nobody` cannot reach is passed to the server as
an open folder (the data) or copied while it runs (the programs); no folder of anybody is opened for it.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from psycopg.conninfo import make_conninfo

from costspan.errors import ConfigurationError, LedgerUnavailable
from costspan.ledger import embedded_binaries
from costspan.ledger.embedded_home import DATABASE, PORT, USER, Home, Lock, Running, is_held, socket_file

__all__ = ["Endpoint", "Status", "ensure", "release", "status"]

# What the server may know of the application's environment: no key of a provider, no PGDATA, no LD_PRELOAD.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "XDG_RUNTIME_DIR")

_mutex = threading.Lock()
_users: dict[Home, Lock] = {}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How to reach a running embedded server."""

    socket_folder: Path
    password: str = field(repr=False)
    pid: int
    version: str
    port: int = PORT
    user: str = USER
    database: str = DATABASE

    @property
    def conninfo(self) -> str:
        """A connection string, with the password."""
        return make_conninfo(
            host=str(self.socket_folder), port=self.port, user=self.user, password=self.password, dbname=self.database
        )


@dataclass(frozen=True, slots=True)
class Status:
    """What there is of an embedded server."""

    folder: Path
    is_created: bool
    is_running: bool
    pid: int | None
    version: str | None
    size_bytes: int
    socket: Path | None
    log: Path


def ensure(state_dir: Path, *, grace_seconds: float = 3.0, timeout: float = 60.0) -> Endpoint:
    """Start or join the server of a state directory, and be its user from now on.

    Args:
        state_dir: the folder that holds it; created where it is missing.
        grace_seconds: how long a server started here stays when its last user is gone.
        timeout: seconds to wait for a server that starts, recovers or stops.

    Raises:
        ConfigurationError: when trying again is no use: the package is missing, the folder cannot be used, the data are
            of another major version.
        LedgerUnavailable: when it did not start, or not in time.
    """
    deadline = time.monotonic() + timeout
    home = Home.of(state_dir)
    with _mutex:
        home.prepare()
        with Lock(home.start_lock) as start:
            if not start.acquire_until(deadline):
                raise LedgerUnavailable(f"another process has been starting the embedded Postgres for {timeout:.0f} s")
            was_user = _become_user(home)
            try:
                running = _join(home, deadline) or _start(home, grace_seconds, deadline)
                return _endpoint(home, running)
            except BaseException:
                if not was_user:
                    _users.pop(home).close()
                raise


def release(state_dir: Path) -> None:
    """Stop being a user before this process ends; for the whole process, however often `ensure` was called."""
    with _mutex:
        lock = _users.pop(Home.of(state_dir), None)
        if lock is not None:
            lock.close()


def status(state_dir: Path) -> Status:
    """Look, and start or change nothing.

    Raises:
        ConfigurationError: when this user may not look.
    """
    home = Home.of(state_dir)
    try:
        is_created = (home.data / "PG_VERSION").exists()
        found = home.running()
        running = found if found is not None and found.accepts() else None
        version = (home.data / "PG_VERSION").read_text().strip() if is_created else None
        size = _size(home.data)
    except PermissionError as error:
        raise ConfigurationError(f"{home.folder} belongs to another user: {error}") from error
    return Status(
        folder=home.folder,
        is_created=is_created,
        is_running=running is not None,
        pid=running.postmaster if running else None,
        version=running.version if running else version,
        size_bytes=size,
        socket=socket_file(Path(running.socket_folder)) if running else None,
        log=home.log_file,
    )


def _become_user(home: Home) -> bool:
    """Hold `users.lock`; whether this process did already. Somebody may have removed the folder since."""
    lock = _users.get(home)
    if lock is not None and lock.is_on_disk:
        return True
    if lock is not None:
        _users.pop(home).close()
    lock = Lock(home.users_lock)
    lock.acquire(shared=True)  # never waits long: the supervisor stops a server under the start lock, which is ours
    _users[home] = lock
    return False


def _join(home: Home, deadline: float) -> Running | None:
    """The server, when there is one; None when it has to be started. Waits while it starts or stops."""
    while is_held(home.supervisor_lock):
        running = home.running()
        if running is not None and running.accepts():
            return running
        if time.monotonic() >= deadline:
            raise LedgerUnavailable(f"the embedded Postgres is not ready yet: {home.log_tail()}")
        time.sleep(0.02)
    return None


def _start(home: Home, grace_seconds: float, deadline: float) -> Running:
    programs = embedded_binaries.installed()
    home.running_file.unlink(missing_ok=True)  # of a supervisor that was killed
    reading, writing = os.pipe()
    try:
        try:
            _launch(home, [str(programs), str(grace_seconds), str(writing)], writing)
        except (OSError, RuntimeError) as error:  # RuntimeError: the interpreter is shutting down
            raise LedgerUnavailable(f"the embedded Postgres cannot be started: {error}") from error
        finally:
            os.close(writing)
        _check(_read_answer(reading, deadline), home)
    finally:
        os.close(reading)
    running = home.running()
    if running is None:
        raise LedgerUnavailable(f"the embedded Postgres stopped at once: {home.log_tail()}")
    return running


def _launch(home: Home, arguments: list[str], answer: int) -> None:
    """Start a supervisor that holds nothing of this process: no terminal, no pipe, no working directory, no session."""
    supervisor = Path(__file__).with_name("supervisor.py")
    log = os.open(home.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        process = subprocess.Popen(  # noqa: S603 - this interpreter and a file of this package
            [_interpreter(), "-I", "-B", str(supervisor), str(home.folder.parent), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            pass_fds=(answer,),
            start_new_session=True,
        )
    finally:
        os.close(log)
    process.wait()  # for its first half only, which forks and ends


def _interpreter() -> str:
    """The Python to run the supervisor with; some hosts (uwsgi, frozen applications) put themselves in its place."""
    for candidate in (sys.executable, f"{sys.prefix}/bin/python3", f"{sys.base_prefix}/bin/python3"):
        if Path(candidate or "").name.startswith(("python", "pypy")):
            return candidate
    raise ConfigurationError(f"no Python interpreter found beside {sys.executable}; set COSTSPAN_DATABASE_URL")


def _read_answer(pipe: int, deadline: float) -> bytes:
    answer = b""
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    while True:
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise LedgerUnavailable("the embedded Postgres is still starting, perhaps recovering; try again later")
        chunk = os.read(pipe, 4096)
        if not chunk:
            return answer
        answer += chunk


def _check(answer: bytes, home: Home) -> None:
    if not answer:
        raise LedgerUnavailable(f"the supervisor of the embedded Postgres failed: {home.log_tail()}")
    said = json.loads(answer)
    if said:
        kind = ConfigurationError if said["kind"] == ConfigurationError.__name__ else LedgerUnavailable
        raise kind(said["message"])


def _endpoint(home: Home, running: Running) -> Endpoint:
    try:
        password = home.password_file.read_text()
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"{home.password_file} was removed while its server runs; it is set anew at the next start, after a "
            f"`kill {running.supervisor}`"
        ) from error
    return Endpoint(Path(running.socket_folder), password, running.postmaster, running.version)


def _size(folder: Path) -> int:
    """Bytes on disk; files that vanish meanwhile do not count."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(f"{root}/{name}").st_blocks * 512
            except FileNotFoundError:
                continue
    return total


def _forget_parent() -> None:
    """In a forked child: what the parent holds is the parent's, and another thread may have held the mutex."""
    global _mutex  # noqa: PLW0603 - a lock that a vanished thread held can only be replaced
    _mutex = threading.Lock()
    _users.clear()
    for lock in list(Lock.open_locks):
        lock.abandon()


os.register_at_fork(after_in_child=_forget_parent)
