"""Sums of the ledger: what calls cost, by whatever they can be told apart by."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from costspan.errors import InvalidQuestion
from costspan.ledger.asking import asking, summing
from costspan.ledger.database import Database
from costspan.ledger.period import Period, as_date, named_period
from costspan.ledger.queries import queries
from costspan.ledger.summary import Audit, Dimension, Summary, SummaryRow, total, usd
from costspan.text import clean

__all__ = ["Reader"]

#: The order of the query's first columns.
_COLUMNS = (
    None,  # the number of a bucket of time
    Dimension.SERVICE,
    Dimension.PROVIDER,
    Dimension.MODEL,
    Dimension.OPERATION,
    Dimension.STATUS,
    Dimension.TENANT,
    Dimension.FEATURE,
    Dimension.SESSION,
    Dimension.USER,
)
#: How many of its last columns are amounts.
_COSTS = 3
_OF_CONTEXTS = frozenset({Dimension.FEATURE, Dimension.SESSION, Dimension.USER})
_OF_TIME = frozenset({Dimension.HOUR, Dimension.DAY, Dimension.WEEK, Dimension.MONTH})
_OF_SESSION = frozenset({Dimension.SERVICE, Dimension.MODEL, Dimension.TENANT})
_Buckets = Sequence[tuple[datetime, Mapping[str, date | datetime]]]


class Reader:
    """Answers questions.

    Args:
        zone: where a day begins, unless a question says otherwise.
        now: the present instant, for questions about today.
    """

    def __init__(self, database: Database, zone: ZoneInfo, now: Callable[[], datetime]) -> None:
        self._database = database
        self._zone = zone
        self._now = now
        self._sql = queries("read")

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
        """Sum all calls in [start, end), broken down ``by`` any of `Dimension`.

        Args:
            start: aware; any zone.
            end: aware; any zone.
            by: dimensions; empty gives one row (none when there was no call).
            tenant: whose calls; None for everybody's, as admin.
            services: only these.
            zone: whose hours, days, weeks and months; the reader's when not given.

        Raises:
            InvalidQuestion: an unknown dimension, a naive instant, an end before the start; or what cannot be told any
                more, as it needs calls that were dropped: the message says from which day on it can be.
            LedgerError: as `Database.transaction`.
        """
        period = Period.between(start, end, zone or self._zone)
        dimensions = _dimensions(by)
        buckets = period.buckets(dimensions)
        values: dict[str, object] = {
            "start": period.start,
            "end": period.end,
            "boundaries": [*(begin for begin, _ in buckets), period.end],
            "by": [dimension.value for dimension in dimensions],
            "in_time": bool(dimensions & _OF_TIME),
            "services": None if services is None else list(services),
        }
        query = self._sql["summary_of_contexts" if dimensions & _OF_CONTEXTS else "summary_of_kinds"]
        with summing(self._database, tenant) as cursor:
            found = cursor.execute(query, values).fetchall()
            unsettled = dict(cursor.execute(self._sql["unsettled"], values).fetchall())
        rows = tuple(_row(row, dimensions, buckets) for row in found)
        return Summary(period.start, period.end, rows, total(rows), unsettled)

    def daily_costs(self, tenant: str | None, day: date | str | None = None) -> Summary:
        """One day (today when not given) by service. Errors as `summary`."""
        return self._by_service("day", tenant, self._today() if day is None else as_date(day))

    def monthly_costs(self, tenant: str | None, year: int, month: int) -> Summary:
        """One calendar month by service. Errors as `summary`."""
        try:
            first = date(year, month, 1)
        except (ValueError, TypeError, OverflowError) as error:
            raise InvalidQuestion(f"no month that can be asked for: year {year!r}, month {month!r}") from error
        return self._by_service("month", tenant, first)

    def service_breakdown(self, tenant: str | None, period: str = "month", day: date | str | None = None) -> Summary:
        """The day, week or month around ``day`` (today when not given) by service. Errors as `summary`."""
        return self._by_service(period, tenant, self._today() if day is None else as_date(day))

    def sessions(self, start: datetime, end: datetime, *, tenant: str | None = None) -> int:
        """How many sessions had a call in [start, end). Errors as `summary`."""
        period = Period.between(start, end, self._zone)
        with summing(self._database, tenant) as cursor:
            rows = cursor.execute(self._sql["sessions"], {"start": period.start, "end": period.end}).fetchall()
        return int(rows[0][0])

    def kept_since(self) -> date | None:
        """The first day (UTC) whose calls were not dropped; None where none were. Errors as `Database.transaction`."""
        with asking(self._database, None) as cursor:
            since: date | None = cursor.execute(self._sql["kept_since"]).fetchall()[0][0]
        return since

    def session(self, session: str, *, tenant: str | None = None) -> tuple[SummaryRow, ...]:
        """Sums of a session's calls over all of its life, by service, model and tenant, the dearest first.

        Raises:
            LedgerError: as `Database.transaction`.
        """
        with summing(self._database, tenant) as cursor:
            found = cursor.execute(self._sql["summary_of_session"], {"session": clean(session)}).fetchall()
        return tuple(_row(row, _OF_SESSION, ()) for row in found)

    def audit_of(self, writer: UUID) -> tuple[int, Audit]:
        """How far the journal of ``writer`` was read, and what became of its intents so far. Errors as `audit`."""
        with asking(self._database, None) as cursor:
            row = cursor.execute(self._sql["audit_writer"], {"writer": writer}).fetchone()
        return (0, Audit(0, 0, 0, 0, 0, 0, 0)) if row is None else (row[0], Audit(*row[1:]))

    def lost(self) -> Mapping[str, int]:
        """How many attempts of all time ended without anybody knowing whether they were billed, by outcome. Errors as `audit`."""
        with asking(self._database, None) as cursor:
            return dict(cursor.execute(self._sql["lost"]).fetchall())

    def audit(self) -> Audit:
        """What became of every intent. Errors as `Database.transaction`."""
        with summing(self._database, None) as cursor:
            return Audit(*cursor.execute(self._sql["audit"]).fetchall()[0])

    def _by_service(self, period: str, tenant: str | None, day: date) -> Summary:
        span = named_period(period, day, self._zone)
        return self.summary(span.start, span.end, by=(Dimension.SERVICE,), tenant=tenant)

    def _today(self) -> date:
        return self._now().astimezone(self._zone).date()


def _dimensions(by: Collection[str]) -> frozenset[Dimension]:
    try:
        return frozenset(Dimension(word) for word in by)
    except ValueError as error:
        raise InvalidQuestion(f"by is {', '.join(map(str, by))}: allowed are {', '.join(Dimension)}") from error


def _row(row: Sequence[Any], dimensions: frozenset[Dimension], buckets: _Buckets) -> SummaryRow:
    times = {} if row[0] is None else buckets[row[0] - 1][1]
    keys: dict[Dimension, str | date | datetime] = {Dimension(name): value for name, value in times.items()}
    named = zip(_COLUMNS, row, strict=False)  # the measures follow
    keys |= {name: value for name, value in named if name is not None and name in dimensions}
    measures = row[len(_COLUMNS) :]
    return SummaryRow(keys, *measures[:-_COSTS], *map(usd, measures[-_COSTS:]))
