"""`costspan serve`: one process of a host that drains, keeps the ledger and answers over HTTP."""

from __future__ import annotations

import signal
import socket
import time

from prometheus_client import CollectorRegistry

from costspan.exporter.access import Access, is_loopback
from costspan.exporter.app import create_app
from costspan.exporter.gauges import LedgerGauges
from costspan.exporter.keeping import Keeping
from costspan.exporter.keyring import Keyring
from costspan.exporter.pipeline import HostPipeline
from costspan.exporter.pool import Pool
from costspan.exporter.protocol import PunctualServer, configured
from costspan.ledger import Drainer, Ledger, NoJournal
from costspan.settings import Settings

__all__ = ["Service"]

#: Applications with COSTSPAN_DRAIN=off give their files up a second after they began.
_ADOPT_EVERY_S = 1.0
#: Seconds to finish what is under way when it stops, and then to drain. Where Postgres hangs, neither gets further.
_FINISH_S = 5.0
_DRAIN_S = 10.0
#: Connections of the gauges, and seconds that one of their questions waits for one.
_GAUGES = 4
_GAUGES_PATIENCE_S = 30.0


class Service:
    """Everything that runs while `costspan serve` does.

    Args:
        settings: where ledger and journals are.
        listening: the socket that questions come to. Where it is bound to loopback, more is trusted.
        token: an administrator's for as long as this runs; none when not given.
    """

    def __init__(self, settings: Settings, listening: socket.socket, *, token: str | None = None) -> None:
        # The event loop sets it for sockets of its own only; without it an answer waits 40 ms for an acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._listening = listening
        self._pool = Pool(lambda: Ledger.connect(settings))
        self._drainer = Drainer(NoJournal(), settings, adopts_every=_ADOPT_EVERY_S, keeps=False)
        self._keeping = Keeping(self._pool)
        # Of their own: neither do slow questions of users keep alerts waiting, nor the gauges' those of users.
        self._gauges_pool = Pool(lambda: Ledger.connect(settings), size=_GAUGES, patience=_GAUGES_PATIENCE_S)
        self._gauges = LedgerGauges(self._gauges_pool, settings.timezone, settings.daily_budget_usd)
        registry = CollectorRegistry()
        registry.register(self._gauges)
        registry.register(HostPipeline(self._drainer, settings.journal_path))
        # Of its own: who keeps every other connection busy must not keep a token alive that was revoked.
        self._keyring_pool = Pool(lambda: Ledger.connect(settings), size=1)
        access = Access(
            Keyring(self._keyring_pool, own=token),
            is_local=is_loopback(listening.getsockname()[0]),
            is_open=settings.open_on_loopback,
            has_open_metrics=settings.metrics_open,
        )
        config = configured(create_app(self._pool, registry, settings, access=access))
        self._server = PunctualServer(config, self._pool, self._keyring_pool)

    def run(self) -> None:
        """Serve until a signal says stop; then drain what is there and leave."""
        for number in (signal.SIGINT, signal.SIGTERM):
            # The server takes them while it runs, and raises them once more when it ends; one that comes before that counts.
            signal.signal(number, self._stop)
        self._drainer.start()
        self._gauges.start()
        self._keeping.start()
        try:
            self._server.run(sockets=[self._listening])
        finally:
            self._end()

    def _end(self) -> None:
        until = time.monotonic() + _FINISH_S
        self._gauges.stop(_FINISH_S)
        self._keeping.stop(max(0.0, until - time.monotonic()))
        pools = (self._gauges_pool, self._keyring_pool, self._pool)
        for pool in pools:
            pool.hang_up()  # else the process would live as long as a question of a server that hangs
        until = time.monotonic() + _DRAIN_S
        self._drainer.flush(_DRAIN_S)
        self._drainer.stop(max(0.0, until - time.monotonic()))
        for pool in pools:
            pool.close()

    def _stop(self, *_: object) -> None:
        self._server.should_exit = True
