"""What calls consumed, by what was called and for whom, with the rates they were billed at.

A kind (a tenant's model, operation, terms and price version) has one rate a unit. Where these rates, multiplied with what
its calls consumed, give exactly what they cost, it is known to the pico-dollar which part of the cost each unit has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from costspan.ledger.database import Cursor
from costspan.ledger.queries import queries
from costspan.ledger.summary import Dimension, SummaryRow, usd
from costspan.usage import Status, Unit

__all__ = [
    "ATTO_PER_PICO",
    "OF_CONTEXTS",
    "Consumed",
    "Consumption",
    "Kind",
    "Part",
    "Sold",
    "consumed",
    "parts_of",
    "summed",
]

OF_CONTEXTS = frozenset({Dimension.FEATURE, Dimension.SESSION, Dimension.USER})
#: A product of tokens and a rate is of atto-dollars.
ATTO_PER_PICO = 10**6
_PLAIN_UNITS = {Unit.INPUT.value: "input", Unit.CACHE_READ.value: "read", Unit.OUTPUT.value: "output"}
WRITES = frozenset(
    {
        Unit.CACHE_WRITE_5M.value,
        Unit.CACHE_WRITE_30M.value,
        Unit.CACHE_WRITE_1H.value,
        Unit.CACHE_WRITE_12H.value,
    }
)
_COSTLESS = frozenset({Status.UNPRICED, Status.INVALID})


class Part(StrEnum):
    """What tokens were, in parts that do not overlap."""

    INPUT = "input"
    """Read by the model, with no cache involved."""
    READ = "read"
    WRITE = "write"
    """Of any lifetime: the sums do not tell them apart."""
    OUTPUT = "output"


class Sold(NamedTuple):
    """What was called, on which terms: as far as it decides a price."""

    service: str
    provider: str
    model: str
    operation: str
    terms: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A row of call_kind, with its rates."""

    tenant: str
    sold: Sold
    status: Status
    rates: Mapping[Part, int] = field(default_factory=dict)
    """Dollars x 10^-18 a token. A part is missing where it has no rate, or more than one."""
    write_rates: tuple[int, ...] = ()
    """Of every lifetime that was seen."""


@dataclass(frozen=True, slots=True)
class Consumed:
    """Sums of the calls of one kind, for one feature, session or user where that was asked."""

    kind_id: int
    kind: Kind
    names: Mapping[Dimension, str]
    """Those of feature, session and user that were asked for."""
    calls: int
    tokens_in: int
    tokens_out: int
    cache_read: int
    cache_write: int
    reasoning: int
    cost_pico: int

    @property
    def has_cost(self) -> bool:
        """Whether the calls have a cost; unknown is not zero."""
        return self.kind.status not in _COSTLESS

    @property
    def tokens(self) -> Mapping[Part, int]:
        """What was consumed; parts that are zero are left out."""
        return parts_of(self.tokens_in, self.tokens_out, self.cache_read, self.cache_write)

    def value(self, dimension: Dimension) -> str:
        """Return what ``dimension`` is of these calls."""
        if dimension in self.names:
            return self.names[dimension]
        if dimension is Dimension.TENANT:
            return self.kind.tenant
        if dimension is Dimension.STATUS:
            return self.kind.status.value
        return str(getattr(self.kind.sold, dimension.value))


Consumption = tuple[Consumed, ...]


def consumed(cursor: Cursor, values: Mapping[str, object], by: Collection[Dimension]) -> Consumption:
    """Return what was consumed in a period, of each kind and, where ``by`` has them, each feature, session and user.

    Args:
        cursor: of who asks.
        values: start, end, and whether only what a prompt cache was involved in is asked for (``cached``).
        by: other dimensions are told by the kind.
    """
    sql = queries("consumption")
    names = [dimension for dimension in (Dimension.FEATURE, Dimension.SESSION, Dimension.USER) if dimension in by]
    query = sql["of_contexts" if names else "of_kinds"]
    rows = cursor.execute(query, {**values, "by": [name.value for name in names]}).fetchall()
    kinds = _kinds(cursor, {row[0] for row in rows})
    return tuple(_consumed(row, kinds, names) for row in rows if row[0] in kinds)


def parts_of(tokens_in: int, tokens_out: int, cache_read: int, cache_write: int) -> Mapping[Part, int]:
    """Return tokens in parts that do not overlap; those that are zero are left out."""
    parts = (tokens_in - cache_read - cache_write, cache_read, cache_write, tokens_out)
    return {part: number for part, number in zip(Part, parts, strict=True) if number}


def summed(rows: Iterable[Consumed]) -> SummaryRow:
    """Return the sums of ``rows``, as `Ledger.summary` tells them."""
    rows = tuple(rows)
    calls = dict.fromkeys(Status, 0)
    costs = dict.fromkeys(Status, 0)
    for row in rows:
        calls[row.kind.status] += row.calls
        costs[row.kind.status] += row.cost_pico
    valid = [row for row in rows if row.kind.status is not Status.INVALID]
    return SummaryRow(
        calls=sum(calls.values()),
        priced=calls[Status.PRICED],
        estimated=calls[Status.ESTIMATED],
        partial=calls[Status.PARTIAL],
        unpriced=calls[Status.UNPRICED],
        invalid=calls[Status.INVALID],
        tokens_in=sum(row.tokens_in for row in valid),
        tokens_out=sum(row.tokens_out for row in valid),
        cache_read=sum(row.cache_read for row in valid),
        cache_write=sum(row.cache_write for row in valid),
        reasoning=sum(row.reasoning for row in valid),
        cost=usd(sum(costs.values())),
        cost_not_priced=usd(sum(costs.values()) - costs[Status.PRICED]),
        cost_estimated=usd(costs[Status.ESTIMATED]),
    )


def _kinds(cursor: Cursor, numbers: Collection[int]) -> Mapping[int, Kind]:
    rows = cursor.execute(queries("consumption")["kinds"], {"kinds": list(numbers)}).fetchall()
    return {number: _kind(row) for number, *row in rows}


def _kind(row: Sequence[Any]) -> Kind:
    tenant, service, provider, model, operation, terms, status, units, rates = row
    by_unit = {unit: int(rate) for unit, rate in zip(units or (), rates or (), strict=True)}
    found = {Part(_PLAIN_UNITS[unit]): rate for unit, rate in by_unit.items() if unit in _PLAIN_UNITS}
    writes = tuple(rate for unit, rate in by_unit.items() if unit in WRITES)
    if len(set(writes)) == 1:
        found[Part.WRITE] = writes[0]
    return Kind(tenant, Sold(service, provider, model, operation, terms), Status(status), found, writes)


def _consumed(row: Sequence[Any], kinds: Mapping[int, Kind], names: Sequence[Dimension]) -> Consumed:
    number, feature, session, user, calls, tokens_in, tokens_out, cache_read, cache_write, reasoning, cost = row
    told = {Dimension.FEATURE: feature, Dimension.SESSION: session, Dimension.USER: user}
    return Consumed(
        kind_id=number,
        kind=kinds[number],
        names={name: told[name] or "" for name in names},
        calls=calls,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        cache_read=cache_read,
        cache_write=cache_write,
        reasoning=reasoning,
        cost_pico=int(cost),
    )
