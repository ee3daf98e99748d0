"""What a provider's prompt cache was good for: what reads saved, what writes cost more, and which of these never paid back.

Against the same tokens as plain input, at the rate that the calls themselves were billed at: nothing is guessed from a price
list. Where the bills do not tell that rate, the tokens are counted and their saving is not known.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from costspan.errors import InvalidQuestion
from costspan.event import Line
from costspan.ledger.asking import summing
from costspan.ledger.consumption import ATTO_PER_PICO, OF_CONTEXTS, WRITES, Consumed, Kind, Part, consumed, parts_of
from costspan.ledger.database import Cursor, Database
from costspan.ledger.derivation import parse_lines
from costspan.ledger.dictionary import as_json
from costspan.ledger.period import Period
from costspan.ledger.queries import queries
from costspan.ledger.summary import Dimension, usd
from costspan.pricing.money import half_even
from costspan.usage import Unit

__all__ = ["SAVERS", "CacheSaving", "Savings", "savings"]

#: What savings can be broken down by. Not by session: one that reads what another wrote would look thrifty, and that
#: other one wasteful.
SAVERS = (
    Dimension.SERVICE,
    Dimension.PROVIDER,
    Dimension.MODEL,
    Dimension.OPERATION,
    Dimension.TENANT,
    Dimension.FEATURE,
)
#: Calls whose own lines are looked at, at the most.
_MOST_ODD = 10_000
#: What each unit would have been without a cache.
_PLAIN = {
    Unit.CACHE_READ.value: Unit.INPUT.value,
    Unit.CACHE_READ_AUDIO.value: Unit.INPUT_AUDIO.value,
    Unit.CACHE_READ_IMAGE.value: Unit.INPUT_IMAGE.value,
    Unit.CACHE_WRITE_5M.value: Unit.INPUT.value,
    Unit.CACHE_WRITE_30M.value: Unit.INPUT.value,
    Unit.CACHE_WRITE_1H.value: Unit.INPUT.value,
    Unit.CACHE_WRITE_12H.value: Unit.INPUT.value,
}
_READS = frozenset({Unit.CACHE_READ.value, Unit.CACHE_READ_AUDIO.value, Unit.CACHE_READ_IMAGE.value})


@dataclass(frozen=True, slots=True)
class CacheSaving:
    """What a prompt cache did for some calls. Dollars to the pico-dollar."""

    keys: Mapping[Dimension, str] = field(default_factory=dict)
    """As in a `SummaryRow`."""
    read_tokens: int = 0
    write_tokens: int = 0
    unknown_tokens: int = 0
    """Of both, those whose saving cannot be told; in no amount."""
    saved: Decimal = Decimal(0)
    """What the read tokens would have cost more as plain input."""
    extra: Decimal = Decimal(0)
    """What the written tokens cost more than plain input."""
    unrecovered: Decimal = Decimal(0)
    """The part of ``extra`` that reads never paid back: of each tenant's model, operation and terms, and feature where that
    was asked, what writing cost more than reading saved. At least so much was wasted: within one of these, some caches may
    have paid for others. Zero is not bad: caching did more good than harm everywhere."""

    @property
    def net(self) -> Decimal:
        """What caching saved in all; negative where it cost more than it saved."""
        return self.saved - self.extra


@dataclass(frozen=True, slots=True)
class Savings:
    """What prompt caches did in a period."""

    period: Period
    by: tuple[Dimension, ...]
    rows: tuple[CacheSaving, ...]
    """The largest net, saved or lost, first."""
    total: CacheSaving


@dataclass(slots=True)
class _Atto:
    """Sums of dollars x 10^-18, and of tokens that could not be told."""

    saved: int = 0
    extra: int = 0
    unknown: int = 0

    def add(self, other: _Atto) -> None:
        self.saved += other.saved
        self.extra += other.extra
        self.unknown += other.unknown


def savings(
    database: Database,
    period: Period,
    *,
    by: Collection[str] = (Dimension.MODEL, Dimension.FEATURE),
    tenant: str | None = None,
    services: Collection[str] | None = None,
) -> Savings:
    """Return what prompt caches did in ``period``, broken down ``by`` any of `SAVERS`.

    ``tenant`` is whose; None is everybody's, as admin. ``services``: only these.

    Raises:
        InvalidQuestion: as `Reader.summary`, and for another dimension.
        LedgerError: as `Database.transaction`.
    """
    dimensions = _dimensions(by)
    span = Period.between(period.start, period.end, period.zone)
    values = {"start": span.start, "end": span.end, "cached": True}
    with summing(database, tenant) as cursor:
        rows = consumed(cursor, values, OF_CONTEXTS.intersection(dimensions))
        rows = tuple(row for row in rows if services is None or row.kind.sold.service in services)
        told = _told(cursor, values, rows, [dimension.value for dimension in dimensions])
    groups: dict[tuple[str, ...], list[tuple[Consumed, _Atto]]] = defaultdict(list)
    for row, atto in zip(rows, told, strict=True):
        groups[tuple(row.value(dimension) for dimension in dimensions)].append((row, atto))
    found = [_saving(dict(zip(dimensions, key, strict=True)), group) for key, group in groups.items()]
    found.sort(key=lambda saving: (-abs(saving.net), tuple(saving.keys.values())))
    return Savings(period, dimensions, tuple(found), _saving({}, list(zip(rows, told, strict=True))))


def _dimensions(by: Collection[str]) -> tuple[Dimension, ...]:
    for word in by:
        if word not in SAVERS:
            raise InvalidQuestion(f"by is {str(word)[:40]!r}: allowed are {', '.join(SAVERS)}")
    return tuple(dict.fromkeys(map(Dimension, by)))


def _saving(keys: Mapping[Dimension, str], group: Iterable[tuple[Consumed, _Atto]]) -> CacheSaving:
    whole, caches = _Atto(), defaultdict[object, _Atto](_Atto)
    reads = writes = 0
    for row, atto in group:
        whole.add(atto)
        caches[row.kind.tenant, row.kind.sold, row.names.get(Dimension.FEATURE)].add(atto)
        reads += row.cache_read
        writes += row.cache_write
    lost = sum(max(cache.extra - cache.saved, 0) for cache in caches.values())
    return CacheSaving(keys, reads, writes, whole.unknown, _dollars(whole.saved), _dollars(whole.extra), _dollars(lost))


def _dollars(atto: int) -> Decimal:
    return usd(half_even(atto, ATTO_PER_PICO))


def _told(cursor: Cursor, values: Mapping[str, object], rows: Sequence[Consumed], by: Sequence[str]) -> Sequence[_Atto]:
    """Tell what caches did in each of ``rows``: by the rates of its kind, and where these do not explain the bills, by lines.

    A call has lines of its own where its bill does not follow from the rates of its kind, and only there.
    """
    told = [_by_rates(row.kind, row.tokens, row.cost_pico, is_sure=False) if row.has_cost else None for row in rows]
    doubtful = [row for row, one in zip(rows, told, strict=True) if one is None and row.has_cost]
    odd: Mapping[_Place, list[_Odd]] | None = {}
    if doubtful:
        was_dropped = cursor.execute(queries("consumption")["dropped"], values).fetchall()[0][0]
        odd = None if was_dropped else _odd_calls(cursor, values, by, doubtful)
    return [_by_lines(row, odd) if one is None else one for row, one in zip(rows, told, strict=True)]


def _by_rates(kind: Kind, tokens: Mapping[Part, int], cost_pico: int, *, is_sure: bool) -> _Atto | None:
    """Tell by the rates of ``kind``; None where they do not tell.

    When it is not sure that each bill is made of these rates and nothing else, they must explain the cost to the pico-dollar;
    when it is, what the rest leaves is what writes of several lifetimes cost together.
    """
    reads, writes = tokens.get(Part.READ, 0), tokens.get(Part.WRITE, 0)
    if not reads and not writes:
        return _Atto()
    plain = kind.rates.get(Part.INPUT)
    others = {part: number for part, number in tokens.items() if part is not Part.WRITE}
    if plain is None or not others.keys() <= kind.rates.keys():
        return None
    of_writes = cost_pico * ATTO_PER_PICO - sum(kind.rates[part] * number for part, number in others.items())
    if not writes or Part.WRITE in kind.rates:
        at_rate = writes * kind.rates.get(Part.WRITE, 0)
        if not is_sure and of_writes != at_rate:
            return None
        of_writes = at_rate
    elif not is_sure or not _is_between(of_writes, [writes * rate for rate in kind.write_rates]):
        return None
    return _Atto(reads * (plain - kind.rates[Part.READ]) if reads else 0, of_writes - writes * plain)


def _is_between(value: int, ends: Sequence[int]) -> bool:
    return bool(ends) and min(ends) <= value <= max(ends)


#: A kind, and a feature where that was asked.
_Place = tuple[int, str | None]


class _Odd(NamedTuple):
    """A call whose bill does not follow from the rates of its kind."""

    tokens: Mapping[Part, int]
    cost_pico: int
    lines: Sequence[Line]


def _odd_calls(
    cursor: Cursor, values: Mapping[str, object], by: Sequence[str], doubtful: Sequence[Consumed]
) -> Mapping[_Place, list[_Odd]] | None:
    """Return those that may say something else than the rates of the ``doubtful``; None where they are too many."""
    sql = queries("consumption")
    strange: str | None = None
    if all(not row.cache_write or Part.WRITE in row.kind.rates for row in doubtful):
        found_rates = cursor.execute(sql["odd_rates"], {**values, "units": list(_PLAIN)}).fetchall()
        strange = as_json(_strange(found_rates, doubtful))
    wanted = {**values, "strange": strange, "limit": _MOST_ODD + 1}
    spelt_out = cursor.execute(sql["spelt_out"], wanted).fetchall() if strange != "[]" else []
    if len(spelt_out) > _MOST_ODD:
        return None
    found: dict[_Place, list[_Odd]] = defaultdict(list)
    if not spelt_out:
        return found
    ids, ats, tenant_keys, *_ = map(list, zip(*spelt_out, strict=True))
    wanted = {"by": list(by), "ids": ids, "ats": ats, "tenant_keys": tenant_keys}
    bills = {row[0]: row[3:] for row in spelt_out}
    for call_id, kind_then, feature, *measures, cost_then in cursor.execute(sql["calls"], wanted).fetchall():
        lines, kind_now, cost_now = bills[call_id]
        cost = cost_then if cost_now is None else cost_now
        found[kind_now or kind_then, feature].append(_Odd(parts_of(*measures), int(cost), parse_lines(lines)))
    return found


def _strange(rates: Iterable[Sequence[Any]], doubtful: Iterable[Consumed]) -> Sequence[tuple[str, str, str]]:
    """Return which lines (model, unit, rate) are not at the rates that all kinds of their tenant and model have."""
    usual: dict[tuple[str, str], dict[Part, int | None]] = defaultdict(dict)
    for row in doubtful:
        known = usual[row.kind.tenant, row.kind.sold.model]
        for of, rate in row.kind.rates.items():
            known[of] = rate if known.get(of, rate) == rate else None
    found = set()
    for tenant, model, unit, atto, plain in rates:
        kind = usual.get((tenant, model), {})
        part = Part.READ if unit == Unit.CACHE_READ else Part.WRITE if unit in WRITES else None
        is_usual = part is not None and atto == str(kind.get(part)) and plain in (None, str(kind.get(Part.INPUT)))
        if not is_usual:
            found.add((model, unit, atto or ""))
    return sorted(found)


def _by_lines(row: Consumed, odd: Mapping[_Place, list[_Odd]] | None) -> _Atto:
    """Tell by the lines of the odd calls, and the others by the rates; what neither tells is unknown."""
    unknown = row.cache_read + row.cache_write
    if odd is None or not row.has_cost:
        return _Atto(unknown=unknown)
    calls = odd.get((row.kind_id, row.names.get(Dimension.FEATURE)), [])
    rest = Counter(row.tokens)
    for call in calls:
        rest.subtract(call.tokens)
    tokens = {part: number for part, number in rest.items() if number}
    told = _by_rates(row.kind, tokens, row.cost_pico - sum(call.cost_pico for call in calls), is_sure=True)
    told = told or _Atto(unknown=tokens.get(Part.READ, 0) + tokens.get(Part.WRITE, 0))
    for call in calls:
        told.add(_of_lines(call.lines))
    return told


def _of_lines(lines: Sequence[Line]) -> _Atto:
    """Tell by one bill; plain input must have one rate in it, as what was cached would have had that."""
    plain: dict[tuple[str, str], set[int]] = defaultdict(set)
    for line in lines:
        if line.rate_atto is not None:
            plain[line.model, line.unit].add(line.rate_atto)
    told = _Atto()
    for line in lines:
        rates = plain.get((line.model, _PLAIN.get(line.unit, "")), set())
        if line.unit in _PLAIN and (line.rate_atto is None or len(rates) != 1):
            told.unknown += line.quantity
        elif line.unit in _PLAIN and line.rate_atto is not None:
            less = line.quantity * (next(iter(rates)) - line.rate_atto)
            told.add(_Atto(saved=less) if line.unit in _READS else _Atto(extra=-less))
    return told
