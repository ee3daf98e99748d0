"""POST /v1/responses: whole, or as the row of events that builds it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from costspan.demo.bill import Bill
from costspan.demo.bodies import ResponsesBody, read
from costspan.demo.loopback import Answer, Request, Stream
from costspan.demo.openai_model import Reply, reply, text_of, tokens_of

__all__ = ["responses"]


def responses(request: Request, bill: Bill) -> Answer | Stream:
    """Answer a responses request.

    Raises:
        Refusal: for a body or a model that OpenAI would refuse.
    """
    body = read(request.body, ResponsesBody)
    said = [body.input] if isinstance(body.input, str) else [text_of(item.get("content")) for item in body.input]
    texts = [body.instructions, *said] if body.instructions else said
    answer = reply(body.model, texts[-1] if texts else "", limit=body.max_output_tokens)
    exchange = _Exchange(request, bill, body, tokens_of(texts), answer)
    return Stream(exchange.events()) if body.stream else Answer(exchange.whole())


class _Exchange:
    """One request and its answer, whole or in events."""

    def __init__(self, request: Request, bill: Bill, body: ResponsesBody, input_tokens: int, answer: Reply) -> None:
        self._id = request.id
        self._bill = bill
        self._body = body
        self._input_tokens = input_tokens
        self._answer = answer

    def whole(self) -> dict[str, Any]:
        """The finished response, billed."""
        self._charge(self._answer.billed)
        return self._finished()

    def events(self) -> Iterator[bytes]:
        """The response as it comes about, billed when it ends or when the client leaves."""
        numbered = (
            (kind, {"sequence_number": number, **fields}) for number, (kind, fields) in enumerate(self._steps())
        )
        sent = self._answer.reasoning
        is_billed = False
        try:
            for kind, fields in numbered:
                if kind == "response.output_text.delta":
                    sent += 1
                elif kind == "response.output_text.done":
                    self._charge(sent)
                    is_billed = True
                yield _event(kind, fields)
        finally:
            if not is_billed:
                self._charge(sent)

    def _steps(self) -> Iterator[tuple[str, dict[str, Any]]]:
        item_id = self._item_id
        place = {"item_id": item_id, "output_index": 0, "content_index": 0}
        begun = self._response("in_progress", [], None)
        yield "response.created", {"response": begun}
        yield "response.in_progress", {"response": begun}
        item = {"id": item_id, "type": "message", "status": "in_progress", "content": [], "role": "assistant"}
        yield "response.output_item.added", {"output_index": 0, "item": item}
        yield "response.content_part.added", {**place, "part": _part("")}
        for piece in self._answer.pieces:
            yield "response.output_text.delta", {**place, "delta": piece, "logprobs": []}
        yield "response.output_text.done", {**place, "text": self._answer.text, "logprobs": []}
        yield "response.content_part.done", {**place, "part": _part(self._answer.text)}
        yield "response.output_item.done", {"output_index": 0, "item": self._item()}
        finished = self._finished()
        yield f"response.{finished['status']}", {"response": finished}

    @property
    def _item_id(self) -> str:
        return self._id.replace("req_", "msg_")

    def _item(self) -> dict[str, Any]:
        status = "incomplete" if self._answer.is_cut else "completed"
        content = [_part(self._answer.text)]
        return {"id": self._item_id, "type": "message", "status": status, "content": content, "role": "assistant"}

    def _finished(self) -> dict[str, Any]:
        output = self._answer.billed
        usage = {
            "input_tokens": self._input_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": output,
            "output_tokens_details": {"reasoning_tokens": self._answer.reasoning},
            "total_tokens": self._input_tokens + output,
        }
        return self._response("incomplete" if self._answer.is_cut else "completed", [self._item()], usage)

    def _response(self, status: str, output: list[dict[str, Any]], usage: dict[str, Any] | None) -> dict[str, Any]:
        return {
            "id": self._id.replace("req_", "resp_"),
            "object": "response",
            "created_at": self._bill.now_s(),
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "instructions": self._body.instructions,
            "max_output_tokens": self._body.max_output_tokens,
            "model": self._body.model,
            "output": output,
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None},
            "service_tier": "default" if usage else "auto",
            "store": True,
            "temperature": 1.0,
            "text": {"format": {"type": "text"}, "verbosity": "medium"},
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": usage,
            "user": None,
            "metadata": {},
        }

    def _charge(self, output: int) -> None:
        self._bill.charge(
            service="openai",
            operation="chat",
            model=self._body.model,
            request_id=self._id,
            tokens={"input": self._input_tokens, "output": output},
        )


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def _event(kind: str, fields: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind, **fields}).encode())
