"""Our own layer: what the price list lacks, or would price silently as if it were standard.

The facts are in ``overlay.toml`` beside this module, each with its source and the day it was checked. They say what a
provider publishes, in rules rather than rows: a new model of the list gets them without an edit.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from costspan.pricing.denomination import DENOMINATIONS
from costspan.pricing.pattern import Pattern
from costspan.pricing.rule import (
    Backdate,
    Caveat,
    Conditions,
    Derive,
    Factor,
    Home,
    Layer,
    Origin,
    Rates,
    Refuse,
    Rules,
    Scope,
)
from costspan.pricing.rulefile import TERM_KEYS, prices_of, scope_of, terms_of
from costspan.pricing.tomlfile import Row, TomlFile
from costspan.usage import Unit

__all__ = ["load", "parse"]

_FILE = "overlay.toml"
_BASIS = ("name", "source", "checked", "provider", "model", "family", "except", "from", "until")
_KEYS = {
    "rates": (*_BASIS, *TERM_KEYS, "above", "replaces", *DENOMINATIONS),
    "factor": (*_BASIS, *TERM_KEYS, "times"),
    "derive": (*_BASIS, "unit", "of", "times"),
    "backdate": (*_BASIS, *TERM_KEYS),
    "refuse": (*_BASIS, *TERM_KEYS, "reason"),
    "caveat": (*_BASIS, "reason"),
    "home": _BASIS,
}


@cache
def load() -> Rules:
    """Return the overlay that comes with this version."""
    return parse(files("costspan.pricing").joinpath(_FILE).read_bytes(), _FILE)


def parse(content: bytes, where: str) -> Rules:
    """Return the rules of an overlay.

    Raises:
        PriceFileError: for anything that is not understood, and for an entry without source or date.
    """
    rows = {name: [] for name in _KEYS}  # type: dict[str, list[Row]]
    for row in TomlFile.parse(content, where).rows(*_KEYS):
        row.allow(_KEYS[row.name])
        rows[row.name].append(row)
    return Rules(
        name=f"overlay {_newest(row for listed in rows.values() for row in listed)}",
        rates=tuple(_rates(row) for row in rows["rates"]),
        factors=tuple(
            Factor(_origin(row), _scope(row), _each_term(row), row.number("times")) for row in rows["factor"]
        ),
        derives=tuple(
            Derive(_origin(row), _scope(row), _unit(row, "unit"), _unit(row, "of"), row.number("times"))
            for row in rows["derive"]
        ),
        backdates=tuple(Backdate(_origin(row), _scope(row), _each_term(row)) for row in rows["backdate"]),
        refusals=tuple(
            Refuse(_origin(row), _scope(row), _each_term(row), row.text("reason")) for row in rows["refuse"]
        ),
        caveats=tuple(Caveat(_origin(row), _scope(row), row.text("reason")) for row in rows["caveat"]),
        homes=tuple(Home(_origin(row), _scope(row)) for row in rows["home"]),
    )


def _rates(row: Row) -> Rates:
    replaces = row.flag("replaces")
    return Rates(_origin(row), _scope(row), prices_of(row), terms_of(row), row.whole("above"), replaces)


def _origin(row: Row) -> Origin:
    for key in ("name", "source", "checked"):
        if key not in row.values:
            raise row.error(None, f"[[{row.name}]] has no {key}: every entry says its name, source and day of checking")
    return Origin(Layer.OVERLAY, row.text("name"), f"{row.text('source')}, {_checked(row)}")


def _checked(row: Row) -> dt.date:
    moment = row.moment("checked") or 0
    return dt.datetime.fromtimestamp(moment // 10**9, tz=dt.UTC).date()


def _newest(rows: Iterable[Row]) -> dt.date:
    return max((_checked(row) for row in rows if "checked" in row.values), default=dt.date.min)


def _scope(row: Row) -> Scope:
    basis = scope_of(row)
    return Scope(
        providers=basis.providers,
        models=basis.models,
        families=tuple(Pattern.parse(name) for name in row.texts("family")),
        spared=tuple(Pattern.parse(name) for name in row.texts("except")),
        since_ns=basis.since_ns,
        until_ns=basis.until_ns,
    )


def _each_term(row: Row) -> Conditions:
    """Return the terms of a rule that is about any one of them."""
    named = {(dimension, value.lower()) for dimension in ("tier", "speed", "geo") for value in row.texts(dimension)}
    if row.flag("batch"):
        named.add(("batch", "true"))
    if not named:
        raise row.error(None, f"[[{row.name}]] names no term; allowed are {', '.join(TERM_KEYS)}")
    return frozenset(named)


def _unit(row: Row, key: str) -> Unit:
    item = DENOMINATIONS.get(row.text(key))
    if item is None or len(item.units) != 1:
        single = ", ".join(name for name, item in DENOMINATIONS.items() if len(item.units) == 1)
        raise row.error(key, f"{key} is {row.text(key)!r}; allowed are {single}")
    return item.units[0]
