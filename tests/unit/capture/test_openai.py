"""OpenAI's usage objects."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.capture import read_body
from costspan.usage import Completeness
from unit.capture.answers import (
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    IMAGES,
    PATIENT,
    RESPONSES,
    TRANSCRIPTIONS,
    by_portion,
    chat,
    quantities,
    response,
)


def read(usage, **fields):
    """Read a chat completion with this usage."""
    return read_body(CHAT, chat(usage, **fields), request={"model": "gpt-asked"}, provider="openai")


def details(prompt=None, completion=None, *, read_tokens=100, written_tokens=50):
    """Build a usage object with these details."""
    return {
        "prompt_tokens": read_tokens,
        "completion_tokens": written_tokens,
        "total_tokens": read_tokens + written_tokens,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": completion,
    }


def test_cached_tokens_are_taken_out_of_the_prompt():
    """The prompt includes what was cached, and a bill has each token once."""
    reading = read(details({"cached_tokens": 60, "audio_tokens": 0}))

    assert quantities(reading) == {"input_tokens": 40, "cache_read_tokens": 60, "output_tokens": 50}
    assert (reading.unknown, reading.problem, reading.completeness) == ((), "", Completeness.COMPLETE)
    assert (reading.response_id, reading.finish_reason, reading.model) == ("chatcmpl-1", "stop", "gpt-a")


def test_reasoning_is_inside_the_completion():
    """Reasoning and predicted tokens, accepted or not, are billed as the output they are in."""
    parts = {"reasoning_tokens": 30, "accepted_prediction_tokens": 10, "rejected_prediction_tokens": 5}

    reading = read(details(None, parts))

    assert quantities(reading) == {"input_tokens": 100, "output_tokens": 50}
    assert reading.portions[0].usage.reasoning == 30
    assert reading.unknown == ()


def test_audio_and_images_are_units_of_their_own():
    """Tokens of each kind are counted in their own unit, and their sum is the total."""
    reading = read(details({"audio_tokens": 30, "image_tokens": 20, "text_tokens": 50}, {"audio_tokens": 40}))

    assert quantities(reading) == {
        "input_tokens": 50,
        "input_audio_tokens": 30,
        "input_image_tokens": 20,
        "output_tokens": 10,
        "output_audio_tokens": 40,
    }


def test_cached_audio_overlaps():
    """Where cached tokens and audio are more than the prompt, some of the audio was cached."""
    reading = read(details({"audio_tokens": 60, "image_tokens": 10, "cached_tokens": 50}))

    assert quantities(reading) == {
        "cache_read_tokens": 30,
        "cache_read_image_tokens": 10,
        "cache_read_audio_tokens": 10,
        "input_audio_tokens": 50,
        "output_tokens": 50,
    }


def test_named_cached_audio_is_believed():
    """Where details say which kind was cached, that kind was."""
    kinds = {"audio_tokens": 20, "text_tokens": 5, "video_tokens": 2}

    reading = read(details({"audio_tokens": 60, "cached_tokens": 25, "cached_tokens_details": kinds}))

    assert quantities(reading) == {
        "input_tokens": 35,
        "input_audio_tokens": 40,
        "cache_read_tokens": 5,
        "cache_read_audio_tokens": 20,
        "output_tokens": 50,
    }
    assert reading.unknown == ("cached_tokens_details.video_tokens",)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"cache_write_tokens": 40}, {"cache_write_30m_tokens": 40}),
        (
            {"cache_write_tokens": 40, "cache_write_tokens_details": {"ttl_30m_tokens": 10, "ttl_12h_tokens": 30}},
            {"cache_write_30m_tokens": 10, "cache_write_12h_tokens": 30},
        ),
        ({"cache_write_tokens_details": {"ttl_12h_tokens": 30}}, {"cache_write_12h_tokens": 30}),
        ({"cache_write_tokens": 0, "cache_write_tokens_details": None}, {}),
    ],
)
def test_cache_writes_are_split_by_time_to_live(parts, expected):
    """Writes are taken out of the prompt; without a time-to-live they are 30-minute writes."""
    reading = read(details(parts))

    found = quantities(reading)
    assert {unit: count for unit, count in found.items() if unit.startswith("cache_write")} == expected
    assert found["input_tokens"] == 100 - sum(expected.values())
    assert reading.unknown == ()


def test_a_split_of_writes_below_its_total_is_flagged():
    """Writes that a split does not mention are 30-minute writes, and the reading is flagged."""
    parts = {"cache_write_tokens": 40, "cache_write_tokens_details": {"ttl_12h_tokens": 30, "ttl_7d_tokens": 10}}

    reading = read(details(parts))

    assert quantities(reading)["cache_write_30m_tokens"] == 10
    assert set(reading.unknown) == {
        "prompt_tokens_details.cache_write_tokens_details",
        "prompt_tokens_details.cache_write_tokens_details.ttl_7d_tokens",
    }


def test_more_cached_and_written_than_read_is_flagged():
    """A token is not read from a cache and written to it: the sum stays the prompt, and the reading is flagged."""
    reading = read(details({"cached_tokens": 80, "cache_write_tokens": 40}))

    assert quantities(reading) == {"cache_read_tokens": 80, "cache_write_30m_tokens": 20, "output_tokens": 50}
    assert reading.unknown == ("prompt_tokens_details.cache_write_tokens",)


def test_writes_of_images_are_taken_from_the_images():
    """Written tokens are text first, and what is left over of the other kinds."""
    reading = read(details({"image_tokens": 70, "cache_write_tokens": 50}))

    assert quantities(reading) == {"input_image_tokens": 50, "cache_write_30m_tokens": 50, "output_tokens": 50}


@pytest.mark.parametrize(
    ("prompt", "completion", "name"),
    [
        ({"cached_tokens": 101}, None, "prompt_tokens_details.cached_tokens"),
        ({"audio_tokens": 101}, None, "prompt_tokens_details.audio_tokens"),
        ({"audio_tokens": 60, "image_tokens": 60}, None, "prompt_tokens_details.audio_tokens with image_tokens"),
        ({"text_tokens": 101}, None, "prompt_tokens_details.text_tokens"),
        ({"cache_write_tokens": 101}, None, "prompt_tokens_details.cache_write_tokens"),
        (
            {"cache_write_tokens": 5, "cache_write_tokens_details": {"ttl_12h_tokens": 6}},
            None,
            "prompt_tokens_details.cache_write_tokens_details",
        ),
        (None, {"reasoning_tokens": 51}, "reasoning_tokens"),
        (None, {"audio_tokens": 51}, "completion_tokens_details.audio_tokens"),
        (None, {"audio_tokens": 30, "image_tokens": 30}, "audio_tokens with image_tokens"),
        (None, {"rejected_prediction_tokens": 51}, "completion_tokens_details.rejected_prediction_tokens"),
    ],
)
def test_a_part_above_its_whole_is_impossible(prompt, completion, name):
    """A part cannot be larger than the whole; the reason names both."""
    reading = read(details(prompt, completion))

    assert reading.problem.startswith(f"{name} is ")
    assert "at most" in reading.problem
    assert reading.portions == ()
    assert reading.evidence["prompt_tokens"] == 100


@pytest.mark.parametrize(
    "value",
    [
        -1,
        1.5,
        True,
        float("nan"),
        float("inf"),
        "12",
        [1],
        {"a": 1},
        10**9 + 1,
        pytest.param(10**5000, id="more digits than Python prints"),
    ],
)
@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens", "total_tokens"])
def test_an_impossible_count_is_refused(name, value):
    """Anything but a whole number from 0 to a billion is refused with its name and what is allowed."""
    usage = details()
    usage[name] = value

    reading = read(usage)

    assert reading.problem.startswith(f"{name} is ")
    assert "allowed are whole numbers from 0 to 1,000,000,000" in reading.problem
    assert reading.portions == ()


@pytest.mark.parametrize("usage", [[1], "12", 12, 1.5, True])
def test_a_usage_of_another_shape_is_refused(usage):
    """A usage that is no object is refused, and its kind is kept."""
    reading = read(usage)

    assert "usage is a" in reading.problem
    assert reading.portions == ()
    assert set(reading.evidence) == {"usage"}


@pytest.mark.parametrize("value", [[1], "text", 5, True])
def test_details_of_another_shape_are_refused(value):
    """Details that are no object are refused by name."""
    reading = read(details(value))

    assert reading.problem.startswith("prompt_tokens_details is ")


@pytest.mark.parametrize("value", [[], {}, "", 0, False, None])
def test_empty_details_say_nothing(value):
    """Details that are empty, in whatever shape a server writes that, say nothing."""
    reading = read(details(value, value))

    assert quantities(reading) == {"input_tokens": 100, "output_tokens": 50}
    assert reading.problem == ""


@pytest.mark.parametrize(
    ("tier", "key"),
    [
        (None, "standard"),
        ("auto", "standard"),
        ("default", "standard"),
        ("flex", "flex"),
        ("priority", "priority"),
        ("fast", "priority"),
        ("scale", "scale"),
        ("ultrafast", "ultrafast"),
        ("batch", "batch"),
        ("HyperDrive", "hyperdrive"),
        (7, "7"),
    ],
)
def test_the_tier_of_the_response_is_billed(tier, key):
    """The served tier counts, whatever was asked; a word that nobody knows stays."""
    reading = read_body(CHAT, chat(details(), service_tier=tier), request={"service_tier": "flex"}, provider="openai")

    assert reading.terms.key == key


def test_unknown_numbers_are_flagged_by_path():
    """A number under an unknown name is flagged wherever it stands."""
    usage = details({"cached_tokens": 0, "video_tokens": 7}, {"citation_tokens": 3, "note": "x"})

    reading = read({**usage, "hologram": {"tokens": 4}, "nothing": 0})

    assert set(reading.unknown) == {
        "hologram.tokens",
        "prompt_tokens_details.video_tokens",
        "completion_tokens_details.citation_tokens",
    }
    assert quantities(reading) == {"input_tokens": 100, "output_tokens": 50}


@pytest.mark.parametrize("missing", ["prompt_tokens", "completion_tokens"])
def test_a_missing_total_is_not_zero(missing):
    """An answer without one of its totals says which, and keeps the other."""
    usage = details()
    del usage[missing]

    reading = read(usage)

    assert missing in reading.unknown
    assert len(quantities(reading)) == 1


@pytest.mark.parametrize(
    "total",
    [0, 1, 149, 8712, None],
)
def test_the_total_is_never_split(total):
    """A total of OpenAI's that differs from its parts changes nothing: the parts are believed."""
    reading = read({**details(), "total_tokens": total})

    assert quantities(reading) == {"input_tokens": 100, "output_tokens": 50}
    assert reading.unknown == ()


def test_a_response_has_the_newer_names():
    """The responses API names the same counts differently."""
    usage = {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
        "output_tokens": 50,
        "output_tokens_details": {"reasoning_tokens": 20},
        "total_tokens": 150,
    }

    reading = read_body(RESPONSES, response(usage), provider="openai")

    assert quantities(reading) == {
        "input_tokens": 10,
        "cache_read_tokens": 60,
        "cache_write_30m_tokens": 30,
        "output_tokens": 50,
    }
    assert reading.portions[0].usage.reasoning == 20
    assert reading.finish_reason == "completed"


def test_a_legacy_completion_has_its_own_operation():
    """Legacy completions read like chat completions and are another operation."""
    reading = read_body(COMPLETIONS, chat(details(), object="text_completion"), provider="openai")

    assert reading.operation == "text_completion"
    assert quantities(reading) == {"input_tokens": 100, "output_tokens": 50}


@pytest.mark.parametrize(
    "usage",
    [{"prompt_tokens": 8, "total_tokens": 8}, {"total_tokens": 8}, {"prompt_tokens": 8}],
)
def test_an_embedding_is_all_input(usage):
    """An embedding writes nothing, so its total is its prompt."""
    reading = read_body(EMBEDDINGS, {"object": "list", "model": "e", "data": [], "usage": usage})

    assert quantities(reading) == {"input_tokens": 8}
    assert (reading.unknown, reading.operation) == ((), "embeddings")


def test_an_embedding_without_a_count_it_has_is_flagged():
    """An embedding of which only an unknown count came is flagged with both names."""
    reading = read_body(EMBEDDINGS, {"object": "list", "model": "e", "data": [], "usage": {"characters": 8}})

    assert reading.unknown == ("characters", "input_tokens")


def test_a_transcription_reads_audio():
    """Audio and text of a transcription are told apart where details are sent, and it is audio where they are not."""
    usage = {"type": "tokens", "input_tokens": 1000, "output_tokens": 200, "total_tokens": 1200}
    split = {"audio_tokens": 900, "text_tokens": 100}

    told = read_body(TRANSCRIPTIONS, {"text": "x", "usage": {**usage, "input_token_details": split}})
    untold = read_body(TRANSCRIPTIONS, {"text": "x", "usage": usage}, request={"model": "gpt-4o-transcribe"})
    remarked = read_body(TRANSCRIPTIONS, {"text": "x", "usage": {**usage, "cost": 0.1}})

    assert quantities(told) == {"input_tokens": 100, "input_audio_tokens": 900, "output_tokens": 200}
    assert quantities(untold) == quantities(remarked) == {"input_audio_tokens": 1000, "output_tokens": 200}
    assert (untold.model, untold.operation) == ("gpt-4o-transcribe", "transcription")


@pytest.mark.parametrize(("seconds", "milliseconds"), [(60, 60_000), (1.5, 1500), (0, 0), (0.0004, 0)])
def test_a_transcription_may_be_billed_by_its_length(seconds, milliseconds):
    """Seconds of audio become whole milliseconds."""
    reading = read_body(TRANSCRIPTIONS, {"text": "x", "usage": {"type": "duration", "seconds": seconds}})

    assert quantities(reading).get("audio_milliseconds", 0) == milliseconds


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), True, "60", None, 10**7, 10**400])
def test_an_impossible_length_is_refused(seconds):
    """A length that no audio can have is refused with what is allowed."""
    reading = read_body(TRANSCRIPTIONS, {"text": "x", "usage": {"type": "duration", "seconds": seconds}})

    assert reading.problem.startswith("seconds is ")
    assert reading.portions == ()


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (None, {"output_image_tokens": 500}),
        ({"image_tokens": 450, "text_tokens": 50}, {"output_image_tokens": 450, "output_tokens": 50}),
        ({"image_tokens": 400}, {"output_image_tokens": 500}),
    ],
)
def test_an_image_is_image_tokens(parts, expected):
    """What an image model writes is image tokens, except for text that its details name."""
    usage = {
        "input_tokens": 100,
        "input_tokens_details": {"image_tokens": 30, "text_tokens": 70},
        "output_tokens": 500,
        "output_tokens_details": parts,
        "total_tokens": 600,
    }

    reading = read_body(IMAGES, {"created": 1, "data": [{}], "usage": usage}, request={"model": "gpt-image-1"})

    assert quantities(reading) == {"input_tokens": 70, "input_image_tokens": 30, **expected}
    assert reading.model == "gpt-image-1"


def test_the_author_of_an_svg_is_a_portion():
    """An image that a language model authored is billed at that model too."""
    svg = {"model": "gpt-b", "input_tokens": 9, "output_tokens": 8, "reasoning_tokens": 2, "total_tokens": 17}
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}

    reading = read_body(IMAGES, {"usage": usage, "svg_usage": svg}, request={"model": "gpt-image-1"})

    assert by_portion(reading)[1] == ("gpt-b", {"input_tokens": 9, "output_tokens": 8})
    assert reading.portions[1].usage.reasoning == 2


counts = st.integers(0, 10**6)


@given(whole=counts, written=counts, parts=st.tuples(counts, counts, counts, counts, counts), data=st.data())
@PATIENT
def test_parts_always_sum_to_the_providers_totals(whole, written, parts, data):
    """However the parts overlap, disjoint quantities sum to what the provider counted, or the numbers are refused."""
    cached, write, audio, image, half_day = (min(part, whole) for part in parts)
    spoken = data.draw(st.integers(0, written))
    usage = details(
        {
            "cached_tokens": cached,
            "cache_write_tokens": write,
            "cache_write_tokens_details": {"ttl_12h_tokens": min(half_day, write)},
            "audio_tokens": audio,
            "image_tokens": image,
        },
        {"audio_tokens": spoken, "reasoning_tokens": written - spoken},
        read_tokens=whole,
        written_tokens=written,
    )

    reading = read(usage)

    if reading.problem:
        assert audio + image > whole
    else:
        assert reading.portions[0].usage.tokens_in == whole
        assert reading.portions[0].usage.tokens_out == written
        assert all(quantity > 0 for quantity in quantities(reading).values())
