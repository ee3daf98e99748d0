"""What a ledger's Postgres is like before anything is asked of it: for who wants to know what is wrong with it.

Nothing is changed and nothing is migrated, so that it can be asked of a database that cannot be used.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from costspan.ledger.asking import asking
from costspan.ledger.database import Database
from costspan.ledger.migration import pending
from costspan.ledger.queries import queries

__all__ = ["OLDEST", "Examination", "Server", "examine", "server_of"]

#: The first version of Postgres whose views ask with the rights of who asks, as ``server_version_num`` has it.
OLDEST = 150_000
_ROLES = ("costspan_owner", "costspan_writer", "costspan_keeper", "costspan_tenant", "costspan_admin")


@dataclass(frozen=True, slots=True)
class Server:
    """A Postgres that answers."""

    version: str
    number: int
    """As ``server_version_num``."""
    login: str
    is_read_only: bool
    ahead: timedelta
    """How far its clock is ahead of this host's (behind it: negative)."""
    doubt: timedelta
    """How much of that may be the way there and back."""


@dataclass(frozen=True, slots=True)
class Examination:
    """The ledger in it."""

    pending: tuple[str, ...]
    """Migrations that are still to be applied."""
    missing_roles: tuple[str, ...]
    """Roles that are not there, or not granted to the login."""
    is_exempt: bool
    """Whether the writer is exempt from row level security, and so may COPY: faster."""
    last_written: datetime | None
    """When a journal was last written from; None where none ever was."""
    quarantined: int
    """Records that could not be stored, of all time."""


def server_of(database: Database) -> Server:
    """Ask who is there, with the least there is to ask.

    Raises:
        LedgerError: as `Database.transaction`.
    """
    with database.transaction() as cursor:
        cursor.execute("select 1")  # connected by now: the next answer takes the way there and back, and nothing else
        asked = datetime.now(UTC)
        version, number, login, is_read_only, theirs = cursor.execute(queries("examine")["server"]).fetchall()[0]
        doubt = (datetime.now(UTC) - asked) / 2
    return Server(version, number, login, is_read_only, theirs - (asked + doubt), doubt)


def examine(database: Database) -> Examination:
    """Ask what there is of a ledger.

    Raises:
        MigrationError: its schema is newer than this version, was changed, or the login may not use it.
        LedgerError: as `Database.transaction`.
    """
    sql = queries("examine")
    steps = pending(database)
    with database.transaction() as cursor:
        missing = tuple(name for (name,) in cursor.execute(sql["roles"], {"roles": list(_ROLES)}).fetchall())
        exempt = cursor.execute(queries("write")["bypasses_rls"]).fetchall()
    last, quarantined = None, 0
    if not steps and "costspan_admin" not in missing:
        with asking(database, None) as cursor:
            last, quarantined = cursor.execute(sql["written"]).fetchall()[0]
    return Examination(steps, missing, bool(exempt and exempt[0][0]), last, quarantined)
