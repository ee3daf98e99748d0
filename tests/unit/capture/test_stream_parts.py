"""Streams of transcriptions, images and speech."""

from __future__ import annotations

import pytest

from costspan.capture import StreamReader
from costspan.usage import Completeness
from unit.capture.answers import IMAGES, SPEECH, TRANSCRIPTIONS, quantities

USAGE = {"type": "tokens", "input_tokens": 10, "output_tokens": 5, "total_tokens": 15}


def feed(called, events, request):
    """Feed events to a new reader."""
    reader = StreamReader(called, request=request)
    for event in events:
        reader.feed(event)
    return reader


@pytest.mark.parametrize(
    ("called", "kind", "expected"),
    [
        (TRANSCRIPTIONS, "transcript.text.done", {"input_audio_tokens": 10, "output_tokens": 5}),
        (IMAGES, "image_generation.completed", {"input_tokens": 10, "output_image_tokens": 5}),
        (IMAGES, "image_edit.completed", {"input_tokens": 10, "output_image_tokens": 5}),
        (SPEECH, "speech.audio.done", {"input_tokens": 10, "output_audio_tokens": 5}),
    ],
)
def test_the_last_event_has_the_usage(called, kind, expected):
    """Each kind of part ends with an event that has the usage, in units of its kind."""
    events = [{"type": "transcript.text.delta", "delta": "Hi"}, {"type": kind, "usage": USAGE}]

    reader = feed(called, events, {"model": "asked"})
    reading = reader.reading()

    assert reader.is_complete
    assert quantities(reading) == expected
    assert (reading.completeness, reading.model) == (Completeness.COMPLETE, "asked")


def test_several_images_are_a_lower_bound():
    """Of two images, each with a usage, nobody promises that they add up."""
    event = {"type": "image_generation.completed", "usage": USAGE}

    reading = feed(IMAGES, [event, event], {"model": "gpt-image-1"}).reading()

    assert reading.completeness is Completeness.CUT
    assert quantities(reading) == {"input_tokens": 10, "output_image_tokens": 5}


@pytest.mark.parametrize(
    ("events", "completeness"),
    [
        ([{"type": "transcript.text.delta", "delta": "Hi"}], Completeness.CUT),
        ([{"type": "transcript.text.done", "text": "Hi"}], Completeness.ESTIMATED),
        ([{"type": "error"}, {"type": "transcript.text.done"}], Completeness.CUT),
        ([None, 5, {}, {"type": 5}, {"type": "x", "delta": 5}], Completeness.CUT),
    ],
)
def test_audio_without_usage_is_unknown(events, completeness):
    """A transcription without usage is flagged, not guessed from its text."""
    reading = feed(TRANSCRIPTIONS, events, {"model": "gpt-4o-transcribe"}).reading()

    assert reading.completeness is completeness
    assert reading.unknown == ("usage",)
