"""Users of an embedded server, and how tests see that it is there, gone, or holds its rows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

import costspan
from costspan.ledger import embedded
from costspan.ledger.embedded_home import Home, is_held

GRACE = 0.1
PATIENCE = 30.0
SOURCE = Path(costspan.__file__).parent.parent


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for something that must come; a test never asserts how long it took."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"did not happen within {PATIENCE:.0f} s")
        time.sleep(0.01)


def is_over(state: Path) -> bool:
    """Whether neither a supervisor nor any process of a server is left."""
    home = Home.of(state)
    return not home.folder.exists() or not (is_held(home.supervisor_lock) or is_held(home.server_lock))


def stop(state: Path) -> None:
    """Leave, and wait for the end."""
    embedded.release(state)
    wait_until(lambda: is_over(state))


def kill(*pids: int) -> None:
    """``kill -9``, and wait until the kernel has taken what the processes held."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(_holds_something(pid) for pid in pids))


def _holds_something(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def supervisor_of(state: Path) -> int:
    """The supervisor's process id; it is in the command line of one process, with the state directory."""
    wanted = [b"supervisor.py", os.fsencode(state)]
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(word.endswith(wanted[0]) for word in words) and wanted[1] in words:
            return int(folder.name)
    return 0


def count(endpoint: embedded.Endpoint) -> int:
    """The rows of the tests' table."""
    with psycopg.connect(endpoint.conninfo) as connection:
        row = connection.execute("SELECT count(*) FROM kept").fetchone()
    assert row is not None
    return row[0]


def fill(endpoint: embedded.Endpoint, rows: int) -> None:
    """Commit a table of so many rows."""
    with psycopg.connect(endpoint.conninfo) as connection:
        connection.execute("DROP TABLE IF EXISTS kept")
        connection.execute("CREATE TABLE kept (number integer)")
        connection.execute("INSERT INTO kept SELECT generate_series(1, %s)", [rows])


class User:
    """A process that uses the server."""

    def __init__(self, state: Path, how: str = "stay") -> None:
        script = Path(__file__).with_name("user_process.py")
        environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OPENAI_API_KEY": "secret-of-a-test"}
        self.process = subprocess.Popen(
            [sys.executable, script, state, how],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            text=True,
        )

    def line(self) -> str:
        """The next line that it prints; empty when it ended."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        """``kill -9``."""
        self.process.kill()
        self.process.wait()

    def leave(self) -> None:
        """End in good order."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
