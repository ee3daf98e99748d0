"""The requests that the demo's providers understand, as types: what does not fit is refused with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from costspan.demo.loopback import Refusal

__all__ = ["CacheControl", "ChatBody", "EmbeddingsBody", "Message", "MessagesBody", "ResponsesBody", "read"]

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Part = dict[str, Any]


class Message(msgspec.Struct, frozen=True):
    """A message of either API; a part of its content keeps every field."""

    role: Literal["user", "assistant", "system", "developer", "tool"]
    content: str | list[Part] | None = None


class CacheControl(msgspec.Struct, frozen=True):
    """Anthropic's mark on a block."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] = "5m"


class MessagesBody(msgspec.Struct, frozen=True):
    """POST /v1/messages."""

    model: Name
    max_tokens: Count
    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]
    system: str | list[Part] = ""
    tools: list[Part] = []
    stream: bool = False


class StreamOptions(msgspec.Struct, frozen=True):
    """Whether a chat stream ends with a chunk of usage."""

    include_usage: bool = False


class ChatBody(msgspec.Struct, frozen=True):
    """POST /v1/chat/completions."""

    model: Name
    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=8)] | None = None


class ResponsesBody(msgspec.Struct, frozen=True):
    """POST /v1/responses."""

    model: Name
    input: str | list[Part]
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: Count | None = None


class EmbeddingsBody(msgspec.Struct, frozen=True):
    """POST /v1/embeddings. Texts, or texts that the caller has already turned into tokens."""

    model: Name
    input: str | list[str | int | list[int]]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Count | None = None


Body = TypeVar("Body", MessagesBody, ChatBody, ResponsesBody, EmbeddingsBody, CacheControl)


def read(body: Mapping[str, Any], kind: type[Body]) -> Body:
    """Return ``body`` as a ``kind``; fields that it does not name are left alone.

    Raises:
        Refusal: HTTP 400, with the field and what is expected there.
    """
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        raise Refusal(400, "invalid_request_error", str(error)) from error
