"""The route that OTLP exporters and collectors send spans to.

Written to the ledger before it answers, and not to a journal of the server's own: who sends keeps what was not taken and
sends it again (503 says so), a collector for as long as it is told to. A second buffer here would only lose in another
place, and could not say which spans were counted before.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from prometheus_client import CollectorRegistry, Counter

from costspan.errors import ConfigurationError, LedgerError, LedgerUnavailable
from costspan.exporter.access import known
from costspan.exporter.api.parameters import Asker, Ledgers, Now, only_known
from costspan.exporter.otlp import wire
from costspan.exporter.otlp.intake import Intake, Outcome
from costspan.exporter.problem import COMMON
from costspan.pricing import PriceBook
from costspan.sinks import names

if TYPE_CHECKING:
    from costspan.settings import Settings

__all__ = ["install", "router"]

logger = logging.getLogger("costspan")
router = APIRouter(tags=["traces"])
#: ``google.rpc.Code``.
_INVALID, _UNAVAILABLE = 3, 14
_LATER = "5"
_OUTCOMES = sorted(value for name, value in vars(Outcome).items() if name.isupper())


def install(app: FastAPI, settings: Settings, registry: CollectorRegistry) -> None:
    """Let ``app`` take spans."""
    app.state.otlp_intake = Intake(_book(settings), settings.tenant)
    app.state.otlp_spans = Counter(
        names.OTLP_SPANS, "Spans that were sent, by what became of them.", ["outcome"], registry=registry
    )
    for outcome in _OUTCOMES:
        app.state.otlp_spans.labels(outcome)
    app.include_router(router, dependencies=[Depends(known), Depends(only_known)], responses=COMMON)


async def _body(request: Request) -> bytes:
    """The body, unpacked and of a size that may be read: the gate sees to both."""
    return await request.body()


@router.post(
    "/v1/traces",
    summary="Take spans (OTLP over HTTP)",
    description=(
        "Inferences among the spans become calls, each once; other spans are left out. In protobuf or JSON, gzip or not. "
        "A tenant's token books all of them for that tenant."
    ),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                wire.PROTOBUF: {"schema": {"type": "string", "format": "binary"}},
                wire.JSON: {"schema": {"type": "object"}, "example": {"resourceSpans": []}},
            },
        }
    },
    response_class=Response,
    responses={
        200: {
            "description": "What was taken is in the ledger; `partialSuccess` says how many spans were rejected, and why",
            "content": {wire.PROTOBUF: {}, wire.JSON: {"schema": {"type": "object"}, "example": {}}},
        },
        400: {"description": "No export of spans. To send it again helps nothing"},
        415: {"description": "Neither protobuf nor JSON, or packed in another way than gzip"},
        503: {
            "description": "The ledger is away or busy. Nothing is lost by sending it again, and nothing counts twice"
        },
    },
)
def traces(
    request: Request, caller: Asker, ledgers: Ledgers, now: Now, body: Annotated[bytes, Depends(_body)]
) -> Response:
    """Take an export."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in (wire.PROTOBUF, wire.JSON):
        allowed = f"allowed are {wire.PROTOBUF} and {wire.JSON}"
        return _refused(wire.JSON, 415, _INVALID, f"Content-Type is {media_type[:80]!r}: {allowed}")
    try:
        spans = wire.read(body, media_type)
    except wire.Unreadable as error:
        return _refused(media_type, 400, _INVALID, str(error))
    intake: Intake = request.app.state.otlp_intake
    try:
        with ledgers.ledger() as ledger:
            taken = intake.take(spans, ledger, tenant=caller.tenant, now=now)
    except LedgerError as error:
        if not isinstance(error, LedgerUnavailable):
            logger.warning("costspan: the ledger refused spans (%s: %s)", type(error).__name__, error)
        return _refused(media_type, 503, _UNAVAILABLE, "the ledger cannot be written: send it again later", later=True)
    for outcome, number in taken.outcomes.items():
        request.app.state.otlp_spans.labels(outcome).inc(number)
    answer = wire.response(media_type, rejected=taken.rejected, message=taken.message)
    return Response(answer, media_type=media_type)


def _refused(media_type: str, status: int, code: int, message: str, *, later: bool = False) -> Response:
    headers = {"Retry-After": _LATER} if later else None
    return Response(wire.refusal(media_type, code, message), status, headers, media_type)


def _book(settings: Settings) -> PriceBook:
    try:
        return PriceBook.load(settings.prices)
    except ConfigurationError as error:
        logger.warning("costspan goes on with list prices: %s", error)
        return PriceBook.load(None)
