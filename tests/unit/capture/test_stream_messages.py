"""Streams of Anthropic messages."""

from __future__ import annotations

import pytest

from costspan.capture import StreamReader
from costspan.usage import Completeness
from unit.capture.answers import MESSAGES, by_portion, quantities

START_USAGE = {
    "input_tokens": 472,
    "cache_read_input_tokens": 5,
    "cache_creation_input_tokens": 1024,
    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 1024},
    "output_tokens": 2,
    "service_tier": "priority",
    "speed": "fast",
    "inference_geo": "us",
}


def start(usage=None, **fields):
    """Build the first event."""
    message = {"id": "msg_1", "model": "claude-a", "content": [], "stop_reason": None, **fields}
    return {"type": "message_start", "message": {**message, "usage": START_USAGE if usage is None else usage}}


def delta(text, kind="text"):
    """Build an event with a piece of the answer."""
    return {"type": "content_block_delta", "index": 0, "delta": {"type": f"{kind}_delta", kind: text}}


def counts(stop_reason=None, **usage):
    """Build an event with cumulative counts."""
    return {"type": "message_delta", "delta": {"stop_reason": stop_reason}, "usage": usage}


STOP = {"type": "message_stop"}


def feed(events, request=None):
    """Feed events to a new reader."""
    reader = StreamReader(MESSAGES, request=request, provider="anthropic")
    for event in events:
        reader.feed(event)
    return reader


def test_the_delta_is_merged_with_the_start():
    """The delta's counts are cumulative; split, tier, speed and geography are those of the start."""
    reading = feed([start(), {"type": "ping"}, delta("Hi"), counts("end_turn", output_tokens=89), STOP]).reading()

    assert quantities(reading) == {
        "input_tokens": 472,
        "cache_read_tokens": 5,
        "cache_write_1h_tokens": 1024,
        "output_tokens": 89,
    }
    assert reading.terms.key == "priority+speed=fast+geo=us"
    assert (reading.completeness, reading.finish_reason) == (Completeness.COMPLETE, "end_turn")
    assert (reading.model, reading.response_id) == ("claude-a", "msg_1")


def test_replayed_counts_change_nothing():
    """Cumulative counts that come twice are counted once."""
    last = counts("end_turn", output_tokens=89, input_tokens=472)

    once = feed([start(), counts(output_tokens=50), last, STOP]).reading()
    twice = feed([start(), counts(output_tokens=50), last, last, STOP, STOP]).reading()

    assert once == twice


def test_explicit_zeros_are_zeros_and_nulls_are_silence():
    """A zero in the last counts replaces an earlier number, a null does not."""
    last = counts("end_turn", output_tokens=0, input_tokens=None, cache_read_input_tokens=0)

    reading = feed([start(), last, STOP]).reading()

    assert quantities(reading) == {"input_tokens": 472, "cache_write_1h_tokens": 1024}


def test_nested_counts_are_merged_field_by_field():
    """A delta that mentions one server tool does not forget another."""
    usage = {"input_tokens": 1, "output_tokens": 1, "server_tool_use": {"web_search_requests": 1}}
    later = counts("end_turn", output_tokens=3, server_tool_use={"web_fetch_requests": 2})

    reading = feed([start(usage), later]).reading()

    assert quantities(reading) == {"input_tokens": 1, "output_tokens": 3, "web_searches": 1, "web_fetches": 2}


def test_writes_beyond_the_split_of_the_start_are_flagged():
    """Where the writes grew after the start, nobody knows for how long they live."""
    reading = feed([start(), counts("end_turn", output_tokens=1, cache_creation_input_tokens=1100)]).reading()

    assert quantities(reading)["cache_write_5m_tokens"] == 76
    assert reading.unknown == ("cache_creation",)


def test_iterations_of_the_last_counts_are_the_bill():
    """A compaction is told in the last event and billed beside the answer."""
    iterations = [
        {"type": "compaction", "input_tokens": 900, "output_tokens": 30},
        {"type": "message", "input_tokens": 40, "output_tokens": 12},
    ]
    usage = {"input_tokens": 40, "output_tokens": 1}

    reading = feed([start(usage), counts("end_turn", output_tokens=12, iterations=iterations), STOP]).reading()

    assert by_portion(reading) == [
        ("claude-a", {"input_tokens": 900, "output_tokens": 30}),
        ("claude-a", {"input_tokens": 40, "output_tokens": 12}),
    ]


def test_a_fallback_block_names_the_model_that_goes_on():
    """The start names the model that declined, a block the one that answered."""
    block = {"type": "fallback", "from": {"model": "claude-first"}, "to": {"model": "claude-b"}}
    usage = {"input_tokens": 50, "output_tokens": 1}
    events = [
        start(usage, model="claude-first"),
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        counts("end_turn", output_tokens=9),
    ]

    reading = feed(events, request={"model": "claude-first"}).reading()

    assert by_portion(reading) == [("claude-b", {"input_tokens": 50, "output_tokens": 9})]
    assert reading.model == "claude-b"


@pytest.mark.parametrize(
    ("events", "complete"),
    [
        ([start()], False),
        ([start(), delta("Hi")], False),
        ([start(), counts(output_tokens=50)], False),
        ([start(), counts(output_tokens=50), STOP], True),
        ([start(), counts("end_turn", output_tokens=50)], True),
        ([start(), counts("end_turn")], False),
        ([start(), STOP], False),
    ],
)
def test_a_stream_is_complete_with_its_final_counts(events, complete):
    """Final are the counts that come with a reason to stop, or before the stop."""
    reader = feed(events)

    assert reader.is_complete is complete


def test_a_stream_that_was_left_keeps_the_exact_input():
    """A cut stream has the provider's input and at least the output that was seen."""
    usage = {"input_tokens": 1000, "output_tokens": 1}

    reading = feed([start(usage), delta("y" * 400), delta("y" * 40, "thinking"), delta("{}", "partial_json")]).reading()

    assert reading.completeness is Completeness.CUT
    assert quantities(reading) == {"input_tokens": 1000, "output_tokens": 111}
    assert reading.evidence == usage


def test_the_providers_count_so_far_is_a_lower_bound_too():
    """Of a cut stream the larger is kept: what was told, or what was seen."""
    reading = feed([start(), delta("Hi"), counts(output_tokens=50)]).reading(has_ended=True)

    assert reading.completeness is Completeness.CUT
    assert quantities(reading)["output_tokens"] == 50


def test_a_finished_stream_without_final_counts_is_estimated():
    """A server that marks its end and sends no counts with it leaves the output to be estimated."""
    reading = feed([start({"input_tokens": 10, "output_tokens": 0}), delta("y" * 40), STOP]).reading()

    assert reading.completeness is Completeness.ESTIMATED
    assert quantities(reading) == {"input_tokens": 10, "output_tokens": 10}


def test_an_error_inside_a_stream_cuts_it():
    """A stream that broke off with an error is not final."""
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}

    reading = feed([start(), delta("y" * 40), error, STOP]).reading()

    assert reading.completeness is Completeness.CUT
    assert quantities(reading)["output_tokens"] == 10


def test_a_stream_without_its_start_is_estimated_from_the_request():
    """Counts without a start lack the input, which the request tells by estimate while the stream is cut."""
    request = {"model": "claude-asked", "messages": [{"role": "user", "content": "x" * 400}]}

    cut = feed([delta("y" * 40)], request=request).reading()
    final = feed([counts("end_turn", output_tokens=9), STOP], request=request).reading()

    assert quantities(cut) == {"input_tokens": 104, "output_tokens": 10}
    assert cut.model == "claude-asked"
    assert final.unknown == ("input_tokens",)


@pytest.mark.parametrize("usage", [[1], "text", 5])
def test_a_usage_of_another_shape_is_refused(usage):
    """Counts of another shape are refused, and not merged away."""
    late = feed([start(), {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}]).reading()
    early = feed([start(usage)]).reading()

    assert "usage is a" in late.problem
    assert "usage is a" in early.problem


def test_a_usage_that_comes_right_is_taken():
    """Later counts of the right shape replace earlier ones of a wrong one."""
    reading = feed([start([1]), counts("end_turn", input_tokens=3, output_tokens=4)]).reading()

    assert quantities(reading) == {"input_tokens": 3, "output_tokens": 4}


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        5,
        {},
        {"type": None},
        {"type": "content_block_delta"},
        {"type": "content_block_delta", "delta": 5},
        {"type": "content_block_delta", "delta": {"text": 5}},
        {"type": "message_start"},
        {"type": "message_start", "message": 5},
        {"type": "content_block_start", "content_block": {"type": "fallback"}},
        {"type": "message_delta", "delta": 5},
        {"type": "content_block_stop", "index": 0},
        {"type": "of tomorrow"},
    ],
)
def test_what_is_no_event_changes_nothing(event):
    """A strange event is neither an obstacle nor news."""
    usual = [start(), delta("Hi"), counts("end_turn", output_tokens=9), STOP]

    reading = feed([*usual[:2], event, *usual[2:]]).reading()

    assert reading == feed(usual).reading()
