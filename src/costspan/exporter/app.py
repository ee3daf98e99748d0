"""The routes, and what every answer has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from costspan._version import __version__
from costspan.errors import LedgerError

if TYPE_CHECKING:
    from costspan.exporter.pool import Pool

__all__ = ["create_app"]


def create_app(pool: Pool, registry: CollectorRegistry) -> FastAPI:
    """Return the application: health, readiness and metrics.

    Args:
        pool: where ledgers are lent.
        registry: what `/metrics` shows.
    """
    app = FastAPI(title="costspan", version=__version__, docs_url=None, redoc_url=None)

    @app.get("/healthz", summary="Whether the process answers")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", summary="Whether the ledger answers, too")
    def readyz() -> Response:
        try:
            with pool.ledger() as ledger:
                ledger.ping()
        except LedgerError as error:
            return JSONResponse({"status": "unavailable", "problem": str(error)}, status_code=503)
        return JSONResponse({"status": "ok"})

    @app.get("/metrics", summary="Gauges of the ledger, and the pipeline about itself")
    def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), media_type=content_type)

    return app
