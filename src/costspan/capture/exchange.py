"""Recorded exchanges, as `costspan price FILE` takes them: a request and its answer, in one piece or as events."""

from __future__ import annotations

from collections.abc import Mapping

from costspan.capture.body import read_body
from costspan.capture.endpoint import endpoint
from costspan.capture.stream import StreamReader
from costspan.errors import ConfigurationError
from costspan.usage import Reading

__all__ = ["from_exchange"]


def from_exchange(case: Mapping[str, object]) -> Reading:
    """Return the reading of an exchange.

    Args:
        case: ``service`` (anthropic or openai), ``endpoint`` (the path), ``response`` (the body) or ``events`` (the JSON
            of each server-sent event); optional ``request``, ``method`` (POST) and ``provider``.

    Raises:
        ConfigurationError: for an exchange of another shape, or with an endpoint that is not metered.
    """
    service, path = _text(case, "service"), _text(case, "endpoint")
    method, provider = _text(case, "method", "POST"), _text(case, "provider", "")
    called = endpoint(service, method, path)
    if called is None:
        raise ConfigurationError(
            f"{method} {path!r} of service {service!r} is no metered endpoint: allowed are such as "
            "/v1/messages of anthropic and /v1/chat/completions, /v1/responses and /v1/embeddings of openai"
        )
    request = case.get("request")
    if request is not None and not isinstance(request, Mapping):
        raise ConfigurationError(f"request is a {type(request).__name__}: allowed is an object")
    if "response" in case:
        return read_body(called, case["response"], request=request, provider=provider)
    events = case.get("events")
    if type(events) is not list:
        raise ConfigurationError("an exchange has neither response (an object) nor events (a list)")
    reader = StreamReader(called, request=request, provider=provider)
    for event in events:
        reader.feed(event)
    return reader.reading()


def _text(case: Mapping[str, object], key: str, default: str | None = None) -> str:
    value = case.get(key, default)
    if type(value) is not str:
        raise ConfigurationError(f"{key} is a {type(value).__name__}: allowed is a text")
    return value
