"""The answers that nearly all are, read in one step. Of any other, nothing is said here.

The readers of `costspan.capture.anthropic` and `costspan.capture.openai` look at every field by itself, so that nothing
goes unnoticed that a provider may send: fifty function calls, as dear as the span of a call. A usage object that fits one
of the types below has only known fields, and only whole numbers within their limits; what is left to see is that no part
is larger than its whole. Where anything else is the matter the answer is left to the readers. They would read what fits
to the same `Reading`: a property test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from costspan.capture import answer
from costspan.capture.consumption import portion
from costspan.capture.endpoint import Endpoint, Shape
from costspan.capture.fields import Fields
from costspan.usage import MAX_COUNT, STANDARD, Completeness, Portion, Reading, Unit

__all__ = ["read"]

_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
#: Of what has units of its own, or is told apart by rules of its own.
_None = Literal[0] | None
_TIERS = (None, "default")
#: Output items of a response that have no fee.
_FREE = ("message", "reasoning", "function_call")
# Looking up a member of an enum costs more than what is done with it.
_INPUT, _OUTPUT, _CACHE_READ = Unit.INPUT, Unit.OUTPUT, Unit.CACHE_READ
_CACHE_WRITE_5M, _CACHE_WRITE_1H = Unit.CACHE_WRITE_5M, Unit.CACHE_WRITE_1H
_COMPLETE, _EMBEDDINGS = Completeness.COMPLETE, Shape.EMBEDDINGS


class _Read(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    cached_tokens: _Count | None = None
    audio_tokens: _None = None


class _Written(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    reasoning_tokens: _Count | None = None
    audio_tokens: _None = None
    accepted_prediction_tokens: _None = None
    rejected_prediction_tokens: _None = None


class _Completion(
    msgspec.Struct,
    forbid_unknown_fields=True,
    gc=False,
    rename={
        "whole": "prompt_tokens",
        "written": "completion_tokens",
        "total": "total_tokens",
        "inside": "prompt_tokens_details",
        "of_it": "completion_tokens_details",
    },
):
    whole: _Count
    written: _Count
    total: _Count | None = None
    inside: _Read | None = None
    of_it: _Written | None = None


class _Response(
    msgspec.Struct,
    forbid_unknown_fields=True,
    gc=False,
    rename={
        "whole": "input_tokens",
        "written": "output_tokens",
        "total": "total_tokens",
        "inside": "input_tokens_details",
        "of_it": "output_tokens_details",
    },
):
    whole: _Count
    written: _Count
    total: _Count | None = None
    inside: _Read | None = None
    of_it: _Written | None = None


class _Embedding(
    msgspec.Struct,
    forbid_unknown_fields=True,
    gc=False,
    rename={"whole": "prompt_tokens", "total": "total_tokens"},
):
    whole: _Count
    total: _Count | None = None


class _Split(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    ephemeral_5m_input_tokens: _Count | None = None
    ephemeral_1h_input_tokens: _Count | None = None


class _Message(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    input_tokens: _Count
    output_tokens: _Count
    cache_read_input_tokens: _Count | None = None
    cache_creation_input_tokens: _Count | None = None
    cache_creation: _Split | None = None
    service_tier: Literal["standard"] | None = None
    inference_geo: Literal["not_available", "global"] | None = None
    server_tool_use: None = None
    iterations: None = None


class _Kind(NamedTuple):
    usage: type
    consumed: Callable[[Any, str, Fields], Portion | None]


def read(endpoint: Endpoint, body: Fields, *, request: Fields | None, provider: str) -> Reading | None:
    """Return the reading of a whole answer with complete usage; None where it takes a closer look.

    Args:
        endpoint: that was called.
        body: the answer's parsed JSON.
        request: the JSON that was sent.
        provider: ``gen_ai.provider.name``.
    """
    kind, usage, model = _KINDS.get(endpoint.shape), body.get("usage"), answer.name_at(body, "model")
    if kind is None or not model or type(usage) is not dict:
        return None
    try:
        told: Any = msgspec.convert(usage, kind.usage)
    except msgspec.ValidationError:
        return None
    consumed = kind.consumed(told, model, body)
    if consumed is None:
        return None
    return Reading(
        endpoint.service,
        provider,
        endpoint.operation,
        model,
        (consumed,),
        STANDARD,
        _COMPLETE,
        (),
        "",
        answer.identifier(body),
        answer.finish_reason(endpoint.shape, body),
        answer.dimensions(body, request) if endpoint.shape is _EMBEDDINGS else 0,
        usage,  # nothing but known names, numbers and words: its own evidence
    )


def _completion(told: _Completion | _Response, model: str, body: Fields) -> Portion | None:
    inside, of_it, whole, written = told.inside, told.of_it, told.whole, told.written
    cached = (inside.cached_tokens or 0) if inside is not None else 0
    reasoning = (of_it.reasoning_tokens or 0) if of_it is not None else 0
    if cached > whole or reasoning > written or not _is_plain(body, told.total, whole + written):
        return None
    return portion(model, {_INPUT: whole - cached, _CACHE_READ: cached, _OUTPUT: written}, reasoning)


def _response(told: _Response, model: str, body: Fields) -> Portion | None:
    output = body.get("output")
    if type(output) is not list or not all(type(item) is dict and item.get("type") in _FREE for item in output):
        return None
    return _completion(told, model, body)


def _embedding(told: _Embedding, model: str, body: Fields) -> Portion | None:
    return portion(model, {_INPUT: told.whole}) if _is_plain(body, told.total, told.whole) else None


def _is_plain(body: Fields, total: int | None, parts: int) -> bool:
    """Whether nothing is counted that is in no part, and the terms are the standard ones."""
    is_whole = total is None or total <= parts
    return is_whole and body.get("service_tier") in _TIERS and not body.get("tool_usage")


def _message(told: _Message, model: str, body: Fields) -> Portion | None:
    split, writes = told.cache_creation, told.cache_creation_input_tokens
    hour = 0
    if split is not None:
        hour = split.ephemeral_1h_input_tokens or 0
        both = hour + (split.ephemeral_5m_input_tokens or 0)
        if writes != both:
            return None
    if body.get("stop_reason") == "refusal" or body.get("tool_usage"):
        return None
    quantities = {
        _INPUT: told.input_tokens,
        _CACHE_READ: told.cache_read_input_tokens or 0,
        _CACHE_WRITE_5M: (writes or 0) - hour,
        _CACHE_WRITE_1H: hour,
        _OUTPUT: told.output_tokens,
    }
    return portion(model, quantities)


_KINDS: Mapping[Shape, _Kind] = {
    Shape.MESSAGES: _Kind(_Message, _message),
    Shape.CHAT: _Kind(_Completion, _completion),
    Shape.COMPLETION: _Kind(_Completion, _completion),
    Shape.EMBEDDINGS: _Kind(_Embedding, _embedding),
    Shape.RESPONSES: _Kind(_Response, _response),
}
