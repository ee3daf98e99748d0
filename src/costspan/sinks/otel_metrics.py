"""OpenTelemetry metrics of a call: the GenAI conventions' own, and a cost counter. Off unless asked for.

They double what a call costs here (8 us an instrument), and the official instrumentations emit the token histogram
already, so ``COSTSPAN_OTEL_METRICS`` is off by default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import metrics

from costspan._version import __version__
from costspan.sinks import names

if TYPE_CHECKING:
    from costspan.event import CallEvent

__all__ = ["OtelMetrics"]

_PICO = 10**12
_TOKEN_BUCKETS = [float(4**power) for power in range(14)]
_SECOND_BUCKETS = [0.01 * 2**power for power in range(14)]


class OtelMetrics:
    """Instruments on the global meter provider."""

    def __init__(self) -> None:
        meter = metrics.get_meter("costspan", __version__)
        self._cost = meter.create_counter("costspan.cost", unit="usd", description="Dollars spent on AI calls.")
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Tokens of a call, read and written.",
            explicit_bucket_boundaries_advisory=_TOKEN_BUCKETS,
        )
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            unit="s",
            description="Seconds from request to the end of the answer.",
            explicit_bucket_boundaries_advisory=_SECOND_BUCKETS,
        )

    def record(self, event: CallEvent) -> None:
        """Record a settled call."""
        attributes = {
            names.OPERATION: event.operation,
            names.PROVIDER: event.provider,
            names.REQUEST_MODEL: event.request_model,
            names.RESPONSE_MODEL: event.model,
        }
        self._duration.record(event.duration_ms / 1000, attributes)
        for kind, tokens in (("input", event.tokens_in), ("output", event.tokens_out)):
            self._tokens.record(tokens, {**attributes, "gen_ai.token.type": kind})
        if event.cost_pico:
            owner = {names.TENANT: event.tenant, names.FEATURE: event.feature, names.STATUS: event.status}
            # A float: OTel refuses Decimal inside the application's call.
            self._cost.add(event.cost_pico / _PICO, {**attributes, **owner})
