"""Several connections to one ledger, so that a slow question keeps nobody else waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, LifoQueue

from costspan.errors import LedgerUnavailable
from costspan.ledger import Ledger

__all__ = ["Pool"]

_STOPPING = "the server is stopping"


class Pool:
    """At most ``size`` ledgers, opened when they are needed. Safe for threads.

    Args:
        connect: opens one.
        size: connections to Postgres at the most.
        patience: seconds to wait for a free one.
    """

    def __init__(self, connect: Callable[[], Ledger], *, size: int = 8, patience: float = 5.0) -> None:
        self._connect = connect
        self._patience = patience
        # Last in, first out: what is idle stays idle, and the ones in use stay warm.
        self._free: LifoQueue[Ledger | None] = LifoQueue()
        for _ in range(size):
            self._free.put(None)
        self._lock = threading.Lock()
        self._lent: set[Ledger] = set()
        self._is_stopping = False

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """Lend a ledger.

        Raises:
            LedgerUnavailable: all are in use for longer than the patience, Postgres is away, or it was hung up.
            LedgerError: as `Ledger.connect`.
        """
        try:
            ledger = self._free.get(timeout=self._patience)
        except Empty:
            raise LedgerUnavailable("every connection to the ledger is busy") from None
        try:
            if ledger is None and not self._is_stopping:
                ledger = self._connect()
            yield self._lend(ledger)
        except LedgerUnavailable:
            if self._is_stopping:
                raise LedgerUnavailable(_STOPPING) from None
            raise
        finally:
            with self._lock:
                self._lent.discard(ledger)
            self._free.put(ledger)

    def hang_up(self) -> None:
        """Lend no more, and end what is asked now: who asks gets `LedgerUnavailable`."""
        with self._lock:
            self._is_stopping = True
            for ledger in self._lent:
                ledger.hang_up()

    def close(self) -> None:
        """Close what nobody uses."""
        while True:
            try:
                ledger = self._free.get_nowait()
            except Empty:
                return
            if ledger is not None:
                ledger.close()

    def _lend(self, ledger: Ledger | None) -> Ledger:
        with self._lock:
            if ledger is None or self._is_stopping:
                raise LedgerUnavailable(_STOPPING)
            self._lent.add(ledger)
            return ledger
