"""What goes wrong, as a problem document (RFC 9457): which value, and what is allowed. Never a stack trace."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from costspan.errors import InvalidQuestion, LedgerError, LedgerUnavailable
from costspan.text import clean

__all__ = ["COMMON", "MEDIA_TYPE", "SCHEMA", "Problem", "answer", "described", "install", "shown", "unavailable"]

logger = logging.getLogger("costspan")
MEDIA_TYPE = "application/problem+json"
#: Of a value that is refused, what is repeated.
_SHOWN = 80
#: Seconds after which a ledger that is away may be back.
_LATER = "5"


class Problem(Exception):  # named for what is the case, as all of ours
    """A request that is not answered.

    Args:
        status: of HTTP.
        detail: a sentence that names the value and what is allowed.
        parameter: which one is at fault.
        headers: such as Retry-After.
    """

    def __init__(
        self, status: int, detail: str, *, parameter: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.parameter = parameter
        self.headers = headers


def answer(
    status: int, detail: str, *, parameter: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """Return the problem document."""
    document = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    if parameter is not None:
        document["parameter"] = parameter
    # Said here too: an answer to an error of ours passes none of the middlewares that say it.
    always = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(msgspec.json.encode(document), status, {**always, **(headers or {})}, MEDIA_TYPE)


def shown(value: object) -> str:
    """Return ``value`` as a refusal repeats it: quoted, safe to print, and not longer than a line."""
    return repr(clean(str(value)[:_SHOWN]))


def install(app: FastAPI) -> None:
    """Let ``app`` answer with a problem document whatever goes wrong."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(InvalidQuestion, _question)
    app.add_exception_handler(LedgerError, _ledger)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _error)


def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101  # for the type, here and below: handlers are found by it
    return answer(error.status, error.detail, parameter=error.parameter, headers=error.headers)


def _question(request: Request, error: Exception) -> Response:
    # What the ledger refuses begins with the name of what is wrong, which may be that of a parameter.
    name = str(error).partition(" is ")[0]
    return answer(422, str(error), parameter=name if name in request.query_params else None)


def unavailable(request: Request, error: Exception) -> str:
    """Return why the ledger does not answer, as far as it is the client's business: where Postgres is, on this machine only."""
    if request.app.state.access.is_local:
        return str(error)
    logger.warning("costspan: the ledger does not answer (%s: %s)", type(error).__name__, error)
    return "the server's log says why"


def _ledger(request: Request, error: Exception) -> Response:
    if isinstance(error, LedgerUnavailable):
        told = f"the ledger does not answer: {unavailable(request, error)}"
        return answer(503, told, headers={"Retry-After": _LATER})
    logger.warning("costspan: the ledger refused a question over HTTP (%s: %s)", type(error).__name__, error)
    return answer(503, "the ledger refused; the server's log says why", headers={"Retry-After": _LATER})


def _validation(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    first: Mapping[str, Any] = error.errors()[0]
    place: Sequence[object] = first["loc"]
    name = str(place[-1])
    if first["type"] == "missing":
        return answer(422, f"{name} is missing", parameter=name)
    return answer(422, f"{name} is {shown(first['input'])}: {_told(first)}", parameter=name)


def _told(problem: Mapping[str, Any]) -> str:
    """What is allowed, from `Input should be 'day', 'week' or 'month'`."""
    text = str(problem["msg"]).removeprefix("Value error, ")
    text = text.replace("String should have", "allowed is a text of", 1)
    return text.replace("Input should be", "allowed is", 1)


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    path = shown(request.scope["path"])
    told = {404: f"there is nothing at {path}", 405: f"{shown(request.method)} is not allowed at {path}"}
    return answer(error.status_code, told.get(error.status_code, str(error.detail)), headers=error.headers)


def _error(request: Request, error: Exception) -> Response:
    # The server logs it with its trace, as it is raised once more.
    path = shown(request.scope["path"])
    logger.error("costspan: %s %s failed (%s)", shown(request.method), path, type(error).__name__)
    return answer(500, "an error of costspan itself; the server's log says which")


SCHEMA: Mapping[str, object] = {
    "title": "Problem",
    "description": "What is wrong with a request (RFC 9457).",
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "Names the value and what is allowed."},
        "parameter": {"type": "string", "description": "Which one is at fault."},
    },
    "required": ["type", "title", "status", "detail"],
}


def described(status: int, text: str, detail: str, **more: str) -> dict[str, Any]:
    """Return how the document describes an answer with a problem, with an example of it."""
    example = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    return {
        "description": text,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}},
    }


#: What any route that asks the ledger may answer, besides its own.
COMMON: dict[int | str, dict[str, Any]] = {
    401: described(401, "No token, or none that counts", "a bearer token is needed"),
    403: described(403, "Not for this token", "tenant is 'globex': this token sees 'acme' only", parameter="tenant"),
    413: described(413, "More than is read", "the request is too large"),
    414: described(
        414, "A longer address than is read", "the address is longer than 8,192 bytes, which is what is allowed"
    ),
    422: described(422, "Makes no sense", "period is 'year': allowed is 'day', 'week' or 'month'", parameter="period"),
    429: described(429, "Too many requests", "too many requests; try again in 3 s"),
    503: described(503, "The ledger is away or busy", "every connection to the ledger is busy"),
}
