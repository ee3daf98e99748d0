"""The body of an unread answer: told when it is closed, and looked at where nobody parses it for the application.

It takes the place of ``response.stream``, a public seam of httpx and httpx2 that pickling leaves out. A stream that the
SDK parses passes untouched: the tee is for `with_streaming_response` and for middleware that reads bytes.
"""

from __future__ import annotations

import types
from collections.abc import AsyncIterator, Iterator
from typing import Any

from costspan.hooks.exchange import Exchange
from costspan.hooks.stream import awatched, watched
from costspan.hooks.tee import Tee

__all__ = ["read", "wrap"]

_FAMILIES = ("SyncByteStream", "AsyncByteStream")
_kinds: dict[type, type | None] = {}


def wrap(response: Any, exchange: Exchange) -> None:
    """Put ourselves before ``response.stream``."""
    inner = response.stream
    kind = _kind(type(inner))
    if kind is not None:
        response.stream = kind(inner, exchange, response)


def read(response: Any, exchange: Exchange) -> None:
    """Look at a stream that is in memory already, before the application does."""
    tee = Tee(exchange, response.headers)
    tee.feed(response.content)
    tee.end()


def _kind(inner: type) -> type | None:
    """A class of the same families as ``inner``: `Response` tells a sync body from an async one by them."""
    if inner not in _kinds:
        families = tuple(base for base in inner.__mro__ if base.__name__ in _FAMILIES)
        _kinds[inner] = types.new_class("MeteredBody", (_Body, *families)) if families else None
    return _kinds[inner]


class _Body:
    """What every kind has in common. Attributes of the body itself, such as ``elapsed``, are still found."""

    def __init__(self, inner: Any, exchange: Exchange, response: Any) -> None:
        self._inner = inner
        self._exchange = exchange
        self._headers = response.headers
        self._family = type(response).__module__.partition(".")[0]
        #: The anthropic SDK asks for it with each item of a stream, which `__getattr__` makes dear where there is none.
        self.stream_observer = getattr(inner, "stream_observer", None)

    def __getattr__(self, name: str) -> Any:
        if name == "_inner" or name.startswith("__"):  # a copy under way has no body yet
            raise AttributeError(name)
        return getattr(self._inner, name)

    def __iter__(self) -> Iterator[bytes]:
        chunks = iter(self._inner)
        return chunks if self._exchange.by_events else watched(chunks, self._exchange, self._tee())

    def __aiter__(self) -> AsyncIterator[bytes]:
        chunks: AsyncIterator[bytes] = self._inner.__aiter__()
        return chunks if self._exchange.by_events else awatched(chunks, self._exchange, self._tee())

    def close(self) -> None:
        self._exchange.drop()
        self._inner.close()

    async def aclose(self) -> None:
        self._exchange.drop()
        await self._inner.aclose()

    def __del__(self) -> None:
        # The response was dropped. Its request need not be: a connection pool keeps it until the body is closed.
        # Not by `__dict__`: made in here, it would look to the collector as if the body were in use again.
        exchange = getattr(self, "_exchange", None)
        if exchange is not None:
            exchange.is_advancing = False
            exchange.drop()

    def _tee(self) -> Tee:
        return Tee(self._exchange, self._headers, self._family)
