"""Answers as Anthropic's Messages API does: usage with its cache split, streams with cumulative usage, its errors."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from costspan.demo import tokens
from costspan.demo.anthropic_prompt import blocks_of
from costspan.demo.bill import TARIFF, Bill
from costspan.demo.bodies import MessagesBody, read
from costspan.demo.composer import compose
from costspan.demo.faults import RETRY_HEADERS, Faults
from costspan.demo.loopback import Answer, Refusal, Request, Stream
from costspan.demo.prompt_cache import CacheUse, PromptCache

__all__ = ["AnthropicProvider"]

_TOKENS_PER_EVENT = 4


class AnthropicProvider:
    """POST /v1/messages, streamed or not."""

    def __init__(self, bill: Bill, cache: PromptCache, faults: Faults) -> None:
        self._bill = bill
        self._cache = cache
        self._faults = faults
        self._numbers = itertools.count(1)

    def request_id(self) -> str:
        """``req_`` and 24 digits, counted."""
        return f"req_{next(self._numbers):024d}"

    def headers(self, request_id: str) -> Mapping[str, str]:
        """What every answer of Anthropic carries."""
        return {"request-id": request_id, "anthropic-organization-id": "00000000-0000-0000-0000-00000000de30"}

    def refuse(self, refusal: Refusal, request_id: str) -> Answer:
        """Anthropic's error object."""
        self._bill.refuse(refusal.status)
        error = {"type": refusal.kind, "message": refusal.message}
        return Answer({"type": "error", "error": error, "request_id": request_id}, refusal.status, refusal.headers)

    def answer(self, request: Request) -> Answer | Stream:
        """Check, count, and answer whole or as a stream.

        Raises:
            Refusal: for a request that Anthropic would refuse, and when a fault is due.
        """
        body = _checked(request)
        fault = self._faults.draw()
        if fault is not None:
            retry = {**RETRY_HEADERS, "x-should-retry": "true"}
            raise Refusal(fault.status, fault.kind, fault.message, headers=retry)
        blocks = blocks_of(body)
        use = self._cache.use(body.model, blocks)
        text, is_cut = compose(blocks[-1].text, limit=body.max_tokens)
        reply = _Reply(request.id, body.model, use, tokens.split(text), "max_tokens" if is_cut else "end_turn")
        if body.stream:
            return Stream(self._stream(reply))
        self._charge(reply, len(reply.pieces))
        return Answer(reply.message())

    def _stream(self, reply: _Reply) -> Iterator[bytes]:
        sent = 0
        try:
            yield _event("message_start", message=reply.start())
            yield _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
            yield _event("ping")
            for start in range(0, len(reply.pieces), _TOKENS_PER_EVENT):
                some = reply.pieces[start : start + _TOKENS_PER_EVENT]
                sent += len(some)
                yield _event("content_block_delta", index=0, delta={"type": "text_delta", "text": "".join(some)})
        finally:  # also when the client has left: what was written is billed
            self._charge(reply, sent)
        yield _event("content_block_stop", index=0)
        delta = {"stop_reason": reply.stop_reason, "stop_sequence": None}
        yield _event("message_delta", delta=delta, usage={**_input_usage(reply.use), "output_tokens": sent})
        yield _event("message_stop")

    def _charge(self, reply: _Reply, output: int) -> None:
        use = reply.use
        kinds = {
            "input": use.fresh,
            "cache_read": use.read,
            "cache_write_5m": use.written_5m,
            "cache_write_1h": use.written_1h,
            "output": output,
        }
        billed = {kind: quantity for kind, quantity in kinds.items() if quantity}
        self._bill.charge(
            service="anthropic", operation="chat", model=reply.model, request_id=reply.request_id, tokens=billed
        )


class _Reply:
    """What will be said, and what was read for it."""

    def __init__(self, request_id: str, model: str, use: CacheUse, pieces: Sequence[str], stop_reason: str) -> None:
        self.request_id = request_id
        self.model = model
        self.use = use
        self.pieces = pieces
        self.stop_reason = stop_reason

    def message(self) -> dict[str, Any]:
        """The whole answer."""
        content = [{"type": "text", "text": "".join(self.pieces)}]
        return self._message(content, self.stop_reason, len(self.pieces))

    def start(self) -> dict[str, Any]:
        """The answer when a stream begins: no content, no reason to stop, and output counted so far."""
        return self._message([], None, min(1, len(self.pieces)))

    def _message(self, content: list[dict[str, str]], stop_reason: str | None, output: int) -> dict[str, Any]:
        split = {
            "ephemeral_5m_input_tokens": self.use.written_5m,
            "ephemeral_1h_input_tokens": self.use.written_1h,
        }
        return {
            "id": self.request_id.replace("req_", "msg_"),
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
            "stop_reason": stop_reason,
            "stop_sequence": None,
            "usage": {
                **_input_usage(self.use),
                "cache_creation": split,
                "output_tokens": output,
                "service_tier": "standard",
            },
        }


def _checked(request: Request) -> MessagesBody:
    if request.path != "/v1/messages":
        raise Refusal(404, "not_found_error", f"Not found: {request.path}")
    if not (request.headers.get("x-api-key") or request.headers.get("authorization")):
        raise Refusal(401, "authentication_error", "x-api-key header is required")
    if not request.headers.get("anthropic-version"):
        raise Refusal(400, "invalid_request_error", "anthropic-version: header is required")
    body = read(request.body, MessagesBody)
    if not (body.model.startswith("claude-") and body.model in TARIFF):
        raise Refusal(404, "not_found_error", f"model: {body.model}")
    return body


def _input_usage(use: CacheUse) -> dict[str, int]:
    return {
        "input_tokens": use.fresh,
        "cache_creation_input_tokens": use.written_5m + use.written_1h,
        "cache_read_input_tokens": use.read,
    }


def _event(kind: str, **fields: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind, **fields}).encode())
