"""Answers as the two providers give them, and the SDKs' clients pointed at a loopback server."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import anthropic
import openai
import pytest

from loopback import Loopback, Seen, Sse

__all__ = [
    "CHAT",
    "EMBEDDINGS",
    "MESSAGE",
    "RESPONSE",
    "chat_stream",
    "message_stream",
    "response_stream",
    "sdk_version",
]

CHAT: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_795_000_000,
    "model": "gpt-5-2025-08-07",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
    "service_tier": "default",
}
COMPLETION: dict[str, Any] = {
    "id": "cmpl-1",
    "object": "text_completion",
    "created": 1_795_000_000,
    "model": "gpt-3.5-turbo-instruct",
    "choices": [{"index": 0, "text": "Hello.", "finish_reason": "stop", "logprobs": None}],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
}
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1_795_000_000,
    "status": "completed",
    "model": "gpt-5-2025-08-07",
    "output": [],
    "usage": {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100},
    "service_tier": "default",
}
EMBEDDINGS: dict[str, Any] = {
    "object": "list",
    "model": "text-embedding-3-large",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5, 0.75]}],
    "usage": {"prompt_tokens": 1000, "total_tokens": 1000},
}
MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5",
    "content": [{"type": "text", "text": "Hello."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 450, "output_tokens": 180},
}
MESSAGES = [{"role": "user", "content": "Say hello."}]


def chat_stream(words: int = 3, **options: Any):
    """Return the answer to a chat stream, as OpenAI gives it: with its usage only where it is asked for."""

    def answer(seen: Seen) -> Sse:
        asks = (seen.body.get("stream_options") or {}).get("include_usage")
        return Sse(list(chat_chunks(words, has_usage=bool(asks))), **options)

    return answer


def chat_chunks(words: int, *, has_usage: bool) -> Iterator[dict[str, Any]]:
    """The chunks of a chat stream."""
    common = {"id": "chatcmpl-2", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5-2025-08-07"}
    null = {"usage": None} if has_usage else {}
    deltas = [{"role": "assistant", "content": ""}, *({"content": f"word {n} "} for n in range(words)), {}]
    for delta in deltas:
        reason = None if delta else "stop"
        yield {**common, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], "obfuscation": "x", **null}
    if has_usage:
        yield {**common, "choices": [], "usage": CHAT["usage"]}


def completion_stream(seen: Seen) -> Sse:
    """The answer to a legacy completions stream, with its usage only where it is asked for."""
    asks = (seen.body.get("stream_options") or {}).get("include_usage")
    common = {"id": "cmpl-2", "object": "text_completion", "created": 1, "model": "gpt-3.5-turbo-instruct"}
    null = {"usage": None} if asks else {}
    chunks = [
        {**common, "choices": [{"index": 0, "text": text, "finish_reason": None, "logprobs": None}], **null}
        for text in ("one ", "two ")
    ]
    if asks:
        chunks.append({**common, "choices": [], "usage": COMPLETION["usage"]})
    return Sse(chunks)


def message_stream(words: int = 3, **options: Any) -> Sse:
    """Return the answer to a message stream, as Anthropic gives it."""
    start = {**MESSAGE, "content": [], "stop_reason": None, "usage": {"input_tokens": 450, "output_tokens": 2}}
    delta = {"type": "content_block_delta", "index": 0}
    events = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *({**delta, "delta": {"type": "text_delta", "text": f"word {n} "}} for n in range(words)),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 180},
        },
        {"type": "message_stop"},
    ]
    return Sse(events, is_named=True, **options)


def response_stream(**options: Any) -> Sse:
    """Return the answer to a responses stream, as OpenAI gives it."""
    begun = {**RESPONSE, "status": "in_progress", "usage": None}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    part = {"type": "output_text", "text": "", "annotations": []}
    written = {**part, "text": "Hello"}
    done = {**item, "status": "completed", "content": [written]}
    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    numbers = itertools.count()
    events = [
        {"type": "response.created", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.content_part.added", **at, "part": part},
        {"type": "response.output_text.delta", **at, "delta": "Hello", "logprobs": []},
        {"type": "response.output_text.done", **at, "text": "Hello", "logprobs": []},
        {"type": "response.content_part.done", **at, "part": written},
        {"type": "response.output_item.done", "output_index": 0, "item": done},
        {"type": "response.completed", "response": {**RESPONSE, "output": [done]}},
    ]
    return Sse([{**event, "sequence_number": next(numbers)} for event in events], is_named=True, **options)


def sdk_version(module: Any) -> tuple[int, int]:
    """Return an SDK's major and minor version."""
    major, minor, *_ = module.__version__.split(".")
    return int(major), int(minor)


@pytest.fixture
def server():
    """A loopback server without a script."""
    with Loopback() as running:
        yield running


@pytest.fixture
def gpt(server):
    """OpenAI's client, pointed at the server, trying each request once."""
    with openai.OpenAI(api_key="none", base_url=f"{server.url}/v1", max_retries=0) as client:
        yield client


@pytest.fixture
def both(gpt, claude):
    """Both synchronous clients."""
    return SimpleNamespace(gpt=gpt, claude=claude)


@pytest.fixture
async def agpt(server):
    """OpenAI's asynchronous client."""
    async with openai.AsyncOpenAI(api_key="none", base_url=f"{server.url}/v1", max_retries=0) as client:
        yield client


@pytest.fixture
def claude(server):
    """Anthropic's client, pointed at the server, trying each request once."""
    with anthropic.Anthropic(api_key="none", base_url=server.url, max_retries=0) as client:
        yield client


@pytest.fixture
async def aclaude(server):
    """Anthropic's asynchronous client."""
    async with anthropic.AsyncAnthropic(api_key="none", base_url=server.url, max_retries=0) as client:
        yield client
