"""Answers as OpenAI's API does: routes, headers and errors here, one module for each endpoint's answers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from types import MappingProxyType

from costspan.demo.bill import Bill
from costspan.demo.faults import RETRY_HEADERS, Faults
from costspan.demo.loopback import Answer, Refusal, Request, Stream
from costspan.demo.openai_chat import chat
from costspan.demo.openai_embeddings import embeddings
from costspan.demo.openai_responses import responses

__all__ = ["OpenAIProvider"]

_ROUTES: Mapping[str, Callable[[Request, Bill], Answer | Stream]] = MappingProxyType(
    {"/v1/chat/completions": chat, "/v1/responses": responses, "/v1/embeddings": embeddings}
)


class OpenAIProvider:
    """POST /v1/chat/completions, /v1/responses and /v1/embeddings."""

    def __init__(self, bill: Bill, faults: Faults) -> None:
        self._bill = bill
        self._faults = faults
        self._numbers = itertools.count(1)

    def request_id(self) -> str:
        """``req_`` and 32 hexadecimal digits, counted."""
        return f"req_{next(self._numbers):032x}"

    def headers(self, request_id: str) -> Mapping[str, str]:
        """What every answer of OpenAI carries."""
        return {"x-request-id": request_id, "openai-version": "2020-10-01", "openai-organization": "costspan-demo"}

    def refuse(self, refusal: Refusal, request_id: str) -> Answer:  # noqa: ARG002  # OpenAI names it in a header only
        """OpenAI's error object."""
        self._bill.refuse(refusal.status)
        error = {"message": refusal.message, "type": refusal.kind, "param": None, "code": refusal.code}
        return Answer({"error": error}, refusal.status, refusal.headers)

    def answer(self, request: Request) -> Answer | Stream:
        """Answer whole or as a stream.

        Raises:
            Refusal: for a request that OpenAI would refuse, and when a fault is due.
        """
        route = _ROUTES.get(request.path)
        if route is None:
            raise Refusal(404, "invalid_request_error", f"Invalid URL (POST {request.path})")
        if not request.headers.get("authorization", "").startswith("Bearer "):
            raise Refusal(401, "invalid_request_error", "You didn't provide an API key.")
        fault = self._faults.draw()
        if fault is not None:
            raise Refusal(fault.status, fault.kind, fault.message, code=fault.kind, headers=RETRY_HEADERS)
        return route(request, self._bill)
