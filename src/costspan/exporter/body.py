"""A request's body: read whole before anybody works with it, and never larger, slower or more than is allowed."""

from __future__ import annotations

import asyncio
import zlib

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import Message, Receive

from costspan.exporter.problem import Problem

__all__ = ["Bodies", "Gone", "Incoming", "expects_one"]

#: Seconds in which a body must be here.
_WITHIN_S = 30.0
#: Seconds that are given to who still sends what nobody reads, so that the refusal is read.
_SKIPPING_S = 2.0
_MIB = 1 << 20
_BUSY = {"Retry-After": "2"}
_CLOSE = {"Connection": "close"}


class Gone(Exception):  # named for what is the case
    """Who asked is not there any more."""


def expects_one(headers: Headers) -> bool:
    """Whether the request has a body."""
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


class Incoming:
    """What a client sends, from which it is known when that is all.

    Args:
        receive: gives it.
        headers: those of the request.
    """

    def __init__(self, receive: Receive, headers: Headers) -> None:
        self._receive = receive
        self._headers = headers
        self._is_over = not expects_one(headers)

    async def __call__(self) -> Message:
        """Return what comes next."""
        message = await self._receive()
        self._is_over = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def skip(self) -> bool:
        """Read away what nobody wants; return whether the connection can be used on.

        A client that is still sending when the connection closes may never see the answer.
        """
        if "expect" in self._headers and not self._is_over:
            return False  # it sends nothing until it is told to
        try:
            async with asyncio.timeout(_SKIPPING_S):
                while not self._is_over:
                    await self()
        except TimeoutError:
            pass
        return self._is_over

    def replaying(self, body: bytes) -> Receive:
        """Return what gives ``body`` once, and after it what comes."""
        given = False

        async def replay() -> Message:
            nonlocal given
            if given:
                return await self._receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        return replay


class Bodies:
    """Reads bodies; knows how much of them is in memory. For one event loop.

    Args:
        most: bytes of all bodies at once.
        within: seconds in which each must be here.
    """

    def __init__(self, *, most: int = 128 * _MIB, within: float = _WITHIN_S) -> None:
        self._most = most
        self._within = within
        self._held = 0

    async def read(self, headers: Headers, receive: Receive, *, limit: int, may_be_packed: bool) -> bytes:
        """Return the body, unpacked. `release` it when it was used.

        Raises:
            Problem: 408, 413, 415, 400 or 503.
            Gone: who sent it hung up.
        """
        packed = headers.get("content-encoding", "identity").strip().lower()
        if packed not in (("identity", "gzip") if may_be_packed else ("identity",)):
            allowed = "gzip, or none" if may_be_packed else "none"
            told = f"content-encoding is {packed[:80]!r}: allowed is {allowed}"
            raise Problem(415, told, headers={"Accept-Encoding": "gzip" if may_be_packed else "identity"})
        if int(headers.get("content-length", "0")) > limit:
            raise _too_large(limit)
        try:
            async with asyncio.timeout(self._within):
                return await self._collect(receive, _Gzip(limit) if packed == "gzip" else _Plain(limit))
        except TimeoutError:
            raise Problem(408, f"the body was not here within {self._within:g} s", headers=_CLOSE) from None

    def release(self, body: bytes) -> None:
        """Say that ``body`` is not used any more."""
        self._held -= len(body)

    async def _collect(self, receive: Receive, into: _Plain) -> bytes:
        held = 0
        try:
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise Gone
                await into.add(message.get("body", b""))
                held = self._hold(held, len(into.content))
                if not message.get("more_body", False):
                    into.end()
                    body = bytes(into.content)
                    held = 0  # from here on it is the caller's to release
                    return body
        finally:
            self._held -= held

    def _hold(self, before: int, now: int) -> int:
        if self._held - before + now > self._most:
            raise Problem(503, "too many requests have a body now", headers=_BUSY)
        self._held += now - before
        return now


class _Plain:
    """What came, as it came."""

    def __init__(self, limit: int) -> None:
        self.content = bytearray()
        self._limit = limit

    async def add(self, chunk: bytes) -> None:
        """Take what came next."""
        self._take(chunk)

    def end(self) -> None:
        """There is no more."""

    def _take(self, content: bytes) -> None:
        if len(self.content) + len(content) > self._limit:
            raise _too_large(self._limit)
        self.content += content


class _Gzip(_Plain):
    """What came, unpacked as it comes: no more is unpacked than is allowed."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._unpacking = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)

    async def add(self, chunk: bytes) -> None:
        """Take what came next, on a thread: a little may become much."""
        await run_in_threadpool(self._unpack, chunk)

    def end(self) -> None:
        """There is no more."""
        if not self._unpacking.eof:
            raise Problem(400, "the body ends before its gzip does")

    def _unpack(self, chunk: bytes) -> None:
        if self._unpacking.eof and chunk:
            # More members cost time each, however little is in them; no exporter sends any.
            raise Problem(400, "the body goes on after its gzip: allowed is one member")
        try:
            unpacked = self._unpacking.decompress(chunk, self._limit - len(self.content) + 1)
        except zlib.error as error:
            raise Problem(400, "the body is not the gzip that content-encoding says it is") from error
        self._take(unpacked)
        if self._unpacking.unused_data:
            raise Problem(400, "the body goes on after its gzip: allowed is one member")


def _too_large(limit: int) -> Problem:
    return Problem(413, f"the body is larger than {limit:,} bytes, which is what is allowed here")
