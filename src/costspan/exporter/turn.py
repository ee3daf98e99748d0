"""How much is worked on at once for somebody: one tenant's slow questions must leave connections to the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass

__all__ = ["Turns"]


@dataclass(slots=True)
class _Turn:
    free: asyncio.Semaphore
    users: int = 0
    """Who has it or waits for it."""


class Turns:
    """Lets ``most`` of a key go on at once; the others of that key wait. For one event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._turns: dict[Hashable, _Turn] = {}

    @asynccontextmanager
    async def of(self, key: Hashable) -> AsyncIterator[None]:
        """Wait for a turn, and have it until the end of the block."""
        turn = self._turns.setdefault(key, _Turn(asyncio.Semaphore(self._most)))
        turn.users += 1
        try:
            async with turn.free:
                yield
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[key]
