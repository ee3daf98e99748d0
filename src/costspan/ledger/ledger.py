"""The ledger as its users see it: one connection, the schema as this version needs it, writing and answers."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from costspan.journal.segment import Batch
from costspan.ledger.database import Database
from costspan.ledger.migration import migrate
from costspan.ledger.reader import Reader
from costspan.ledger.summary import Audit, Summary
from costspan.ledger.threshold import Thresholds
from costspan.ledger.writer import Writer, Written
from costspan.settings import Settings

__all__ = ["Ledger"]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Ledger:
    """The ledger in one Postgres database. Threads take turns; a forked child gets its own connection.

    Every method raises `LedgerUnavailable` where Postgres cannot be reached, is read-only or does not answer in time, and
    another `LedgerError` where it refuses.
    """

    def __init__(self, database: Database, zone: ZoneInfo, now: Callable[[], datetime] = _utc_now) -> None:
        self._database = database
        self._writer = Writer(database)
        self._reader = Reader(database, zone, now)
        self._thresholds = Thresholds(database, self._reader)

    @classmethod
    def connect(cls, settings: Settings, now: Callable[[], datetime] = _utc_now) -> Ledger:
        """Connect to ``settings.database_url`` (empty: the embedded server, started if need be) and migrate.

        Raises:
            LedgerUnavailable: Postgres cannot be reached, or is read-only and needs a migration.
            MigrationError: the schema is newer than this version, or the login may not migrate.
        """
        ledger = cls(Database(lambda: _conninfo(settings)), settings.timezone, now)
        try:
            migrate(ledger._database)
        except BaseException:
            ledger.close()
            raise
        return ledger

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def position(self, writer: uuid.UUID) -> int:
        """How far the journal of ``writer`` is in the ledger; 0 when nothing is."""
        return self._writer.position(writer)

    def write(self, batch: Batch, writer: uuid.UUID) -> Written:
        """Write ``batch`` in one transaction and once; see `Writer.write`."""
        return self._writer.write(batch, writer)

    def summary(
        self,
        start: datetime,
        end: datetime,
        *,
        by: Collection[str] = (),
        tenant: str | None = None,
        services: Collection[str] | None = None,
        zone: ZoneInfo | None = None,
    ) -> Summary:
        """Sums of the calls in [start, end); see `Reader.summary`."""
        return self._reader.summary(start, end, by=by, tenant=tenant, services=services, zone=zone)

    def daily_costs(self, tenant: str | None, day: date | str | None = None) -> Summary:
        """One day (today when not given) by service; ``tenant`` None is everybody."""
        return self._reader.daily_costs(tenant, day)

    def monthly_costs(self, tenant: str | None, year: int, month: int) -> Summary:
        """One calendar month by service."""
        return self._reader.monthly_costs(tenant, year, month)

    def service_breakdown(self, tenant: str | None, period: str = "month", day: date | str | None = None) -> Summary:
        """The day, week or month around ``day`` (today when not given) by service."""
        return self._reader.service_breakdown(tenant, period, day)

    def sessions(self, start: datetime, end: datetime, *, tenant: str | None = None) -> int:
        """How many sessions had a call in [start, end)."""
        return self._reader.sessions(start, end, tenant=tenant)

    def audit(self) -> Audit:
        """What became of every intent that any journal announced."""
        return self._reader.audit()

    def check_daily_threshold(self, tenant: str, threshold: Decimal = Decimal(10)) -> bool:
        """Whether ``tenant`` has spent more than ``threshold`` dollars today; warns once an hour when it has."""
        return self._thresholds.check_daily(tenant, threshold)


def _conninfo(settings: Settings) -> str:
    if settings.database_url:
        return settings.database_url
    from costspan.ledger.embedded import ensure  # noqa: PLC0415  # a server is started by who has none

    return ensure(settings.state_dir).conninfo
