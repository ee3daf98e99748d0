"""The pipeline about itself: what was announced, what became of it, what is waiting, what went wrong."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from costspan.event import Outcome
from costspan.guard import failures
from costspan.sinks import names

if TYPE_CHECKING:
    from costspan.journal import Journal
    from costspan.sinks.prometheus import PrometheusSink

__all__ = ["Drained", "PipelineCollector"]

_ENDINGS = frozenset(outcome.value for outcome in Outcome)


class Drained(Protocol):
    """What the collector asks of the thread that writes to the ledger."""

    calls: int
    """Calls that it has written."""
    quarantined: int
    """Records that it could not write, and has put aside."""


class PipelineCollector(Collector):
    """Reads everybody's own counts at each scrape; nothing is kept twice."""

    def __init__(
        self, registry: CollectorRegistry, counters: PrometheusSink, journal: Journal, drained: Drained | None
    ) -> None:
        self._registry = registry
        self._counters = counters
        self._journal = journal
        self._drained = drained
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yield the pipeline's metrics. In a process at rest: opened = settled + failed + unanswered."""
        journal = self._journal.stats
        events = CounterMetricFamily(names.EVENTS, "Attempts, by what became of them.", labels=("state",))
        states = {"opened": journal.intents, "settled": 0, "failed": 0, "unanswered": 0, "dropped": journal.dropped}
        for state, number in (states | self._endings()).items():
            events.add_metric((state,), number)
        if self._drained is not None:
            events.add_metric(("landed",), self._drained.calls)
            events.add_metric(("quarantined",), self._drained.quarantined)
        yield events
        yield CounterMetricFamily(
            names.CACHE_DROPPED, "Look-ups in caches that found no room in the journal.", value=journal.uses_dropped
        )
        yield GaugeMetricFamily(names.ATTEMPTS_OPEN, "Attempts that are on their way.", value=journal.open_intents)
        yield GaugeMetricFamily(names.JOURNAL_BYTES, "Bytes of this process's journal on disk.", value=journal.bytes)
        age = max(0.0, time.time() - journal.oldest_ns / 1e9) if journal.oldest_ns else 0.0
        yield GaugeMetricFamily(names.JOURNAL_AGE, "Age of the oldest record that is not in the ledger.", value=age)
        errors = CounterMetricFamily(names.INTERNAL_ERRORS, "Failures of costspan itself.", labels=("where",))
        for where, number in sorted({"journal": journal.io_errors, **failures}.items()):
            errors.add_metric((where,), number)
        yield errors

    def describe(self) -> Iterator[Metric]:
        """Names only: registering reads no file."""
        yield CounterMetricFamily(names.EVENTS, "")
        yield CounterMetricFamily(names.CACHE_DROPPED, "")
        yield GaugeMetricFamily(names.ATTEMPTS_OPEN, "")
        yield GaugeMetricFamily(names.JOURNAL_BYTES, "")
        yield GaugeMetricFamily(names.JOURNAL_AGE, "")
        yield CounterMetricFamily(names.INTERNAL_ERRORS, "")

    def close(self) -> None:
        """Take the metrics off the registry again."""
        self._registry.unregister(self)

    def _endings(self) -> Counter[str]:
        """What became of the attempts, summed over all labels: every status of a billed one is `settled`."""
        found: Counter[str] = Counter()
        for metric in self._counters.calls.collect():
            for sample in metric.samples:
                if sample.name.endswith("_total"):
                    status = sample.labels["status"]
                    found[status if status in _ENDINGS else "settled"] += int(sample.value)
        return found
