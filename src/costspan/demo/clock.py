"""Simulated time: a month passes in seconds, and every part of the demo reads the same moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

__all__ = ["SimulatedClock"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class SimulatedClock:
    """Stands still until it is set; called as `time.time_ns` is."""

    def __init__(self, now: datetime) -> None:
        self.set(now)

    def __call__(self) -> int:
        """Nanoseconds since the epoch."""
        return self._now_ns

    def set(self, now: datetime) -> None:
        """Make it ``now`` (aware)."""
        self._now_ns = (now - _EPOCH) // _MICROSECOND * 1000
