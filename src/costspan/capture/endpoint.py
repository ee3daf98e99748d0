"""Which calls are metered: the allow-list of a provider's endpoints, by service, method and path.

An allow-list and not a deny-list, because many paths repeat a usage that was metered before: ``GET /responses/{id}``,
``GET /batches/{id}``, a batch's results. Token counting, cancelling and creating a batch consume nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from urllib.parse import unquote

from costspan.text import clean

__all__ = ["Endpoint", "Shape", "endpoint"]


class Shape(StrEnum):
    """What an answer looks like: which reader understands it."""

    MESSAGES = "messages"
    CHAT = "chat"
    COMPLETION = "completion"
    RESPONSES = "responses"
    EMBEDDINGS = "embeddings"
    TRANSCRIPTION = "transcription"
    IMAGES = "images"
    SPEECH = "speech"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A metered call of a provider's API."""

    service: str
    """The API family: anthropic or openai."""
    operation: str
    """``gen_ai.operation.name``: chat, text_completion, embeddings, transcription, image_generation or speech."""
    shape: Shape
    path: str
    """Without host, base path, model and query, such as ``/chat/completions``: bounded, so usable as a label."""
    model: str = ""
    """The model that the path names (an Azure deployment, Bedrock, Vertex); empty where it does not."""
    api_version: str | None = None
    """Of an Azure deployment: the ``api-version`` of the query, empty where it was not in the path given. Else None."""


_OPENAI = {
    "chat/completions": ("chat", Shape.CHAT),
    "completions": ("text_completion", Shape.COMPLETION),
    "responses": ("chat", Shape.RESPONSES),
    "responses/compact": ("chat", Shape.RESPONSES),
    "decisions": ("chat", Shape.RESPONSES),
    "embeddings": ("embeddings", Shape.EMBEDDINGS),
    "audio/transcriptions": ("transcription", Shape.TRANSCRIPTION),
    "audio/translations": ("transcription", Shape.TRANSCRIPTION),
    "audio/speech": ("speech", Shape.SPEECH),
    "images/generations": ("image_generation", Shape.IMAGES),
    "images/edits": ("image_generation", Shape.IMAGES),
}
_BEDROCK = frozenset({"invoke", "invoke-with-response-stream"})
_VERTEX = frozenset({"rawPredict", "streamRawPredict"})
_API_VERSION = re.compile(r"[?&]api-version=([\w.-]{1,40})")


@lru_cache(maxsize=1024)
def endpoint(service: str, method: str, path: str) -> Endpoint | None:
    """Return the metered endpoint behind a request, or None where nothing new is billed.

    ``path`` may be a whole URL or any end of one, with a gateway's base path and a query. Cached for the last 1,024
    different requests, since the path of a Bedrock or an Azure call has a model in it.
    """
    if method.upper() != "POST":
        return None
    segments = path.partition("#")[0].partition("?")[0].strip("/").split("/")
    if service == "openai":
        return _openai(segments, path)
    return _anthropic(segments) if service == "anthropic" else None


def _openai(segments: list[str], path: str) -> Endpoint | None:
    tail = "/".join(segments[-2:])
    if tail not in _OPENAI:
        tail = segments[-1]
    if tail not in _OPENAI:
        return None
    operation, shape = _OPENAI[tail]
    if "deployments" not in segments[:-2]:
        return Endpoint("openai", operation, shape, f"/{tail}")
    deployment = segments[segments.index("deployments") + 1]
    version = _API_VERSION.search(path)
    return Endpoint(
        "openai", operation, shape, f"/{tail}", clean(unquote(deployment)), version[1] if version is not None else ""
    )


def _anthropic(segments: list[str]) -> Endpoint | None:
    last, model = segments[-1], None
    if last == "messages" and segments[-2:-1] in (["v1"], []):
        model = ""
    elif last in _BEDROCK and segments[-3:-2] == ["model"]:
        model = segments[-2]
    elif segments[-2:-1] == ["models"]:
        named, _, last = last.rpartition(":")
        model = named if last in _VERTEX and named != "count-tokens" else None
    if model is None:
        return None
    return Endpoint("anthropic", "chat", Shape.MESSAGES, f"/{last}", clean(unquote(model)))
