"""Which calls are metered."""

from __future__ import annotations

import pytest

from costspan.capture import Shape, endpoint


@pytest.mark.parametrize(
    ("service", "path", "operation", "shape"),
    [
        ("anthropic", "/v1/messages", "chat", Shape.MESSAGES),
        ("anthropic", "/v1/messages?beta=true", "chat", Shape.MESSAGES),
        ("anthropic", "https://gateway.example/anthropic/v1/messages/", "chat", Shape.MESSAGES),
        ("anthropic", "messages", "chat", Shape.MESSAGES),
        ("openai", "/chat/completions", "chat", Shape.CHAT),
        ("openai", "chat/completions", "chat", Shape.CHAT),
        ("openai", "https://openrouter.ai/api/v1/chat/completions", "chat", Shape.CHAT),
        ("openai", "https://x.openai.azure.com/openai/v1/chat/completions?api-version=preview", "chat", Shape.CHAT),
        ("openai", "/v1/completions", "text_completion", Shape.COMPLETION),
        ("openai", "/v1/responses", "chat", Shape.RESPONSES),
        ("openai", "/v1/responses?beta=true", "chat", Shape.RESPONSES),
        ("openai", "/v1/responses/compact", "chat", Shape.RESPONSES),
        ("openai", "/v1/decisions", "chat", Shape.RESPONSES),
        ("openai", "/v1/embeddings", "embeddings", Shape.EMBEDDINGS),
        ("openai", "/v1/audio/transcriptions", "transcription", Shape.TRANSCRIPTION),
        ("openai", "/v1/audio/translations", "transcription", Shape.TRANSCRIPTION),
        ("openai", "/v1/audio/speech", "speech", Shape.SPEECH),
        ("openai", "/v1/images/generations", "image_generation", Shape.IMAGES),
        ("openai", "/v1/images/edits", "image_generation", Shape.IMAGES),
    ],
)
def test_a_billed_call_is_metered(service, path, operation, shape):
    """A billed path is found with and without host, version, base path and query."""
    found = endpoint(service, "post", path)

    assert (found.service, found.operation, found.shape) == (service, operation, shape)
    assert "?" not in found.path
    assert found.model == ""


@pytest.mark.parametrize(
    ("service", "method", "path"),
    [
        ("anthropic", "POST", "/v1/messages/count_tokens"),
        ("anthropic", "POST", "/v1/messages/batches"),
        ("anthropic", "GET", "/v1/messages/batches/b/results"),
        ("anthropic", "POST", "/v1/sessions/s/messages"),
        ("anthropic", "POST", "/projects/p/locations/l/publishers/anthropic/models/count-tokens:rawPredict"),
        ("anthropic", "GET", "/v1/models"),
        ("openai", "GET", "/v1/responses/resp_1"),
        ("openai", "GET", "/v1/chat/completions"),
        ("openai", "POST", "/v1/chat/completions/chatcmpl-1"),
        ("openai", "POST", "/v1/responses/resp_1/cancel"),
        ("openai", "POST", "/v1/responses/input_tokens"),
        ("openai", "POST", "/v1/batches"),
        ("openai", "POST", "/v1/moderations"),
        ("openai", "POST", "/v1/notchat/xcompletions"),
        ("openai", "DELETE", "/v1/responses/resp_1"),
        ("cohere", "POST", "/v1/chat/completions"),
        ("openai", "POST", ""),
    ],
)
def test_a_call_that_bills_nothing_new_is_not(service, method, path):
    """Reading, counting, cancelling and creating a batch consume nothing."""
    found = endpoint(service, method, path)

    assert found is None


@pytest.mark.parametrize(
    ("service", "path", "model", "tail"),
    [
        ("openai", "/deployments/my-gpt/chat/completions", "my-gpt", "/chat/completions"),
        (
            "openai",
            "https://x.openai.azure.com/openai/deployments/a%2Fb/embeddings?api-version=1",
            "a/b",
            "/embeddings",
        ),
        ("openai", "/openai/deployments/old/extensions/chat/completions", "old", "/chat/completions"),
        ("anthropic", "/model/us.anthropic.claude-x-v1:0/invoke", "us.anthropic.claude-x-v1:0", "/invoke"),
        (
            "anthropic",
            "https://bedrock-runtime.us-east-1.amazonaws.com/model/arn%3Aaws%2Fp/invoke-with-response-stream",
            "arn:aws/p",
            "/invoke-with-response-stream",
        ),
        (
            "anthropic",
            "/projects/p/locations/l/publishers/anthropic/models/claude-x@2025:streamRawPredict",
            "claude-x@2025",
            "/streamRawPredict",
        ),
        ("anthropic", "/projects/p/publishers/anthropic/models/claude-x:rawPredict", "claude-x", "/rawPredict"),
    ],
)
def test_a_path_names_the_model(service, path, model, tail):
    """Azure, Bedrock and Vertex have the model in the path, and it stays out of the path that is kept."""
    found = endpoint(service, "POST", path)

    assert (found.model, found.path) == (model, tail)


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("/deployments/a/chat/completions?api-version=2024-02-01", "2024-02-01"),
        ("/deployments/a/chat/completions?x=1&api-version=2024-10-21-preview", "2024-10-21-preview"),
        ("/deployments/a/chat/completions", ""),
        ("/v1/chat/completions?api-version=2024-02-01", None),
    ],
)
def test_an_azure_deployment_has_its_version(path, version):
    """The version of an Azure deployment is kept where the path states it."""
    found = endpoint("openai", "POST", path)

    assert found.api_version == version


def test_paths_are_remembered_up_to_a_limit():
    """Paths without end, as of one deployment each, do not fill the memory."""
    for number in range(3000):
        endpoint("openai", "POST", f"/deployments/d{number}/chat/completions")

    assert endpoint.cache_info().currsize <= 1024


def test_a_strange_path_takes_no_time():
    """A path of a megabyte is answered at once: the expressions do not go back over it."""
    found = endpoint("openai", "POST", "/" + "deployments/" * 80_000)

    assert found is None
