"""What the overlay and a user's price file write in the same way: whom, when, on which terms, at which price."""

from __future__ import annotations

from fractions import Fraction

from costspan.pricing.denomination import DENOMINATIONS
from costspan.pricing.pattern import Pattern
from costspan.pricing.rule import Conditions, Scope
from costspan.pricing.terms import conditions
from costspan.pricing.tomlfile import Row
from costspan.usage import Unit

__all__ = ["TERM_KEYS", "prices_of", "scope_of", "terms_of"]

TERM_KEYS = ("tier", "batch", "speed", "geo")


def prices_of(row: Row) -> dict[Unit, Fraction]:
    """Return the prices that a table names, in dollars for one unit."""
    named = [item for key, item in DENOMINATIONS.items() if key in row.values]
    # The words for one unit come last, so that cache_write_5m says what cache_write leaves open.
    named.sort(key=lambda item: -len(item.units))
    return {unit: row.number(item.key) / item.per for item in named for unit in item.units}


def scope_of(row: Row) -> Scope:
    """Return which calls a table is about."""
    since, until = row.moment("from"), row.moment("until")
    if since is not None and until is not None and since >= until:
        raise row.error("until", "until is not after from: it is the first day that no longer counts")
    return Scope(
        providers=frozenset(name.lower() for name in row.texts("provider")),
        models=tuple(Pattern.parse(name) for name in row.texts("model")),
        since_ns=since,
        until_ns=until,
    )


def terms_of(row: Row) -> Conditions:
    """Return the terms that a table names."""
    return conditions(tier=row.text("tier"), batch=row.flag("batch"), speed=row.text("speed"), geo=row.text("geo"))
