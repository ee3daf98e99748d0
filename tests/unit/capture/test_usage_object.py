"""Usage objects and whole answers from code that no hook sees."""

from __future__ import annotations

import anthropic.types
import openai.types
import pytest
from openai.types.chat import ChatCompletion

from costspan.capture import from_usage
from costspan.usage import Completeness
from unit.capture.answers import by_portion, chat, message, quantities, response


def test_a_mapping_of_counts_is_enough():
    """The smallest usage object is read, and its operation is a chat."""
    reading = from_usage({"input_tokens": 450, "output_tokens": 180}, "claude-a", service="anthropic")

    assert by_portion(reading) == [("claude-a", {"input_tokens": 450, "output_tokens": 180})]
    assert (reading.service, reading.provider, reading.operation) == ("anthropic", "anthropic", "chat")
    assert (reading.completeness, reading.unknown) == (Completeness.COMPLETE, ())


@pytest.mark.parametrize("usage", [{"prompt_tokens": 1000}, {"input_tokens": 1000}, {"total_tokens": 1000}])
def test_an_embedding_needs_one_count(usage):
    """Whoever tracks an embedding by hand may use any of the names."""
    reading = from_usage(usage, "e", service="openai", operation="embeddings")

    assert quantities(reading) == {"input_tokens": 1000}
    assert reading.unknown == ()


@pytest.mark.parametrize("usage", [{"prompt_tokens": 7}, {"input_tokens": 7}])
@pytest.mark.parametrize("service", ["anthropic", "openai"])
def test_a_count_that_is_not_there_is_zero(usage, service):
    """Whoever calls this knows what there was."""
    reading = from_usage(usage, "m", service=service)

    assert quantities(reading) == {"input_tokens": 7}
    assert reading.unknown == ()


@pytest.mark.parametrize(
    "usage", [None, {}, {"input_tokens": None}, 450, "450", [450], {"input_tokens": -1}, {"input_tokens": 1.5}]
)
def test_what_cannot_be_has_a_problem(usage):
    """No usage, no object or an impossible count is a reading with a problem."""
    reading = from_usage(usage, "m", service="anthropic")

    assert reading.problem
    assert reading.portions == ()


def test_objects_of_the_sdks_are_read():
    """The SDKs' usage objects are read like the JSON they were made of, new fields included."""
    anthropics = anthropic.types.Usage.model_validate(
        {"input_tokens": 50, "output_tokens": 5, "cache_read_input_tokens": 9, "hologram_tokens": 3}
    )
    openais = openai.types.CompletionUsage.model_validate(
        {
            "prompt_tokens": 50,
            "completion_tokens": 5,
            "total_tokens": 55,
            "prompt_tokens_details": {"cached_tokens": 20, "hologram_tokens": 3},
        }
    )

    first = from_usage(anthropics, "m", service="anthropic")
    second = from_usage(openais, "m", service="openai")

    assert quantities(first) == {"input_tokens": 50, "cache_read_tokens": 9, "output_tokens": 5}
    assert first.unknown == ("hologram_tokens",)
    assert quantities(second) == {"input_tokens": 30, "cache_read_tokens": 20, "output_tokens": 5}
    assert second.unknown == ("prompt_tokens_details.hologram_tokens",)


def test_whole_answers_of_the_sdks_are_read():
    """A response object brings its model, its tier and its usage."""
    usage = {"prompt_tokens": 50, "completion_tokens": 5, "total_tokens": 55}
    body = {**chat(usage, service_tier="flex"), "created": 1}
    body["choices"][0]["logprobs"] = None

    reading = from_usage(ChatCompletion.model_validate(body), service="openai")

    assert by_portion(reading) == [("gpt-a", {"input_tokens": 50, "output_tokens": 5})]
    assert (reading.terms.key, reading.response_id) == ("flex", "chatcmpl-1")


def test_impossible_counts_in_an_sdks_object_are_judged_here():
    """An SDK builds objects without checking them; their counts are checked here, without a warning."""
    usage = openai.types.CompletionUsage.model_construct(prompt_tokens="many", completion_tokens=1, total_tokens=2)

    reading = from_usage(usage, "m", service="openai")

    assert reading.problem.startswith("prompt_tokens is ")


@pytest.mark.parametrize(
    ("answer", "operation"),
    [
        (chat({"prompt_tokens": 3, "completion_tokens": 0}), "chat"),
        (chat({"prompt_tokens": 3, "completion_tokens": 0}, object="text_completion"), "text_completion"),
        (response({"input_tokens": 3, "output_tokens": 0}), "chat"),
        ({"object": "list", "model": "e", "data": [], "usage": {"prompt_tokens": 3}}, "embeddings"),
    ],
)
def test_a_whole_answer_says_what_it_is(answer, operation):
    """The kind of a whole answer is told from its own words."""
    reading = from_usage(answer, service="openai")

    assert reading.operation == operation
    assert quantities(reading) == {"input_tokens": 3}


def test_fees_of_a_whole_response_are_read():
    """Searches of a response count where the whole of it is given."""
    items = [{"type": "web_search_call", "action": {"type": "search"}}, {"type": "file_search_call"}]

    reading = from_usage(response({"input_tokens": 3, "output_tokens": 1}, output=items), service="openai")

    assert quantities(reading) == {"input_tokens": 3, "output_tokens": 1, "web_searches": 1, "file_searches": 1}


@pytest.mark.parametrize("service", ["anthropic", "openai"])
def test_a_whole_answer_without_usage_is_estimated(service):
    """An answer is not mistaken for a usage object because it has none."""
    content = {"choices": [{"message": {"content": "y" * 40}}], "content": [{"type": "text", "text": "y" * 40}]}

    reading = from_usage({"model": "m", "created": 5, **content}, service=service)

    assert reading.completeness is Completeness.ESTIMATED
    assert quantities(reading) == {"output_tokens": 10}


def test_a_message_keeps_its_refusal():
    """A whole refusal without output is not billed here either."""
    reading = from_usage(message({"input_tokens": 5, "output_tokens": 0}, stop_reason="refusal"), service="anthropic")

    assert by_portion(reading) == [("claude-a", {})]


@pytest.mark.parametrize(
    ("service", "tier", "key"),
    [
        ("anthropic", "batch", "batch"),
        ("anthropic", "priority", "priority"),
        ("openai", "batch", "batch"),
        ("openai", "flex", "flex"),
    ],
)
def test_a_tier_can_be_given(service, tier, key):
    """Where the usage does not say on which terms it was, the caller can."""
    reading = from_usage({"input_tokens": 1, "output_tokens": 1}, "m", service=service, service_tier=tier)

    assert reading.terms.key == key


@pytest.mark.parametrize(
    ("operation", "usage", "expected"),
    [
        ("transcription", {"type": "duration", "seconds": 2}, {"audio_milliseconds": 2000}),
        ("transcription", {"input_tokens": 4, "output_tokens": 1}, {"input_audio_tokens": 4, "output_tokens": 1}),
        ("image_generation", {"input_tokens": 4, "output_tokens": 1}, {"input_tokens": 4, "output_image_tokens": 1}),
        ("text_completion", {"prompt_tokens": 4, "completion_tokens": 1}, {"input_tokens": 4, "output_tokens": 1}),
    ],
)
def test_an_operation_says_what_tokens_are(operation, usage, expected):
    """Tokens without details are what the operation makes of them."""
    reading = from_usage(usage, "m", service="openai", operation=operation)

    assert quantities(reading) == expected
    assert reading.operation == operation


class Broken:
    """An object whose dump fails or is none."""

    def __init__(self, error):
        self.error = error

    def model_dump(self, **options):
        """Fail as told."""
        raise self.error


@pytest.mark.parametrize("error", [TypeError("no such option"), ValueError("cycle")])
def test_an_object_that_cannot_be_dumped_has_a_problem(error):
    """An object that only looks like one of the SDKs' is refused."""
    reading = from_usage(Broken(error), "m", service="openai")

    assert reading.problem == "usage is a Broken: allowed is an object"
