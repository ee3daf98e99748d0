"""The application: its routes, and what every answer has in common."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from fastapi import Depends, FastAPI
from prometheus_client import CollectorRegistry

from costspan._version import __version__
from costspan.exporter import api, document, explorer, health, otlp, page, problem
from costspan.exporter.access import Access, known
from costspan.exporter.api.parameters import only_known
from costspan.exporter.gate import Gate
from costspan.exporter.headers import Headers
from costspan.exporter.keyring import Keyring
from costspan.exporter.pool import Pool
from costspan.settings import Settings

__all__ = ["create_app"]


def _utc_now() -> datetime:
    return datetime.now(UTC)


def create_app(
    pool: Pool,
    registry: CollectorRegistry,
    settings: Settings,
    *,
    access: Access | None = None,
    now: Callable[[], datetime] = _utc_now,
) -> FastAPI:
    """Return the application.

    Args:
        pool: where ledgers are lent.
        registry: what `/metrics` shows.
        settings: where days begin, and what a tenant may spend.
        access: who may ask; when not given, who has a token of the ledger's.
        now: the present instant.
    """
    app = FastAPI(
        title="costspan",
        version=__version__,
        description=document.DESCRIPTION,
        openapi_tags=document.TAGS,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.pool = pool
    app.state.readiness = health.Readiness(pool)
    app.state.registry = registry
    app.state.settings = settings
    app.state.now = now
    app.state.access = access or Access(Keyring(pool), is_local=True)
    problem.install(app)
    app.include_router(health.router)
    for router in api.ROUTERS:
        # Who may not ask is told so before what is wrong with the question; also where a route forgot to look.
        app.include_router(router, dependencies=[Depends(known), Depends(only_known)], responses=problem.COMMON)
    otlp.install(app, settings, registry)
    app.include_router(explorer.router)
    app.include_router(page.router)
    document.install(app)
    app.add_middleware(Gate, access=app.state.access, per_second=settings.requests_per_second)
    app.add_middleware(Headers)
    return app
