"""What the layers above the list say: rules, each with the calls it is about and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from costspan.pricing.pattern import Pattern, matches_any
from costspan.usage import Unit

__all__ = [
    "Backdate",
    "Caveat",
    "Derive",
    "Discount",
    "Factor",
    "Home",
    "Layer",
    "Origin",
    "Rates",
    "Refuse",
    "Rules",
    "Scope",
    "Subject",
]


class Layer(StrEnum):
    """Who names a price; a later one goes over an earlier one."""

    LIST = "list"
    OVERLAY = "overlay"
    CONTRACT = "contract"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a rule stands and what it rests on."""

    layer: Layer
    name: str
    source: str

    @property
    def text(self) -> str:
        """For a person: what to look up."""
        return f"{self.name} ({self.source})" if self.source else self.name


@dataclass(frozen=True, slots=True)
class Subject:
    """A model as a provider sells it, as rules see it."""

    providers: frozenset[str]
    """Every name of the provider, in lower case: the one of the call and the price list's."""
    model: str
    """The name as sent, in lower case."""
    family: str
    """The price list's own name of the model; empty where the list does not know it."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The calls that a rule is about."""

    providers: frozenset[str] = frozenset()
    """Empty: any."""
    models: tuple[Pattern, ...] = ()
    """On the name as sent."""
    families: tuple[Pattern, ...] = ()
    """On the price list's name, which covers all dated names of a model; ``*`` is any model that the list knows."""
    spared: tuple[Pattern, ...] = ()
    """Families that the rule is not about."""
    since_ns: int | None = None
    until_ns: int | None = None
    """The first moment that no longer counts."""

    def names(self, subject: Subject) -> bool:
        """Whether the rule is about this model at any date."""
        if self.providers and not self.providers & subject.providers:
            return False
        if self.models and not matches_any(self.models, subject.model):
            return False
        if self.families and not (subject.family and matches_any(self.families, subject.family)):
            return False
        return not matches_any(self.spared, subject.family)

    def holds(self, at_ns: int) -> bool:
        """Whether the rule is in force at this moment."""
        return (self.since_ns is None or self.since_ns <= at_ns) and (self.until_ns is None or at_ns < self.until_ns)

    @property
    def is_specific(self) -> bool:
        """Whether models are named at all; a fee for all models of a provider makes no model known."""
        return bool(self.models or self.families)


#: A set of terms as (dimension, value): ("tier", "priority"), ("batch", "true"), ("speed", "fast"), ("geo", "us").
Conditions = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Rates:
    """Prices."""

    origin: Origin
    scope: Scope
    prices: Mapping[Unit, Fraction]
    """Dollars for one unit."""
    conditions: Conditions = frozenset()
    """On exactly these terms; empty: on standard terms, and whatever other terms make of them."""
    above: int | None = None
    """For prompts longer than this only."""
    replaces: bool = True
    """Over what lower layers say, or only where they say nothing."""


@dataclass(frozen=True, slots=True)
class Factor:
    """What a term multiplies token prices with."""

    origin: Origin
    scope: Scope
    conditions: Conditions
    """Any one of these."""
    times: Fraction


@dataclass(frozen=True, slots=True)
class Derive:
    """A unit whose price follows another unit's, where no layer names it."""

    origin: Origin
    scope: Scope
    unit: Unit
    of: Unit
    times: Fraction


@dataclass(frozen=True, slots=True)
class Backdate:
    """A term that cost the same share of the standard price before the list's history of it begins."""

    origin: Origin
    scope: Scope
    conditions: Conditions


@dataclass(frozen=True, slots=True)
class Refuse:
    """A term whose price is known not to be knowable here."""

    origin: Origin
    scope: Scope
    conditions: Conditions
    reason: str


@dataclass(frozen=True, slots=True)
class Caveat:
    """Something that is charged and that no usage counts, so that a sum of units is a lower bound."""

    origin: Origin
    scope: Scope
    reason: str


@dataclass(frozen=True, slots=True)
class Discount:
    """A share of what list and overlay say; a contract price is what it says and gets none."""

    origin: Origin
    scope: Scope
    times: Fraction


@dataclass(frozen=True, slots=True)
class Home:
    """A provider where models of other providers keep the terms that their home provider lists for them."""

    origin: Origin
    scope: Scope


@dataclass(frozen=True, slots=True)
class Rules:
    """One layer's rules, in the order of its file: of two that say something of the same, the later counts."""

    name: str
    """What the price version calls this layer, such as ``overlay 2026-11-21``."""
    rates: tuple[Rates, ...] = ()
    factors: tuple[Factor, ...] = ()
    derives: tuple[Derive, ...] = ()
    backdates: tuple[Backdate, ...] = ()
    refusals: tuple[Refuse, ...] = ()
    caveats: tuple[Caveat, ...] = ()
    discounts: tuple[Discount, ...] = ()
    homes: tuple[Home, ...] = ()

    @property
    def all(self) -> tuple[Rates | Factor | Derive | Backdate | Refuse | Caveat | Discount | Home, ...]:
        """Every rule."""
        return (
            *self.rates,
            *self.factors,
            *self.derives,
            *self.backdates,
            *self.refusals,
            *self.caveats,
            *self.discounts,
            *self.homes,
        )
