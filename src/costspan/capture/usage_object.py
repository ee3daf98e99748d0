"""A usage object by itself, or a whole answer, from code that no hook sees: what `costspan.track` and its like take."""

from __future__ import annotations

from collections.abc import Mapping

from costspan.capture.body import read
from costspan.capture.endpoint import Endpoint, Shape
from costspan.capture.fields import is_nothing
from costspan.usage import Completeness, Reading

__all__ = ["from_usage"]

_SHAPES = {
    "embeddings": Shape.EMBEDDINGS,
    "image_generation": Shape.IMAGES,
    "speech": Shape.SPEECH,
    "text_completion": Shape.COMPLETION,
    "transcription": Shape.TRANSCRIPTION,
}
#: Fields that an answer has and its usage has not.
_ANSWER = frozenset({"choices", "content", "object", "usage"})
#: What a whole answer calls itself.
_KINDS = {
    "chat.completion": ("chat", Shape.CHAT),
    "text_completion": ("text_completion", Shape.COMPLETION),
    "response": ("chat", Shape.RESPONSES),
    "response.compaction": ("chat", Shape.RESPONSES),
    "list": ("embeddings", Shape.EMBEDDINGS),
}


def from_usage(
    usage: object,
    model: str | None = None,
    *,
    service: str,
    operation: str = "chat",
    provider: str = "",
    service_tier: str | None = None,
) -> Reading:
    """Return the reading of a usage object or of a whole answer: a mapping, or an object of the SDKs.

    Never raises for what it is given: what cannot be makes a reading with a problem. A count that is not there is zero,
    since whoever calls this knows what there was.

    Args:
        usage: such as ``{"input_tokens": 450, "output_tokens": 180}``, ``response.usage`` or ``response``.
        model: that served the call; a whole answer's own where None.
        service: the API family, anthropic or openai: it says whether the input includes what was cached.
        operation: ``chat``, ``embeddings``, ``transcription``, …; a whole answer that says what it is, is that.
        provider: ``gen_ai.provider.name``; the service's own where empty.
        service_tier: that was billed, where the usage does not say: ``batch``, ``flex``, ``priority``, …
    """
    given = _plain(usage)
    is_answer = isinstance(given, Mapping) and not _ANSWER.isdisjoint(given)
    body: dict[str, object] = dict(given) if is_answer and isinstance(given, Mapping) else {"usage": given}
    if model is not None:
        body["model"] = model
    if service_tier is not None:
        _set_tier(body, service, service_tier)
    operation, shape = _kind(body, service, operation)
    absent = is_nothing(body.get("usage"))
    return read(
        Endpoint(service, operation, shape, ""),
        body,
        request=None,
        provider=provider,
        completeness=Completeness.ESTIMATED if absent and is_answer else Completeness.COMPLETE,
        is_whole=False,
    )


def _kind(body: Mapping[str, object], service: str, operation: str) -> tuple[str, Shape]:
    if service == "anthropic":
        return operation, Shape.MESSAGES
    named = body.get("object")
    if type(named) is str and named in _KINDS:
        return _KINDS[named]
    return operation, _SHAPES.get(operation, Shape.CHAT)


def _set_tier(body: dict[str, object], service: str, tier: str) -> None:
    usage = body.get("usage")
    if service == "anthropic" and isinstance(usage, Mapping):
        body["usage"] = {**usage, "service_tier": tier}
    else:
        body["service_tier"] = tier


def _plain(value: object) -> object:
    """An SDK's object as the mapping it was made of; anything else as it is."""
    dump = getattr(value, "model_dump", None)
    if isinstance(value, Mapping) or not callable(dump):
        return value
    try:
        plain: object = dump(warnings=False)  # numbers of another type than declared are ours to judge
    except (TypeError, ValueError):
        return value
    return plain
