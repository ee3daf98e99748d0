"""Two periods against each other: what changed, by how much, and what made it change.

A difference is told apart into effects that add up to it exactly: more or fewer calls; other models, operations or terms;
longer or shorter calls; other prices. Only calls whose cost is known take part: a model that nobody had a price for, and
that has one now, must not look like growth.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

from costspan.errors import InvalidQuestion
from costspan.ledger.asking import summing
from costspan.ledger.consumption import ATTO_PER_PICO, OF_CONTEXTS, Consumed, Part, Sold, consumed, summed
from costspan.ledger.database import Database
from costspan.ledger.period import Period, named_period
from costspan.ledger.summary import Dimension, SummaryRow, usd
from costspan.pricing.money import pico

__all__ = ["COMPARABLE", "Change", "Comparison", "Effects", "compare", "with_previous"]

#: What two periods have in common; no hour or day is in both.
COMPARABLE = tuple(
    dimension
    for dimension in Dimension
    if dimension not in {Dimension.HOUR, Dimension.DAY, Dimension.WEEK, Dimension.MONTH}
)
_QUARTER = timedelta(minutes=15)
#: At most the tenth part of a cost may be none of the rates': fees and the like.
_LEFT = 10


@dataclass(frozen=True, slots=True)
class Effects:
    """Dollars of a difference by what made it, to the pico-dollar; together all of it."""

    volume: Decimal = Decimal(0)
    """What the change in the number of calls alone would have made, at what a call cost on average before."""
    mix: Decimal = Decimal(0)
    """That a larger or smaller part of the calls was of one model, operation or terms, new and gone ones included."""
    usage: Decimal = Decimal(0)
    """That calls of one model consumed more or less each, or had more or less of it from a cache, at the prices before."""
    price: Decimal = Decimal(0)
    """That the same consumption cost more or less: other rates."""
    usage_or_price: Decimal = Decimal(0)
    """What a call of one model cost more or less beyond its tokens at their rates: fees, brackets for long prompts, caches of
    several lifetimes, and all of it where these are more than a tenth of the cost."""


@dataclass(frozen=True, slots=True)
class Change:
    """What some calls cost in both periods."""

    keys: Mapping[Dimension, str]
    """As in a `SummaryRow`."""
    before: SummaryRow
    after: SummaryRow
    effects: Effects

    @property
    def difference(self) -> Decimal:
        """Dollars more than before, exact; less: negative."""
        return usd(pico(self.after.cost) - pico(self.before.cost))

    @property
    def relative(self) -> Fraction | None:
        """The difference as a part of the cost before, exact; None where there was none."""
        return Fraction(self.difference) / Fraction(self.before.cost) if self.before.cost else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two periods against each other."""

    first: Period
    second: Period
    by: tuple[Dimension, ...]
    rows: tuple[Change, ...]
    """The largest difference first."""
    total: Change


def compare(
    database: Database,
    first: Period,
    second: Period,
    *,
    by: Collection[str] = (Dimension.MODEL,),
    tenant: str | None = None,
    services: Collection[str] | None = None,
) -> Comparison:
    """Compare the calls of ``second`` with those of ``first``, broken down ``by`` any of `COMPARABLE`.

    ``tenant`` is whose; None is everybody, as admin. ``services``: only these.

    Raises:
        InvalidQuestion: as `Reader.summary`, and for a dimension of time.
        LedgerError: as `Database.transaction`.
    """
    dimensions = _dimensions(by)
    sides: list[list[Consumed]] = []
    with summing(database, tenant) as cursor:
        for period in (first, second):
            span = Period.between(period.start, period.end, period.zone)
            values = {"start": span.start, "end": span.end, "cached": False}
            rows = consumed(cursor, values, OF_CONTEXTS.intersection(dimensions))
            sides.append([row for row in rows if services is None or row.kind.sold.service in services])
    before, after = (_by_key(side, dimensions) for side in sides)
    changes = [_change(dimensions, key, before[key], after[key]) for key in before.keys() | after.keys()]
    changes.sort(key=lambda change: (-abs(change.difference), tuple(change.keys.values())))
    return Comparison(first, second, dimensions, tuple(changes), _change((), (), *sides))


def with_previous(name: str, day: date, zone: ZoneInfo, now: datetime) -> tuple[Period, Period]:
    """Return the day, week or month around ``day`` after the one before it.

    One that is not over at ``now`` is compared with as much of the one before: both end at the same time of the same day of
    theirs, or where the one before is over. It is the time of the last quarter of an hour, as sums of the past are kept by it.

    Raises:
        InvalidQuestion: as `named_period`.
    """
    second = named_period(name, day, zone)
    begin = second.start.astimezone(zone).date()
    first = named_period(name, begin - timedelta(days=1), zone)
    if not second.start < now < second.end:
        return first, second
    end = now - (now - second.start) % _QUARTER if now - second.start >= _QUARTER else now
    local = end.astimezone(zone)
    day_then = first.start.astimezone(zone).date() + (local.date() - begin)
    then = datetime.combine(day_then, local.timetz()).astimezone(UTC)
    return Period(first.start, min(then, first.end), zone), Period(second.start, end.astimezone(UTC), zone)


def _dimensions(by: Collection[str]) -> tuple[Dimension, ...]:
    for word in by:
        if word not in COMPARABLE:
            raise InvalidQuestion(f"by is {str(word)[:40]!r}: allowed are {', '.join(COMPARABLE)}")
    return tuple(dict.fromkeys(map(Dimension, by)))


def _by_key(rows: Iterable[Consumed], dimensions: Sequence[Dimension]) -> Mapping[tuple[str, ...], list[Consumed]]:
    found: dict[tuple[str, ...], list[Consumed]] = defaultdict(list)
    for row in rows:
        found[tuple(row.value(dimension) for dimension in dimensions)].append(row)
    return found


def _change(
    dimensions: Sequence[Dimension], key: Sequence[str], before: Sequence[Consumed], after: Sequence[Consumed]
) -> Change:
    effects = _effects([row for row in before if row.has_cost], [row for row in after if row.has_cost])
    return Change(dict(zip(dimensions, key, strict=True)), summed(before), summed(after), effects)


@dataclass(slots=True)
class _Cell:
    """The calls of one model, operation and terms, in one period."""

    rows: list[Consumed] = field(default_factory=list)

    @property
    def calls(self) -> int:
        return sum(row.calls for row in self.rows)

    @property
    def cost(self) -> int:
        return sum(row.cost_pico for row in self.rows)

    def rates(self) -> Mapping[Part, int]:
        """Return the rate of each part that had just one."""
        found: dict[Part, int | None] = {}
        for row in self.rows:
            for part in row.tokens:
                rate = row.kind.rates.get(part)
                found[part] = rate if found.get(part, rate) == rate else None
        return {part: rate for part, rate in found.items() if rate is not None}

    def explained(self, parts: Collection[Part], rates: Mapping[Part, int] | None = None) -> int:
        """Return what ``parts`` cost at the rates of their own kinds, or at ``rates``, in dollars x 10^-18."""
        return sum(
            number * (row.kind.rates if rates is None else rates)[part]
            for row in self.rows
            for part, number in row.tokens.items()
            if part in parts and part in row.kind.rates
        )


def _effects(before: Sequence[Consumed], after: Sequence[Consumed]) -> Effects:
    """Tell the difference apart. The average of a model that is new is not known: its calls are all mix."""
    was, now = _cells(before), _cells(after)
    calls, calls_now = sum(row.calls for row in before), sum(row.calls for row in after)
    cost, cost_now = sum(row.cost_pico for row in before), sum(row.cost_pico for row in after)
    if not calls or not calls_now:
        return Effects(volume=usd(cost_now - cost))
    volume = Fraction((calls_now - calls) * cost, calls)
    usage = price = either = Fraction(0)
    for sold in was.keys() & now.keys():
        then, since = was[sold], now[sold]
        per_call = Fraction(since.calls, then.calls)
        of_usage, of_price = _told_apart(then, since, per_call)
        usage, price = usage + of_usage, price + of_price
        either += since.cost - per_call * then.cost - of_usage - of_price
    mix = cost_now - cost - volume - usage - price - either
    return Effects(*map(usd, _whole([volume, mix, usage, price, either], cost_now - cost)))


def _cells(rows: Iterable[Consumed]) -> Mapping[Sold, _Cell]:
    cells: dict[Sold, _Cell] = defaultdict(_Cell)
    for row in rows:
        cells[row.kind.sold].rows.append(row)
    return cells


def _told_apart(then: _Cell, since: _Cell, per_call: Fraction) -> tuple[Fraction, Fraction]:
    """What usage and what price made, in pico-dollars, as far as rates tell; nothing where they leave too much of a cost.

    A rate may be that of a bracket for long prompts, as the first call had it: then it explains little of what others cost.
    """
    rates = then.rates()
    before, after = then.explained(rates), since.explained(rates)
    for cell, explained in ((then, before), (since, after)):
        cost = cell.cost * ATTO_PER_PICO
        if abs(cost - explained) * _LEFT > cost:
            return Fraction(0), Fraction(0)
    as_before = since.explained(rates, rates)
    return (as_before - per_call * before) / ATTO_PER_PICO, Fraction(after - as_before, ATTO_PER_PICO)


def _whole(parts: Sequence[Fraction], whole: int) -> Sequence[int]:
    """Round ``parts`` of ``whole`` so that they still add up to it: the largest of them takes what is left."""
    rounded = [round(part) for part in parts]
    largest = max(range(len(parts)), key=lambda place: abs(parts[place]))
    rounded[largest] += whole - sum(rounded)
    return rounded
