"""Who serves a model, by the host that was asked: the names of the GenAI conventions where they have one."""

from __future__ import annotations

__all__ = ["host_provider"]

#: Ends of host names, so that regional and tenant hosts count too.
_HOSTS = {
    "openai": {
        "openai.azure.com": "azure.ai.openai",
        "cognitiveservices.azure.com": "azure.ai.openai",
        "services.ai.azure.com": "azure.ai.inference",
        "models.inference.ai.azure.com": "azure.ai.inference",
        "aiplatform.googleapis.com": "gcp.vertex_ai",
        "generativelanguage.googleapis.com": "gcp.gemini",
        "api.groq.com": "groq",
        "api.deepseek.com": "deepseek",
        "api.mistral.ai": "mistral_ai",
        "api.perplexity.ai": "perplexity",
        "api.x.ai": "x_ai",
        "api.cohere.ai": "cohere",
        "api.cohere.com": "cohere",
        "api.moonshot.ai": "moonshot_ai",
        "api.moonshot.cn": "moonshot_ai",
        "openrouter.ai": "openrouter",
        "api.together.xyz": "together",
        "api.together.ai": "together",
        "api.fireworks.ai": "fireworks",
        "api.cerebras.ai": "cerebras",
        "router.huggingface.co": "huggingface",
    },
    "anthropic": {
        "aiplatform.googleapis.com": "gcp.vertex_ai",
    },
}
#: ``eu.api.openai.com`` keeps inference in a region, which has prices of its own: it stays told from the others.
_REGIONAL = ".api.openai.com"


def host_provider(service: str, host: str) -> str:
    """Return ``gen_ai.provider.name`` of the server at ``host`` that speaks the language of ``service``; else nothing."""
    host = host.lower().rstrip(".")
    if host.endswith(_REGIONAL):
        return host
    for end, name in _HOSTS.get(service, {}).items():
        if host == end or host.endswith(("." + end, "-" + end)):
            return name
    return "aws.bedrock" if host.endswith((".amazonaws.com", ".api.aws")) and "bedrock" in host else ""
