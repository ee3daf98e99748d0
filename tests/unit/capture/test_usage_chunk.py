"""The extra chunk of an OpenAI stream that has its usage."""

from __future__ import annotations

import pytest

from costspan.capture import endpoint, is_usage_only_chunk, wants_usage_chunk
from unit.capture.answers import CHAT, COMPLETIONS, EMBEDDINGS, MESSAGES, RESPONSES


@pytest.mark.parametrize(
    ("request_body", "wants"),
    [
        ({"stream": True}, True),
        ({"stream": True, "stream_options": None}, True),
        ({"stream": True, "stream_options": {}}, True),
        ({"stream": True, "stream_options": {"include_usage": False}}, True),
        ({"stream": True, "stream_options": {"include_usage": True}}, False),
        ({"stream": True, "stream_options": "strange"}, False),
        ({"stream": False}, False),
        ({}, False),
        (None, False),
    ],
)
@pytest.mark.parametrize("called", [CHAT, COMPLETIONS])
def test_a_stream_without_usage_wants_it(called, request_body, wants):
    """A chat stream that has not asked for its usage is one to ask for."""
    found = wants_usage_chunk(called, request_body)

    assert found is wants


@pytest.mark.parametrize("called", [MESSAGES, RESPONSES, EMBEDDINGS])
def test_other_streams_have_their_usage(called):
    """Messages and responses bring their usage without being asked."""
    found = wants_usage_chunk(called, {"stream": True})

    assert found is False


@pytest.mark.parametrize(
    ("path", "wants"),
    [
        ("/deployments/a/chat/completions?api-version=2024-02-01", False),
        ("/deployments/a/chat/completions?api-version=2024-09-01-preview", True),
        ("/deployments/a/chat/completions?api-version=2025-04-01-preview", True),
        ("/deployments/a/chat/completions", False),
        ("https://x.openai.azure.com/openai/v1/chat/completions", True),
    ],
)
def test_an_older_azure_is_not_asked(path, wants):
    """Azure answers what it does not know with an error, so only a version that knows the option is asked."""
    found = wants_usage_chunk(endpoint("openai", "POST", path), {"stream": True})

    assert found is wants


@pytest.mark.parametrize(
    ("event", "is_usage_only"),
    [
        ({"choices": [], "usage": {"prompt_tokens": 1}}, True),
        ({"choices": [], "usage": None}, False),
        ({"choices": [], "prompt_filter_results": [{}]}, False),
        ({"choices": [{"delta": {}}], "usage": {"prompt_tokens": 1}}, False),
        ({"usage": {"prompt_tokens": 1}}, False),
        ([], False),
        (None, False),
    ],
)
def test_only_the_extra_chunk_is_hidden(event, is_usage_only):
    """A chunk with usage and without choices is the extra one; Azure's first chunk is the application's."""
    found = is_usage_only_chunk(event)

    assert found is is_usage_only
