"""The OpenAPI document: what can be asked, what the answers are, with an example of each."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from costspan.exporter import exact, problem

__all__ = ["DESCRIPTION", "TAGS", "install"]

DESCRIPTION = """What calls to Anthropic and OpenAI cost, from the ledger of costspan.

Amounts are JSON numbers with all of their decimals: read them as decimals, not as floats, where the last digit counts
(`json.loads(text, parse_float=Decimal)`). Instants are ISO 8601 with their offset.

Every request under `/api/` and `/v1/` needs a bearer token of `costspan token create`. A tenant's token sees that tenant; the
database itself hides all others.

What makes no sense is refused with a problem document (RFC 9457) that names the parameter and what is allowed.
"""
TAGS = [
    {"name": "usage", "description": "What was spent."},
    {"name": "sessions", "description": "What a session cost over its life."},
    {"name": "calls", "description": "The calls behind a sum."},
    {"name": "budgets", "description": "What may be spent."},
    {"name": "traces", "description": "Spans of other instrumentations become calls."},
    {"name": "health", "description": "Of the server itself."},
]


def install(app: FastAPI) -> None:
    """Let ``app`` describe what it answers, and what it refuses."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        is_new = app.openapi_schema is None
        document = made()
        if is_new:
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas.update({"Problem": problem.SCHEMA, **exact.components()})
            for path in document["paths"].values():
                for operation in path.values():
                    _complete(operation)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # how FastAPI says to extend it


def _complete(operation: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", ()):
        _without_null(parameter["schema"])
    for part in (*operation["responses"].values(), operation.get("requestBody", {})):
        for content in part.get("content", {}).values():
            exact.fill_in(content)


def _without_null(schema: dict[str, Any]) -> None:
    """A parameter that need not be given is left out: an address knows no null."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        del schema["anyOf"]
        schema.update(kinds[0])
