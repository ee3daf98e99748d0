"""OpenAI's usage objects, read: totals include their parts, so the parts are taken out of them.

One reader for all of OpenAI's APIs and those who imitate them, since they differ in names only: ``prompt_tokens`` and
``completion_tokens`` in the older, ``input_tokens`` and ``output_tokens`` in the newer. Rules beyond the plain fields:

- The prompt is everything read: cached, written to a cache, audio and images are inside (`costspan.capture.openai_prompt`).
- The completion is everything written: reasoning, predicted tokens (accepted or not), audio and images are inside.
- ``total_tokens`` is never split into parts. Two things it does tell: a server whose total is prompt, completion *and*
  reasoning counts its reasoning beside the completion (xAI); and a gateway whose total is more than all its parts has
  consumed something that is in none of them, so the reading is flagged. OpenAI's own parts are believed.
- A part that is larger than its whole is impossible.
"""

from __future__ import annotations

from typing import NamedTuple

from costspan.capture import gateways, openai_prompt
from costspan.capture.consumption import Consumption, portion
from costspan.capture.endpoint import Shape
from costspan.capture.fields import Fields, number, part, portion_of, share, strangers, word
from costspan.errors import InvalidUsage
from costspan.usage import MAX_COUNT, STANDARD, Terms, Unit

__all__ = ["consumption", "terms"]


class _Names(NamedTuple):
    read: str
    written: str
    read_details: str
    written_details: str
    known: frozenset[str]


def _named(read: str, written: str, read_details: str, written_details: str) -> _Names:
    known = frozenset({read, written, read_details, written_details, "total_tokens", "type"})
    return _Names(read, written, read_details, written_details, known)


_OLDER = _named("prompt_tokens", "completion_tokens", "prompt_tokens_details", "completion_tokens_details")
_NEWER = _named("input_tokens", "output_tokens", "input_tokens_details", "output_tokens_details")
_TRANSCRIPTION = _named("input_tokens", "output_tokens", "input_token_details", "output_token_details")
_DETAILS = frozenset(
    {
        "accepted_prediction_tokens",
        "audio_tokens",
        "image_tokens",
        "reasoning_tokens",
        "rejected_prediction_tokens",
        "text_tokens",
    }
)
_INPUT, _OUTPUT, _OUTPUT_AUDIO, _OUTPUT_IMAGE = Unit.INPUT, Unit.OUTPUT, Unit.OUTPUT_AUDIO, Unit.OUTPUT_IMAGE
#: What tokens are where no details say so: text, but for these.
_READ_AS = {Shape.TRANSCRIPTION: Unit.INPUT_AUDIO}
_WRITTEN_AS = {Shape.IMAGES: Unit.OUTPUT_IMAGE, Shape.SPEECH: Unit.OUTPUT_AUDIO}
_FIRST_PARTY = frozenset({"", "openai", "azure.ai.openai"})
_TIERS = {"": "standard", "auto": "standard", "default": "standard", "standard": "standard", "fast": "priority"}


def terms(service_tier: object) -> Terms:
    """Return the terms of a response's ``service_tier``, which is the tier that is billed. An unknown word stays."""
    served = word(service_tier)
    tier = _TIERS.get(served, served)
    if tier == "batch":
        return Terms(batch=True)
    return STANDARD if tier == "standard" else Terms(tier)


def consumption(
    usage: Fields, *, model: str, shape: Shape = Shape.CHAT, provider: str = "", is_whole: bool = True
) -> Consumption:
    """Return what ``model`` consumed.

    Args:
        usage: the usage object of any of OpenAI's APIs.
        model: that served the call.
        shape: of the answer, which says what tokens are where no details do.
        provider: gateways are believed less than OpenAI.
        is_whole: whether the object must have both of its totals.

    Raises:
        InvalidUsage: for numbers that cannot be.
    """
    if usage.get("type") == "duration":
        return _duration(usage, model)
    names = _names(usage)
    is_plain = names.known.issuperset(usage)
    read = number(usage, names.read)
    if shape is Shape.EMBEDDINGS and usage.get(names.read) is None:
        read = number(usage, "total_tokens")  # all that Voyage and Jina send; for an embedding it is the same number
    quantities, unknown = openai_prompt.read(
        usage,
        read,
        whole_name=names.read,
        details_name=names.read_details,
        is_plain=is_plain,
        undetailed=_READ_AS.get(shape, _INPUT),
    )
    total = number(usage, "total_tokens")
    written, reasoning, more = _written(usage, names, read, total, _WRITTEN_AS.get(shape, _OUTPUT))
    unknown += more
    if not is_plain:
        unknown += strangers(usage, names.known | gateways.ALIASES | gateways.REMARKS | gateways.twins(usage))
    if provider not in _FIRST_PARTY and total > read + sum(written.values()):
        unknown += ("total_tokens",)
    if is_whole:
        unknown += _missing(usage, names, shape)
    quantities.update(written)
    return Consumption((portion(model, quantities, reasoning),), unknown)


def _names(usage: Fields) -> _Names:
    if "prompt_tokens" in usage or "completion_tokens" in usage:
        return _OLDER
    return _TRANSCRIPTION if "input_token_details" in usage else _NEWER


def _duration(usage: Fields, model: str) -> Consumption:
    """Audio billed by its length: seconds, the only count that may have a fraction."""
    seconds = usage.get("seconds")
    if (type(seconds) is not int and type(seconds) is not float) or not 0 <= seconds <= MAX_COUNT // 1000:
        raise InvalidUsage(f"seconds is {word(seconds)!r}: allowed are numbers from 0 to {MAX_COUNT // 1000:,}")
    unknown = strangers(usage, frozenset({"type", "seconds"}))
    return Consumption((portion(model, {Unit.AUDIO_MS: round(seconds * 1000)}),), unknown)


def _written(
    usage: Fields, names: _Names, read: int, total: int, otherwise: Unit
) -> tuple[dict[Unit, int], int, tuple[str, ...]]:
    """What was written by kind, how much of it was reasoning, and which fields are not understood."""
    whole = number(usage, names.written)
    details = part(usage, names.written_details)
    where = names.written_details + "."
    reasoning = number(details, "reasoning_tokens", where) or number(usage, "reasoning_tokens")
    if reasoning:
        if total == read + whole + reasoning:
            whole += reasoning
        portion_of(reasoning, whole, "reasoning_tokens", names.written)
    if not details:
        return {otherwise: whole}, reasoning, ()
    audio = share(details, "audio_tokens", whole, names.written, where)
    image = share(details, "image_tokens", whole, names.written, where)
    text = share(details, "text_tokens", whole, names.written, where)
    share(details, "accepted_prediction_tokens", whole, names.written, where)
    share(details, "rejected_prediction_tokens", whole, names.written, where)
    portion_of(audio + image, whole, "audio_tokens with image_tokens", names.written)
    rest = whole - audio - image
    quantities = {_OUTPUT: rest, _OUTPUT_AUDIO: audio, _OUTPUT_IMAGE: image}
    if otherwise is not _OUTPUT:
        quantities[_OUTPUT] = min(rest, text)
        quantities[otherwise] += rest - quantities[_OUTPUT]
    return quantities, reasoning, strangers(details, _DETAILS, where)


def _missing(usage: Fields, names: _Names, shape: Shape) -> tuple[str, ...]:
    """Required totals that are not there: nobody knows them, and unknown is not zero."""
    if shape is Shape.EMBEDDINGS:
        return () if usage.get(names.read) is not None or usage.get("total_tokens") is not None else (names.read,)
    if usage.get(names.read) is not None and usage.get(names.written) is not None:
        return ()
    return tuple(name for name in (names.read, names.written) if usage.get(name) is None)
