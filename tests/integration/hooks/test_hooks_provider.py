"""Who served a call, by its host and by the class of its client."""

from __future__ import annotations

from types import SimpleNamespace

import anthropic
import openai
import pytest

from costspan.hooks import provider
from fix_sdk import MESSAGE, MESSAGES, sdk_version
from loopback import Json


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://eu.api.openai.com/v1", "eu.api.openai.com"),
        ("https://my-company.openai.azure.com/openai/v1/", "azure.ai.openai"),
        ("https://my-company.services.ai.azure.com/models", "azure.ai.inference"),
        ("https://api.groq.com/openai/v1", "groq"),
        ("https://api.deepseek.com", "deepseek"),
        ("https://api.mistral.ai/v1", "mistral_ai"),
        ("https://api.x.ai/v1", "x_ai"),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("https://generativelanguage.googleapis.com/v1beta/openai/", "gcp.gemini"),
        ("https://europe-west4-aiplatform.googleapis.com/v1/projects/p", "gcp.vertex_ai"),
        ("https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1", "aws.bedrock"),
        ("https://bedrock-mantle.eu-west-1.api.aws/v1", "aws.bedrock"),
        ("https://API.GROQ.COM./v1", "groq"),
        ("https://notapi.groq.com.example.org/v1", "openai"),
        ("http://localhost:5002/v1", "openai"),
        ("http://127.0.0.1:4000", "openai"),
    ],
)
def test_host_tells_the_provider(url, name):
    """Known hosts have their names; an unknown one, a gateway or loopback, keeps the SDK's provider."""
    with openai.OpenAI(api_key="none", base_url=url) as client:
        found = provider.server("openai", client)

    assert found.provider == name
    assert found.address == client.base_url.host
    assert found.port == client.base_url.port


def test_another_base_url_is_another_server():
    """A client's base URL may be set anew; the next call goes by it."""
    with openai.OpenAI(api_key="none", base_url="https://api.openai.com/v1") as client:
        before = provider.server("openai", client).provider
        client.base_url = "https://api.groq.com/openai/v1"
        after = provider.server("openai", client).provider

    assert (before, after) == ("openai", "groq")


@pytest.mark.parametrize(
    ("service", "name", "expected"),
    [
        ("anthropic", "AnthropicBedrock", "aws.bedrock"),
        ("anthropic", "AsyncAnthropicVertex", "gcp.vertex_ai"),
        ("openai", "AsyncAzureOpenAI", "azure.ai.openai"),
        ("openai", "BedrockOpenAI", "aws.bedrock"),
        ("anthropic", "Anthropic", "anthropic"),
    ],
)
def test_class_tells_the_provider_behind_a_custom_host(service, name, expected):
    """Clouds' clients with a base URL of one's own are told by their class, and by those they derive from."""
    url = SimpleNamespace(netloc=b"gateway.example", host="gateway.example", port=None)
    base = type(name, (), {"base_url": url})

    assert provider.server(service, type("Mine", (base,), {})()).provider == expected


def test_client_may_say_itself():
    """The newest anthropic names its provider; nothing but a name counts."""
    url = SimpleNamespace(netloc=b"other.example", host="other.example", port=443)
    saying = type("Client", (), {"base_url": url, "_gen_ai_provider_name": "aws.bedrock"})
    odd = type("Client", (), {"base_url": url, "_gen_ai_provider_name": None})

    assert provider.server("anthropic", saying()).provider == "aws.bedrock"
    assert provider.server("anthropic", odd()).provider == "anthropic"


def test_bedrock_call_is_bedrocks(server, kept):
    """A call through Anthropic's Bedrock client, whose path names the model, is a row of that model and provider."""
    if sdk_version(anthropic) < (1, 0):
        pytest.skip("this anthropic's Bedrock client signs with botocore, which is not installed")
    server.answer(Json(MESSAGE))

    with anthropic.AnthropicBedrock(api_key="none", aws_region="us-east-1", base_url=server.url) as client:
        client.messages.create(model="anthropic.claude-haiku-4-5-v1:0", max_tokens=9, messages=MESSAGES)

    call = kept.call()
    assert "/model/anthropic.claude-haiku-4-5" in server.seen[0].path
    assert (call.provider, call.request_model) == ("aws.bedrock", "anthropic.claude-haiku-4-5-v1:0")
    assert (call.tokens_in, call.tokens_out) == (450, 180)
