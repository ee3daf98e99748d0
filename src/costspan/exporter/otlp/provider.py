"""Who served an inference: the name that a span gives, in the spelling of the GenAI conventions, unless its host says better.

Instrumentations name the provider by the SDK that was used. Azure, Groq and a dozen others are called with OpenAI's, so
the host that was asked is believed more, as the hooks do.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from costspan.capture.host import host_provider
from costspan.exporter.otlp.dialect import Dialect
from costspan.exporter.otlp.span import Span
from costspan.sinks import names
from costspan.text import clean

__all__ = ["served_by"]

#: Other spellings: of earlier conventions, of OpenLLMetry, of OpenInference, and of Vercel's SDK before its dot.
_SPELLINGS = {
    "az.ai.openai": "azure.ai.openai",
    "azure": "azure.ai.openai",
    "az.ai.inference": "azure.ai.inference",
    "aws": "aws.bedrock",
    "aws_bedrock": "aws.bedrock",
    "bedrock": "aws.bedrock",
    "amazon-bedrock": "aws.bedrock",
    "vertex_ai": "gcp.vertex_ai",
    "vertexai": "gcp.vertex_ai",
    "google_vertexai": "gcp.vertex_ai",
    "gemini": "gcp.gemini",
    "google": "gcp.gemini",
    "google_genai": "gcp.gemini",
    "gcp.gen_ai": "gcp.gemini",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "xai": "x_ai",
    "together_ai": "together",
    "hugging_face": "huggingface",
}
_GENERIC = frozenset({"", "openai", "anthropic"})
#: Clouds that sell Anthropic's models in Anthropic's own language.
_SELL_CLAUDE = frozenset({"", "anthropic", "aws.bedrock", "gcp.vertex_ai"})
#: Who speaks a language of their own; anybody else speaks OpenAI's, and is read by it.
_OWN_LANGUAGE = frozenset({"aws.bedrock", "gcp.vertex_ai", "gcp.gemini", "cohere", "ibm.watsonx.ai"})
_BASES = ("gen_ai.openai.api_base", "url.full")


def served_by(span: Span, table: Dialect, model: str) -> tuple[str, str]:
    """Return API family and ``gen_ai.provider.name`` of an inference.

    The family is anthropic, openai (and who speaks its language), or the provider itself where it has its own.
    """
    said = span.text(*table["provider"]).strip().lower()
    provider = _SPELLINGS.get(said) or _SPELLINGS.get(said.partition(".")[0], said)
    if provider.partition(".")[0] in ("openai", "anthropic"):  # Vercel's `openai.chat` and `anthropic.messages`
        provider = provider.partition(".")[0]
    is_claude = "claude" in model.lower()
    family = "anthropic" if provider == "anthropic" or (is_claude and provider in _SELL_CLAUDE) else "openai"
    if provider in _GENERIC:
        provider = host_provider(family, _host(span)) or provider or family
    elif family == "openai" and provider in _OWN_LANGUAGE:
        family = provider
    return clean(family), clean(provider)


def _host(span: Span) -> str:
    address = span.text(names.SERVER_ADDRESS)
    if address:
        return address
    try:
        return urlsplit(span.text(*_BASES)).hostname or ""
    except ValueError:  # no URL after all
        return ""
