"""Streams that were closed or dropped before their end: settled away from the garbage collector.

The collector runs in the middle of anything: of an import, under a lock of the journal or of a metric that the same
thread holds. It finalizes objects, and it closes generators, whose ``finally`` closes responses. So all of these only
`leave` an exchange in a queue; a sleeping daemon thread settles it, within the millisecond. Where threads are not to be
had the next call does it, and the end of the process at the latest.
"""

from __future__ import annotations

import os
import threading
import weakref
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from costspan.event import Outcome
from costspan.guard import guard

if TYPE_CHECKING:
    from costspan.hooks.exchange import Exchange

__all__ = ["leave", "rest", "settle_all", "settle_left", "watch"]

_left: SimpleQueue[Exchange | None] = SimpleQueue()
_open: weakref.WeakSet[Exchange] = weakref.WeakSet()
_thread: threading.Thread | None = None
_REST_S = 2.0


def leave(exchange: Exchange) -> None:
    """Queue an exchange that nobody holds any more. Safe inside ``__del__``."""
    _left.put(exchange)


def watch(exchange: Exchange) -> None:
    """Remember an open stream, so that the end of the process settles it, and have somebody settle it if it is dropped."""
    global _thread  # noqa: PLW0603  # one for the process, from the first stream on
    _open.add(exchange)
    if _thread is None:
        thread = threading.Thread(target=_run, args=(_left,), name="costspan-abandoned", daemon=True)
        thread.start()
        _thread = thread


def rest() -> None:
    """Let the thread go: no stream will begin. One that is open and then dropped is settled at the end of the process."""
    global _thread  # noqa: PLW0603  # as above
    if _thread is not None:
        _left.put(None)
        _thread.join(timeout=_REST_S)
        _thread = None


def settle_left() -> None:
    """Settle what was dropped. Costs nothing where nothing was."""
    while not _left.empty():
        try:
            exchange = _left.get_nowait()
        except Empty:  # another thread was faster
            return
        if exchange is None:  # meant for the thread
            _left.put(None)
            return
        _settle(exchange)


def settle_all() -> None:
    """Settle every stream that is open or was dropped, by what was seen of it: nobody will read on."""
    settle_left()
    for exchange in list(_open):
        _settle(exchange)


def _settle(exchange: Exchange) -> None:
    exchange.is_advancing = False  # whoever waited for the next item is gone
    with guard("hooks.abandoned"):
        if exchange.is_streaming:
            exchange.finish()
        else:
            exchange.end(Outcome.UNANSWERED, "the answer never came")


def _run(queue: SimpleQueue[Exchange | None]) -> None:
    while (exchange := queue.get()) is not None:
        _settle(exchange)
        del exchange  # or the last one would live until the next


def _forked() -> None:
    global _left, _open, _thread  # the parent's streams are the parent's to settle
    _left, _open, _thread = SimpleQueue(), weakref.WeakSet(), None


os.register_at_fork(after_in_child=_forked)
