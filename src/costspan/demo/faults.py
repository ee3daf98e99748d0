"""Failures that come by the calendar: every so many requests the server refuses one, so the SDK's retries happen.

They are counted, not drawn, and never come in a row: two runs see the same ones, and no call fails for good.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

__all__ = ["ANTHROPIC_FAULTS", "OPENAI_FAULTS", "Fault", "Faults"]


@dataclass(frozen=True, slots=True)
class Fault:
    """A refusal as the provider words it."""

    status: int
    kind: str
    message: str


#: `retry-after: 0` makes both SDKs wait half a second of real time; a millisecond keeps the demo brisk.
RETRY_HEADERS = {"retry-after": "0", "retry-after-ms": "1"}

OPENAI_FAULTS = (
    Fault(429, "rate_limit_exceeded", "Rate limit reached for requests. Please try again in 1ms."),
    Fault(500, "server_error", "The server had an error while processing your request. Sorry about that!"),
    Fault(503, "server_overloaded", "That model is currently overloaded with other requests."),
)
ANTHROPIC_FAULTS = (
    Fault(429, "rate_limit_error", "This request would exceed your organization's rate limit."),
    Fault(529, "overloaded_error", "Overloaded"),
    Fault(500, "api_error", "Internal server error"),
)


class Faults:
    """Says which request fails: each ``every``-th, with the kinds in turn. 0 means none does."""

    def __init__(self, kinds: tuple[Fault, ...], *, every: int) -> None:
        self._kinds = kinds
        self._every = every
        self._arrived = itertools.count(1)

    def draw(self) -> Fault | None:
        """The fault of the request that arrives now, or None. Safe to call from many threads."""
        if not self._every:
            return None
        arrived = next(self._arrived)
        if arrived % self._every:
            return None
        return self._kinds[(arrived // self._every - 1) % len(self._kinds)]
