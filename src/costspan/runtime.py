"""The parts of a process put together: one journal, one price book, one set of counters, one drain.

Made at the first need, by `costspan.instrument()` or by any function that meters, and once per process. A forked child
keeps the object; journal and drain renew themselves in it.
"""

from __future__ import annotations

import atexit
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import HTTPServer
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, CollectorRegistry

from costspan import hooks
from costspan.errors import ConfigurationError
from costspan.guard import guard
from costspan.journal import Journal
from costspan.journal.forks import importing
from costspan.meter import Meter
from costspan.pricing import PriceBook
from costspan.settings import Settings
from costspan.sinks.otel_metrics import OtelMetrics
from costspan.sinks.pipeline import PipelineCollector
from costspan.sinks.prometheus import PrometheusSink

if TYPE_CHECKING:
    from costspan.ledger import Drainer, Ledger

__all__ = ["Runtime", "running", "start", "stop"]

logger = logging.getLogger("costspan")
#: How long a leaving process waits for its last rows to land. What does not land stays in the journal.
_EXIT_S = 2.0


class Runtime:
    """Everything that meters in this process."""

    def __init__(
        self,
        settings: Settings,
        *,
        registry: CollectorRegistry = REGISTRY,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.settings = settings
        self.journal = Journal(
            settings.journal_path,
            max_bytes=settings.journal_max_bytes,
            sync=settings.journal_sync,
            # Who does not drain gives its files up, a second after they began, for another process to adopt.
            handoff_seconds=None if settings.drain == "thread" else 1.0,
        )
        self.counters = PrometheusSink(registry, max_label_values=settings.max_label_values)
        otel = OtelMetrics() if settings.otel_metrics else None
        self.meter = Meter(self.journal, _book(settings), self.counters, tenant=settings.tenant, clock=clock, otel=otel)
        self.drainer: Drainer | None = None
        self.servers: list[HTTPServer] = []
        """Of `/metrics`; they end with the runtime."""
        self._is_warm = False
        if settings.drain == "thread":
            from costspan.ledger import Drainer  # noqa: PLC0415  # psycopg is loaded by who drains, not by who meters

            self.drainer = Drainer(self.journal, settings)
            self.drainer.start()
            self.meter.wake = self.drainer.wake
        drained = self.drainer.stats if self.drainer is not None else None
        self.pipeline = PipelineCollector(registry, self.counters, self.journal, drained)

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """A connection to the ledger, after this process's own rows have landed (waits 5 s for them at the most)."""
        from costspan.ledger import Ledger  # noqa: PLC0415  # as above

        if self.drainer is not None and not self.drainer.stats.is_away:
            self.drainer.flush(5.0)
        ledger = Ledger.connect(self.settings)
        try:
            yield ledger
        finally:
            ledger.close()

    def warm(self) -> None:
        """Load the price list on a thread, so that the first call does not wait for it."""
        if not self._is_warm:
            self._is_warm = True
            threading.Thread(target=self._warm, name="costspan-warm", daemon=True).start()

    def _warm(self) -> None:
        with guard("warm"), importing():
            self.meter.book.warm()

    def close(self, timeout: float) -> None:
        """Drain for ``timeout`` seconds at the most, and release everything. The journal keeps what did not land."""
        end = time.monotonic() + timeout
        for server in self.servers:
            server.shutdown()
            server.server_close()
        if self.drainer is not None:
            if not self.drainer.stats.is_away:  # else there is nothing to wait for
                self.drainer.flush(timeout)
            self.drainer.stop(max(0.0, end - time.monotonic()))
        self.journal.shutdown()
        left = self.journal.stats.in_memory
        if left:
            logger.warning(
                "costspan: %d calls could be kept nowhere but in this process's memory, and end with it", left
            )
        self.pipeline.close()
        self.counters.close()
        embedded = sys.modules.get("costspan.ledger.embedded")  # where it was never loaded it was never used
        if embedded is not None and not self.settings.database_url:
            embedded.release(self.settings.state_dir)


_lock = threading.RLock()
_running: Runtime | None = None


def start(
    settings: Settings | None = None,
    *,
    registry: CollectorRegistry | None = None,
    clock: Callable[[], int] | None = None,
) -> Runtime:
    """Return the process's runtime, made now if there is none. Arguments count only for the one that makes it."""
    global _running  # noqa: PLW0603  # one runtime per process is the point of this module
    with _lock:
        if _running is None:
            _running = Runtime(settings or _settings(), registry=registry or REGISTRY, clock=clock or time.time_ns)
            atexit.register(_at_exit)
        return _running


def running() -> Runtime:
    """Return the process's runtime, made with the environment's settings if there is none."""
    return _running or start()


def stop(timeout: float = _EXIT_S) -> None:
    """Close the process's runtime, if there is one."""
    global _running  # as above
    with _lock:
        runtime, _running = _running, None
        if runtime is not None:
            atexit.unregister(_at_exit)
            runtime.close(timeout)


def _at_exit() -> None:
    hooks.settle_streams()
    stop()


def _settings() -> Settings:
    settings, problems = Settings.usable()
    if problems:
        logger.warning("costspan goes on with the default for what it cannot use: %s", "; ".join(problems))
    return settings


def _book(settings: Settings) -> PriceBook:
    try:
        return PriceBook.load(settings.prices)
    except ConfigurationError as error:
        logger.warning("costspan goes on with list prices: %s", error)
        return PriceBook.load(None)
