"""Look-ups in caches of applications, summed up as they land: per quarter of an hour, tenant, cache, model and feature."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from costspan.attribution import NO_TENANT
from costspan.event import CacheUse
from costspan.ledger.database import Cursor
from costspan.ledger.dictionary import Dictionary, as_json, digest
from costspan.ledger.queries import queries
from costspan.ledger.row import moment

__all__ = ["key_of", "store_uses"]

#: Every zone's day begins at one.
_QUARTER_NS = 900 * 10**9


class _Kind(NamedTuple):
    """What a row of cache_kind is found by."""

    tenant: str
    cache: str
    model: str
    feature: str


def store_uses(cursor: Cursor, dictionary: Dictionary, uses: Sequence[CacheUse]) -> None:
    """Add ``uses`` to their sums.

    Raises:
        ValueError: a number is negative, or it was no day of ours; nothing is stored then.
    """
    groups: defaultdict[tuple[_Kind, int], list[CacheUse]] = defaultdict(list)
    for use in uses:
        kind = _Kind(use.tenant or NO_TENANT, use.cache, use.model, use.feature)
        groups[kind, use.at_ns // _QUARTER_NS].append(use)
    dictionary.learn_tenants(cursor, {kind.tenant for kind, _ in groups})
    kinds = {kind: _row_of_kind(kind, dictionary.tenants) for kind, _ in groups}
    rows = [_row_of_sums(kinds[kind], quarter, found) for (kind, quarter), found in groups.items()]
    sql = queries("write")
    cursor.execute(sql["add_cache_kinds"], {"rows": as_json(list(kinds.values()))})
    cursor.execute(sql["add_cache_uses"], {"rows": as_json(rows)})


def key_of(tenant: str, cache: str, model: str, feature: str) -> uuid.UUID:
    """The key of a row of cache_kind: the texts together are too long for an index."""
    return digest(tenant, cache, model, feature)


def _row_of_kind(kind: _Kind, tenants: Mapping[str, int]) -> Mapping[str, object]:
    names = {"cache": kind.cache, "model": kind.model, "feature": kind.feature}
    return {"tenant_key": tenants[kind.tenant], "key": key_of(*kind), **names}


def _row_of_sums(kind: Mapping[str, object], quarter: int, uses: Sequence[CacheUse]) -> Mapping[str, object]:
    if any(use.tokens < 0 or (use.avoided_pico or 0) < 0 for use in uses):
        raise ValueError("a look-up that avoided less than nothing")
    hits = [use for use in uses if use.is_hit]
    return {
        "tenant_key": kind["tenant_key"],
        "key": kind["key"],
        "quarter": moment(quarter * _QUARTER_NS),
        "hits": len(hits),
        "misses": len(uses) - len(hits),
        "hits_unpriced": sum(use.avoided_pico is None for use in hits),
        "tokens_avoided": sum(use.tokens for use in hits),
        # As text: a sum of amounts may have more digits than a JSON encoder's integers.
        "avoided_pico": str(sum(use.avoided_pico or 0 for use in hits)),
    }
