"""``POST /v1/traces``: OTLP over HTTP, so that inferences of any language and instrumentation become priced calls."""

from __future__ import annotations

from costspan.exporter.otlp.route import install

__all__ = ["install"]
