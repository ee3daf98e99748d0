"""Health, readiness and what Prometheus scrapes."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from costspan.errors import LedgerError
from costspan.exporter import access, problem
from costspan.exporter.api.parameters import Ledgers
from costspan.exporter.exposition import exposition

__all__ = ["router"]

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Whether the process answers")
def healthz() -> dict[str, str]:
    """`ok` as long as there is a process."""
    return {"status": "ok"}


_READINESS = {"application/json": {"schema": {"type": "object", "required": ["status"]}}}


@router.get(
    "/readyz",
    summary="Whether the ledger answers, too",
    response_class=Response,
    responses={
        200: {"description": "It does", "content": _READINESS},
        503: {"description": "It does not, and why", "content": _READINESS},
    },
)
def readyz(request: Request, ledgers: Ledgers) -> Response:
    """503 and why, when it does not."""
    try:
        with ledgers.ledger() as ledger:
            ledger.ping()
    except LedgerError as error:
        return JSONResponse({"status": "unavailable", "problem": problem.unavailable(request, error)}, status_code=503)
    return JSONResponse({"status": "ok"})


@router.get(
    "/metrics",
    summary="Gauges of the ledger, and the pipeline about itself",
    dependencies=[Depends(access.scraper)],
    response_class=Response,
    responses={
        200: {"description": "Metrics", "content": {"text/plain": {}, "application/openmetrics-text": {}}},
        401: problem.COMMON[401],
        403: problem.COMMON[403],
    },
)
def metrics(request: Request) -> Response:
    """The text format; OpenMetrics where it is asked for."""
    body, content_type = exposition(request.app.state.registry, request.headers.get("accept", ""))
    return Response(body, media_type=content_type)
