"""Keeps the ledger small on a schedule of its own, whether or not there is anything to drain."""

from __future__ import annotations

import logging
import threading

from costspan.errors import LedgerError
from costspan.exporter.pool import Pool
from costspan.ledger.upkeep import Upkeep

__all__ = ["Keeping"]

logger = logging.getLogger("costspan")
#: More often than any application's drain, so that these find nothing left to do.
_EVERY_S = 600.0
_LOOK_EVERY_S = 5.0


class Keeping:
    """A thread that compacts what is due, and drops what is too old, from its start on."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._upkeep = Upkeep(first_after=0.0, every=_EVERY_S)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="costspan-keeping", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End after the piece that is under way; wait ``timeout`` seconds at the most."""
        self._stopping.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopping.is_set():
            has_more = False
            try:
                with self._pool.ledger() as ledger:
                    has_more = self._upkeep.work(ledger)
            except LedgerError as error:  # connecting; what upkeep itself meets, it tells
                logger.debug("costspan: the ledger is away, so it is not compacted now (%s)", error)
            if not has_more:
                self._stopping.wait(_LOOK_EVERY_S)
