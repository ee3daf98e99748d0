"""Anthropic's SDK against the demo's Anthropic, over real HTTP. pytest turns every warning into a failure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import anthropic
import pytest

from costspan.demo.phrases import GUIDE
from costspan.demo.providers import providers

MODEL = "claude-haiku-4-5"
ASK = {"model": MODEL, "max_tokens": 256, "messages": [{"role": "user", "content": "Who keeps the lease? Priya does."}]}
MARKED = [{"type": "text", "text": GUIDE, "cache_control": {"type": "ephemeral"}}]


def billed(served):
    """The tokens of the one charge that was made."""
    (charge,) = served.bill.charges
    return dict(charge.tokens)


def test_a_message_is_parsed_and_billed_as_its_usage_says(claude, served):
    """The SDK reads every field, and the provider bills the very tokens that it reports."""
    message = claude.messages.create(**ASK)

    assert (message.type, message.role, message.model, message.stop_reason) == (
        "message",
        "assistant",
        MODEL,
        "end_turn",
    )
    assert message.id.startswith("msg_")
    assert message._request_id == message.id.replace("msg_", "req_")
    assert "Priya" in message.content[0].text
    assert message.usage.service_tier == "standard"
    assert billed(served) == {"input": message.usage.input_tokens, "output": message.usage.output_tokens}


def test_an_answer_that_is_too_long_is_cut(claude):
    """`max_tokens` is kept, and named as the reason."""
    message = claude.messages.create(**{**ASK, "max_tokens": 5})

    assert (message.usage.output_tokens, message.stop_reason) == (5, "max_tokens")


def test_a_stream_has_the_events_of_a_stream(claude, served):
    """A ping, cumulative output and a start that has counted almost nothing: as Anthropic streams."""
    events = list(claude.messages.create(**ASK, stream=True))

    kinds = [event.type for event in events]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(kinds[2:-3]) <= {"ping", "content_block_delta"}
    assert events[0].message.usage.output_tokens == 1
    assert events[-2].usage.output_tokens == billed(served)["output"] > 100


def test_the_stream_helper_builds_the_same_message(claude):
    """Streamed or not, the same request has the same text and usage."""
    whole = claude.messages.create(**ASK)

    with claude.messages.stream(**ASK) as stream:
        text = "".join(stream.text_stream)
        streamed = stream.get_final_message()

    assert text == whole.content[0].text
    assert streamed.usage.output_tokens == whole.usage.output_tokens
    assert streamed.usage.input_tokens == whole.usage.input_tokens


def test_raw_responses_carry_the_request_id(claude):
    """Headers are those of Anthropic."""
    raw = claude.messages.with_raw_response.create(**ASK)

    assert raw.headers["request-id"] == raw.parse().id.replace("msg_", "req_")
    assert raw.headers["anthropic-organization-id"]


async def test_the_async_client_is_answered_alike(served):
    """Plain and streamed, from the asynchronous SDK."""
    async with anthropic.AsyncAnthropic(base_url=served.anthropic_url, api_key="demo") as client:
        message = await client.messages.create(**ASK)
        async with client.messages.stream(**ASK) as stream:
            text = "".join([piece async for piece in stream.text_stream])

    assert text == message.content[0].text
    assert [charge.usd for charge in served.bill.charges] == [served.bill.charges[0].usd] * 2


def test_a_cached_guide_is_written_once_and_read_until_it_expires(claude, clock, served):
    """Writes, reads and fresh tokens are disjoint; five simulated minutes after the last read the guide is gone."""
    start = datetime(2026, 11, 1, 12, tzinfo=UTC)
    usages = []
    for minutes in (0, 4, 8, 14):
        clock.set(start + timedelta(minutes=minutes))
        usages.append(claude.messages.create(**ASK, system=MARKED).usage)

    guide = usages[0].cache_creation_input_tokens
    assert [usage.cache_creation_input_tokens for usage in usages] == [guide, 0, 0, guide]
    assert [usage.cache_read_input_tokens for usage in usages] == [0, guide, guide, 0]
    assert {usage.input_tokens for usage in usages} == {usages[0].input_tokens}
    assert usages[0].model_dump()["cache_creation"]["ephemeral_5m_input_tokens"] == guide > 2048
    assert [charge.at_ns for charge in served.bill.charges][1] == int(
        (start + timedelta(minutes=4)).timestamp()
    ) * 10**9


def test_an_hour_of_caching_is_split_out_in_a_stream_too(claude, served):
    """`message_start` says for how long was written; the final usage only how much."""
    marked = [{**MARKED[0], "cache_control": {"type": "ephemeral", "ttl": "1h"}}]

    events = list(claude.messages.create(**ASK, system=marked, stream=True))

    written = billed(served)["cache_write_1h"]
    creation = events[0].message.usage.model_dump()["cache_creation"]
    assert creation == {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": written}
    final = next(event for event in events if event.type == "message_delta")
    assert final.usage.model_dump()["cache_creation_input_tokens"] == written


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": ""}]}, "non-empty"),
        ({"messages": [{"role": "system", "content": "x"}]}, "role"),
        ({"messages": [{"role": "user", "content": 7}]}, "content"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"model": ""}, "model"),
        ({"system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "9m"}}]}, "ttl"),
        ({"system": MARKED * 5}, "cache_control"),
    ],
)
def test_bad_requests_are_refused_with_their_reason(claude, served, change, words):
    """HTTP 400 names the field; nothing is billed."""
    with pytest.raises(anthropic.BadRequestError, match=words) as caught:
        claude.messages.create(**{**ASK, **change})

    assert caught.value.body["error"]["type"] == "invalid_request_error"
    assert caught.value.body["request_id"].startswith("req_")
    assert not served.bill.charges
    assert served.bill.refused == {400: 1}


def test_an_unknown_model_is_not_found(claude):
    """A model of the other provider is unknown here."""
    with pytest.raises(anthropic.NotFoundError, match=r"gpt-5-mini"):
        claude.messages.create(**{**ASK, "model": "gpt-5-mini"})


def test_faults_are_retried_by_the_sdk_and_not_billed(clock):
    """Of ten calls with a fault at each third request every one succeeds, and only answers are billed."""
    with (
        providers(clock, fault_every=3) as served,
        anthropic.Anthropic(base_url=served.anthropic_url, api_key="demo") as claude,
    ):
        for _ in range(10):
            claude.messages.create(**ASK)

        assert len(served.bill.charges) == 10
        assert served.bill.refused == {429: 2, 500: 1, 529: 1}
