"""What caches of applications did: look-ups that hit and missed, and what the hits did not cost."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from costspan.errors import InvalidQuestion
from costspan.ledger.asking import asking
from costspan.ledger.cacheuse import key_of
from costspan.ledger.database import Cursor, Database
from costspan.ledger.dictionary import as_json
from costspan.ledger.period import Period
from costspan.ledger.queries import queries
from costspan.ledger.summary import usd

__all__ = ["CacheDimension", "CacheRow", "CacheSummary", "Caches", "drop_features"]

_QUARTER = timedelta(minutes=15)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CacheDimension(StrEnum):
    """What look-ups can be broken down by."""

    HOUR = "hour"
    """Of the summary's time zone; an aware `datetime.datetime`."""
    DAY = "day"
    """Of the summary's time zone; a `datetime.date`."""
    WEEK = "week"
    """The `datetime.date` of its Monday."""
    MONTH = "month"
    """The `datetime.date` of its first day."""
    TENANT = "tenant"
    CACHE = "cache"
    MODEL = "model"
    """Whose calls the hits spared; '' where the application did not say."""
    FEATURE = "feature"
    """'' for look-ups of no feature, and for those that are older than what is kept call by call."""


_OF_TIME = frozenset({CacheDimension.HOUR, CacheDimension.DAY, CacheDimension.WEEK, CacheDimension.MONTH})
#: The order of the query's columns, after the number of a bucket of time.
_COLUMNS = (CacheDimension.TENANT, CacheDimension.CACHE, CacheDimension.MODEL, CacheDimension.FEATURE)


@dataclass(frozen=True, slots=True)
class CacheRow:
    """Sums of some look-ups."""

    keys: Mapping[CacheDimension, str | date | datetime] = field(default_factory=dict)
    """The value of each dimension that was asked for."""
    hits: int = 0
    misses: int = 0
    hits_unpriced: int = 0
    """Hits of which nobody knows what they did not cost: no model or tokens were named, or nobody knows the price."""
    tokens_avoided: int = 0
    avoided: Decimal = Decimal(0)
    """Dollars that the other hits did not cost, exact."""

    @property
    def requests(self) -> int:
        """All look-ups."""
        return self.hits + self.misses

    @property
    def hit_rate(self) -> Fraction | None:
        """Which part of the look-ups were hits, exact; None where there was none."""
        return Fraction(self.hits, self.requests) if self.requests else None


@dataclass(frozen=True, slots=True)
class CacheSummary:
    """Sums of all look-ups between two instants."""

    start: datetime
    """The beginning of the quarter of an hour in which the asked period begins."""
    end: datetime
    """The end of the quarter of an hour in which the asked period ends."""
    rows: tuple[CacheRow, ...]
    total: CacheRow


class Caches:
    """Answers questions about caches.

    Args:
        zone: where a day begins, unless a question says otherwise.
    """

    def __init__(self, database: Database, zone: ZoneInfo) -> None:
        self._database = database
        self._zone = zone
        self._sql = queries("cache")

    def summary(
        self,
        start: datetime,
        end: datetime,
        *,
        by: Collection[str] = (),
        tenant: str | None = None,
        zone: ZoneInfo | None = None,
    ) -> CacheSummary:
        """Sum all look-ups from ``start`` until before ``end``, broken down ``by`` any of `CacheDimension`.

        They are kept per quarter of an hour: a period that cuts one is widened to all of it, which the answer says.

        Args:
            start: aware; any zone.
            end: aware; any zone.
            by: dimensions; empty gives one row (none when there was no look-up).
            tenant: whose look-ups; None for everybody's, as admin.
            zone: whose hours, days, weeks and months; the ledger's when not given.

        Raises:
            InvalidQuestion: an unknown dimension, a naive instant, an end before the start.
            LedgerError: as `Database.transaction`.
        """
        period = _whole_quarters(start, end, zone or self._zone)
        dimensions = _dimensions(by)
        buckets = period.buckets([dimension.value for dimension in dimensions])
        values: dict[str, object] = {
            "start": period.start,
            "end": period.end,
            "boundaries": [*(begin for begin, _ in buckets), period.end],
            "by": [dimension.value for dimension in dimensions],
            "in_time": bool(dimensions & _OF_TIME),
        }
        with asking(self._database, tenant) as cursor:
            found = cursor.execute(self._sql["summary"], values).fetchall()
        rows = tuple(_row(row, dimensions, buckets) for row in found)
        return CacheSummary(period.start, period.end, rows, _total(rows))


def drop_features(cursor: Cursor, before: datetime) -> None:
    """Take the features off all sums ``before`` an instant; what they add up to stays. ``cursor`` is a keeper's."""
    sql = queries("cache")
    named = [
        {"tenant_key": tenant_key, "cache_id": cache_id, "key": key_of(tenant, cache, model, ""), "cache": cache}
        | {"model": model}
        for tenant_key, tenant, cache_id, cache, model in cursor.execute(sql["named"], {"before": before}).fetchall()
    ]
    if named:
        nameless = {row["key"]: row for row in named}
        cursor.execute(sql["add_nameless"], {"rows": as_json(list(nameless.values()))})
        rows = {"rows": as_json(named), "before": before}
        cursor.execute(sql["fold"], rows)
        cursor.execute(sql["forget"], rows)


def _whole_quarters(start: datetime, end: datetime, zone: ZoneInfo) -> Period:
    for name, instant in (("start", start), ("end", end)):
        if instant.tzinfo is None:
            raise InvalidQuestion(f"{name} is {instant}, without a time zone: which instant it is cannot be known")
    if end < start:
        raise InvalidQuestion(f"the period ends at {end}, before it begins at {start}")
    begin, finish = start.astimezone(UTC), end.astimezone(UTC)
    return Period(begin - (begin - _EPOCH) % _QUARTER, finish + (_EPOCH - finish) % _QUARTER, zone)


def _dimensions(by: Collection[str]) -> frozenset[CacheDimension]:
    try:
        return frozenset(CacheDimension(word) for word in by)
    except ValueError as error:
        raise InvalidQuestion(f"by is {', '.join(map(str, by))}: allowed are {', '.join(CacheDimension)}") from error


def _row(
    row: Sequence[Any],
    dimensions: frozenset[CacheDimension],
    buckets: Sequence[tuple[datetime, Mapping[str, date | datetime]]],
) -> CacheRow:
    bucket, *rest = row
    times = {} if bucket is None else buckets[bucket - 1][1]
    keys: dict[CacheDimension, str | date | datetime] = {CacheDimension(name): at for name, at in times.items()}
    keys |= {name: value for name, value in zip(_COLUMNS, rest, strict=False) if name in dimensions}
    hits, misses, hits_unpriced, tokens_avoided, avoided = rest[len(_COLUMNS) :]
    return CacheRow(keys, hits, misses, hits_unpriced, tokens_avoided, usd(avoided))


def _total(rows: Sequence[CacheRow]) -> CacheRow:
    return CacheRow(
        hits=sum(row.hits for row in rows),
        misses=sum(row.misses for row in rows),
        hits_unpriced=sum(row.hits_unpriced for row in rows),
        tokens_avoided=sum(row.tokens_avoided for row in rows),
        avoided=sum((row.avoided for row in rows), Decimal(0)),
    )
