"""`costspan serve`: one process of a host that drains, keeps the ledger and answers over HTTP."""

from __future__ import annotations

import signal
import socket
from collections.abc import Sequence

import uvicorn
from prometheus_client import CollectorRegistry

from costspan.exporter.app import create_app
from costspan.exporter.gauges import LedgerGauges
from costspan.exporter.keeping import Keeping
from costspan.exporter.pool import Pool
from costspan.journal import Segment
from costspan.ledger import Drainer, Ledger
from costspan.settings import Settings

__all__ = ["Service"]

#: Applications with COSTSPAN_DRAIN=off give their files up a second after they began.
_ADOPT_EVERY_S = 1.0
_STOP_S = 10.0
#: Seconds that a question under way may take when the service stops.
_GRACE_S = 5


class _NoJournal:
    """This process meters nothing: it drains what others give up, and what the dead left."""

    def segments(self) -> Sequence[Segment]:
        return ()


def _nothing(*_: object) -> None: ...


class Service:
    """Everything that runs while `costspan serve` does.

    Args:
        settings: where ledger and journals are.
        listening: the socket that questions come to, bound to loopback.
    """

    def __init__(self, settings: Settings, listening: socket.socket) -> None:
        self._listening = listening
        self._pool = Pool(lambda: Ledger.connect(settings))
        self._drainer = Drainer(_NoJournal(), settings, adopts_every=_ADOPT_EVERY_S, keeps=False)
        self._keeping = Keeping(self._pool)
        self._gauges = LedgerGauges(self._pool, settings.timezone, settings.daily_budget_usd)
        registry = CollectorRegistry()
        registry.register(self._gauges)
        app = create_app(self._pool, registry)
        config = uvicorn.Config(app, log_level="warning", server_header=False, timeout_graceful_shutdown=_GRACE_S)
        self._server = uvicorn.Server(config)

    def run(self) -> None:
        """Serve until a signal says stop; then drain what is there and leave."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(
                number, _nothing
            )  # the server takes them while it runs, and raises them once more when it ends
        self._drainer.start()
        self._gauges.start()
        self._keeping.start()
        try:
            self._server.run(sockets=[self._listening])
        finally:
            self._gauges.stop(_STOP_S)
            self._keeping.stop(_STOP_S)
            self._drainer.flush(_STOP_S)
            self._drainer.stop(_STOP_S)
            self._pool.close()
