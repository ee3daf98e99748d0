"""What of the journal must be forgotten in a forked child.

A file belongs to the process that opened it. A child that kept its descriptor would keep its lock too, and nobody could
adopt it while the child lives. Closing the descriptor in the child leaves the parent's lock alone; unlocking would not.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol
from weakref import WeakSet

__all__ = ["importing", "on_fork"]


class _Forkable(Protocol):
    def after_fork(self) -> None: ...


_known: WeakSet[_Forkable] = WeakSet()
_imports = threading.Lock()


def on_fork(thing: _Forkable) -> None:
    """Have ``thing.after_fork()`` called in every forked child for as long as it lives."""
    _known.add(thing)


@contextmanager
def importing() -> Iterator[None]:
    """Around an import in a thread: a fork waits for its end.

    A child that was forked in the middle would wait for ever at its own import of the module, as the lock on it belongs
    to a thread that the child does not have.
    """
    with _imports:
        yield


def _after_fork() -> None:
    _imports.release()
    for thing in list(_known):
        thing.after_fork()


os.register_at_fork(before=_imports.acquire, after_in_parent=_imports.release, after_in_child=_after_fork)
