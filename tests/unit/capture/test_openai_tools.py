"""Fees beside the tokens of an OpenAI response."""

from __future__ import annotations

import pytest

from costspan.capture import read_body
from unit.capture.answers import RESPONSES, by_portion, quantities, response

USAGE = {"input_tokens": 100, "output_tokens": 50, "total_tokens": 150}


def read(output, **fields):
    """Read a response with this output."""
    return read_body(RESPONSES, response(USAGE, output=output, **fields), request=None, provider="openai")


def web(action, status="completed"):
    """Build a call of the web search."""
    return {"type": "web_search_call", "status": status, "action": action}


@pytest.mark.parametrize(
    ("items", "searches"),
    [
        ([web({"type": "search", "query": "q"})], 1),
        ([web({"type": "search"}), web({"type": "open_page"}), web({"type": "find_in_page"})], 1),
        ([web(None)], 1),
        ([{"type": "web_search_call"}], 1),
        ([web({"query": "of an older version"})], 1),
        ([web({"type": "search"}, status="failed")], 0),
        ([web("search")], 0),
        ([], 0),
    ],
)
def test_only_searches_are_billed(items, searches):
    """Opened pages are free; a call that does not say what it did searched."""
    reading = read(items)

    assert quantities(reading).get("web_searches", 0) == searches


@pytest.mark.parametrize("told", [0, 2])
def test_the_provider_counts_its_searches(told):
    """Where the provider counts the billable searches, its count is the one, zero included."""
    reading = read([web({"type": "search"})] * 5, tool_usage={"web_search": {"num_requests": told}})

    assert quantities(reading).get("web_searches", 0) == told
    assert reading.unknown == ()


def test_file_searches_and_containers_are_billed():
    """Each file search counts, and each container once however often it ran."""
    items = [
        {"type": "file_search_call", "status": "completed"},
        {"type": "file_search_call", "status": "completed"},
        {"type": "code_interpreter_call", "container_id": "c1"},
        {"type": "code_interpreter_call", "container_id": "c1"},
        {"type": "code_interpreter_call", "container_id": "c2"},
        {"type": "shell_call", "environment": {"type": "container_reference", "container_id": "c2"}},
        {"type": "shell_call", "environment": {"type": "container_reference", "container_id": "c3"}},
        {"type": "shell_call", "environment": {"type": "local"}},
        {"type": "shell_call"},
    ]

    reading = read(items)

    assert quantities(reading) == {
        "input_tokens": 100,
        "output_tokens": 50,
        "file_searches": 2,
        "code_interpreter_sessions": 3,
    }


def test_items_of_another_shape_are_ignored():
    """Output that is no list of objects has no fees."""
    strange = read(["text", 5, None, {"type": 7}, {"type": "message"}])
    absent = read("not a list")

    assert quantities(strange) == quantities(absent) == {"input_tokens": 100, "output_tokens": 50}


def test_containers_without_end_are_bounded():
    """A response with ever new containers does not fill the memory."""
    reading = read([{"type": "code_interpreter_call", "container_id": f"c{number}"} for number in range(1000)])

    assert quantities(reading)["code_interpreter_sessions"] == 256


IMAGE_GEN = {
    "input_tokens": 30,
    "input_tokens_details": {"image_tokens": 10, "text_tokens": 20},
    "output_tokens": 400,
    "total_tokens": 430,
    "cached_tokens": 6,
    "cached_tokens_details": {"cached_image_tokens": 4, "cached_text_tokens": 2},
}


def test_images_are_a_portion_of_the_image_model():
    """Tokens of the image tool are billed at the model that the response's tools name."""
    reading = read(
        [{"type": "image_generation_call", "status": "completed"}],
        tool_usage={"image_gen": IMAGE_GEN, "web_search": {"num_requests": 0}},
        tools=[{"type": "web_search"}, {"type": "image_generation", "model": "gpt-image-1"}],
    )

    assert by_portion(reading)[1] == (
        "gpt-image-1",
        {
            "input_tokens": 18,
            "input_image_tokens": 6,
            "cache_read_tokens": 2,
            "cache_read_image_tokens": 4,
            "output_image_tokens": 400,
        },
    )
    assert reading.unknown == ()


@pytest.mark.parametrize(
    "tools",
    [None, [], [{"type": "image_generation"}], [{"type": "image_generation", "model": name} for name in ("a", "b")]],
)
def test_images_of_an_unknown_model_are_flagged(tools):
    """Where the response does not say which model made the image, its tokens are flagged."""
    reading = read([], tool_usage={"image_gen": {**IMAGE_GEN, "cached_tokens": 0}}, tools=tools)

    assert len(reading.portions) == 1
    assert "tool_usage.image_gen.output_tokens" in reading.unknown
    assert reading.evidence["tool_usage"]["image_gen"]["output_tokens"] == 400


def test_an_image_without_its_tokens_is_flagged():
    """An image that came without any usage was billed, and nobody knows how much."""
    reading = read([{"type": "image_generation_call", "status": "completed"}])

    assert reading.unknown == ("output.image_generation_call",)


def test_the_author_of_an_svg_is_a_portion():
    """A drawing that another model authored is billed at that model."""
    svg = {"model": "gpt-b", "input_tokens": 9, "output_tokens": 8, "reasoning_tokens": 2, "total_tokens": 17}

    reading = read([{"type": "image_generation_call", "status": "completed", "svg_usage": svg}])

    assert by_portion(reading)[1] == ("gpt-b", {"input_tokens": 9, "output_tokens": 8})
    assert reading.unknown == ()


def test_an_svg_without_its_author_is_flagged():
    """Tokens of a model without a name are flagged by path."""
    svg = {"input_tokens": 9, "output_tokens": 8}

    reading = read([{"type": "image_generation_call", "svg_usage": svg}])

    assert reading.unknown == ("svg_usage.input_tokens", "svg_usage.output_tokens")


def test_unknown_tools_are_flagged():
    """A tool that nobody knows may have a fee."""
    told = {"web_search": {"num_requests": 1, "num_pages": 4}, "teleport": {"num_trips": 2}}

    reading = read([], tool_usage=told)

    assert set(reading.unknown) == {"tool_usage.teleport.num_trips", "tool_usage.web_search.num_pages"}


@pytest.mark.parametrize(
    "told", [[1], {"web_search": 5}, {"web_search": {"num_requests": -1}}, {"image_gen": {"output_tokens": -1}}]
)
def test_impossible_tool_usage_is_refused(told):
    """Counts of tools are checked like counts of tokens."""
    tools = [{"type": "image_generation", "model": "gpt-image-1"}]

    reading = read([], tool_usage=told, tools=tools)

    assert reading.problem
    assert reading.portions == ()
