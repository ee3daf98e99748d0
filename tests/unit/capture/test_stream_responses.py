"""Streams of OpenAI responses."""

from __future__ import annotations

import pytest

from costspan.capture import StreamReader
from costspan.usage import Completeness
from unit.capture.answers import RESPONSES, quantities, response

USAGE = {"input_tokens": 18, "output_tokens": 9, "total_tokens": 27}
SEARCH = {"type": "web_search_call", "status": "completed", "action": {"type": "search"}}


def delta(text, kind="response.output_text.delta"):
    """Build an event with a piece of the answer."""
    return {"type": kind, "delta": text, "sequence_number": 4}


CREATED = {"type": "response.created", "response": response(None, status="in_progress", service_tier="auto")}


def last(kind="response.completed", usage=USAGE, **fields):
    """Build the last event."""
    return {"type": kind, "response": response(usage, **{"service_tier": "flex", **fields})}


def feed(events, request=None):
    """Feed events to a new reader."""
    reader = StreamReader(RESPONSES, request=request, provider="openai")
    for event in events:
        reader.feed(event)
    return reader


@pytest.mark.parametrize("kind", ["response.completed", "response.incomplete", "response.failed"])
def test_the_last_event_has_the_response(kind):
    """Usage, tier and fees are those of the last event's response."""
    item = {"type": "response.output_item.done", "item": SEARCH}

    reader = feed([CREATED, delta("Hi"), item, last(kind, output=[SEARCH])])
    reading = reader.reading()

    assert reader.is_complete
    assert quantities(reading) == {"input_tokens": 18, "output_tokens": 9, "web_searches": 1}
    assert (reading.completeness, reading.terms.key) == (Completeness.COMPLETE, "flex")
    assert (reading.model, reading.response_id) == ("gpt-a", "resp_1")


def test_items_count_where_the_last_event_has_none():
    """A last event with an empty output leaves the items that were seen on the way."""
    item = {"type": "response.output_item.done", "item": SEARCH}

    reading = feed([CREATED, item, item, last(output=[])]).reading()

    assert quantities(reading)["web_searches"] == 2


def test_a_stream_that_was_left_is_cut():
    """A cut stream has its prompt by estimate, at least the output that was seen, and the fees."""
    events = [
        CREATED,
        delta("y" * 40),
        delta("{}" * 20, "response.function_call_arguments.delta"),
        delta("é" * 20, "response.reasoning_text.delta"),
        {"type": "response.output_item.done", "item": SEARCH},
    ]

    reader = feed(events, request={"model": "gpt-asked", "input": "x" * 80})
    reading = reader.reading(has_ended=True)

    assert not reader.is_complete
    assert reading.completeness is Completeness.CUT
    assert quantities(reading) == {"input_tokens": 20, "output_tokens": 30, "web_searches": 1}
    assert (reading.model, reading.terms.key) == ("gpt-a", "standard")


def test_sound_and_results_of_tools_are_not_the_models_text():
    """Audio in base64 and what a container printed were not written by the model."""
    sound = delta("A" * 4000, "response.audio.delta")
    printed = delta({"stdout": "y" * 4000}, "response.shell_call_output_content.delta")

    reader = feed([CREATED, sound, printed])

    assert not reader.has_text


@pytest.mark.parametrize(
    ("events", "completeness"),
    [
        ([CREATED, last(usage=None)], Completeness.ESTIMATED),
        ([CREATED, last("response.failed", usage=None)], Completeness.CUT),
        ([CREATED, delta("Hi"), {"type": "error", "message": "overloaded"}], Completeness.CUT),
        ([], Completeness.CUT),
    ],
)
def test_an_end_without_usage_is_no_complete_one(events, completeness):
    """A response that was completed without usage is estimated; one that failed is cut."""
    reading = feed(events).reading()

    assert reading.completeness is completeness


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        5,
        {},
        {"type": 5},
        {"type": "response.output_item.done"},
        {"type": "response.in_progress", "response": 5},
        {"delta": "without a type"},
        {"type": "of tomorrow"},
    ],
)
def test_what_is_no_event_changes_nothing(event):
    """A strange event is neither an obstacle nor news."""
    reading = feed([CREATED, event, last()]).reading()

    assert reading == feed([CREATED, last()]).reading()
