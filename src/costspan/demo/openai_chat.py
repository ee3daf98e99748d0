"""POST /v1/chat/completions: whole, or in chunks with usage in one more chunk for those who ask for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from costspan.demo.bill import Bill
from costspan.demo.bodies import ChatBody, read
from costspan.demo.loopback import Answer, Refusal, Request, Stream
from costspan.demo.openai_model import Reply, reply, text_of, tokens_of

__all__ = ["chat"]


def chat(request: Request, bill: Bill) -> Answer | Stream:
    """Answer a chat.

    Raises:
        Refusal: for a body or a model that OpenAI would refuse.
    """
    body = read(request.body, ChatBody)
    if body.stream_options is not None and not body.stream:
        raise Refusal(
            400, "invalid_request_error", "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        )
    texts = [text_of(message.content) for message in body.messages]
    limit = body.max_completion_tokens or body.max_tokens
    answers = [reply(body.model, texts[-1], limit=limit) for _ in range(body.n or 1)]
    exchange = _Exchange(request, bill, body.model, tokens_of(texts), answers)
    if body.stream:
        wants_usage = body.stream_options is not None and body.stream_options.include_usage
        return Stream(exchange.chunks(wants_usage=wants_usage))
    return Answer(exchange.completion())


class _Exchange:
    """One request and its answers, which differ in form only."""

    def __init__(self, request: Request, bill: Bill, model: str, prompt_tokens: int, answers: list[Reply]) -> None:
        self._id = request.id
        self._bill = bill
        self._model = model
        self._prompt_tokens = prompt_tokens
        self._answers = answers

    def completion(self) -> dict[str, Any]:
        """The whole answer, billed."""
        choices: list[dict[str, Any]] = [
            {
                "index": index,
                "message": {"role": "assistant", "content": answer.text, "refusal": None, "annotations": []},
                "logprobs": None,
                "finish_reason": _reason(answer),
            }
            for index, answer in enumerate(self._answers)
        ]
        output = sum(answer.billed for answer in self._answers)
        self._charge(output)
        return {**self._head("chat.completion"), "choices": choices, "usage": self._usage(output)}

    def chunks(self, *, wants_usage: bool) -> Iterator[bytes]:
        """The answer token by token, billed when it ends or when the client leaves."""
        extra: dict[str, object] = {"usage": None} if wants_usage else {}
        sent = sum(answer.reasoning for answer in self._answers)
        try:
            for index, answer in enumerate(self._answers):
                yield self._chunk(extra, index, {"role": "assistant", "content": "", "refusal": None})
                for piece in answer.pieces:
                    sent += 1
                    yield self._chunk(extra, index, {"content": piece})
        finally:
            self._charge(sent)
        for index, answer in enumerate(self._answers):
            yield self._chunk(extra, index, {}, _reason(answer))
        if wants_usage:
            yield _data({**self._head("chat.completion.chunk"), "choices": [], "usage": self._usage(sent)})
        yield b"data: [DONE]\n\n"

    def _chunk(self, extra: dict[str, object], index: int, delta: dict[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
        return _data({**self._head("chat.completion.chunk"), "choices": [choice], **extra})

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self._id.replace("req_", "chatcmpl-"),
            "object": kind,
            "created": self._bill.now_s(),
            "model": self._model,
            "service_tier": "default",
            "system_fingerprint": "fp_demo",
        }

    def _usage(self, output: int) -> dict[str, Any]:
        reasoning = sum(answer.reasoning for answer in self._answers)
        return {
            "prompt_tokens": self._prompt_tokens,
            "completion_tokens": output,
            "total_tokens": self._prompt_tokens + output,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": reasoning,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }

    def _charge(self, output: int) -> None:
        self._bill.charge(
            service="openai",
            operation="chat",
            model=self._model,
            request_id=self._id,
            tokens={"input": self._prompt_tokens, "output": output},
        )


def _reason(answer: Reply) -> str:
    return "length" if answer.is_cut else "stop"


def _data(value: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % json.dumps(value).encode()
