"""Which functions of an SDK are replaced, and how they come back.

All at the base client, below the resources and above the HTTP library: one place sees every API, raw and streamed, of
clients made before and after, on httpx and httpx2.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

from costspan.hooks import wrappers
from costspan.hooks.call import MARK

__all__ = ["Applied", "Missing", "Point", "apply", "points", "restore"]


class Missing(Exception):
    """A function that is not there, or takes other arguments: this version of the SDK cannot be hooked."""


class Point(NamedTuple):
    """A function of an SDK and what stands in its place."""

    owner: type
    name: str
    around: Callable[[Callable[..., Any], str], Callable[..., Any]]
    takes: tuple[str, ...]
    """Names of parameters that must be there."""
    is_needed: bool = True


@dataclass(frozen=True, slots=True)
class Applied:
    """A function in place of another."""

    owner: type
    name: str
    original: Any
    ours: Any


def points(name: str) -> list[Point]:
    """Return where SDK ``name`` (openai or anthropic), already imported, is hooked.

    Raises:
        Missing: when its base client is not where every known version has it.
    """
    base = _module(f"{name}._base_client")
    streaming = _module(f"{name}._streaming")
    client, sync, asynchronous = (_class(base, kind) for kind in ("BaseClient", "SyncAPIClient", "AsyncAPIClient"))
    stream, async_stream = _class(streaming, "Stream"), _class(streaming, "AsyncStream")
    whole, answer = ("cast_to", "options", "stream"), ("response", "stream")
    return [
        Point(sync, "request", wrappers.around_request, whole),
        Point(asynchronous, "request", wrappers.around_async_request, whole),
        Point(client, "_build_request", wrappers.around_build, ("options",)),
        Point(sync, "_process_response", wrappers.around_processing, answer),
        Point(asynchronous, "_process_response", wrappers.around_async_processing, answer),
        Point(client, "_process_response_data", wrappers.around_data, ("data", "cast_to", "response")),
        Point(stream, "__stream__", wrappers.around_iteration, ()),
        Point(async_stream, "__stream__", wrappers.around_async_iteration, ()),
        Point(stream, "close", wrappers.around_close, (), is_needed=False),
        Point(async_stream, "close", wrappers.around_async_close, (), is_needed=False),
        Point(client, "_should_retry", wrappers.around_retry, ("response",), is_needed=False),
        Point(client, "_make_status_error_from_response", wrappers.around_status_error, ("response",), is_needed=False),
        Point(
            client,
            "_calculate_retry_timeout",
            wrappers.around_retry_wait,
            ("remaining_retries", "options", "response_headers"),
            is_needed=False,
        ),
    ]


def apply(point: Point, service: str) -> Applied | None:
    """Put our function in place. None where it stands there already, perhaps inside of another library's."""
    original = vars(point.owner).get(point.name)
    if original is None or _is_ours(original):
        return None
    ours = point.around(original, service)
    setattr(ours, MARK, True)
    setattr(point.owner, point.name, ours)
    return Applied(point.owner, point.name, original, ours)


def restore(applied: Applied) -> bool:
    """Put the SDK's own function back. False where another library wraps ours: ours then stays, and steps aside."""
    if vars(applied.owner).get(applied.name) is not applied.ours:
        return False
    setattr(applied.owner, applied.name, applied.original)
    return True


def _is_ours(function: Any) -> bool:
    while function is not None:
        if hasattr(function, MARK):
            return True
        function = getattr(function, "__wrapped__", None)
    return False


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise Missing(f"there is no {name}") from error


def _class(module: ModuleType, name: str) -> type:
    found = getattr(module, name, None)
    if not isinstance(found, type):
        raise Missing(f"there is no {module.__name__}.{name}")
    return found
