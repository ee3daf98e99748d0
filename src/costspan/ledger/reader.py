"""Sums of the ledger: what calls cost, by whatever they can be told apart by."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

from costspan.errors import InvalidQuestion
from costspan.ledger.asking import asking
from costspan.ledger.database import Cursor, Database, RefusedRows
from costspan.ledger.period import Period, as_date, named_period
from costspan.ledger.queries import queries
from costspan.ledger.summary import Audit, Dimension, Summary, SummaryRow, total, usd

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
        period = _period(start, end, zone or self._zone)
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
        with _asking(self._database, tenant) as cursor:
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
        period = _period(start, end, self._zone)
        with _asking(self._database, tenant) as cursor:
            rows = cursor.execute(self._sql["sessions"], {"start": period.start, "end": period.end}).fetchall()
        return int(rows[0][0])

    def audit(self) -> Audit:
        """What became of every intent. Errors as `Database.transaction`."""
        with _asking(self._database, None) as cursor:
            return Audit(*cursor.execute(self._sql["audit"]).fetchall()[0])

    def _by_service(self, period: str, tenant: str | None, day: date) -> Summary:
        span = named_period(period, day, self._zone)
        return self.summary(span.start, span.end, by=(Dimension.SERVICE,), tenant=tenant)

    def _today(self) -> date:
        return self._now().astimezone(self._zone).date()


@contextmanager
def _asking(database: Database, tenant: str | None) -> Iterator[Cursor]:
    """As `asking`; an answer that would lack what was dropped is refused by what sums, and here that gets its name."""
    try:
        with asking(database, tenant) as cursor:
            yield cursor
    except RefusedRows as error:
        if isinstance(error.__cause__, psycopg.Error) and error.__cause__.diag.table_name == "retention":
            raise InvalidQuestion(str(error)) from error
        raise


def _period(start: datetime, end: datetime, zone: ZoneInfo) -> Period:
    for instant in (start, end):
        if instant.utcoffset() is None:
            raise InvalidQuestion(f"{instant} has no time zone: which instant it is cannot be known")
    if end < start:
        raise InvalidQuestion(f"the period ends at {end}, before it begins at {start}")
    return Period(start.astimezone(UTC), end.astimezone(UTC), zone)


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
