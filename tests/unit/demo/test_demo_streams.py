"""Streams that a client leaves before their end."""

from __future__ import annotations

import pytest

from costspan.demo.anthropic_provider import AnthropicProvider
from costspan.demo.bill import Bill
from costspan.demo.faults import ANTHROPIC_FAULTS, OPENAI_FAULTS, Faults
from costspan.demo.loopback import Request
from costspan.demo.openai_provider import OpenAIProvider
from costspan.demo.prompt_cache import PromptCache

HEADERS = {"x-api-key": "demo", "anthropic-version": "2023-06-01", "authorization": "Bearer demo"}
MESSAGES = [{"role": "user", "content": "Priya keeps the lease."}]
MESSAGE = ("/v1/messages", {"model": "claude-haiku-4-5", "max_tokens": 200, "messages": MESSAGES})
CHAT = ("/v1/chat/completions", {"model": "gpt-5-mini", "messages": MESSAGES})
RESPONSE = ("/v1/responses", {"model": "gpt-5-mini", "input": "Priya keeps the lease."})


def stream(bill, path, body):
    """The events of a streamed answer, not yet sent."""
    request = Request("req_1", path, HEADERS, {**body, "stream": True})
    if path == "/v1/messages":
        cache = PromptCache(lambda: 0, minimum_tokens=2048)
        return AnthropicProvider(bill, cache, Faults(ANTHROPIC_FAULTS, every=0)).answer(request).events
    return OpenAIProvider(bill, Faults(OPENAI_FAULTS, every=0)).answer(request).events


@pytest.mark.parametrize(
    ("call", "events", "output"),
    [
        pytest.param(MESSAGE, 3, 0, id="message before any text"),
        pytest.param(MESSAGE, 5, 8, id="message after two deltas of four tokens"),
        pytest.param(CHAT, 1, 64, id="chat before any text: it has thought"),
        pytest.param(CHAT, 4, 67, id="chat after three tokens"),
        pytest.param(RESPONSE, 4, 64, id="response before any text: it has thought"),
        pytest.param(RESPONSE, 6, 66, id="response after two tokens"),
    ],
)
def test_a_stream_that_is_left_is_billed_as_far_as_it_was_written(call, events, output):
    """What the client did not wait for was not written, and what was written is billed, once."""
    bill = Bill(lambda: 0)
    sent = stream(bill, *call)
    for _ in range(events):
        next(sent)

    sent.close()

    (charge,) = bill.charges
    assert charge.tokens_out == output
    assert charge.tokens_in > 0


@pytest.mark.parametrize("call", [MESSAGE, CHAT, RESPONSE], ids=lambda call: call[0])
def test_a_stream_is_billed_before_its_last_event(call):
    """A client that has its answer finds it on the bill."""
    bill = Bill(lambda: 0)
    sent = list(stream(bill, *call))
    again = stream(bill, *call)

    for _ in range(len(sent) - 1):
        next(again)

    assert len(bill.charges) == 2
    assert bill.charges[0].tokens == bill.charges[1].tokens
