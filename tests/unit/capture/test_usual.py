"""The short way and the long way to a reading lead to the same one."""

from __future__ import annotations

import json

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from costspan.capture import usual
from costspan.capture.body import read_closely
from costspan.capture.evidence import evidence
from costspan.usage import MAX_COUNT, Completeness
from unit.capture.answers import (
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    IMAGES,
    MESSAGES,
    PATIENT,
    RESPONSES,
    chat,
    exchanges,
    message,
    response,
)

COUNTS = st.integers(0, 4)  # so small that parts and wholes fit together one time, and another time do not


def counts(*names, needed=(), **parts):
    """A usage object, or a part of one, that has all of its fields or some."""
    fields = dict.fromkeys(names, COUNTS) | parts
    optional = {name: value for name, value in fields.items() if name not in needed}
    return st.fixed_dictionaries({name: fields[name] for name in needed}, optional=optional)


NAUGHT = st.sampled_from([0, 0, None, 1])
READ = counts("cached_tokens", audio_tokens=NAUGHT)
WRITTEN = counts(
    "reasoning_tokens", audio_tokens=NAUGHT, accepted_prediction_tokens=NAUGHT, rejected_prediction_tokens=NAUGHT
)
SPLIT = counts("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
COMPLETED = counts(
    "prompt_tokens",
    "completion_tokens",
    needed=("prompt_tokens", "completion_tokens"),
    total_tokens=st.integers(0, 9),
    prompt_tokens_details=READ,
    completion_tokens_details=WRITTEN,
)
ANSWERS = {
    CHAT: COMPLETED,
    COMPLETIONS: COMPLETED,
    EMBEDDINGS: counts("prompt_tokens", "total_tokens", needed=("prompt_tokens",)),
    IMAGES: COMPLETED,
    RESPONSES: counts(
        "input_tokens",
        "output_tokens",
        needed=("input_tokens", "output_tokens"),
        total_tokens=st.integers(0, 9),
        input_tokens_details=READ,
        output_tokens_details=WRITTEN,
    ),
    MESSAGES: counts(
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        needed=("input_tokens", "output_tokens"),
        cache_creation=SPLIT,
        service_tier=st.sampled_from([None, "standard", "batch"]),
        inference_geo=st.sampled_from([None, "not_available", "us"]),
        server_tool_use=st.sampled_from([None, None, {"web_search_requests": 1}]),
        iterations=st.sampled_from([None, None, [], [{"type": "message", "input_tokens": 1, "output_tokens": 1}]]),
    ),
}
ABOUT = st.fixed_dictionaries(
    {"model": st.sampled_from(["gpt-a", "claude-a", "", None, 1, "a\x00b", "m" * 300])},
    optional={
        "id": st.sampled_from(["id-1", None, 1, "i" * 300]),
        "service_tier": st.sampled_from([None, "default", " Default ", "priority", "batch", 1, []]),
        "stop_reason": st.sampled_from([None, "end_turn", "end_turn", "refusal", 1, []]),
        "status": st.sampled_from([None, "completed", "queued"]),
        "choices": st.sampled_from([[], [{"finish_reason": "stop"}], [1], None]),
        "data": st.sampled_from([[], [{"embedding": [0.5, 0.5]}], [{"embedding": "AACAPw=="}], None]),
        "output": st.sampled_from(
            [[], [], [{"type": "message"}], [{"type": "message"}, {"type": "web_search_call"}], [{"type": []}], [1], {}]
        ),
        "tool_usage": st.sampled_from([None, {}, {"web_search": {"num_requests": 2}}, 1]),
    },
)
#: Of a usage object's fields one, or the whole of it, may be anything.
ODDITIES = st.sampled_from(
    [MAX_COUNT, MAX_COUNT + 1, -1, True, False, 1.0, "1", None, [], {}, {"news": 1}, 2**70, "standard"]
)
FIELDS = st.sampled_from(
    [
        *(
            "prompt_tokens",
            "completion_tokens",
            "total_tokens",
            "input_tokens",
            "output_tokens",
            "news",
            "cost",
            "type",
        ),
        *("prompt_tokens_details", "completion_tokens_details", "input_tokens_details", "output_tokens_details"),
        *("cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation", "service_tier", "speed", "usage"),
    ]
)
PROVIDERS = st.sampled_from(["openai", "anthropic", "azure.ai.openai", "x_ai", "openrouter"])
REQUESTS = st.sampled_from([None, {}, {"model": "asked", "dimensions": 256}, {"model": 1}])


@st.composite
def answered(draw):
    """An endpoint and an answer of it, more often than not one such as a provider sends."""
    called = draw(st.sampled_from(list(ANSWERS)))
    usage = draw(ANSWERS[called])
    odd = draw(st.sampled_from([False, False, True]))
    if odd:
        usage = usage | {draw(FIELDS): draw(ODDITIES)}
    body = draw(ABOUT) | {"usage": usage.get("usage", usage)}
    return called, body


def closely(called, body, *, request, provider):
    """Read an answer field by field."""
    return read_closely(called, body, request=request, provider=provider, completeness=Completeness.COMPLETE)


@settings(PATIENT, max_examples=500)
@given(answered(), REQUESTS, PROVIDERS)
def test_what_is_read_in_one_step_is_what_a_closer_look_finds(answer, request, provider):
    """Whatever the short way answers at all, the long way answers too: field by field, evidence included."""
    called, body = answer

    short = usual.read(called, body, request=request, provider=provider)

    event("short" if short is not None else "long")
    if short is not None:
        assert short == closely(called, body, request=request, provider=provider)
        assert short.evidence == evidence(body["usage"])


DETAILED = {
    "prompt_tokens": 20,
    "completion_tokens": 9,
    "total_tokens": 29,
    "prompt_tokens_details": {"cached_tokens": 5, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 4,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
RESPONDED = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 5},
    "output_tokens": 9,
    "output_tokens_details": {"reasoning_tokens": 4},
    "total_tokens": 29,
}
CACHED = {
    "input_tokens": 20,
    "cache_read_input_tokens": 5,
    "cache_creation_input_tokens": 3,
    "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2},
    "output_tokens": 9,
    "service_tier": "standard",
    "server_tool_use": None,
}
EMBEDDED = {"model": "text-embedding-a", "data": [{"embedding": [0.5, 0.5]}]}


@pytest.mark.parametrize(
    ("called", "body"),
    [
        (CHAT, chat(DETAILED, service_tier="default")),
        (CHAT, chat({"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29})),
        (RESPONSES, response(RESPONDED, output=[{"type": "reasoning"}, {"type": "message"}])),
        (MESSAGES, message(CACHED)),
        (MESSAGES, message({"input_tokens": 20, "output_tokens": 9})),
        (EMBEDDINGS, EMBEDDED | {"usage": {"prompt_tokens": 20, "total_tokens": 20}}),
    ],
)
def test_answers_of_every_day_take_the_short_way(called, body):
    """What the providers send in an ordinary answer needs no closer look, which finds the same."""
    short = usual.read(called, body, request=None, provider=called.service)

    assert short is not None
    assert short == closely(called, body, request=None, provider=called.service)


@pytest.mark.parametrize(
    "change",
    [
        {"prompt_tokens": 4},
        {"total_tokens": 33},
        {"completion_tokens": None},
        {"prompt_tokens_details": {"cached_tokens": 21}},
        {"prompt_tokens_details": {"audio_tokens": 1}},
        {"completion_tokens_details": {"reasoning_tokens": 10}},
        {"new_tokens": 1},
    ],
)
def test_what_is_not_plain_takes_the_long_way(change):
    """A part larger than its whole, a total of more than the parts, a field that nobody knows: none is for this reader."""
    assert usual.read(CHAT, chat(DETAILED | change), request=None, provider="openai") is None


def test_recorded_answers_read_the_same_both_ways(shared):
    """Every whole answer that was recorded reads the same the short way and the long way, and most take the short one."""
    bodies = [
        (called, json.loads(exchange["body"]))
        for exchange, called in exchanges(shared)
        if called is not None and "event-stream" not in exchange["content_type"]
    ]

    pairs = [
        (
            usual.read(called, body, request=None, provider=called.service),
            closely(called, body, request=None, provider=called.service),
        )
        for called, body in bodies
        if body.get("usage")
    ]

    short = [pair for pair in pairs if pair[0] is not None]
    assert all(one == other for one, other in short)
    assert len(short) > len(pairs) // 2
