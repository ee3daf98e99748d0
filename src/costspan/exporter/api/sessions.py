"""`GET /api/sessions/{id}`: what a session cost over its life, and its calls."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Path

from costspan.exporter.api.calls import CALL_EXAMPLE, BilledCall, Limit, billed
from costspan.exporter.api.figures import Entry, Standing, entry, figures, standings
from costspan.exporter.api.parameters import Ledgers, Whose
from costspan.exporter.api.place import Cursor, written
from costspan.exporter.exact import Exact, Usd, answers
from costspan.exporter.problem import Problem, described, shown
from costspan.ledger.search import Wanted
from costspan.ledger.summary import Dimension, total

__all__ = ["router"]

router = APIRouter(tags=["sessions"])


class Session(msgspec.Struct, kw_only=True, frozen=True):
    """What a session cost over its life, and its calls."""

    session: str
    tenants: Annotated[
        list[str],
        msgspec.Meta(description="Whose it is. A name may be a session of several, which are told as one here."),
    ]
    first_call: Annotated[str, msgspec.Meta(description="When it was made. UTC.")]
    last_call: str
    calls_kept_since: Annotated[
        str | None, msgspec.Meta(description="The day (UTC) before which all calls were dropped; null: none ever were.")
    ]
    total_cost: Annotated[
        Usd | None,
        msgspec.Meta(description="Dollars, exact, as far as known. Null where of no call anything is known."),
    ]
    usage_count: Annotated[int, msgspec.Meta(description="Calls.")]
    status: Annotated[dict[str, Standing], msgspec.Meta(description="How much of the total is certain.")]
    breakdown: Annotated[
        list[Entry], msgspec.Meta(description="By tenant, service and model, the most expensive first.")
    ]
    calls: Annotated[list[BilledCall], msgspec.Meta(description="The newest first, a page of them.")]
    next_cursor: Annotated[str | None, msgspec.Meta(description="`cursor` of the next page of calls; null at the end.")]


_EXAMPLE = {
    "session": "s-1",
    "tenants": ["acme"],
    "first_call": "2026-11-20T09:30:00+00:00",
    "last_call": "2026-11-21T12:00:00.123456+00:00",
    "calls_kept_since": None,
    "total_cost": 0.0027,
    "usage_count": 2,
    "status": {
        "priced": {"count": 2, "cost": 0.0027},
        "estimated": {"count": 0, "cost": 0},
        "partial": {"count": 0, "cost": 0},
        "unpriced": {"count": 0, "cost": None},
        "invalid": {"count": 0, "cost": None},
    },
    "breakdown": [
        {
            "service": "anthropic", "model": "claude-3-5-haiku-latest", "tenant": "acme", "cost": 0.0027, "count": 2,
            "tokens_in": 900, "tokens_out": 360, "cache_read_tokens": 0, "cache_write_tokens": 0, "reasoning_tokens": 0,
            "not_priced": 0,
        }
    ],
    "calls": [CALL_EXAMPLE],
    "next_cursor": "1795262400123456-912345678901234567",
}  # fmt: skip


@router.get(
    "/api/sessions/{id:path}",
    summary="What a session cost over its life",
    response_model=None,
    responses={
        **answers(Session, _EXAMPLE),
        404: described(404, "No call of it is kept", "there is no call of session 's-9'", parameter="id"),
    },
)
def session(
    *,
    ledgers: Ledgers,
    tenant: Whose,
    before: Cursor,
    name: Annotated[str, Path(alias="id", description="The session's id; it may have slashes.", examples=["s-1"])],
    limit: Limit = 100,
) -> Exact:
    """All of time: no range is needed. The sums are of all of its calls, whatever page of them is asked for."""
    with ledgers.ledger() as ledger:
        life = ledger.session_life(name, tenant=tenant)
        if life is None:
            raise Problem(404, f"there is no call of session {shown(name)}", parameter="id")
        rows = ledger.session_costs(name, tenant=tenant)
        page = ledger.find_calls(Wanted(session=name), tenant=tenant, limit=limit, before=before)
    whole = total(rows)
    sums = figures(whole)
    return Exact(
        Session(
            session=name,
            tenants=sorted({str(row.keys[Dimension.TENANT]) for row in rows}),
            first_call=life.first.isoformat(),
            last_call=life.last.isoformat(),
            calls_kept_since=None if life.kept_since is None else life.kept_since.isoformat(),
            total_cost=sums.cost,
            usage_count=sums.count,
            status=standings(whole),
            breakdown=[entry(row) for row in rows],
            calls=[billed(call) for call in page.calls],
            next_cursor=written(page.next),
        )
    )
