"""The folders of an embedded Postgres that come and go with it: the socket's, and a copy of the programs where needed.

A socket's path may have 107 bytes and a state directory may be deeper; and root's server runs as `nobody`, who cannot
read programs below /root. Then they go to a temporary folder. Each folder has a name that nobody can foresee and is noted
before it is used; after a `kill -9` the next supervisor removes what its predecessor noted. The socket's is new for each
server because Postgres removes its socket by name when it stops, which could be another server's by then: that of
somebody who removed the state directory under the first.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from costspan.errors import LedgerUnavailable
from costspan.ledger.embedded_account import Account
from costspan.ledger.embedded_home import Home, read_private, socket_file, write_private

__all__ = ["Scratch", "is_usable_socket_folder"]

_PREFIX = "costspan-"
_SOCKET_PATH_BYTES = 107 if sys.platform == "linux" else 103


def is_usable_socket_folder(folder: Path) -> bool:
    """Whether libpq takes it as `host`: short enough for the kernel, no comma (which separates hosts), and text."""
    name = str(socket_file(folder))
    try:
        return len(name.encode()) <= _SOCKET_PATH_BYTES and "," not in name
    except UnicodeEncodeError:
        return False


class Scratch:
    """The passing folders of one home."""

    def __init__(self, home: Home, account: Account) -> None:
        self._home = home
        self._account = account
        self._made: list[Path] = []

    def clear(self) -> None:
        """Remove what a killed predecessor noted."""
        try:
            noted = read_private(self._home.scratch_file).splitlines()
        except FileNotFoundError:
            return
        for folder in map(Path, noted):
            if folder.name.startswith(_PREFIX) and _is_folder_of_ours(folder, self._account):
                shutil.rmtree(folder, ignore_errors=True)
        self._home.scratch_file.unlink()

    def remove(self) -> None:
        """Remove what was made here; the notes may be gone with the home, or be another server's by now."""
        for folder in self._made:
            shutil.rmtree(folder, ignore_errors=True)

    def socket_folder(self) -> Path:
        """The folder of the socket: in the home where its path is short enough, else in a scratch folder."""
        inside = _named(self._home.server)
        if is_usable_socket_folder(inside):
            folder = inside
            self._note(folder)
        else:
            short = [
                parent for parent in _temporary(self._account) if is_usable_socket_folder(_named(parent) / "socket")
            ]
            folder = self._make(short) / "socket"
        self._account.make_folder(folder)
        return folder

    def programs_folder(self) -> Path:
        """A folder that the server's user can read."""
        return self._make([self._home.folder, *_temporary(self._account)])

    def _make(self, parents: Iterable[Path]) -> Path:
        tried = []
        for parent in parents:
            folder = _named(parent)
            self._note(folder)
            with suppress(OSError):
                folder.mkdir(mode=0o700)
                folder.chmod(0o711 if self._account.is_other else 0o700)
                if self._account.can_enter(folder):
                    return folder
            tried.append(str(parent))
        raise LedgerUnavailable(f"the embedded Postgres found no folder that its user can enter, of {', '.join(tried)}")

    def _note(self, folder: Path) -> None:
        self._made.append(folder)
        file = self._home.scratch_file
        before = read_private(file) if file.exists() else ""
        write_private(file, f"{before}{folder}\n")


def _named(parent: Path) -> Path:
    return parent / f"{_PREFIX}{os.urandom(6).hex()}"


def _temporary(account: Account) -> list[Path]:
    """Where temporary folders may be made, the most private first."""
    private = os.environ.get("XDG_RUNTIME_DIR", "")
    chosen = os.environ.get("TMPDIR", "")
    names = ["" if account.is_other else private, "/tmp", chosen, "/var/tmp"]  # noqa: S108 - unpredictable and private below
    return [Path(name) for name in names if name]


def _is_folder_of_ours(folder: Path, account: Account) -> bool:
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid in (os.geteuid(), account.uid)
