"""Whatever fails inside of costspan, the application's call is untouched, and the failure is counted."""

from __future__ import annotations

import logging

import anthropic
import openai
import pytest

from costspan import guard, hooks
from costspan.hooks import call as calls
from costspan.hooks.injection import Asking
from fix_sdk import CHAT, MESSAGE, MESSAGES, chat_stream, message_stream
from loopback import Json

CHAT_HELLO = {"messages": MESSAGES, "model": "gpt-5"}
HELLO = {"messages": MESSAGES, "model": "claude-haiku-4-5", "max_tokens": 200}
#: Every place where the hooks call somebody else, or each other.
PLACES = [
    "costspan.capture.endpoint",
    "costspan.capture.read_body",
    "costspan.capture.wants_usage_chunk",
    "costspan.capture.sse.EventParser.feed",
    "costspan.capture.sse.JsonBody.value",
    "costspan.capture.stream.StreamReader.__init__",
    "costspan.capture.stream.StreamReader.reading",
    "costspan.attribution.current",
    "costspan.attribution.without_baggage",
    "costspan.meter.Meter.open",
    "costspan.meter.Meter.settle",
    "costspan.meter.Meter.end",
    "costspan.journal.Journal.open",
    "costspan.journal.Journal.close_attempt",
    "costspan.pricing.PriceBook.quote",
    "costspan.sinks.prometheus.PrometheusSink.record",
    "costspan.sinks.prometheus.PrometheusSink.ended",
    "costspan.sinks.spans.begin",
    "costspan.sinks.spans.CallSpan.attach",
    "costspan.sinks.spans.CallSpan.detach",
    "costspan.sinks.spans.CallSpan.settle",
    "costspan.sinks.spans.CallSpan.fail",
    "costspan.sinks.spans.CallSpan.finish",
    "costspan.hooks.provider.server",
    "costspan.hooks.abandoned.settle_left",
    "costspan.hooks.abandoned.watch",
    "costspan.hooks.body.wrap",
    "costspan.hooks.tee.Tee._look",
    "costspan.hooks.tee.Tee._end",
    "costspan.hooks.call.Call.enter",
    "costspan.hooks.call.Call.question",
    "costspan.hooks.call.Call.failed",
    "costspan.hooks.call.Call.returned",
    "costspan.hooks.call.Call.settled",
    "costspan.hooks.call.Call.unanswered",
    "costspan.hooks.call.Call.was_refused",
    "costspan.hooks.exchange.Exchange.open",
    "costspan.hooks.exchange.Exchange.stream",
    "costspan.hooks.exchange.parsed",
]


@pytest.fixture(autouse=True)
def quiet(monkeypatch, caplog):
    """Errors are swallowed, as in production, and logged where nobody looks."""
    monkeypatch.delenv("COSTSPAN_RAISE", raising=False)
    monkeypatch.setattr(calls, "asking", Asking())
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.001)
    monkeypatch.setattr("anthropic._base_client.INITIAL_RETRY_DELAY", 0.001)
    monkeypatch.setattr(guard, "_logged", {})
    caplog.set_level(logging.CRITICAL, logger="costspan")


def everything(server, gpt, claude):
    """Make every kind of call; return what the application saw."""
    refusal = Json({"error": {"message": "no"}}, status=400)
    server.script.clear()
    server.answer(
        *(Json(CHAT), Json({}, status=500), Json(CHAT), Json(CHAT), chat_stream(3), chat_stream(3), Json(MESSAGE)),
        *(message_stream(3), message_stream(3), message_stream(3), message_stream(3), Json(MESSAGE), refusal, refusal),
    )
    seen = [
        gpt.chat.completions.create(**CHAT_HELLO),
        gpt.with_options(max_retries=1).chat.completions.create(**CHAT_HELLO),
        gpt.chat.completions.with_raw_response.create(**CHAT_HELLO).parse(),
        list(gpt.chat.completions.create(**CHAT_HELLO, stream=True)),
        list(gpt.chat.completions.with_raw_response.create(**CHAT_HELLO, stream=True).parse()),
        claude.messages.create(**HELLO),
        list(claude.messages.create(**HELLO, stream=True)),
    ]
    with claude.messages.stream(**HELLO) as stream:
        seen.append(stream.get_final_message())
    with claude.messages.create(**HELLO, stream=True) as stream:
        seen.append(next(stream))
    with claude.messages.with_streaming_response.create(**HELLO, stream=True) as response:
        seen.append(list(response.iter_lines()))
    with claude.messages.with_streaming_response.create(**HELLO) as response:
        seen.append(response.json())
    for failing in (lambda: gpt.chat.completions.create(**CHAT_HELLO), lambda: claude.messages.create(**HELLO)):
        try:
            failing()
        except (openai.BadRequestError, anthropic.BadRequestError) as error:
            seen.append((type(error), str(error), type(error.__context__)))
    assert not server.script
    return seen


@pytest.mark.parametrize("place", PLACES)
def test_failure_of_ours_is_not_the_applications(server, both, meter, monkeypatch, place):
    """With ``place`` failing every time, each call gives what it gives without costspan, and the failures are counted."""
    bare = everything(server, both.gpt, both.claude)
    hooks.instrument(meter)

    def fail(*_args, **_kwargs):
        raise ArithmeticError(place)

    monkeypatch.setattr(place, fail)
    before = sum(guard.failures.values())
    metered = everything(server, both.gpt, both.claude)

    assert metered == bare
    if place != "costspan.attribution.without_baggage":  # called only where there is baggage
        assert sum(guard.failures.values()) > before


async def test_failure_of_ours_is_not_the_asynchronous_applications(server, agpt, aclaude, meter, monkeypatch):
    """Nor with asynchronous clients, whatever fails at once."""
    hooks.instrument(meter)

    def fail(*_args, **_kwargs):
        raise ArithmeticError

    for place in ("costspan.meter.Meter.settle", "costspan.sinks.spans.begin", "costspan.capture.read_body"):
        monkeypatch.setattr(place, fail)
    server.answer(Json(CHAT), chat_stream(2), message_stream(2))

    answer = await agpt.chat.completions.create(**CHAT_HELLO)
    chunks = [chunk async for chunk in await agpt.chat.completions.create(**CHAT_HELLO, stream=True)]
    async with aclaude.messages.stream(**HELLO) as stream:
        final = await stream.get_final_message()

    assert (answer.id, len(chunks), final.usage.output_tokens) == ("chatcmpl-1", 4, 180)


def test_answer_that_costspan_cannot_read_is_still_a_row(server, gpt, claude, meter, monkeypatch):
    """An answered attempt is a row even where reading it failed: kept aside, never summed, never missing."""

    def fail(*_args, **_kwargs):
        raise ArithmeticError

    hooks.instrument(meter)
    monkeypatch.setattr("costspan.capture.read_body", fail)
    monkeypatch.setattr("costspan.capture.stream.StreamReader.reading", fail)
    server.answer(Json(CHAT), message_stream(1))

    gpt.chat.completions.create(**CHAT_HELLO)
    list(claude.messages.create(**HELLO, stream=True))

    events = [event for segment in meter.journal.segments() for event in segment.read(0, 9).events]
    assert [(event.status, event.request_model) for event in events] == [
        ("invalid", "gpt-5"),
        ("invalid", "claude-haiku-4-5"),
    ]


def test_reader_that_fails_in_the_middle_is_not_asked_again(server, gpt, meter, monkeypatch):
    """One failure for one stream, and not one for each of its chunks."""
    hooks.instrument(meter)
    monkeypatch.setattr("costspan.capture.stream_chat.ChatStream.feed", lambda *_args: 1 / 0)
    before = guard.failures.get("hooks.feed", 0)
    server.answer(chat_stream(50))

    chunks = list(gpt.chat.completions.create(**CHAT_HELLO, stream=True))

    assert len(chunks) == 52
    assert guard.failures["hooks.feed"] == before + 1
