"""A stream's items on their way to the application: where its end is seen, and where the extra chunk is dropped.

Nothing is buffered. What is closed or dropped before its end is left to the SDK to close, as ever: its body tells us.

An asynchronous stream gets no generator that it would not have. The event loop closes each one that the collector finds,
in a task of its own, and the collector goes on meanwhile where it runs in another thread. One more generator, which
closes the others, is one more to race with.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Any

from costspan.hooks import active
from costspan.hooks.exchange import Exchange
from costspan.hooks.injection import HIDDEN, is_extra
from costspan.hooks.tee import Tee

__all__ = ["awatched", "watched"]

#: Sees an item, and says whether it is to be hidden.
Look = Callable[[Any], bool | None]


def watched(items: Iterator[Any], exchange: Exchange, tee: Tee | None = None) -> Iterator[Any]:
    """Yield ``items`` less what is hidden, and settle before the application learns that they are over.

    Args:
        items: as the SDK parses them; or the bytes of a stream, where the application reads those.
        exchange: whose answer it is.
        tee: looks at the bytes. Without one, the SDK shows each event to ``exchange`` itself.
    """
    look = _begin(exchange, tee)
    exchange.is_advancing = True
    try:
        for item in items:
            if item is not HIDDEN and (look is None or not look(item)):
                exchange.is_advancing = False
                yield item
                exchange.is_advancing = True
    except BaseException as error:
        _stopped(exchange, error)
        raise
    _ended(exchange, tee)


def awatched(items: AsyncIterator[Any], exchange: Exchange, tee: Tee | None = None) -> AsyncIterator[Any]:
    """Like `watched`, for an asynchronous stream."""
    return _AsyncWatched(items, exchange, tee)


class _AsyncWatched:
    """Stands before the SDK's generator and has nothing to close. In all else it is that generator."""

    __slots__ = ("_exchange", "_has_begun", "_is_over", "_look", "_source", "_tee")

    def __init__(self, items: AsyncIterator[Any], exchange: Exchange, tee: Tee | None) -> None:
        self._source = aiter(items)
        self._exchange = exchange
        self._tee = tee
        self._look: Look | None = None
        self._has_begun = False
        self._is_over = False

    def __getattr__(self, name: str) -> Any:
        if name in _AsyncWatched.__slots__ or name.startswith("__"):  # a copy under way has none yet
            raise AttributeError(name)
        return getattr(self._source, name)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        exchange = self._exchange
        if not self._has_begun:
            self._has_begun = True
            self._look = _begin(exchange, self._tee)
        exchange.is_advancing = True
        try:
            async for item in self._source:
                if item is not HIDDEN and (self._look is None or not self._look(item)):
                    exchange.is_advancing = False
                    return item
        except BaseException as error:
            self._stopped(error)
            raise
        if not self._is_over:
            self._is_over = True
            _ended(exchange, self._tee)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Close the generator, where it is one."""
        if isinstance(self._source, AsyncGenerator):
            await self._source.aclose()

    def _stopped(self, error: BaseException) -> None:
        """Unlike a generator's, this iterator's first error need not be its only one."""
        is_shut = isinstance(error, GeneratorExit)
        if not is_shut and getattr(self._source, "ag_running", False):
            return  # another task reads already: this one was told so, and that one goes on
        if not self._is_over:
            self._is_over = True
            _stopped(self._exchange, error)


AsyncGenerator.register(_AsyncWatched)  # httpx2 closes what is one, and leaves other iterators to themselves


def _begin(exchange: Exchange, tee: Tee | None) -> Look | None:
    """The first item is asked for: from here on it is known who reads, and how. Return what is to see each item."""
    if tee is not None:
        return tee.feed
    exchange.is_filtering = True
    exchange.by_events = active.target() is not None
    # Unhooked before the first item: nobody shows us the events.
    return is_extra if exchange.is_asked and not exchange.by_events else None


def _ended(exchange: Exchange, tee: Tee | None) -> None:
    exchange.is_advancing = False
    exchange.finish(has_ended=True) if tee is None else tee.end()


def _stopped(exchange: Exchange, error: BaseException) -> None:
    exchange.is_advancing = False
    if isinstance(error, GeneratorExit):  # whoever read was closed, perhaps by the collector: not to be settled in here
        exchange.drop()
        return
    if isinstance(error, Exception):
        exchange.broke(error)
    exchange.finish()
