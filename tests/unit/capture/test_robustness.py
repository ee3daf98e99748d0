"""Whatever a provider sends, capture reads it and raises nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from costspan.capture import (
    Endpoint,
    Shape,
    StreamReader,
    from_usage,
    is_usage_only_chunk,
    read_body,
    wants_usage_chunk,
)
from costspan.usage import MAX_COUNT, Reading
from unit.capture.answers import PATIENT

NAMES = st.sampled_from(
    [
        "action",
        "audio_tokens",
        "cache_creation",
        "cache_creation_input_tokens",
        "cache_write_tokens",
        "cache_write_tokens_details",
        "cached_tokens",
        "cached_tokens_details",
        "choices",
        "completion_tokens",
        "completion_tokens_details",
        "content",
        "content_block",
        "data",
        "delta",
        "embedding",
        "error",
        "fallback_credit",
        "finish_reason",
        "id",
        "image_gen",
        "input_token_details",
        "input_tokens",
        "item",
        "iterations",
        "message",
        "model",
        "output",
        "output_tokens",
        "output_tokens_details",
        "prompt_tokens",
        "prompt_tokens_details",
        "reasoning_tokens",
        "response",
        "seconds",
        "server_tool_use",
        "service_tier",
        "status",
        "stop_reason",
        "svg_usage",
        "text",
        "to",
        "tool_usage",
        "tools",
        "total_tokens",
        "ttl_12h_tokens",
        "type",
        "usage",
        "web_search",
        "x_groq",
    ]
)
WORDS = st.sampled_from(
    [
        "compaction",
        "content_block_delta",
        "content_block_start",
        "duration",
        "error",
        "fallback",
        "fallback_message",
        "image_generation_call",
        "message",
        "message_delta",
        "message_start",
        "message_stop",
        "refusal",
        "response.completed",
        "response.output_item.done",
        "search",
        "transcript.text.done",
        "web_search_call",
    ]
)
KEYS = st.one_of(NAMES, NAMES, NAMES, st.text(max_size=5))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 50),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    WORDS,
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=10,
)
OBJECTS = st.dictionaries(KEYS, JSON, max_size=6)
CALLED = [
    Endpoint("anthropic" if shape is Shape.MESSAGES else "openai", "chat", shape, "/path", "path-model")
    for shape in Shape
]


def is_sound(reading):
    """Whether a reading keeps its own promises."""
    counts = [quantity for portion in reading.portions for quantity in portion.usage.quantities.values()]
    return (
        isinstance(reading, Reading)
        and all(type(count) is int and 0 < count <= 2 * MAX_COUNT for count in counts)
        and bool(reading.portions) != bool(reading.problem)
        and all(type(path) is str and len(path) < 1000 for path in reading.unknown)
    )


@given(
    called=st.sampled_from(CALLED), body=OBJECTS, usage=st.one_of(JSON, OBJECTS), request=st.one_of(st.none(), OBJECTS)
)
@PATIENT
def test_any_body_is_read(called, body, usage, request):
    """Arbitrary JSON in the place of an answer makes a reading, with portions or with a problem."""
    whole = read_body(called, {**body, "usage": usage}, request=request, provider="gateway.example")
    bare = read_body(called, body, request=request)

    assert is_sound(whole)
    assert is_sound(bare)


@given(
    called=st.sampled_from(CALLED),
    events=st.lists(st.one_of(JSON, OBJECTS), max_size=4),
    request=st.one_of(st.none(), OBJECTS),
)
@PATIENT
def test_any_stream_is_read(called, events, request):
    """Arbitrary JSON in the place of events makes a reading at every moment."""
    reader = StreamReader(called, request=request)

    readings = [reader.reading()]
    for event in events:
        reader.feed(event)
        readings += [reader.reading(), reader.reading(has_ended=True)]

    assert all(is_sound(reading) for reading in readings)
    assert reader.has_text in (True, False)


@given(usage=st.one_of(JSON, OBJECTS), service=st.sampled_from(["anthropic", "openai"]), operation=st.text(max_size=9))
@PATIENT
def test_any_usage_object_is_read(usage, service, operation):
    """Arbitrary JSON in the place of a usage object makes a reading."""
    reading = from_usage(usage, "model", service=service, operation=operation)

    assert is_sound(reading)


@given(event=JSON, request=st.one_of(st.none(), OBJECTS))
@PATIENT
def test_any_chunk_is_judged(event, request):
    """Arbitrary JSON is or is not a chunk with nothing but usage."""
    judged = (is_usage_only_chunk(event), *(wants_usage_chunk(called, request) for called in CALLED))

    assert set(judged) <= {True, False}
