"""From the layers to a rate card: list, then overlay, then contract, for one model on one set of terms at one moment.

All of it is exact fractions, and none of it runs again until the model, the terms or the dates' bracket change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from costspan.pricing import overlay
from costspan.pricing import terms as wording
from costspan.pricing.card import Card, Price, Timeline, unpriced
from costspan.pricing.denomination import FEES
from costspan.pricing.ladder import GROUND, Ladder, flat
from costspan.pricing.listprices import Listed, ListPrices
from costspan.pricing.rule import Conditions, Layer, Origin, Rates, Rules, Subject
from costspan.text import MAX_NAME
from costspan.usage import Terms, Unit

__all__ = ["Model", "Resolver"]

_RANK = {Layer.LIST: 0, Layer.OVERLAY: 1, Layer.CONTRACT: 2}
_ONE = Fraction(1)
_Prices = dict[Unit, Price]


@dataclass(frozen=True, slots=True)
class Model:
    """A model as a provider sells it: how rules see it, and what the list knows of it."""

    subject: Subject
    listed: Listed | None
    region: str
    """Where the provider's address pins inference to; empty where it does not."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What a term does to prices: a factor for a unit, or for all that are not named."""

    origin: Origin
    rest: Fraction = _ONE
    factors: Mapping[Unit, Ladder] = field(default_factory=dict)
    added: Mapping[Unit, Ladder] = field(default_factory=dict)
    """Prices of units that have none on standard terms."""


class Resolver:
    """Makes rate cards. Keeps nothing: who asks keeps them."""

    def __init__(self, lists: ListPrices, overlay: Rules, contract: Rules) -> None:
        self.lists = lists
        self.overlay = overlay
        self.contract = contract

    @classmethod
    def of(cls, contract: Rules | None) -> Resolver:
        """Return the layers of this version, with the user's on top where there are any."""
        return cls(ListPrices(), overlay.load(), contract or Rules(""))

    @property
    def version(self) -> str:
        """Which prices these are: the same text for the same prices."""
        return ", ".join(name for name in (self.lists.name, self.overlay.name, self.contract.name) if name)

    def timeline(self, provider: str, name: str, terms: Terms) -> Timeline:
        """Return the cards of a model by date."""
        if max(len(provider), len(name), len(terms.key)) > MAX_NAME:
            return Timeline((), (), lambda _: unpriced("no price is known for a name of such a length"))
        model = self.model(provider, name)
        return Timeline(*self.brackets(model), lambda at_ns: self.card(model, terms, at_ns))

    def model(self, provider: str, name: str) -> Model:
        """Find out what the layers know of a model."""
        known, region = self.lists.provider(provider)
        listed = self.lists.find(known, name.lower()) if known else None
        providers = frozenset({provider.lower(), known} - {""})
        return Model(Subject(providers, name.lower(), listed.family if listed else ""), listed, region)

    def knows(self, model: Model, at_ns: int) -> bool:
        """Whether any layer names the model itself, and not just all models of its provider."""
        return model.listed is not None or any(
            rule.scope.is_specific for rule in self._rates(model.subject, at_ns, None)
        )

    def brackets(self, model: Model) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return when the model's prices may change: moments, and times of each day."""
        listed = model.listed
        days = {
            moment
            for rule in (*self.overlay.all, *self.contract.all)
            if rule.scope.names(model.subject)
            for moment in (rule.scope.since_ns, rule.scope.until_ns)
            if moment is not None
        }
        if listed is None:
            return tuple(sorted(days)), ()
        return tuple(sorted(days | listed.days)), tuple(sorted(listed.times_of_day))

    def card(self, model: Model, terms: Terms, at_ns: int) -> Card:
        """Return the rate card in force at a moment."""
        if not self.knows(model, at_ns):
            return unpriced(f"no price is known for the model {model.subject.model!r} at {_seller(model.subject)}")
        given = wording.of(terms, model.region)
        geo = frozenset(term for term in given if term[0] == "geo")
        prices, refusal = self._on(self._standard(model, at_ns), model, given - geo, given - geo, at_ns)
        if not refusal:
            prices, refusal = self._on(prices, model, geo, given, at_ns)
        if refusal:
            return unpriced(refusal)
        prices = self._discounted(self._derived(prices, model.subject, at_ns), model.subject, at_ns)
        return Card.of(prices, self._caveat(model, at_ns))

    def _standard(self, model: Model, at_ns: int) -> _Prices:
        listed = model.listed
        prices: _Prices = {}
        if listed is not None:
            origin = Origin(Layer.LIST, f"{listed.provider}/{listed.family}", self.lists.name)
            prices = {unit: Price(ladder, Layer.LIST, (origin,)) for unit, ladder in listed.standard(at_ns).items()}
        return _with_rates(prices, self._rates(model.subject, at_ns, frozenset()))

    def _on(
        self, prices: _Prices, model: Model, changed: Conditions, given: Conditions, at_ns: int
    ) -> tuple[_Prices, str]:
        """Return prices as ``changed`` terms make them, or why nobody knows how."""
        if not changed:
            return prices, ""
        named = list(self._rates(model.subject, at_ns, given))
        effect = self._effect(model, changed, at_ns)
        if effect is not None:
            prices = {unit: _changed(unit, price, effect) for unit, price in prices.items()}
            for unit, ladder in effect.added.items():
                prices.setdefault(unit, Price(ladder, effect.origin.layer, (effect.origin,)))
        elif named:
            prices = {unit: price for unit, price in prices.items() if unit in FEES}
        else:
            return {}, self._refusal(model.subject, changed, at_ns)
        return _with_rates(prices, named), ""

    def _effect(self, model: Model, changed: Conditions, at_ns: int) -> Effect | None:
        if len(changed) != 1:  # what two terms cost together is published for none, except geography with another
            return None
        return self._listed_effect(model, changed, at_ns) or self._factor(model.subject, changed, at_ns)

    def _listed_effect(self, model: Model, changed: Conditions, at_ns: int) -> Effect | None:
        listed = model.listed
        if listed is None or (listed.is_borrowed and not self._keeps_terms(model.subject, at_ns)):
            return None
        ((dimension, value),) = changed
        variant = listed.variant(dimension, value, at_ns)
        if variant is None:
            return None
        origin: Origin | None = Origin(Layer.LIST, f"on {wording.text(changed)}", self.lists.name)
        if variant.is_backdated:
            origin = self._backdate(model.subject, changed, at_ns)
        if origin is None:
            return None
        compared = {unit: variant.standard[unit] for unit in variant.prices if unit in variant.standard}
        return Effect(
            origin,
            factors={unit: variant.prices[unit].over(base) for unit, base in compared.items()},
            added={unit: ladder for unit, ladder in variant.prices.items() if unit not in compared},
        )

    def _factor(self, subject: Subject, changed: Conditions, at_ns: int) -> Effect | None:
        for rule in reversed(self.overlay.factors):
            if rule.conditions & changed and rule.scope.names(subject) and rule.scope.holds(at_ns):
                return Effect(rule.origin, rule.times)
        return None

    def _keeps_terms(self, subject: Subject, at_ns: int) -> bool:
        return any(rule.scope.names(subject) and rule.scope.holds(at_ns) for rule in self.overlay.homes)

    def _backdate(self, subject: Subject, changed: Conditions, at_ns: int) -> Origin | None:
        for rule in self.overlay.backdates:
            if rule.conditions & changed and rule.scope.names(subject) and rule.scope.holds(at_ns):
                return rule.origin
        return None

    def _refusal(self, subject: Subject, changed: Conditions, at_ns: int) -> str:
        for rule in self.overlay.refusals:
            if rule.conditions & changed and rule.scope.names(subject) and rule.scope.holds(at_ns):
                return rule.reason
        return f"no price is known for {wording.text(changed)} of the model {subject.model!r} at {_seller(subject)}"

    def _caveat(self, model: Model, at_ns: int) -> str:
        for rule in self.overlay.caveats:
            if rule.scope.names(model.subject) and rule.scope.holds(at_ns):
                return rule.reason
        return model.listed.caveat(at_ns) if model.listed else ""

    def _rates(self, subject: Subject, at_ns: int, given: Conditions | None) -> Iterator[Rates]:
        """Yield the rates for exactly these terms, lower layers and shorter prompts first; with None for any."""
        for layer in (self.overlay, self.contract):
            for rule in sorted(layer.rates, key=_length):
                if given is not None and rule.conditions != given:
                    continue
                if rule.scope.names(subject) and rule.scope.holds(at_ns):
                    yield rule

    def _derived(self, prices: _Prices, subject: Subject, at_ns: int) -> _Prices:
        prices = dict(prices)
        for rule in self.overlay.derives:
            base = prices.get(rule.of)
            if rule.unit in prices or base is None or not (rule.scope.names(subject) and rule.scope.holds(at_ns)):
                continue
            layer = max(base.layer, rule.origin.layer, key=_RANK.__getitem__)
            ladder = base.ladder.times(flat(rule.times))
            prices[rule.unit] = Price(ladder, layer, (*base.sources, rule.origin))
        return prices

    def _discounted(self, prices: _Prices, subject: Subject, at_ns: int) -> _Prices:
        for rule in reversed(self.contract.discounts):
            if rule.scope.names(subject) and rule.scope.holds(at_ns):
                effect = Effect(rule.origin, rule.times)
                return {
                    unit: price if price.layer is Layer.CONTRACT else _applied(price, flat(rule.times), effect)
                    for unit, price in prices.items()
                }
        return prices


def _with_rates(prices: _Prices, rules: Iterator[Rates] | list[Rates]) -> _Prices:
    """Return ``prices`` with what ``rules`` say on top, the later over the earlier."""
    prices = dict(prices)
    lengths: dict[Unit, Ladder] = {unit: price.ladder for unit, price in prices.items()}
    for rule in rules:
        for unit, dollars in rule.prices.items():
            below = prices.get(unit)
            if (not rule.replaces) if below else rule.above is not None:
                continue  # said already; or a step for long prompts, with nothing to stand on
            prices[unit] = Price(_ladder(rule, dollars, below, lengths.get(unit)), rule.origin.layer, (rule.origin,))
    return prices


def _length(rule: Rates) -> int:
    return GROUND if rule.above is None else rule.above


def _ladder(rule: Rates, dollars: Fraction, below: Price | None, listed: Ladder | None) -> Ladder:
    if rule.above is not None and below is not None:
        return Ladder(((rule.above, dollars),)).onto(below.ladder)
    # A price for ordinary prompts: what the list charges more for long ones is kept in proportion.
    return listed.over(flat(listed.at(0))).times(flat(dollars)) if listed else flat(dollars)


def _changed(unit: Unit, price: Price, effect: Effect) -> Price:
    factor = effect.factors.get(unit)
    if factor is None:
        if unit in FEES or effect.rest == 1:
            return price
        factor = flat(effect.rest)
    return _applied(price, factor, effect)


def _applied(price: Price, factor: Ladder, effect: Effect) -> Price:
    layer = max(price.layer, effect.origin.layer, key=_RANK.__getitem__)
    return replace(price, ladder=price.ladder.times(factor), layer=layer, sources=(*price.sources, effect.origin))


def _seller(subject: Subject) -> str:
    return " or ".join(sorted(subject.providers)) or "any provider"
