"""Rate cards for a person and for a program: what each unit costs, by length of prompt, and who says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from costspan.pricing import money
from costspan.pricing.card import Card
from costspan.pricing.denomination import OF_UNIT
from costspan.usage import Unit

__all__ = ["Entry", "brief", "entries", "origins"]

#: More decimals than any price list has.
_PLACES = 12


@dataclass(frozen=True, slots=True)
class Entry:
    """One price of a card."""

    key: str
    above: int
    """The prompt length above which it holds; 0 for every prompt."""
    usd: str
    per: str
    layer: str
    sources: tuple[str, ...]

    def document(self) -> dict[str, object]:
        """Return it for a program."""
        return {
            "unit": self.key,
            "prompt_above": self.above,
            "usd": self.usd,
            "per": self.per,
            "layer": self.layer,
            "sources": list(self.sources),
        }


def entries(card: Card) -> Iterator[Entry]:
    """Yield the prices of ``card`` in the order in which bills are read."""
    for unit, denomination in OF_UNIT.items():
        price = card.prices.get(unit)
        if price is None:
            continue
        for above, dollars in price.ladder.steps:
            yield Entry(
                denomination.key,
                max(above, 0),
                _usd(dollars * denomination.per),
                denomination.text,
                price.layer.value,
                tuple(source.text for source in price.sources),
            )


def origins(card: Card) -> dict[str, str]:
    """Return what made the prices of ``card``: each name, and where its figures were read."""
    return {source.name: source.source for price in card.prices.values() for source in price.sources}


def brief(card: Card, unit: Unit) -> str:
    """Return the price of a unit for a table: ``2.5``, ``0.1 (0.5 above 100,000)``, or an empty text."""
    price = card.prices.get(unit)
    if price is None:
        return ""
    (_, first), *more = price.ladder.steps
    per = OF_UNIT[unit].per
    steps = ", ".join(f"{_usd(dollars * per)} above {above:,}" for above, dollars in more)
    return f"{_usd(first * per)} ({steps})" if steps else _usd(first * per)


def _usd(dollars: Fraction) -> str:
    return money.plain(Decimal(round(dollars * 10**_PLACES)).scaleb(-_PLACES))
