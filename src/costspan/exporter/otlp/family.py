"""Spans inside of spans: of nested inferences only the innermost was sent to a provider, the others wrap it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from costspan.exporter.otlp.span import Span
from costspan.ledger.spans import Place

__all__ = ["wrapped"]


def wrapped(spans: Sequence[Span], inner: Iterable[Span]) -> set[Place]:
    """Return trace and span ids of all that is around ``inner``, as far as ``spans`` tell; the last may not be among them.

    Each place is visited once, however long the chain is and whether or not it ends.
    """
    parents: dict[Place, bytes] = {(span.trace_id, span.span_id): span.parent_id for span in spans}
    around: set[Place] = set()
    for span in inner:
        place = (span.trace_id, span.parent_id)
        while place[1] and place not in around and place[1] != span.span_id:
            around.add(place)
            place = (span.trace_id, parents.get(place, b""))
    return around
