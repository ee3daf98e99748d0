"""Which tokens count: read from the ledger all at once and kept for some seconds, so that a request costs no query.

A wrong token costs none either: however many are tried, the ledger is asked once a second.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool

from costspan.errors import LedgerError, LedgerUnavailable
from costspan.exporter.pool import Pool
from costspan.ledger.token import LiveToken, digest_of

__all__ = ["Caller", "Keyring"]

logger = logging.getLogger("costspan")
#: A token that is revoked still counts for so long: the age of what is kept, and the time of a reading.
_FRESH_S = 5.0
#: A token that is not known may have been made just now.
_AGAIN_S = 1.0
#: Nobody waits longer for a reading.
_PATIENCE_S = 2.0
#: While the ledger is away, what it said last counts: else nobody could be told that it is away.
_AWAY_S = 600.0


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks."""

    name: str
    """That of the token."""
    tenant: str | None
    """Whose calls are seen. None: everybody's, by an administrator, who may also change things."""


@dataclass(frozen=True, slots=True)
class _Key:
    caller: Caller
    until: float
    """Seconds of the clock."""


class Keyring:
    """Knows tokens. For one event loop.

    Args:
        pool: where ledgers are lent.
        own: a token of an administrator's that this process made for itself, and which is nowhere else.
        clock: seconds that only grow.
    """

    def __init__(self, pool: Pool, *, own: str | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._own = None if own is None else digest_of(own)
        self._clock = clock
        self._keys: Mapping[bytes, _Key] = {}
        self._read_at = self._tried_at = -math.inf
        self._reading: asyncio.Task[None] | None = None

    async def caller(self, token: str) -> Caller | None:
        """Return who shows ``token``; None when it does not count.

        Raises:
            LedgerUnavailable: nobody can say now.
        """
        digest = digest_of(token)
        if digest is None:
            return None
        if self._own is not None and hmac.compare_digest(digest, self._own):
            return Caller("costspan serve", None)
        is_known = digest in self._keys
        if self._clock() - self._tried_at > (_FRESH_S if is_known else _AGAIN_S):
            await self._read()
        elif not is_known:
            await self._read_already()
        key = self._keys.get(digest)
        now = self._clock()
        if now - self._read_at > _AWAY_S or (key is None and self._read_at != self._tried_at):
            raise LedgerUnavailable("the ledger is away, and who asks cannot be told without it")
        return key.caller if key is not None and now < key.until else None

    async def _read(self) -> None:
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._replace())
        await self._read_already()

    async def _read_already(self) -> None:
        """Wait for the reading that is under way, if one is."""
        if self._reading is not None and not self._reading.done():
            # Not longer than one's patience: the ledger may hang, and what is known counts meanwhile.
            await asyncio.wait([self._reading], timeout=_PATIENCE_S)

    async def _replace(self) -> None:
        self._tried_at = begun = self._clock()
        try:
            live = await run_in_threadpool(self._live)
        except LedgerError as error:
            logger.warning("costspan: tokens cannot be read (%s: %s)", type(error).__name__, error)
            return
        self._keys = {
            digest: _Key(Caller(name, tenant), math.inf if left is None else begun + left)
            for digest, name, tenant, left in live
        }
        self._read_at = begun

    def _live(self) -> tuple[LiveToken, ...]:
        with self._pool.ledger() as ledger:
            return ledger.tokens.live()
