"""Numbers for what was called and for whom: asked once, then remembered.

A remembered number must be one that was committed, so whoever rolls back forgets everything (`Dictionary.clear`).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from operator import attrgetter
from typing import Any, TypeVar, cast

import msgspec

from costspan.event import CallEvent
from costspan.ledger.database import Cursor
from costspan.ledger.queries import queries

__all__ = ["Dictionary", "Kind", "as_json", "digest"]

#: Tenant, and then the columns of call_kind.
KindKey = tuple[Any, ...]
#: Tenant, and then the columns of call_context; the sorted tags only where there are any.
ContextKey = tuple[Any, ...]
Key = TypeVar("Key", KindKey, ContextKey)
Number = TypeVar("Number")

_KIND_COLUMNS = (
    "service",
    "provider",
    "operation",
    "model",
    "request_model",
    "terms",
    "price_version",
    "dimensions",
    "status",
)
_CONTEXT_COLUMNS = ("session_id", "user_id", "feature", "tags")
# In C, as both are made for every event.
_kind_of = attrgetter("tenant", *_KIND_COLUMNS)
_names_of = attrgetter("tenant", "session", "user", "feature")

#: Contexts remembered at the most; sessions come and go.
_REMEMBERED = 100_000
_encoder = msgspec.msgpack.Encoder()


@dataclass(slots=True, eq=False)
class Kind:
    """A row of call_kind, with the rates that were first seen of it: unit -> (model, dollars x 10^-18, layer)."""

    kind_id: int
    tenant_key: int
    rates: dict[str, tuple[str, int, str]] = field(default_factory=dict)
    tenant: str = ""


def digest(*words: object) -> uuid.UUID:
    """16 bytes for any number of words, none of which can run into the next."""
    return uuid.UUID(bytes=blake2b(_encoder.encode(words), digest_size=16).digest())


def as_json(rows: object) -> str:
    """Rows as the one value of a statement: written ten times as fast as an array of each column."""
    return msgspec.json.encode(rows).decode()


class Dictionary:
    """The client's memory of tenant, call_kind, kind_rate and call_context."""

    def __init__(self) -> None:
        self.tenants: dict[str, int] = {}
        self._kinds: dict[KindKey, Kind] = {}
        self._contexts: dict[ContextKey, int] = {}
        self._sql = queries("write")

    def clear(self) -> None:
        """Forget everything."""
        self.tenants.clear()
        self._kinds.clear()
        self._contexts.clear()

    def learn(self, cursor: Cursor, events: Sequence[CallEvent]) -> tuple[list[Kind], list[int]]:
        """Return kind and context number of each event, after adding those that are new. Every event names its tenant.

        Tenants before kinds before contexts, each sorted: two writers with the same news never wait in a circle.
        """
        kinds = self.learn_kinds(cursor, events)
        if len(self._contexts) > _REMEMBERED:
            self._contexts.clear()
        keys = list(map(_context_of, events))
        return kinds, _looked_up(self._contexts, keys, lambda new: self._add_contexts(cursor, new))

    def learn_kinds(self, cursor: Cursor, events: Sequence[CallEvent]) -> list[Kind]:
        """Return the kind of each event, after adding tenants and kinds that are new. Every event names its tenant."""
        return _looked_up(self._kinds, list(map(_kind_of, events)), lambda new: self._add_kinds(cursor, new))

    def learn_tenants(self, cursor: Cursor, tenants: Iterable[str]) -> None:
        """Make sure that ``tenants`` are known."""
        missing = sorted(set(tenants) - self.tenants.keys())
        for is_first in (True, False):
            if missing:
                self.tenants.update(cursor.execute(self._sql["find_tenants"], {"tenants": missing}).fetchall())
                missing = [tenant for tenant in missing if tenant not in self.tenants]
            if missing and is_first:
                cursor.execute(self._sql["add_tenants"], {"tenants": missing})

    def learn_rates(self, cursor: Cursor, calls: Sequence[tuple[CallEvent, Kind]]) -> None:
        """Make sure that each kind has a rate for each unit of its calls that has one. After everything else, and sorted."""
        new: dict[tuple[int, str], dict[str, object]] = {}
        touched: dict[int, Kind] = {}
        for event, kind in calls:
            for line in event.lines:
                if line.unit not in kind.rates and line.rate_atto is not None:
                    touched[kind.kind_id] = kind
                    names = {"kind_id": kind.kind_id, "unit": line.unit, "tenant_key": kind.tenant_key}
                    rate = {"model": line.model, "rate_atto": line.rate_atto, "layer": line.layer}
                    new.setdefault((kind.kind_id, line.unit), names | rate)
        if new:
            cursor.execute(self._sql["add_rates"], {"rates": as_json([new[key] for key in sorted(new)])})
            self._recall_rates(cursor, touched)

    def _add_kinds(self, cursor: Cursor, keys: Collection[KindKey]) -> None:
        self.learn_tenants(cursor, {key[0] for key in keys})
        found = {
            kind_id: self._kinds.setdefault(key, Kind(kind_id, self.tenants[key[0]], tenant=key[0]))
            for key, kind_id in self._numbers(cursor, "learn_kinds", keys, _KIND_COLUMNS)
        }
        self._recall_rates(cursor, found)

    def _add_contexts(self, cursor: Cursor, keys: Collection[ContextKey]) -> None:
        self._contexts.update(self._numbers(cursor, "learn_contexts", keys, _CONTEXT_COLUMNS))

    def _numbers(
        self, cursor: Cursor, statement: str, keys: Iterable[Key], columns: Sequence[str]
    ) -> list[tuple[Key, int]]:
        """The numbers of ``keys``, added where they are new. Asked again for those that another writer was faster with."""
        missing = {digest(*key): key for key in keys}
        found: list[tuple[Key, int]] = []
        for _ in range(2):
            if missing:
                rows = [
                    {"key": known, "tenant_key": self.tenants[key[0]], **_row(key, columns)}
                    for known, key in missing.items()
                ]
                answer = cursor.execute(self._sql[statement], {"rows": as_json(rows)}).fetchall()
                found += [(missing.pop(known), number) for known, number in answer]
        return found

    def _recall_rates(self, cursor: Cursor, kinds: dict[int, Kind]) -> None:
        rows = cursor.execute(self._sql["find_rates"], {"kinds": list(kinds)}).fetchall()
        for kind_id, unit, model, rate_atto, layer in rows:
            kinds[kind_id].rates[unit] = (model, int(rate_atto), layer)


def _looked_up(known: dict[Key, Number], keys: list[Key], add: Callable[[set[Key]], None]) -> list[Number]:
    """What is ``known`` by each key, after ``add`` was asked for those that are not.

    Looked up before it is asked what is missing: hashing these tuples is most of the work, and mostly none is.
    """
    found = list(map(known.get, keys))
    if None not in found:
        return cast("list[Number]", found)
    add({key for key, number in zip(keys, found, strict=True) if number is None})
    return [known[key] if number is None else number for key, number in zip(keys, found, strict=True)]


def _context_of(event: CallEvent) -> ContextKey:
    names: ContextKey = _names_of(event)
    return (*names, tuple(sorted(event.tags.items()))) if event.tags else names


def _row(key: tuple[Any, ...], columns: Sequence[str]) -> dict[str, object]:
    """The words of a key by their columns; tags as the object that they were."""
    words = [dict(word) if isinstance(word, tuple) else word for word in key[1:]]
    return dict(zip(columns, words, strict=False))
