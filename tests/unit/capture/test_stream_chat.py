"""Streams of chat completions and legacy completions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.capture import StreamReader
from costspan.usage import Completeness
from unit.capture.answers import CHAT, COMPLETIONS, PATIENT, quantities

USAGE = {"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29}
ASKED = {"model": "gpt-asked", "stream": True, "messages": [{"role": "user", "content": "x" * 400}]}


def chunk(delta=None, finish_reason=None, **fields):
    """Build a chunk with one choice."""
    choice = {"index": 0, "delta": delta if delta is not None else {}, "finish_reason": finish_reason}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-a", "choices": [choice], **fields}


def text(content):
    """Build a chunk with a text."""
    return chunk({"content": content})


FIRST = chunk({"role": "assistant", "content": ""})
STOP = chunk(finish_reason="stop")
ALONE = {"id": "chatcmpl-1", "model": "gpt-a", "choices": [], "usage": USAGE, "service_tier": "priority"}


def feed(events, request=ASKED, called=CHAT):
    """Feed events to a new reader."""
    reader = StreamReader(called, request=request, provider="openai")
    for event in events:
        reader.feed(event)
    return reader


def test_usage_comes_in_a_chunk_of_its_own():
    """The last chunk has the usage, and the stream is complete with it."""
    reader = feed([FIRST, text("Hi"), STOP])
    before = reader.is_complete
    reader.feed(ALONE)

    reading = reader.reading()

    assert (before, reader.is_complete) == (False, True)
    assert quantities(reading) == {"input_tokens": 20, "output_tokens": 9}
    assert (reading.model, reading.response_id, reading.finish_reason) == ("gpt-a", "chatcmpl-1", "stop")
    assert (reading.completeness, reading.terms.key) == (Completeness.COMPLETE, "priority")


def test_usage_may_come_with_the_last_choice():
    """Usage counts from whichever chunk it comes with, and null changes nothing."""
    reader = feed([FIRST, chunk({"content": "Hi"}, usage=None), chunk(finish_reason="stop", usage=USAGE)])

    assert reader.is_complete
    assert quantities(reader.reading()) == {"input_tokens": 20, "output_tokens": 9}


def test_growing_usage_is_never_added_up():
    """Of usage that comes with every chunk the latest is the one; the stream is complete with its end."""
    growing = [
        chunk({"content": "a"}, usage={**USAGE, "completion_tokens": number}, finish_reason=reason)
        for number, reason in ((1, None), (2, None), (9, "stop"))
    ]

    readers = [feed(growing[:count]) for count in (1, 2, 3)]

    assert [reader.is_complete for reader in readers] == [False, False, True]
    assert quantities(readers[-1].reading()) == {"input_tokens": 20, "output_tokens": 9}


def test_a_later_usage_replaces_an_earlier_one():
    """The last usage that is not null wins, also over one that came alone."""
    reader = feed([FIRST, ALONE, text("more"), STOP, {**ALONE, "usage": {**USAGE, "completion_tokens": 11}}])

    assert quantities(reader.reading())["output_tokens"] == 11


def test_usage_alone_before_more_text_is_not_the_end():
    """Usage without choices that is followed by text was not the last word."""
    reader = feed([FIRST, ALONE, text("more")])

    assert not reader.is_complete
    assert reader.reading().completeness is Completeness.CUT


def test_a_finished_stream_without_usage_is_estimated():
    """A stream that came to its end without usage is estimated from what passed."""
    reading = feed([FIRST, text("y" * 100), text("é" * 50), STOP]).reading()

    assert reading.completeness is Completeness.ESTIMATED
    assert quantities(reading) == {"input_tokens": 104, "output_tokens": 50}


def test_a_stream_that_was_left_is_cut():
    """A stream that was closed early keeps at least what was seen."""
    reading = feed([FIRST, text("y" * 100)]).reading()

    assert reading.completeness is Completeness.CUT
    assert quantities(reading) == {"input_tokens": 104, "output_tokens": 25}


def test_a_stream_that_was_never_read_is_cut():
    """A stream without a single event was sent, and its prompt is known by estimate."""
    reading = feed([]).reading()

    assert reading.completeness is Completeness.CUT
    assert quantities(reading) == {"input_tokens": 104}
    assert reading.model == "gpt-asked"


def test_a_cut_stream_keeps_the_providers_input():
    """Where a server sent usage on its way, its input is exact, and its output at least what was seen."""
    usage = {"prompt_tokens": 20, "completion_tokens": 1, "total_tokens": 21}

    seen_more = feed([chunk({"content": "y" * 400}, usage=usage)]).reading()
    told_more = feed([chunk({"content": "y"}, usage={**usage, "completion_tokens": 70})]).reading()

    assert quantities(seen_more) == {"input_tokens": 20, "output_tokens": 100}
    assert seen_more.evidence == usage
    assert quantities(told_more) == {"input_tokens": 20, "output_tokens": 70}
    assert seen_more.completeness is told_more.completeness is Completeness.CUT


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([text("Hi")], Completeness.ESTIMATED),
        ([chunk({"content": "Hi"}, usage=USAGE)], Completeness.COMPLETE),
        ([text("Hi"), {"error": {"message": "overloaded"}}], Completeness.CUT),
    ],
)
def test_a_server_may_not_mark_its_end(events, expected):
    """A stream that was read to its end is whole, even without a reason, unless it told of an error."""
    reading = feed(events).reading(has_ended=True)

    assert reading.completeness is expected


def test_an_error_inside_a_stream_cuts_it():
    """A stream that broke off with an error is not final."""
    reading = feed([FIRST, text("y" * 40), {"error": {"message": "overloaded", "type": "server_error"}}]).reading()

    assert reading.completeness is Completeness.CUT
    assert quantities(reading)["output_tokens"] == 10


def test_all_choices_must_end():
    """Of two answers asked for, both have to end."""
    asked = {**ASKED, "n": 2}
    one = feed([FIRST, STOP], request=asked)
    both = feed([FIRST, STOP, STOP], request=asked)

    completeness = [one.reading().completeness, both.reading().completeness]

    assert completeness == [Completeness.CUT, Completeness.ESTIMATED]


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning_content": "y" * 40},
        {"reasoning": "y" * 40},
        {"refusal": "y" * 40},
        {"tool_calls": [{"index": 0, "id": "call_12345678", "type": "function", "function": {"arguments": "y" * 40}}]},
        {"tool_calls": [{"index": 0, "function": {"name": "y" * 10, "arguments": "y" * 30}}, {"function": {}}]},
        {"tool_calls": [{"index": 0, "custom": {"input": "y" * 40}}]},
        {"function_call": {"arguments": "y" * 40}},
        {"content": [{"type": "text", "text": "y" * 40}]},
        {"content": None, "reasoning_content": "y" * 40},
    ],
)
def test_whatever_a_model_writes_is_counted(delta):
    """Reasoning, refusals, arguments of tools and lists of parts are output like any text."""
    reader = feed([chunk(delta)])

    assert quantities(reader.reading())["output_tokens"] == 10
    assert reader.has_text


def test_a_role_is_no_text():
    """The first chunk, which only names the role, has no token of text."""
    reader = feed([FIRST])

    assert not reader.has_text


def test_azures_first_chunk_is_no_usage():
    """A chunk without choices and without usage says nothing."""
    azure = {"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": [{}]}

    reader = feed([azure, text("Hi"), STOP])

    assert not reader.is_complete
    assert (reader.reading().model, reader.reading().response_id) == ("gpt-a", "chatcmpl-1")


def test_the_model_may_be_in_the_first_chunk_only():
    """What only the first chunk says is not lost."""
    later = {"choices": [{"delta": {"content": "Hi"}}]}

    reading = feed([chunk({"content": "a"}, service_tier="flex"), later, later]).reading()

    assert (reading.model, reading.terms.key) == ("gpt-a", "flex")


def test_groq_has_its_usage_elsewhere():
    """Usage in Groq's own field counts where it is."""
    reading = feed([FIRST, chunk(finish_reason="stop", x_groq={"id": "req_1", "usage": USAGE})]).reading()

    assert reading.completeness is Completeness.COMPLETE
    assert quantities(reading) == {"input_tokens": 20, "output_tokens": 9}


def test_usage_without_the_field_of_choices_counts():
    """A chunk that has usage and does not mention choices is taken for its usage."""
    reading = feed([FIRST, STOP, {"usage": USAGE}]).reading()

    assert quantities(reading) == {"input_tokens": 20, "output_tokens": 9}


def test_usage_of_a_strange_chunk_counts():
    """A chunk whose choices are no list of objects is counted as far as it can be."""
    reading = feed([FIRST, {"choices": ["y" * 40], "usage": USAGE}, STOP]).reading()

    assert quantities(reading) == {"input_tokens": 20, "output_tokens": 10 - 1}


def test_a_usage_of_another_shape_is_refused():
    """What the last chunk calls usage is checked like anywhere."""
    reading = feed([FIRST, STOP, {"choices": [], "usage": [1, 2]}]).reading()

    assert reading.problem == "usage is a list: allowed is an object"
    assert reading.portions == ()


def test_an_impossible_output_is_not_repaired():
    """A cut stream with an impossible count is refused, and its estimate does not hide that."""
    reading = feed([chunk({"content": "y" * 40}, usage={"prompt_tokens": 1, "completion_tokens": -1})]).reading()

    assert reading.problem.startswith("completion_tokens is ")


def test_legacy_completions_have_their_text_elsewhere():
    """A legacy chunk has its text beside the index, not in a delta."""
    events = [
        {"id": "cmpl-1", "model": "m", "choices": [{"text": "y" * 40, "index": 0, "finish_reason": None}]},
        {"id": "cmpl-1", "model": "m", "choices": [{"text": "", "index": 0, "finish_reason": "length"}]},
    ]

    reading = feed(events, request={"prompt": [1, 2, 3]}, called=COMPLETIONS).reading()

    assert (reading.completeness, reading.finish_reason) == (Completeness.ESTIMATED, "length")
    assert quantities(reading) == {"input_tokens": 3, "output_tokens": 10}


@given(st.lists(st.text(max_size=30), max_size=20), st.integers(0, 20))
@PATIENT
def test_text_counts_the_same_in_one_piece_and_in_many(texts, position):
    """However a text is cut into chunks, it has as many tokens."""
    whole = "".join(texts)
    halves = [whole[:position], whole[position:]]

    counted = [quantities(feed([text(piece) for piece in pieces]).reading()) for pieces in (texts, halves, [whole])]

    assert counted[0] == counted[1] == counted[2]


def test_a_reading_can_be_taken_at_any_time():
    """Reading changes nothing, and can be done twice."""
    reader = feed([FIRST, text("Hi"), STOP, ALONE])

    first, second = reader.reading(), reader.reading()

    assert first == second
