"""What a span says of an inference, in each of the world's words, and what it costs by them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.exporter.otlp import attribution
from costspan.exporter.otlp.dialect import GENAI, OPENINFERENCE, WANTED, operation
from costspan.exporter.otlp.family import wrapped
from costspan.exporter.otlp.reading import asked_model, read
from costspan.exporter.otlp.span import Span
from costspan.pricing import PriceBook
from costspan.usage import Status

AT = int(datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()) * 10**9
BOOK = PriceBook.load()

#: A call of gpt-5 with 20,000 tokens read, 15,000 of them from a cache, and 1,000 written: $0.018125.
CURRENT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5",
    "gen_ai.response.model": "gpt-5-2025-08-07",
    "gen_ai.usage.input_tokens": 20_000,
    "gen_ai.usage.output_tokens": 1000,
    "gen_ai.usage.cache_read.input_tokens": 15_000,
}
#: A call of claude-sonnet-5-5: 50 tokens fresh, 100,000 read from a cache, 20,000 and 10,000 written to one: $0.1051.
CLAUDE = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "anthropic",
    "gen_ai.request.model": "claude-sonnet-5-5",
    "gen_ai.usage.input_tokens": 130_050,
    "gen_ai.usage.output_tokens": 500,
    "gen_ai.usage.cache_read.input_tokens": 100_000,
    "gen_ai.usage.cache_write.input_tokens": 30_000,
    "anthropic.usage.cache_creation.ephemeral_5m_input_tokens": 20_000,
    "anthropic.usage.cache_creation.ephemeral_1h_input_tokens": 10_000,
}


def span(attributes: dict[str, Any], **changes: Any) -> Span:
    """A span with these attributes."""
    fields: dict[str, Any] = {
        "trace_id": b"t" * 16,
        "span_id": b"s" * 8,
        "parent_id": b"",
        "name": "chat",
        "start_ns": AT,
        "end_ns": AT + 10**9,
        "has_failed": False,
        "scope": "a framework",
        "resource": {},
    }
    assert attributes.keys() <= WANTED
    return Span(**{**fields, "attributes": attributes, **changes})


def priced(given: Span) -> tuple[str, str | None]:
    """Status and cost of an inference."""
    kind = operation(given)
    assert kind
    reading = read(given, kind, BOOK)
    assert reading is not None
    quote = BOOK.quote(reading, given.start_ns)
    return quote.status.value, None if quote.cost_usd is None else str(quote.cost_usd)


_OLDER = {
    "conventions of 1.27": {
        "gen_ai.operation.name": "chat",
        "gen_ai.system": "openai",
        "gen_ai.response.model": "gpt-5",
        "gen_ai.usage.input_tokens": 20_000,
        "gen_ai.usage.output_tokens": 1000,
        "gen_ai.usage.cached_tokens": 15_000,
    },
    "conventions of 1.26": {
        "gen_ai.system": "openai",
        "gen_ai.request.model": "gpt-5",
        "gen_ai.usage.prompt_tokens": 20_000,
        "gen_ai.usage.completion_tokens": 1000,
        "gen_ai.usage.cache_read_input_tokens": 15_000,
    },
    "OpenLLMetry of then": {
        "llm.request.type": "chat",
        "gen_ai.system": "OpenAI",
        "llm.request.model": "gpt-5",
        "llm.usage.prompt_tokens": 20_000,
        "llm.usage.completion_tokens": 1000,
        "gen_ai.usage.cache_read_input_tokens": 15_000,
    },
    "OpenInference without the answer": {
        "openinference.span.kind": "LLM",
        "llm.provider": "openai",
        "llm.model_name": "gpt-5",
        "llm.token_count.prompt": 20_000,
        "llm.token_count.completion": 1000,
        "llm.token_count.prompt_details.cache_read": 15_000,
        "output.value": "a text and no answer",
    },
    "OpenInference with a framework's output": {
        "openinference.span.kind": "LLM",
        "llm.system": "openai",
        "llm.model_name": "gpt-5",
        "llm.token_count.prompt": 20_000,
        "llm.token_count.completion": 1000,
        "llm.token_count.prompt_details.cache_read": 15_000,
        "output.value": '{"generations": [[{"text": "hi"}]], "usage": {"prompt_tokens": 9}}',
    },
    "Vercel's SDK": {
        "gen_ai.system": "openai.chat",
        "gen_ai.request.model": "gpt-5",
        "gen_ai.usage.input_tokens": 20_000.0,
        "gen_ai.usage.output_tokens": 1000.0,
        "gen_ai.usage.input_tokens.cached": 15_000.0,
    },
}


@pytest.mark.parametrize("attributes", _OLDER.values(), ids=_OLDER)
def test_every_dialect_names_the_same_call(attributes):
    """What it costs does not depend on the words; that its terms are assumed is said."""
    assert priced(span(attributes)) == ("estimated", "0.018125")


def test_what_tells_all_is_priced():
    """The official instrumentation of OpenAI tells all that a chat is billed by; of a response it does not tell the tools."""
    official = {"scope": "opentelemetry.instrumentation.genai.openai"}

    assert priced(span(CURRENT, **official)) == ("priced", "0.018125")
    assert priced(span({**CURRENT, "openai.api.type": "responses"}, **official)) == ("estimated", "0.018125")
    assert priced(span({**CURRENT, "openai.response.service_tier": "flex"}, **official)) == ("priced", "0.0090625")
    assert priced(span({**CURRENT, "openai.response.service_tier": "hyperdrive"}, **official)) == ("unpriced", None)


@pytest.mark.parametrize("fresh", [130_050, 50])
def test_an_input_less_than_its_caches_never_included_them(fresh):
    """Anthropic's own count excludes the caches and the conventions' includes them: the numbers tell which it is."""
    assert priced(span({**CLAUDE, "gen_ai.usage.input_tokens": fresh})) == ("estimated", "0.1051")


@pytest.mark.parametrize("output", [1000, 200])
def test_an_output_less_than_its_reasoning_never_included_it(output):
    """The conventions' output includes what was reasoned; Google's own does not."""
    attributes = {**CURRENT, "gen_ai.usage.output_tokens": output, "gen_ai.usage.reasoning.output_tokens": 800}

    assert priced(span(attributes)) == ("estimated", "0.018125")


def test_writes_without_their_time_to_live_are_a_lower_bound():
    """Anthropic's shortest costs least; the status says that it may have been more."""
    undated = {name: value for name, value in CLAUDE.items() if "ephemeral" not in name}

    assert priced(span(undated)) == ("partial", "0.0901")


@pytest.mark.parametrize(
    ("attributes", "provider", "service"),
    [
        ({"gen_ai.provider.name": "openai", "server.address": "acme.openai.azure.com"}, "azure.ai.openai", "openai"),
        ({"gen_ai.system": "az.ai.openai"}, "azure.ai.openai", "openai"),
        ({"gen_ai.system": "openai", "gen_ai.openai.api_base": "https://api.groq.com/openai/v1/"}, "groq", "openai"),
        ({"gen_ai.system": "openai", "gen_ai.openai.api_base": "http://[::1"}, "openai", "openai"),
        ({"gen_ai.system": "Anthropic", "gen_ai.response.model": "claude-opus-5-5"}, "anthropic", "anthropic"),
        (
            {"gen_ai.provider.name": "aws.bedrock", "gen_ai.response.model": "anthropic.claude-opus-5-5"},
            "aws.bedrock",
            "anthropic",
        ),
        (
            {"gen_ai.provider.name": "aws.bedrock", "gen_ai.response.model": "amazon.nova-pro-v1:0"},
            "aws.bedrock",
            "aws.bedrock",
        ),
        ({"gen_ai.provider.name": "gcp.gemini", "gen_ai.response.model": "gemini-2.5-pro"}, "gcp.gemini", "gcp.gemini"),
        ({"gen_ai.system": "mistralai"}, "mistral_ai", "openai"),
        ({"gen_ai.response.model": "claude-opus-5-5"}, "anthropic", "anthropic"),
        ({}, "openai", "openai"),
    ],
)
def test_the_provider_is_who_served(attributes, provider, service):
    """By the host where an instrumentation names only the SDK, in one spelling, and with the language that it speaks."""
    tokens = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 1, "gen_ai.usage.output_tokens": 1}

    reading = read(span({"gen_ai.response.model": "gpt-5", **tokens, **attributes}), "chat", BOOK)

    assert reading is not None
    assert (reading.provider, reading.service) == (provider, service)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"gen_ai.usage.output_tokens": -1}, ("invalid", None)),
        ({"gen_ai.usage.output_tokens": 1.5}, ("invalid", None)),
        ({"gen_ai.usage.output_tokens": "many"}, ("invalid", None)),
        ({"gen_ai.usage.output_tokens": True}, ("invalid", None)),
        ({"gen_ai.usage.input_tokens": 2**62}, ("invalid", None)),
        ({"gen_ai.usage.output_tokens": None}, ("partial", "0.008125")),
        ({"gen_ai.usage.input_tokens": None, "gen_ai.usage.output_tokens": None}, ("partial", "0")),
        ({"gen_ai.response.model": "gpt-99-nova"}, ("unpriced", None)),
    ],
)
def test_what_is_missing_or_cannot_be_is_never_zero(changes, expected):
    """Counts that cannot be make an invalid call, and missing ones a lower bound."""
    attributes = {name: value for name, value in {**CURRENT, **changes}.items() if value is not None}

    assert priced(span(attributes)) == expected


def test_a_total_by_itself_is_a_lower_bound():
    """Nobody knows its parts, and to read costs less than to write; an embedding only reads."""
    chat = {"llm.request.type": "chat", "gen_ai.request.model": "gpt-5", "llm.usage.total_tokens": 1000}
    embedding = {
        "llm.request.type": "embedding",
        "gen_ai.request.model": "text-embedding-3-large",
        "llm.usage.total_tokens": 1000,
    }

    assert priced(span(chat)) == ("partial", "0.00125")
    assert priced(span(embedding)) == ("estimated", "0.00013")


def test_a_call_that_failed_costs_what_it_had_consumed():
    """Nothing where nothing is told; of an answer that broke off the part that is certain, which is never final."""
    refused = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5", "error.type": "429"}
    broken = {**CLAUDE, "error.type": "api_error", "gen_ai.request.stream": True}

    assert read(span(refused), "chat", BOOK) is None
    assert read(span({"gen_ai.operation.name": "chat"}, has_failed=True), "chat", BOOK) is None
    assert priced(span(broken, has_failed=True)) == ("partial", None)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"gen_ai.operation.name": "generate_content"}, "chat"),
        ({"gen_ai.operation.name": "Embeddings"}, "embeddings"),
        ({"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 1}, ""),
        ({"gen_ai.operation.name": "fetch_response", "gen_ai.usage.input_tokens": 1}, ""),
        ({"gen_ai.operation.name": "divination", "gen_ai.usage.input_tokens": 1}, None),
        ({"gen_ai.operation.name": "divination"}, ""),
        ({"openinference.span.kind": "AGENT", "llm.token_count.prompt": 1}, ""),
        ({"openinference.span.kind": "EMBEDDING"}, "embeddings"),
        ({"llm.request.type": "rerank"}, ""),
        ({"traceloop.span.kind": "tool", "gen_ai.usage.input_tokens": 1, "gen_ai.request.model": "gpt-5"}, ""),
        ({"gen_ai.usage.input_tokens": 1, "gen_ai.request.model": "text-embedding-3-large"}, "embeddings"),
        ({"gen_ai.usage.input_tokens": 1}, ""),
        ({}, ""),
    ],
)
def test_only_calls_of_a_model_are_inferences(attributes, expected):
    """Agents, tools and workflows repeat what the calls inside of them tell; of others nobody knows."""
    assert operation(span(attributes)) == expected


def test_an_answer_without_its_model_is_of_the_model_that_was_asked():
    """A transcription does not name it; OpenInference keeps the request's parameters."""
    usage = '"usage":{"type":"tokens","input_tokens":1000,"output_tokens":200,"total_tokens":1200,'
    details = '"input_token_details":{"audio_tokens":900,"text_tokens":100}}'
    asked = {
        "openinference.span.kind": "LLM",
        "llm.system": "openai",
        "llm.invocation_parameters": '{"model": "gpt-4o-transcribe"}',
    }
    told = span({**asked, "output.value": '{"text":"hello",' + usage + details + "}"})

    assert asked_model(told) == "gpt-4o-transcribe"
    assert priced(told) == ("priced", "0.00765")


@given(
    st.dictionaries(
        st.sampled_from(
            sorted(
                {name for table in (GENAI, OPENINFERENCE) for known in table.values() for name in known}
                | {"output.value"}
            )
        ),
        st.one_of(
            st.integers(-(2**63), 2**63 - 1),
            st.text(max_size=5),
            st.booleans(),
            st.floats(),
            st.sampled_from(
                ['{"usage":{}}', '{"object":"list","usage":{"a":[]}}', '{"type":"message","usage":{"iterations":7}}']
            ),
        ),
    ),
    st.sampled_from(["chat", "embeddings", "transcription"]),
    st.booleans(),
)
def test_whatever_a_span_says_has_a_reading_or_none(attributes, kind, has_failed):
    """Nothing that comes from outside raises, and no cost is ever less than nothing."""
    reading = read(span(attributes, has_failed=has_failed), kind, BOOK)

    if reading is not None:
        quote = BOOK.quote(reading, AT)
        assert quote.status in Status
        assert quote.known_pico >= 0


def test_a_tenants_token_decides_whose_a_span_is():
    """Else the span does, else its process, else the server's setting, else nobody."""
    told = span({"costspan.tenant": "of-span"}, resource={"costspan.tenant": "of-process"})
    silent = span({})

    assert attribution.tenant(told, "of-token", "default") == "of-token"
    assert attribution.tenant(told, None, "default") == "of-span"
    assert attribution.tenant(told, None, "default", of_span=False) == "of-process"
    assert attribution.tenant(silent, None, "default") == "default"
    assert attribution.tenant(silent, None, "") == "00000000-0000-0000-0000-000000000000"
    assert attribution.named(span({"traceloop.association.properties.session_id": 7}), "session") == "7"


@pytest.mark.parametrize("length", [1, 20_000])
def test_what_is_around_is_found_once_also_in_a_circle(length):
    """Each place is visited once, so that no chain takes long; a span that is its own parent wraps nothing."""
    spans = [
        span({}, span_id=n.to_bytes(8, "big"), parent_id=((n + 1) % length).to_bytes(8, "big")) for n in range(length)
    ]

    around = wrapped(spans, spans)

    assert len(around) == (0 if length == 1 else length)
