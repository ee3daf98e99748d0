"""Answers as the providers send them, for the tests of capture: whole ones, and the parts they are made of."""

from __future__ import annotations

import json
from urllib.parse import urlparse

from hypothesis import HealthCheck, settings

from costspan.capture import endpoint

#: For property tests: none fails because the machine has other things to do.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

MESSAGES = endpoint("anthropic", "POST", "/v1/messages")
CHAT = endpoint("openai", "POST", "/v1/chat/completions")
COMPLETIONS = endpoint("openai", "POST", "/v1/completions")
RESPONSES = endpoint("openai", "POST", "/v1/responses")
EMBEDDINGS = endpoint("openai", "POST", "/v1/embeddings")
TRANSCRIPTIONS = endpoint("openai", "POST", "/v1/audio/transcriptions")
IMAGES = endpoint("openai", "POST", "/v1/images/generations")
SPEECH = endpoint("openai", "POST", "/v1/audio/speech")


def message(usage, **fields):
    """An Anthropic message."""
    return {
        "id": "msg_1",
        "type": "message",
        "model": "claude-a",
        "content": [],
        "stop_reason": "end_turn",
        **fields,
    } | {"usage": usage}


def chat(usage, **fields):
    """A chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}
    return {"id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-a", "choices": [choice], **fields} | {
        "usage": usage
    }


def response(usage, **fields):
    """An OpenAI response."""
    return {"id": "resp_1", "object": "response", "status": "completed", "model": "gpt-a", "output": [], **fields} | {
        "usage": usage
    }


def quantities(reading):
    """Quantities by unit, summed over the portions."""
    total = {}
    for portion in reading.portions:
        for unit, quantity in portion.usage.quantities.items():
            total[unit.value] = total.get(unit.value, 0) + quantity
    return total


def by_portion(reading):
    """Each portion's model and quantities."""
    return [
        (portion.model, {unit.value: quantity for unit, quantity in portion.usage.quantities.items()})
        for portion in reading.portions
    ]


def exchanges(shared):
    """The recorded exchanges that were answered, with the endpoint that each called."""
    with (shared / "recorded" / "exchanges.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            exchange = json.loads(line)
            if exchange["status"] == 200:
                service = "anthropic" if "anthropic" in urlparse(exchange["url"]).netloc else "openai"
                yield exchange, endpoint(service, exchange["method"], exchange["url"])


def events(body):
    """The JSON of the events of a recorded stream, told apart without our own parser."""
    data = [line[5:].strip() for line in body.splitlines() if line.startswith("data:")]
    return [json.loads(text) for text in data if text != "[DONE]"]
