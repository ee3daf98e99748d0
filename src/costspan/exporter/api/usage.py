"""`GET /api/metrics`: what a day, week or month cost, by whatever it is asked by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Query

from costspan.exporter.api.figures import Entry, Figures, Standing, entry, figures, known_cost, standings
from costspan.exporter.api.parameters import Ledgers, Whose, Zone
from costspan.exporter.api.when import Day
from costspan.exporter.exact import Exact, Usd, answers
from costspan.exporter.problem import Problem, shown
from costspan.ledger import Dimension, SummaryRow
from costspan.ledger.period import named_period
from costspan.ledger.summary import total
from costspan.pricing.money import json_number

__all__ = ["router"]

router = APIRouter(tags=["usage"])
_TIMES = frozenset({Dimension.HOUR, Dimension.DAY, Dimension.WEEK, Dimension.MONTH})
_OF_CONTEXTS = frozenset({Dimension.FEATURE, Dimension.SESSION, Dimension.USER})
_MAX_ROWS = 10_000


class Usage(msgspec.Struct, kw_only=True, frozen=True):
    """What a day, week or month cost."""

    total_cost: Annotated[
        Usd | None,
        msgspec.Meta(
            description="Dollars, exact, as far as known. Null where of no call anything is known, which is not 0."
        ),
    ]
    usage_count: Annotated[int, msgspec.Meta(description="Calls.")]
    period: Literal["day", "week", "month"]
    start: Annotated[str, msgspec.Meta(description="When it begins, in the asked time zone.")]
    end: Annotated[str, msgspec.Meta(description="When it ends; this instant is not a part of it.")]
    timezone: str
    service: Literal["all", "anthropic", "openai"]
    tenant: Annotated[str | None, msgspec.Meta(description="Null: everybody.")]
    group_by: list[str]
    breakdown: Annotated[
        list[Entry],
        msgspec.Meta(description="Times in their order; where the first dimension is none, the most expensive first."),
    ]
    other: Annotated[
        Figures | None, msgspec.Meta(description="Sums of the entries beyond `limit`, the least expensive; null: none.")
    ]
    status: Annotated[dict[str, Standing], msgspec.Meta(description="How much of the total is certain.")]
    unpriced_models: Annotated[list[str], msgspec.Meta(description="Models of calls whose price nobody knows.")]
    unsettled: Annotated[
        dict[str, int],
        msgspec.Meta(
            description="Attempts of which nobody can know whether they were billed: `open`, `unanswered`. In no sum."
        ),
    ]
    tokens_in: int
    tokens_out: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int


_FIGURES = {
    "cost": 0.30, "count": 300, "tokens_in": 150000, "tokens_out": 30000, "cache_read_tokens": 0, "cache_write_tokens": 0,
    "reasoning_tokens": 0, "not_priced": 0,
}  # fmt: skip
_EXAMPLE = {
    "total_cost": 0.45135,
    "usage_count": 600,
    "period": "month",
    "start": "2026-11-01T00:00:00+00:00",
    "end": "2026-12-01T00:00:00+00:00",
    "timezone": "UTC",
    "service": "all",
    "tenant": "acme",
    "group_by": ["service"],
    "breakdown": [
        {"service": "anthropic", **_FIGURES},
        {"service": "openai", **_FIGURES, "cost": 0.15135, "tokens_out": 0, "not_priced": 1},
    ],
    "other": None,
    "status": {
        "priced": {"count": 599, "cost": 0.45},
        "estimated": {"count": 1, "cost": 0.00135},
        "partial": {"count": 0, "cost": 0},
        "unpriced": {"count": 0, "cost": None},
        "invalid": {"count": 0, "cost": None},
    },
    "unpriced_models": [],
    "unsettled": {"open": 2},
    "tokens_in": 300000,
    "tokens_out": 30000,
    "cache_read_tokens": 0,
    "cache_write_tokens": 0,
    "reasoning_tokens": 0,
}


@router.get(
    "/api/metrics",
    summary="What a day, week or month cost",
    response_model=None,
    responses=answers(Usage, _EXAMPLE, "Sums, and how far they can be trusted"),
)
def usage(
    *,
    ledgers: Ledgers,
    tenant: Whose,
    zone: Zone,
    day: Day,
    period: Annotated[
        Literal["day", "week", "month"], Query(description="What to sum up; weeks begin on Monday.")
    ] = "day",
    service: Annotated[
        Literal["all", "anthropic", "openai"], Query(description="The family of the API that was called.")
    ] = "all",
    group_by: Annotated[
        str, Query(description=f"One or several of {', '.join(Dimension)}, with commas.", examples=["model,feature"])
    ] = "service",
    limit: Annotated[int, Query(ge=1, le=_MAX_ROWS, description="Entries at the most; the rest is summed.")] = 1000,
) -> Exact:
    """Every call that was made in the period, to the last digit; at which price, is for its own day to say.

    A total says how much of it is certain: what is `estimated` or `partial` has its part in `status`, and what has no price
    is in no sum but in `usage_count` and `unpriced_models`.
    """
    by = _dimensions(group_by)
    asked = named_period(period, day, zone)
    services = None if service == "all" else (service,)
    # Told apart by model as well where that costs nothing: so that which of them have no price takes no second question.
    finer = {*by, Dimension.MODEL} if _OF_CONTEXTS.isdisjoint(by) else by
    with ledgers.ledger() as ledger:
        found = ledger.summary(asked.start, asked.end, by=finer, tenant=tenant, services=services, zone=zone)
        models = found.rows
        if found.total.unpriced and Dimension.MODEL not in finer:
            models = ledger.summary(
                asked.start, asked.end, by=("model",), tenant=tenant, services=services, zone=zone
            ).rows
    rows, rest = _cut(_folded(found.rows, by), by, limit)
    sums = figures(found.total)
    return Exact(
        Usage(
            total_cost=json_number(known_cost(found.total)),
            usage_count=found.total.calls,
            period=period,
            start=asked.start.astimezone(zone).isoformat(),
            end=asked.end.astimezone(zone).isoformat(),
            timezone=zone.key,
            service=service,
            tenant=tenant,
            group_by=[dimension.value for dimension in by],
            breakdown=[entry(row) for row in rows],
            other=figures(total(rest)) if rest else None,
            status=standings(found.total),
            unpriced_models=sorted({str(row.keys[Dimension.MODEL]) for row in models if row.unpriced}),
            unsettled=dict(found.unsettled),
            tokens_in=sums.tokens_in,
            tokens_out=sums.tokens_out,
            cache_read_tokens=sums.cache_read_tokens,
            cache_write_tokens=sums.cache_write_tokens,
            reasoning_tokens=sums.reasoning_tokens,
        )
    )


def _dimensions(text: str) -> tuple[Dimension, ...]:
    try:
        return tuple(dict.fromkeys(Dimension(name.strip()) for name in text.split(",")))
    except ValueError as error:
        told = f"group_by is {shown(text)}: allowed are {', '.join(Dimension)}, with commas"
        raise Problem(422, told, parameter="group_by") from error


def _folded(rows: Sequence[SummaryRow], by: Sequence[Dimension]) -> Sequence[SummaryRow]:
    """Rows that are alike ``by`` these, added up."""
    groups: dict[tuple[str, ...], list[SummaryRow]] = {}
    for row in rows:
        groups.setdefault(tuple(_rank(row.keys[name]) for name in by), []).append(row)
    return [replace(total(alike), keys={name: alike[0].keys[name] for name in by}) for alike in groups.values()]


def _cut(
    rows: Sequence[SummaryRow], by: Sequence[Dimension], limit: int
) -> tuple[Sequence[SummaryRow], Sequence[SummaryRow]]:
    """The ``limit`` most expensive rows in the order of an answer, and the others."""
    dearest = sorted(rows, key=lambda row: row.cost, reverse=True)
    kept, rest = dearest[:limit], dearest[limit:]
    if by[0] in _TIMES:
        kept.sort(key=lambda row: [_rank(row.keys[name]) for name in by])
    return kept, rest


def _rank(value: str | date | datetime) -> str:
    if isinstance(value, str):
        return value
    # In UTC: of an hour that clocks show twice, both would be the same in its own zone.
    return (value.astimezone(UTC) if isinstance(value, datetime) else value).isoformat()
