"""What OpenAI-compatible servers add to OpenAI's usage object."""

from __future__ import annotations

import pytest

from costspan.capture import read_body
from unit.capture.answers import CHAT, chat, quantities

PLAIN = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}


def read(usage, provider="gateway.example"):
    """Read a chat completion of a gateway."""
    return read_body(CHAT, chat(usage), request=None, provider=provider)


@pytest.mark.parametrize(
    "extra",
    [
        {"cost": 0.01, "cost_details": {"upstream_inference_cost": 0.005}, "is_byok": False},
        {"queue_time": 0.01, "prompt_time": 0.02, "completion_time": 0.3, "total_time": 0.33},
        {"cost_in_usd_ticks": 1234},
        {"estimated_cost": 0.2},
        {"completion_tokens_per_sec": 99.5, "time_to_first_token": 0.1},
        {"prompt_tokens_details": None, "completion_tokens_details": None},
        {"prompt_cache_hit_tokens": 0, "prompt_cache_miss_tokens": 100},
    ],
)
def test_remarks_raise_no_alarm(extra):
    """What a server thinks it cost, or how long it took, is no consumption."""
    reading = read({**PLAIN, **extra})

    assert quantities(reading) == {"input_tokens": 100, "output_tokens": 50}
    assert reading.unknown == ()


@pytest.mark.parametrize(
    "extra",
    [
        {"cached_tokens": 60},
        {"prompt_cache_hit_tokens": 60, "prompt_cache_miss_tokens": 40},
        {"cache_read_input_tokens": 60},
        {"num_cached_tokens": 60},
        {"prompt_cache_hit_tokens": 60, "prompt_tokens_details": {"cached_tokens": 60}},
        {"prompt_cache_hit_tokens": 60, "prompt_tokens_details": {"cached_tokens": 0}},
    ],
)
def test_cached_tokens_go_by_other_names(extra):
    """Tokens read from a cache are the same number under any of its names."""
    reading = read({**PLAIN, **extra})

    assert quantities(reading) == {"input_tokens": 40, "cache_read_tokens": 60, "output_tokens": 50}
    assert reading.unknown == ()


@pytest.mark.parametrize(
    "extra",
    [
        {"cache_creation_input_tokens": 30},
        {"prompt_tokens_details": {"cache_creation_tokens": 30}},
        {"cache_creation_input_tokens": 30, "prompt_tokens_details": {"cache_creation_tokens": 30}},
    ],
)
def test_writes_of_a_proxied_anthropic_are_five_minute_writes(extra):
    """A gateway to Anthropic reports its writes in OpenAI's shape, inside the prompt."""
    reading = read({**PLAIN, **extra})

    assert quantities(reading) == {"input_tokens": 70, "cache_write_5m_tokens": 30, "output_tokens": 50}
    assert reading.unknown == ()


def test_reasoning_beside_the_completion_is_output():
    """A total that is prompt, completion and reasoning says that reasoning was not in the completion (xAI)."""
    usage = {**PLAIN, "total_tokens": 450, "completion_tokens_details": {"reasoning_tokens": 300}}

    reading = read(usage)

    assert quantities(reading) == {"input_tokens": 100, "output_tokens": 350}
    assert reading.portions[0].usage.reasoning == 300
    assert reading.unknown == ()


def test_reasoning_is_beside_the_completion_only_where_the_total_says_so():
    """A total that does not come to prompt, completion and reasoning leaves the reasoning inside."""
    usage = {**PLAIN, "total_tokens": 900, "completion_tokens_details": {"reasoning_tokens": 20}}

    reading = read(usage, provider="openai")

    assert quantities(reading) == {"input_tokens": 100, "output_tokens": 50}


def test_reasoning_may_stand_at_the_top():
    """Some servers put the reasoning beside the totals."""
    reading = read({**PLAIN, "reasoning_tokens": 20})

    assert quantities(reading) == {"input_tokens": 100, "output_tokens": 50}
    assert reading.portions[0].usage.reasoning == 20


def test_a_total_above_all_parts_is_flagged():
    """A gateway whose total is more than its parts has consumed what is in none of them."""
    reading = read({**PLAIN, "total_tokens": 900})

    assert quantities(reading) == {"input_tokens": 100, "output_tokens": 50}
    assert reading.unknown == ("total_tokens",)


@pytest.mark.parametrize(
    "twins",
    [
        {"input_tokens": 0, "output_tokens": 0, "input_tokens_details": None},
        {"input_tokens": 100, "output_tokens": 50},
        {"input_tokens": 100, "input_tokens_details": {"cached_tokens": 0}, "prompt_tokens_details": {}},
    ],
)
def test_both_sets_of_names_are_one(twins):
    """Servers that send the newer names beside the older say nothing new by it."""
    reading = read({**PLAIN, **twins})

    assert quantities(reading) == {"input_tokens": 100, "output_tokens": 50}
    assert reading.unknown == ()


def test_names_that_contradict_are_flagged():
    """Where the newer names say something else than the older, the reading is flagged."""
    reading = read({**PLAIN, "input_tokens": 700})

    assert reading.unknown == ("input_tokens",)


@pytest.mark.parametrize("extra", ["num_sources_used", "citation_tokens", "num_search_queries", "search_units"])
def test_what_may_be_billed_is_flagged(extra):
    """Sources, citations and searches of a gateway may have a fee that nobody here knows."""
    reading = read({**PLAIN, extra: 3})

    assert reading.unknown == (extra,)


@pytest.mark.parametrize("name", ["cached_tokens", "prompt_cache_hit_tokens", "cache_creation_input_tokens"])
@pytest.mark.parametrize("value", [-1, 1.5, 101])
def test_impossible_counts_under_other_names_are_refused(name, value):
    """A count is checked whatever it is called."""
    reading = read({**PLAIN, name: value})

    assert reading.problem
    assert reading.portions == ()
