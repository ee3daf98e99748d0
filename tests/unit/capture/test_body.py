"""Answers whose usage is missing, unread or not final, and what they say about themselves."""

from __future__ import annotations

import base64

import pytest

from costspan.capture import endpoint, read_body
from costspan.usage import Completeness
from unit.capture.answers import (
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    IMAGES,
    MESSAGES,
    RESPONSES,
    SPEECH,
    TRANSCRIPTIONS,
    by_portion,
    chat,
    message,
    quantities,
    response,
)

ASKED = {"model": "asked", "messages": [{"role": "user", "content": "x" * 400}]}


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None, "completion_tokens": None}])
def test_a_whole_answer_without_usage_is_estimated(usage):
    """Tokens follow from the lengths of the texts, and the reading says so."""
    choices = [{"message": {"role": "assistant", "content": "y" * 200}, "finish_reason": "stop"}]

    reading = read_body(CHAT, chat(usage, choices=choices), request=ASKED, provider="openai")

    assert reading.completeness is Completeness.ESTIMATED
    assert quantities(reading) == {"input_tokens": 104, "output_tokens": 50}
    assert (reading.unknown, reading.problem) == ((), "")


def test_an_absent_usage_is_estimated_for_every_text():
    """Messages, responses and legacy completions are estimated from their own fields."""
    prompt = "x" * 400
    written = "y" * 200
    messages = read_body(
        MESSAGES,
        message(None, content=[{"type": "text", "text": written}]),
        request={"system": prompt, "messages": []},
    )
    responses = read_body(
        RESPONSES,
        response(None, output=[{"type": "message", "content": [{"type": "output_text", "text": written}]}]),
        request={"input": prompt},
    )
    legacy = read_body(COMPLETIONS, {"model": "m", "choices": [{"text": written}]}, request={"prompt": prompt})

    readings = [messages, responses, legacy]

    assert [reading.completeness for reading in readings] == [Completeness.ESTIMATED] * 3
    assert [quantities(reading) for reading in readings] == [{"input_tokens": 100, "output_tokens": 50}] * 3


def test_a_usage_of_zeros_is_not_missing():
    """Explicit zeros are zeros, and are not replaced by estimates."""
    reading = read_body(CHAT, chat({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}), request=ASKED)

    assert reading.completeness is Completeness.COMPLETE
    assert by_portion(reading) == [("gpt-a", {})]


def test_a_filtered_prompt_was_still_read():
    """An error in an answer of 200 (Azure's content filter) is billed for its prompt, by estimate."""
    body = {"error": {"message": "The response was filtered", "code": "content_filter"}}

    reading = read_body(CHAT, body, request=ASKED, provider="azure.ai.openai")

    assert reading.completeness is Completeness.ESTIMATED
    assert quantities(reading) == {"input_tokens": 104}
    assert reading.model == "asked"


@pytest.mark.parametrize(
    ("texts", "tokens"),
    [
        ("x" * 400, 100),
        (["x" * 400, "y" * 9], 103),
        ([1, 2, 3, 4, 5], 5),
        ([[1, 2, 3], [4, 5]], 5),
        ([], 0),
        (None, 0),
    ],
)
def test_an_embedding_is_estimated_from_its_input(texts, tokens):
    """Lists of token ids count exactly, texts by their length."""
    body = {"object": "list", "model": "e", "data": [{"embedding": [0.1, 0.2, 0.3]}]}

    reading = read_body(EMBEDDINGS, body, request={"input": texts})

    assert reading.completeness is Completeness.ESTIMATED
    assert quantities(reading).get("input_tokens", 0) == tokens


@pytest.mark.parametrize("status", ["queued", "in_progress", "cancelled", "failed"])
def test_a_response_that_has_not_come_to_its_end_is_cut(status):
    """A background response has no usage yet, a failed one never will: what is known is a lower bound."""
    reading = read_body(RESPONSES, response(None, status=status), request={"input": "x" * 40})

    assert reading.completeness is Completeness.CUT
    assert quantities(reading) == {"input_tokens": 10}
    assert reading.finish_reason == status


def test_a_failed_response_with_usage_is_complete():
    """Usage that was sent is the last word, however the response ended."""
    reading = read_body(RESPONSES, response({"input_tokens": 5, "output_tokens": 1}, status="failed"))

    assert reading.completeness is Completeness.COMPLETE
    assert quantities(reading) == {"input_tokens": 5, "output_tokens": 1}


def test_a_body_that_nobody_read_is_cut():
    """An answer that was never read was consumed all the same: its prompt is known, by estimate."""
    reading = read_body(CHAT, None, request=ASKED)

    assert reading.completeness is Completeness.CUT
    assert quantities(reading) == {"input_tokens": 104}


@pytest.mark.parametrize("body", [[], 5, "text", True, [{"usage": {"prompt_tokens": 1}}]])
def test_a_body_of_another_shape_has_no_usage(body):
    """A body that is no object says nothing, and does not fail."""
    reading = read_body(CHAT, body, request=ASKED)

    assert reading.completeness is Completeness.ESTIMATED
    assert quantities(reading)["input_tokens"] == 104


def test_speech_is_its_characters():
    """Speech has no usage and no JSON: its characters are known from the request."""
    reading = read_body(SPEECH, None, request={"model": "tts-1", "input": "häß"})

    assert by_portion(reading) == [("tts-1", {"characters": 3})]
    assert (reading.completeness, reading.operation) == (Completeness.ESTIMATED, "speech")


@pytest.mark.parametrize("request_body", [None, {}, {"input": 5}])
def test_speech_without_a_text_is_unknown(request_body):
    """Speech of which nothing is known is flagged, and not free."""
    reading = read_body(SPEECH, None, request=request_body)

    assert reading.unknown == ("usage",)


@pytest.mark.parametrize(
    ("body", "found", "unknown"),
    [
        ({"text": "x", "duration": 8.25}, {"audio_milliseconds": 8250}, ()),
        ({"text": "x"}, {}, ("usage",)),
        ("x", {}, ("usage",)),
        ({"text": "x", "duration": "8.25"}, {}, ("usage",)),
    ],
)
def test_a_transcription_without_usage_may_know_its_length(body, found, unknown):
    """Whisper states the length of the audio; where nothing is stated, nothing is guessed."""
    reading = read_body(TRANSCRIPTIONS, body, request={"model": "whisper-1"})

    assert quantities(reading) == found
    assert reading.unknown == unknown
    assert reading.completeness is Completeness.ESTIMATED


def test_an_image_without_usage_is_unknown():
    """Images are not estimated from their prompt: they are flagged, and not free."""
    reading = read_body(IMAGES, {"created": 1, "data": [{"url": "u"}]}, request={"model": "dall-e-3", "prompt": "x"})

    assert by_portion(reading) == [("dall-e-3", {})]
    assert reading.unknown == ("usage",)


@pytest.mark.parametrize(
    ("vector", "asked", "dimensions"),
    [
        ([0.0] * 1024, None, 1024),
        (base64.b64encode(b"\0" * 4 * 1024).decode(), 256, 1024),
        (base64.b64encode(b"\0" * 4 * 7).decode(), None, 7),
        (None, 512, 512),
        (None, True, 0),
        (None, -5, 0),
        (5, None, 0),
    ],
)
def test_an_embedding_has_its_dimensions(vector, asked, dimensions):
    """The length of a vector is measured, as numbers or in base64; else it is the one asked for."""
    body = {"model": "e", "data": [{"embedding": vector}], "usage": {"prompt_tokens": 1, "total_tokens": 1}}

    reading = read_body(EMBEDDINGS, body, request={"dimensions": asked})

    assert reading.dimensions == dimensions


def test_the_model_is_told_by_answer_request_and_path_in_that_order():
    """An Azure deployment's name is the last resort."""
    azure = endpoint("openai", "POST", "/deployments/my-gpt/chat/completions")
    usage = {"prompt_tokens": 1, "completion_tokens": 1}

    served = read_body(azure, chat(usage), request={"model": "asked"})
    asked = read_body(azure, chat(usage, model=None), request={"model": "asked"})
    path = read_body(azure, chat(usage, model=7), request={"model": ["no name"]})

    assert [reading.model for reading in (served, asked, path)] == ["gpt-a", "asked", "my-gpt"]


def test_azures_remarks_do_not_confuse():
    """Filter results beside the usage are no usage."""
    body = chat({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7})
    body["prompt_filter_results"] = [{"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False}}}]

    reading = read_body(CHAT, body, provider="azure.ai.openai")

    assert quantities(reading) == {"input_tokens": 3, "output_tokens": 4}
    assert (reading.provider, reading.unknown) == ("azure.ai.openai", ())


@pytest.mark.parametrize(
    "choices", [None, [], "text", [5], [{"finish_reason": 5}], [{"finish_reason": "x" * 300}], {"a": 1}]
)
def test_choices_of_another_shape_have_no_reason(choices):
    """What is no list of choices says no reason, and does not fail."""
    reading = read_body(CHAT, chat({"prompt_tokens": 3, "completion_tokens": 4}, choices=choices))

    assert reading.finish_reason == ""


def test_a_response_says_why_it_is_incomplete():
    """The reason of an incomplete response is more than its status."""
    usage = {"input_tokens": 1, "output_tokens": 1}

    reading = read_body(
        RESPONSES, response(usage, status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    )

    assert reading.finish_reason == "max_output_tokens"


def test_names_are_made_safe():
    """A model with control characters or of a megabyte is cut and cleaned; an id is cut."""
    body = chat({"prompt_tokens": 1, "completion_tokens": 1}, model="a\x00b" + "x" * 10**6, id="i" * 1000)

    reading = read_body(CHAT, body)

    assert len(reading.model) == 256
    assert "\x00" not in reading.model
    assert len(reading.response_id) == 256


def test_the_language_of_the_usage_decides_its_reader():
    """A gateway that answers a message with OpenAI's usage is read by OpenAI's rules."""
    usage = {"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 40}}

    reading = read_body(MESSAGES, message(usage))

    assert quantities(reading) == {"input_tokens": 60, "cache_read_tokens": 40, "output_tokens": 5}
