"""A rate card: the price of every unit of one model, at one provider, on one set of terms, between two dates."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from costspan.pricing import money
from costspan.pricing.ladder import Ladder
from costspan.pricing.listprices import DAY_NS
from costspan.pricing.rule import Layer, Origin
from costspan.usage import INPUT_UNITS, Unit

__all__ = ["Card", "Price", "Rate", "Timeline", "unpriced"]


class Rate(NamedTuple):
    """What one unit costs, as a line of a bill says it."""

    unit: str
    atto: int
    layer: str


@dataclass(frozen=True, slots=True)
class Price:
    """What one unit costs by length of prompt, and who says so."""

    ladder: Ladder
    layer: Layer
    sources: tuple[Origin, ...]
    """Each thing that made this price, first the one it rests on."""


@dataclass(frozen=True, slots=True)
class Card:
    """Integers only, so that a call costs look-ups and multiplications."""

    prices: Mapping[Unit, Price]
    reason: str = ""
    """Why no price is known; empty where one is."""
    caveat: str = ""
    """What is charged beyond the units; empty where nothing is."""
    starts: tuple[int, ...] = ()
    """Prompt lengths above which other rates hold."""
    steps: tuple[Mapping[str, Rate], ...] = field(default=({},))
    """The rates below the first start, between it and the second, …"""

    @classmethod
    def of(cls, prices: Mapping[Unit, Price], caveat: str = "") -> Card:
        """Return the card of ``prices``."""
        starts = tuple(sorted({start for price in prices.values() for start in price.ladder.starts}))
        return cls(prices, "", caveat, starts, tuple(_rates(prices, start + 1) for start in (-1, *starts)))

    def rates(self, quantities: Mapping[Unit, int]) -> Mapping[str, Rate]:
        """Return the rates for a request of these quantities: the whole of it at the step its prompt reaches."""
        if not self.starts:
            return self.steps[0]
        prompt = sum([quantity for unit, quantity in quantities.items() if unit in INPUT_UNITS])
        return self.steps[bisect_left(self.starts, prompt)]


def unpriced(reason: str) -> Card:
    """Return the card of what has no known price."""
    return Card({}, reason)


def _rates(prices: Mapping[Unit, Price], prompt: int) -> dict[str, Rate]:
    return {
        unit: Rate(unit.value, money.atto(price.ladder.at(prompt)), price.layer.value) for unit, price in prices.items()
    }


class Timeline:
    """The cards of one model on one set of terms, by date; each is made when the first call of its dates comes."""

    __slots__ = ("_cards", "_days", "_make", "_times")

    def __init__(self, days: tuple[int, ...], times: tuple[int, ...], make: Callable[[int], Card]) -> None:
        self._days = days
        self._times = times
        self._make = make
        self._cards: dict[int, Card] = {}

    def card(self, at_ns: int) -> Card:
        """Return the card in force at a moment."""
        bracket = bisect_right(self._days, at_ns)
        if self._times:
            bracket = bracket * (len(self._times) + 1) + bisect_right(self._times, at_ns % DAY_NS)
        card = self._cards.get(bracket)
        if card is None:
            card = self._cards[bracket] = self._make(at_ns)  # two threads make the same one
        return card

    def is_steady(self, since_ns: int, until_ns: int) -> bool:
        """Whether one card is in force from one moment until before another."""
        return not self._times and bisect_right(self._days, since_ns) == bisect_right(self._days, until_ns - 1)
