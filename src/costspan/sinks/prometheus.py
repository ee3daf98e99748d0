"""Counters in the process: cost, tokens, calls, durations and cache results, with bounded label sets.

They are for rates, latency and exemplars. What a day cost is the ledger's to say: a counter cannot (it starts at 0 with
the process, and `increase()` misses its first value).
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from time import monotonic
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram

from costspan.sinks import names
from costspan.text import clean

if TYPE_CHECKING:
    from costspan.event import CallEvent, Intent, Outcome
    from costspan.sinks.spans import CallSpan

__all__ = ["PrometheusSink"]

#: The GenAI conventions' buckets of an operation's duration.
_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
#: Label sets per metric, for each label value allowed: tenants x models x features that really occur together.
_SETS_PER_VALUE = 5
#: Seconds between two exemplars of one label set and bucket. A scrape shows the last one only, and checking each costs
#: prometheus_client as much as counting the whole call does.
_LINK_EVERY_S = 1.0
_PICO = 10**12
_Labels = tuple[str, str, str, str, str]


class _Children:
    """The label children of one label set, made once: looking them up costs prometheus_client 2 us each time."""

    __slots__ = ("calls", "cost", "duration", "labels", "linked", "tokens")

    def __init__(self, sink: PrometheusSink, labels: _Labels) -> None:
        self.labels = labels
        self.cost = sink.cost.labels(*labels)
        self.duration = sink.duration.labels(*labels)
        self.tokens: dict[str, Counter] = {}
        self.calls: dict[str, Counter] = {}
        self.linked = [float("-inf")] * (len(_SECONDS) + 1)
        """By bucket, when it last got an exemplar."""

    def exemplar(self, span: CallSpan, seconds: float) -> dict[str, str] | None:
        """The link to a call's trace; None where a call of about its duration was linked a moment ago."""
        bucket, now = bisect_left(_SECONDS, seconds), monotonic()
        if now - self.linked[bucket] < _LINK_EVERY_S:
            return None
        found = span.exemplar
        if found is not None:
            self.linked[bucket] = now
        return found


class PrometheusSink:
    """The process's metrics on one registry.

    Args:
        registry: the default one, or the user's.
        max_label_values: distinct models, tenants and features each; what comes later is counted as ``overflow``.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY, *, max_label_values: int = 100) -> None:
        self.registry = registry
        self._max_values = max_label_values
        self._max_sets = max_label_values * _SETS_PER_VALUE
        self._lock = threading.Lock()
        self._children: dict[_Labels, _Children] = {}
        self._values: dict[str, set[str]] = {name: set() for name in names.CALL_LABELS}
        labels = names.CALL_LABELS
        self.cost = Counter(names.COST, "Dollars spent on AI calls.", labels, registry=registry)
        self.tokens = Counter(names.TOKENS, "Tokens by disjoint type.", (*labels, "type"), registry=registry)
        self.calls = Counter(
            names.CALLS, "Calls by how far their cost is known.", (*labels, "status"), registry=registry
        )
        self.duration = Histogram(
            names.DURATION,
            "Seconds from request to the end of the answer.",
            labels,
            buckets=_SECONDS,
            registry=registry,
        )
        self.cache_requests = Counter(
            names.CACHE_REQUESTS, "Look-ups in the application's own caches.", ("cache", "result"), registry=registry
        )
        self.cache_avoided = Counter(
            names.CACHE_AVOIDED, "Dollars that cache hits did not cost.", ("cache",), registry=registry
        )
        self.overflowed = Counter(
            names.LABELS_OVERFLOWED,
            "Calls counted under 'overflow' to bound label sets.",
            ("label",),
            registry=registry,
        )

    def record(self, event: CallEvent, span: CallSpan | None) -> None:
        """Count a settled call. Where ``span`` is sampled, an exemplar links cost and duration to it."""
        labels = (event.service, event.model, event.operation, event.tenant, event.feature)
        children = self._children.get(labels) or self._admit(labels)
        status = children.calls.get(event.status)
        if status is None:
            status = children.calls[event.status] = self.calls.labels(*children.labels, event.status)
        status.inc()
        seconds = event.duration_ms / 1000
        exemplar = children.exemplar(span, seconds) if span is not None else None
        children.duration.observe(seconds, exemplar)
        if event.cost_pico:
            children.cost.inc(event.cost_pico / _PICO, exemplar)
        for unit, quantity in event.quantities.items():
            counter = children.tokens.get(unit)
            if counter is None:
                if not unit.endswith("_tokens"):
                    continue
                kind = unit.removesuffix("_tokens")
                counter = children.tokens[unit] = self.tokens.labels(*children.labels, kind)
            counter.inc(quantity)

    def ended(self, intent: Intent, outcome: Outcome) -> None:
        """Count an attempt that ended without usage."""
        children = self._admit((intent.service, intent.model, intent.operation, intent.tenant, intent.feature))
        self.calls.labels(*children.labels, outcome.value).inc()

    def cache(self, cache: object, result: str, avoided_pico: int = 0) -> None:
        """Count a look-up in an application's cache; ``avoided_pico`` is what the hit did not cost."""
        name = self._bounded("cache", clean(cache))
        self.cache_requests.labels(name, result).inc()
        if avoided_pico:
            self.cache_avoided.labels(name).inc(avoided_pico / _PICO)

    def close(self) -> None:
        """Take every metric off the registry again."""
        for metric in (
            self.cost,
            self.tokens,
            self.calls,
            self.duration,
            self.cache_requests,
            self.cache_avoided,
            self.overflowed,
        ):
            self.registry.unregister(metric)

    def _admit(self, labels: _Labels) -> _Children:
        """Find the children of these labels, or make them within the caps."""
        with self._lock:
            service, model, operation, tenant, feature = map(self._capped, names.CALL_LABELS, labels)
            bounded = (service, model, operation, tenant, feature)
            if bounded not in self._children and len(self._children) >= self._max_sets:
                self.overflowed.labels("set").inc()
                bounded = (service, names.OVERFLOW, names.OVERFLOW, names.OVERFLOW, names.OVERFLOW)
            children = self._children.get(bounded)
            if children is None:
                children = self._children[bounded] = _Children(self, bounded)
            return children

    def _bounded(self, label: str, value: str) -> str:
        with self._lock:
            return self._capped(label, value)

    def _capped(self, label: str, value: str) -> str:
        values = self._values.setdefault(label, set())
        if value in values:
            return value
        if len(values) >= self._max_values:
            self.overflowed.labels(label).inc()
            return names.OVERFLOW
        values.add(value)
        return value
