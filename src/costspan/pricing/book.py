"""The price book: what a call cost, from rate cards that are resolved once and then only looked up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from costspan.errors import UnknownModel
from costspan.event import Line
from costspan.pricing import money
from costspan.pricing.quote import Quote
from costspan.pricing.reason import sentence
from costspan.pricing.shelf import Shelf
from costspan.text import MAX_NAME
from costspan.usage import STANDARD, Completeness, Reading, Status, Terms

if TYPE_CHECKING:  # the layers are loaded when they are first needed: an application's start is not the time
    from costspan.pricing.card import Card, Timeline
    from costspan.pricing.resolver import Resolver
    from costspan.pricing.rule import Rules

__all__ = ["PriceBook"]

#: Models and terms whose cards are kept. Names come from outside: what nobody knows is kept apart, so that a million
#: invented names push out each other and never a model that is in use.
_KNOWN_LIMIT = 2048
_UNKNOWN_LIMIT = 512
#: A million dollars. No single call costs that; a sum above it is a mistake, and must not reach a 64-bit column.
_MOST_PICO = 10**6 * money.PICO
#: Where a bare model name is looked for first.
_FIRST_PARTIES = ("anthropic", "openai")
_Key = tuple[str, str, Terms]
_HALF = money.ATTO_PER_PICO // 2


class PriceBook:
    """Three layers of prices: genai-prices, the dated overlay of this version, and the user's file.

    Safe for threads. Nothing is imported or resolved before the first price is asked for; `warm` does it ahead of time.
    """

    def __init__(self, contract: Rules | None = None) -> None:
        self._contract = contract
        self._known: Shelf[_Key, Timeline] = Shelf(_KNOWN_LIMIT)
        self._unknown: Shelf[_Key, Timeline] = Shelf(_UNKNOWN_LIMIT)

    @classmethod
    def load(cls, user_file: Path | None = None) -> PriceBook:
        """Return the book, with the user's price file on top where there is one.

        Raises:
            PriceFileError: for a file that cannot be read or understood; with file, line and what is allowed.
        """
        if user_file is None:
            return cls()
        from costspan.pricing import userfile  # noqa: PLC0415  # see above

        return cls(userfile.read(user_file))

    @cached_property
    def resolver(self) -> Resolver:
        """The layers, for who wants to show them."""
        from costspan.pricing.resolver import Resolver  # noqa: PLC0415  # see above

        return Resolver.of(self._contract)

    @cached_property
    def price_version(self) -> str:
        """Which prices these are: the same text for the same prices."""
        return self.resolver.version

    def warm(self) -> None:
        """Load the layers now (a third of a second), so that the first call does not wait for them."""
        for provider in _FIRST_PARTIES:
            self.resolver.lists.find(provider, "")  # loads the list, and its index of names
        _ = self.price_version

    def quote(self, reading: Reading, at_ns: int) -> Quote:
        """Price a call made at ``at_ns`` nanoseconds since the epoch. Raises for nothing that a provider can send."""
        if reading.problem:
            return Quote(Status.INVALID, (), 0, self.price_version, reading.problem)
        lines: list[Line] = []
        known = 0
        gap = ""
        for portion in reading.portions:
            card = self.card(reading.provider, portion.model, reading.terms, at_ns)
            quantities = portion.usage.quantities
            rates = card.rates(quantities)
            model = portion.model
            for unit, quantity in quantities.items():
                rate = rates.get(unit)
                if rate is None:
                    gap = gap or card.reason or f"no price is known for {unit.value} of the model {model!r}"
                    lines.append(Line(model, unit.value, quantity, None, None, ""))
                    continue
                name, atto, layer = rate
                amount, rest = divmod(quantity * atto, money.ATTO_PER_PICO)
                if rest > _HALF or (rest == _HALF and amount & 1):
                    amount += 1
                known += amount
                lines.append(Line(model, name, quantity, atto, amount, layer))
            gap = gap or card.reason or card.caveat
        if reading.completeness is Completeness.COMPLETE and not gap and not reading.unknown and known <= _MOST_PICO:
            return Quote(Status.PRICED, tuple(lines), known, self.price_version)
        return self._qualified(reading, lines, known, gap)

    def _qualified(self, reading: Reading, lines: list[Line], known: int, gap: str) -> Quote:
        """Return the quote of a call whose cost is not simply the sum of its lines."""
        if known > _MOST_PICO:
            reason = f"{money.usd(known):,} dollars for one call are impossible"
            return Quote(Status.INVALID, (), 0, self.price_version, reason)
        is_cut = reading.completeness is Completeness.CUT
        if gap and not known:
            status = Status.UNPRICED
        elif is_cut or gap or reading.unknown:
            status = Status.PARTIAL
        else:
            status = Status.ESTIMATED
        reason = sentence(reading.completeness, reading.unknown, gap)
        return Quote(status, tuple(lines), known, self.price_version, reason, is_cut)

    def card(self, provider: str, model: str, terms: Terms, at_ns: int) -> Card:
        """Return the rate card of a model at a moment; its ``reason`` says so where no price is known."""
        key = (provider, model, terms)
        timeline = self._known.get(key) or self._unknown.get(key)
        return timeline.card(at_ns) if timeline is not None else self._resolve(key, at_ns)

    def steady_card(self, provider: str, model: str, terms: Terms, since_ns: int, until_ns: int) -> Card | None:
        """Return the card that is in force from one moment until before another; None where it may change between them."""
        card = self.card(provider, model, terms, since_ns)
        key = (provider, model, terms)
        timeline = self._known.get(key) or self._unknown.get(key)
        return card if timeline is not None and timeline.is_steady(since_ns, until_ns) else None

    def _resolve(self, key: _Key, at_ns: int) -> Card:
        provider, name, terms = key
        timeline = self.resolver.timeline(provider, name, terms)
        card = timeline.card(at_ns)
        if max(len(provider), len(name), len(terms.key)) <= MAX_NAME:  # longer ones are not worth their memory
            (self._unknown if card.reason else self._known).put(key, timeline)
        return card

    def require(self, model: str, provider: str = "", *, at_ns: int | None = None) -> str:
        """Return the provider at which ``model`` has a price, for a `Reading` of it.

        Without ``provider`` it is the one that makes the model, or the one a price file names.

        Raises:
            UnknownModel: when no layer knows the model; the message has names that look alike.
        """
        moment = time.time_ns() if at_ns is None else at_ns
        for candidate in (provider,) if provider else (*_FIRST_PARTIES, *self._contract_providers()):
            if not self.card(candidate, model, STANDARD, moment).reason:
                return candidate
        from difflib import get_close_matches  # noqa: PLC0415  # for this message only

        shown = model[:80]
        near = get_close_matches(shown.lower(), sorted(set(self._names(provider))), n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        where = f" at {provider[:80]}" if provider else ""
        raise UnknownModel(
            f"no price is known for the model {shown!r}{where}{hint}. "
            "`costspan prices list` shows what is known; a private model's price belongs in the file of COSTSPAN_PRICES"
        )

    def _contract_providers(self) -> Iterator[str]:
        for rule in self.resolver.contract.rates:
            yield from sorted(rule.scope.providers) or ("",)

    def _names(self, provider: str) -> Iterator[str]:
        """Yield every name that has a price at ``provider``, or at those who make models."""
        resolver = self.resolver
        sellers = {provider.lower(), resolver.lists.provider(provider)[0]} - {""} or set(_FIRST_PARTIES)
        for seller in sellers:
            for listed in resolver.lists.models(seller):
                yield from listed.names
        for rule in (*resolver.overlay.rates, *resolver.contract.rates):
            if not rule.scope.providers or rule.scope.providers & sellers:
                yield from (pattern.text for pattern in rule.scope.models if pattern.is_exact)
