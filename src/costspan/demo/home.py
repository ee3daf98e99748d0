"""The demo's own folder: its journal and its embedded Postgres, apart from the user's real ledger.

Each run begins with an empty one, so a month that is played twice is not billed twice. Only a folder that carries the
demo's mark is ever emptied.
"""

from __future__ import annotations

import fcntl
import shutil
import time
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path

from costspan.errors import ConfigurationError
from costspan.ledger.embedded_home import Home as PostgresHome
from costspan.ledger.embedded_home import is_held

__all__ = ["DemoHome"]

_MARK = ".costspan-demo"
#: An embedded server stays for three seconds after its last user; stopping takes it a moment more.
_SERVER_LEAVES_S = 15.0


@dataclass(slots=True)
class DemoHome:
    """``<state_dir>/demo``, held by one demo at a time."""

    folder: Path
    _mark: TextIOWrapper | None = field(default=None, init=False)

    @classmethod
    def of(cls, state_dir: Path) -> DemoHome:
        """The home in a state directory; nothing is touched."""
        return cls(state_dir.absolute() / "demo")

    def begin(self) -> None:
        """Take the folder for this process, empty it, and hold it until `release`.

        Raises:
            ConfigurationError: when it is not the demo's, when another demo holds it, or when it cannot be written.
        """
        self._hold()
        try:
            self._empty()
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Let another demo have it. What was played stays, to be looked at."""
        if self._mark is not None:
            self._mark.close()
            self._mark = None

    def remove(self) -> bool:
        """Remove the folder; False when there was none.

        Raises:
            ConfigurationError: as `begin`.
        """
        if not self.folder.exists():
            return False
        self.begin()
        shutil.rmtree(self.folder)
        self.release()
        return True

    def _hold(self) -> None:
        mark = self.folder / _MARK
        try:
            if self.folder.exists() and not mark.exists() and any(self.folder.iterdir()):
                raise ConfigurationError(
                    f"{self.folder} is not the demo's: it has no {_MARK} in it. Set COSTSPAN_STATE_DIR to another folder."
                )
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            held = mark.open("a", encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(f"the demo's folder cannot be used: {error}") from error
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            held.close()
            raise ConfigurationError("another demo is running: stop it first (Ctrl-C in its terminal).") from error
        self._mark = held

    def _empty(self) -> None:
        server = PostgresHome.of(self.folder).supervisor_lock
        deadline = time.monotonic() + _SERVER_LEAVES_S
        while server.exists() and is_held(server):
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"the Postgres in {self.folder} is in use: stop what was started with it, then try again."
                )
            time.sleep(0.1)
        for entry in self.folder.iterdir():
            if entry.name != _MARK:
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
