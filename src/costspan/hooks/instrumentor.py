"""Metering without a line of code: `opentelemetry-instrument` finds this by its entry point.

Needs the extra ``otel``. Settings come from ``COSTSPAN_*``; switched off by ``OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=costspan``.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]  # it says it has no types

__all__ = ["CostspanInstrumentor"]


class CostspanInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # an optional package without types
    """`costspan.instrument()` and `costspan.uninstrument()`, in the words of OpenTelemetry."""

    def instrumentation_dependencies(self) -> Collection[str]:
        """None: which SDKs are there, and whether they can be hooked, is told when hooking."""
        return ()

    def _instrument(self, **_kwargs: Any) -> None:
        import costspan  # noqa: PLC0415  # the facade stands above the hooks

        costspan.instrument()

    def _uninstrument(self, **_kwargs: Any) -> None:
        import costspan  # noqa: PLC0415  # as above

        costspan.uninstrument()
