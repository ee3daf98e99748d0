"""What a data directory's pid file says about its server, and what the kernel says about that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from costspan.ledger.embedded_home import Home

__all__ = ["Postmaster"]


@dataclass(frozen=True, slots=True)
class Postmaster:
    """The server process of a home, seen through its pid file."""

    home: Home

    @property
    def pid(self) -> int | None:
        """The process that the file names; it need not be a Postgres any more."""
        with suppress(FileNotFoundError, ValueError, IndexError):
            return int(self._lines()[0])
        return None

    @property
    def is_ready(self) -> bool:
        """Whether the server says that it accepts connections."""
        with suppress(FileNotFoundError, IndexError):
            return self._lines()[7].strip() == "ready"
        return False

    @property
    def is_alive(self) -> bool:
        """Whether the named process is a live Postgres on this data, and not somebody who got its number later."""
        pid = self.pid
        return pid is not None and _works_in(pid, self.home.data)

    def stop(self) -> None:
        """Ask a server whose supervisor was killed to stop. On Linux the kernel has asked already."""
        pid = self.pid
        if pid is not None and _works_in(pid, self.home.data):
            os.kill(pid, signal.SIGINT)

    def kill_orphans(self) -> None:
        """End what a server that is dead left behind: processes that wait for ever for what a dead one held. Linux only."""
        if self.is_alive or sys.platform != "linux":
            return
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and _works_in(int(entry.name), self.home.data) and _is_postgres(entry):
                with suppress(ProcessLookupError):
                    os.kill(int(entry.name), signal.SIGKILL)

    def forget_if_dead(self) -> None:
        """Remove the pid file of a server that was killed.

        Postgres does so itself, but only where their number is free: after a reboot or in a container it is somebody
        else's, and a killed server that nobody waits for keeps it as a zombie.
        """
        if not self.is_alive:
            (self.home.data / "postmaster.pid").unlink(missing_ok=True)

    def _lines(self) -> list[str]:
        return (self.home.data / "postmaster.pid").read_text(errors="replace").splitlines()


def _is_postgres(entry: Path) -> bool:
    """Whether a process of /proc is Postgres, and not a shell of somebody who looks at its files."""
    try:
        return (entry / "exe").readlink().name.removesuffix(" (deleted)") == "postgres"
    except OSError:
        return False


def _works_in(pid: int, data: Path) -> bool:
    """Whether a process works in the data directory, as each process of its server does."""
    if sys.platform == "linux":
        try:
            return os.path.samestat(Path(f"/proc/{pid}/cwd").stat(), data.stat())
        except OSError:  # gone, a zombie, or another user's
            return False
    listing = subprocess.run(  # noqa: S603 - a fixed program
        ["/bin/ps", "-o", "stat=,comm=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, command = listing.stdout.strip().partition(" ")
    return not state.startswith("Z") and "postgres" in command
