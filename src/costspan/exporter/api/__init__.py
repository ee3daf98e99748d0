"""The questions that can be asked over HTTP, one module a kind."""

from __future__ import annotations

from fastapi import APIRouter

from costspan.exporter.api import budgets, calls, comparison, forecast, pipeline, savings, sessions, usage

__all__ = ["ROUTERS"]

#: In the order of the document.
ROUTERS: tuple[APIRouter, ...] = (
    usage.router,
    sessions.router,
    calls.router,
    comparison.router,
    forecast.router,
    savings.router,
    budgets.router,
    pipeline.router,
)
