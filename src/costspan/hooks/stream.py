"""A stream's items on their way to the application: where its end is seen, and where the extra chunk is dropped.

Nothing is buffered. The generators stand between the SDK's own and the application, and end exactly as the SDK's would:
after the last item, at an error, when closed, when dropped.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from costspan.hooks import active
from costspan.hooks.exchange import Exchange
from costspan.hooks.injection import HIDDEN, is_extra

__all__ = ["awatched", "watched"]


def watched(items: Iterator[Any], exchange: Exchange) -> Iterator[Any]:
    """Yield ``items`` less what is hidden, and settle before the application learns that they are over."""
    has_ended, is_dropped, source = False, False, items
    exchange.is_filtering = True
    exchange.by_events = active.target() is not None
    if not exchange.by_events:  # unhooked before the first item: nobody shows us the events
        items = (item for item in source if not (exchange.is_asked and is_extra(item)))
    try:
        exchange.is_advancing = True
        for item in items:
            if item is not HIDDEN:
                exchange.is_advancing = False
                yield item
                exchange.is_advancing = True
        has_ended = True
    except GeneratorExit:
        is_dropped = True  # perhaps by the collector, so it is not to be settled in here
        raise
    except Exception as error:
        exchange.broke(error)
        raise
    finally:
        exchange.is_advancing = False
        if is_dropped:
            exchange.drop()
        else:
            exchange.finish(has_ended=has_ended)
        close = getattr(source, "close", None)
        if close is not None:
            close()  # at once, as a generator closes when it is dropped


async def awatched(items: AsyncIterator[Any], exchange: Exchange) -> AsyncIterator[Any]:
    """Like `watched`, for an asynchronous stream."""
    has_ended, is_dropped, source = False, False, items
    exchange.is_filtering = True
    exchange.by_events = active.target() is not None
    if not exchange.by_events:
        items = (item async for item in source if not (exchange.is_asked and is_extra(item)))
    try:
        exchange.is_advancing = True
        async for item in items:
            if item is not HIDDEN:
                exchange.is_advancing = False
                yield item
                exchange.is_advancing = True
        has_ended = True
    except GeneratorExit:
        is_dropped = True  # perhaps by the collector, so it is not to be settled in here
        raise
    except Exception as error:
        exchange.broke(error)
        raise
    finally:
        exchange.is_advancing = False
        if is_dropped:
            exchange.drop()
        else:
            exchange.finish(has_ended=has_ended)
        close = getattr(source, "aclose", None)
        # One that runs is being closed already: the collector finalizes both generators, each in a task of its own.
        if close is not None and not getattr(source, "ag_running", False):
            await close()  # in the task that read, not in one of the event loop's own
