"""Spans of the golden exchanges, as the real instrumentations make them, and what the calls cost by them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from costspan.exporter.otlp import wire
from costspan.exporter.otlp.dialect import operation
from costspan.exporter.otlp.reading import read
from costspan.pricing import PriceBook
from fix_sdk import message_stream
from integration.exporter.instrumentations import NAMES, at, playing

#: What an exchange costs by a span that does not tell what it would have to. Every other one costs what it did cost.
_ANTHROPIC = {
    "US inference": "0.08",
    "fast mode": "0.08",
    "server web search": "0.003",
    "advisor iterations": "0.05",
    "compaction iterations": "0.05",
}
_NO_TTL = {"prompt caching, 5m and 1h writes": "0.0901", "streamed message": "0.008788"}
_NO_TIER = {"batch result": "0.3"}
_NO_TOOLS = {"web search actions": "0.035", "file search": "0.035"}
_LESS: dict[str, dict[str, str]] = {
    "openinference": {},  # it has the whole answer
    "native": _ANTHROPIC,
    "official": {**_ANTHROPIC, **_NO_TTL, **_NO_TIER, **_NO_TOOLS, "12-hour cache writes": "0.125"},
    "openllmetry": {
        **_ANTHROPIC,
        **_NO_TTL,
        **_NO_TIER,
        **_NO_TOOLS,
        "12-hour cache writes": "0.1025",  # it tells of no writes
        "streamed message": "0.009828",  # it adds up the counts of a stream, each of which has the ones before in it
    },
}
#: Spans that are priced as if the provider's answer had been there: whatever it is billed by is on them.
_CERTAIN = {
    "official": {
        "embedding: 1000 tokens of text-embedding-3-large",
        "cached and reasoning tokens",
        "served tier, not the asked one",
        "long context",
        "price cut",
        "dated model names",
    },
    "native": set(),
}
_CERTAIN["openllmetry"] = _CERTAIN["official"] - {"price cut"}  # of a model that charges for writes to the cache
_UNDATED = {"prompt caching, 5m and 1h writes", "cache writes without the TTL split", "streamed message"}
_PARTIAL = {
    "official": {*_UNDATED, "12-hour cache writes"},
    "openllmetry": _UNDATED,
    "native": {"cache writes without the TTL split"},
}
#: Calls that no span is made of.
_UNSEEN = {"openllmetry": {"transcription"}, "official": {"transcription"}}


@pytest.fixture(scope="module")
def book() -> PriceBook:
    """The price book."""
    return PriceBook.load()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", NAMES)
def test_a_golden_exchange_costs_what_its_span_tells(shared, book, name):
    """To the digit wherever the span holds enough; and where it does not, its status says so."""
    cases = json.loads((shared / "golden" / "exchanges.json").read_text())
    cases = [case for case in cases if name != "native" or case["service"] == "anthropic"]
    found, expected = {}, {}
    with playing(name) as player:
        for case in cases:
            found[case["name"]] = _priced(player, case, book)
            expected[case["name"]] = _expected(name, case)

    assert found == expected


def _chunks() -> list[dict[str, Any]]:
    """A chat of gpt-5, streamed, which the flex tier served: $0.0090625."""
    common = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-5",
        "service_tier": "flex",
    }
    delta = {"index": 0, "delta": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    details = {"cached_tokens": 15_000}
    usage = {
        "prompt_tokens": 20_000,
        "completion_tokens": 1000,
        "total_tokens": 21_000,
        "prompt_tokens_details": details,
    }
    return [{**common, "choices": [delta]}, {**common, "choices": [], "usage": usage}]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize(
    ("name", "chat", "message"),
    [
        ("official", ("priced", "0.0090625"), ("estimated", "0.00135")),
        ("openinference", ("estimated", "0.018125"), ("priced", "0.00135")),
        ("openllmetry", ("estimated", "0.018125"), ("estimated", "0.00136")),  # it adds up the counts of a stream
    ],
)
def test_a_stream_costs_what_its_span_tells(book, name, chat, message):
    """Some do not tell the tier of a stream, which the same instrumentation tells otherwise: their status says so."""
    case = {"name": "a stream", "at": "2026-11-20T12:00:00Z", "request": {}}
    streamed = {**case, "service": "openai", "endpoint": "/v1/chat/completions", "events": _chunks()}
    events = list(message_stream().events)
    claude = {**case, "service": "anthropic", "endpoint": "/v1/messages", "events": events}

    with playing(name) as player:
        found = [_priced(player, streamed, book), _priced(player, claude, book)]

    assert found == [chat, message]


def _priced(player, case: dict[str, Any], book: PriceBook) -> tuple[str, str | None] | None:
    made = [at(span, datetime.fromisoformat(case["at"])) for span in player.play(case)]
    spans = wire.read(encode_spans(made).SerializeToString(), wire.PROTOBUF)
    if not spans:
        return None
    (span,) = spans
    kind = operation(span)
    assert kind
    reading = read(span, kind, book)
    assert reading is not None
    quote = book.quote(reading, span.start_ns)
    return quote.status.value, None if quote.cost_usd is None else str(quote.cost_usd)


def _expected(name: str, case: dict[str, Any]) -> tuple[str, str | None] | None:
    golden, title = case["expected"], case["name"]
    if title in _UNSEEN.get(name, ()):
        return None
    if name == "openinference" or golden["cost_usd"] is None:
        return golden["status"], golden["cost_usd"]
    certain = title in _CERTAIN[name]
    status = "priced" if certain else "partial" if title in _PARTIAL[name] else "estimated"
    return status, _LESS[name].get(title, golden["cost_usd"])
