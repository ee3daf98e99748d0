"""From a span to a `costspan.usage.Reading`: the counts put into the provider's own words, and read as the hooks read them.

A span says less than the answer did, and what is missing is never guessed in silence:

- Where OpenInference carries the whole answer, that is read, and the result is the hooks' to the digit.
- Terms and tools (tier, speed, region, searches, iterations) are assumed to be the standard and none, which makes the
  call ``estimated``; unless its instrumentation is known to tell whatever there is to tell (`_tells_all`).
- Writes to a cache without their time-to-live cost at least those of the shortest: ``partial``.
- Usage that is not there is not zero: ``partial`` too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from costspan import capture
from costspan.capture import Endpoint, Shape
from costspan.capture.body import read_closely
from costspan.capture.evidence import evidence
from costspan.exporter.otlp.dialect import dialect
from costspan.exporter.otlp.provider import served_by
from costspan.exporter.otlp.span import Span, Value
from costspan.pricing import PriceBook
from costspan.pricing.card import Rate
from costspan.sinks import names
from costspan.text import clean
from costspan.usage import Completeness, Portion, Reading, Unit, Usage

__all__ = ["asked_model", "read"]

_OFFICIAL = "opentelemetry.instrumentation.genai.openai"
_OPENLLMETRY = "opentelemetry.instrumentation.openai.v"
#: Instrumentations of Anthropic's SDK whose spans say how an answer ended, if it did: none is an answer that was cut.
_TELL_ENDS = ("opentelemetry.instrumentation.genai.anthropic", "opentelemetry.instrumentation.anthropic")
_TTL = ".time_to_live"
_Told = dict[str, object]


def asked_model(span: Span) -> str:
    """Return the model that was asked for."""
    table = dialect(span)
    return clean(span.text(*table["asked"]) or _parameter(span, "model") or span.text(*table["model"]))


def read(span: Span, operation: str, book: PriceBook) -> Reading | None:
    """Return the reading of an inference; None for one that failed without having consumed anything.

    Args:
        span: an inference.
        operation: of the ledger's names.
        book: knows which models have prices for what a span may not tell.
    """
    table = dialect(span)
    told: _Told = {field: _first(span.attributes, known) for field, known in table.items()}
    model = clean(span.text(*table["model"]) or asked_model(span))
    family, provider = served_by(span, table, model)
    answer = _answer(span)
    if answer is not None:
        reading = _of_answer(answer, model, provider, operation)
        if reading.response_id or not told["response_id"]:
            return reading
        return replace(reading, response_id=_identifier(told))
    has_failed = span.has_failed or bool(span.attributes.get(names.ERROR_TYPE))
    if told["input"] is None and told["output"] is None and (has_failed or told["total"] is None):
        return None if has_failed else _without_usage(family, provider, operation, model, told)
    usage, unknown = _anthropic(told) if family == "anthropic" else _openai(told, operation)
    reading = capture.from_usage(
        usage,
        model,
        service="anthropic" if family == "anthropic" else "openai",
        operation=operation,
        provider=provider,
        service_tier=_word(told["tier"]),
    )
    rates = book.card(reading.provider, reading.model, reading.terms, span.start_ns).rates(
        reading.portions[0].usage.quantities if reading.portions else {}
    )
    if _differ(rates, Unit.CACHE_WRITE_30M, Unit.CACHE_WRITE_12H) and _is_of_responses(span):
        unknown += _undated(told)
    return replace(
        reading,
        service=family,
        unknown=() if reading.problem else reading.unknown + unknown,
        completeness=_completeness(span, family, operation, told, rates),
        response_id=_identifier(told),
        finish_reason=_word(told["finish"]) or "",
        dimensions=told["dimensions"] if type(told["dimensions"]) is int and 0 < told["dimensions"] < _LONGEST else 0,
        evidence=evidence({field: told[field] for field in _COUNTS if told[field] is not None}),
    )


_LONGEST = 1_000_000
_COUNTS = (
    "input",
    "output",
    "total",
    "cache_read",
    "cache_write",
    "cache_write_5m",
    "cache_write_1h",
    "reasoning",
    "audio_in",
    "audio_out",
    "image_in",
    "image_out",
    "compaction_in",
    "compaction_out",
    "tier",
)


def _first(attributes: Mapping[str, Value], known: tuple[str, ...]) -> object:
    for name in known:
        value = attributes.get(name)
        if value is not None:
            # Some languages know no integers. What is no whole number stays what it is, and is refused as a count.
            return int(value) if type(value) is float and value.is_integer() else value
    return None


def _word(value: object) -> str | None:
    return value if type(value) is str and value else None


def _identifier(told: _Told) -> str:
    return clean(_word(told["response_id"]) or "")


def _number(value: object) -> int:
    """A count to calculate with; what is none is refused where it is read."""
    return value if type(value) is int else 0


def _anthropic(told: _Told) -> tuple[Mapping[str, object], tuple[str, ...]]:
    """The counts as Anthropic's usage object has them: there the input is without the caches."""
    cached, written, fresh = told["cache_read"], told["cache_write"], told["input"]
    split = {
        f"ephemeral_{life}_input_tokens": told[f"cache_write_{life}"]
        for life in ("5m", "1h")
        if told[f"cache_write_{life}"] is not None
    }
    caches = _number(cached) + _number(written)
    # Less than its caches is an input that never included them.
    if type(fresh) is int and 0 <= caches <= fresh:
        fresh -= caches
    unknown = _missing(told, ("input", "output"))
    if written and not split:
        unknown += _undated(told)
    usage: dict[str, object] = {
        "input_tokens": fresh,
        "output_tokens": _with_reasoning(told),
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": written,
        "output_tokens_details": {"thinking_tokens": told["reasoning"]},
    }
    if split:
        usage["cache_creation"] = split
    if told["compaction_in"] or told["compaction_out"]:  # not in the counts above, and billed
        top = {name: usage[name] for name in _ITERATED if usage.get(name) is not None}
        beside = {"input_tokens": told["compaction_in"], "output_tokens": told["compaction_out"]}
        usage["iterations"] = [{"type": "message", **top}, {"type": "compaction", **beside}]
    return usage, unknown


_ITERATED = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cache_creation",
)


def _openai(told: _Told, operation: str) -> tuple[Mapping[str, object], tuple[str, ...]]:
    """The counts as OpenAI's usage object has them: there the prompt is everything that was read."""
    prompt, completion = told["input"], _with_reasoning(told)
    unknown: tuple[str, ...] = ()
    if prompt is None and completion is None:
        prompt = told["total"]  # of which nobody knows the parts: at least this, as to read costs less than to write
        unknown = () if operation == "embeddings" else ("total_tokens",)
    elif operation != "embeddings":
        unknown = _missing(told, ("input", "output"))
    caches = _number(told["cache_read"]) + _number(told["cache_write"])
    if type(prompt) is int and 0 <= prompt < caches:
        prompt += caches
    details = {
        "cached_tokens": told["cache_read"],
        "cache_write_tokens": told["cache_write"],
        "audio_tokens": told["audio_in"],
        "image_tokens": told["image_in"],
    }
    written = {
        "reasoning_tokens": told["reasoning"],
        "audio_tokens": told["audio_out"],
        "image_tokens": told["image_out"],
    }
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "prompt_tokens_details": {name: value for name, value in details.items() if value is not None},
        "completion_tokens_details": {name: value for name, value in written.items() if value is not None},
    }
    return usage, unknown


def _with_reasoning(told: _Told) -> object:
    """The output; one that is less than its reasoning never included it."""
    output, reasoning = told["output"], told["reasoning"]
    return output + reasoning if type(output) is int and type(reasoning) is int and 0 <= output < reasoning else output


def _missing(told: _Told, fields: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{field}_tokens" for field in fields if told[field] is None)


def _undated(told: _Told) -> tuple[str, ...]:
    return ("cache_write" + _TTL,) if told["cache_write"] else ()


def _without_usage(family: str, provider: str, operation: str, model: str, told: _Told) -> Reading:
    """An inference that was answered, of whose usage its span says nothing: a lower bound of nothing."""
    return Reading(
        family,
        provider,
        operation,
        model,
        (Portion(model, Usage({})),),
        unknown=("usage",),
        response_id=_identifier(told),
        finish_reason=_word(told["finish"]) or "",
    )


def _is_stream(span: Span) -> bool:
    return any(span.attributes.get(name) is True for name in _STREAMS)


def _is_of_responses(span: Span) -> bool:
    return span.attributes.get("openai.api.type") == "responses"


def _completeness(span: Span, family: str, operation: str, told: _Told, rates: Mapping[str, Rate]) -> Completeness:
    has_ended = told["finish"] is not None
    if span.has_failed or (_is_stream(span) and not has_ended and span.scope in _TELL_ENDS):
        return Completeness.CUT
    return Completeness.COMPLETE if _tells_all(span, family, operation, rates) else Completeness.ASSUMED


_STREAMS = (names.REQUEST_STREAM, "gen_ai.is_streaming", "llm.is_streaming")


def _tells_all(span: Span, family: str, operation: str, rates: Mapping[str, Rate]) -> bool:
    """Whether the span's maker tells everything that this kind of call can be billed by.

    Both of these put the served tier on the span wherever the answer has one, and a chat or an embedding of OpenAI has no
    other terms and no fees. The Responses API has tools, whose fees neither tells. OpenLLMetry does not tell a stream's
    tier, nor writes to the cache, which some models charge for.
    """
    if family != "openai" or _is_of_responses(span):
        return False
    if span.scope == _OFFICIAL:
        return True
    if not span.scope.startswith(_OPENLLMETRY) or _is_stream(span):
        return False
    if operation == "embeddings":
        return True
    return span.name in ("openai.chat", "openai.completion") and not _differ(rates, Unit.INPUT, Unit.CACHE_WRITE_30M)


def _differ(rates: Mapping[str, Rate], one: Unit, other: Unit) -> bool:
    """Whether it matters for the cost which of two units it was."""
    first, second = rates.get(one.value), rates.get(other.value)
    return second is not None and (first is None or first.atto != second.atto)


def _answer(span: Span) -> Mapping[str, Any] | None:
    """The provider's whole answer, where OpenInference has it; None for anything else that a span's output may be."""
    text = span.attributes.get("output.value")
    if type(text) is not str or not text.startswith("{"):
        return None
    body = _json(text)
    usage = body.get("usage") if body is not None else None
    if body is None or not isinstance(usage, dict):
        return None
    is_transcription = "text" in body and usage.get("type") in ("tokens", "duration")
    return body if body.get("object") in _ANSWERS or body.get("type") == "message" or is_transcription else None


_ANSWERS = {
    "chat.completion": Shape.CHAT,
    "text_completion": Shape.COMPLETION,
    "response": Shape.RESPONSES,
    "list": Shape.EMBEDDINGS,
}
_OPERATION_OF = {
    Shape.COMPLETION: "text_completion",
    Shape.EMBEDDINGS: "embeddings",
    Shape.TRANSCRIPTION: "transcription",
}


def _of_answer(body: Mapping[str, Any], model: str, provider: str, operation: str) -> Reading:
    if body.get("type") == "message":
        family, shape = "anthropic", Shape.MESSAGES
    else:
        family, shape = "openai", _ANSWERS.get(str(body.get("object")), Shape.TRANSCRIPTION)
    endpoint = Endpoint(family, _OPERATION_OF.get(shape, operation), shape, "", model)
    if shape is Shape.MESSAGES and body.get("stop_reason") is None:
        return read_closely(endpoint, body, request=None, provider=provider, completeness=Completeness.CUT)
    return capture.read_body(endpoint, body, request=None, provider=provider)


def _parameter(span: Span, name: str) -> str:
    """A parameter of the request, as OpenInference has it; some answers do not name their model."""
    text = span.attributes.get("llm.invocation_parameters")
    body = _json(text) if type(text) is str else None
    value = body.get(name) if body is not None else None
    return value if type(value) is str else ""


def _json(text: str) -> dict[str, Any] | None:
    try:
        body = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return body if isinstance(body, dict) else None
