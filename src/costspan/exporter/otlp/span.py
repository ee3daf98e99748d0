"""A span as it was exported, less what nobody here reads: of its attributes only those that some dialect knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

__all__ = ["Span", "Value"]

#: An attribute's value; of lists only their first text, and of what is nested nothing, since no dialect needs more.
Value: TypeAlias = "str | bool | int | float"


class Span(msgspec.Struct, frozen=True, gc=False):
    """One span."""

    trace_id: bytes
    """16 bytes, where it is as it should be."""
    span_id: bytes
    """8 bytes, likewise."""
    parent_id: bytes
    """8 bytes, or none."""
    name: str
    start_ns: int
    """Nanoseconds since the epoch, UTC."""
    end_ns: int
    has_failed: bool
    """Whether its status is an error."""
    scope: str
    """Who made it: the name of an instrumentation."""
    attributes: Mapping[str, Value]
    resource: Mapping[str, Value]
    """Attributes of the process that it is from."""

    def text(self, *names: str) -> str:
        """Return the first text under one of ``names`` that is not empty."""
        for name in names:
            value = self.attributes.get(name)
            if type(value) is str and value:
                return value
        return ""
