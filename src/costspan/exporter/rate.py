"""How often somebody may ask: a burst, and then so many a second."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

__all__ = ["Rate"]


class Rate:
    """Counts by key; who was not seen for longest is forgotten when there are too many.

    Args:
        per_second: how many are allowed in the long run.
        burst: how many at once.
        most: keys that are remembered.
        clock: seconds that only grow.
    """

    def __init__(
        self, per_second: float, burst: int, *, most: int = 20_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._each = 1 / per_second
        self._room = (burst - 1) * self._each
        self._most = most
        self._clock = clock
        #: When all that a key has asked for would have been asked for, had it kept to the rate.
        self._due: OrderedDict[Hashable, float] = OrderedDict()

    def take(self, key: Hashable) -> float:
        """Count one of ``key``; return 0, or the seconds until one is allowed again, and then count none."""
        now = self._clock()
        due = max(now, self._due.pop(key, now))
        wait = due - now - self._room
        self._due[key] = due if wait > 0 else due + self._each
        if len(self._due) > self._most:
            self._due.popitem(last=False)
        return max(0.0, wait)
