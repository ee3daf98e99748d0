"""Anthropic's usage object."""

from __future__ import annotations

import pytest

from costspan.capture import read_body
from costspan.usage import Completeness
from unit.capture.answers import MESSAGES, by_portion, message, quantities


def read(usage, **fields):
    """Read a message with this usage."""
    return read_body(MESSAGES, message(usage, **fields), request={"model": "claude-asked"}, provider="anthropic")


def test_input_excludes_the_caches():
    """Cached tokens stand beside the input, and none is counted twice."""
    usage = {
        "input_tokens": 50,
        "cache_read_input_tokens": 1000,
        "cache_creation_input_tokens": 300,
        "output_tokens": 7,
    }

    reading = read(usage)

    assert quantities(reading) == {
        "input_tokens": 50,
        "cache_read_tokens": 1000,
        "cache_write_5m_tokens": 300,
        "output_tokens": 7,
    }
    assert reading.portions[0].usage.tokens_in == 1350
    assert (reading.unknown, reading.problem, reading.completeness) == ((), "", Completeness.COMPLETE)


def test_cache_writes_are_split_by_time_to_live():
    """Five-minute and one-hour writes are different units."""
    usage = {
        "input_tokens": 1,
        "output_tokens": 1,
        "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10},
    }

    reading = read(usage)

    assert quantities(reading)["cache_write_5m_tokens"] == 20
    assert quantities(reading)["cache_write_1h_tokens"] == 10
    assert reading.unknown == ()


def test_a_split_without_its_total_is_the_total():
    """Where only the split was sent, it is what was written."""
    usage = {"input_tokens": 1, "output_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": 10}}

    reading = read(usage)

    assert quantities(reading) == {"input_tokens": 1, "output_tokens": 1, "cache_write_1h_tokens": 10}


def test_a_split_below_its_total_loses_no_token():
    """Tokens that a split does not mention are five-minute writes, and the reading is flagged."""
    usage = {
        "input_tokens": 1,
        "output_tokens": 1,
        "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 10},
    }

    reading = read(usage)

    assert quantities(reading)["cache_write_5m_tokens"] == 20
    assert quantities(reading)["cache_write_1h_tokens"] == 10
    assert reading.unknown == ("cache_creation",)


def test_a_split_above_its_total_is_impossible():
    """A part cannot be larger than the whole."""
    usage = {
        "input_tokens": 1,
        "output_tokens": 1,
        "cache_creation_input_tokens": 3,
        "cache_creation": {"ephemeral_5m_input_tokens": 5},
    }

    reading = read(usage)

    assert "cache_creation" in reading.problem
    assert "at most 3" in reading.problem
    assert reading.portions == ()


def test_a_new_time_to_live_is_flagged():
    """A write that no price is known for counts as the cheapest, and is flagged by name."""
    usage = {
        "input_tokens": 1,
        "output_tokens": 1,
        "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_24h_input_tokens": 30},
    }

    reading = read(usage)

    assert quantities(reading)["cache_write_5m_tokens"] == 30
    assert "cache_creation.ephemeral_24h_input_tokens" in reading.unknown


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({}, "standard"),
        ({"service_tier": "standard", "speed": "standard", "inference_geo": "global"}, "standard"),
        ({"service_tier": None, "speed": None, "inference_geo": None}, "standard"),
        ({"inference_geo": "not_available"}, "standard"),
        ({"service_tier": "priority"}, "priority"),
        ({"service_tier": "batch"}, "batch"),
        ({"service_tier": "Batch", "inference_geo": "US"}, "batch+geo=us"),
        ({"speed": "fast", "inference_geo": "us"}, "standard+speed=fast+geo=us"),
        ({"speed": "ludicrous"}, "standard+speed=ludicrous"),
        ({"service_tier": "hyperdrive"}, "hyperdrive"),
        ({"service_tier": 5}, "5"),
        ({"service_tier": ["x"]}, "<list>"),
    ],
)
def test_terms_are_those_of_the_usage(fields, key):
    """Tier, batch, speed and geography are as served; a word that nobody knows stays, and has no price."""
    usage = {"input_tokens": 1, "output_tokens": 1, **fields}

    reading = read(usage)

    assert reading.terms.key == key


def test_thinking_is_inside_the_output():
    """Thinking tokens are information about the output and no unit."""
    usage = {"input_tokens": 1, "output_tokens": 100, "output_tokens_details": {"thinking_tokens": 80}}

    reading = read(usage)

    assert quantities(reading) == {"input_tokens": 1, "output_tokens": 100}
    assert reading.portions[0].usage.reasoning == 80


def test_more_thinking_than_output_is_impossible():
    """Thinking cannot exceed the output it is a part of."""
    usage = {"input_tokens": 1, "output_tokens": 10, "output_tokens_details": {"thinking_tokens": 11}}

    reading = read(usage)

    assert "output_tokens_details.thinking_tokens" in reading.problem


def test_server_tools_are_counted():
    """Searches and fetches are units; searching among tools is free."""
    tools = {"web_search_requests": 3, "web_fetch_requests": 4, "tool_search_requests": 5}

    reading = read({"input_tokens": 1, "output_tokens": 1, "server_tool_use": tools})

    assert quantities(reading)["web_searches"] == 3
    assert quantities(reading)["web_fetches"] == 4
    assert reading.unknown == ()


def test_an_unknown_server_tool_is_flagged():
    """A server tool that nobody knows may have a fee."""
    usage = {"input_tokens": 1, "output_tokens": 1, "server_tool_use": {"code_execution_requests": 2}}

    reading = read(usage)

    assert reading.unknown == ("server_tool_use.code_execution_requests",)


@pytest.mark.parametrize("missing", ["input_tokens", "output_tokens"])
def test_a_missing_count_is_not_zero(missing):
    """An answer without one of its required counts says which, and keeps the other."""
    usage = {"input_tokens": 5, "output_tokens": 5}
    usage[missing] = None

    reading = read(usage)

    assert reading.unknown == (missing,)
    assert sum(quantities(reading).values()) == 5


def test_unknown_fields_that_say_nothing_are_ignored():
    """Null, zero, empty and text fields are no consumption."""
    usage = {"input_tokens": 1, "output_tokens": 1, "a": None, "b": 0, "c": {}, "d": [], "e": "word", "f": {"g": 0}}

    reading = read(usage)

    assert reading.unknown == ()


def test_unknown_numbers_are_found_however_deep():
    """A number under an unknown name is flagged by its path, in objects and in lists."""
    usage = {"input_tokens": 1, "output_tokens": 1, "a": {"b": [{"c": 2}, 0, {"c": 0.5}]}}

    reading = read(usage)

    assert reading.unknown == ("a.b.0.c", "a.b.2.c")


ADVISED = [
    {"type": "message", "input_tokens": 10, "output_tokens": 5},
    {"type": "advisor_message", "model": "claude-b", "input_tokens": 20, "output_tokens": 6},
    {"type": "message", "input_tokens": 30, "output_tokens": 7},
]


def test_each_iteration_is_a_portion_at_its_own_model():
    """An advisor's tokens are billed at the advisor's model and are not in the top level."""
    reading = read({"input_tokens": 40, "output_tokens": 12, "iterations": ADVISED})

    assert by_portion(reading) == [
        ("claude-a", {"input_tokens": 10, "output_tokens": 5}),
        ("claude-b", {"input_tokens": 20, "output_tokens": 6}),
        ("claude-a", {"input_tokens": 30, "output_tokens": 7}),
    ]
    assert reading.unknown == ()


@pytest.mark.parametrize("iterations", [[], None, [{"type": "message", "input_tokens": 40, "output_tokens": 12}]])
def test_one_iteration_or_none_is_the_plain_call(iterations):
    """A call that did not iterate reads the same with and without its iterations."""
    reading = read({"input_tokens": 40, "output_tokens": 12, "iterations": iterations})

    assert by_portion(reading) == [("claude-a", {"input_tokens": 40, "output_tokens": 12})]
    assert reading.unknown == ()


def test_a_lone_compaction_does_not_hide_the_answer():
    """Where only what is beside the answer iterates, the top level is the answer's bill."""
    iterations = [{"type": "compaction", "input_tokens": 900, "output_tokens": 30, "cache_read_input_tokens": 8}]

    reading = read({"input_tokens": 40, "output_tokens": 12, "iterations": iterations})

    assert by_portion(reading) == [
        ("claude-a", {"input_tokens": 900, "cache_read_tokens": 8, "output_tokens": 30}),
        ("claude-a", {"input_tokens": 40, "output_tokens": 12}),
    ]
    assert reading.unknown == ()


def test_iterations_that_account_for_less_than_the_top_level_are_flagged():
    """What the iterations leave out of the top level is added, and flagged."""
    iterations = [{"type": "message", "input_tokens": 30, "output_tokens": 12}]

    reading = read(
        {"input_tokens": 40, "output_tokens": 12, "cache_creation_input_tokens": 9, "iterations": iterations}
    )

    assert by_portion(reading) == [
        ("claude-a", {"input_tokens": 30, "output_tokens": 12}),
        ("claude-a", {"input_tokens": 10, "cache_write_5m_tokens": 9}),
    ]
    assert reading.unknown == ("iterations",)


def test_writes_of_iterations_are_compared_as_a_sum():
    """The top level without a split and iterations with one say the same."""
    split = {"ephemeral_1h_input_tokens": 9}
    iterations = [{"type": "message", "input_tokens": 4, "output_tokens": 1, "cache_creation": split}]

    reading = read({"input_tokens": 4, "output_tokens": 1, "cache_creation_input_tokens": 9, "iterations": iterations})

    assert by_portion(reading) == [("claude-a", {"input_tokens": 4, "cache_write_1h_tokens": 9, "output_tokens": 1})]
    assert reading.unknown == ()


FALLEN_BACK = [
    {"type": "message", "model": "claude-first", "input_tokens": 60, "output_tokens": 3},
    {"type": "fallback_message", "model": "claude-a", "input_tokens": 50, "output_tokens": 9},
]


def test_a_declined_attempt_that_wrote_is_billed_at_its_own_model():
    """Each attempt of a fallback chain that wrote anything is a bill of its own; the top level has only the last."""
    reading = read({"input_tokens": 50, "output_tokens": 9, "iterations": FALLEN_BACK})

    assert by_portion(reading) == [
        ("claude-first", {"input_tokens": 60, "output_tokens": 3}),
        ("claude-a", {"input_tokens": 50, "output_tokens": 9}),
    ]
    assert reading.unknown == ()


def test_a_declined_attempt_that_wrote_nothing_is_not_billed():
    """Anthropic does not bill what was refused before any output."""
    iterations = [{**FALLEN_BACK[0], "output_tokens": 0}, FALLEN_BACK[1]]

    reading = read({"input_tokens": 50, "output_tokens": 9, "iterations": iterations})

    assert by_portion(reading) == [("claude-a", {"input_tokens": 50, "output_tokens": 9})]


def test_a_declined_attempt_without_a_name_was_the_model_asked_for():
    """A fallback chain begins with the model that the request named."""
    iterations = [{**FALLEN_BACK[0], "model": None}, FALLEN_BACK[1]]

    reading = read({"input_tokens": 50, "output_tokens": 9, "iterations": iterations})

    assert [portion.model for portion in reading.portions] == ["claude-asked", "claude-a"]


def test_a_refusal_without_output_is_not_billed():
    """A refusal that wrote nothing costs nothing, and is a call all the same."""
    reading = read({"input_tokens": 412, "output_tokens": 0}, stop_reason="refusal")

    assert by_portion(reading) == [("claude-a", {})]
    assert reading.finish_reason == "refusal"
    assert reading.evidence == {"input_tokens": 412, "output_tokens": 0}


def test_a_refusal_after_output_is_billed():
    """What was written before the refusal is billed with its input."""
    reading = read({"input_tokens": 412, "output_tokens": 6}, stop_reason="refusal")

    assert by_portion(reading) == [("claude-a", {"input_tokens": 412, "output_tokens": 6})]


def test_a_refused_chain_bills_what_it_wrote():
    """A chain whose last attempt refused at once still bills the attempts before it."""
    iterations = [FALLEN_BACK[0], {**FALLEN_BACK[1], "output_tokens": 0}]

    reading = read({"input_tokens": 50, "output_tokens": 0, "iterations": iterations}, stop_reason="refusal")

    assert by_portion(reading) == [("claude-first", {"input_tokens": 60, "output_tokens": 3})]
    assert reading.unknown == ()


def test_a_refusal_beside_a_compaction_bills_the_compaction():
    """What was compacted is billed, and the attempt that wrote nothing is not."""
    iterations = [{"type": "compaction", "input_tokens": 900, "output_tokens": 30}]

    reading = read({"input_tokens": 50, "output_tokens": 0, "iterations": iterations}, stop_reason="refusal")

    assert by_portion(reading) == [("claude-a", {"input_tokens": 900, "output_tokens": 30}), ("claude-a", {})]


def test_an_iteration_that_read_and_wrote_nothing_is_billed():
    """Only what declined is free: an iteration of a usual call is billed for what it read."""
    iterations = [{"type": "message", "input_tokens": 40, "output_tokens": 0}]

    reading = read({"input_tokens": 40, "output_tokens": 0, "iterations": iterations})

    assert by_portion(reading) == [("claude-a", {"input_tokens": 40})]


def test_an_unknown_kind_of_iteration_is_flagged_and_not_guessed():
    """Tokens of an iteration that nobody knows are flagged by path; the rest of the top level is not lost."""
    iterations = [{"type": "dream", "input_tokens": 7, "output_tokens": 2, "nested": {"deep": 1}}]

    reading = read({"input_tokens": 40, "output_tokens": 12, "iterations": iterations})

    assert by_portion(reading) == [("claude-a", {"input_tokens": 40, "output_tokens": 12})]
    assert reading.unknown == (
        "iterations.0.input_tokens",
        "iterations.0.nested.deep",
        "iterations.0.output_tokens",
    )


def test_unknown_fields_of_an_iteration_are_flagged():
    """A field that nobody knows is found inside an iteration too."""
    iterations = [{"type": "message", "input_tokens": 40, "output_tokens": 12, "hologram_tokens": 5}]

    reading = read({"input_tokens": 40, "output_tokens": 12, "iterations": iterations})

    assert reading.unknown == ("iterations.0.hologram_tokens",)


@pytest.mark.parametrize(
    "iterations",
    [{"type": "message"}, "message", 5, [1], [[]], [{"type": "message", "input_tokens": -1}], [{}] * 1001],
)
def test_iterations_of_another_shape_are_impossible(iterations):
    """Iterations that are no list of objects, or that have impossible counts, are refused with a reason."""
    reading = read({"input_tokens": 40, "output_tokens": 12, "iterations": iterations})

    assert "iterations" in reading.problem
    assert reading.portions == ()


def test_fees_go_with_the_last_attempt():
    """Searches of an iterated call are paid for once, beside the attempt that answered."""
    usage = {
        "input_tokens": 40,
        "output_tokens": 12,
        "output_tokens_details": {"thinking_tokens": 11},
        "server_tool_use": {"web_search_requests": 2},
        "iterations": ADVISED,
    }

    reading = read(usage)

    assert [portion[1].get("web_searches", 0) for portion in by_portion(reading)] == [0, 0, 2]
    assert [portion.usage.reasoning for portion in reading.portions] == [0, 0, 11]


@pytest.mark.parametrize(
    ("credit", "unknown"),
    [
        ({"status": {"type": "redeemed"}}, ("fallback_credit.status",)),
        ({"status": {"type": "not_applied", "reason": "expired"}}, ()),
        ({"status": {"type": "redeemed"}, "amount": 3}, ("fallback_credit.status", "fallback_credit.amount")),
        (None, ()),
    ],
)
def test_a_redeemed_credit_is_flagged(credit, unknown):
    """A credit reprices a call in a way that its usage does not show."""
    reading = read({"input_tokens": 1, "output_tokens": 1, "fallback_credit": credit})

    assert reading.unknown == unknown


def test_the_answer_says_which_model_served():
    """The served model counts, and the asked one where the answer names none."""
    served = read({"input_tokens": 1, "output_tokens": 1})
    silent = read({"input_tokens": 1, "output_tokens": 1}, model=None)

    assert served.model == "claude-a"
    assert silent.model == silent.portions[0].model == "claude-asked"
    assert (served.response_id, served.finish_reason) == ("msg_1", "end_turn")
