"""`GET /api/savings`: what caches saved and wasted, and which sessions cost far more than the others."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Query

from costspan.errors import InvalidQuestion
from costspan.exporter.api.grouping import dimensions_of, part
from costspan.exporter.api.parameters import Ledgers, Whose, Zone
from costspan.exporter.api.when import Day
from costspan.exporter.exact import Exact, Number, Usd, answers
from costspan.ledger.caches import CacheDimension, CacheRow, CacheSummary
from costspan.ledger.outliers import ENOUGH, Outliers
from costspan.ledger.period import named_period
from costspan.ledger.savings import SAVERS, CacheSaving
from costspan.ledger.summary import Dimension
from costspan.pricing.money import json_number

__all__ = ["router"]

router = APIRouter(tags=["insight"])
_MAX_ROWS = 10_000
_FACTOR = Decimal(10)
_Named = Annotated[str | msgspec.UnsetType | None, msgspec.Meta(description="Null where a call names none.")]


class PromptCaching(msgspec.Struct, kw_only=True, frozen=True):
    """What a provider's prompt cache did for some calls, against the same tokens as plain input."""

    service: str | msgspec.UnsetType = msgspec.UNSET
    provider: str | msgspec.UnsetType = msgspec.UNSET
    model: str | msgspec.UnsetType = msgspec.UNSET
    operation: str | msgspec.UnsetType = msgspec.UNSET
    tenant: str | msgspec.UnsetType = msgspec.UNSET
    feature: _Named = msgspec.UNSET
    read_tokens: int
    write_tokens: int
    unknown_tokens: Annotated[
        int,
        msgspec.Meta(description="Tokens of both kinds of which the bills do not tell what they saved; in no amount."),
    ]
    saved: Annotated[Usd, msgspec.Meta(description="Dollars that reading saved.")]
    extra: Annotated[Usd, msgspec.Meta(description="Dollars that writing cost more.")]
    net: Annotated[
        Usd, msgspec.Meta(description="`saved` without `extra`; negative where caching cost more than it saved.")
    ]
    unrecovered: Annotated[
        Usd,
        msgspec.Meta(
            description="The part of `extra` that reading never paid back: at least so much was wasted. Of each tenant's "
            "model, operation and terms, and feature where that is asked."
        ),
    ]


class ApplicationCache(msgspec.Struct, kw_only=True, frozen=True):
    """What a cache of the application's own did, such as one of embeddings."""

    cache: str | msgspec.UnsetType = msgspec.UNSET
    model: Annotated[str | msgspec.UnsetType | None, msgspec.Meta(description="Null where it was not said.")] = (
        msgspec.UNSET
    )
    hits: int
    misses: int
    hit_rate: Annotated[
        Number | None, msgspec.Meta(description="Which part were hits; null where there was no look-up.")
    ]
    tokens_avoided: int
    avoided: Annotated[Usd, msgspec.Meta(description="Dollars that the hits did not cost, exact, as far as known.")]
    hits_unpriced: Annotated[int, msgspec.Meta(description="Hits of which nobody knows what they did not cost.")]


class FarSession(msgspec.Struct, kw_only=True, frozen=True):
    """A session that cost far more than the others of its tenant."""

    tenant: str
    session: str
    count: Annotated[int, msgspec.Meta(description="Its calls in the period.")]
    cost: Usd
    unknown_calls: Annotated[int, msgspec.Meta(description="Calls whose cost is not known, or not all of it.")]
    median: Annotated[Usd, msgspec.Meta(description="What half of the tenant's sessions cost no more than.")]
    times: Annotated[Number, msgspec.Meta(description="How many times the median it cost.")]


class FarSessions(msgspec.Struct, kw_only=True, frozen=True):
    """Sessions that are far out."""

    factor: Annotated[Number, msgspec.Meta(description="Above so many times the median they are.")]
    count: Annotated[int, msgspec.Meta(description="All that are; `sessions` has the dearest of them.")]
    usual: Annotated[
        Usd | None,
        msgspec.Meta(description="The median session of the tenant; null where it has none, or nobody was asked for."),
    ]
    sessions: list[FarSession]


class CachingAndSessions(msgspec.Struct, kw_only=True, frozen=True):
    """Where money was saved, and where it went."""

    period: Literal["day", "week", "month"]
    start: Annotated[str, msgspec.Meta(description="When it begins, in the asked time zone.")]
    end: Annotated[str, msgspec.Meta(description="When it ends; this instant is not a part of it.")]
    timezone: str
    service: Annotated[Literal["all", "anthropic", "openai"], msgspec.Meta(description="Of `prompt_cache` only.")]
    tenant: Annotated[str | None, msgspec.Meta(description="Null: everybody.")]
    group_by: list[str]
    prompt_cache: PromptCaching
    by: Annotated[list[PromptCaching], msgspec.Meta(description="The largest net first, saved or lost.")]
    left_out: Annotated[int, msgspec.Meta(description="Entries beyond `limit`; they are in `prompt_cache`.")]
    application_caches: ApplicationCache
    caches: Annotated[list[ApplicationCache], msgspec.Meta(description="By cache and model, the most avoided first.")]
    far_sessions: Annotated[
        FarSessions | None,
        msgspec.Meta(
            description="Null where calls of the period were dropped, and with them whose sessions they were."
        ),
    ]


_CACHING = {
    "read_tokens": 1200000, "write_tokens": 90000, "unknown_tokens": 0, "saved": 3.24, "extra": 0.0675, "net": 3.1725,
    "unrecovered": 0,
}  # fmt: skip
_LOOKUPS = {
    "hits": 900, "misses": 300, "hit_rate": 0.75, "tokens_avoided": 180000, "avoided": 0.0234, "hits_unpriced": 0,
}  # fmt: skip
_EXAMPLE = {
    "period": "month",
    "start": "2026-11-01T00:00:00+00:00",
    "end": "2026-12-01T00:00:00+00:00",
    "timezone": "UTC",
    "service": "all",
    "tenant": "acme",
    "group_by": ["model", "feature"],
    "prompt_cache": _CACHING,
    "by": [{"model": "claude-sonnet-5", "feature": "compression", **_CACHING}],
    "left_out": 0,
    "application_caches": _LOOKUPS,
    "caches": [{"cache": "embeddings", "model": "text-embedding-3-large", **_LOOKUPS}],
    "far_sessions": {
        "factor": 10,
        "count": 1,
        "usual": 0.0031,
        "sessions": [
            {
                "tenant": "acme", "session": "s-42", "count": 87, "cost": 0.31, "unknown_calls": 0, "median": 0.0031,
                "times": 100,
            }
        ],
    },
}  # fmt: skip


@router.get(
    "/api/savings",
    summary="What caching saved or wasted, and which sessions are far out",
    response_model=None,
    responses=answers(CachingAndSessions, _EXAMPLE),
)
def savings(
    *,
    ledgers: Ledgers,
    tenant: Whose,
    zone: Zone,
    day: Day,
    period: Annotated[Literal["day", "week", "month"], Query(description="Weeks begin on Monday.")] = "month",
    service: Annotated[
        Literal["all", "anthropic", "openai"],
        Query(
            description="The family of the API whose prompt caches are told; sessions and caches of applications are of all."
        ),
    ] = "all",
    group_by: Annotated[
        str, Query(description=f"One or several of {', '.join(SAVERS)}, with commas.", examples=["tenant"])
    ] = "model,feature",
    factor: Annotated[
        Decimal,
        Query(
            ge=1,
            le=1_000_000,
            description="A session is far out above so many times the median session of its tenant. "
            f"A tenant with fewer than {ENOUGH} sessions has none.",
        ),
    ] = _FACTOR,
    limit: Annotated[int, Query(ge=1, le=_MAX_ROWS, description="Entries and sessions at the most.")] = 100,
) -> Exact:
    """Prompt caches against plain input at the rates the calls were billed at, caches of the application, dear sessions."""
    by = dimensions_of(group_by, SAVERS)
    asked = named_period(period, day, zone)
    with ledgers.ledger() as ledger:
        saved = ledger.savings(asked, by=by, tenant=tenant, services=None if service == "all" else (service,))
        caches = ledger.cache_summary(asked.start, asked.end, by=("cache", "model"), tenant=tenant, zone=zone)
        try:
            far = _far(ledger.outliers(asked, factor=factor, tenant=tenant, limit=limit), tenant)
        except InvalidQuestion:  # sums are kept for longer than calls
            far = None
    return Exact(
        CachingAndSessions(
            period=period,
            start=asked.start.astimezone(zone).isoformat(),
            end=asked.end.astimezone(zone).isoformat(),
            timezone=zone.key,
            service=service,
            tenant=tenant,
            group_by=[dimension.value for dimension in by],
            prompt_cache=_caching(saved.total),
            by=[_caching(row) for row in saved.rows[:limit]],
            left_out=max(0, len(saved.rows) - limit),
            application_caches=_lookups(caches.total),
            caches=_caches(caches, limit),
            far_sessions=far,
        )
    )


def _caching(saving: CacheSaving) -> PromptCaching:
    return PromptCaching(
        **_keys(saving),  # type: ignore[arg-type]  # of a row: texts
        read_tokens=saving.read_tokens,
        write_tokens=saving.write_tokens,
        unknown_tokens=saving.unknown_tokens,
        saved=json_number(saving.saved),
        extra=json_number(saving.extra),
        net=json_number(saving.net),
        unrecovered=json_number(saving.unrecovered),
    )


def _keys(saving: CacheSaving) -> Mapping[str, str | None]:
    return {name.value: value or (None if name is Dimension.FEATURE else "") for name, value in saving.keys.items()}


def _lookups(row: CacheRow, **keys: str | None) -> ApplicationCache:
    return ApplicationCache(
        **keys,  # type: ignore[arg-type]  # the cache and the model
        hits=row.hits,
        misses=row.misses,
        hit_rate=part(row.hit_rate),
        tokens_avoided=row.tokens_avoided,
        avoided=json_number(row.avoided),
        hits_unpriced=row.hits_unpriced,
    )


def _caches(summary: CacheSummary, limit: int) -> list[ApplicationCache]:
    dearest = sorted(summary.rows, key=lambda row: (-row.avoided, tuple(map(str, row.keys.values()))))
    return [
        _lookups(row, cache=str(row.keys[CacheDimension.CACHE]), model=str(row.keys[CacheDimension.MODEL]) or None)
        for row in dearest[:limit]
    ]


def _far(far: Outliers, tenant: str | None) -> FarSessions:
    return FarSessions(
        factor=json_number(far.factor),
        count=far.number,
        usual=json_number(far.usual[0].median) if tenant is not None and far.usual else None,
        sessions=[
            FarSession(
                tenant=item.tenant,
                session=item.session,
                count=item.calls,
                cost=json_number(item.cost),
                unknown_calls=item.unknown_calls,
                median=json_number(item.median),
                times=part(item.times),
            )
            for item in far.sessions
        ],
    )
