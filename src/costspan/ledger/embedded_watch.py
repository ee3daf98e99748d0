"""The supervisor of an embedded Postgres: starts it, waits until nobody uses it, stops it, and goes.

It decides by locks. While one process holds `users.lock`, the server stays. When the last one is gone, however it went,
the kernel grants this process the lock; after a grace it takes `start.lock`, so that nobody can join a server that is
stopping, looks again, and stops it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

from costspan.errors import ConfigurationError, CostspanError, LedgerUnavailable
from costspan.ledger import embedded_binaries
from costspan.ledger.embedded_account import Account
from costspan.ledger.embedded_cluster import Cluster
from costspan.ledger.embedded_home import Home, Lock, Running, write_private
from costspan.ledger.embedded_log import Log
from costspan.ledger.embedded_postmaster import Postmaster
from costspan.ledger.embedded_scratch import Scratch

__all__ = ["Order", "supervise"]

_PREDECESSOR_SECONDS = 30.0
#: A process of a server that was killed notices it at once, unless it waits for a lock of another one that is dead too.
_ORPHAN_SECONDS = 2.0
# Fast shutdown, then immediate (safe: the next start recovers), then what a stopped process cannot ignore.
_STOPPING = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))


class Order:
    """What `embedded.ensure` asks of a supervisor, and how the supervisor answers."""

    __slots__ = ("_answer", "grace_seconds", "home", "programs")

    def __init__(self, state_dir: str, programs: str, grace_seconds: str, answer: str) -> None:
        self.home = Home.of(Path(state_dir))
        self.programs = Path(programs)
        self.grace_seconds = float(grace_seconds)
        self._answer: int | None = int(answer)

    def answer(self, error: CostspanError | None = None) -> None:
        """Tell the process that waits, if it still does: ready, or why not. Only the first answer is one."""
        if self._answer is None:
            return
        said = {"kind": type(error).__name__, "message": str(error)} if error else {}
        with suppress(BrokenPipeError):  # it is gone; the next one finds the server, or tries again
            os.write(self._answer, json.dumps(said).encode())
        os.close(self._answer)
        self._answer = None


def supervise(order: Order) -> None:
    """Run one server from start to stop."""
    os.umask(0o077)
    os.chdir(order.home.folder)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # whoever started this may have blocked what stops it
    log = Log(order.home.log_file)
    try:
        _run(order, log)
    except CostspanError as error:
        log.say(str(error))
        order.answer(error)
    except OSError as error:
        log.say(str(error))
        order.answer(LedgerUnavailable(f"the embedded Postgres in {order.home.folder} cannot start: {error}"))


def _run(order: Order, log: Log) -> None:
    home, account = order.home, Account.choose()
    own, lease = Lock(home.supervisor_lock), Lock(home.server_lock)
    if not own.acquire_until(time.monotonic() + _PREDECESSOR_SECONDS):
        raise LedgerUnavailable(f"another supervisor of {home.folder} does not end")
    scratch = Scratch(home, account)
    try:
        cluster = _prepare(order, account, lease, scratch)
        socket_folder = scratch.socket_folder()
        reading, writing = os.pipe()
        server = Server(cluster.start(socket_folder, writing), home, own)
        os.close(writing)
        copier = threading.Thread(target=log.follow, args=(reading,), daemon=True)
        copier.start()
        signal.signal(signal.SIGTERM, lambda *_: server.stop_soon())
        threading.Thread(target=server.stop_without_users, args=(order.grace_seconds,), daemon=True).start()
        if server.wait_until_ready():
            home.write_running(Running(str(socket_folder), server.pid, os.getpid(), cluster.version))
            order.answer()
        server.wait()
        copier.join(_ORPHAN_SECONDS)  # the pipe ends with the last process of the server
        if copier.is_alive():
            Postmaster(home).kill_orphans()
            copier.join()
        if not server.was_asked:
            log.say("the server ended by itself")
            order.answer(LedgerUnavailable(f"the embedded Postgres did not start: {home.log_tail()}"))
    finally:
        scratch.remove()
        if own.is_on_disk:  # else somebody removed the folder, and what has its name now is another server's
            home.running_file.unlink(missing_ok=True)
            home.scratch_file.unlink(missing_ok=True)


def _prepare(order: Order, account: Account, lease: Lock, scratch: Scratch) -> Cluster:
    """A data directory that a server can be started on."""
    home = order.home
    _wait_for_predecessor(Postmaster(home), lease)
    scratch.clear()
    programs, version = _runnable(order.programs, account, scratch)
    cluster = Cluster.open(home, account, programs=programs, version=version, lease=lease)
    Postmaster(home).forget_if_dead()
    if cluster.exists:
        cluster.check_version()
        if not home.password_file.exists():
            cluster.set_password(_new_password(home))
    else:
        cluster.create(_new_password(home))
    return cluster


def _runnable(programs: Path, account: Account, scratch: Scratch) -> tuple[Path, str]:
    """The programs where the server's user can run them, and their version."""
    try:
        return programs, embedded_binaries.version(programs, account)
    except ConfigurationError:
        if not account.is_other:
            raise
    programs = embedded_binaries.copied(programs, scratch.programs_folder())
    return programs, embedded_binaries.version(programs, account)


def _wait_for_predecessor(postmaster: Postmaster, lease: Lock) -> None:
    """Take the lease, which the processes of a killed supervisor or a killed server may hold a moment longer."""
    if lease.acquire_until(0):
        return
    postmaster.stop()
    if lease.acquire_until(time.monotonic() + _ORPHAN_SECONDS):
        return
    postmaster.kill_orphans()
    if not lease.acquire_until(time.monotonic() + _PREDECESSOR_SECONDS):
        raise LedgerUnavailable(
            f"processes of an earlier embedded Postgres in {postmaster.home.folder} do not end (process {postmaster.pid})"
        )


def _new_password(home: Home) -> str:
    password = os.urandom(24).hex()  # `secrets` would load OpenSSL into this process
    write_private(home.password_file, password)
    return password


class Server:
    """The running server, as those who may stop it see it."""

    def __init__(self, process: subprocess.Popen[bytes], home: Home, own: Lock) -> None:
        self.pid = process.pid
        self.was_asked = False
        self._process = process
        self._home = home
        self._own = own
        self._ended = threading.Event()
        self._users = Lock(home.users_lock)
        self._start = Lock(home.start_lock)

    def wait_until_ready(self) -> bool:
        """Whether it became ready; recovery after a crash may take its time."""
        postmaster = Postmaster(self._home)
        while self._process.poll() is None:
            if postmaster.is_ready:
                return True
            time.sleep(0.005)
        return False

    def wait(self) -> None:
        """Wait for its end."""
        self._process.wait()
        self._ended.set()

    def stop_without_users(self, grace_seconds: float) -> None:
        """Wait until there is no user, and still none after the grace; then stop."""
        while True:
            self._users.acquire()
            self._users.release()
            time.sleep(grace_seconds)
            self._start.acquire()
            if self._users.acquire_until(0):
                self.stop()  # and keep both locks until this process is gone
                return
            self._start.release()

    def stop_soon(self) -> None:
        """Stop from a signal handler: whoever sends SIGTERM wants it to end, users or not."""
        threading.Thread(target=self.stop, daemon=True).start()

    def stop(self) -> None:
        """Stop with rising force."""
        self.was_asked = True
        if self._own.is_on_disk:
            self._home.running_file.unlink(missing_ok=True)
        for force, seconds in _STOPPING:
            self._process.send_signal(force)
            if self._ended.wait(seconds):
                return
