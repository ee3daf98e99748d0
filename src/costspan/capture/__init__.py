"""From what a provider sent to a `costspan.usage.Reading`: what was consumed, by which models, on which terms.

Pure functions and a reader of streams. Nothing here raises for a provider's data, imports an SDK, or does I/O.
"""

from __future__ import annotations

from costspan.capture.body import read_body
from costspan.capture.endpoint import Endpoint, Shape, endpoint
from costspan.capture.exchange import from_exchange
from costspan.capture.sse import EventParser, JsonBody
from costspan.capture.stream import StreamReader
from costspan.capture.usage_chunk import is_usage_only_chunk, wants_usage_chunk
from costspan.capture.usage_object import from_usage

__all__ = [
    "Endpoint",
    "EventParser",
    "JsonBody",
    "Shape",
    "StreamReader",
    "endpoint",
    "from_exchange",
    "from_usage",
    "is_usage_only_chunk",
    "read_body",
    "wants_usage_chunk",
]
