"""Health, readiness and what Prometheus scrapes."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from costspan.errors import LedgerError, LedgerUnavailable
from costspan.exporter import access, problem
from costspan.exporter.exposition import exposition
from costspan.exporter.pool import Pool

__all__ = ["Readiness", "router"]

router = APIRouter(tags=["health"])
#: Nobody waits longer to be told: less than who probes does.
_PATIENCE_S = 3.0


class Readiness:
    """Knows whether the ledger answers. For one event loop.

    However many want to know, one question is under way: a server that hangs must not take every thread.

    Args:
        pool: where ledgers are lent.
        patience: seconds to wait for an answer.
    """

    def __init__(self, pool: Pool, *, patience: float = _PATIENCE_S) -> None:
        self._pool = pool
        self._patience = patience
        self._asking: asyncio.Task[LedgerError | None] | None = None

    async def refusal(self) -> LedgerError | None:
        """Return why it does not; None when it does."""
        try:
            async with asyncio.timeout(self._patience):
                before = self._asking
                # One that began before may have failed for what is over by now.
                if before is not None and not before.done() and await _ended(before) is None:
                    return None
                if self._asking is None or self._asking.done():
                    self._asking = asyncio.create_task(run_in_threadpool(self._ask))
                return await _ended(self._asking)
        except TimeoutError:
            return LedgerUnavailable(f"Postgres did not answer within {self._patience:g} s")

    def _ask(self) -> LedgerError | None:
        try:
            with self._pool.ledger() as ledger:
                ledger.ping()
        except LedgerError as error:
            return error
        return None


async def _ended(task: asyncio.Task[LedgerError | None]) -> LedgerError | None:
    await asyncio.wait([task])  # not the task itself: who stops waiting would end it for the others, too
    return task.result()


@router.head("/healthz", include_in_schema=False)  # what some load balancers ask; the server leaves the body out
@router.get("/healthz", summary="Whether the process answers")
def healthz() -> dict[str, str]:
    """`ok` as long as there is a process."""
    return {"status": "ok"}


_READINESS = {"application/json": {"schema": {"type": "object", "required": ["status"]}}}


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    summary="Whether the ledger answers, too",
    response_class=Response,
    responses={
        200: {"description": "It does", "content": _READINESS},
        503: {"description": "It does not, and why", "content": _READINESS},
    },
)
async def readyz(request: Request) -> Response:
    """503 and why, when it does not, or not within 3 seconds."""
    readiness: Readiness = request.app.state.readiness
    error = await readiness.refusal()
    if error is not None:
        return JSONResponse({"status": "unavailable", "problem": problem.unavailable(request, error)}, status_code=503)
    return JSONResponse({"status": "ok"})


@router.head("/metrics", include_in_schema=False, dependencies=[Depends(access.scraper)])
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
