"""The host's pipeline: what waits in its journals, what this server moved into the ledger, and what went wrong.

A process that meters tells of its own; what is dead or hands its journal over has nobody else to tell of it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from costspan.guard import failures
from costspan.journal.file import SUFFIX
from costspan.sinks import names

if TYPE_CHECKING:
    from costspan.ledger import Drainer

__all__ = ["HostPipeline"]


class HostPipeline(Collector):
    """Counts at each scrape; nothing is kept twice, and the ledger is not asked.

    Args:
        drainer: of this server.
        directory: the host's journals.
    """

    def __init__(self, drainer: Drainer, directory: Path) -> None:
        self._drainer = drainer
        self._directory = directory

    def collect(self) -> Iterator[Metric]:
        """Yield the pipeline's metrics, by the names that processes use for their own."""
        stats = self._drainer.stats
        events = CounterMetricFamily(names.EVENTS, "Attempts that were moved into the ledger.", labels=("state",))
        events.add_metric(("landed",), stats.calls)
        events.add_metric(("duplicate",), stats.duplicates)
        events.add_metric(("unsettled",), stats.unsettled)
        events.add_metric(("quarantined",), stats.quarantined)
        yield events
        yield GaugeMetricFamily(names.JOURNAL_BYTES, "Bytes of all journals in the folder.", value=self._bytes())
        oldest = self._drainer.oldest_ns
        age = max(0.0, time.time() - oldest / 1e9) if oldest else 0.0
        yield GaugeMetricFamily(
            names.JOURNAL_AGE, "Age of the oldest record given up and not in the ledger.", value=age
        )
        errors = CounterMetricFamily(names.INTERNAL_ERRORS, "Failures of costspan itself.", labels=("where",))
        for where, number in sorted({"drain": stats.errors, **failures}.items()):
            errors.add_metric((where,), number)
        yield errors

    def describe(self) -> Iterator[Metric]:
        """Nothing: registering reads no folder."""
        return iter(())

    def _bytes(self) -> int:
        used = 0
        with suppress(OSError), os.scandir(self._directory) as entries:  # none yet, or not this user's to see
            for entry in entries:
                if entry.name.endswith(SUFFIX):
                    with suppress(OSError):  # drained meanwhile
                        used += entry.stat(follow_symlinks=False).st_size
        return used
