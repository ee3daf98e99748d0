"""Who serves a client's calls, by the names of the GenAI conventions where they have one.

The base URL decides, then the client's class. An unknown host keeps the SDK's own provider: behind a gateway or on
loopback it is usually that provider's models that are served, and a model nobody knows stays unpriced anyway.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from costspan.capture.host import host_provider

__all__ = ["Server", "base_url", "server"]


class Server(NamedTuple):
    """Where a client's calls go."""

    provider: str
    """``gen_ai.provider.name``."""
    address: str
    port: int | None


#: By class, where the host says nothing: a custom domain before a cloud's endpoint.
_CLASSES = {
    "AzureOpenAI": "azure.ai.openai",
    "AsyncAzureOpenAI": "azure.ai.openai",
    "BedrockOpenAI": "aws.bedrock",
    "AsyncBedrockOpenAI": "aws.bedrock",
    "AnthropicBedrock": "aws.bedrock",
    "AsyncAnthropicBedrock": "aws.bedrock",
    "AnthropicBedrockMantle": "aws.bedrock",
    "AsyncAnthropicBedrockMantle": "aws.bedrock",
    "AnthropicVertex": "gcp.vertex_ai",
    "AsyncAnthropicVertex": "gcp.vertex_ai",
}
#: By identity of the URL, which is kept so that the identity stays its own. Its text would cost more than the rest.
_known: dict[int, tuple[Any, type, Server]] = {}
_LIMIT = 1024


def server(service: str, client: Any) -> Server:
    """Return who serves ``client``. Looked up anew at each call: an application may set another ``base_url``."""
    url = base_url(client)
    known = _known.get(id(url))
    if known is not None and known[0] is url and known[1] is type(client):
        return known[2]
    found = Server(_provider(service, client, url.host), url.host, url.port)
    if len(_known) >= _LIMIT:
        _known.clear()
    _known[id(url)] = (url, type(client), found)
    return found


def base_url(client: Any) -> Any:
    """Return where ``client`` sends its calls. The newest openai's public property runs an import statement each time."""
    url = getattr(client, "_base_url", None)
    return url if url is not None else client.base_url


def _provider(service: str, client: Any, host: str) -> str:
    named = host_provider(service, host)
    if named:
        return named
    for cls in type(client).__mro__:
        if cls.__name__ in _CLASSES:
            return _CLASSES[cls.__name__]
    said = getattr(client, "_gen_ai_provider_name", None)
    return said if type(said) is str and said else service
