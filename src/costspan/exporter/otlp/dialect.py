"""How the world names what an inference consumed: a table for each dialect, and which spans are inferences at all.

Three dialects, told apart by the attributes of a span:

- *GenAI*: the conventions of OpenTelemetry, of today (``gen_ai.provider.name``, ``cache_write``) and of before
  (``gen_ai.system``, ``prompt_tokens``, ``cache_creation``), with what their speakers add: OpenLLMetry, the anthropic
  SDK's own spans (``anthropic.*``), the official instrumentation of OpenAI (``openai.*``).
- *OpenLLMetry* of before it spoke GenAI: ``llm.request.type`` and ``llm.usage.*``.
- *OpenInference*: ``openinference.span.kind`` and ``llm.token_count.*``; with ``output.value``, the provider's whole answer.

In all of them the input is everything read, caches included, whatever the provider's own field includes; who speaks them
differently is told by its numbers (`costspan.exporter.otlp.reading`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from costspan.exporter.otlp.span import Span, Value
from costspan.sinks import names

__all__ = ["ASSOCIATIONS", "GENAI", "OPENINFERENCE", "OPENLLMETRY", "WANTED", "Dialect", "dialect", "operation"]

#: What a dialect's table names: each field with its attributes, the newest name first.
Dialect = Mapping[str, tuple[str, ...]]

GENAI: Final[Dialect] = {
    "provider": (names.PROVIDER, "gen_ai.system"),
    "model": (names.RESPONSE_MODEL,),
    "asked": (names.REQUEST_MODEL,),
    "input": (names.INPUT_TOKENS, "gen_ai.usage.prompt_tokens"),
    "output": (names.OUTPUT_TOKENS, "gen_ai.usage.completion_tokens"),
    "total": ("gen_ai.usage.total_tokens", "llm.usage.total_tokens"),
    "cache_read": (
        names.CACHE_READ_TOKENS,
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.input_tokens.cached",
        "gen_ai.usage.cached_tokens",
    ),
    "cache_write": (
        names.CACHE_WRITE_TOKENS,
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
    ),
    "cache_write_5m": ("anthropic.usage.cache_creation.ephemeral_5m_input_tokens",),
    "cache_write_1h": ("anthropic.usage.cache_creation.ephemeral_1h_input_tokens",),
    "reasoning": (names.REASONING_TOKENS, "gen_ai.usage.reasoning_tokens"),
    "audio_in": ("gen_ai.usage.audio.input_tokens",),
    "audio_out": ("gen_ai.usage.audio.output_tokens",),
    "image_in": ("gen_ai.usage.image.input_tokens",),
    "image_out": ("gen_ai.usage.image.output_tokens",),
    "compaction_in": ("anthropic.usage.compaction.input_tokens",),
    "compaction_out": ("anthropic.usage.compaction.output_tokens",),
    "tier": (
        "openai.response.service_tier",
        "gen_ai.openai.response.service_tier",
        "anthropic.response.service_tier",
    ),
    "response_id": (names.RESPONSE_ID,),
    "finish": (names.FINISH_REASONS, "gen_ai.response.finish_reason", "anthropic.message.stop_reason"),
    "dimensions": (names.DIMENSIONS,),
}
OPENLLMETRY: Final[Dialect] = {
    **GENAI,
    "provider": (*GENAI["provider"], "llm.vendor", "llm.system"),
    "model": (*GENAI["model"], "llm.response.model"),
    "asked": (*GENAI["asked"], "llm.request.model"),
    "input": (*GENAI["input"], "llm.usage.prompt_tokens"),
    "output": (*GENAI["output"], "llm.usage.completion_tokens"),
}
OPENINFERENCE: Final[Dialect] = {
    **GENAI,  # it can speak both at once
    "provider": ("llm.provider", "llm.system", *GENAI["provider"]),
    "model": ("llm.response.model_name", "llm.model_name", "embedding.model_name", *GENAI["model"]),
    "asked": ("llm.request.model_name", *GENAI["asked"]),
    "input": ("llm.token_count.prompt", *GENAI["input"]),
    "output": ("llm.token_count.completion", *GENAI["output"]),
    "total": ("llm.token_count.total",),
    "cache_read": (
        "llm.token_count.prompt_details.cache_read",
        "llm.token_count.prompt_details.cache_input",
        *GENAI["cache_read"],
    ),
    "cache_write": ("llm.token_count.prompt_details.cache_write", *GENAI["cache_write"]),
    "reasoning": ("llm.token_count.completion_details.reasoning", *GENAI["reasoning"]),
    "audio_in": ("llm.token_count.prompt_details.audio", *GENAI["audio_in"]),
    "audio_out": ("llm.token_count.completion_details.audio", *GENAI["audio_out"]),
    "finish": ("llm.finish_reason", *GENAI["finish"]),
}

_KIND = "openinference.span.kind"
_OLD_KIND = "llm.request.type"
#: Workflows, tasks, agents and tools of OpenLLMetry; an inference has no such kind.
_NO_INFERENCE = "traceloop.span.kind"
#: Operations of one model call, by how they are named in the ledger. Anything else is no inference, or repeats one.
_OPERATIONS = {
    "chat": "chat",
    "generate_content": "chat",
    "text_completion": "text_completion",
    "completion": "text_completion",
    "embeddings": "embeddings",
    "embedding": "embeddings",
    "image_generation": "image_generation",
    "transcription": "transcription",
    "speech": "speech",
}
_INFERENCES = {"LLM": "chat", "EMBEDDING": "embeddings"}
#: Prefix of what applications of OpenLLMetry attach: ``session_id``, ``user_id``, …
ASSOCIATIONS = "traceloop.association.properties."

#: Attributes that are read of a span or a resource. All others, contents above all, are never unpacked.
WANTED = frozenset(
    {
        *(name for table in (GENAI, OPENLLMETRY, OPENINFERENCE) for known in table.values() for name in known),
        *(names.OPERATION, names.REQUEST_STREAM, names.ERROR_TYPE, names.SERVER_ADDRESS),
        *(names.STATUS, names.TENANT, names.SESSION, names.USER, names.FEATURE),
        *(_KIND, _OLD_KIND, _NO_INFERENCE),
        *("gen_ai.is_streaming", "llm.is_streaming", "gen_ai.openai.api_base", "url.full", "openai.api.type"),
        *("output.value", "llm.invocation_parameters"),
        *("session.id", "gen_ai.conversation.id", "user.id", "enduser.id", "gen_ai.user", "llm.user"),
        *(ASSOCIATIONS + name for name in ("session_id", "thread_id", "user_id", "feature")),
    }
)


def dialect(span: Span) -> Dialect:
    """Return the table by which ``span`` is read."""
    if _KIND in span.attributes:
        return OPENINFERENCE
    return OPENLLMETRY if _OLD_KIND in span.attributes else GENAI


def operation(span: Span) -> str | None:
    """Return which operation of a model ``span`` is, by the ledger's name; empty where it is none.

    None where it may be one and nobody knows: it tells of tokens under an operation that is not known.
    """
    attributes = span.attributes
    kind = attributes.get(_KIND)
    if type(kind) is str:
        return _INFERENCES.get(kind.upper(), "")
    for name in (names.OPERATION, _OLD_KIND):
        said = attributes.get(name)
        if said is not None and said != "":
            return _OPERATIONS.get(str(said).lower()) or (None if _is_unheard_of(str(said), attributes) else "")
    if _NO_INFERENCE in attributes or not _has_tokens(attributes):
        return ""
    model = span.text(*OPENLLMETRY["model"], *OPENLLMETRY["asked"])
    return ("embeddings" if "embed" in model else "chat") if model else ""


#: Known operations that are no inference: they repeat the usage of those inside of them, or have none.
_AROUND = frozenset(
    {
        "invoke_agent",
        "create_agent",
        "invoke_workflow",
        "plan",
        "execute_tool",
        "fetch_response",
        "retrieval",
        "rerank",
        "search_memory",
        "update_memory",
        "create_memory",
        "delete_memory",
    }
)


def _is_unheard_of(said: str, attributes: Mapping[str, Value]) -> bool:
    return said.lower() not in _AROUND and _has_tokens(attributes)


def _has_tokens(attributes: Mapping[str, Value]) -> bool:
    return any(name in attributes for field in ("input", "output") for name in OPENLLMETRY[field])
