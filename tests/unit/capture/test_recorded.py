"""Every recorded answer of the providers, read to the providers' own counts."""

from __future__ import annotations

import json

import pytest

from costspan.capture import EventParser, StreamReader, read_body
from costspan.usage import Completeness
from unit.capture.answers import events, exchanges


@pytest.fixture(scope="module")
def answered(shared):
    """Recorded exchanges with the endpoint that each called."""
    return list(exchanges(shared))


def told(exchange):
    """The counts that a provider sent, found by walking its JSON: what was read, what was written, or None."""
    is_stream = "event-stream" in exchange["content_type"]
    documents = events(exchange["body"]) if is_stream else [json.loads(exchange["body"])]
    holders = [
        holder
        for document in documents
        for holder in (document, document.get("message"), document.get("response"))
        if isinstance(holder, dict)
    ]
    usages = [holder["usage"] for holder in holders if isinstance(holder.get("usage"), dict)]
    if not usages:
        return None
    latest = {name: value for usage in usages for name, value in usage.items() if value is not None}
    read = latest.get("prompt_tokens", latest.get("input_tokens"))
    caches = latest.get("cache_read_input_tokens", 0) + latest.get("cache_creation_input_tokens", 0)
    return read + caches, latest.get("completion_tokens", latest.get("output_tokens", 0))


def read(exchange, called):
    """Read an exchange as a hook would."""
    if "event-stream" not in exchange["content_type"]:
        return read_body(called, json.loads(exchange["body"]), request=exchange["request"])
    reader = StreamReader(called, request=exchange["request"])
    for event in events(exchange["body"]):
        reader.feed(event)
    return reader.reading(has_ended=True)


def counted(reading):
    """What a reading says was read and written."""
    usages = [portion.usage for portion in reading.portions]
    return sum(usage.tokens_in for usage in usages), sum(usage.tokens_out for usage in usages)


def test_every_answer_is_metered(answered):
    """Each answered exchange called an endpoint that is metered, and names a model."""
    readings = [read(exchange, called) for exchange, called in answered]

    assert len(readings) == 293
    assert all(reading.model for reading in readings)


def test_counts_are_the_providers_own(answered):
    """What was read and written is what the provider said, to the token, wherever it said anything."""
    reported = [(exchange, called) for exchange, called in answered if told(exchange) is not None]

    readings = [read(exchange, called) for exchange, called in reported]

    assert len(readings) == 293 - 66
    assert [counted(reading) for reading in readings] == [told(exchange) for exchange, _ in reported]
    assert {reading.completeness for reading in readings} == {Completeness.COMPLETE}
    assert {(reading.unknown, reading.problem) for reading in readings} == {((), "")}


def test_answers_without_counts_are_estimated(answered):
    """Where the provider said nothing, tokens are estimated: of each prompt, and of each answer that has a text."""
    silent = [(exchange, called) for exchange, called in answered if told(exchange) is None]

    readings = [read(exchange, called) for exchange, called in silent]

    assert len(readings) == 66
    assert {reading.completeness for reading in readings} == {Completeness.ESTIMATED}
    assert all(counted(reading)[0] > 0 for reading in readings)
    assert sum(counted(reading)[1] == 0 for reading in readings) == 3  # prompts that Azure filtered


def test_estimates_are_near_the_providers_counts(answered):
    """Over all answers that have counts, estimates of what was written are within a third of them."""
    written = estimated = 0
    for exchange, called in answered:
        if told(exchange) is None or "event-stream" in exchange["content_type"] or called.operation == "embeddings":
            continue
        body = {**json.loads(exchange["body"]), "usage": None}
        written += told(exchange)[1]
        estimated += counted(read_body(called, body, request=exchange["request"]))[1]

    assert 0.67 < estimated / written < 1.5


def test_bytes_of_a_stream_read_like_its_events(answered):
    """A stream that an application reads as bytes has the same reading as one whose events the SDK parsed."""
    streams = [(exchange, called) for exchange, called in answered if "event-stream" in exchange["content_type"]]

    for exchange, called in streams:
        parser, reader = EventParser(), StreamReader(called, request=exchange["request"])
        data = exchange["body"].encode()
        for start in range(0, len(data), 500):
            for event in parser.feed(data[start : start + 500]):
                reader.feed(event)

        assert reader.reading(has_ended=True) == read(exchange, called)


def test_a_stream_cut_anywhere_is_no_more_than_partly_known(answered):
    """A stream that was left before its last word has the exact input where it was sent, and is never complete."""
    streams = [(exchange, called) for exchange, called in answered if "event-stream" in exchange["content_type"]]

    for exchange, called in streams:
        reader = StreamReader(called, request=exchange["request"])
        for event in events(exchange["body"])[:-3]:
            reader.feed(event)
        reading = reader.reading()

        assert reading.completeness is Completeness.CUT
        if called.service == "anthropic":
            assert counted(reading)[0] == told(exchange)[0]
