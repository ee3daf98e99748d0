"""Brings the schema to what this version needs: plain SQL files, one transaction each, under one lock.

No library: yoyo-migrations leaves a lock row behind a killed process, does not notice a changed or a newer migration and
asks for psycopg2; Alembic brings SQLAlchemy. What is needed fits this page.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import LiteralString

import psycopg

from costspan.errors import LedgerError, LedgerUnavailable, MigrationError
from costspan.ledger.database import Cursor, Database
from costspan.ledger.queries import queries, text

__all__ = ["Migration", "migrate", "pending", "shipped"]

#: Roles belong to the whole cluster: two databases that migrate at once disturb each other there, and only there.
_DISTURBED = (
    psycopg.errors.UniqueViolation,
    psycopg.errors.DuplicateObject,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.InternalError_,  # tuple concurrently updated
)
_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    number: int
    name: str
    sql: LiteralString

    @property
    def checksum(self) -> str:
        """Tells whether the step that was applied is the one that is shipped."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def shipped() -> tuple[Migration, ...]:
    """The migrations of this version, in their order."""
    files = (entry.name for entry in resources.files("costspan.ledger").joinpath("migrations").iterdir())
    return tuple(
        Migration(int(name.split("_")[0]), name.removesuffix(".sql"), text("migrations", name))
        for name in sorted(files)
        if name.endswith(".sql")
    )


def migrate(database: Database, migrations: Sequence[Migration] | None = None) -> tuple[str, ...]:
    """Apply what is missing and return its names; nothing when the schema is up to date.

    Raises:
        MigrationError: the schema is newer than this version, a released migration was changed, one failed (and was rolled
            back), or the login may not create what is needed.
        LedgerUnavailable: Postgres cannot be reached or is read-only.
    """
    known = tuple(migrations) if migrations is not None else shipped()
    if not _missing(known, _applied(database)):
        return ()
    _make_roles(database)
    _step(database, None)
    return tuple(migration.name for migration in known if _step(database, migration, known))


def pending(database: Database) -> tuple[str, ...]:
    """Return the names of what `migrate` would apply; nothing is changed. Errors as there."""
    return tuple(step.name for step in _missing(shipped(), _applied(database)))


def _applied(database: Database) -> Mapping[int, tuple[str, str]]:
    """What was applied before, read with the least privilege: not every login that writes may also migrate."""
    statements = queries("migrate")
    with database.transaction() as cursor:
        exists, login, _, roles = cursor.execute(statements["state"]).fetchall()[0]
        if not exists:
            return {}
        if not roles:
            raise MigrationError(
                f"login {login!r} may not use this ledger. A superuser allows it with: "
                f"GRANT costspan_writer, costspan_keeper, costspan_admin, costspan_tenant TO {login}"
            )
        cursor.execute(statements["become"], {"role": roles[0]})
        return _list(cursor)


def _list(cursor: Cursor) -> Mapping[int, tuple[str, str]]:
    rows = cursor.execute(queries("migrate")["applied"]).fetchall()
    return {number: (name, checksum) for number, name, checksum in rows}


def _missing(known: Sequence[Migration], applied: Mapping[int, tuple[str, str]]) -> list[Migration]:
    newer = [name for number, (name, _) in sorted(applied.items()) if number not in {step.number for step in known}]
    if newer:
        raise MigrationError(
            f"the ledger's schema has {newer[-1]!r}, which this version of costspan does not know: upgrade costspan"
        )
    changed = [step.name for step in known if applied.get(step.number, ("", step.checksum))[1] != step.checksum]
    if changed:
        raise MigrationError(
            f"migration {changed[0]!r} is not the one that was applied to this ledger: reinstall costspan"
        )
    return [step for step in known if step.number not in applied]


def _make_roles(database: Database) -> None:
    for attempt in range(_ATTEMPTS):
        try:
            with database.transaction() as cursor:
                cursor.execute(text("sql", "roles.sql"))
        except LedgerError as error:
            if isinstance(error.__cause__, psycopg.errors.InsufficientPrivilege):
                raise MigrationError(_what_to_run(database)) from error
            if not isinstance(error.__cause__, _DISTURBED) or attempt == _ATTEMPTS - 1:
                raise
        else:
            return


def _step(database: Database, migration: Migration | None, known: Sequence[Migration] = ()) -> bool:
    """Apply one migration (None: the schema and its list themselves), unless another process did so meanwhile."""
    statements = queries("migrate")
    name = migration.name if migration is not None else "the schema itself"
    try:
        with database.transaction() as cursor:
            cursor.execute(statements["begin"])
            cursor.execute(statements["become_owner"])
            if migration is None:
                if not cursor.execute(statements["state"]).fetchall()[0][0]:
                    cursor.execute(text("sql", "bootstrap.sql"))
                return True
            if migration not in _missing(known, _list(cursor)):
                return False
            cursor.execute(migration.sql)
            values = {"number": migration.number, "name": migration.name, "checksum": migration.checksum}
            cursor.execute(statements["note"], values)
            return True
    except (LedgerUnavailable, MigrationError):
        raise
    except LedgerError as error:
        raise MigrationError(f"migration of the ledger failed at {name} and was rolled back: {error}") from error


def _what_to_run(database: Database) -> str:
    statements = queries("migrate")
    roles = ("costspan_owner", "costspan_writer", "costspan_keeper", "costspan_tenant", "costspan_admin")
    with database.transaction() as cursor:
        _, login, name, _ = cursor.execute(statements["state"]).fetchall()[0]
        missing = cursor.execute(statements["missing_roles"], {"roles": list(roles)}).fetchall()
    return (
        f"login {login!r} may not prepare the ledger. A superuser does it once, in database {name!r}:\n"
        + "".join(f"  CREATE ROLE {role} NOLOGIN;\n" for (role,) in missing)
        + "  ALTER ROLE costspan_writer BYPASSRLS;  -- optional: faster writes\n"
        + f"  GRANT {', '.join(roles)} TO {login};\n"
        + f"  GRANT CREATE ON DATABASE {name} TO costspan_owner;\n"
        + "  GRANT CREATE, USAGE ON SCHEMA public TO costspan_owner;"
    )
