"""What a user's price file changes: for each of its entries, which models, from what price to what price."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from costspan.cli.ratecard import brief
from costspan.pricing import PriceBook
from costspan.pricing.denomination import OF_UNIT
from costspan.pricing.listprices import Listed
from costspan.pricing.rule import Discount, Rates
from costspan.pricing.terms import text
from costspan.usage import STANDARD, Terms

__all__ = ["Finding", "Override", "findings"]

_Entry = Rates | Discount
_MOST_MODELS = 5
_SECOND = 10**9


@dataclass(frozen=True, slots=True)
class Override:
    """One price that an entry sets."""

    model: str
    unit: str
    before: str
    """Without the file; empty where no price was known."""
    after: str
    over: str
    """The layer that it goes over; empty where there was none."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One entry of the file."""

    origin: str
    about: str
    models: int
    """How many listed models it is about."""
    overrides: tuple[Override, ...]
    hints: tuple[str, ...]


class _When(NamedTuple):
    terms: Terms
    at_ns: int


def findings(book: PriceBook, plain: PriceBook, now_ns: int) -> Iterator[Finding]:
    """Yield a finding for each entry of the book's price file; ``plain`` is the book without the file."""
    contract = book.resolver.contract
    entries: tuple[_Entry, ...] = (*contract.rates, *contract.discounts)
    for rule in entries:
        listed = list(_listed(book, rule))
        known = {name for _, name in listed}
        provider = min(rule.scope.providers, default="")
        named = [(provider, item.text) for item in rule.scope.models if item.is_exact and item.text not in known]
        when = _When(_terms(rule), _moment_of(rule, now_ns))
        shown = [*named, *listed][:_MOST_MODELS]
        yield Finding(
            rule.origin.name,
            _about(rule),
            len(listed),
            tuple(change for model in shown for change in _changes(book, plain, model, when)),
            tuple(_hints(book, rule)) if isinstance(rule, Rates) else (),
        )


def _moment_of(rule: _Entry, now_ns: int) -> int:
    """Return a moment at which the rule is in force: now, or the nearest to it."""
    since, until = rule.scope.since_ns, rule.scope.until_ns
    if since is not None and now_ns < since:
        return since
    return until - 1 if until is not None and now_ns >= until else now_ns


def _listed(book: PriceBook, rule: _Entry) -> Iterator[tuple[str, str]]:
    for seller in _sellers(book, rule):
        for info in book.resolver.lists.models(seller):
            for name in info.names:
                if rule.scope.names(book.resolver.model(seller, name).subject):
                    yield seller, name


def _sellers(book: PriceBook, rule: _Entry) -> tuple[str, ...]:
    lists = book.resolver.lists
    known = tuple(lists.provider(name)[0] for name in sorted(rule.scope.providers))
    return tuple(name for name in known if name) if rule.scope.providers else ("anthropic", "openai")


def _changes(book: PriceBook, plain: PriceBook, model: tuple[str, str], when: _When) -> Iterator[Override]:
    _, name = model
    after, before = book.card(*model, *when), plain.card(*model, *when)
    for unit, denomination in OF_UNIT.items():
        new, old = brief(after, unit), brief(before, unit)
        if new != old:
            layer = before.prices[unit].layer.value if unit in before.prices else ""
            yield Override(name, denomination.key, old, new, layer)


def _terms(rule: _Entry) -> Terms:
    given = dict(rule.conditions) if isinstance(rule, Rates) else {}
    if not given:
        return STANDARD
    return Terms(given.get("tier", "standard"), "batch" in given, given.get("speed", "standard"), given.get("geo", ""))


def _hints(book: PriceBook, rule: Rates) -> Iterator[str]:
    """Yield where an entry is for a name that the provider answers with a date, and leaves out the dated one."""
    for seller in _sellers(book, rule):
        for pattern in rule.scope.models:
            found = book.resolver.lists.find(seller, pattern.text) if pattern.is_exact else None
            if found is None:
                continue
            left_out = [
                name for name in _dated(found, pattern.text) if not any(p.matches(name) for p in rule.scope.models)
            ]
            if left_out:
                yield f"{pattern.text}: not for its dated names, such as {left_out[0]}, with which {seller} may answer"


def _dated(found: Listed, name: str) -> Iterator[str]:
    yield from (other for other in found.names if other.startswith(f"{name}-20"))


def _about(rule: _Entry) -> str:
    models = ", ".join(pattern.text for pattern in rule.scope.models) or "every model"
    sellers = ", ".join(sorted(rule.scope.providers)) or "any provider"
    words = [f"{models} at {sellers}"]
    if isinstance(rule, Discount):
        words.insert(0, f"{float((1 - rule.times) * 100):g} % off")
    elif rule.conditions:
        words.append(f"on {text(rule.conditions)}")
    if isinstance(rule, Rates) and rule.above is not None:
        words.append(f"for prompts above {rule.above:,}")
    words += [f"from {_day(rule.scope.since_ns)}"] if rule.scope.since_ns is not None else []
    words += [f"before {_day(rule.scope.until_ns)}"] if rule.scope.until_ns is not None else []
    return " ".join(words)


def _day(at_ns: int) -> str:
    moment = dt.datetime.fromtimestamp(at_ns // _SECOND, tz=dt.UTC)
    return f"{moment:%Y-%m-%d}" if not at_ns % (86_400 * _SECOND) else moment.isoformat()
