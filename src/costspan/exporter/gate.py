"""What every request passes before it is worked on: the right host, a token that counts, not too often, not too much.

Refuses before a body is read and before a thread or a connection to the ledger is taken. Not the only lock: each route asks
for its caller itself (`access.known`), so that a path this does not know opens nothing.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import nullcontext
from ipaddress import ip_network

from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from costspan.errors import LedgerUnavailable
from costspan.exporter import problem
from costspan.exporter.access import Access, Caller, known, names_loopback
from costspan.exporter.body import Bodies, Gone, Incoming, expects_one
from costspan.exporter.problem import Problem
from costspan.exporter.rate import Rate
from costspan.exporter.turn import Turns

__all__ = ["INTAKE", "Gate"]

#: Where spans are taken in: the only path that takes much.
INTAKE = "/v1/traces"
_INTAKE_BYTES = 16 << 20
_BYTES = 64 << 10
#: What is guarded before it is known whether there is anything. Other paths have their own rules.
_GUARDED = ("/api/", "/v1/")
#: A request's headers, by number and bytes, and its path with what is asked. uvicorn limits only what comes in pieces.
_HEADERS, _HEADERS_BYTES, _TARGET_BYTES = 100, 16 << 10, 8 << 10
#: Wrong tokens of one address: so many at once, and then so many a second. They cost next to nothing, but fill logs.
_WRONG_BURST = 20
_WRONG_PER_SECOND = 1.0
#: Questions of one token that are worked on at once: half of the connections to the ledger.
_AT_ONCE = 4
_SHOWN = 80
_LATER = {"Retry-After": "5"}


class Gate:
    """Refuses what need not be worked on.

    Args:
        access: the rules of this server.
        per_second: requests of one token, and of one address without any; twice as many at once.
        bodies: reads them.
    """

    def __init__(self, app: ASGIApp, *, access: Access, per_second: int, bodies: Bodies | None = None) -> None:
        self._app = app
        self._access = access
        self._callers = Rate(per_second, 2 * per_second)
        self._strangers = Rate(per_second, 2 * per_second)
        self._wrong = Rate(_WRONG_PER_SECOND, _WRONG_BURST)
        self._bodies = bodies or Bodies()
        self._turns = Turns(_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_answered = False

        async def noted(message: Message) -> None:
            nonlocal is_answered
            is_answered = True
            await send(message)

        try:
            await self._answer(scope, receive, noted)
        except asyncio.CancelledError:  # the server stops, and has waited long enough
            if is_answered:
                raise
            answer = problem.answer(503, "the server is stopping", headers={**_LATER, "Connection": "close"})
            await answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        incoming = Incoming(receive, request.headers)
        try:
            caller = await self._admit(request)
            body = await self._body(request, incoming)
        except Problem as refusal:
            await self._refuse(refusal, request, incoming, send)
        except LedgerUnavailable as error:
            await self._refuse(Problem(503, str(error), headers=_LATER), request, incoming, send)
        except Gone:
            return
        else:
            async with nullcontext() if caller is None else self._turns.of(caller):
                await self._pass(body, scope, incoming, send)

    async def _admit(self, request: Request) -> Caller | None:
        """Return who asks; None where nobody needs to say."""
        _check_size(request)
        host = request.headers.get("host", "")
        if self._access.is_local and not names_loopback(host):
            # A page of the name's owner could else read what a browser on this machine may read (DNS rebinding).
            raise Problem(403, f"host is {host[:_SHOWN]!r}: allowed are localhost and loopback addresses")
        address = _address(request)
        if not request.scope["path"].startswith(_GUARDED):
            self._count(self._strangers, address, "requests")
            return None
        try:
            caller = await self._access.caller(request)
        except Problem:
            self._count(self._wrong, address, "wrong tokens")
            raise
        self._count(self._strangers if caller is None else self._callers, caller or address, "requests")
        return await known(request)

    def _count(self, rate: Rate, key: Caller | str, what: str) -> None:
        wait = rate.take(key)
        if wait:
            seconds = math.ceil(wait)
            told = f"too many {what}: try again in {seconds} s"
            raise Problem(429, told, headers={"Retry-After": str(seconds)})

    async def _body(self, request: Request, incoming: Incoming) -> bytes | None:
        if not expects_one(request.headers):
            return None
        is_intake = request.scope["path"] == INTAKE
        limit = _INTAKE_BYTES if is_intake else _BYTES
        return await self._bodies.read(request.headers, incoming, limit=limit, may_be_packed=is_intake)

    async def _pass(self, body: bytes | None, scope: Scope, incoming: Incoming, send: Send) -> None:
        if body is None:
            await self._app(scope, incoming, send)
            return
        headers = MutableHeaders(raw=list(scope["headers"]))
        del headers["content-encoding"], headers["transfer-encoding"]
        headers["content-length"] = str(len(body))
        try:
            await self._app({**scope, "headers": headers.raw}, incoming.replaying(body), send)
        finally:
            self._bodies.release(body)

    @staticmethod
    async def _refuse(refusal: Problem, request: Request, incoming: Incoming, send: Send) -> None:
        answer = problem.answer(refusal.status, refusal.detail, parameter=refusal.parameter, headers=refusal.headers)
        if "connection" not in answer.headers and not await incoming.skip():
            answer.headers["Connection"] = "close"
        await answer(request.scope, incoming, send)


def _check_size(request: Request) -> None:
    headers, scope = request.headers.raw, request.scope
    if len(headers) > _HEADERS or sum(len(name) + len(value) for name, value in headers) > _HEADERS_BYTES:
        raise Problem(
            431, f"the headers are more than {_HEADERS} or {_HEADERS_BYTES:,} bytes, which is what is allowed"
        )
    if len(scope["path"]) + len(scope["query_string"]) > _TARGET_BYTES:
        raise Problem(414, f"the address is longer than {_TARGET_BYTES:,} bytes, which is what is allowed")


def _address(request: Request) -> str:
    """Who is counted as one: an address, or for IPv6 what one customer of a provider gets."""
    host = request.client.host if request.client is not None else ""
    return str(ip_network(f"{host}/64", strict=False)) if ":" in host and "%" not in host else host
