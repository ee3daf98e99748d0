"""From an answer to a `Reading`: whose usage it is, whether it is there at all, and what to say where it is not.

- Usage that is there is read: by `costspan.capture.usual` where nothing is the matter with it, else field by field
  (`costspan.capture.anthropic`, `costspan.capture.openai`). Numbers that cannot be make a reading with a problem, with the
  evidence and without portions.
- Usage that is missing from a whole answer is estimated from the texts, where tokens follow from a text.
- An answer that is not whole (a cut stream, a body that nobody read, a response still at work in the background) keeps
  what the provider said of the input, and at least the output that was seen.
"""

from __future__ import annotations

from collections.abc import Mapping

from costspan.capture import answer, anthropic, estimate, openai, openai_tools, usual
from costspan.capture.consumption import Consumption, portion
from costspan.capture.endpoint import Endpoint, Shape
from costspan.capture.evidence import evidence
from costspan.capture.fields import Fields, is_nothing
from costspan.errors import InvalidUsage
from costspan.usage import MAX_COUNT, STANDARD, Completeness, Reading, Terms, Unit

__all__ = ["read", "read_body", "read_closely"]

#: A response that has not come to its end: what it consumed is not known yet, or never will be.
_UNFINISHED = frozenset({"queued", "in_progress", "cancelled", "failed"})
#: Answers whose tokens do not follow from a text.
_NOT_FROM_TEXT = frozenset({Shape.TRANSCRIPTION, Shape.IMAGES})


def read_body(
    endpoint: Endpoint, body: object, *, request: Mapping[str, object] | None = None, provider: str = ""
) -> Reading:
    """Return what an answer's parsed JSON says was consumed. Never raises for what a provider sent.

    Args:
        endpoint: that was called.
        body: the parsed JSON; None where nobody could read it. A plain text (of a transcription) has no usage.
        request: the JSON that was sent: it names the model where the answer does not, and is what estimates rest on.
        provider: ``gen_ai.provider.name``; the service's own where empty.
    """
    fields: Fields = (
        body if type(body) is dict or isinstance(body, Mapping) else {"text": body} if type(body) is str else {}
    )
    completeness = Completeness.COMPLETE
    if is_nothing(fields.get("usage")):
        is_unread = body is None and endpoint.shape is not Shape.SPEECH
        is_cut = is_unread or answer.word_at(fields, "status") in _UNFINISHED
        completeness = Completeness.CUT if is_cut else Completeness.ESTIMATED
    return read(endpoint, fields, request=request, provider=provider, completeness=completeness)


def read(
    endpoint: Endpoint,
    body: Fields,
    *,
    request: Mapping[str, object] | None,
    provider: str,
    completeness: Completeness,
    written: int | None = None,
    tally: openai_tools.ToolTally | None = None,
    is_whole: bool = True,
) -> Reading:
    """Return the reading of an answer's fields, as far as they are known.

    Args:
        endpoint: that was called.
        body: the answer, or what a stream has told of it.
        request: the JSON that was sent.
        provider: ``gen_ai.provider.name``.
        completeness: of the usage.
        written: bytes of text seen; measured in ``body`` where None.
        tally: output items seen, where they are not in ``body``.
        is_whole: whether usage must have all of its required fields.
    """
    if completeness is Completeness.COMPLETE and is_whole and tally is None:
        reading = usual.read(endpoint, body, request=request, provider=provider or endpoint.service)
        if reading is not None:
            return reading
    return read_closely(
        endpoint,
        body,
        request=request,
        provider=provider,
        completeness=completeness,
        written=written,
        tally=tally,
        is_whole=is_whole,
    )


def read_closely(
    endpoint: Endpoint,
    body: Fields,
    *,
    request: Mapping[str, object] | None,
    provider: str,
    completeness: Completeness,
    written: int | None = None,
    tally: openai_tools.ToolTally | None = None,
    is_whole: bool = True,
) -> Reading:
    """Like `read`, field by field, whatever the answer looks like."""
    usage = body.get("usage")
    asked = answer.name_at(request, "model") if request is not None else ""
    asked = asked or endpoint.model
    model = answer.name_at(body, "model") or asked
    provider = provider or endpoint.service
    terms, consumed, problem = STANDARD, Consumption(()), ""
    try:
        terms = _terms(endpoint, body, usage)
        if completeness is not Completeness.COMPLETE:
            if is_nothing(usage) and (endpoint.shape in _NOT_FROM_TEXT or endpoint.shape is Shape.SPEECH):
                consumed = _not_from_tokens(endpoint.shape, body, model, request)
            else:
                usage = _filled(endpoint, body, usage, request, written)
        if not consumed.portions:
            consumed = _reported(
                endpoint.shape, body, usage, model, asked=asked, provider=provider, tally=tally, is_whole=is_whole
            )
    except InvalidUsage as error:
        problem = str(error)
    return Reading(
        endpoint.service,
        provider,
        endpoint.operation,
        model,
        consumed.portions,
        terms,
        completeness,
        consumed.unknown,
        problem,
        answer.identifier(body),
        answer.finish_reason(endpoint.shape, body),
        answer.dimensions(body, request) if endpoint.shape is Shape.EMBEDDINGS else 0,
        _evidence(body),
    )


def _terms(endpoint: Endpoint, body: Fields, usage: object) -> Terms:
    if endpoint.service != "anthropic":
        return openai.terms(body.get("service_tier"))
    return anthropic.terms(usage) if type(usage) is dict or isinstance(usage, Mapping) else STANDARD


def _reported(
    shape: Shape,
    body: Fields,
    usage: object,
    model: str,
    *,
    asked: str,
    provider: str,
    tally: openai_tools.ToolTally | None,
    is_whole: bool,
) -> Consumption:
    """What a usage object says, by the reader of its language."""
    if type(usage) is not dict and not isinstance(usage, Mapping):
        raise InvalidUsage(f"usage is a {type(usage).__name__}: allowed is an object")
    if is_nothing(usage):
        raise InvalidUsage("usage is empty: allowed is an object with counts")
    if shape is Shape.MESSAGES and "prompt_tokens" not in usage:
        return anthropic.consumption(
            usage, model=model, asked=asked, stop_reason=body.get("stop_reason"), is_whole=is_whole
        )
    consumed = openai.consumption(usage, model=model, shape=shape, provider=provider, is_whole=is_whole)
    if shape is Shape.RESPONSES:
        fees, others = openai_tools.of_response(body, tally)
        if any(fees.values()):
            own = consumed.portions[0].usage
            consumed = Consumption((portion(model, {**own.quantities, **fees}, own.reasoning),), consumed.unknown)
    elif shape is Shape.IMAGES:
        others = openai_tools.of_images(body)
    else:
        return consumed
    return Consumption(consumed.portions + others.portions, consumed.unknown + others.unknown)


def _filled(
    endpoint: Endpoint, body: Fields, usage: object, request: Mapping[str, object] | None, written: int | None
) -> object:
    """``usage`` with estimates where it has no numbers, and with at least the output that was seen."""
    if usage is not None and not isinstance(usage, Mapping):
        return usage
    told = dict(usage) if usage is not None else {}
    is_older = endpoint.shape is not Shape.MESSAGES and ("prompt_tokens" in told or "completion_tokens" in told)
    inputs, outputs = ("prompt_tokens", "completion_tokens") if is_older else ("input_tokens", "output_tokens")
    if told.get(inputs) is None:
        told[inputs] = min(estimate.prompt_tokens(endpoint.shape, request), MAX_COUNT)
    size = estimate.answer_bytes(endpoint.shape, body) if written is None else written
    seen = min(estimate.tokens(size), MAX_COUNT)
    given = told.get(outputs)
    if given is None or (type(given) is int and 0 <= given < seen):
        told[outputs] = seen
    return told


def _not_from_tokens(shape: Shape, body: Fields, model: str, request: Mapping[str, object] | None) -> Consumption:
    """Answers without usage whose bill is no matter of text tokens.

    Speech is billed by its characters. A transcription may state the length of its audio. Of the rest nobody knows
    anything, which is said rather than guessed.
    """
    if shape is Shape.SPEECH:
        text = request.get("input") if request is not None else None
        if type(text) is str:
            return Consumption((portion(model, {Unit.CHARACTERS: min(len(text), MAX_COUNT)}),))
    seconds = body.get("duration") if shape is Shape.TRANSCRIPTION else None
    if type(seconds) in (int, float):
        return openai.consumption({"type": "duration", "seconds": seconds}, model=model, shape=shape)
    return Consumption((portion(model, {}),), ("usage",))


def _evidence(body: Fields) -> dict[str, object]:
    usage, tools = body.get("usage"), body.get("tool_usage")
    return evidence({**usage, "tool_usage": tools} if tools and isinstance(usage, Mapping) else usage)
