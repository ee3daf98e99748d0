"""`GET /api/compare`: what changed between two periods, by whatever it is asked by, and what made it change."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Query, Request

from costspan.exporter.api.figures import Figures, figures
from costspan.exporter.api.grouping import dimensions_of, part
from costspan.exporter.api.parameters import Ledgers, Now, Whose, Zone
from costspan.exporter.api.when import Day, Range, instant_of
from costspan.exporter.exact import Exact, Number, Usd, answers
from costspan.exporter.problem import Problem, shown
from costspan.ledger.comparison import COMPARABLE, Change, Effects, with_previous
from costspan.ledger.period import Period, named_period
from costspan.ledger.summary import SummaryRow, total
from costspan.pricing.money import json_number

__all__ = ["router"]

router = APIRouter(tags=["insight"])
_MAX_ROWS = 10_000
_Named = Annotated[str | msgspec.UnsetType | None, msgspec.Meta(description="Null where a call names none.")]


class Causes(msgspec.Struct, kw_only=True, frozen=True):
    """Dollars of a difference by what made it; together all of it, to the last digit."""

    volume: Annotated[Usd, msgspec.Meta(description="More or fewer calls, at what a call cost on average before.")]
    mix: Annotated[
        Usd,
        msgspec.Meta(
            description="More or less of it went to other models, operations or terms; new and gone ones too."
        ),
    ]
    usage: Annotated[
        Usd,
        msgspec.Meta(
            description="Calls consumed more or less each, or more or less from a cache, at the rates before."
        ),
    ]
    price: Annotated[Usd, msgspec.Meta(description="The same consumption at other rates.")]
    usage_or_price: Annotated[
        Usd,
        msgspec.Meta(
            description="What calls cost more or less beyond their tokens at their rates: fees, brackets for long prompts, "
            "caches of several lifetimes; and all of it where these are more than a tenth of the cost."
        ),
    ]


class Span(Figures, kw_only=True, frozen=True):
    """Sums of one of the two periods."""

    start: Annotated[str, msgspec.Meta(description="When it begins, in the asked time zone.")]
    end: Annotated[str, msgspec.Meta(description="When it ends; this instant is not a part of it.")]


class Difference(msgspec.Struct, kw_only=True, frozen=True):
    """What changed for some calls."""

    service: str | msgspec.UnsetType = msgspec.UNSET
    provider: str | msgspec.UnsetType = msgspec.UNSET
    model: str | msgspec.UnsetType = msgspec.UNSET
    operation: str | msgspec.UnsetType = msgspec.UNSET
    status: str | msgspec.UnsetType = msgspec.UNSET
    tenant: str | msgspec.UnsetType = msgspec.UNSET
    feature: _Named = msgspec.UNSET
    session: _Named = msgspec.UNSET
    user: _Named = msgspec.UNSET
    before: Figures
    after: Figures
    difference: Annotated[Usd, msgspec.Meta(description="Dollars more than before, of what is known; less: negative.")]
    relative: Annotated[
        Number | None, msgspec.Meta(description="As a part of the cost before: 0.5 is half more. Null: there was none.")
    ]
    effects: Causes


class Comparison(msgspec.Struct, kw_only=True, frozen=True):
    """Two periods against each other."""

    before: Span
    after: Span
    is_running: Annotated[
        bool,
        msgspec.Meta(description="Whether the later period is not over, so that as much of the earlier one was taken."),
    ]
    timezone: str
    service: Literal["all", "anthropic", "openai"]
    tenant: Annotated[str | None, msgspec.Meta(description="Null: everybody.")]
    difference: Annotated[Usd, msgspec.Meta(description="Dollars more than before, of what is known; less: negative.")]
    relative: Annotated[Number | None, msgspec.Meta(description="As a part of the cost before. Null: there was none.")]
    effects: Causes
    group_by: list[str]
    changes: Annotated[list[Difference], msgspec.Meta(description="The largest difference first, up or down.")]
    other: Annotated[
        Difference | None, msgspec.Meta(description="Sums of the changes beyond `limit`, the smallest; null: none.")
    ]


_BEFORE = {
    "cost": 0.3, "count": 300, "tokens_in": 150000, "tokens_out": 30000, "cache_read_tokens": 0, "cache_write_tokens": 0,
    "reasoning_tokens": 0, "not_priced": 0,
}  # fmt: skip
_AFTER = {**_BEFORE, "cost": 0.45, "count": 360, "tokens_in": 270000, "tokens_out": 36000}
_CHANGE = {
    "difference": 0.15,
    "relative": 0.5,
    "effects": {"volume": 0.06, "mix": 0, "usage": 0.09, "price": 0, "usage_or_price": 0},
}
_EXAMPLE = {
    "before": {**_BEFORE, "start": "2026-10-01T00:00:00+00:00", "end": "2026-10-21T12:00:00+00:00"},
    "after": {**_AFTER, "start": "2026-11-01T00:00:00+00:00", "end": "2026-11-21T12:00:00+00:00"},
    "is_running": True,
    "timezone": "UTC",
    "service": "all",
    "tenant": "acme",
    **_CHANGE,
    "group_by": ["feature"],
    "changes": [{"feature": "compression", "before": _BEFORE, "after": _AFTER, **_CHANGE}],
    "other": None,
}


@router.get(
    "/api/compare",
    summary="What changed between two periods, and what made it change",
    response_model=None,
    responses=answers(Comparison, _EXAMPLE),
)
def compare(
    *,
    request: Request,
    ledgers: Ledgers,
    tenant: Whose,
    zone: Zone,
    now: Now,
    day: Day,
    later: Range,
    period: Annotated[
        Literal["day", "week", "month"],
        Query(description="Compared with the one before. One that is not over yet: with as much of the one before."),
    ] = "month",
    whole: Annotated[
        bool, Query(description="Compare with all of the one before, also where the period is not over yet.")
    ] = False,
    before_from: Annotated[
        str | None,
        Query(
            description="With `from` and `to`: day, or instant with its offset, where the earlier range begins. "
            "When not given, the range of the same length right before is taken.",
            examples=["2026-10-01"],
        ),
    ] = None,
    before_to: Annotated[
        str | None,
        Query(description="Last day of the earlier range, or the instant at which it ends.", examples=["2026-10-31"]),
    ] = None,
    service: Annotated[
        Literal["all", "anthropic", "openai"], Query(description="The family of the API that was called.")
    ] = "all",
    group_by: Annotated[
        str, Query(description=f"One or several of {', '.join(COMPARABLE)}, with commas.", examples=["feature,model"])
    ] = "model",
    limit: Annotated[int, Query(ge=1, le=_MAX_ROWS, description="Changes at the most; the rest is summed.")] = 100,
) -> Exact:
    """Two ranges, or a day, week or month and the one before.

    Only calls with a known cost have effects: a model that gets its price is no growth. How many have none is in `not_priced`.
    """
    by = dimensions_of(group_by, COMPARABLE)
    ranges = _ranges(later, before_from, before_to, zone)
    if ranges is not None:
        for name in ("period", "date", "whole"):
            if name in request.query_params:
                told = f"{name} is given besides from and to: allowed is a period, or a range"
                raise Problem(422, told, parameter=name)
        first, second = ranges
    elif whole:
        second = named_period(period, day, zone)
        first, _ = with_previous(period, day, zone, second.end)
    else:
        first, second = with_previous(period, day, zone, now)
    is_running = ranges is None and not whole and second.end != named_period(period, day, zone).end
    with ledgers.ledger() as ledger:
        services = None if service == "all" else (service,)
        found = ledger.comparison(first, second, by=by, tenant=tenant, services=services)
    return Exact(
        Comparison(
            before=_span(found.total.before, first),
            after=_span(found.total.after, second),
            is_running=is_running,
            timezone=zone.key,
            service=service,
            tenant=tenant,
            difference=json_number(found.total.difference),
            relative=part(found.total.relative),
            effects=_causes(found.total.effects),
            group_by=[dimension.value for dimension in by],
            changes=[_difference(change) for change in found.rows[:limit]],
            other=_others(found.rows[limit:]),
        )
    )


def _ranges(
    later: tuple[datetime | None, datetime | None], before_from: str | None, before_to: str | None, zone: ZoneInfo
) -> tuple[Period, Period] | None:
    """The two ranges that were asked for; None where it is a period."""
    start, end = later
    if start is None and end is None:
        if before_from is not None or before_to is not None:
            raise Problem(422, "from and to are missing: before_from and before_to go with them", parameter="from")
        return None
    if start is None or end is None:
        name = "from" if start is None else "to"
        raise Problem(422, f"{name} is missing: allowed are both, or neither", parameter=name)
    second = Period(start, end, zone)
    if before_from is None and before_to is None:
        return Period(second.start - (second.end - second.start), second.start, zone), second
    if before_from is None or before_to is None:
        name = "before_from" if before_from is None else "before_to"
        raise Problem(422, f"{name} is missing: allowed are both, or neither", parameter=name)
    begin, finish = instant_of("before_from", before_from, zone), instant_of("before_to", before_to, zone, is_end=True)
    first = Period.between(begin, finish, zone)
    if first.start < second.end and second.start < first.end:
        told = f"before_from is {shown(before_from)}, before_to {shown(before_to)}: allowed is a range that shares nothing with from and to"
        raise Problem(422, told, parameter="before_to")
    return first, second


def _span(sums: SummaryRow, period: Period) -> Span:
    start, end = (instant.astimezone(period.zone).isoformat() for instant in (period.start, period.end))
    return Span(start=start, end=end, **msgspec.structs.asdict(figures(sums)))


def _difference(change: Change) -> Difference:
    return Difference(
        **{name.value: value or None for name, value in change.keys.items()},  # type: ignore[arg-type]  # of the rows' keys
        before=figures(change.before),
        after=figures(change.after),
        difference=json_number(change.difference),
        relative=part(change.relative),
        effects=_causes(change.effects),
    )


def _others(changes: Sequence[Change]) -> Difference | None:
    if not changes:
        return None
    before, after = total(change.before for change in changes), total(change.after for change in changes)
    return _difference(Change({}, before, after, _sum(changes)))


def _sum(changes: Sequence[Change]) -> Effects:
    return Effects(
        *(
            sum((getattr(change.effects, name) for change in changes), Decimal(0))
            for name in ("volume", "mix", "usage", "price", "usage_or_price")
        )
    )


def _causes(effects: Effects) -> Causes:
    return Causes(
        volume=json_number(effects.volume),
        mix=json_number(effects.mix),
        usage=json_number(effects.usage),
        price=json_number(effects.price),
        usage_or_price=json_number(effects.usage_or_price),
    )
