"""What a scrape answers, in the format it asks for.

The library spends ten times as long on a sample as there is to say about it, which at thousands of tenants is most of a
scrape. Gauges of the ledger change every few seconds only, so their text is made once, by `Gauge`; all else is the
library's to encode.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

__all__ = ["Gauge", "exposition"]


class Gauge(GaugeMetricFamily):
    """A gauge that is complete when it is first scraped, and whose description needs no escapes."""

    @cached_property
    def text(self) -> bytes:
        """Its lines, the same in both formats."""
        lines = [f"# HELP {self.name} {self.documentation}\n# TYPE {self.name} gauge\n"]
        for sample in self.samples:
            labels = ",".join([f'{name}="{_escaped(value)}"' for name, value in sorted(sample.labels.items())])
            lines.append(f"{sample.name}{{{labels}}} {floatToGoString(sample.value)}\n")  # type: ignore[no-untyped-call]
        return "".join(lines).encode()


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


class _Others(Collector):
    """Metrics that the library encodes."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return iter(self._metrics)


def exposition(registry: Collector, accept: str) -> tuple[bytes, str]:
    """Return the metrics of ``registry`` and their content type: OpenMetrics where ``accept`` names it, else text."""
    encode, content_type = choose_encoder(accept)
    parts: list[bytes] = []
    others: list[Metric] = []
    for metric in registry.collect():
        if isinstance(metric, Gauge):
            parts.append(metric.text)
        else:
            others.append(metric)
    parts.append(encode(_Others(others)))  # last, as it may end in a mark of the end
    return b"".join(parts), content_type
