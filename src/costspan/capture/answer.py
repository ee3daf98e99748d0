"""What an answer says about itself besides its usage: id, how it ended, how long an embedding's vectors are."""

from __future__ import annotations

from collections.abc import Mapping

from costspan.capture.endpoint import Shape
from costspan.capture.fields import Fields
from costspan.text import clean

__all__ = ["dimensions", "finish_reason", "identifier", "name_at", "word_at"]

_MAX_ID = 256
_MAX_DIMENSIONS = 1_000_000
_BYTES_PER_FLOAT = 4


def name_at(fields: Fields, key: str) -> str:
    """Return the name called ``key``, clean; empty where it is no text."""
    value = fields.get(key)
    return clean(value) if type(value) is str else ""


def word_at(fields: Fields, key: str) -> str:
    """Return the short word called ``key``; empty where it is none."""
    value = fields.get(key)
    return clean(value) if type(value) is str and len(value) <= _MAX_ID else ""


def identifier(body: Fields) -> str:
    """Return the answer's id. Each is different, so it does not pass through `clean`, which remembers what it saw."""
    value = body.get("id")
    return value[:_MAX_ID] if type(value) is str else ""


def finish_reason(shape: Shape, body: Fields) -> str:
    """Return why the model stopped, in the provider's word."""
    if shape is Shape.MESSAGES:
        return word_at(body, "stop_reason")
    if shape is Shape.RESPONSES:
        details = body.get("incomplete_details")
        reason = word_at(details, "reason") if isinstance(details, Mapping) else ""
        return reason or word_at(body, "status")
    choices = body.get("choices")
    first = choices[0] if type(choices) is list and choices else None
    # asking for the type first spares an abstract class's check
    return word_at(first, "finish_reason") if type(first) is dict or isinstance(first, Mapping) else ""


def dimensions(body: Fields, request: Mapping[str, object] | None) -> int:
    """Return the length of an embedding's vectors: measured, else as asked for, else 0."""
    data = body.get("data")
    first = data[0] if type(data) is list and data else None
    vector = first.get("embedding") if isinstance(first, Mapping) else None
    if type(vector) is list:
        return min(len(vector), _MAX_DIMENSIONS)
    if type(vector) is str:
        size = len(vector) * 3 // 4 - vector[-2:].count("=")
        return min(size // _BYTES_PER_FLOAT, _MAX_DIMENSIONS)
    asked = request.get("dimensions") if request is not None else None
    return asked if type(asked) is int and 0 < asked <= _MAX_DIMENSIONS else 0
