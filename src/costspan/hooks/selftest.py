"""Whether an SDK can be hooked: its version, its functions' parameters, and four calls that never leave the process.

The calls go through the SDK's own client with an HTTP client that answers from memory, into a meter that only counts.
They find what a signature does not show: a function that is still there and no longer called.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import AsyncIterator, Coroutine
from types import ModuleType
from typing import Any

from costspan.event import Outcome
from costspan.hooks import active
from costspan.hooks.patch import Missing, Point
from costspan.usage import Reading

__all__ = ["check_calls", "check_functions", "check_version"]

_SSE = {"content-type": "text/event-stream"}
_JSON = {"content-type": "application/json"}
_CLIENTS = {"openai": "OpenAI", "anthropic": "Anthropic"}
_PATHS = {"openai": "/chat/completions", "anthropic": "/v1/messages"}
_BODIES: dict[str, dict[str, Any]] = {
    "openai": {"id": "x", "model": "m", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
    "anthropic": {
        "id": "x",
        "type": "message",
        "model": "m",
        "content": [],
        "usage": {"input_tokens": 1, "output_tokens": 1},
    },
}
_EVENTS: dict[str, list[dict[str, Any]]] = {
    "openai": [_BODIES["openai"]],
    "anthropic": [
        {"type": "message_start", "message": _BODIES["anthropic"]},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ],
}


def check_version(name: str, version: str, floor: tuple[int, int]) -> None:
    """Refuse what is older than anything that is tested.

    Raises:
        Missing: when it is, or says no version.
    """
    parts = version.split(".")
    if len(parts) < 2 or not (parts[0].isdigit() and parts[1].isdigit()):  # noqa: PLR2004  # major and minor
        raise Missing(f"its version {version!r} cannot be read")
    if (int(parts[0]), int(parts[1])) < floor:
        raise Missing(f"{name} {floor[0]}.{floor[1]} is the oldest version that can be metered")


def check_functions(points: list[Point]) -> None:
    """Refuse an SDK whose functions are not those that the hooks were written for.

    Raises:
        Missing: naming the first that is not there or takes other arguments.
    """
    for point in points:
        function = vars(point.owner).get(point.name)
        where = f"{point.owner.__name__}.{point.name}"
        if function is None:
            if point.is_needed:
                raise Missing(f"there is no {where}")
            continue
        taken = inspect.signature(function).parameters
        for parameter in point.takes:
            if parameter not in taken:
                raise Missing(f"{where} takes no {parameter!r}")


def check_calls(name: str) -> None:
    """Make a call and a stream, synchronous and asynchronous, and refuse an SDK of which one was not seen.

    Raises:
        Missing: naming what was not metered.
    """
    module = sys.modules[name]
    http = _http_library(name)
    probe = _Probe()
    token = active.probe.set(probe)
    try:
        with _client(getattr(module, _CLIENTS[name]), _in_memory(http)) as client:
            _call(client, name)
            probe.expect(1, "a call")
            for _ in _call(client, name, stream_class=module.Stream):
                pass
            probe.expect(2, "a stream")
        _run(_asynchronous(module, http, name))
        probe.expect(4, "an asynchronous call and a stream")
    finally:
        active.probe.reset(token)


class _Probe:
    """A meter that only counts."""

    def __init__(self) -> None:
        self.opened = 0
        self.tokens: list[int] = []

    def open(self, **_intent: object) -> _Probe:
        self.opened += 1
        return self

    def settle(self, _attempt: object, reading: Reading) -> None:
        self.tokens.append(sum(portion.usage.tokens_in for portion in reading.portions))

    def end(self, _attempt: object, outcome: Outcome, reason: str) -> None:
        raise Missing(f"a call that was answered was taken as {outcome.value}: {reason}")

    def expect(self, calls: int, what: str) -> None:
        if self.opened != calls or self.tokens != [1] * calls:
            raise Missing(f"{what} went by unseen")


def _call(client: Any, name: str, *, stream_class: Any = None) -> Any:
    """A call below the resources, which would take long to import."""
    is_stream = stream_class is not None
    body = {"model": "m", "max_tokens": 1, "messages": [], "stream": is_stream}
    if not is_stream:
        return client.post(_PATHS[name], cast_to=object, body=body)
    return client.post(_PATHS[name], cast_to=object, body=body, stream=True, stream_cls=stream_class[object])


async def _asynchronous(module: ModuleType, http: ModuleType, name: str) -> None:
    client = _client(getattr(module, f"Async{_CLIENTS[name]}"), _async_in_memory(http))
    await _call(client, name)
    async for _ in await _call(client, name, stream_class=module.AsyncStream):
        pass
    await client.close()


def _run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run what never waits: no event loop is needed, and one that runs is not disturbed."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    raise Missing("an asynchronous call waits where none did before")


def _client(kind: Any, in_memory: Any) -> Any:
    client = kind(api_key="none", base_url="http://127.0.0.1", http_client=in_memory, max_retries=0)
    client._platform = "Other:selftest"  # noqa: SLF001  # else the asynchronous client asks a thread what machine this is
    return client


def _in_memory(http: Any) -> Any:
    """An HTTP client that answers by itself. Its transport is never used: a real one reads all certificates there are."""

    class InMemory(http.Client):  # type: ignore[misc]  # one of two libraries
        def send(self, request: Any, *, stream: bool = False, **_kwargs: object) -> Any:
            content = iter(_frames(request)) if stream else _body(request)
            return http.Response(200, headers=_SSE if stream else _JSON, content=content, request=request)

    return InMemory(transport=http.BaseTransport(), trust_env=False)


def _async_in_memory(http: Any) -> Any:
    """Like `_in_memory`."""

    class InMemory(http.AsyncClient):  # type: ignore[misc]  # one of two libraries
        async def send(self, request: Any, *, stream: bool = False, **_kwargs: object) -> Any:
            content = _aframes(request) if stream else _body(request)
            return http.Response(200, headers=_SSE if stream else _JSON, content=content, request=request)

    return InMemory(transport=http.AsyncBaseTransport(), trust_env=False)


def _service(request: Any) -> str:
    return "openai" if request.url.path == _PATHS["openai"] else "anthropic"


def _body(request: Any) -> bytes:
    return json.dumps(_BODIES[_service(request)]).encode()


def _frames(request: Any) -> list[bytes]:
    events = _EVENTS[_service(request)]
    # OpenAI's events have no names; what the anthropic SDK makes of one without is nothing.
    return [f"{_named(event)}data: {json.dumps(event)}\n\n".encode() for event in events]


def _named(event: dict[str, Any]) -> str:
    return f"event: {event['type']}\n" if "type" in event else ""


async def _aframes(request: Any) -> AsyncIterator[bytes]:
    for frame in _frames(request):
        yield frame


def _http_library(name: str) -> ModuleType:
    base = sys.modules[f"{name}._base_client"]
    library: ModuleType = getattr(base, "httpx2", None) or base.httpx
    return library
