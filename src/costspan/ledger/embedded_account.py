"""The OS user that runs the embedded Postgres: this one, or `nobody` where this one is root.

Postgres refuses to run as root, whose rights a database user could otherwise gain. No OS user is made for it, because
that would change the machine; `nobody` exists everywhere. What `nobody` must reach is found by asking the kernel, as
`nobody`, and never made reachable by changing somebody else's folder. Another service that runs as `nobody` could read the
files; where there is one, run costspan as a user of its own, or name a Postgres in COSTSPAN_DATABASE_URL.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from costspan.errors import ConfigurationError

__all__ = ["Account"]


class Identity(TypedDict, total=False):
    """The arguments of `subprocess` that make a process run as another user."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Account:
    """A user and group id."""

    uid: int
    gid: int

    @classmethod
    def choose(cls) -> Account:
        """This user, or `nobody` for root.

        Raises:
            ConfigurationError: for root where there is no `nobody`.
        """
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid())
        try:
            entry = pwd.getpwnam("nobody")
        except KeyError as error:
            raise ConfigurationError(
                "the embedded Postgres cannot run as root and this system has no user 'nobody'; "
                "run as an ordinary user, or set COSTSPAN_DATABASE_URL"
            ) from error
        return cls(entry.pw_uid, entry.pw_gid)

    @property
    def is_other(self) -> bool:
        """Whether processes must change their user."""
        return self.uid != os.geteuid()

    @property
    def identity(self) -> Identity:
        """What to tell `subprocess`."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.is_other else {}

    def check_name(self) -> None:
        """Make sure that the user id has a name, which Postgres's initdb insists on.

        Raises:
            ConfigurationError: where it has none, as in containers that run as an arbitrary number.
        """
        try:
            pwd.getpwuid(self.uid)
        except KeyError as error:
            raise ConfigurationError(
                f"the embedded Postgres cannot be created by user id {self.uid}, which has no entry in /etc/passwd; "
                "add one, run as a user that has one, or set COSTSPAN_DATABASE_URL"
            ) from error

    def can_enter(self, folder: Path) -> bool:
        """Whether the user can reach a folder by its path, as the kernel judges it.

        Raises:
            ConfigurationError: when this root may not become another user.
        """
        if not self.is_other:
            return True
        try:
            attempt = subprocess.run(  # noqa: S603 - a fixed program
                ["/bin/sh", "-c", 'cd "$1" 2>&-', "sh", str(folder)], check=False, cwd="/", **self.identity
            )
        except PermissionError as error:
            raise ConfigurationError(
                "the embedded Postgres cannot run as root, and this root may not become 'nobody' (no CAP_SETUID); "
                "run as an ordinary user, or set COSTSPAN_DATABASE_URL"
            ) from error
        return attempt.returncode == 0

    def make_folder(self, folder: Path) -> None:
        """Create a private folder of this user, if it is not there."""
        folder.mkdir(mode=0o700, exist_ok=True)
        self.give(folder)

    def give(self, path: Path) -> None:
        """Make this user the owner of something of ours."""
        if self.is_other:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)
