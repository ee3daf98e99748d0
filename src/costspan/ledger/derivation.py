"""From what is stored of a call back to its quantities, its bill and a reading that can be priced again.

A call's row has only numbers. Its kind says what was called and at which rates, and a call whose bill does not follow
from these keeps its lines beside it: together they tell the bill to the pico-dollar.

What the meter knew and no column has is how the lines of one model were spread over several requests. They are told apart
where a unit comes again, or input after output: each request has its own prompt, whose length decides its rates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import msgspec

from costspan.event import Line
from costspan.pricing.reason import doubt
from costspan.usage import INPUT_UNITS, OUTPUT_UNITS, Completeness, Portion, Reading, Status, Terms, Unit, Usage

__all__ = [
    "StoredCall",
    "StoredKind",
    "completeness",
    "cost_of",
    "lines_of",
    "nanoseconds",
    "parse_lines",
    "quantities_of",
    "reading_of",
]

#: Of a call that was partial and says not why: nothing tells that a price was all it lacked.
_UNSAID = ("(not noted)",)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_INPUT, _OUTPUT = Unit.INPUT.value, Unit.OUTPUT.value
#: In the order of the columns.
_CACHES = (
    Unit.CACHE_READ.value,
    Unit.CACHE_WRITE_5M.value,
    Unit.CACHE_WRITE_1H.value,
    Unit.CACHE_WRITE_30M.value,
    Unit.CACHE_WRITE_12H.value,
)
_UNITS = {unit.value: unit for unit in Unit}
_NO_COST = frozenset({Status.UNPRICED.value, Status.INVALID.value})
#: What a request is billed for, in the order in which its lines stand.
_RANKS = {unit.value: 0 if unit in INPUT_UNITS else 1 if unit in OUTPUT_UNITS else 2 for unit in Unit}


@dataclass(frozen=True, slots=True)
class StoredKind:
    """A row of call_kind and its rates: unit -> (model, dollars x 10^-18, layer)."""

    kind_id: int
    tenant: str
    service: str
    provider: str
    operation: str
    model: str
    request_model: str
    terms: str
    price_version: str
    dimensions: int
    status: str
    rates: dict[str, tuple[str, int, str]] = field(default_factory=dict)

    @property
    def parsed_terms(self) -> Terms:
        """The terms as prices see them."""
        return _terms(self.terms)


class StoredCall(NamedTuple):
    """What is stored of a call that says what it consumed. In the optional columns None is 0."""

    tokens_in: int
    tokens_out: int
    cache_read: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    cache_write_30m: int | None = None
    cache_write_12h: int | None = None
    reasoning: int | None = None
    lines: str | None = None
    """JSON; None where they follow from the kind's rates."""
    quantities: str | None = None
    """JSON; None where every unit has a column."""
    problem: str | None = None


class _StoredLine(msgspec.Struct, gc=False):
    """A line as JSON has it."""

    model: str
    unit: str
    quantity: int
    rate_atto: int | None
    amount_pico: int | None
    layer: str


_terms = lru_cache(maxsize=1024)(Terms.parse)
_lines = msgspec.json.Decoder(list[_StoredLine])
_quantities = msgspec.json.Decoder(dict[str, int])


def quantities_of(call: StoredCall) -> dict[str, int]:
    """Return every unit that was consumed; zeros are left out."""
    if call.quantities is not None:
        return {unit: quantity for unit, quantity in _quantities.decode(call.quantities).items() if quantity}
    units: dict[str, int] = {}
    fresh = call.tokens_in
    for unit, quantity in zip(_CACHES, call[2:7], strict=True):
        if quantity:
            units[unit] = quantity
            fresh -= quantity
    if fresh:
        units[_INPUT] = fresh
    if call.tokens_out:
        units[_OUTPUT] = call.tokens_out
    return units


def parse_lines(stored: str) -> list[Line]:
    """Return lines that were stored as JSON."""
    return [
        Line(line.model, line.unit, line.quantity, line.rate_atto, line.amount_pico, line.layer)
        for line in _lines.decode(stored)
    ]


def lines_of(call: StoredCall, kind: StoredKind, stored: str | None) -> list[Line]:
    """Return the bill of ``call`` as a call of ``kind``: what was ``stored`` of it, or what follows from the rates."""
    if stored is not None:
        return parse_lines(stored)
    return [_line(unit, quantity, kind) for unit, quantity in quantities_of(call).items()]


def _line(unit: str, quantity: int, kind: StoredKind) -> Line:
    rate = kind.rates.get(unit)
    if rate is None:
        return Line(kind.model, unit, quantity, None, None, "")
    model, atto, layer = rate
    return Line(model, unit, quantity, atto, quantity * atto // 1_000_000, layer)  # only what comes out even follows


def cost_of(lines: Sequence[Line], status: str) -> int | None:
    """Return the pico-dollars of a bill; None for statuses without a cost."""
    return None if status in _NO_COST else sum(line.amount_pico or 0 for line in lines)


def completeness(call: StoredCall, kind: StoredKind) -> tuple[Completeness, tuple[str, ...]]:
    """Return what is known of the usage itself, and its fields that nobody knows."""
    if kind.status == Status.PRICED:
        return Completeness.COMPLETE, ()
    found = doubt(call.problem or "")
    if kind.status == Status.ESTIMATED and found.completeness is not Completeness.ASSUMED:
        return Completeness.ESTIMATED, found.unknown
    if kind.status == Status.PARTIAL and not call.problem:
        return found.completeness, _UNSAID
    return found


def reading_of(call: StoredCall, kind: StoredKind) -> Reading:
    """Return what the provider's answer said, as far as it bears on the price.

    ``kind`` is the one it was written with: corrections change what a call cost, never what it consumed.

    Raises:
        ValueError: for a unit of a later version, and for an invalid call, whose numbers mean nothing.
    """
    if kind.status == Status.INVALID:
        raise ValueError("an invalid call consumed nothing that can be priced")
    known, unknown = completeness(call, kind)
    return Reading(
        service=kind.service,
        provider=kind.provider,
        operation=kind.operation,
        model=kind.model,
        portions=_portions(call, kind),
        terms=kind.parsed_terms,
        completeness=known,
        unknown=unknown,
        dimensions=kind.dimensions,
    )


def nanoseconds(at: datetime) -> int:
    """Return an instant as price books take it."""
    return (at - _EPOCH) // _MICROSECOND * 1000


def _portions(call: StoredCall, kind: StoredKind) -> tuple[Portion, ...]:
    parts = list(_requests(parse_lines(call.lines)) if call.lines is not None else _one_each(call, kind))
    if not parts and kind.status == Status.UNPRICED:
        parts = [(kind.model, {})]  # its model has no price, though nothing was consumed that could be charged
    reasoning = call.reasoning or 0
    return tuple(
        [
            Portion(model, Usage(quantities, 0 if index else reasoning))
            for index, (model, quantities) in enumerate(parts)
        ]
    )


def _one_each(call: StoredCall, kind: StoredKind) -> Iterable[tuple[str, dict[Unit, int]]]:
    """One request of each model: where lines follow from the rates, no unit is there twice."""
    parts: dict[str, dict[Unit, int]] = {}
    for unit, quantity in quantities_of(call).items():
        rate = kind.rates.get(unit)
        parts.setdefault(kind.model if rate is None else rate[0], {})[_unit(unit)] = quantity
    return parts.items()


def _requests(lines: Sequence[Line]) -> Iterator[tuple[str, dict[Unit, int]]]:
    model, quantities, last = "", dict[Unit, int](), 0
    for line in lines:
        unit, rank = _unit(line.unit), _RANKS[line.unit]
        if quantities and (line.model != model or unit in quantities or rank < last):
            yield model, quantities
            quantities = {}
        model, last = line.model, rank
        quantities[unit] = line.quantity
    if quantities:
        yield model, quantities


def _unit(name: str) -> Unit:
    try:
        return _UNITS[name]
    except KeyError:
        raise ValueError(f"the unit {name!r} is of a later version of costspan") from None
