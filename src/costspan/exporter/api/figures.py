"""Sums of the ledger as answers have them: what was spent, on how many calls, and how far that can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

import msgspec

from costspan.exporter.exact import Usd
from costspan.ledger.summary import Dimension, SummaryRow
from costspan.pricing.money import json_number

__all__ = ["Entry", "Figures", "Standing", "entry", "figures", "known_cost", "standings"]

_Text = str | None | msgspec.UnsetType
_Cost = Annotated[
    Usd | None,
    msgspec.Meta(
        description="Dollars, exact, as far as known. Null where of no call anything is known, which is not 0."
    ),
]


class Figures(msgspec.Struct, kw_only=True, frozen=True):
    """Sums of some calls. Invalid calls are counted, and nothing of them is summed."""

    cost: _Cost
    count: Annotated[int, msgspec.Meta(description="Calls.")]
    tokens_in: Annotated[int, msgspec.Meta(description="Tokens read, caches included.")]
    tokens_out: Annotated[int, msgspec.Meta(description="Tokens written, reasoning included.")]
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    not_priced: Annotated[int, msgspec.Meta(description="Calls whose cost is not certain, or not known at all.")]


class Entry(Figures, frozen=True):  # not kw_only, so that the keys come before the figures
    """Sums of the calls that have the same value of each asked dimension. It has those dimensions only."""

    day: Annotated[str | msgspec.UnsetType, msgspec.Meta(description="YYYY-MM-DD, of the asked time zone.")] = (
        msgspec.UNSET
    )
    hour: Annotated[
        str | msgspec.UnsetType,
        msgspec.Meta(description="Its beginning, in the asked time zone, as an instant with its offset."),
    ] = msgspec.UNSET
    service: str | msgspec.UnsetType = msgspec.UNSET
    provider: str | msgspec.UnsetType = msgspec.UNSET
    model: str | msgspec.UnsetType = msgspec.UNSET
    operation: str | msgspec.UnsetType = msgspec.UNSET
    status: str | msgspec.UnsetType = msgspec.UNSET
    tenant: str | msgspec.UnsetType = msgspec.UNSET
    feature: Annotated[_Text, msgspec.Meta(description="Null where a call names none.")] = msgspec.UNSET
    session: Annotated[_Text, msgspec.Meta(description="Null where a call names none.")] = msgspec.UNSET
    user: Annotated[_Text, msgspec.Meta(description="Null where a call names none.")] = msgspec.UNSET
    week: Annotated[str | msgspec.UnsetType, msgspec.Meta(description="Its Monday.")] = msgspec.UNSET
    month: Annotated[str | msgspec.UnsetType, msgspec.Meta(description="Its first day.")] = msgspec.UNSET


class Standing(msgspec.Struct, kw_only=True, frozen=True):
    """Calls of one status, and their part of the total."""

    count: int
    cost: _Cost


def figures(sums: SummaryRow) -> Figures:
    """Return ``sums`` as an answer has them."""
    return Figures(**_measures(sums))  # type: ignore[arg-type]  # each has the type of its field


def entry(sums: SummaryRow) -> Entry:
    """Return ``sums`` as a line of a breakdown, with its keys."""
    keys = {name.value: _key(name, value) for name, value in sums.keys.items()}
    return Entry(**keys, **_measures(sums))  # type: ignore[arg-type]  # as above


def standings(sums: SummaryRow) -> dict[str, Standing]:
    """Return how many calls have each status, and what is known of their cost."""
    costs = sums.cost_by_status
    return {
        status.value: Standing(count=count, cost=json_number(costs.get(status)))
        for status, count in sums.calls_by_status.items()
    }


def known_cost(sums: SummaryRow) -> Decimal | None:
    """Return dollars, as far as known; None where of no call anything is known, which is not 0."""
    return None if sums.calls and sums.calls == sums.unpriced + sums.invalid else sums.cost


def _measures(sums: SummaryRow) -> Mapping[str, object]:
    return {
        "cost": json_number(known_cost(sums)),
        "count": sums.calls,
        "tokens_in": sums.tokens_in,
        "tokens_out": sums.tokens_out,
        "cache_read_tokens": sums.cache_read,
        "cache_write_tokens": sums.cache_write,
        "reasoning_tokens": sums.reasoning,
        "not_priced": sums.not_priced,
    }


#: Dimensions of which a call need not name one.
_OPTIONAL = frozenset({Dimension.FEATURE, Dimension.SESSION, Dimension.USER})


def _key(name: Dimension, value: str | date | datetime) -> str | None:
    if isinstance(value, date):  # a datetime is one, too
        return value.isoformat()
    return value or (None if name in _OPTIONAL else "")
