"""The ledger as its users see it: one connection, the schema as this version needs it, writing and answers."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from costspan.event import CallEvent
from costspan.journal.segment import Batch
from costspan.ledger.budget import Budget, BudgetChange, Budgets
from costspan.ledger.database import Database
from costspan.ledger.drilldown import Call, CallLine, Drilldown, Place
from costspan.ledger.keeper import Compacted, Keeper, Retained, Size
from costspan.ledger.migration import migrate
from costspan.ledger.reader import Reader
from costspan.ledger.search import Life, Page, Search, Wanted
from costspan.ledger.spans import Mark, SpansWritten, SpanWriter
from costspan.ledger.spans import Place as SpanPlace
from costspan.ledger.summary import Audit, Summary, SummaryRow
from costspan.ledger.threshold import Thresholds
from costspan.ledger.writer import Writer, Written
from costspan.settings import Settings

if TYPE_CHECKING:
    from costspan.ledger.caches import CacheSummary
    from costspan.ledger.comparison import Comparison
    from costspan.ledger.difference import Difference, Scope
    from costspan.ledger.follower import Follower
    from costspan.ledger.forecast import MonthForecast
    from costspan.ledger.outliers import Outliers
    from costspan.ledger.period import Period
    from costspan.ledger.repricing import Repricer
    from costspan.ledger.savings import Savings
    from costspan.ledger.token import Tokens
    from costspan.ledger.verification import Verification
    from costspan.pricing import PriceBook

__all__ = ["Ledger"]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Ledger:
    """The ledger in one Postgres database. Threads take turns; a forked child gets its own connection.

    Every method raises `LedgerUnavailable` where Postgres cannot be reached, is read-only or does not answer in time, and
    another `LedgerError` where it refuses.
    """

    def __init__(
        self,
        database: Database,
        zone: ZoneInfo,
        now: Callable[[], datetime] = _utc_now,
        *,
        compact_after_days: int = 1,
        retention_days: int | None = None,
    ) -> None:
        self._database = database
        self._zone, self._now = zone, now
        self._writer = Writer(database)
        self._spans = SpanWriter(database, self._writer)
        self._reader = Reader(database, zone, now)
        self._drilldown = Drilldown(database)
        self._search = Search(database)
        self._keeper = Keeper(database, now, after_days=compact_after_days, retention_days=retention_days)
        self._budgets = Budgets(database)
        self._thresholds = Thresholds(database, self._reader, self._budgets)

    @classmethod
    def connect(cls, settings: Settings, now: Callable[[], datetime] = _utc_now) -> Ledger:
        """Connect to ``settings.database_url`` (empty: the embedded server, started if need be) and migrate.

        Raises:
            LedgerUnavailable: Postgres cannot be reached, or is read-only and needs a migration.
            MigrationError: the schema is newer than this version, or the login may not migrate.
        """
        ledger = cls.unmigrated(settings, now)
        try:
            ledger.migrate()
        except BaseException:
            ledger.close()
            raise
        return ledger

    @classmethod
    def unmigrated(cls, settings: Settings, now: Callable[[], datetime] = _utc_now) -> Ledger:
        """As `connect`, but connected at the first question, and with the schema as it is."""
        return cls(
            Database(lambda: _conninfo(settings)),
            settings.timezone,
            now,
            compact_after_days=settings.compact_after_days,
            retention_days=settings.retention_days,
        )

    def migrate(self) -> tuple[str, ...]:
        """Bring the schema to what this version needs; return what was applied. Errors as `connect`."""
        return migrate(self._database)

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def hang_up(self) -> None:
        """End what another thread asks: it gets `LedgerUnavailable`."""
        self._database.hang_up()

    def ping(self) -> None:
        """Ask the smallest question there is: whether Postgres answers."""
        with self._database.transaction() as cursor:
            cursor.execute("select 1")

    def position(self, writer: uuid.UUID) -> int:
        """How far the journal of ``writer`` is in the ledger; 0 when nothing is."""
        return self._writer.position(writer)

    def write(self, batch: Batch, writer: uuid.UUID) -> Written:
        """Write ``batch`` in one transaction and once; see `Writer.write`."""
        return self._writer.write(batch, writer)

    def write_spans(self, calls: Sequence[CallEvent], marks: Sequence[Mark], *, tenant: str | None) -> SpansWritten:
        """Write calls that spans told of, each once; see `SpanWriter.write`."""
        return self._spans.write(calls, marks, tenant=tenant)

    def spans_around(self, places: Collection[SpanPlace], tenant: str) -> set[SpanPlace]:
        """Which spans are around a call that was counted before they came; see `SpanWriter.around`."""
        return self._spans.around(places, tenant)

    @property
    def keeper(self) -> Keeper:
        """Who keeps it small."""
        return self._keeper

    @property
    def tokens(self) -> Tokens:
        """Who may ask over HTTP."""
        from costspan.ledger.token import Tokens  # noqa: PLC0415  # who meters never asks for one

        return Tokens(self._database)

    def compact(
        self,
        before: date | None = None,
        *,
        progress: Callable[[int, int], None] | None = None,
        limit: int | None = None,
    ) -> Compacted:
        """Move days that are over from rows into slices; see `Keeper.compact`."""
        return self._keeper.compact(before, progress=progress, limit=limit)

    def retain(
        self,
        kept_since: date | None = None,
        *,
        progress: Callable[[int, int], None] | None = None,
        limit: int | None = None,
    ) -> Retained | None:
        """Drop the calls of days that are too old, for good; see `Keeper.retain`."""
        return self._keeper.retain(kept_since, progress=progress, limit=limit)

    def size(self) -> Size:
        """How large the ledger is, and what of it takes the room."""
        return self._keeper.size()

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

    def comparison(
        self,
        first: Period,
        second: Period,
        *,
        by: Collection[str] = ("model",),
        tenant: str | None = None,
        services: Collection[str] | None = None,
    ) -> Comparison:
        """What changed from ``first`` to ``second``, and what made it; see `comparison.compare`."""
        from costspan.ledger.comparison import compare  # noqa: PLC0415  # who meters never compares

        return compare(self._database, first, second, by=by, tenant=tenant, services=services)

    def forecast(
        self,
        tenant: str | None = None,
        now: datetime | None = None,
        *,
        zone: ZoneInfo | None = None,
        services: Collection[str] | None = None,
    ) -> MonthForecast:
        """Where the month around ``now`` will end for ``tenant`` (None: everybody); see `outlook.forecast`."""
        from costspan.ledger.outlook import forecast  # noqa: PLC0415  # as in `comparison`

        return forecast(self._database, now or self._now(), zone or self._zone, tenant=tenant, services=services)

    def savings(
        self,
        period: Period,
        *,
        by: Collection[str] = ("model", "feature"),
        tenant: str | None = None,
        services: Collection[str] | None = None,
    ) -> Savings:
        """What providers' prompt caches saved and wasted; see `savings.savings`."""
        from costspan.ledger.savings import savings  # noqa: PLC0415  # as in `comparison`

        return savings(self._database, period, by=by, tenant=tenant, services=services)

    def outliers(
        self, period: Period, *, factor: Decimal = Decimal(10), tenant: str | None = None, limit: int = 100
    ) -> Outliers:
        """Sessions that cost far more than others of their tenant; see `outliers.outliers`."""
        from costspan.ledger.outliers import outliers  # noqa: PLC0415  # as in `comparison`

        return outliers(self._database, period, factor=factor, tenant=tenant, limit=limit)

    def sessions(self, start: datetime, end: datetime, *, tenant: str | None = None) -> int:
        """How many sessions had a call in [start, end)."""
        return self._reader.sessions(start, end, tenant=tenant)

    def session_costs(self, session: str, *, tenant: str | None = None) -> tuple[SummaryRow, ...]:
        """What a session cost over all of its life; see `Reader.session`."""
        return self._reader.session(session, tenant=tenant)

    def session_life(self, session: str, *, tenant: str | None = None) -> Life | None:
        """When a session's first and last call were made; see `Search.life`."""
        return self._search.life(session, tenant=tenant)

    def find_calls(
        self, wanted: Wanted, *, tenant: str | None = None, limit: int = 100, before: Place | None = None
    ) -> Page:
        """The newest calls that are ``wanted``; see `Search.find`."""
        return self._search.find(wanted, tenant=tenant, limit=limit, before=before)

    def session_calls(
        self, session: str, *, tenant: str | None = None, limit: int = 1000, before: Place | None = None
    ) -> tuple[Call, ...]:
        """The calls of a session, the newest first; see `Drilldown`."""
        return self._drilldown.session(session, tenant=tenant, limit=limit, before=before)

    def trace_calls(
        self, trace: str, *, tenant: str | None = None, limit: int = 1000, before: Place | None = None
    ) -> tuple[Call, ...]:
        """The calls of a trace, the newest first; see `Drilldown.trace`."""
        return self._drilldown.trace(trace, tenant=tenant, limit=limit, before=before)

    def newest_calls(
        self,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        tenant: str | None = None,
        limit: int = 100,
        before: Place | None = None,
    ) -> tuple[Call, ...]:
        """The newest calls in [start, end); see `Drilldown`."""
        return self._drilldown.newest(start, end, tenant=tenant, limit=limit, before=before)

    def dearest_calls(
        self,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        tenant: str | None = None,
        limit: int = 100,
    ) -> tuple[Call, ...]:
        """The calls in [start, end) that cost most; see `Drilldown`."""
        return self._drilldown.dearest(start, end, tenant=tenant, limit=limit)

    def follow(self, *, tenant: str | None = None) -> Follower:
        """Who tells the calls that are written from now on; see `Follower`."""
        from costspan.ledger.follower import Follower  # noqa: PLC0415  # who meters never follows

        return Follower(self._database, tenant)

    def call(self, call_id: int, at: datetime | None = None, *, tenant: str | None = None) -> Call | None:
        """One call, or None; see `Drilldown.call`."""
        return self._drilldown.call(call_id, at, tenant=tenant)

    def call_lines(
        self, call_id: int, at: datetime | None = None, *, tenant: str | None = None
    ) -> tuple[CallLine, ...]:
        """The lines of a call's bill; see `Drilldown.lines`."""
        return self._drilldown.lines(call_id, at, tenant=tenant)

    def cache_summary(
        self,
        start: datetime,
        end: datetime,
        *,
        by: Collection[str] = (),
        tenant: str | None = None,
        zone: ZoneInfo | None = None,
    ) -> CacheSummary:
        """Sums of the look-ups in applications' own caches in [start, end); see `Caches.summary`."""
        from costspan.ledger.caches import Caches  # noqa: PLC0415  # as in `comparison`

        return Caches(self._database, zone or self._zone).summary(start, end, by=by, tenant=tenant)

    def kept_since(self) -> date | None:
        """The first day (UTC) whose calls were not dropped; None where none were."""
        return self._reader.kept_since()

    def audit_of(self, writer: uuid.UUID) -> tuple[int, Audit]:
        """How far the journal of ``writer`` was read, and what became of its intents so far."""
        return self._reader.audit_of(writer)

    def lost(self) -> Mapping[str, int]:
        """How many attempts of all time ended without anybody knowing whether they were billed, by outcome."""
        return self._reader.lost()

    def audit(self) -> Audit:
        """What became of every intent that any journal announced."""
        return self._reader.audit()

    def compare_prices(
        self, scope: Scope, book: PriceBook, *, progress: Callable[[int, int], None] | None = None
    ) -> Difference:
        """What the calls of ``scope`` would cost by ``book``; see `Repricer.compare`."""
        with self._repricer(book) as repricer:
            return repricer.compare(scope, progress=progress)

    def reprice(
        self, scope: Scope, book: PriceBook, *, reason: str = "", progress: Callable[[int, int], None] | None = None
    ) -> Difference:
        """Append corrections of what the calls of ``scope`` cost by ``book``; see `Repricer.reprice`."""
        with self._repricer(book) as repricer:
            return repricer.reprice(scope, reason=reason, progress=progress)

    def verify(self, *, is_whole: bool = False, progress: Callable[[int, int], None] | None = None) -> Verification:
        """Whether the ledger holds together; see `Verifier.verify`."""
        from costspan.ledger.verification import Verifier  # noqa: PLC0415  # as `_repricer`

        return Verifier(self._database).verify(is_whole=is_whole, progress=progress)

    @contextmanager
    def _repricer(self, book: PriceBook) -> Iterator[Repricer]:
        from costspan.ledger.repricing import Repricer  # noqa: PLC0415  # who meters never prices again

        with self._database.another() as writing:
            yield Repricer(self._database, writing, book)

    def check_daily_threshold(self, tenant: str, threshold: Decimal = Decimal(10)) -> bool:
        """Whether ``tenant`` has spent more than ``threshold`` dollars today; warns once an hour when it has."""
        return self._thresholds.check_daily(tenant, threshold)

    def check_budgets(self, tenant: str, daily: Decimal) -> bool:
        """Whether ``tenant`` is over its budget of today or of this month; see `Thresholds.check_budgets`."""
        return self._thresholds.check_budgets(tenant, daily)

    def set_budget(self, tenant: str | None, window: str, amount: Decimal) -> bool:
        """Let ``tenant`` (None: everybody who has no budget of their own) spend ``amount`` dollars; see `Budgets.set`."""
        return self._budgets.set(tenant, window, amount)

    def unset_budget(self, tenant: str | None, window: str) -> bool:
        """Take a budget away; see `Budgets.unset`."""
        return self._budgets.unset(tenant, window)

    def budgets(self, tenant: str | None = None) -> tuple[BudgetChange, ...]:
        """Every budget that is set, as its last change says; first those of everybody. Of ``tenant``: its own, and those."""
        return self._budgets.all(tenant)

    def budget_history(self, tenant: str | None = None) -> tuple[BudgetChange, ...]:
        """What was changed for ``tenant`` (None: for anybody), the newest first."""
        return self._budgets.history(tenant)

    def effective_budgets(self, tenants: Sequence[str], daily: Decimal) -> tuple[Budget, ...]:
        """What counts for each of ``tenants``, where ``daily`` dollars a day count when nothing is set."""
        return self._budgets.effective(tenants, daily)

    def tenant_budgets(self, tenant: str, daily: Decimal) -> tuple[Budget, ...]:
        """As `effective_budgets` for one tenant, asked as that tenant."""
        return self._budgets.current(tenant, daily)


def _conninfo(settings: Settings) -> str:
    if settings.database_url:
        return settings.database_url
    from costspan.ledger.embedded import ensure  # noqa: PLC0415  # a server is started by who has none

    return ensure(settings.state_dir).conninfo
