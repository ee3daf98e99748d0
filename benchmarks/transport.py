"""An HTTP transport that answers at once from memory: what is timed around a call is the SDK, its client and us."""

from __future__ import annotations

import importlib
import json
from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any

CHUNKS = 100
_WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog", "and", "naps"]


def http_library(sdk: str) -> ModuleType:
    """Return httpx2 or httpx, whichever the installed SDK is built on."""
    base = importlib.import_module(f"{sdk}._base_client")
    return importlib.import_module("httpx2" if hasattr(base, "httpx2") else "httpx")


def _event(data: dict[str, Any], name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data)}\n\n".encode()


def _chat_chunks(*, with_usage: bool) -> list[bytes]:
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5-2025-08-07"}
    blank = {"usage": None} if with_usage else {}
    chunks = [
        _event(base | {"choices": [{"index": 0, "delta": {"content": word + " "}, "finish_reason": None}]} | blank)
        for word in (_WORDS[number % len(_WORDS)] for number in range(CHUNKS))
    ]
    chunks.append(_event(base | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]} | blank))
    if with_usage:
        chunks.append(_event(base | {"choices": [], "usage": _CHAT_USAGE}))
    return [*chunks, b"data: [DONE]\n\n"]


def _message_events() -> list[bytes]:
    start = {"type": "message_start", "message": _MESSAGE | {"content": [], "stop_reason": None}}
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word + " "}}
        for word in (_WORDS[number % len(_WORDS)] for number in range(CHUNKS))
    ]
    last = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 500}}
    events = [start, block, *deltas, {"type": "content_block_stop", "index": 0}, last, {"type": "message_stop"}]
    return [_event(event, event["type"]) for event in events]


_CHAT_USAGE = {
    "prompt_tokens": 2000,
    "completion_tokens": 500,
    "total_tokens": 2500,
    "prompt_tokens_details": {"cached_tokens": 1500, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 320, "audio_tokens": 0},
}
_CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-5-2025-08-07",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 400}, "finish_reason": "stop"}],
    "usage": _CHAT_USAGE,
    "service_tier": "default",
}
_EMBEDDING = {
    "object": "list",
    "model": "text-embedding-3-large",
    "data": [{"object": "embedding", "index": 0, "embedding": "AACAPw==" * 1024}],
    "usage": {"prompt_tokens": 100, "total_tokens": 100},
}
_MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5-20251001",
    "content": [{"type": "text", "text": "word " * 400}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 100,
        "cache_read_input_tokens": 1500,
        "cache_creation_input_tokens": 1000,
        "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 800},
        "output_tokens": 500,
        "service_tier": "standard",
    },
}
_STREAM_WITH_USAGE = _chat_chunks(with_usage=True)
_STREAM_WITHOUT_USAGE = _chat_chunks(with_usage=False)
_MESSAGE_STREAM = _message_events()
_BODIES = {
    "/chat/completions": json.dumps(_CHAT).encode(),
    "/embeddings": json.dumps(_EMBEDDING).encode(),
    "/messages": json.dumps(_MESSAGE).encode(),
}


def _answer(path: str, body: bytes) -> list[bytes] | bytes:
    if b'"stream":true' not in body.replace(b" ", b""):
        return next(answer for suffix, answer in _BODIES.items() if path.endswith(suffix))
    if path.endswith("/messages"):
        return _MESSAGE_STREAM
    return _STREAM_WITH_USAGE if b"include_usage" in body else _STREAM_WITHOUT_USAGE


def transports(library: ModuleType) -> tuple[Any, Any]:
    """Return a synchronous and an asynchronous transport for ``library``."""

    class Chunks(library.SyncByteStream, library.AsyncByteStream):  # type: ignore[name-defined, misc]
        def __init__(self, chunks: list[bytes]) -> None:
            self._chunks = chunks

        def __iter__(self) -> Iterator[bytes]:
            yield from self._chunks

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for chunk in self._chunks:
                yield chunk

    def respond(path: str, body: bytes) -> Any:
        answer = _answer(path, body)
        if isinstance(answer, list):
            return library.Response(200, headers={"content-type": "text/event-stream"}, stream=Chunks(answer))
        headers = {"content-type": "application/json"}
        return library.Response(200, headers=headers, stream=library.ByteStream(answer))

    class Sync(library.BaseTransport):  # type: ignore[name-defined, misc]
        def handle_request(self, request: Any) -> Any:
            return respond(request.url.path, request.read())

    class Async(library.AsyncBaseTransport):  # type: ignore[name-defined, misc]
        async def handle_async_request(self, request: Any) -> Any:
            return respond(request.url.path, await request.aread())

    return Sync(), Async()
