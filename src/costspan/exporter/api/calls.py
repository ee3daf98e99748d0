"""`GET /api/calls` and `GET /api/calls/{id}`: the calls behind a sum, and why one of them cost what it did."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Path, Query

from costspan.exporter.api.parameters import Ledgers, Whose, Zone
from costspan.exporter.api.place import Cursor, written
from costspan.exporter.api.when import Range, instant_of
from costspan.exporter.exact import Exact, Usd, answers
from costspan.exporter.problem import Problem, described, shown
from costspan.ledger.drilldown import Call, CallLine
from costspan.ledger.search import Wanted
from costspan.pricing.money import json_number

__all__ = ["CALL_EXAMPLE", "BilledCall", "Limit", "billed", "router"]

router = APIRouter(tags=["calls"])
_ID = re.compile(r"\d{1,19}", re.ASCII)
_Name = Annotated[str | None, Query(max_length=1000)]
Limit = Annotated[int, Query(ge=1, le=1000, description="Calls at the most.")]


class BilledCall(msgspec.Struct, kw_only=True, frozen=True):
    """One billed attempt."""

    id: Annotated[str, msgspec.Meta(description="A whole number; as text, as it has more digits than a float.")]
    timestamp: Annotated[str, msgspec.Meta(description="When the request left, and what it is priced at. UTC.")]
    service: str
    provider: str
    model: str
    operation: str
    status: Literal["priced", "estimated", "partial", "unpriced", "invalid"]
    cost_usd: Annotated[
        Usd | None,
        msgspec.Meta(description="Dollars, exact; null where no price is known, a lower bound where partial."),
    ]
    tokens_in: int
    tokens_out: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    tenant: str
    session: str | None
    user: str | None
    feature: str | None
    trace_id: str | None
    span_id: str | None
    duration_ms: int
    price_version: str


class BillLine(msgspec.Struct, kw_only=True, frozen=True):
    """One line of a call's bill. The amounts of a call add up to its cost."""

    model: str
    unit: str
    quantity: int
    rate_usd: Annotated[Usd | None, msgspec.Meta(description="Dollars for one unit; null where no price is known.")]
    amount_usd: Usd | None
    layer: Annotated[
        str, msgspec.Meta(description="Whose price it is: list, overlay or contract; none where nobody's.")
    ]


class Calls(msgspec.Struct, kw_only=True, frozen=True):
    """Calls, and where to go on."""

    calls: list[BilledCall]
    next_cursor: Annotated[
        str | None,
        msgspec.Meta(
            description="`cursor` of the next page; null at the end. There may be more also after a page without calls."
        ),
    ]


class Bill(msgspec.Struct, kw_only=True, frozen=True):
    """A call, and why it cost what it did."""

    call: BilledCall
    lines: list[BillLine]


CALL_EXAMPLE = {
    "id": "912345678901234567",
    "timestamp": "2026-11-21T12:00:00.123456+00:00",
    "service": "anthropic",
    "provider": "anthropic",
    "model": "claude-3-5-haiku-latest",
    "operation": "chat",
    "status": "priced",
    "cost_usd": 0.00135,
    "tokens_in": 450,
    "tokens_out": 180,
    "cache_read_tokens": 0,
    "cache_write_tokens": 0,
    "reasoning_tokens": 0,
    "tenant": "acme",
    "session": "s-1",
    "user": "u-7",
    "feature": "compression",
    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    "span_id": "00f067aa0ba902b7",
    "duration_ms": 700,
    "price_version": "contract 2026-11",
}
_LINES = [
    {"model": "claude-3-5-haiku-latest", "unit": "input_tokens", "quantity": 450, "rate_usd": 0.000001, "amount_usd": 0.00045,
     "layer": "contract"},
    {"model": "claude-3-5-haiku-latest", "unit": "output_tokens", "quantity": 180, "rate_usd": 0.000005, "amount_usd": 0.0009,
     "layer": "contract"},
]  # fmt: skip


@router.get(
    "/api/calls",
    summary="The calls behind a sum, page by page",
    response_model=None,
    responses=answers(Calls, {"calls": [CALL_EXAMPLE], "next_cursor": "1795262400123456-912345678901234567"}),
)
def calls(
    *,
    ledgers: Ledgers,
    tenant: Whose,
    spanned: Range,
    before: Cursor,
    service: Annotated[Literal["anthropic", "openai"] | None, Query()] = None,
    model: _Name = None,
    operation: _Name = None,
    status: Annotated[Literal["priced", "estimated", "partial", "unpriced", "invalid"] | None, Query()] = None,
    feature: Annotated[str | None, Query(max_length=1000, description="Empty: of calls that name none.")] = None,
    session: Annotated[str | None, Query(min_length=1, max_length=1000)] = None,
    user: Annotated[str | None, Query(max_length=1000, description="Empty: of calls that name none.")] = None,
    trace: Annotated[
        str | None, Query(description="32 hexadecimal digits.", examples=["4bf92f3577b34da6a3ce929d0e0e4736"])
    ] = None,
    order: Annotated[
        Literal["newest", "cost"],
        Query(description="`cost`: the most expensive, of a range; no other filter, one page."),
    ] = "newest",
    limit: Limit = 100,
) -> Exact:
    """The newest first. Pages hold every call once, whatever is written or compacted meanwhile.

    With a filter, a page looks at 5,000 calls at the most, so it may be short, or empty, and still have a next one. A range
    (`from`, `to`), a `session` or a `trace` leads to its calls directly.
    """
    start, end = spanned
    wanted = Wanted(
        start=start, end=end, session=session, trace=trace, service=service, model=model, operation=operation,
        status=status, feature=feature, user=user,
    )  # fmt: skip
    if order == "cost" and (before is not None or wanted != Wanted(start=start, end=end)):
        told = "order is 'cost': allowed with it are from, to, tz, tenant and limit"
        raise Problem(422, told, parameter="order")
    with ledgers.ledger() as ledger:
        if order == "cost":
            found = ledger.dearest_calls(start, end, tenant=tenant, limit=limit)
            return Exact(Calls(calls=[billed(call) for call in found], next_cursor=None))
        page = ledger.find_calls(wanted, tenant=tenant, limit=limit, before=before)
    return Exact(Calls(calls=[billed(call) for call in page.calls], next_cursor=written(page.next)))


@router.get(
    "/api/calls/{id}",
    summary="One call, and the lines of its bill",
    response_model=None,
    responses={
        **answers(Bill, {"call": CALL_EXAMPLE, "lines": _LINES}),
        404: described(404, "No such call", "there is no call '12'", parameter="id"),
    },
)
def call(
    *,
    ledgers: Ledgers,
    tenant: Whose,
    zone: Zone,
    number: Annotated[str, Path(alias="id", description="Its `id`.", examples=["912345678901234567"])],
    at: Annotated[
        str | None,
        Query(
            description="Its `timestamp`, where known: it spares looking for it. Or the day on which it was made.",
            examples=["2026-11-21T12:00:00.123456Z"],
        ),
    ] = None,
) -> Exact:
    """Also of another tenant there is no such call."""
    made = None if at is None else instant_of("at", at, zone)
    end = None if at is None else instant_of("at", at, zone, is_end=True)
    if not _ID.fullmatch(number) or int(number) >= 1 << 63:
        raise Problem(422, f"id is {shown(number)}: allowed are whole numbers up to {(1 << 63) - 1}", parameter="id")
    with ledgers.ledger() as ledger:
        if made is None or end is None or made == end:
            found = ledger.call(int(number), made, tenant=tenant)
        else:  # a day, which is no timestamp to look at
            found = ledger.call(int(number), tenant=tenant)
            found = found if found is not None and made <= found.timestamp < end else None
        if found is None:
            raise _no_call(number, at)
        lines = ledger.call_lines(found.id, found.timestamp, tenant=tenant)
    return Exact(Bill(call=billed(found), lines=[_line(line) for line in lines]))


def _no_call(number: str, at: str | None) -> Problem:
    if at is None:
        return Problem(404, f"there is no call {shown(number)}", parameter="id")
    told = f"there is no call {shown(number)} at {shown(at)}: allowed is its exact timestamp or its day, or no at"
    return Problem(404, told, parameter="at")


def billed(call: Call) -> BilledCall:
    """Return ``call`` as an answer has it."""
    return BilledCall(
        id=str(call.id),
        timestamp=_instant(call.timestamp),
        service=call.service,
        provider=call.provider,
        model=call.model,
        operation=call.operation,
        status=call.status,  # type: ignore[arg-type]  # the ledger has no other
        cost_usd=json_number(call.cost_usd),
        tokens_in=call.tokens_in,
        tokens_out=call.tokens_out,
        cache_read_tokens=call.cache_read_tokens,
        cache_write_tokens=call.cache_write_tokens,
        reasoning_tokens=call.reasoning_tokens,
        tenant=call.tenant_id,
        session=call.session_id,
        user=call.user_id,
        feature=call.feature,
        trace_id=call.trace_id,
        span_id=call.span_id,
        duration_ms=call.duration_ms,
        price_version=call.price_version,
    )


def _line(line: CallLine) -> BillLine:
    return BillLine(
        model=line.model,
        unit=line.unit,
        quantity=line.quantity,
        rate_usd=json_number(line.rate_usd),
        amount_usd=json_number(line.amount_usd),
        layer=line.layer,
    )


def _instant(instant: datetime) -> str:
    return instant.isoformat(timespec="microseconds")
