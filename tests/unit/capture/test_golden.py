"""The golden exchanges, to the quantities that their arithmetic names."""

from __future__ import annotations

import json

import pytest

from costspan.capture import from_exchange
from costspan.usage import Completeness
from unit.capture.answers import by_portion

EXPECTED = {
    "compression: contract price of claude-3-5-haiku-latest": [{"input_tokens": 450, "output_tokens": 180}],
    "compression: claude-haiku-4-5": [{"input_tokens": 450, "output_tokens": 180}],
    "embedding: 1000 tokens of text-embedding-3-large": [{"input_tokens": 1000}],
    "prompt caching, 5m and 1h writes": [
        {
            "input_tokens": 50,
            "cache_read_tokens": 100_000,
            "cache_write_5m_tokens": 20_000,
            "cache_write_1h_tokens": 10_000,
            "output_tokens": 500,
        }
    ],
    "cache writes without the TTL split": [{"input_tokens": 10, "cache_write_5m_tokens": 30_000, "output_tokens": 100}],
    "US inference": [{"input_tokens": 10_000, "output_tokens": 2000}],
    "fast mode": [{"input_tokens": 10_000, "output_tokens": 2000}],
    "batch result": [{"input_tokens": 100_000, "output_tokens": 10_000}],
    "server web search": [{"input_tokens": 1000, "output_tokens": 100, "web_searches": 3, "web_fetches": 4}],
    "advisor iterations": [
        {"input_tokens": 10_000, "output_tokens": 500},
        {"input_tokens": 10_000, "output_tokens": 2000},
        {"input_tokens": 10_000, "output_tokens": 500},
    ],
    "compaction iterations": [
        {"input_tokens": 180_000, "output_tokens": 3500},
        {"input_tokens": 20_000, "output_tokens": 1000},
    ],
    "whole-request price tier": [{"input_tokens": 150_000, "output_tokens": 1000}],
    "price by date of the call": [{"input_tokens": 250_000, "output_tokens": 1000}],
    "streamed message": [{"input_tokens": 472, "cache_write_1h_tokens": 1024, "output_tokens": 89}],
    "interrupted stream": [{"input_tokens": 1000, "output_tokens": 150}],
    "cached and reasoning tokens": [{"input_tokens": 5000, "cache_read_tokens": 15_000, "output_tokens": 1000}],
    "served tier, not the asked one": [{"input_tokens": 100_000, "output_tokens": 10_000}],
    "web search actions": [{"input_tokens": 20_000, "output_tokens": 1000, "web_searches": 1}],
    "file search": [{"input_tokens": 20_000, "output_tokens": 1000, "file_searches": 1}],
    "12-hour cache writes": [{"input_tokens": 10_000, "cache_write_12h_tokens": 90_000, "output_tokens": 500}],
    "long context": [{"input_tokens": 300_000, "output_tokens": 1000}],
    "price cut": [{"input_tokens": 100_000, "output_tokens": 10_000}],
    "dated model names": [{"input_tokens": 12_345, "output_tokens": 678}],
    "transcription": [{"input_tokens": 100, "input_audio_tokens": 900, "output_tokens": 200}],
    "unknown model": [{"input_tokens": 10, "output_tokens": 10}],
    "unknown service tier": [{"input_tokens": 1000, "output_tokens": 10}],
    "impossible token count": [],
    "usage field nobody knows": [{"input_tokens": 1000, "output_tokens": 100}],
}
TERMS = {
    "US inference": "standard+geo=us",
    "fast mode": "standard+speed=fast",
    "batch result": "batch",
    "served tier, not the asked one": "priority",
    "unknown service tier": "hyperdrive",
}


@pytest.fixture(scope="module")
def cases(shared):
    """The golden exchanges by name."""
    return {case["name"]: case for case in json.loads((shared / "golden" / "exchanges.json").read_text())}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_golden_exchange_has_its_quantities(cases, name):
    """Each exchange reads to the quantities, written down by hand, that its true cost is made of."""
    reading = from_exchange(cases[name])

    assert [quantities for _, quantities in by_portion(reading)] == EXPECTED[name]
    assert reading.terms.key == TERMS.get(name, "standard")


def test_golden_exchanges_say_how_far_they_can_be_trusted(cases):
    """Only the interrupted stream is cut, only the impossible count has a problem, only the new field is unknown."""
    readings = {name: from_exchange(case) for name, case in cases.items()}

    assert [name for name, reading in readings.items() if reading.completeness is not Completeness.COMPLETE] == [
        "interrupted stream"
    ]
    assert {name: reading.problem for name, reading in readings.items() if reading.problem} == {
        "impossible token count": "prompt_tokens is '-5': allowed are whole numbers from 0 to 1,000,000,000"
    }
    assert {name: reading.unknown for name, reading in readings.items() if reading.unknown} == {
        "usage field nobody knows": ("hologram_tokens",)
    }


def test_iterations_have_their_own_models(cases):
    """The advisor's portion is of the advisor's model."""
    reading = from_exchange(cases["advisor iterations"])

    assert [portion.model for portion in reading.portions] == [
        "claude-sonnet-5-5",
        "claude-opus-5-5",
        "claude-sonnet-5-5",
    ]
