"""Server-sent events and JSON bodies, parsed from bytes."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.capture import EventParser, JsonBody, sse
from unit.capture.answers import PATIENT, exchanges
from unit.capture.answers import events as told_apart


def parse(chunks):
    """Feed chunks to a new parser and close it."""
    parser = EventParser()
    found = [event for chunk in chunks for event in parser.feed(chunk)]
    return [*found, *parser.close()], parser


def cut(data, positions):
    """Cut bytes at these positions."""
    edges = [0, *sorted(min(position, len(data)) for position in positions), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


STREAM = (
    "\ufeff: a comment\r\n"
    'event: message\r\ndata: {"a": 1}\r\n\r\n'
    'data: {"b":\ndata: "日本😀"}\nid: 7\n\n'
    'data: {"e":\r\ndata: 2}\r\n\r\n'
    'data:{"c": [1, 2]}\r\r'
    "retry: 5\n\n"
    "data\n\n"
    'data: {"d": "\\u2028"}\n\n'
    "data: [DONE]\n\n"
).encode()
PARSED = [{"a": 1}, {"b": "日本😀"}, {"e": 2}, {"c": [1, 2]}, {"d": "\u2028"}]


def test_events_are_told_apart():
    """All ends of lines, comments, names and data of several lines are understood."""
    events, parser = parse([STREAM])

    assert events == PARSED
    assert parser.is_done
    assert parser.dropped == 0


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
@PATIENT
def test_any_chunking_gives_the_same_events(positions):
    """Wherever the chunks end, inside a letter or between the halves of a line end, the events are the same."""
    events, parser = parse(cut(STREAM, positions))

    assert events == PARSED
    assert parser.is_done


def test_single_bytes_give_the_same_events():
    """A stream that comes byte by byte gives the same events."""
    events, _ = parse([bytes([byte]) for byte in STREAM])

    assert events == PARSED


@given(
    st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3), max_size=6),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.lists(st.integers(0, 400), max_size=10),
)
@PATIENT
def test_what_was_written_is_read(values, ending, positions):
    """Any JSON, written as events with any end of line and cut anywhere, is read as it was."""
    data = "".join(f"data: {json.dumps(value)}{ending}{ending}" for value in values).encode()

    events, parser = parse(cut(data, positions))

    assert events == values
    assert parser.dropped == 0


def test_an_event_that_was_not_completed_is_read_at_the_end():
    """A server that ends without a blank line has not lost its last event."""
    events, _ = parse([b'data: {"a": 1}\n\ndata: {"b"', b": 2}"])

    assert events == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize("data", [b"{", b"no json", b"[" * 100_000, b"\xff\xfe", b'{"a": 1} trailing'])
def test_what_is_no_json_is_dropped(data):
    """Data that cannot be parsed is counted and does not stop what follows."""
    events, parser = parse([b"data: " + data + b'\n\ndata: {"a": 1}\n\n'])

    assert events == [{"a": 1}]
    assert parser.dropped == 1


def test_invalid_utf_8_is_replaced():
    """A broken letter inside a text does not lose the event."""
    events, _ = parse([b'data: {"a": "\xff", "usage": 1}\n\n'])

    assert events == [{"a": "\ufffd", "usage": 1}]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_event_that_is_too_large_is_let_go(monkeypatch, size):
    """An event beyond the limit is neither kept nor parsed, in one line or in many, and the next one is read."""
    monkeypatch.setattr(sse, "MAX_BYTES", 100)
    long_line = b'data: "' + b"x" * 500 + b'"\nevent: y\n\n'
    many_lines = b"data: 1111111111\n" * 30 + b"\n"
    data = b'data: {"a": 1}\n\n' + long_line + b'data: {"b": 2}\n\n' + many_lines + b'data: {"c": 3}\n\n'

    events, parser = parse([data[start : start + size] for start in range(0, len(data), size)])

    assert events == [{"a": 1}, {"b": 2}, {"c": 3}]
    assert parser.dropped == 2


def test_an_endless_line_does_not_fill_the_memory(monkeypatch):
    """Of a line without an end only the limit is kept."""
    monkeypatch.setattr(sse, "MAX_BYTES", 1000)
    parser = EventParser()

    for _ in range(1000):
        parser.feed(b"x" * 100)

    assert sum(map(len, parser._partial)) <= 1000
    assert parser._size <= 1000


def test_a_byte_order_mark_is_only_one_at_the_start():
    """A mark at the start is no part of the first line."""
    events, _ = parse([b"\xef\xbb", b'\xbfdata: {"a": 1}\n\n'])

    assert events == [{"a": 1}]


def test_empty_chunks_change_nothing():
    """A chunk without bytes between the halves of a line end does no harm."""
    events, _ = parse([b'data: {"a": 1}\r', b"", b"\n", b"\r", b"\n"])

    assert events == [{"a": 1}]


def test_recorded_streams_are_told_apart(shared):
    """Every recorded stream gives the events that another reading of it gives."""
    streams = [exchange["body"] for exchange, _ in exchanges(shared) if "event-stream" in exchange["content_type"]]

    parsed = [parse(cut(body.encode(), range(0, len(body), 97)))[0] for body in streams]

    assert len(streams) > 90
    assert parsed == [told_apart(body) for body in streams]


def test_a_body_is_collected():
    """A body in many pieces, cut inside a letter, is parsed as one."""
    data = json.dumps({"a": "日本", "usage": {"prompt_tokens": 3}}, ensure_ascii=False).encode()
    body = JsonBody()

    for position in range(len(data)):
        body.feed(data[position : position + 1])

    assert body.value() == {"a": "日本", "usage": {"prompt_tokens": 3}}


@pytest.mark.parametrize("data", [b"", b'{"a": ', b"no json", b"[" * 100_000])
def test_a_body_that_is_no_json_has_no_value(data):
    """What is not whole or no JSON has no value, and does not fail."""
    body = JsonBody()
    body.feed(data)

    assert body.value() is None


def test_a_body_that_is_too_large_is_let_go(monkeypatch):
    """A body beyond the limit is not kept."""
    monkeypatch.setattr(sse, "MAX_BYTES", 100)
    body = JsonBody()

    for _ in range(200):
        body.feed(b"1")

    assert body.is_too_large
    assert body.value() is None
    assert body._pieces == []
