"""What Prometheus is told of a day's calls by model: what is not known, how well the rest is, and where the money went.

All of it is one question to the ledger, and two servers over one ledger tell the same. An alert names the dearest models, so that who reads it knows where to look.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from prometheus_client.core import Metric

from costspan.exporter.exposition import Gauge
from costspan.ledger import Dimension, SummaryRow
from costspan.sinks import names

__all__ = ["BY", "calls_by_status", "dearest_models", "unpriced_calls"]

#: What the sums must be broken down by.
BY = ("tenant", "service", "model")
#: Models of a tenant that are named.
_DEAREST = 3


def unpriced_calls(rows: Iterable[SummaryRow], limit: int) -> Metric:
    """Calls whose price nobody knows, of the ``limit`` models that have most of them."""
    metric = Gauge(names.UNPRICED_TODAY, "Calls of the day whose price nobody knows.", labels=BY)
    for row in sorted((row for row in rows if row.unpriced), key=lambda row: (-row.unpriced, _keys(row)))[:limit]:
        metric.add_metric(_keys(row), row.unpriced)
    return metric


def calls_by_status(rows: Iterable[SummaryRow], limit: int) -> Metric:
    """Calls by how well their cost is known, of the ``limit`` busiest tenants; of all others together as `overflow`."""
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        found[_keys(row)[0]].update({status.value: calls for status, calls in row.calls_by_status.items() if calls})
    busiest = sorted(found.items(), key=lambda item: (-item[1].total(), item[0]))
    rest = sum((calls for _, calls in busiest[limit:]), Counter[str]())
    metric = Gauge(names.CALLS_TODAY, "Calls of the day by how well their cost is known.", labels=("tenant", "status"))
    for tenant, calls in [*busiest[:limit], (names.OVERFLOW, rest)]:
        for status, number in calls.items():
            metric.add_metric([tenant, status], number)
    return metric


def dearest_models(rows: Iterable[SummaryRow], limit: int) -> Metric:
    """Dollars of the models that cost most, of the ``limit`` tenants that spent most."""
    found: defaultdict[str, list[SummaryRow]] = defaultdict(list)
    for row in rows:
        if row.cost:
            found[_keys(row)[0]].append(row)
    tenants = sorted(found.items(), key=lambda item: (-sum(model.cost for model in item[1]), item[0]))
    metric = Gauge(names.SPEND_TODAY_MODEL, "Dollars of the day, of a tenant's three dearest models.", labels=BY)
    for _, models in tenants[:limit]:
        for row in sorted(models, key=lambda model: (-model.cost, _keys(model)))[:_DEAREST]:
            metric.add_metric(_keys(row), float(row.cost))
    return metric


def _keys(row: SummaryRow) -> Sequence[str]:
    return [str(row.keys[Dimension(label)]) for label in BY]
